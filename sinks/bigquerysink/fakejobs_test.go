package bigquerysink

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// fakeJobs is the REST API of load jobs, with its rules: an id is taken once, whatever
// became of the job, and a job that fails has loaded nothing. It reads gs://bucket/ from a
// directory; each line of a part is a row.
//
// Source: https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs/insert
type fakeJobs struct {
	t    testing.TB
	url  string
	root string

	mu      sync.Mutex
	jobs    map[string]*fakeJob
	order   []string
	rows    map[string]int
	inserts int
	// outcome of the next jobs, one each: "" is done at once.
	outcomes []string // fail, running
	// answers to the next inserts, one each: "" is as it should be.
	answers []string // lost (done, and 503), quota (403), busy (503), denied (403)
}

type fakeJob struct {
	ID    string
	URIs  []string
	polls int // left until it is done
	fails bool
	body  map[string]any
}

func newFakeJobs(t testing.TB) *fakeJobs {
	f := &fakeJobs{t: t, root: t.TempDir(), jobs: map[string]*fakeJob{}, rows: map[string]int{}}
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	f.url = s.URL + "/bigquery/v2/"
	return f
}

func (f *fakeJobs) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/bigquery/v2/projects/p1/")
	reply := func(status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(v)
	}
	fail := func(status int, reason string) {
		reply(status, map[string]any{"error": map[string]any{"code": status, "message": reason, "errors": []any{map[string]any{"reason": reason, "message": reason}}}})
	}
	switch {
	case r.Method == http.MethodGet && path == "datasets/net/tables/flows":
		reply(200, map[string]any{"location": "EU", "type": "TABLE", "tableReference": map[string]any{"projectId": "p1", "datasetId": "net", "tableId": "flows"},
			"schema": map[string]any{"fields": []any{map[string]any{"name": "extensions", "type": "JSON"}}}})
	case r.Method == http.MethodGet && strings.HasPrefix(path, "jobs/"):
		j := f.jobs[strings.TrimPrefix(path, "jobs/")]
		if j == nil || r.URL.Query().Get("location") != "EU" {
			fail(404, "notFound")
			return
		}
		if j.polls > 0 {
			j.polls--
			if j.polls == 0 {
				f.finish(j)
			}
		}
		reply(200, f.show(j))
	case r.Method == http.MethodPost && path == "jobs":
		f.insert(r, reply, fail)
	default:
		f.t.Errorf("asked for %s %s", r.Method, r.URL)
		fail(404, "notFound")
	}
}

func (f *fakeJobs) insert(r *http.Request, reply func(int, any), fail func(int, string)) {
	var body map[string]any
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		fail(400, err.Error())
		return
	}
	f.inserts++
	answer := ""
	if len(f.answers) > 0 {
		answer, f.answers = f.answers[0], f.answers[1:]
	}
	switch answer {
	case "quota":
		fail(403, "quotaExceeded")
		return
	case "denied":
		fail(403, "accessDenied")
		return
	case "busy":
		fail(503, "backendError")
		return
	}
	ref := body["jobReference"].(map[string]any)
	id := ref["jobId"].(string)
	if f.jobs[id] != nil {
		fail(409, "duplicate")
		return
	}
	load := body["configuration"].(map[string]any)["load"].(map[string]any)
	if load["writeDisposition"] != "WRITE_APPEND" || load["createDisposition"] != "CREATE_NEVER" || ref["location"] != "EU" || load["schema"] == nil {
		f.t.Errorf("job %s: %v", id, load)
	}
	j := &fakeJob{ID: id, body: body}
	for _, u := range load["sourceUris"].([]any) {
		j.URIs = append(j.URIs, u.(string))
	}
	outcome := ""
	if len(f.outcomes) > 0 {
		outcome, f.outcomes = f.outcomes[0], f.outcomes[1:]
	}
	j.fails = outcome == "fail"
	f.jobs[id] = j
	f.order = append(f.order, id)
	if outcome == "running" {
		j.polls = 3
	} else {
		f.finish(j)
	}
	if answer == "lost" {
		fail(503, "backendError")
		return
	}
	reply(200, f.show(j))
}

func (f *fakeJobs) finish(j *fakeJob) {
	if j.fails {
		return
	}
	for _, u := range j.URIs {
		b, err := os.ReadFile(filepath.Join(f.root, strings.TrimPrefix(u, "gs://bucket/")))
		if err != nil {
			f.t.Errorf("job %s: %v", j.ID, err)
		}
		for _, row := range strings.Fields(string(b)) {
			f.rows[row]++
		}
	}
}

func (f *fakeJobs) show(j *fakeJob) map[string]any {
	status := map[string]any{"state": "DONE"}
	if j.polls > 0 {
		status["state"] = "RUNNING"
	} else if j.fails {
		status["errorResult"] = map[string]any{"reason": "backendError", "message": "the job failed"}
	}
	return map[string]any{
		"kind": "bigquery#job", "id": "p1:EU." + j.ID, "jobReference": map[string]any{"projectId": "p1", "jobId": j.ID, "location": "EU"},
		"configuration": j.body["configuration"], "status": status,
		"statistics": map[string]any{"load": map[string]any{"outputRows": fmt.Sprint(len(j.URIs)), "inputFiles": "1"}},
	}
}

// part writes a part with rows of its own into the dataset.
func (f *fakeJobs) part(name string, rows ...string) {
	f.t.Helper()
	path := filepath.Join(f.root, "flows", filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Join(rows, "\n")), 0o666); err != nil {
		f.t.Fatal(err)
	}
}

// loaded fails unless each of n rows, r0 and so on, is there once.
func (f *fakeJobs) loaded(n int) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range n {
		if have := f.rows[fmt.Sprint("r", i)]; have != 1 {
			f.t.Errorf("row %d is there %d times", i, have)
		}
	}
	if len(f.rows) != n {
		f.t.Errorf("%d rows, want %d", len(f.rows), n)
	}
}
