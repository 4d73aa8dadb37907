// Package datasetsource reads back what filesink wrote: the records of given time buckets,
// to compute again what was made of them, and the raw backup, to replay it.
package datasetsource

import (
	"context"
	"fmt"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/dataset"
)

// Buckets lists the buckets of the dataset in dir that have records now, by their starts
// in RFC 3339 and in the order of time. A directory without a dataset has none.
func Buckets(dir string) ([]string, error) { return dataset.Buckets(context.Background(), dir) }

// Read reads all records of the named buckets (PCollection<string>, as Buckets and
// filesink.Result.Touched name them) of the dataset in dir into a PCollection<flow.Batch>
// of at most 1,000 records each. A bucket that is named many times is read once, and a
// record comes once. Buckets are grouped first, so in a bounded pipeline reading begins
// when the last name has come: what filesink touched is whole by then. A bucket without
// parts gives nothing; a part that cannot be read fails the bundle.
//
// Parquet and Avro keep times to the microsecond.
func Read(s beam.Scope, buckets beam.PCollection, dir string) beam.PCollection {
	s = s.Scope("datasetsource.Read")
	return beam.ParDo(s, &readRecordsFn{Dir: dir}, shards(s, buckets, dir, "flows"))
}

// ReadRaw reads the named buckets of a raw backup back into a PCollection<flow.RawBatch>,
// as [Read] does records. Batches are of one origin each.
func ReadRaw(s beam.Scope, buckets beam.PCollection, dir string) beam.PCollection {
	s = s.Scope("datasetsource.ReadRaw")
	return beam.ParDo(s, &readRawFn{Dir: dir}, shards(s, buckets, dir, "raw"))
}

// ReadFailures reads the named buckets of a dataset of dead letters back into a
// PCollection<flow.FailureBatch>, as [Read] does records.
func ReadFailures(s beam.Scope, buckets beam.PCollection, dir string) beam.PCollection {
	s = s.Scope("datasetsource.ReadFailures")
	return beam.ParDo(s, &readFailuresFn{Dir: dir}, shards(s, buckets, dir, "dead_letters"))
}

// ReadRevised is [Read] of the records that a replacement of the given revision leaves: those of
// old.IDs that are of a lower revision are left out, though they are stored still, and of two
// rows of one id the one of the higher revision is given.
func ReadRevised(s beam.Scope, buckets beam.PCollection, dir string, old Old, revision int64) beam.PCollection {
	s = s.Scope("datasetsource.ReadRevised")
	return beam.ParDo(s, &readRevisedFn{Dir: dir, Revision: revision}, beam.CoGroupByKey(s, named(s, buckets, dir, "flows"), old.IDs))
}

// ReadRollups reads the rows of one level of rollups in the named buckets of the dataset in dir,
// as [Read] does records, into a PCollection<flow.RollupBatch>: of each id the newest row, rows of
// no records too. table is what flow.RollupTable made for the level.
func ReadRollups(s beam.Scope, buckets beam.PCollection, dir string, table *flow.Table[flow.Rollup]) beam.PCollection {
	r, err := dataset.RollupTableOf(table)
	if err != nil {
		panic(fmt.Sprintf("datasetsource.ReadRollups: %v", err))
	}
	s = s.Scope("datasetsource.ReadRollups")
	return beam.ParDo(s, &readRollupsFn{Dir: dir, Table: r}, shards(s, buckets, dir, table.Name))
}

// shards turns names of buckets into their shards, each once.
func shards(s beam.Scope, buckets beam.PCollection, dir, table string) beam.PCollection {
	return beam.GroupByKey(s, named(s, buckets, dir, table))
}

// named are the shards of the named buckets, each once, as keys.
func named(s beam.Scope, buckets beam.PCollection, dir, table string) beam.PCollection {
	once := beam.GroupByKey(s, beam.ParDo(s, &distinctFn{}, buckets))
	return beam.ParDo(s, &shardsFn{Dir: dir, Table: table}, once)
}

func init() {
	beam.RegisterDoFn(&distinctFn{})
	beam.RegisterDoFn(&shardsFn{})
	beam.RegisterDoFn(&readRecordsFn{})
	beam.RegisterDoFn(&readRevisedFn{})
	beam.RegisterDoFn(&readRollupsFn{})
	register.Emitter1[flow.RollupBatch]()
	beam.RegisterDoFn(&readRawFn{})
	beam.RegisterDoFn(&readFailuresFn{})
	register.Emitter1[flow.Batch]()
	register.Emitter1[flow.RawBatch]()
	register.Emitter1[flow.FailureBatch]()
	register.Emitter2[string, int64]()
	register.Iter1[int64]()
}

// distinctFn drops the repetitions of a bundle, so that few elements are grouped.
type distinctFn struct {
	seen map[string]bool
}

func (f *distinctFn) StartBundle(context.Context, func(string, int64)) { f.seen = map[string]bool{} }

func (f *distinctFn) ProcessElement(_ context.Context, bucket string, emit func(string, int64)) {
	if !f.seen[bucket] {
		f.seen[bucket] = true
		emit(bucket, 0)
	}
}

// shardsFn lists the shards of a bucket, so that they are read side by side.
type shardsFn struct {
	Dir, Table string
}

func (f *shardsFn) ProcessElement(ctx context.Context, bucket string, _ func(*int64) bool, emit func(string, int64)) error {
	list, err := dataset.Shards(ctx, f.Dir, f.Table, bucket)
	if err != nil {
		return fmt.Errorf("datasetsource: %w", err)
	}
	for _, k := range list {
		// The key holds the shard too, so that each is a group of its own.
		emit(dataset.ShardKey(bucket, k), 0)
	}
	return nil
}

// batchMax is how many records a batch has at most.
const batchMax = 1000

// read reads one shard and calls f for each row.
func read[T any](ctx context.Context, dir, key string, spec dataset.Spec[T], f func(*T)) error {
	bucket, shard, err := dataset.ParseShardKey(key)
	if err != nil {
		return fmt.Errorf("datasetsource: %w", err)
	}
	r, err := dataset.OpenReader(ctx, spec, dir)
	if err != nil {
		return fmt.Errorf("datasetsource: %w", err)
	}
	if err := r.Read(ctx, bucket, shard, func(row *T) error { f(row); return nil }); err != nil {
		return fmt.Errorf("datasetsource: %w", err)
	}
	return nil
}

type readRecordsFn struct {
	Dir string

	replaced bool // a row of a lower revision may not be pruned yet
}

func (f *readRecordsFn) StartBundle(ctx context.Context, _ func(flow.Batch)) error {
	last, err := dataset.LastReplacement(ctx, f.Dir)
	if err != nil {
		return fmt.Errorf("datasetsource: %w", err)
	}
	f.replaced = last.Revision > 0
	return nil
}

func (f *readRecordsFn) ProcessElement(ctx context.Context, key string, _ func(*int64) bool, emit func(flow.Batch)) error {
	spec := dataset.Records()
	if f.replaced {
		spec = dataset.RevisedRecords()
	}
	return readRecords(ctx, f.Dir, key, spec, func(*flow.Record) bool { return true }, emit)
}

// readRecords reads the records of a shard that keep says are to be given.
func readRecords(ctx context.Context, dir, key string, spec dataset.Spec[flow.Record], keep func(*flow.Record) bool, emit func(flow.Batch)) error {
	var records []flow.Record
	err := read(ctx, dir, key, spec, func(r *flow.Record) {
		if !keep(r) {
			return
		}
		records = append(records, *r)
		if len(records) == batchMax {
			emit(flow.Batch{Records: records})
			records = make([]flow.Record, 0, batchMax)
		}
	})
	if len(records) > 0 && err == nil {
		emit(flow.Batch{Records: records})
	}
	return err
}

type readRevisedFn struct {
	Dir      string
	Revision int64
}

func (f *readRevisedFn) ProcessElement(ctx context.Context, key string, asked func(*int64) bool, old func(*[]byte) bool, emit func(flow.Batch)) error {
	var n int64
	if !asked(&n) {
		return nil
	}
	drop := dataset.IDSet(old)
	return readRecords(ctx, f.Dir, key, dataset.RevisedRecords(), func(r *flow.Record) bool {
		return r.Revision >= f.Revision || !drop[r.ID]
	}, emit)
}

type readRollupsFn struct {
	Dir   string
	Table dataset.RollupTable
}

func (f *readRollupsFn) ProcessElement(ctx context.Context, key string, _ func(*int64) bool, emit func(flow.RollupBatch)) error {
	b := flow.RollupBatch{Level: f.Table.Level, Fields: f.Table.Fields, Measures: f.Table.Measures}
	err := read(ctx, f.Dir, key, dataset.Rollups(f.Table), func(r *flow.Rollup) {
		row := *r
		row.Group, row.Measures = slices.Clone(r.Group), slices.Clone(r.Measures)
		if b.Rows = append(b.Rows, row); len(b.Rows) == batchMax {
			emit(b)
			b.Rows = nil
		}
	})
	if len(b.Rows) > 0 && err == nil {
		emit(b)
	}
	return err
}

type readRawFn struct {
	Dir string
}

func (f *readRawFn) ProcessElement(ctx context.Context, key string, _ func(*int64) bool, emit func(flow.RawBatch)) error {
	var b flow.RawBatch
	send := func() {
		if len(b.Records) > 0 {
			emit(b)
			b.Records = nil
		}
	}
	err := read(ctx, f.Dir, key, dataset.Raw(), func(r *dataset.RawRow) {
		if r.Origin != b.Origin || len(b.Records) == batchMax {
			send()
			b.Origin = r.Origin
		}
		raw := r.Raw()
		raw.Data = slices.Clone(raw.Data)
		b.Records = append(b.Records, raw)
	})
	if err == nil {
		send()
	}
	return err
}

type readFailuresFn struct {
	Dir string
}

func (f *readFailuresFn) ProcessElement(ctx context.Context, key string, _ func(*int64) bool, emit func(flow.FailureBatch)) error {
	var failures []flow.Failure
	err := read(ctx, f.Dir, key, dataset.Failures(), func(x *flow.Failure) {
		failures = append(failures, *x)
		if len(failures) == batchMax {
			emit(flow.FailureBatch{Failures: failures})
			failures = nil
		}
	})
	if len(failures) > 0 && err == nil {
		emit(flow.FailureBatch{Failures: failures})
	}
	return err
}
