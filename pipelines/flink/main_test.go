package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestCommands(t *testing.T) {
	answers := map[string]string{
		"GET /jobs/overview": `{"jobs":[{"jid":"a1","name":"flowbeam0flows-root-1","state":"RUNNING","start-time":0,"duration":61000},
			{"jid":"b2","name":"old-root-1","state":"FAILED","start-time":0,"duration":1000}]}`,
		"GET /jobs/a1/checkpoints": `{"counts":{"completed":7,"failed":1,"restored":2},
			"latest":{"completed":{"id":7,"external_path":"file:/cp/7","state_size":1234,"latest_ack_timestamp":1000,"end_to_end_duration":15}}}`,
		"GET /jobs/b2/checkpoints":                `{}`,
		"GET /jobs/a1/exceptions?maxExceptions=1": `{}`,
		"GET /jobs/b2/exceptions?maxExceptions=1": `{"root-exception":"out of memory\n\tat line 1"}`,
		"GET /jobs/a1":                    `{"vertices":[{"id":"v"}]}`,
		"GET /jobs/a1/vertices/v/metrics": `[{"id":"0.x.flowbeam_read"}]`,
		"GET /jobs/a1/vertices/v/metrics?get=0.x.flowbeam_read": `[{"id":"0.x.flowbeam_read","value":"12"}]`,
		"PATCH /jobs/a1?mode=cancel":                            ``,
		"POST /jobs/a1/stop":                                    `{"request-id":"r"}`,
		"POST /jobs/a1/savepoints":                              `{"request-id":"r"}`,
		"GET /jobs/a1/savepoints/r":                             `{"status":{"id":"COMPLETED"},"operation":{"location":"file:/sp/1"}}`,
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := answers[r.Method+" "+r.URL.RequestURI()]
		if !ok {
			t.Errorf("asked for %s %s", r.Method, r.URL.RequestURI())
		}
		w.Write([]byte(a))
	}))
	defer s.Close()
	for _, c := range []struct {
		args   string
		status int
		want   []string // in what it prints
	}{
		{"jobs", 0, []string{"a1  RUNNING", "1m1s", "b2  FAILED"}},
		{"status flowbeam-flows", 0, []string{"7 done, 1 failed; restored 2 times", "1234 bytes", "file:/cp/7"}},
		{"status old", 1, []string{"out of memory", "the job is FAILED"}},
		{"metrics a1", 0, []string{"read", "12"}},
		{"cancel a1", 0, nil},
		{"stop a1", 0, []string{"file:/sp/1"}},
		{"savepoint a1 file:/sp", 0, []string{"file:/sp/1"}},
		{"status nobody", 1, []string{`no job of the id or name "nobody"`}},
		{"stop", 2, []string{"stop wants a job"}},
		{"drain a1", 2, []string{`no command "drain"`, "savepoint JOB"}},
		{"", 2, []string{"jobs"}},
	} {
		var out, problems bytes.Buffer
		status := run(t.Context(), append([]string{"--rest=" + s.URL}, strings.Fields(c.args)...), &out, &problems)
		if status != c.status {
			t.Errorf("%q: status %d, want %d: %s", c.args, status, c.status, problems.String())
		}
		for _, w := range c.want {
			if !strings.Contains(out.String()+problems.String(), w) {
				t.Errorf("%q prints no %q:\n%s%s", c.args, w, out.String(), problems.String())
			}
		}
	}
	var problems bytes.Buffer
	if status := run(t.Context(), []string{"--rest=127.0.0.1:1", "jobs"}, &problems, &problems); status != 1 || !strings.Contains(problems.String(), "Flink does not answer") {
		t.Errorf("without a cluster: status %d, %s", status, problems.String())
	}
}
