package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	dataflow "google.golang.org/api/dataflow/v1b3"

	"github.com/flowbeam/flowbeam/pipelines/internal/job"
)

// gcloud runs Google's own program against the service, without credentials or a network.
func gcloud(t *testing.T, s *service, args ...string) string {
	t.Helper()
	exe, err := exec.LookPath("gcloud")
	if err != nil {
		t.Skip("gcloud is not installed")
	}
	c := exec.Command(exe, append(args, "--quiet")...)
	c.Env = append(os.Environ(), "CLOUDSDK_CONFIG="+t.TempDir(), "CLOUDSDK_AUTH_DISABLE_CREDENTIALS=true", "CLOUDSDK_CORE_PROJECT=p",
		"CLOUDSDK_CORE_DISABLE_PROMPTS=1", "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING=true", "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK=true")
	if s != nil {
		c.Env = append(c.Env, endpointVariable+"="+s.url)
	}
	var stderr strings.Builder
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("gcloud %v: %v\n%s%s", args, err, out, stderr.String())
	}
	return string(out)
}

// A spec that gcloud makes of our metadata is ours, but for what it drops of them.
func TestTheSpecIsThatOfGcloud(t *testing.T) {
	spec := job.Flows().Spec(job.Streaming, "registry/flows@sha256:0123")
	metadata, err := json.Marshal(spec.Metadata)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "metadata.json")
	if err := os.WriteFile(file, metadata, 0o600); err != nil {
		t.Fatal(err)
	}
	out := gcloud(t, nil, "dataflow", "flex-template", "build", "gs://bucket/spec.json", "--image="+spec.Image, "--sdk-language=GO",
		"--metadata-file="+file, "--print-only", "--format=json")
	var text string // JSON, as a string in JSON
	if err := json.Unmarshal([]byte(out), &text); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var theirs dataflow.ContainerSpec
	if err := json.Unmarshal([]byte(text), &theirs); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ours := *spec
	m := *spec.Metadata
	// gcloud 528 takes no more than name, description and parameters of the metadata, and has no version.
	m.Streaming, m.SupportsExactlyOnce, m.DefaultStreamingMode = false, false, ""
	ours.Metadata, ours.SdkInfo = &m, &dataflow.SDKInfo{Language: "GO"}
	if theirs.DefaultEnvironment != nil {
		theirs.DefaultEnvironment = nil // it is empty, and there
	}
	normal := func(s *dataflow.ContainerSpec) (out any) {
		b, err := json.Marshal(s)
		if err == nil {
			err = json.Unmarshal(b, &out)
		}
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if d := cmp.Diff(normal(&theirs), normal(&ours)); d != "" {
		t.Errorf("gcloud's (-) is not ours (+):\n%s", d)
	}
}

// What gcloud asks the service for a launch, a replacement and an end is what we ask.
func TestTheServiceIsAskedAsByGcloud(t *testing.T) {
	s := newService(t)
	s.expect(0, "json", "spec", "--image=i")
	bucket := "gs://" + s.bucket.Name
	run := func(name string, more ...string) *dataflow.LaunchFlexTemplateParameter {
		gcloud(t, s, append([]string{
			"dataflow", "flex-template", "run", name, "--region=r", "--template-file-gcs-location=" + bucket + "/templates/flows-abc.json",
			"--staging-location=" + bucket + "/staging", "--temp-location=" + bucket + "/tmp", "--service-account-email=worker@p.example.com", "--max-workers=7", "--num-workers=2",
			"--worker-machine-type=n2-standard-4", "--subnetwork=regions/r/subnetworks/s", "--disable-public-ips", "--additional-user-labels=team=net",
			"--parameters=output=" + bucket + "/flows", "--parameters=" + strings.Join(kafka, ","),
		}, more...)...)
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.asked[len(s.asked)-1]
	}
	ours := func(command string, more ...string) *dataflow.LaunchFlexTemplateParameter {
		args := append([]string{
			command, "--temp_location=" + bucket + "/tmp", "--service_account=worker@p.example.com", "--max_workers=7", "--workers=2",
			"--machine_type=n2-standard-4", "--subnetwork=regions/r/subnetworks/s", "--private", "--labels=team=net",
		}, more...)
		s.expect(0, "launched", append(append(args, "output="+bucket+"/flows"), kafka...)...)
		p := *s.asked[len(s.asked)-1]
		delete(p.Environment.AdditionalUserLabels, planLabel) // of ours alone
		return &p
	}
	theirs := run("flows")
	s.set("JOB_STATE_CANCELLED")
	if d := cmp.Diff(theirs, ours("run")); d != "" {
		t.Errorf("run: gcloud (-) does not ask as we (+):\n%s", d)
	}

	names := filepath.Join(t.TempDir(), "names.json")
	if err := os.WriteFile(names, []byte(`{"read/old":""}`), 0o600); err != nil {
		t.Fatal(err)
	}
	graph := filepath.Join(t.TempDir(), "graph.json") // of the job before, which had a step more
	if err := os.WriteFile(graph, []byte(`[{"name":"read/old","urn":"beam:transform:pardo:v1"}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	mine := ours("update", "--graph="+graph, "--mapping="+names)
	theirs = run("flows", "--update", "--transform-name-mappings=read/old=")
	if d := cmp.Diff(theirs, mine); d != "" {
		t.Errorf("update: gcloud (-) does not ask as we (+):\n%s", d)
	}

	id := s.active("flows").Id
	gcloud(t, s, "dataflow", "jobs", "drain", id, "--region=r")
	if state := s.job(id).CurrentState; state != "JOB_STATE_DRAINED" {
		t.Errorf("gcloud's drain makes it %s", state)
	}
}
