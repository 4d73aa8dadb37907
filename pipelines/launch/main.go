// Program launch makes the templates of pipelines/flows on Google Cloud Dataflow, launches jobs
// from them, replaces and ends these. It is what continuous integration calls.
//
//	go run ./pipelines/launch --help
package main

//go:generate sh -c "go run . spec --form=streaming --image=IMAGE >../../deploy/dataflow/flows-streaming.json"
//go:generate sh -c "go run . spec --form=backfill --image=IMAGE >../../deploy/dataflow/flows-backfill.json"
//go:generate sh -c "go run . parameters >../../docs/dataflow-parameters.md"
//go:generate sh -c "go run . graph output=gs://bucket/flows kafka_input=kafka:9092 kafka_input_topics=flows >../../deploy/dataflow/graph-kafka.json"
//go:generate sh -c "go run . graph output=gs://bucket/flows pubsub_input=projects/project/subscriptions/flows >../../deploy/dataflow/graph-pubsub.json"

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/x/beamx"
	dataflow "google.golang.org/api/dataflow/v1b3"
	"google.golang.org/api/option"

	"github.com/flowbeam/flowbeam/pipelines/internal/job"
)

const usage = `launch: templates of pipelines/flows on Dataflow, and their jobs

  launch COMMAND [flags] [NAME=VALUE ...]

  spec       print the template's spec, or put it where --spec says, once under each name
  stage      have --binary stage the graph of the parameters as the classic template --template
  parameters print the parameters of both templates, in Markdown
  graph      print the steps and coders of the graph that the parameters make
  check      compare that with the steps in --graph, by --mapping: what keeps a job from being replaced
  validate   have the service look at the parameters, and start nothing
  run        launch a job; one of that name that runs already is left alone
  update     replace the running job of that name, after check
  deploy     update where one runs, run where none does
  health     wait until it runs and has told no error for the time --healthy; exit status 1 otherwise
  rollback   replace it by what was launched under its name from another template before
  status     its state; exit status 1 unless it runs or is done
  drain      let it finish what it has read
  cancel     end it at once

NAME=VALUE are the template's parameters (docs/dataflow-parameters.md). Of a classic template
they are fixed when it is staged.

`

func main() {
	beam.Init()
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// endpointVariable is the variable by which gcloud is told another address.
const endpointVariable = "CLOUDSDK_API_ENDPOINT_OVERRIDES_DATAFLOW"

// options are the launcher's flags.
type options struct {
	form, image, spec, graph, mapping       string
	template, binary                        string
	project, region, name, endpoint         string
	staging, temp, account, subnet, machine string
	workers, maxWorkers                     int64
	private                                 bool
	labels                                  string
	healthy, patience                       time.Duration

	parameters map[string]string
	out        io.Writer
	service    *dataflow.Service
}

func (o *options) flags(problems io.Writer) *flag.FlagSet {
	f := flag.NewFlagSet("launch", flag.ContinueOnError)
	f.SetOutput(problems)
	f.Usage = func() { fmt.Fprint(problems, usage); f.PrintDefaults() }
	f.StringVar(&o.form, "form", string(job.Streaming), "template: streaming or backfill")
	f.StringVar(&o.image, "image", "", "spec: the template's image, best by its digest")
	f.StringVar(&o.spec, "spec", "", "where the spec is, gs://bucket/name.json")
	f.StringVar(&o.template, "template", "", "instead of --spec: where the classic template is, gs://bucket/name")
	f.StringVar(&o.binary, "binary", "", "stage: pipelines/flows, built for linux/amd64, and able to run here")
	f.StringVar(&o.graph, "graph", "", "check, update: file with the steps of the running job, as graph prints them (update: as they were kept when it was launched)")
	f.StringVar(&o.mapping, "mapping", "", "check, update: JSON file, old names of steps to new ones")
	f.StringVar(&o.project, "project", "", "project of the job")
	f.StringVar(&o.region, "region", "", "region of the job")
	f.StringVar(&o.name, "job", "", "name of the job: one runs under it at a time")
	f.StringVar(&o.endpoint, "endpoint", os.Getenv(endpointVariable), "another address of the service, for tests: no identity is sent there ("+endpointVariable+" says it too)")
	f.StringVar(&o.staging, "staging_location", "", "folder for the job's binary and graph, gs://bucket/folder")
	f.StringVar(&o.temp, "temp_location", "", "folder for temporary files")
	f.StringVar(&o.account, "service_account", "", "account that the workers run as")
	f.StringVar(&o.subnet, "subnetwork", "", "of the workers")
	f.StringVar(&o.machine, "machine_type", "", "of the workers")
	f.Int64Var(&o.workers, "workers", 0, "at the start")
	f.Int64Var(&o.maxWorkers, "max_workers", 0, "at most")
	f.BoolVar(&o.private, "private", false, "the workers have no public addresses")
	f.StringVar(&o.labels, "labels", "", "name=value, separated by commas")
	f.DurationVar(&o.healthy, "healthy", 2*time.Minute, "health: how long it has to run without an error")
	f.DurationVar(&o.patience, "patience", 15*time.Minute, "health: how long it may take until it runs")
	return f
}

func run(ctx context.Context, args []string, out, problems io.Writer) int {
	o := &options{out: out, parameters: map[string]string{}}
	flags := o.flags(problems)
	name := ""
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		name, args = args[0], args[1:]
	}
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	found := o.check(name, flags.Args())
	if len(found) > 0 {
		fmt.Fprintf(problems, "launch: %d problem(s), nothing was started:\n", len(found))
		for _, e := range found {
			fmt.Fprintf(problems, "  %v\n", e)
		}
		return 2
	}
	if err := commands[name].do(o, ctx); err != nil {
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintf(problems, "launch: %s\n", strings.TrimRight(line, "\n"))
		}
		return 1
	}
	return 0
}

// command is what one does and the flags that it cannot do without.
type command struct {
	needs []string
	do    func(*options, context.Context) error
}

var commands = map[string]command{
	"spec":       {[]string{"image"}, (*options).makeSpec},
	"stage":      {[]string{"project", "region", "template", "binary", "staging_location"}, (*options).stage},
	"parameters": {nil, (*options).printParameters},
	"graph":      {nil, (*options).printGraph},
	"check":      {[]string{"graph"}, (*options).compareGraph},
	"validate":   {[]string{"project", "region", "job", "spec"}, (*options).validate},
	"run":        {[]string{"project", "region", "job", "spec", "staging_location"}, (*options).runJob},
	"update":     {[]string{"project", "region", "job", "spec", "staging_location"}, (*options).updateJob},
	"deploy":     {[]string{"project", "region", "job", "spec", "staging_location"}, (*options).deploy},
	"health":     {[]string{"project", "region", "job"}, (*options).health},
	"rollback":   {[]string{"project", "region", "job", "spec", "staging_location"}, (*options).rollback},
	"status":     {[]string{"project", "region", "job"}, (*options).status},
	"drain":      {[]string{"project", "region", "job"}, func(o *options, ctx context.Context) error { return o.end(ctx, "JOB_STATE_DRAINED") }},
	"cancel":     {[]string{"project", "region", "job"}, func(o *options, ctx context.Context) error { return o.end(ctx, "JOB_STATE_CANCELLED") }},
}

// check finds all that is wrong with the command line.
func (o *options) check(name string, rest []string) (problems []error) {
	c, ok := commands[name]
	if !ok {
		return []error{fmt.Errorf("there is no command %q; --help lists them", name)}
	}
	values := map[string]string{
		"image": o.image, "graph": o.graph, "project": o.project, "region": o.region, "job": o.name, "staging_location": o.staging,
		"spec": o.from(), "template": o.template, "binary": o.binary,
	}
	if o.spec != "" && o.template != "" {
		problems = append(problems, errors.New("--spec and --template: a job is launched from one of them"))
	}
	for _, n := range c.needs {
		if values[n] == "" {
			problems = append(problems, fmt.Errorf("--%s: %s needs it", n, name))
		}
	}
	if !slices.Contains(job.Forms, job.Form(o.form)) {
		problems = append(problems, fmt.Errorf("--form: %q is neither streaming nor backfill", o.form))
		return problems
	}
	for _, p := range rest {
		k, v, ok := strings.Cut(p, "=")
		if !ok {
			problems = append(problems, fmt.Errorf("%q is no parameter NAME=VALUE; flags stand before parameters", p))
			continue
		}
		o.parameters[k] = v
	}
	launches := []string{"validate", "run", "update", "deploy"}
	switch {
	case o.template != "" && slices.Contains(launches, name):
		if len(o.parameters) > 0 {
			problems = append(problems, errors.New("the parameters of a classic template were fixed when it was staged"))
		}
	case slices.Contains(launches, name) || slices.Contains([]string{"graph", "check", "stage"}, name):
		problems = append(problems, job.Flows().CheckParameters(job.Form(o.form), o.parameters)...)
	}
	return problems
}

// from is the template that jobs are launched from.
func (o *options) from() string {
	if o.template != "" {
		return o.template
	}
	return o.spec
}

// connect opens the service.
func (o *options) connect(ctx context.Context) (err error) {
	var opts []option.ClientOption
	if o.endpoint != "" {
		opts = append(opts, option.WithEndpoint(o.endpoint), option.WithoutAuthentication())
	}
	o.service, err = dataflow.NewService(ctx, opts...)
	return err
}

func (o *options) makeSpec(ctx context.Context) error {
	b, err := json.MarshalIndent(job.Flows().Spec(job.Form(o.form), o.image), "", "  ")
	if err != nil {
		return err
	}
	b = append(b, '\n')
	if o.spec == "" {
		_, err := o.out.Write(b)
		return err
	}
	if err := job.Put(ctx, o.spec, b); err != nil {
		return err
	}
	fmt.Fprintln(o.out, o.spec)
	return nil
}

func (o *options) printParameters(context.Context) error {
	fmt.Fprint(o.out, page)
	for _, f := range job.Forms {
		_, err := fmt.Fprintf(o.out, "\n## The %s template\n%s", f, job.Flows().ParameterTable(f))
		if err != nil {
			return err
		}
	}
	return nil
}

const page = `# Parameters on Dataflow

Those of the two templates of pipelines/flows, made from the same options as its flags
(go generate ./pipelines/launch). How they are launched: [Run on Dataflow](dataflow.md).
`

// steps are those of the graph that the parameters make.
func (o *options) steps() ([]job.Step, error) {
	var args []string
	for k, v := range o.parameters {
		args = append(args, "--"+k+"="+v)
	}
	slices.Sort(args)
	steps, problems := job.Flows().Steps(args)
	return steps, errors.Join(problems...)
}

func (o *options) printGraph(context.Context) error {
	steps, err := o.steps()
	if err != nil {
		return err
	}
	b, err := json.MarshalIndent(steps, "", " ")
	if err != nil {
		return err
	}
	_, err = o.out.Write(append(b, '\n'))
	return err
}

func (o *options) compareGraph(context.Context) error {
	var old []job.Step
	if err := readJSON(o.graph, &old); err != nil {
		return fmt.Errorf("--graph: %w", err)
	}
	mapping, err := o.names()
	if err != nil {
		return err
	}
	steps, err := o.steps()
	if err != nil {
		return err
	}
	return o.compare(old, steps, mapping)
}

func (o *options) compare(old, next []job.Step, mapping map[string]string) error {
	if problems := job.Changes(old, next, mapping); len(problems) > 0 {
		return fmt.Errorf("the running job cannot be replaced:\n%w", errors.Join(problems...))
	}
	fmt.Fprintf(o.out, "%d steps: the new graph takes over from the old one\n", len(old))
	return nil
}

// names are the mapping of old names of steps to new ones.
func (o *options) names() (map[string]string, error) {
	mapping := map[string]string{}
	if o.mapping == "" {
		return mapping, nil
	}
	if err := readJSON(o.mapping, &mapping); err != nil {
		return nil, fmt.Errorf("--mapping: %w", err)
	}
	return mapping, nil
}

func readJSON(file string, into any) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}
