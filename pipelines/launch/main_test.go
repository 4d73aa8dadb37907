package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/pipelines/internal/job"
)

// call runs a command against the service and returns its status and all that it prints.
func (s *service) call(args ...string) (status int, text string) {
	s.t.Helper()
	var out bytes.Buffer
	command, rest := args[0], args[1:]
	all := append([]string{command, "--endpoint=" + s.url, "--project=p", "--region=r", "--job=flows",
		"--spec=gs://" + s.bucket.Name + "/templates/flows-abc.json", "--staging_location=gs://" + s.bucket.Name + "/staging"}, rest...)
	status = run(s.t.Context(), all, &out, &out)
	s.mu.Lock() // a launch goes on after its answer
	defer s.mu.Unlock()
	return status, out.String()
}

// expect fails the test where a command does not end and print as it should.
func (s *service) expect(status int, text string, args ...string) string {
	s.t.Helper()
	got, out := s.call(args...)
	if got != status || !strings.Contains(out, text) {
		s.t.Fatalf("%v: status %d, want %d and %q:\n%s\n%s", args, got, status, text, out, s.output)
	}
	return out
}

var kafka = []string{"kafka_input=kafka:9092", "kafka_input_topics=flows", "format=canopus"}

// A job's whole life: as continuous integration would have it.
func TestAJobIsLaunchedReplacedAndEnded(t *testing.T) {
	s := newService(t)
	secret := fmt.Sprintf("canary-%d", time.Now().UnixNano())
	t.Setenv("FLOWBEAM_CANARY", secret)
	parameters := append([]string{
		"output=gs://" + s.bucket.Name + "/flows",
		"elasticsearch=https://es:9200", "elasticsearch_user=flowbeam", "elasticsearch_password=env:FLOWBEAM_CANARY",
	}, kafka...)
	with := func(command string, more ...string) []string {
		return append(append([]string{command}, more...), parameters...)
	}

	s.expect(0, "templates/flows-abc.json", "spec", "--image=registry/flows@sha256:0123")
	s.expect(0, "templates/flows-abc.json", "spec", "--image=registry/flows@sha256:0123") // the same again
	s.expect(1, "is another", "spec", "--image=registry/flows@sha256:4567")

	s.expect(2, "the streaming template has no such parameter", "run", "outptu=x")
	s.expect(0, "takes the parameters", with("validate")...)
	s.expect(1, "no job flows runs that could be replaced", with("update")...)
	s.expect(0, "template_launches/2026-11-23_0/console_logs", with("run", "--max_workers=5", "--private", "--labels=team=net")...)
	s.expect(0, "runs already: 2026-11-23_0", with("run")...)
	s.expect(0, "JOB_STATE_RUNNING", "status")
	if e := s.asked[len(s.asked)-1].Environment; e.MaxWorkers != 5 || e.IpConfiguration != "WORKER_IP_PRIVATE" || e.AdditionalUserLabels["team"] != "net" {
		t.Errorf("asked for %+v", e)
	}
	if j := s.jobs[0]; j.Type != "JOB_TYPE_STREAMING" {
		t.Errorf("the job is %s", j.Type)
	}
	if !strings.Contains(s.output, "--enable_streaming_engine") {
		t.Errorf("no word of the flag that is left out: %s", s.output)
	}

	if len(s.bucket.Objects()) < 3 {
		t.Errorf("%d objects are staged", len(s.bucket.Objects()))
	}
	for name, b := range s.bucket.Objects() {
		if bytes.Contains(b, []byte(secret)) || strings.Contains(s.output, secret) {
			t.Errorf("%s, or the log, has the password", name)
		}
	}

	graph := filepath.Join(t.TempDir(), "graph.json")
	if err := os.WriteFile(graph, []byte(s.expect(0, "dedupe.Exact", with("graph")...)), 0o600); err != nil {
		t.Fatal(err)
	}
	s.expect(0, "takes over", with("check", "--graph="+graph)...)
	s.expect(1, "is gone", with("update", "--graph="+graph, "dedupe=off")...)
	s.expect(1, "is gone", with("update", "dedupe=off")...) // the launcher has kept the steps
	s.expect(0, "2026-11-23_1", with("update", "--max_workers=9")...)
	if s.jobs[0].CurrentState != "JOB_STATE_UPDATED" || s.jobs[0].ReplacedByJobId != "2026-11-23_1" {
		t.Errorf("the old job: %+v", s.jobs[0])
	}

	s.expect(0, "JOB_STATE_DRAINED is asked for", "drain")
	s.expect(0, "no job flows runs", "drain")
	s.failures = 1
	s.expect(0, "launched", with("run")...)
	s.expect(1, "template_launches/2026-11-23_2/console_logs", "status")
	s.expect(0, "2026-11-23_3", with("run")...)
	s.expect(0, "JOB_STATE_CANCELLED is asked for", "cancel")
	s.expect(1, "flows is JOB_STATE_CANCELLED", "status")
}

// A release that tells errors is taken back: to its template, parameters and workers.
func TestARollbackGoesToWhatRanBefore(t *testing.T) {
	s := newService(t)
	release := func(name string) string { return "--spec=gs://" + s.bucket.Name + "/templates/" + name + ".json" }
	parameters := append([]string{"output=gs://" + s.bucket.Name + "/flows"}, kafka...)
	deploy := func(name string, more ...string) []string {
		return append(append([]string{"deploy", release(name)}, more...), parameters...)
	}
	for _, name := range []string{"first", "second", "third"} {
		s.expect(0, name, "spec", "--image=registry/flows@sha256:"+name, release(name))
	}
	s.expect(1, "no job flows is known", "rollback", release("first"))
	s.expect(0, "2026-11-23_0", deploy("first", "--max_workers=3")...)
	s.expect(0, "has told no error", "health", "--healthy=0s")
	s.expect(1, "no job flows is known", "rollback", release("first"))

	s.expect(0, "2026-11-23_1", deploy("second", "--max_workers=7", "rollup_windows=1m,5m,1h,6h")...)
	s.errors = []string{"the worker lost contact"}
	s.expect(1, "the worker lost contact", "health", "--healthy=0s")
	s.errors = nil
	out := s.expect(0, "2026-11-23_2", "rollback", release("second"))
	if !strings.Contains(out, "first.json") {
		t.Errorf("not back to the first: %s", out)
	}
	last := s.asked[len(s.asked)-1]
	if last.Environment.MaxWorkers != 3 || !last.Update || last.Parameters["rollup_windows"] != "" {
		t.Errorf("went back to %+v, %+v", last, last.Environment)
	}
	s.expect(0, "2026-11-23_2 runs, launched from", "rollback", release("second")) // the same again

	// One whose launch fails leaves the old one running; one that has gone is launched again.
	s.failures = 1
	s.expect(0, "2026-11-23_3", deploy("third")...)
	s.expect(1, "JOB_STATE_FAILED", "health", "--healthy=0s", release("third"))
	s.expect(0, "2026-11-23_2 runs, launched from", "rollback", release("third"))
	s.expect(0, "CANCELLED is asked for", "cancel")
	s.expect(0, "2026-11-23_4", "rollback", release("third"))
	if last := s.asked[len(s.asked)-1]; last.Update || last.Environment.MaxWorkers != 3 {
		t.Errorf("launched %+v", last)
	}
}

// What runs and is healthy for a while only counts once the while is over.
func TestHealthWaits(t *testing.T) {
	s := newService(t)
	s.expect(0, "json", "spec", "--image=i")
	s.expect(1, "no job of that name", "health")
	s.expect(0, "launched", append([]string{"run", "output=gs://" + s.bucket.Name + "/flows"}, kafka...)...)
	s.set("JOB_STATE_QUEUED")
	s.expect(1, "is JOB_STATE_QUEUED after", "health", "--patience=50ms", "--healthy=0s")
	s.set("JOB_STATE_RUNNING")
	go func() {
		time.Sleep(100 * time.Millisecond)
		s.set("JOB_STATE_FAILED")
	}()
	s.expect(1, "is JOB_STATE_FAILED", "health", "--healthy=1m")
}

func (s *service) set(state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.jobs[len(s.jobs)-1].CurrentState = state
}

// A classic template is the job itself, staged by the program.
func TestAClassicTemplateIsStagedAndLaunched(t *testing.T) {
	s := newService(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(childVariable, "1") // of the program that stages, which is this one
	parameters := append([]string{"output=gs://" + s.bucket.Name + "/flows"}, kafka...)
	template := "gs://" + s.bucket.Name + "/templates/classic-abc"
	stage := func(more ...string) []string {
		return append(append([]string{"stage", "--spec=", "--template=" + template, "--binary=" + exe}, more...), parameters...)
	}
	launch := func(command string, more ...string) []string {
		return append([]string{command, "--spec=", "--template=" + template}, more...)
	}
	s.expect(1, "is no template that was staged", launch("run")...)
	s.expect(0, template, stage()...)
	s.expect(0, template+" is there", stage()...)
	s.expect(1, "is another", stage("dedupe=off")...)
	s.expect(2, "were fixed when it was staged", launch("run", "dedupe=off")...)
	s.expect(0, "takes the parameters", launch("validate")...)
	s.expect(0, "2026-11-23_0", launch("run", "--max_workers=2")...)
	if j := s.jobs[0]; j.CurrentState != "JOB_STATE_RUNNING" || j.Type != "JOB_TYPE_STREAMING" {
		t.Errorf("%+v", j)
	}
	s.expect(0, "takes over", launch("update")...)

	other := "gs://" + s.bucket.Name + "/templates/classic-def"
	s.expect(0, other, stage("--template="+other, "dedupe=off")...)
	s.expect(1, "is gone", "update", "--spec=", "--template="+other)
	s.expect(2, "from one of them", "run", "--template="+template)
}

func TestSubscriptionsAndFilesAreStagedToo(t *testing.T) {
	s := newService(t)
	s.expect(0, "json", "spec", "--image=i")
	out := "output=gs://" + s.bucket.Name + "/flows"
	s.expect(0, "launched", "run", out, "pubsub_input=projects/flowbeam-test/subscriptions/flows", "format=canopus")
	if j := s.jobs[0]; j.CurrentState != "JOB_STATE_RUNNING" || j.Type != "JOB_TYPE_STREAMING" {
		t.Errorf("subscriptions: %+v\n%s", j, s.output)
	}
	s.expect(0, "DRAINED", "drain")

	b := newService(t)
	b.bucket.Put("in/a.ndjson", []byte("{}\n"), "")
	b.expect(0, "json", "spec", "--form=backfill", "--image=i")
	b.expect(0, "launched", "run", "--form=backfill", "output=gs://"+b.bucket.Name+"/flows", "input=gs://"+b.bucket.Name+"/in/*", "format=canopus")
	if j := b.jobs[0]; j.CurrentState != "JOB_STATE_RUNNING" || j.Type != "JOB_TYPE_BATCH" {
		t.Errorf("files: %+v\n%s", j, b.output)
	}
}

// What a launcher is given wrong is told by the binary in its log, and the job fails.
func TestALaunchThatCannotBeFails(t *testing.T) {
	s := newService(t)
	s.expect(0, "json", "spec", "--image=i")
	out := "output=gs://" + s.bucket.Name + "/flows"
	s.expect(1, "input: name files, topics or subscriptions", "run", out)
	s.expect(1, "horizon 1m0s is shorter than the allowed lateness", append([]string{"run", out, "dedupe_horizon=1m"}, kafka...)...)
	s.expect(0, "launched", append([]string{"run", out, "networks=/none.csv", "geoip_city=/none.mmdb"}, kafka...)...)
	s.expect(1, "JOB_STATE_FAILED", "status")
	for _, want := range []string{"--geoip_city", "--networks"} {
		if !strings.Contains(s.output, want) {
			t.Errorf("the log has no %q:\n%s", want, s.output)
		}
	}
}

func TestAllThatIsMissingIsSaidAtOnce(t *testing.T) {
	var out bytes.Buffer
	if status := run(t.Context(), []string{"run", "--form=nightly", "x"}, &out, &out); status != 2 {
		t.Errorf("status %d", status)
	}
	for _, want := range []string{"--project", "--region", "--job", "--spec", "--staging_location", "--form"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no word of %s:\n%s", want, out.String())
		}
	}
	out.Reset()
	if status := run(t.Context(), []string{"fly"}, &out, &out); status != 2 || !strings.Contains(out.String(), `no command "fly"`) {
		t.Errorf("status %d: %s", status, out.String())
	}
}

// Steps that change their names or coders cannot take over from those of a running job.
func TestTheCommittedGraphsAreThoseOfTheProgram(t *testing.T) {
	var known []string
	for _, kind := range []string{"impulse", "pardo", "group_by_key", "combine_per_key", "flatten", "window_into", "pubsub_read"} {
		known = append(known, "beam:transform:"+kind+":v1")
	}
	for name, parameters := range map[string][]string{
		"kafka":  {"output=gs://bucket/flows", "kafka_input=kafka:9092", "kafka_input_topics=flows"},
		"pubsub": {"output=gs://bucket/flows", "pubsub_input=projects/project/subscriptions/flows"},
	} {
		var out bytes.Buffer
		if status := run(t.Context(), append([]string{"graph"}, parameters...), &out, &out); status != 0 {
			t.Fatalf("%s: %s", name, &out)
		}
		want, err := os.ReadFile("../../deploy/dataflow/graph-" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(want, out.Bytes()) {
			t.Errorf("%s: go generate ./pipelines/launch, and say in CHANGELOG.md how old names map to new ones:\n%s", name, cmp.Diff(string(want), out.String()))
		}
		var steps []job.Step
		if err := json.Unmarshal(out.Bytes(), &steps); err != nil || len(steps) < 30 {
			t.Fatalf("%s: %d steps, %v", name, len(steps), err)
		}
		for _, s := range steps {
			if !slices.Contains(known, s.URN) {
				t.Errorf("%s: %s is of a kind that Dataflow may not know: %s", name, s.Name, s.URN)
			}
		}
	}
}
