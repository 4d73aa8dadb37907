package elasticsink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/dataset"
)

// Result is what a write gives back.
type Result struct {
	// Failures is the PCollection<flow.FailureBatch> of what the store will never take,
	// with its reason (rejected, or oversize), and of what has no time.
	Failures beam.PCollection
	// Counts is the PCollection<flow.Count> of the stage (see Name): new, already_there and
	// rejected, which add up to what was given; retried, requests, bytes; and replaced, those
	// of already_there that were written over.
	Counts beam.PCollection
}

// Write writes a PCollection<flow.Batch> as documents, each into the index of its event
// time, flowbeam-flow-<namespace>-YYYY.MM.DD, under its record id. A record that is there
// stays as it is; with Replace one of a higher revision takes its place. It panics where
// Validate would say that something is wrong.
func Write(s beam.Scope, batches beam.PCollection, c Cluster, opts ...Option) Result {
	o := must("Write", c, defaults("elasticsearch"), opts)
	f, n := beam.ParDo2(s.Scope("elasticsink.Write"), &recordsFn{Cluster: c, Options: o}, batches)
	return Result{f, n}
}

// WriteRollups writes a PCollection<flow.RollupBatch> of one level into
// flowbeam-rollup-<level>-<namespace>-YYYY.MM.DD, by the start of the window and under the
// rollup id; table is what flow.RollupTable made for it. A row takes the place of one that
// has no more records, so what is stored only grows. Replace and DataStream are refused.
func WriteRollups(s beam.Scope, rows beam.PCollection, c Cluster, table *flow.Table[flow.Rollup], opts ...Option) Result {
	r, err := dataset.RollupTableOf(table)
	if err != nil {
		panic(fmt.Sprintf("elasticsink.WriteRollups: %v", err))
	}
	o := must("WriteRollups", c, rollupDefaults(r.Level), opts)
	if err := checkRollups(r, &o); err != nil {
		panic(fmt.Sprintf("elasticsink.WriteRollups: %v", err))
	}
	f, n := beam.ParDo2(s.Scope("elasticsink.WriteRollups"), &rollupsFn{Cluster: c, Options: o, Table: r}, rows)
	return Result{f, n}
}

// WriteFailures writes a PCollection<flow.FailureBatch> into
// flowbeam-dead-letters-<namespace>-YYYY.MM.DD, by the time of their source (…-unknown
// where that is not known) and keyed by Failure.ID, so that a replay stores none twice.
// Replace and DataStream are refused.
func WriteFailures(s beam.Scope, failures beam.PCollection, c Cluster, opts ...Option) Result {
	o := must("WriteFailures", c, defaults("elasticsearch_dead_letters"), opts)
	if err := checkSet(&o); err != nil {
		panic(fmt.Sprintf("elasticsink.WriteFailures: %v", err))
	}
	f, n := beam.ParDo2(s.Scope("elasticsink.WriteFailures"), &failuresFn{Cluster: c, Options: o}, failures)
	return Result{f, n}
}

// Validate says what would be wrong with Write, all problems at once. It reaches for
// nothing outside.
func Validate(c Cluster, opts ...Option) error {
	_, err := apply(c, defaults("elasticsearch"), opts)
	return err
}

// ValidateRollups is Validate for WriteRollups.
func ValidateRollups(c Cluster, table *flow.Table[flow.Rollup], opts ...Option) error {
	r, err := dataset.RollupTableOf(table)
	if err != nil {
		return err
	}
	o, err := apply(c, rollupDefaults(r.Level), opts)
	return errors.Join(err, checkRollups(r, &o))
}

// ValidateFailures is Validate for WriteFailures.
func ValidateFailures(c Cluster, opts ...Option) error {
	o, err := apply(c, defaults("elasticsearch_dead_letters"), opts)
	return errors.Join(err, checkSet(&o))
}

func rollupDefaults(level string) options { return defaults("elasticsearch_rollup_" + level) }

func must(name string, c Cluster, o options, opts []Option) options {
	o, err := apply(c, o, opts)
	if err != nil {
		panic(fmt.Sprintf("elasticsink.%s: invalid option: %v", name, err))
	}
	return o
}

func checkSet(o *options) error {
	if o.DataStream || o.Replace {
		return errors.New("DataStream and Replace are for records alone")
	}
	return nil
}

func checkRollups(r dataset.RollupTable, o *options) error {
	_, err := rollupKind(r.Level)
	return errors.Join(err, checkSet(o))
}

func init() {
	beam.RegisterDoFn(&recordsFn{})
	beam.RegisterDoFn(&rollupsFn{})
	beam.RegisterDoFn(&failuresFn{})
	register.Emitter1[flow.FailureBatch]()
	register.Emitter1[flow.Count]()
}

type recordsFn struct {
	Cluster Cluster
	Options options

	w writer[flow.Record]
}

func (f *recordsFn) Setup(ctx context.Context) error {
	return f.w.open(ctx, f.Cluster, f.Options, recordSpec(&f.Options))
}

var recordECS = sync.OnceValue(func() *flow.ECS[flow.Record] { return flow.NewECS(&flow.Records) })

func recordSpec(o *options) spec[flow.Record] {
	s := spec[flow.Record]{
		kind: kindFlow, ecs: recordECS(),
		id:   func(r *flow.Record) flow.ID { return r.ID },
		time: func(r *flow.Record) flow.Time { return r.EventTime },
		fail: func(r *flow.Record, reason flow.Reason, err error) flow.Failure {
			return flow.FailRecord(r, o.Stage, reason, err)
		},
	}
	if o.Replace {
		s.version = func(r *flow.Record) int64 { return r.Revision }
	}
	return s
}

func (f *recordsFn) StartBundle(ctx context.Context, _ func(flow.FailureBatch), _ func(flow.Count)) {
	f.w.start(ctx)
}

func (f *recordsFn) ProcessElement(_ context.Context, in flow.Batch, fail func(flow.FailureBatch), _ func(flow.Count)) error {
	for i := range in.Records {
		if err := f.w.add(&in.Records[i]); err != nil {
			return err
		}
	}
	f.w.emit(fail)
	return nil
}

func (f *recordsFn) FinishBundle(ctx context.Context, fail func(flow.FailureBatch), count func(flow.Count)) error {
	err := f.w.finish(fail, count)
	f.w.meter.Add(ctx, f.w.tally)
	return err
}

func (f *recordsFn) Teardown() error {
	f.w.close()
	return nil
}

type rollupsFn struct {
	Cluster Cluster
	Options options
	Table   dataset.RollupTable

	w writer[flow.Rollup]
}

func (f *rollupsFn) Setup(ctx context.Context) error {
	s, err := rollupSpec(f.Table, &f.Options)
	if err != nil {
		return fmt.Errorf("elasticsink: %w", err)
	}
	return f.w.open(ctx, f.Cluster, f.Options, s)
}

func rollupSpec(r dataset.RollupTable, o *options) (spec[flow.Rollup], error) {
	kind, err := rollupKind(r.Level)
	if err != nil {
		return spec[flow.Rollup]{}, err
	}
	d := dataset.Rollups(r)
	return spec[flow.Rollup]{
		kind: kind, ecs: flow.NewECS(d.Table), id: d.ID, time: d.Time, version: d.Version,
		gone: func(row *flow.Rollup) bool { return row.Records == 0 },
		fail: func(row *flow.Rollup, reason flow.Reason, err error) flow.Failure {
			data := string(flow.AppendRow(nil, d.Table, row))
			return flow.Failure{Stage: o.Stage, Reason: reason, Error: flow.ErrorText(err),
				Data: data, Size: int64(len(data)), Format: d.Table.Name, SourceTime: row.Window, Version: flow.Version}
		},
	}, nil
}

func (f *rollupsFn) StartBundle(ctx context.Context, _ func(flow.FailureBatch), _ func(flow.Count)) {
	f.w.start(ctx)
}

func (f *rollupsFn) ProcessElement(_ context.Context, in flow.RollupBatch, fail func(flow.FailureBatch), _ func(flow.Count)) error {
	if len(in.Rows) > 0 && (in.Level != f.Table.Level || !slices.Equal(in.Fields, f.Table.Fields) || !slices.Equal(in.Measures, f.Table.Measures)) {
		return fmt.Errorf("elasticsink: rollup rows of level %s by %v with %v, the table has level %s by %v with %v",
			in.Level, in.Fields, in.Measures, f.Table.Level, f.Table.Fields, f.Table.Measures)
	}
	for i := range in.Rows {
		if err := f.w.add(&in.Rows[i]); err != nil {
			return err
		}
	}
	f.w.emit(fail)
	return nil
}

func (f *rollupsFn) FinishBundle(ctx context.Context, fail func(flow.FailureBatch), count func(flow.Count)) error {
	err := f.w.finish(fail, count)
	f.w.meter.Add(ctx, f.w.tally)
	return err
}

func (f *rollupsFn) Teardown() error {
	f.w.close()
	return nil
}

type failuresFn struct {
	Cluster Cluster
	Options options

	w writer[flow.Failure]
}

var failureECS = sync.OnceValue(func() *flow.ECS[flow.Failure] { return flow.NewECS(&flow.Failures) })

func (f *failuresFn) Setup(ctx context.Context) error {
	return f.w.open(ctx, f.Cluster, f.Options, spec[flow.Failure]{
		kind: kindDeadLetters, ecs: failureECS(), unknown: true,
		id:   func(x *flow.Failure) flow.ID { return x.ID() },
		time: func(x *flow.Failure) flow.Time { return x.SourceTime },
		fail: func(x *flow.Failure, reason flow.Reason, err error) flow.Failure {
			bad := *x
			bad.Stage, bad.Reason, bad.Error = f.Options.Stage, reason, flow.ErrorText(err)
			return bad
		},
	})
}

func (f *failuresFn) StartBundle(ctx context.Context, _ func(flow.FailureBatch), _ func(flow.Count)) {
	f.w.start(ctx)
}

func (f *failuresFn) ProcessElement(_ context.Context, in flow.FailureBatch, fail func(flow.FailureBatch), _ func(flow.Count)) error {
	for i := range in.Failures {
		if err := f.w.add(&in.Failures[i]); err != nil {
			return err
		}
	}
	f.w.emit(fail)
	return nil
}

func (f *failuresFn) FinishBundle(ctx context.Context, fail func(flow.FailureBatch), count func(flow.Count)) error {
	err := f.w.finish(fail, count)
	f.w.meter.Add(ctx, f.w.tally)
	return err
}

func (f *failuresFn) Teardown() error {
	f.w.close()
	return nil
}
