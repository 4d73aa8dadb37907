package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	dataflow "google.golang.org/api/dataflow/v1b3"

	"github.com/flowbeam/flowbeam/internal/filesystem/fakestore"
	"github.com/flowbeam/flowbeam/pipelines/internal/job"
)

// childVariable makes the test binary the template's binary.
const childVariable = "FLOWBEAM_TEST_TEMPLATE"

var store *fakestore.Server

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(job.Flows().Main(os.Args[1:], os.Stderr))
	}
	store = fakestore.Start()
	os.Exit(m.Run())
}

// service is a control plane that does on this machine what Dataflow does with a template: it
// validates the parameters against the spec in the bucket, runs the template's binary as the
// launcher does, reads the job that this has staged, and creates it. Its jobs never run.
type service struct {
	t      *testing.T
	bucket *fakestore.Bucket
	url    string

	mu       sync.Mutex
	jobs     []*dataflow.Job // the newest last
	asked    []*dataflow.LaunchFlexTemplateParameter
	argv     []string // of the last launch
	output   string   // of the last launch
	failures int      // of the next launches
}

func newService(t *testing.T) *service {
	s := &service{t: t, bucket: store.Bucket()}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	s.url = h.URL + "/"
	return s
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const prefix = "/v1b3/projects/p/locations/r/"
	rest, ok := strings.CutPrefix(r.URL.Path, prefix)
	switch {
	case !ok:
		s.fail(w, http.StatusNotFound, "not of this project and region: "+r.URL.Path)
	case rest == "flexTemplates:launch" && r.Method == http.MethodPost:
		s.launch(w, r)
	case rest == "jobs" && r.Method == http.MethodGet:
		s.mu.Lock()
		defer s.mu.Unlock()
		list := dataflow.ListJobsResponse{}
		for _, j := range slices.Backward(s.jobs) {
			if j.Name == r.URL.Query().Get("name") {
				list.Jobs = append(list.Jobs, j)
			}
		}
		json.NewEncoder(w).Encode(&list)
	case strings.HasPrefix(rest, "jobs/") && r.Method == http.MethodPut:
		var in dataflow.Job
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			s.fail(w, http.StatusBadRequest, err.Error())
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, j := range s.jobs {
			if j.Id == path.Base(rest) {
				j.CurrentState = in.RequestedState // a real one takes its time
				json.NewEncoder(w).Encode(j)
				return
			}
		}
		s.fail(w, http.StatusNotFound, "no job "+rest)
	default:
		s.fail(w, http.StatusNotFound, r.Method+" "+r.URL.Path)
	}
}

func (s *service) fail(w http.ResponseWriter, status int, text string) {
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"code": status, "message": text}})
}

func (s *service) launch(w http.ResponseWriter, r *http.Request) {
	var in dataflow.LaunchFlexTemplateRequest
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		s.fail(w, http.StatusBadRequest, err.Error())
		return
	}
	p := in.LaunchParameter
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, p)
	var spec dataflow.ContainerSpec
	if err := json.Unmarshal(s.bucket.Objects()[strings.TrimPrefix(p.ContainerSpecGcsPath, "gs://"+s.bucket.Name+"/")], &spec); err != nil {
		s.fail(w, http.StatusBadRequest, "Unable to read the spec: "+err.Error())
		return
	}
	known := map[string]bool{}
	for _, m := range spec.Metadata.Parameters {
		known[m.Name] = true
		if _, ok := p.Parameters[m.Name]; !ok && !m.IsOptional {
			s.fail(w, http.StatusBadRequest, "Missing required parameter: "+m.Name)
			return
		}
	}
	for name := range p.Parameters {
		if !known[name] {
			s.fail(w, http.StatusBadRequest, "Unrecognized parameter: "+name)
			return
		}
	}
	var before *dataflow.Job
	for _, j := range s.jobs {
		if j.Name == p.JobName && j.CurrentState == "JOB_STATE_RUNNING" {
			before = j
		}
	}
	switch {
	case in.ValidateOnly:
		json.NewEncoder(w).Encode(&dataflow.LaunchFlexTemplateResponse{})
		return
	case before != nil && !p.Update:
		s.fail(w, http.StatusConflict, "There is already an active job named "+p.JobName)
		return
	case before == nil && p.Update:
		s.fail(w, http.StatusNotFound, "no job to update: "+p.JobName)
		return
	}
	j := &dataflow.Job{Id: fmt.Sprintf("2026-11-23_%d", len(s.jobs)), Name: p.JobName, CurrentState: "JOB_STATE_RUNNING", CurrentStateTime: "2026-11-23T00:00:00Z"}
	s.jobs = append(s.jobs, j)
	json.NewEncoder(w).Encode(&dataflow.LaunchFlexTemplateResponse{Job: j})
	if s.failures > 0 || !s.runTemplate(j.Id, p) {
		s.failures--
		j.CurrentState = "JOB_STATE_FAILED"
		return
	}
	if before != nil {
		before.CurrentState, before.ReplacedByJobId = "JOB_STATE_UPDATED", j.Id
	}
}

// runTemplate runs the binary with the launcher's arguments: sorted, the parameters among flags of
// the service's own, of which Beam Go does not know all.
func (s *service) runTemplate(id string, p *dataflow.LaunchFlexTemplateParameter) bool {
	e := p.Environment
	object := strings.TrimRight(e.StagingLocation, "/") + "/template_launches/" + id + "/job_object"
	args := []string{
		"--runner=DataflowRunner", "--project=p", "--region=r", "--job_name=" + p.JobName, "--staging_location=" + e.StagingLocation,
		"--temp_location=" + e.StagingLocation + "/tmp", "--template_location=" + object, "--service_account_email=" + e.ServiceAccountEmail,
		"--machine_type=" + e.MachineType, "--sdk_container_image=image", "--enable_streaming_engine=true",
		"--labels={\n  \"goog-dataflow-provided-template-name\": \"flows\"\n}",
	}
	for k, v := range p.Parameters {
		args = append(args, "--"+k+"="+v)
	}
	slices.Sort(args)
	exe, err := os.Executable()
	if err != nil {
		s.t.Error(err)
		return false
	}
	c := exec.Command(exe, args...)
	c.Env = append(os.Environ(), childVariable+"=1")
	out, err := c.CombinedOutput()
	s.argv, s.output = args, string(out)
	if err != nil {
		s.t.Logf("the template's binary: %v\n%s", err, out)
		return false
	}
	var staged dataflow.Job
	if err := json.Unmarshal(s.bucket.Objects()[strings.TrimPrefix(object, "gs://"+s.bucket.Name+"/")], &staged); err != nil {
		s.t.Errorf("the job object: %v", err)
		return false
	}
	if staged.Name != p.JobName || staged.Type != "JOB_TYPE_STREAMING" && staged.Type != "JOB_TYPE_BATCH" || staged.Environment == nil {
		s.t.Errorf("the job object is %+v", staged)
	}
	s.jobs[len(s.jobs)-1].Type = staged.Type
	return true
}
