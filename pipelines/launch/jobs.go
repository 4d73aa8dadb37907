package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	dataflow "google.golang.org/api/dataflow/v1b3"
	"google.golang.org/api/googleapi"
)

// launch launches or replaces a job. What is launched twice under one name runs once.
func (o *options) launch(ctx context.Context, update, validate bool) error {
	if update && o.graph != "" {
		if err := o.compareGraph(ctx); err != nil {
			return fmt.Errorf("the running job cannot be replaced:\n%w", err)
		}
	}
	mapping, err := o.names()
	if err != nil {
		return err
	}
	if err := o.connect(ctx); err != nil {
		return err
	}
	if !validate {
		running, err := o.running(ctx)
		switch {
		case err != nil:
			return err
		case running != nil && !update:
			fmt.Fprintf(o.out, "%s runs already: %s\n", o.name, running.Id)
			return nil
		case running == nil && update:
			return fmt.Errorf("no job %s runs that could be replaced: run starts one", o.name)
		}
	}
	environment := &dataflow.FlexTemplateRuntimeEnvironment{
		StagingLocation: o.staging, TempLocation: o.temp, ServiceAccountEmail: o.account, Subnetwork: o.subnet,
		MachineType: o.machine, NumWorkers: o.workers, MaxWorkers: o.maxWorkers, AdditionalUserLabels: map[string]string{},
	}
	if o.private {
		environment.IpConfiguration = "WORKER_IP_PRIVATE"
	}
	for _, l := range strings.Split(o.labels, ",") {
		if k, v, ok := strings.Cut(l, "="); ok {
			environment.AdditionalUserLabels[k] = v
		}
	}
	r, err := o.service.Projects.Locations.FlexTemplates.Launch(o.project, o.region, &dataflow.LaunchFlexTemplateRequest{
		ValidateOnly: validate,
		LaunchParameter: &dataflow.LaunchFlexTemplateParameter{
			JobName: o.name, ContainerSpecGcsPath: o.spec, Parameters: o.parameters,
			Environment: environment, Update: update, TransformNameMappings: mapping,
		},
	}).Context(ctx).Do()
	if err != nil {
		return explain(err)
	}
	if validate {
		fmt.Fprintf(o.out, "the service takes the parameters of %s\n", o.name)
		return nil
	}
	fmt.Fprintf(o.out, "%s is launched: %s\n", o.name, r.Job.Id)
	if o.endpoint == "" {
		fmt.Fprintf(o.out, "https://console.cloud.google.com/dataflow/jobs/%s/%s?project=%s\n", o.region, r.Job.Id, o.project)
	}
	fmt.Fprintf(o.out, "should the launch fail, its log is %s\n", o.consoleLog(r.Job.Id))
	return nil
}

// consoleLog is where the log of the launcher's machine is: nowhere else.
func (o *options) consoleLog(id string) string {
	return strings.TrimRight(o.staging, "/") + "/template_launches/" + id + "/console_logs"
}

// running is the job of that name that runs or is about to; nil where none does.
func (o *options) running(ctx context.Context) (*dataflow.Job, error) {
	jobs, err := o.jobs(ctx)
	if err != nil {
		return nil, err
	}
	for _, j := range jobs {
		if !ended(j.CurrentState) {
			return j, nil
		}
	}
	return nil, nil
}

func ended(state string) bool {
	switch state {
	case "JOB_STATE_DONE", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED", "JOB_STATE_UPDATED", "JOB_STATE_DRAINED", "JOB_STATE_STOPPED":
		return true
	}
	return false
}

// jobs are those of the name, the newest first.
func (o *options) jobs(ctx context.Context) (all []*dataflow.Job, err error) {
	err = o.service.Projects.Locations.Jobs.List(o.project, o.region).Name(o.name).Pages(ctx, func(page *dataflow.ListJobsResponse) error {
		for _, j := range page.Jobs {
			if j.Name == o.name {
				all = append(all, j)
			}
		}
		return nil
	})
	return all, explain(err)
}

func (o *options) status(ctx context.Context) error {
	if err := o.connect(ctx); err != nil {
		return err
	}
	jobs, err := o.jobs(ctx)
	if err != nil {
		return err
	}
	if len(jobs) == 0 {
		return fmt.Errorf("%s: no job of that name in %s", o.name, o.region)
	}
	j := jobs[0]
	fmt.Fprintf(o.out, "%s  %s  since %s  %s\n", j.Id, j.CurrentState, j.CurrentStateTime, j.Name)
	switch j.CurrentState {
	case "JOB_STATE_FAILED", "JOB_STATE_CANCELLED", "JOB_STATE_STOPPED":
		if o.staging != "" {
			fmt.Fprintf(o.out, "where its launch failed the log is %s\n", o.consoleLog(j.Id))
		}
		return fmt.Errorf("%s is %s", o.name, j.CurrentState)
	}
	return nil
}

// end asks for a state in which the job is no more. One that has ended is no error.
func (o *options) end(ctx context.Context, state string) error {
	if err := o.connect(ctx); err != nil {
		return err
	}
	j, err := o.running(ctx)
	if err != nil {
		return err
	}
	if j == nil {
		fmt.Fprintf(o.out, "no job %s runs\n", o.name)
		return nil
	}
	if _, err := o.service.Projects.Locations.Jobs.Update(o.project, o.region, j.Id, &dataflow.Job{RequestedState: state}).Context(ctx).Do(); err != nil {
		return explain(err)
	}
	fmt.Fprintf(o.out, "%s: %s is asked for\n", j.Id, state)
	return nil
}

// explain is the service's own text of an error.
func explain(err error) error {
	var e *googleapi.Error
	if errors.As(err, &e) {
		return fmt.Errorf("the service answers %d: %s", e.Code, e.Message)
	}
	return err
}
