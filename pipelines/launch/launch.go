package main

import (
	"context"
	"fmt"
	"maps"

	dataflow "google.golang.org/api/dataflow/v1b3"

	"github.com/flowbeam/flowbeam/pipelines/internal/job"
)

// validate has the service look at the parameters.
func (o *options) validate(ctx context.Context) error {
	if err := o.connect(ctx); err != nil {
		return err
	}
	if _, err := o.ask(ctx, &plan{Spec: o.spec, Template: o.template, Parameters: o.parameters, Environment: o.environment()}, question{validate: true}); err != nil {
		return err
	}
	fmt.Fprintf(o.out, "the service takes the parameters of %s\n", o.name)
	return nil
}

// runJob launches a job. What is launched twice under one name runs once.
func (o *options) runJob(ctx context.Context) error {
	running, err := o.running(ctx)
	if err != nil {
		return err
	}
	if running != nil {
		fmt.Fprintf(o.out, "%s runs already: %s\n", o.name, running.Id)
		return nil
	}
	p, err := o.plan(ctx)
	if err != nil {
		return err
	}
	return o.launch(ctx, p, question{})
}

// updateJob replaces the running job.
func (o *options) updateJob(ctx context.Context) error {
	running, err := o.running(ctx)
	if err != nil {
		return err
	}
	if running == nil {
		return fmt.Errorf("no job %s runs that could be replaced: run starts one", o.name)
	}
	return o.replace(ctx, running)
}

// deploy runs a job or replaces it.
func (o *options) deploy(ctx context.Context) error {
	running, err := o.running(ctx)
	if err != nil {
		return err
	}
	if running == nil {
		return o.runJob(ctx)
	}
	return o.replace(ctx, running)
}

// replace launches the command line's plan in the place of a running job, whose steps it must have.
func (o *options) replace(ctx context.Context, running *dataflow.Job) error {
	p, err := o.plan(ctx)
	if err != nil {
		return err
	}
	mapping, err := o.names()
	if err != nil {
		return err
	}
	old, err := o.stepsOf(ctx, running)
	if err != nil {
		return err
	}
	if old == nil {
		fmt.Fprintf(o.out, "the steps of %s are not known: nothing is compared; --graph names a file that has them\n", running.Id)
	} else if err := o.compare(old, p.Steps, mapping); err != nil {
		return err
	}
	return o.launch(ctx, p, question{update: true, mapping: mapping})
}

// stepsOf are those of a running job: of --graph, or of its plan.
func (o *options) stepsOf(ctx context.Context, running *dataflow.Job) (steps []job.Step, err error) {
	if o.graph != "" {
		if err := readJSON(o.graph, &steps); err != nil {
			return nil, fmt.Errorf("--graph: %w", err)
		}
		return steps, nil
	}
	p, err := o.planOf(ctx, running)
	if err != nil || p == nil {
		return nil, err
	}
	return p.Steps, nil
}

// rollback launches what ran under the name before, from another template than the one that is
// given. Where the running job is not of the one that is given, nothing is left to be done.
func (o *options) rollback(ctx context.Context) error {
	if err := o.connect(ctx); err != nil {
		return err
	}
	jobs, err := o.jobs(ctx)
	if err != nil {
		return err
	}
	var running *dataflow.Job
	var current, before *plan
	for _, j := range jobs {
		p, err := o.planOf(ctx, j)
		if err != nil {
			return err
		}
		if !ended(j.CurrentState) && running == nil {
			running, current = j, p
		}
		if p != nil && p.from() != o.from() {
			before = p
			break
		}
	}
	switch {
	case running != nil && current == before && before != nil:
		fmt.Fprintf(o.out, "%s runs, launched from %s\n", running.Id, before.from())
		return nil
	case before == nil:
		return fmt.Errorf("no job %s is known that was launched from another template than %s", o.name, o.from())
	case running == nil:
		return o.launch(ctx, before, question{})
	}
	mapping, err := o.names()
	if err != nil {
		return err
	}
	if current != nil {
		// What only the newer graph has goes with its state.
		for _, s := range current.Steps {
			if _, ok := mapping[s.Name]; !ok && !has(before.Steps, s.Name) {
				mapping[s.Name] = ""
				fmt.Fprintf(o.out, "%s goes, and what it keeps\n", s.Name)
			}
		}
		if err := o.compare(current.Steps, before.Steps, mapping); err != nil {
			return err
		}
	}
	return o.launch(ctx, before, question{update: true, mapping: mapping})
}

func has(steps []job.Step, name string) bool {
	for _, s := range steps {
		if s.Name == name {
			return true
		}
	}
	return false
}

// launch keeps the plan and asks the service for its job.
func (o *options) launch(ctx context.Context, p *plan, q question) error {
	hash, err := o.keep(ctx, p)
	if err != nil {
		return err
	}
	q.hash = hash
	j, err := o.ask(ctx, p, q)
	if err != nil {
		return err
	}
	fmt.Fprintf(o.out, "%s is launched from %s: %s\n", o.name, p.from(), j.Id)
	if o.endpoint == "" {
		fmt.Fprintf(o.out, "https://console.cloud.google.com/dataflow/jobs/%s/%s?project=%s\n", o.region, j.Id, o.project)
	}
	fmt.Fprintf(o.out, "should the launch fail, its log is %s\n", o.consoleLog(j.Id))
	return nil
}

// question is how a plan is launched.
type question struct {
	update, validate bool
	mapping          map[string]string
	hash             string // of the plan
}

// ask calls the service.
func (o *options) ask(ctx context.Context, p *plan, q question) (*dataflow.Job, error) {
	e := *p.Environment
	e.AdditionalUserLabels = maps.Clone(e.AdditionalUserLabels)
	if q.hash != "" {
		if e.AdditionalUserLabels == nil {
			e.AdditionalUserLabels = map[string]string{}
		}
		e.AdditionalUserLabels[planLabel] = q.hash
	}
	if p.Template != "" {
		return o.askClassic(ctx, p, q, &e)
	}
	r, err := o.service.Projects.Locations.FlexTemplates.Launch(o.project, o.region, &dataflow.LaunchFlexTemplateRequest{
		ValidateOnly: q.validate,
		LaunchParameter: &dataflow.LaunchFlexTemplateParameter{
			JobName: o.name, ContainerSpecGcsPath: p.Spec, Parameters: p.Parameters,
			Environment: &e, Update: q.update, TransformNameMappings: q.mapping,
		},
	}).Context(ctx).Do()
	if err != nil {
		return nil, explain(err)
	}
	return r.Job, nil
}
