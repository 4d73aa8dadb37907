package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"

	dataflow "google.golang.org/api/dataflow/v1b3"

	"github.com/flowbeam/flowbeam/internal/dataset"
	"github.com/flowbeam/flowbeam/pipelines/internal/job"
)

// A classic template is the staged job itself: its graph and its binary lie in the bucket, and no
// machine has to be started to build it. Go has no parameters that are read when it is launched, so
// all of them are fixed when it is staged.
//
// Beside the template two objects of its name: NAME_metadata, which the service reads, and
// NAME_graph, its steps.
// Source: https://cloud.google.com/dataflow/docs/guides/templates/creating-templates

// stage has the program stage its graph. A template is staged once under a name; the same again is
// left alone.
func (o *options) stage(ctx context.Context) error {
	steps, err := o.steps()
	if err != nil {
		return err
	}
	metadata := dataflow.TemplateMetadata{Name: "flowbeam flows, classic", Description: "made for " + strings.Join(o.assignments(), " ")}
	b, err := json.MarshalIndent(&metadata, "", " ")
	if err != nil {
		return err
	}
	switch there, err := readObject(ctx, o.template+"_metadata"); {
	case err == nil && string(there) == string(b):
		fmt.Fprintf(o.out, "%s is there\n", o.template)
		return nil
	case err == nil:
		return fmt.Errorf("%s is there and is another: give it a name of its own, such as the commit's", o.template)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	args := []string{
		"--runner=dataflow", "--project=" + o.project, "--region=" + o.region, "--job_name=template",
		"--staging_location=" + o.staging, "--template_location=" + o.template, "--worker_binary=" + o.binary,
	}
	for _, a := range o.assignments() {
		args = append(args, "--"+a)
	}
	c := exec.CommandContext(ctx, o.binary, args...)
	var said strings.Builder
	c.Stdout, c.Stderr, c.Env = &said, &said, os.Environ()
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s did not stage its graph: %w\n%s", o.binary, err, said.String())
	}
	graph, err := json.MarshalIndent(steps, "", " ")
	if err != nil {
		return err
	}
	// The metadata comes last: they say that all is there.
	for _, n := range []struct {
		suffix string
		b      []byte
	}{{"_graph", graph}, {"_metadata", b}} {
		if err := job.Put(ctx, o.template+n.suffix, n.b); err != nil {
			return err
		}
	}
	fmt.Fprintln(o.out, o.template)
	return nil
}

// assignments are the parameters as they are written, sorted.
func (o *options) assignments() (all []string) {
	for k, v := range o.parameters {
		all = append(all, k+"="+v)
	}
	slices.Sort(all)
	return all
}

// stagedSteps are those of a classic template.
func stagedSteps(ctx context.Context, template string) (steps []job.Step, err error) {
	b, err := readObject(ctx, template+"_graph")
	if err != nil {
		return nil, fmt.Errorf("%s is no template that was staged: %w", template, err)
	}
	if err := json.Unmarshal(b, &steps); err != nil {
		return nil, fmt.Errorf("%s_graph: %w", template, err)
	}
	return steps, nil
}

func readObject(ctx context.Context, url string) ([]byte, error) {
	i := strings.LastIndexByte(url, '/')
	if i < 0 {
		return nil, fmt.Errorf("%q names no object: give gs://bucket/folder/name", url)
	}
	return dataset.ReadNote(ctx, url[:i], url[i+1:])
}

func (o *options) askClassic(ctx context.Context, p *plan, q question, e *dataflow.FlexTemplateRuntimeEnvironment) (*dataflow.Job, error) {
	call := o.service.Projects.Locations.Templates.Launch(o.project, o.region, &dataflow.LaunchTemplateParameters{
		JobName: o.name, Update: q.update, TransformNameMapping: q.mapping,
		Environment: &dataflow.RuntimeEnvironment{
			TempLocation: e.TempLocation, ServiceAccountEmail: e.ServiceAccountEmail, Subnetwork: e.Subnetwork, MachineType: e.MachineType,
			NumWorkers: e.NumWorkers, MaxWorkers: e.MaxWorkers, IpConfiguration: e.IpConfiguration, AdditionalUserLabels: e.AdditionalUserLabels,
		},
	}).GcsPath(p.Template).Context(ctx)
	if q.validate {
		call = call.ValidateOnly(true)
	}
	r, err := call.Do()
	if err != nil {
		return nil, explain(err)
	}
	return r.Job, nil
}
