package job

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/sinks/filesink"
	"github.com/flowbeam/flowbeam/sources/datasetsource"
)

func init() {
	beam.RegisterDoFn(&gateFn{})
	beam.RegisterDoFn(&reviseFn{})
	beam.RegisterDoFn(&byRollupFn{})
	beam.RegisterDoFn(&retractFn{})
	register.Emitter1[flow.RollupBatch]()
	register.Emitter2[string, flow.RollupBatch]()
	register.Iter1[flow.RollupBatch]()
	register.Iter1[flow.Count]()
}

// A replacement is a replay whose records are of a higher revision than what is stored, and whose
// old ones go, wherever they stand. It has an order, so that it can be cut off at any place and
// run again, and that no reader misses a record for it:
//
//  1. records are written beside the old ones (readers take the higher revision);
//  2. what they supersede is found in the files: by the rows that are of a lower revision;
//  3. rollups of all windows that gained or lost a record are computed from what is stored, less
//     what is superseded, and written over the old rows; groups that are no more are taken back;
//  4. the stores remove what was moved or is gone;
//  5. the files are pruned of it: last, because step 2 finds all of it again until then.

// checkReplace says what is wrong with a replacement.
func (o *Options) checkReplace(add func(flag string, err error)) {
	if !o.Replace {
		return
	}
	if o.Raw == "" && !o.readsKafka() || o.readsPubSub() {
		add("replace", errors.New("what is replaced is found by what is read again in whole: give --raw, or --kafka_input"))
	}
	if o.Revision < 1 || o.Revision > flow.MaxRevision {
		add("replace", fmt.Errorf("the records that replace are known by a higher --revision, 1 to %d: it is %d", flow.MaxRevision, o.Revision))
	}
	if o.Dedupe != "exact" {
		add("replace", errors.New("of two copies of a record one must replace: give --dedupe=exact"))
	}
	if b := (bigqueryStore{o}); o.BigQuery != "" && b.loadsFiles() {
		add("replace", fmt.Errorf("BigQuery would load files that are written anew again: give --bigquery_method=%s", storageWrite))
	}
	dir := o.dir("flows")
	last, err := filesink.LastReplacement(context.Background(), dir)
	switch {
	case err != nil:
		add("output", err)
	case last.Revision == 0:
	case last.Done && o.Revision <= last.Revision:
		// Rows of rollups of one revision are told apart by their records alone.
		add("revision", fmt.Errorf("%s was replaced at revision %d: give a higher one", dir, last.Revision))
	case !last.Done && last.About != o.readsAgain():
		add("replace", fmt.Errorf("a replacement of %s at revision %d was begun and did not end: run it again first, of %s", dir, last.Revision, last.About))
	case !last.Done && o.Revision < last.Revision:
		add("revision", fmt.Errorf("a replacement of %s at revision %d was begun and did not end: give that, or a higher one", dir, last.Revision))
	}
	if loaded, err := filesink.LoadedByParts(context.Background(), dir); err != nil {
		add("output", err)
	} else if loaded {
		add("replace", fmt.Errorf("%s is loaded into BigQuery part by part, and parts that are written anew would be loaded again: to replace, remove its folder _bigquery, empty the table, and load all of it again after the replacement", dir))
	}
}

// readsAgain says what a replacement reads.
func (o *Options) readsAgain() string {
	from := "--raw=" + o.Raw
	if o.readsKafka() {
		from = fmt.Sprintf("--kafka_input_topics=%s --kafka_input_pattern=%s", strings.Join(o.KafkaInputTopics, ","), o.KafkaInputPattern)
	}
	return fmt.Sprintf("%s --start=%s --stop=%s", from, o.Start, o.Stop)
}

// begin notes that the output is being replaced, before the first effect; end, that all of it was
// done.
func (o *Options) begin(ctx context.Context) error { return o.mark(ctx, false) }

func (o *Options) end(ctx context.Context) error { return o.mark(ctx, true) }

func (o *Options) mark(ctx context.Context, done bool) error {
	if !o.Replace {
		return nil
	}
	return filesink.MarkReplacement(ctx, o.dir("flows"), filesink.Replacement{Revision: o.Revision, About: o.readsAgain(), Done: done})
}

// rollupRevision is the revision of the rollups' rows of a run that computes them from all that
// is stored: that of the last replacement, whose rows they must overtake.
func (o *Options) rollupRevision() (int64, error) {
	if o.streaming() || o.offline {
		return 0, nil // from what it reads alone: a row of a replaced window has more in it
	}
	last, err := filesink.LastReplacement(context.Background(), o.dir("flows"))
	return last.Revision, err
}

// revise marks rows with the revision that they are of.
func revise(s beam.Scope, rows beam.PCollection, revision int64) beam.PCollection {
	if revision == 0 {
		return rows
	}
	return beam.ParDo(s.Scope("job.Revise"), &reviseFn{Revision: revision}, rows)
}

type reviseFn struct{ Revision int64 }

func (f *reviseFn) ProcessElement(b flow.RollupBatch, emit func(flow.RollupBatch)) {
	out := b
	out.Rows = make([]flow.Rollup, len(b.Rows))
	for i, r := range b.Rows {
		r.Revision = f.Revision
		out.Rows[i] = r
	}
	emit(out)
}

// replacedInput is what the rollups of a replacement are made of: all that is stored, less what is
// superseded, of the units of event time in which a record came or went. The buckets of these are
// given too.
func (o *Options) replacedInput(s beam.Scope, touched beam.PCollection, old datasetsource.Old) (records, buckets beam.PCollection) {
	s = s.Scope("job.ReplacedWindows")
	changed := gather(s, "Changed", touched, old.Buckets)
	buckets = beam.ParDo(s, &touchedFn{Unit: int64(o.unit()), Bucket: int64(o.FileBucket), All: true}, changed)
	records, _, _ = flow.Apply(s, datasetsource.ReadRevised(s, buckets, o.dir("flows"), old, o.Revision), &onTime{})
	return records, buckets
}

// retractions are rows of no records for the groups that are stored in the buckets and are not
// among the rows any more.
func (o *Options) retractions(s beam.Scope, rows, buckets beam.PCollection, l level) beam.PCollection {
	s = s.Scope("job.Retractions")
	stored := datasetsource.ReadRollups(s, buckets, o.dir("rollup_"+l.name), l.table)
	return beam.ParDo(s, &retractFn{Revision: o.Revision},
		beam.CoGroupByKey(s, beam.ParDo(s, &byRollupFn{Bare: true}, rows), beam.ParDo(s, &byRollupFn{}, stored)))
}

// byRollupFn gives each row under its id; bare: that it is there is enough.
type byRollupFn struct{ Bare bool }

func (f *byRollupFn) ProcessElement(b flow.RollupBatch, emit func(string, flow.RollupBatch)) {
	for i := range b.Rows {
		one := flow.RollupBatch{Level: b.Level}
		if !f.Bare {
			one = b
			one.Rows = b.Rows[i : i+1]
		}
		emit(b.Rows[i].ID(b.Fields).String(), one)
	}
}

type retractFn struct{ Revision int64 }

func (f *retractFn) ProcessElement(_ string, now, stored func(*flow.RollupBatch) bool, emit func(flow.RollupBatch)) {
	var b flow.RollupBatch
	if now(&b) {
		return
	}
	for stored(&b) {
		if b.Rows[0].Records == 0 {
			continue // taken back before
		}
		row := b.Rows[0]
		row.Records, row.Revision, row.Measures = 0, f.Revision, make([]flow.Value, len(b.Measures))
		b.Rows = []flow.Rollup{row}
		emit(b)
	}
}

// gate holds batches until all of after is there.
func gate(s beam.Scope, batches, after beam.PCollection) beam.PCollection {
	return beam.ParDo(s.Scope("job.After"), &gateFn{}, batches, beam.SideInput{Input: after})
}

type gateFn struct{}

func (*gateFn) ProcessElement(b flow.Batch, _ func(*flow.Count) bool, emit func(flow.Batch)) { emit(b) }
