package flink

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// fakeCluster answers requests, "METHOD /path", in turn: of several answers to one the last stays.
func fakeCluster(t *testing.T, answers map[string][]string) (*Cluster, *[]string) {
	t.Helper()
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request := r.Method + " " + r.URL.RequestURI()
		var body map[string]any
		if json.NewDecoder(r.Body).Decode(&body) == nil {
			b, _ := json.Marshal(body)
			request += " " + string(b)
		}
		asked = append(asked, request)
		list, ok := answers[request]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			w.Write([]byte(`{"errors":["Not found: ` + r.URL.Path + `","at a line\nof a stack"]}`))
			return
		}
		w.Write([]byte(list[0]))
		if len(list) > 1 {
			answers[request] = list[1:]
		}
	}))
	t.Cleanup(s.Close)
	c, err := OpenCluster(strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	return c, &asked
}

const jobs = `{"jobs":[
	{"jid":"a1","name":"flowbeam0flows-root-1","state":"RUNNING","start-time":10},
	{"jid":"b2","name":"flowbeam0flows-root-2","state":"CANCELED","start-time":20},
	{"jid":"c3","name":"other-root-3","state":"FAILED","start-time":30}]}`

func TestAJobIsFoundByIDAndByTheBeginningOfItsName(t *testing.T) {
	c, _ := fakeCluster(t, map[string][]string{"GET /jobs/overview": {jobs}})
	for asked, want := range map[string]string{
		"b2":             "b2",
		"flowbeam-flows": "a1", // as it was submitted: the one that runs, though another is newer
		"Flowbeam-Flows": "a1",
		"other":          "c3",
	} {
		if j, err := c.Find(t.Context(), asked); err != nil || j.ID != want {
			t.Errorf("%s: %v, %v; want %s", asked, j, err, want)
		}
	}
	if _, err := c.Find(t.Context(), "nobody"); err == nil || !strings.Contains(err.Error(), `"nobody"`) {
		t.Errorf("a job that is not there: %v", err)
	}
}

func TestAJobIsNeverDrainedWhenItIsStopped(t *testing.T) {
	c, asked := fakeCluster(t, map[string][]string{
		`POST /jobs/a1/stop {"drain":false}`:                             {`{"request-id":"r1"}`},
		`POST /jobs/a1/stop {"drain":false,"targetDirectory":"gs://sp"}`: {`{"request-id":"r2"}`},
		"GET /jobs/a1/savepoints/r1":                                     {`{"status":{"id":"IN_PROGRESS"}}`, `{"status":{"id":"COMPLETED"},"operation":{"location":"file:/sp/1"}}`},
		"GET /jobs/a1/savepoints/r2":                                     {`{"status":{"id":"COMPLETED"},"operation":{"failure-cause":{"stack-trace":"no room\n\tat java"}}}`},
	})
	if at, err := c.Stop(t.Context(), "a1", ""); err != nil || at != "file:/sp/1" {
		t.Errorf("stopped with %q, %v", at, err)
	}
	if at, err := c.Stop(t.Context(), "a1", "gs://sp"); err == nil || at != "" || !strings.HasSuffix(err.Error(), "no room") {
		t.Errorf("a savepoint that failed: %q, %v", at, err)
	}
	if len(*asked) != 5 {
		t.Errorf("asked %q", *asked)
	}
}

func TestASavepointThatIsNotDoneInTimeIsAnError(t *testing.T) {
	c, _ := fakeCluster(t, map[string][]string{
		`POST /jobs/a1/savepoints {"cancel-job":false}`: {`{"request-id":"r1"}`},
		"GET /jobs/a1/savepoints/r1":                    {`{"status":{"id":"IN_PROGRESS"}}`},
	})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := c.Savepoint(ctx, "a1", ""); err == nil {
		t.Error("no error")
	}
}

func TestCountersAreSummedOverVerticesAndSubtasks(t *testing.T) {
	c, _ := fakeCluster(t, map[string][]string{
		"GET /jobs/a1":                     {`{"vertices":[{"id":"v1"},{"id":"v2"}]}`},
		"GET /jobs/a1/vertices/v1/metrics": {`[{"id":"0.[2]{a__b.c}.flowbeam_read"},{"id":"1.[2]{a__b.c}.flowbeam_read"},{"id":"0.numRecordsIn"},{"id":"0.[2]{a__b.c}.geoip_hit"}]`},
		"GET /jobs/a1/vertices/v2/metrics": {`[{"id":"0.job_Totals.flowbeam_read"},{"id":"0.job_Totals.flowbeam_dead_letters_syntax"}]`},
		"GET /jobs/a1/vertices/v1/metrics?get=0.%5B2%5D%7Ba__b.c%7D.flowbeam_read%2C1.%5B2%5D%7Ba__b.c%7D.flowbeam_read": {
			`[{"id":"0.[2]{a__b.c}.flowbeam_read","value":"5"},{"id":"1.[2]{a__b.c}.flowbeam_read","value":"7"}]`},
		"GET /jobs/a1/vertices/v2/metrics?get=0.job_Totals.flowbeam_read%2C0.job_Totals.flowbeam_dead_letters_syntax": {
			`[{"id":"0.job_Totals.flowbeam_read","value":"30"},{"id":"0.job_Totals.flowbeam_dead_letters_syntax","value":"2"}]`},
	})
	got, err := c.Counters(t.Context(), "a1", "flowbeam")
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got["read"] != 42 || got["dead_letters_syntax"] != 2 {
		t.Errorf("%v", got)
	}
}

func TestAnAddressThatIsNone(t *testing.T) {
	for _, a := range []string{"", "http://", "http://a b"} {
		if _, err := OpenCluster(a); err == nil {
			t.Errorf("%q is taken", a)
		}
	}
}
