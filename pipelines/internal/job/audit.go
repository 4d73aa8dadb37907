package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/transforms/stats"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/dataset"
)

func init() {
	beam.RegisterDoFn(&batchTapFn{})
	beam.RegisterDoFn(&failureTapFn{})
	beam.RegisterDoFn(&rollupTapFn{})
	beam.RegisterDoFn(&rawTapFn{})
	beam.RegisterDoFn(&totalsFn{})
	register.Function2x2(underRun)
	register.Emitter1[flow.Count]()
	register.Iter1[string]()
}

// live holds what the taps of this process have seen so far: attempts, for the display
// while the job runs. The numbers of the summary travel as data.
var live struct {
	written, deadLetters, latest atomic.Int64
}

// tapBatches counts the records that leave the pipeline for the sinks.
func tapBatches(s beam.Scope, batches beam.PCollection) beam.PCollection {
	return beam.ParDo(s.Scope("job.CountWritten"), &batchTapFn{}, batches)
}

type batchTapFn struct{ written, late int64 }

func (f *batchTapFn) StartBundle(func(flow.Count)) { f.written, f.late = 0, 0 }

func (f *batchTapFn) ProcessElement(b flow.Batch, _ func(flow.Count)) {
	f.written += int64(len(b.Records))
	for i := range b.Records {
		if b.Records[i].Late {
			f.late++
		}
	}
	live.written.Add(int64(len(b.Records)))
	if _, latest := b.Bounds(); int64(latest) > live.latest.Load() {
		live.latest.Store(int64(latest))
	}
}

func (f *batchTapFn) FinishBundle(emit func(flow.Count)) {
	flow.EmitCount(emit, "job", "written", f.written)
	flow.EmitCount(emit, "job", "late", f.late)
}

// tapFailures counts dead letters by reason.
func tapFailures(s beam.Scope, failures beam.PCollection) beam.PCollection {
	return beam.ParDo(s.Scope("job.CountDeadLetters"), &failureTapFn{}, failures)
}

type failureTapFn struct{ byReason map[string]int64 }

func (f *failureTapFn) StartBundle(func(flow.Count)) { f.byReason = map[string]int64{} }

func (f *failureTapFn) ProcessElement(b flow.FailureBatch, _ func(flow.Count)) {
	for i := range b.Failures {
		f.byReason[string(b.Failures[i].Reason)]++
	}
	live.deadLetters.Add(int64(len(b.Failures)))
}

func (f *failureTapFn) FinishBundle(emit func(flow.Count)) {
	reasons := make([]string, 0, len(f.byReason))
	for r := range f.byReason {
		reasons = append(reasons, r)
	}
	slices.Sort(reasons)
	for _, r := range reasons {
		flow.EmitCount(emit, "dead_letters", r, f.byReason[r])
	}
}

// tapRollups counts a level's rows.
func tapRollups(s beam.Scope, level string, rows beam.PCollection) beam.PCollection {
	return beam.ParDo(s.Scope("job.CountRollups"), &rollupTapFn{Level: level}, rows)
}

type rollupTapFn struct {
	Level string
	rows  int64
}

func (f *rollupTapFn) StartBundle(func(flow.Count)) { f.rows = 0 }

func (f *rollupTapFn) ProcessElement(b flow.RollupBatch, _ func(flow.Count)) {
	f.rows += int64(len(b.Rows))
}

func (f *rollupTapFn) FinishBundle(emit func(flow.Count)) {
	flow.EmitCount(emit, "rollup_rows", f.Level, f.rows)
}

// tapRaw counts the raw records that the backup is given.
func tapRaw(s beam.Scope, raw beam.PCollection) beam.PCollection {
	return beam.ParDo(s.Scope("job.CountRaw"), &rawTapFn{}, raw)
}

type rawTapFn struct{ records int64 }

func (f *rawTapFn) StartBundle(func(flow.Count)) { f.records = 0 }

func (f *rawTapFn) ProcessElement(b flow.RawBatch, _ func(flow.Count)) {
	f.records += int64(len(b.Records))
}

func (f *rawTapFn) FinishBundle(emit func(flow.Count)) {
	flow.EmitCount(emit, "raw", "records", f.records)
}

// writeTotals combines all counts and writes them as a JSON object, stage/name to number,
// to one object. Counts of a bundle that is run again are combined once, as all data.
func writeTotals(s beam.Scope, counts beam.PCollection, to totals) {
	s = s.Scope("job.Totals")
	one := beam.Create(s, flow.Count{Stage: "job", Name: "runs", N: 1}) // so that there is a total of nothing too
	sums := stats.SumPerKey(s, beam.ParDo(s, &countFn{}, beam.Flatten(s, counts, one)))
	beam.ParDo0(s, &totalsFn{totals: to}, beam.GroupByKey(s, beam.ParDo(s, underRun, sums)))
}

// underRun brings all sums under one key, each as a line "name n".
func underRun(name string, n int64) (string, string) { return "run", fmt.Sprintf("%s %d", name, n) }

// totals is where a run's totals are written: by a worker, and read by the program.
type totals struct{ Dir, Name string }

func (t totals) read(ctx context.Context) (map[string]int64, error) {
	b, err := dataset.ReadNote(ctx, t.Dir, t.Name)
	if err != nil {
		return nil, err
	}
	sums := map[string]int64{}
	return sums, json.Unmarshal(b, &sums)
}

type totalsFn struct{ totals }

func (f *totalsFn) ProcessElement(ctx context.Context, _ string, next func(*string) bool) error {
	sums := map[string]int64{}
	var line, name string
	var n int64
	for next(&line) {
		if _, err := fmt.Sscanf(line, "%s %d", &name, &n); err != nil {
			return fmt.Errorf("job: totals: %q: %w", line, err)
		}
		sums[name] += n
	}
	b, err := json.Marshal(sums)
	if err != nil {
		return fmt.Errorf("job: totals: %w", err)
	}
	// A bundle that is run again has the same sums.
	if err := dataset.WriteNote(ctx, f.Dir, f.Name, b); err != nil && !errors.Is(err, dataset.ErrExists) {
		return fmt.Errorf("job: totals: %w", err)
	}
	return nil
}

// writeFile replaces a file whole.
func writeFile(name string, b []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(name), ".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // fails once it is renamed
	_, err = tmp.Write(b)
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Chmod(tmp.Name(), 0o644)
	}
	if err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	return err
}
