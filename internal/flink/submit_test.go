package flink

import (
	"strings"
	"testing"
	"time"

	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
)

func sent(t *testing.T, o Options) map[string]any {
	t.Helper()
	s, err := o.pipelineOptions()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]any{}
	for name, v := range s.AsMap() {
		out[strings.TrimSuffix(strings.TrimPrefix(name, "beam:option:"), ":v1")] = v
	}
	return out
}

func TestWhatMakesAStreamSurviveIsSent(t *testing.T) {
	o := Options{Name: "a job", Checkpoint: 10 * time.Second, BundleTime: 200 * time.Millisecond, Parallelism: 2, MaxParallelism: 8, Savepoint: "file:/sp"}
	got := sent(t, o)
	for name, want := range map[string]any{
		"streaming":                                       true,
		"checkpointing_interval":                          10_000.0,
		"max_bundle_time_mills":                           200.0,
		"max_bundle_size":                                 50.0,
		"finish_bundle_before_checkpointing":              true,
		"parallelism":                                     2.0,
		"max_parallelism":                                 8.0,
		"savepoint_path":                                  "file:/sp",
		"externalized_checkpoints_enabled":                true,
		"retain_externalized_checkpoints_on_cancellation": true,
		"app_name":                                        "a job",
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if _, ok := got["shutdown_sources_after_idle_ms"]; ok {
		t.Error("the sources of a stream would be ended")
	}
	o.Bounded, o.Savepoint = true, ""
	if got := sent(t, o); got["shutdown_sources_after_idle_ms"] != 1000.0 || got["savepoint_path"] != nil {
		t.Errorf("a job whose input ends is sent %v", got)
	}
}

func TestEnvironments(t *testing.T) {
	for _, c := range []struct{ kind, config, want string }{
		{"", "", "loopback"},
		{"LOOPBACK", "", "loopback"},
		{"EXTERNAL", "localhost:50000", "external localhost:50000"},
		{"process", "", "process"},
		{"process", "/opt/flows", `process {"command":"/opt/flows"}`},
		{"process", `{"command":"/opt/boot"}`, `process {"command":"/opt/boot"}`},
		{"docker", "beam/go", "docker beam/go"},
	} {
		e, err := ParseEnvironment(c.kind, c.config)
		if got := strings.TrimSpace(e.kind + " " + e.config); err != nil || got != c.want {
			t.Errorf("%s %s: %q, %v", c.kind, c.config, got, err)
		}
	}
	for _, c := range [][2]string{{"external", ""}, {"docker", ""}, {"kubernetes", "x"}} {
		if _, err := ParseEnvironment(c[0], c[1]); err == nil {
			t.Errorf("%v is taken", c)
		}
	}
}

func TestAProcessIsTheRunningProgramUnlessAnotherIsNamed(t *testing.T) {
	e, err := ParseEnvironment("process", "")
	if err != nil {
		t.Fatal(err)
	}
	_, config, _, err := e.start(t.Context())
	if err != nil || !strings.Contains(config, "flink.test") {
		t.Errorf("the command is %s, %v", config, err)
	}
}

// A TaskManager in the place of a dead one gives its workers the same ids.
func TestAPoolTakesAWorkerWhoseIDItKnows(t *testing.T) {
	p, err := StartPool(t.Context(), "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	request := &fnpb.StartWorkerRequest{
		WorkerId:        "1-1",
		ControlEndpoint: &pipepb.ApiServiceDescriptor{Url: "localhost:1"}, LoggingEndpoint: &pipepb.ApiServiceDescriptor{Url: "localhost:1"},
	}
	for i := range 2 {
		r, err := p.StartWorker(t.Context(), request)
		if err != nil || r.GetError() != "" {
			t.Fatalf("start %d: %v %s", i+1, err, r.GetError())
		}
	}
	if len(p.workers) != 1 {
		t.Errorf("%d workers", len(p.workers))
	}
	if r, err := p.StopWorker(t.Context(), &fnpb.StopWorkerRequest{WorkerId: "1-1"}); err != nil || r.GetError() != "" || len(p.workers) != 0 {
		t.Errorf("stop: %v %s, %d workers left", err, r.GetError(), len(p.workers))
	}
}
