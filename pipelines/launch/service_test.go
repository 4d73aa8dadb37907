package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"regexp"
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
	if os.Getenv("FLOWBEAM_TEST_LAUNCHER") != "" {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
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
	errors   []string // that jobs tell
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
	case rest == "templates:launch" && r.Method == http.MethodPost:
		s.launchClassic(w, r)
	case strings.HasSuffix(rest, "/messages"):
		s.mu.Lock()
		defer s.mu.Unlock()
		list := dataflow.ListJobMessagesResponse{}
		for _, e := range s.errors {
			list.JobMessages = append(list.JobMessages, &dataflow.JobMessage{MessageImportance: "JOB_MESSAGE_ERROR", MessageText: e})
		}
		json.NewEncoder(w).Encode(&list)
	case strings.HasPrefix(rest, "jobs/") && r.Method == http.MethodGet:
		s.mu.Lock()
		defer s.mu.Unlock()
		j := s.job(path.Base(rest))
		if j == nil {
			s.fail(w, http.StatusNotFound, "no job "+rest)
			return
		}
		json.NewEncoder(w).Encode(j)
	case rest == "jobs" && r.Method == http.MethodGet:
		s.mu.Lock()
		defer s.mu.Unlock()
		list := dataflow.ListJobsResponse{}
		for _, j := range slices.Backward(s.jobs) {
			if j.Name == r.URL.Query().Get("name") {
				summary := *j // a list does not tell labels
				summary.Labels = nil
				list.Jobs = append(list.Jobs, &summary)
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
		j := s.job(path.Base(rest))
		if j == nil {
			s.fail(w, http.StatusNotFound, "no job "+rest)
			return
		}
		j.CurrentState = in.RequestedState // a real one takes its time
		json.NewEncoder(w).Encode(j)
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
	j := s.create(w, p.JobName, p.Update, in.ValidateOnly, p.Environment.AdditionalUserLabels)
	if j == nil {
		return
	}
	json.NewEncoder(w).Encode(&dataflow.LaunchFlexTemplateResponse{Job: j})
	s.start(j, s.runTemplate(j.Id, p))
}

// launchClassic launches what is staged under the template's name.
func (s *service) launchClassic(w http.ResponseWriter, r *http.Request) {
	var p dataflow.LaunchTemplateParameters
	if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
		s.fail(w, http.StatusBadRequest, err.Error())
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var staged dataflow.Job
	if err := json.Unmarshal(s.bucket.Objects()[strings.TrimPrefix(r.URL.Query().Get("gcsPath"), "gs://"+s.bucket.Name+"/")], &staged); err != nil {
		s.fail(w, http.StatusBadRequest, "Unable to read the template: "+err.Error())
		return
	}
	if len(p.Parameters) > 0 {
		s.fail(w, http.StatusBadRequest, "Found unexpected parameters")
		return
	}
	j := s.create(w, p.JobName, p.Update, r.URL.Query().Get("validateOnly") == "true", p.Environment.AdditionalUserLabels)
	if j == nil {
		return
	}
	j.Type = staged.Type
	s.start(j, staged.Environment != nil)
	json.NewEncoder(w).Encode(&dataflow.LaunchTemplateResponse{Job: j})
}

func (s *service) job(id string) *dataflow.Job {
	for _, j := range s.jobs {
		if j.Id == id {
			return j
		}
	}
	return nil
}

func (s *service) active(name string) *dataflow.Job {
	for _, j := range s.jobs {
		if j.Name == name && j.CurrentState == "JOB_STATE_RUNNING" {
			return j
		}
	}
	return nil
}

// create makes a job that does not run yet, or answers why it cannot be.
func (s *service) create(w http.ResponseWriter, name string, update, validate bool, labels map[string]string) *dataflow.Job {
	before := s.active(name)
	switch {
	case validate:
		json.NewEncoder(w).Encode(&dataflow.LaunchFlexTemplateResponse{})
		return nil
	case before != nil && !update:
		s.fail(w, http.StatusConflict, "There is already an active job named "+name)
		return nil
	case before == nil && update:
		s.fail(w, http.StatusNotFound, "no job to update: "+name)
		return nil
	}
	for k, v := range labels {
		if !labelText.MatchString(k) || !labelText.MatchString(v) {
			s.fail(w, http.StatusBadRequest, "no label: "+k+"="+v)
			return nil
		}
	}
	j := &dataflow.Job{
		Id: fmt.Sprintf("2026-11-23_%d", len(s.jobs)), Name: name, CurrentState: "JOB_STATE_PENDING", CurrentStateTime: "2026-11-23T00:00:00Z", Labels: labels,
	}
	if before != nil {
		j.ReplaceJobId = before.Id
	}
	s.jobs = append(s.jobs, j)
	return j
}

// labelText is what the service takes as a label.
var labelText = regexp.MustCompile(`^[a-z0-9_-]{1,63}$`)

// start runs a job that was built, in the place of the one before it.
func (s *service) start(j *dataflow.Job, built bool) {
	if s.failures > 0 || !built {
		s.failures--
		j.CurrentState = "JOB_STATE_FAILED"
		return
	}
	j.CurrentState = "JOB_STATE_RUNNING"
	if before := s.job(j.ReplaceJobId); before != nil {
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
