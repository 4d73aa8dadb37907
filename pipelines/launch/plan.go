package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	dataflow "google.golang.org/api/dataflow/v1b3"

	"github.com/flowbeam/flowbeam/internal/dataset"
	"github.com/flowbeam/flowbeam/pipelines/internal/job"
)

// planLabel is the label of a job that names its plan.
const planLabel = "flowbeam_launch"

// plan is all that a job is launched from. It is kept in the staging folder under the hash of its
// content, before the launch, and the job has the hash as a label: so another run of this program,
// on another machine, knows the steps of the job that runs, and can launch what ran before it.
type plan struct {
	Spec        string                                   `json:"spec,omitempty"`
	Template    string                                   `json:"template,omitempty"`
	Parameters  map[string]string                        `json:"parameters,omitempty"`
	Environment *dataflow.FlexTemplateRuntimeEnvironment `json:"environment"`
	Steps       []job.Step                               `json:"steps"`
}

// from is the template that the plan launches.
func (p *plan) from() string { return p.Spec + p.Template }

// plan is that of the command line.
func (o *options) plan(ctx context.Context) (*plan, error) {
	p := &plan{Spec: o.spec, Template: o.template, Parameters: o.parameters, Environment: o.environment()}
	var err error
	if o.template != "" {
		p.Steps, err = stagedSteps(ctx, o.template)
	} else {
		p.Steps, err = o.steps()
	}
	return p, err
}

func (o *options) environment() *dataflow.FlexTemplateRuntimeEnvironment {
	e := &dataflow.FlexTemplateRuntimeEnvironment{
		StagingLocation: o.staging, TempLocation: o.temp, ServiceAccountEmail: o.account, Subnetwork: o.subnet,
		MachineType: o.machine, NumWorkers: o.workers, MaxWorkers: o.maxWorkers, AdditionalUserLabels: map[string]string{},
	}
	if o.private {
		e.IpConfiguration = "WORKER_IP_PRIVATE"
	}
	for _, l := range strings.Split(o.labels, ",") {
		if k, v, ok := strings.Cut(l, "="); ok {
			e.AdditionalUserLabels[k] = v
		}
	}
	return e
}

func (o *options) plans() string { return strings.TrimRight(o.staging, "/") + "/launches" }

// keep writes the plan and returns its hash.
func (o *options) keep(ctx context.Context, p *plan) (string, error) {
	b, err := json.MarshalIndent(p, "", " ")
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	hash := hex.EncodeToString(sum[:16])
	if err := dataset.WriteNote(ctx, o.plans(), hash+".json", b); err != nil && !errors.Is(err, dataset.ErrExists) {
		return "", err
	}
	return hash, nil
}

// planOf is the plan of a job; nil where it has none, because something else launched it.
func (o *options) planOf(ctx context.Context, j *dataflow.Job) (*plan, error) {
	// A list of jobs does not tell their labels.
	j, err := o.service.Projects.Locations.Jobs.Get(o.project, o.region, j.Id).View("JOB_VIEW_DESCRIPTION").Context(ctx).Do()
	if err != nil {
		return nil, explain(err)
	}
	hash := j.Labels[planLabel]
	if hash == "" || o.staging == "" {
		return nil, nil
	}
	b, err := dataset.ReadNote(ctx, o.plans(), hash+".json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p := &plan{}
	if err := json.Unmarshal(b, p); err != nil {
		return nil, fmt.Errorf("%s/%s.json: %w", o.plans(), hash, err)
	}
	return p, nil
}
