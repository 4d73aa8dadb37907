package filesink

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/dataset"
)

// Result is what a write gives back.
type Result struct {
	// Failures is the PCollection<flow.FailureBatch> of what cannot be kept (reason
	// rejected): no time, or a partition value that does not fit.
	Failures beam.PCollection
	// Counts is the PCollection<flow.Count> of the stage (see Name): rows as new,
	// already_there and rejected, which add up to what was given; parts and bytes written;
	// requests to gs:// and s3://, and those of them that were sent again as retried.
	Counts beam.PCollection
	// Touched is the PCollection<string> of the buckets that rows were given for, each once
	// a bundle, after its parts are durable: the bucket's start in RFC 3339, or unknown.
	Touched beam.PCollection
}

var (
	recordDefaults  = options{Stage: "files", Format: dataset.Parquet}
	failureDefaults = options{Stage: "files_dead_letters", Format: dataset.NDJSON}
	rawDefaults     = options{Stage: "files_raw", Format: dataset.Parquet}
)

func rollupDefaults(level string) options {
	return options{Stage: "files_rollup_" + level, Format: dataset.Parquet}
}

// Write writes a PCollection<flow.Batch> as the dataset in dir, a set by record id:
//
//	<dir>/dt=2026-11-22/hour=06/shard-0/part-000001.parquet
//
// The bucket follows from the event time. A record that is in its shard directory already
// is not written again, whatever its content. A bundle that fails, for want of disk space
// say, leaves no torn file, and what it had written stays and is found by its retry.
func Write(s beam.Scope, batches beam.PCollection, dir string, opts ...Option) Result {
	o := mustApply("Write", recordDefaults, opts)
	if err := dataset.ValidatePartition(&flow.Records, o.Partition); err != nil {
		panic(fmt.Sprintf("filesink.Write: %v", err))
	}
	f, c, t := beam.ParDo3(s.Scope("filesink.Write"), &recordsFn{Dir: dir, Options: o}, batches)
	return Result{f, c, t}
}

// WriteFailures writes a PCollection<flow.FailureBatch> as a dataset of dead letters, by
// the day of their source's time (dt=unknown where that is not known) and keyed by
// Failure.ID, so that a replay stores none twice.
func WriteFailures(s beam.Scope, failures beam.PCollection, dir string, opts ...Option) Result {
	o := mustApply("WriteFailures", failureDefaults, opts)
	f, c, t := beam.ParDo3(s.Scope("filesink.WriteFailures"), &failuresFn{Dir: dir, Options: o}, failures)
	return Result{f, c, t}
}

// WriteRaw writes a PCollection<flow.RawBatch> as a backup of the input's bytes, by source
// time and keyed by position. datasetsource.ReadRaw reads it back.
func WriteRaw(s beam.Scope, raw beam.PCollection, dir string, opts ...Option) Result {
	o := mustApply("WriteRaw", rawDefaults, opts)
	f, c, t := beam.ParDo3(s.Scope("filesink.WriteRaw"), &rawFn{Dir: dir, Options: o}, raw)
	return Result{f, c, t}
}

// WriteRollups writes a PCollection<flow.RollupBatch> of one level; table is what
// flow.RollupTable made for it. The bucket follows from the window's start, the shard from
// the group. A row is new if its group is not there yet or is older there: of the rows with
// one rollup_id the one of the highest flow.Rollup.Version counts, and readers take that one.
func WriteRollups(s beam.Scope, rows beam.PCollection, dir string, table *flow.Table[flow.Rollup], opts ...Option) Result {
	r, err := dataset.RollupTableOf(table)
	if err != nil {
		panic(fmt.Sprintf("filesink.WriteRollups: %v", err))
	}
	o := mustApply("WriteRollups", rollupDefaults(r.Level), opts)
	f, c, t := beam.ParDo3(s.Scope("filesink.WriteRollups"), &rollupsFn{Dir: dir, Options: o, Table: r}, rows)
	return Result{f, c, t}
}

func init() {
	beam.RegisterDoFn(&recordsFn{})
	beam.RegisterDoFn(&failuresFn{})
	beam.RegisterDoFn(&rawFn{})
	beam.RegisterDoFn(&rollupsFn{})
	register.Emitter1[flow.FailureBatch]()
	register.Emitter1[flow.Count]()
	register.Emitter1[string]()
}

// sink is what the DoFns share: the bundle, and the dead letters of one element.
type sink[T any] struct {
	writer   *dataset.Writer[T]
	bundle   *dataset.Bundle[T]
	rejected int64
	failures []flow.Failure
}

func (s *sink[T]) open(ctx context.Context, spec dataset.Spec[T], c dataset.Config) (err error) {
	s.writer, err = dataset.Open(ctx, spec, c)
	if err != nil {
		return fmt.Errorf("filesink: %w", err)
	}
	return nil
}

func (s *sink[T]) start() { s.bundle, s.rejected, s.failures = s.writer.NewBundle(), 0, nil }

// add takes one row; fail makes the dead letter of one that cannot be kept.
func (s *sink[T]) add(ctx context.Context, row *T, fail func(error) flow.Failure) error {
	err := s.bundle.Add(ctx, row)
	if errors.Is(err, dataset.ErrRejected) {
		s.rejected++
		s.failures = append(s.failures, fail(err))
		return nil
	}
	if err != nil {
		return fmt.Errorf("filesink: %w", err)
	}
	return nil
}

// emit sends the dead letters of an element on.
func (s *sink[T]) emit(fail func(flow.FailureBatch)) {
	if len(s.failures) > 0 {
		fail(flow.FailureBatch{Failures: s.failures})
		s.failures = nil
	}
}

func (s *sink[T]) finish(ctx context.Context, stage string, count func(flow.Count), touched func(string)) error {
	if err := s.bundle.Flush(ctx); err != nil {
		return fmt.Errorf("filesink: %w", err)
	}
	st := s.bundle.Stats()
	flow.EmitCount(count, stage, "new", st.New)
	flow.EmitCount(count, stage, "already_there", st.AlreadyThere)
	flow.EmitCount(count, stage, "rejected", s.rejected)
	flow.EmitCount(count, stage, "parts", st.Parts)
	flow.EmitCount(count, stage, "bytes", st.Bytes)
	flow.EmitCount(count, stage, "requests", st.Requests)
	flow.EmitCount(count, stage, "retried", st.Retried)
	for _, b := range s.bundle.Touched() {
		touched(b)
	}
	s.bundle = nil
	return nil
}

type recordsFn struct {
	Dir     string
	Options options

	sink sink[flow.Record]
}

func (f *recordsFn) Setup(ctx context.Context) error {
	spec := dataset.Records()
	if f.Options.Replace {
		spec = dataset.RevisedRecords()
	}
	return f.sink.open(ctx, spec, f.Options.config(f.Dir, dataset.WantRecords()))
}

func (f *recordsFn) StartBundle(context.Context, func(flow.FailureBatch), func(flow.Count), func(string)) {
	f.sink.start()
}

func (f *recordsFn) ProcessElement(ctx context.Context, in flow.Batch, fail func(flow.FailureBatch), _ func(flow.Count), _ func(string)) error {
	for i := range in.Records {
		r := &in.Records[i]
		if err := f.sink.add(ctx, r, func(err error) flow.Failure {
			return flow.FailRecord(r, f.Options.Stage, flow.ReasonRejected, err)
		}); err != nil {
			return err
		}
	}
	f.sink.emit(fail)
	return nil
}

func (f *recordsFn) FinishBundle(ctx context.Context, _ func(flow.FailureBatch), count func(flow.Count), touched func(string)) error {
	return f.sink.finish(ctx, f.Options.Stage, count, touched)
}

type failuresFn struct {
	Dir     string
	Options options

	sink sink[flow.Failure]
}

func (f *failuresFn) Setup(ctx context.Context) error {
	return f.sink.open(ctx, dataset.Failures(), f.Options.config(f.Dir, dataset.WantFailures()))
}

func (f *failuresFn) StartBundle(context.Context, func(flow.FailureBatch), func(flow.Count), func(string)) {
	f.sink.start()
}

func (f *failuresFn) ProcessElement(ctx context.Context, in flow.FailureBatch, fail func(flow.FailureBatch), _ func(flow.Count), _ func(string)) error {
	for i := range in.Failures {
		x := &in.Failures[i]
		if err := f.sink.add(ctx, x, func(err error) flow.Failure {
			bad := *x
			bad.Stage, bad.Reason, bad.Error = f.Options.Stage, flow.ReasonRejected, flow.ErrorText(err)
			return bad
		}); err != nil {
			return err
		}
	}
	f.sink.emit(fail)
	return nil
}

func (f *failuresFn) FinishBundle(ctx context.Context, _ func(flow.FailureBatch), count func(flow.Count), touched func(string)) error {
	return f.sink.finish(ctx, f.Options.Stage, count, touched)
}

type rawFn struct {
	Dir     string
	Options options

	sink sink[dataset.RawRow]
}

func (f *rawFn) Setup(ctx context.Context) error {
	return f.sink.open(ctx, dataset.Raw(), f.Options.config(f.Dir, dataset.WantRaw()))
}

func (f *rawFn) StartBundle(context.Context, func(flow.FailureBatch), func(flow.Count), func(string)) {
	f.sink.start()
}

func (f *rawFn) ProcessElement(ctx context.Context, in flow.RawBatch, fail func(flow.FailureBatch), _ func(flow.Count), _ func(string)) error {
	var row dataset.RawRow
	for i := range in.Records {
		row = dataset.RawRowOf(&in, i)
		if err := f.sink.add(ctx, &row, func(err error) flow.Failure { return failRaw(&in, i, f.Options.Stage, err) }); err != nil {
			return err
		}
	}
	f.sink.emit(fail)
	return nil
}

func (f *rawFn) FinishBundle(ctx context.Context, _ func(flow.FailureBatch), count func(flow.Count), touched func(string)) error {
	return f.sink.finish(ctx, f.Options.Stage, count, touched)
}

func failRaw(b *flow.RawBatch, i int, stage string, err error) flow.Failure {
	r := &b.Records[i]
	dc := r.DataCenter
	if dc == "" {
		dc = b.Origin.DataCenter
	}
	size := r.Size
	if !r.Oversize {
		size = int64(len(r.Data))
	}
	return flow.Failure{
		Stage: stage, Reason: flow.ReasonRejected, Error: flow.ErrorText(err),
		Data: string(r.Data), Truncated: r.Oversize, Size: size, SHA256: r.SHA256,
		Format: b.Origin.Format, Header: b.Origin.Header, Position: b.Position(i), SourceTime: r.Time,
		DataCenter: dc, Tenant: b.Origin.Tenant, Version: flow.Version,
	}
}

type rollupsFn struct {
	Dir     string
	Options options
	Table   dataset.RollupTable

	spec dataset.Spec[flow.Rollup]
	sink sink[flow.Rollup]
}

func (f *rollupsFn) Setup(ctx context.Context) error {
	f.spec = dataset.Rollups(f.Table)
	return f.sink.open(ctx, f.spec, f.Options.config(f.Dir, dataset.WantRollups(f.Table)))
}

func (f *rollupsFn) StartBundle(context.Context, func(flow.FailureBatch), func(flow.Count), func(string)) {
	f.sink.start()
}

func (f *rollupsFn) ProcessElement(ctx context.Context, in flow.RollupBatch, fail func(flow.FailureBatch), _ func(flow.Count), _ func(string)) error {
	if len(in.Rows) > 0 && (in.Level != f.Table.Level || !slices.Equal(in.Fields, f.Table.Fields) || !slices.Equal(in.Measures, f.Table.Measures)) {
		return fmt.Errorf("filesink: rollup rows of level %s by %v with %v, the table has level %s by %v with %v",
			in.Level, in.Fields, in.Measures, f.Table.Level, f.Table.Fields, f.Table.Measures)
	}
	for i := range in.Rows {
		row := &in.Rows[i]
		if err := f.sink.add(ctx, row, func(err error) flow.Failure {
			data := string(flow.AppendRow(nil, f.spec.Table, row))
			return flow.Failure{Stage: f.Options.Stage, Reason: flow.ReasonRejected, Error: flow.ErrorText(err),
				Data: data, Size: int64(len(data)), Format: f.spec.Table.Name, SourceTime: row.Window, Version: flow.Version}
		}); err != nil {
			return err
		}
	}
	f.sink.emit(fail)
	return nil
}

func (f *rollupsFn) FinishBundle(ctx context.Context, _ func(flow.FailureBatch), count func(flow.Count), touched func(string)) error {
	return f.sink.finish(ctx, f.Options.Stage, count, touched)
}
