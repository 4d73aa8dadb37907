package bigquerysink

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/dataset"
)

// minInterval keeps a table below the service's 1,500 load jobs a day.
//
// Source: https://cloud.google.com/bigquery/quotas#load_jobs
const minInterval = 2 * time.Minute

// SourceURI sets under which URI BigQuery finds the dataset, where that is not the
// directory itself: gs://bucket/prefix. Of Load and LoadOn alone.
func SourceURI(uri string) Option {
	return func(o *options) error {
		if !strings.HasPrefix(uri, "gs://") {
			return fmt.Errorf("SourceURI: %q: want gs://bucket/prefix", uri)
		}
		o.URI = strings.TrimSuffix(uri, "/")
		return nil
	}
}

// Every sets the shortest time between two runs of LoadOn, at least two minutes: BigQuery
// takes about 1,500 load jobs a day and table. Default two minutes.
func Every(d time.Duration) Option {
	return func(o *options) error {
		if d < minInterval {
			return fmt.Errorf("Every: %v: want at least %v", d, minInterval)
		}
		o.Every = d
		return nil
	}
}

// Load loads the parts of a dataset that filesink wrote into a table, by load jobs, when
// the whole of touched is there: a PCollection<string>, of a bounded run, as filesink's
// Result.Touched. dir is the dataset, gs://bucket/prefix, table is project.dataset.table.
//
// It is a set sink: each part is loaded once, whatever is run again, by how many workers,
// and wherever one dies. Which parts a job has is written down beside them before the job
// is asked for (<dir>/_bigquery/<table>), and the job's id follows from them, so that it is
// known of each part whether it is loaded. A job that fails has loaded nothing and is asked
// for again under the next id, three times before the bundle fails. Parts of runs that
// died are loaded too. To load all of a dataset into a table that was emptied, remove that
// folder.
//
// It returns a PCollection<flow.Count> of the stage (see Name; default bigquery_load): rows
// as new, parts, jobs, retried.
func Load(s beam.Scope, touched beam.PCollection, dir, table string, opts ...Option) beam.PCollection {
	o, name := mustSetupLoad("Load", dir, table, opts)
	s = s.Scope("bigquerysink.Load")
	one := beam.GroupByKey(s, beam.ParDo(s, &oneKeyFn{}, touched))
	return beam.ParDo(s, &loadFn{Dir: dir, Table: name, Options: o}, one)
}

// LoadOn is Load for runs without an end: it loads what is there at each element of ticks,
// a PCollection<[]byte> as periodic.Impulse gives it, but not more often than Every says.
func LoadOn(s beam.Scope, ticks beam.PCollection, dir, table string, opts ...Option) beam.PCollection {
	o, name := mustSetupLoad("LoadOn", dir, table, opts)
	return beam.ParDo(s.Scope("bigquerysink.LoadOn"), &loadOnFn{Dir: dir, Table: name, Options: o}, ticks)
}

// ValidateLoad says what is wrong with the arguments of Load or LoadOn, all problems at
// once. It asks no server.
func ValidateLoad(dir, table string, opts ...Option) error {
	_, _, err := setupLoad(dir, table, opts)
	return err
}

func setupLoad(dir, table string, opts []Option) (options, tableName, error) {
	d := defaults("bigquery_load")
	d.Every = minInterval
	o, name, err := setup(d, table, false, opts)
	if o.URI == "" {
		if o.URI = strings.TrimSuffix(dir, "/"); !strings.HasPrefix(o.URI, "gs://") {
			err = errors.Join(err, fmt.Errorf("directory %q: BigQuery loads from gs://bucket/prefix", dir))
		}
	}
	return o, name, err
}

func mustSetupLoad(fn, dir, table string, opts []Option) (options, tableName) {
	o, name, err := setupLoad(dir, table, opts)
	if err != nil {
		panic(fmt.Sprintf("bigquerysink.%s: %v", fn, err))
	}
	return o, name
}

func init() {
	beam.RegisterDoFn(&oneKeyFn{})
	beam.RegisterDoFn(&loadFn{})
	beam.RegisterDoFn(&loadOnFn{})
	register.Iter1[string]()
}

// oneKeyFn gives all the same key: there is one committer.
type oneKeyFn struct{}

func (*oneKeyFn) ProcessElement(bucket string) (string, string) { return "load", bucket }

type loadFn struct {
	Dir     string
	Table   tableName
	Options options
}

func (f *loadFn) ProcessElement(ctx context.Context, _ string, _ func(*string) bool, count func(flow.Count)) error {
	l, err := openLoader(ctx, f.Dir, f.Table, f.Options)
	if err == nil {
		err = l.run(ctx)
	}
	if err != nil {
		return fmt.Errorf("bigquerysink: load %s: %w", f.Dir, err)
	}
	l.emit(count)
	return nil
}

type loadOnFn struct {
	Dir     string
	Table   tableName
	Options options
}

// loaders of the process: what one of them has read of the plans it need not read again.
var loaders shared[*loader]

func (f *loadOnFn) ProcessElement(ctx context.Context, _ []byte, count func(flow.Count)) error {
	l, err := loaders.get(fmt.Sprintf("%q %q %+v", f.Dir, f.Table, f.Options), func() (*loader, error) {
		return openLoader(ctx, f.Dir, f.Table, f.Options)
	})
	if err == nil {
		err = l.tick(ctx, time.Now(), f.Options.Every, count)
	}
	if err != nil {
		return fmt.Errorf("bigquerysink: load %s: %w", f.Dir, err)
	}
	return nil
}

// loader loads the parts of one dataset into one table.
type loader struct {
	dir, uri string
	table    tableName
	stage    string
	store    dataset.Store
	ledger   *ledger
	jobs     *jobs
	// at, in tests, dies at a point: planned, inserted, loaded, noted.
	at func(point string) error

	mu                sync.Mutex
	ran               time.Time // when the last run that succeeded began
	rows, parts, done int64
}

func openLoader(ctx context.Context, dir string, table tableName, o options) (*loader, error) {
	s, err := dataset.OpenStore(dir, o.Policy)
	if err != nil {
		return nil, err
	}
	j, err := openJobs(ctx, o.Endpoint, table, o.Policy)
	if err != nil {
		return nil, err
	}
	return &loader{dir: dir, uri: o.URI, table: table, stage: o.Stage, store: s, ledger: newLedger(s, table), jobs: j}, nil
}

// tick runs, unless the last run is not long ago.
func (l *loader) tick(ctx context.Context, now time.Time, every time.Duration, count func(flow.Count)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.ran) < every {
		return nil
	}
	if err := l.run(ctx); err != nil {
		return err
	}
	l.ran = now
	l.emit(count)
	return nil
}

// emit emits what was done since the last time.
func (l *loader) emit(count func(flow.Count)) {
	flow.EmitCount(count, l.stage, "new", l.rows)
	flow.EmitCount(count, l.stage, "parts", l.parts)
	flow.EmitCount(count, l.stage, "jobs", l.done)
	flow.EmitCount(count, l.stage, "retried", l.jobs.retried)
	l.rows, l.parts, l.done, l.jobs.retried = 0, 0, 0, 0
}

func (l *loader) dies(point string) error {
	if l.at == nil {
		return nil
	}
	return l.at(point)
}

// run loads all parts that are there and are not loaded.
func (l *loader) run(ctx context.Context) error {
	for {
		if err := l.ledger.refresh(ctx); err != nil {
			return err
		}
		for _, p := range l.ledger.open { // of who died, or is at work
			if err := l.load(ctx, p); err != nil {
				return err
			}
		}
		l.ledger.open = nil
		parts, err := listParts(ctx, l.store)
		if err != nil {
			return err
		}
		var left []part
		for _, p := range parts {
			if !l.ledger.taken[p.Name] {
				left = append(left, p)
			}
		}
		if len(left) == 0 {
			return nil
		}
		p := &plan{Table: l.table.String(), Dir: l.uri, Parts: groups(left)[0]}
		if _, err := l.ledger.add(ctx, p); err != nil {
			return err
		}
		// Ours or not, the plan is read back and loaded in the next round.
		if err := l.dies("planned"); err != nil {
			return err
		}
	}
}

// maxAttempts bounds the jobs of one plan that one run asks for.
const maxAttempts = 3

// load sees to it that a plan's parts are loaded.
func (l *loader) load(ctx context.Context, p *plan) error {
	if p.Table != l.table.String() || p.Dir != l.uri || len(p.Parts) == 0 {
		return fmt.Errorf("plan %d is of the parts of %s for table %s", p.number, p.Dir, p.Table)
	}
	uris := make([]string, len(p.Parts))
	for i, x := range p.Parts {
		uris[i] = p.Dir + "/" + x.Name
	}
	var failure error
	for attempt, asked := 1, 0; asked < maxAttempts; attempt++ {
		id := p.jobID(attempt)
		job, err := l.jobs.get(ctx, id)
		if err != nil {
			return err
		}
		if job == nil {
			asked++
			if job, err = l.jobs.insert(ctx, id, p.Parts[0].format(), uris); err != nil {
				return err
			}
			if err := l.dies("inserted"); err != nil {
				return err
			}
		}
		var rows int64
		if rows, failure, err = l.jobs.wait(ctx, job); err != nil {
			return err
		}
		if failure != nil { // it has loaded nothing: the next id
			l.jobs.retried++
			continue
		}
		if err := l.dies("loaded"); err != nil {
			return err
		}
		if err := l.ledger.finish(ctx, p, done{id, rows}); err != nil {
			return err
		}
		l.rows, l.parts, l.done = l.rows+rows, l.parts+int64(len(p.Parts)), l.done+1
		return l.dies("noted")
	}
	return fmt.Errorf("%d load jobs of %d parts from %s on failed, the last with: %w", maxAttempts, len(p.Parts), p.Parts[0].Name, failure)
}
