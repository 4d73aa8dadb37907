package job

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/log"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"

	"github.com/flowbeam/flowbeam/internal/metrics"
	"github.com/flowbeam/flowbeam/internal/sample"
	"github.com/flowbeam/flowbeam/internal/stored"
	"github.com/flowbeam/flowbeam/testdata"
)

// Program is one of the pipelines' programs.
type Program struct {
	Name, About string
	// Without names the options that the program has not.
	Without []string
	// Check adds the program's own problems of the options; it may set defaults.
	Check func(*Options) []error
	// Input makes the raw records.
	Input func(*Options, beam.Scope) (Input, error)
}

// Main runs the program and returns its exit status: 0, 1 where the run failed or its
// numbers do not add up, 2 where the options have problems.
func (p *Program) Main(args []string, stderr io.Writer) int {
	o := Defaults()
	if done, status := worker(args, stderr); done {
		return status
	}
	for _, a := range args {
		if a == "--help" || a == "-help" || a == "-h" {
			fmt.Fprint(stderr, p.usage(o))
			return 0
		}
	}
	rest, problems := o.Parse(launched(args, beamFlag, stderr), beamFlag)
	o.Runner = runnerName(o.Runner)
	if len(rest) > 0 {
		if err := flag.CommandLine.Parse(rest); err != nil {
			problems = append(problems, err)
		}
	}
	for _, w := range p.Without {
		if o.set[w] {
			problems = append(problems, fmt.Errorf("--%s: is no option of %s", w, p.Name))
		}
	}
	beam.Init() // a worker process does not return from here

	cleanup, err := p.prepare(o)
	if err != nil {
		problems = append(problems, err)
	}
	defer cleanup()
	problems = append(problems, o.Validate()...)
	if p.Check != nil {
		problems = append(problems, p.Check(o)...)
	}
	if len(problems) > 0 {
		fmt.Fprintf(stderr, "%s: %d problem(s), nothing was started:\n", p.Name, len(problems))
		for _, e := range problems {
			fmt.Fprintf(stderr, "  %v\n", e)
		}
		return 2
	}
	tuneMemory()
	if o.FlinkWorkers != "" {
		return o.serveWorkers(p.Name, stderr)
	}
	logTo(stderr, o.LogFormat)
	if err := o.install(context.Background()); err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", p.Name, err)
		return 1
	}
	s, err := p.Run(context.Background(), o, stderr)
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", p.Name, err)
		return 1
	}
	if s == nil {
		return 0
	}
	if problems := s.Check(); len(problems) > 0 {
		fmt.Fprintf(stderr, "%s: the numbers do not add up:\n", p.Name)
		for _, e := range problems {
			fmt.Fprintf(stderr, "  %v\n", e)
		}
		return 1
	}
	return 0
}

// Below warnings is the runner's own chatter. The level is set before anything runs: the
// local runner reads it without a lock, also while it winds down.
func init() { log.LogLevel = "warn" }

// logTo sets how warnings and errors of flowbeam and of the local runner are written. They
// name things and never hold records or secrets.
func logTo(w io.Writer, format string) {
	opts := &slog.HandlerOptions{Level: slog.LevelWarn}
	if format == "json" {
		slog.SetDefault(slog.New(slog.NewJSONHandler(w, opts)))
		return
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(w, opts)))
}

// tuneMemory makes the collector run more often than Go does by itself: Prism keeps what is
// between two stages in memory, so garbage beside it is dear. On the reference job it
// halves the peak for a tenth more CPU (docs/performance.md). What the environment says of
// GOGC wins.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(GCPercent)
	}
}

// GCPercent is what the programs set the collector to.
const GCPercent = 60

// prepare fills in what needs files: the bundled sample, where no input was named.
func (p *Program) prepare(o *Options) (cleanup func(), err error) {
	cleanup = func() {}
	if p.Input != nil || len(o.Input) > 0 || o.Watch > 0 || o.readsKafka() || o.readsPubSub() || o.Runner == dataflowRunner {
		return cleanup, nil
	}
	dir, err := os.MkdirTemp("", "flowbeam-sample-")
	if err != nil {
		return cleanup, err
	}
	cleanup = func() { os.RemoveAll(dir) }
	if err := os.CopyFS(dir, testdata.Files); err != nil {
		return cleanup, err
	}
	o.Input = []string{sample.URL}
	if o.DataCenter == "" {
		o.DataCenter = sample.DataCenter
	}
	if o.GeoIPCity == "" && o.GeoIPASN == "" {
		o.GeoIPCity, o.GeoIPASN = filepath.Join(dir, "geoip", "city.mmdb"), filepath.Join(dir, "geoip", "asn.mmdb")
	}
	if len(o.Networks) == 0 {
		o.Networks = []string{filepath.Join(dir, "networks.csv")}
	}
	return cleanup, nil
}

// totals is where the totals of a run go: in a folder of its own on the local runner, and under
// the output where the workers may be on other machines.
func (o *Options) totals(started time.Time) (t totals, clean func(), err error) {
	if !o.local() {
		return totals{o.Output, fmt.Sprintf("_runs/%d.json", started.UnixNano())}, func() {}, nil
	}
	dir, err := os.MkdirTemp("", "flowbeam-totals-")
	return totals{dir, "_runs/totals.json"}, func() { os.RemoveAll(dir) }, err
}

// Run runs the pipeline and waits for its end. The summary of a stream that another runner goes
// on with is nil.
func (p *Program) Run(ctx context.Context, o *Options, out io.Writer) (*Summary, error) {
	if o.Quiet {
		out = io.Discard
	}
	started := time.Now()
	sums, clean, err := o.totals(started)
	if err != nil {
		return nil, err
	}
	defer clean()
	if err := o.begin(ctx); err != nil {
		return nil, err
	}
	pipeline, scope := beam.NewPipelineWithRoot()
	input := (*Options).Read
	if p.Input != nil {
		input = p.Input
	}
	in, err := input(o, scope)
	if err != nil {
		return nil, err
	}
	if err := o.Build(scope, in, started, sums); err != nil {
		return nil, err
	}
	runner := o.Runner
	if runner == "direct" {
		runner = "prism"
		fmt.Fprintf(out, "%s: running on Beam's local runner, Prism\n", p.Name)
	}
	if o.Metrics != "" {
		at, end, err := metrics.Serve(o.Metrics)
		if err != nil {
			return nil, fmt.Errorf("--metrics: %w", err)
		}
		defer end()
		fmt.Fprintf(out, "%s: metrics are at http://%s/metrics\n", p.Name, at)
	}
	stop := progress(out, started)
	stored.Begin()
	unbound := o.boundInFlight()
	stopped := o.stopOnRequest(out)
	if runner == flinkRunner {
		err = o.runOnFlink(ctx, p.Name, pipeline, out)
	} else {
		err = execute(ctx, runner, pipeline)
	}
	unbound()
	stopped()
	stop()
	if err != nil {
		return nil, fmt.Errorf("the job failed: %w", short(err))
	}
	if at := templateLocation(); runner == dataflowRunner && at != "" {
		fmt.Fprintf(out, "%s: the job's graph is at %s\n", p.Name, at)
		return nil, nil
	}
	if !o.local() && (o.streaming() || *jobopts.Async) {
		return nil, nil // its totals come at its end, which a stream there has not
	}
	if err := o.end(ctx); err != nil {
		return nil, err
	}
	all, err := sums.read(ctx)
	if err != nil {
		return nil, fmt.Errorf("the job left no totals: %w", err)
	}
	s := summarize(all, time.Since(started))
	for _, st := range o.stores() {
		if st.loadsFiles() {
			s.loads = st.name()
		} else {
			s.stores = append(s.stores, st.name())
		}
	}
	s.Print(out, o.Output)
	if o.Summary != "" {
		b, err := s.JSON()
		if err != nil {
			return nil, err
		}
		if err := writeFile(o.Summary, b); err != nil {
			return nil, fmt.Errorf("writing the summary: %w", err)
		}
	}
	return &s, nil
}

// execute runs the pipeline on a runner.
//
// Prism, of Beam 2.77, splits any bundle that seems to stand still, also in the midst of a
// key of a stateful stage, and runs the rest at once beside it: two bundles then change the
// state of one key, and one of them wins. Duplicates passed so, some hundred in five
// million records on a loaded machine. Its splits are switched off; the sources split
// their files when they start.
func execute(ctx context.Context, runner string, pipeline *beam.Pipeline) error {
	if runner == dataflowRunner {
		if err := useOwnBinary(); err != nil {
			return err
		}
	}
	if runner == "prism" && !slices.Contains(jobopts.GetExperiments(), noSplits) {
		*jobopts.Experiments = strings.Join(append(jobopts.GetExperiments(), noSplits), ",")
	}
	_, err := beam.Run(ctx, runner, pipeline)
	return err
}

const noSplits = "prism_disable_sdf_split"

// short cuts a runner's error, which repeats the bundle's whole description, to the
// messages at its end.
func short(err error) error {
	const most = 2000
	s := err.Error()
	if len(s) <= most {
		return err
	}
	return errors.New("…" + strings.ToValidUTF8(s[len(s)-most:], ""))
}

// progress prints a line every few seconds until stop is called.
func progress(w io.Writer, started time.Time) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(3 * time.Second)
		defer tick.Stop()
		last := int64(0)
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				n := live.written.Load()
				fmt.Fprintf(w, "%6.0f s   written %s (%s/s)   dead letters %s   event time up to %s%s\n",
					time.Since(started).Seconds(), thousands(n), thousands((n-last)/3), thousands(live.deadLetters.Load()), eventTime(), waiting())
				last = n
			}
		}
	}()
	return func() { close(done); <-ended }
}

func eventTime() string {
	if t := live.latest.Load(); t != 0 {
		return time.Unix(0, t).UTC().Format("2006-01-02 15:04:05")
	}
	return "–"
}

// waiting is how far the sources of this process are behind, where they know.
func waiting() string {
	lag, lowest, ok := metrics.Behind()
	if !ok {
		return ""
	}
	s := fmt.Sprintf("   waiting %s", thousands(lag))
	if lowest != 0 {
		s += fmt.Sprintf("   watermark %v behind", time.Since(lowest.Std()).Round(time.Second))
	}
	return s
}

// beamFlag says whether Beam's runners have a flag of that name.
func beamFlag(name string) (boolean, ok bool) {
	f := flag.CommandLine.Lookup(name)
	if f == nil {
		return false, false
	}
	b, isBool := f.Value.(interface{ IsBoolFlag() bool })
	return isBool && b.IsBoolFlag(), true
}

func (p *Program) usage(o *Options) string {
	var w strings.Builder
	fmt.Fprintf(&w, "%s: %s\n", p.Name, p.About)
	o.Usage(&w, p.Without...)
	fmt.Fprintf(&w, "\nThe flags of Beam's runners, such as --endpoint or --parallelism, are taken too.\n")
	return w.String()
}
