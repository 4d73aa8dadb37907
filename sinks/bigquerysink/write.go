package bigquerysink

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/dataset"
)

// Result is what a write gives back.
type Result struct {
	// Failures is the PCollection<flow.FailureBatch> of rows that BigQuery refused, with its
	// reason (rejected), and of those too large for a request (oversize).
	Failures beam.PCollection
	// Counts is the PCollection<flow.Count> of the stage (see Name): rows as new,
	// already_there and rejected, which add up to what was given; requests, retried, bytes.
	Counts beam.PCollection
}

// Write appends a PCollection<flow.Batch> to a table, project.dataset.table, by the Storage
// Write API. The table must be there: see [Install].
//
// It is a log sink. A bundle that runs again appends its records again, and a request whose
// reply was lost is sent again; none is lost. The view <table>_latest has each record once.
// A column that the table does not have yet is kept in the column extensions; columns that
// are added while a job runs are used from then on.
func Write(s beam.Scope, batches beam.PCollection, table string, opts ...Option) Result {
	o, name := mustSetup("Write", defaults("bigquery"), table, false, opts)
	f, c := beam.ParDo2(s.Scope("bigquerysink.Write"), &recordsFn{Table: name, Options: o}, batches)
	return Result{f, c}
}

// WriteRollups upserts a PCollection<flow.RollupBatch> of one level into a table whose
// primary key is rollup_id, by the Storage Write API; rollup is what flow.RollupTable made
// for the level. Of the rows of one window and group the one of the highest flow.Rollup.Version wins, in
// whatever order they come: it is a set sink. With AppendOnly rows are appended.
func WriteRollups(s beam.Scope, rows beam.PCollection, table string, rollup *flow.Table[flow.Rollup], opts ...Option) Result {
	r, err := dataset.RollupTableOf(rollup)
	if err != nil {
		panic(fmt.Sprintf("bigquerysink.WriteRollups: %v", err))
	}
	o, name := mustSetup("WriteRollups", defaults("bigquery_rollup_"+r.Level), table, true, opts)
	f, c := beam.ParDo2(s.Scope("bigquerysink.WriteRollups"), &rollupsFn{Table: name, Options: o, Rollup: r}, rows)
	return Result{f, c}
}

// WriteFailures appends a PCollection<flow.FailureBatch> to a table of dead letters, as
// Write does. The view <table>_latest has each once, by dead_letter_id.
func WriteFailures(s beam.Scope, failures beam.PCollection, table string, opts ...Option) Result {
	o, name := mustSetup("WriteFailures", defaults("bigquery_dead_letters"), table, false, opts)
	f, c := beam.ParDo2(s.Scope("bigquerysink.WriteFailures"), &failuresFn{Table: name, Options: o}, failures)
	return Result{f, c}
}

func init() {
	beam.RegisterDoFn(&recordsFn{})
	beam.RegisterDoFn(&rollupsFn{})
	beam.RegisterDoFn(&failuresFn{})
	register.Emitter1[flow.FailureBatch]()
	register.Emitter1[flow.Count]()
}

type recordsFn struct {
	Table   tableName
	Options options

	sink sink[flow.Record]
}

func (f *recordsFn) Setup(ctx context.Context) error {
	f.sink = sink[flow.Record]{table: &flow.Records, fail: func(r *flow.Record, reason flow.Reason, err error) flow.Failure {
		return flow.FailRecord(r, f.Options.Stage, reason, err)
	}}
	return f.sink.open(ctx, f.Table, f.Options)
}

func (f *recordsFn) StartBundle(context.Context, func(flow.FailureBatch), func(flow.Count)) {
	f.sink.start()
}

func (f *recordsFn) ProcessElement(ctx context.Context, in flow.Batch, fail func(flow.FailureBatch), _ func(flow.Count)) error {
	for i := range in.Records {
		if err := f.sink.add(ctx, &in.Records[i]); err != nil {
			return err
		}
	}
	f.sink.emit(fail)
	return nil
}

func (f *recordsFn) FinishBundle(ctx context.Context, fail func(flow.FailureBatch), count func(flow.Count)) error {
	return f.sink.finish(ctx, fail, count)
}

func (f *recordsFn) Teardown() { f.sink.bundle.end() }

type failuresFn struct {
	Table   tableName
	Options options

	sink sink[flow.Failure]
}

func (f *failuresFn) Setup(ctx context.Context) error {
	f.sink = sink[flow.Failure]{table: &flow.Failures, fail: func(x *flow.Failure, reason flow.Reason, err error) flow.Failure {
		bad := *x
		bad.Stage, bad.Reason, bad.Error = f.Options.Stage, reason, flow.ErrorText(err)
		return bad
	}}
	return f.sink.open(ctx, f.Table, f.Options)
}

func (f *failuresFn) StartBundle(context.Context, func(flow.FailureBatch), func(flow.Count)) {
	f.sink.start()
}

func (f *failuresFn) ProcessElement(ctx context.Context, in flow.FailureBatch, fail func(flow.FailureBatch), _ func(flow.Count)) error {
	for i := range in.Failures {
		if err := f.sink.add(ctx, &in.Failures[i]); err != nil {
			return err
		}
	}
	f.sink.emit(fail)
	return nil
}

func (f *failuresFn) FinishBundle(ctx context.Context, fail func(flow.FailureBatch), count func(flow.Count)) error {
	return f.sink.finish(ctx, fail, count)
}

func (f *failuresFn) Teardown() { f.sink.bundle.end() }

type rollupsFn struct {
	Table   tableName
	Options options
	Rollup  dataset.RollupTable

	sink sink[flow.Rollup]
}

func (f *rollupsFn) Setup(ctx context.Context) error {
	t := dataset.Rollups(f.Rollup).Table
	f.sink = sink[flow.Rollup]{table: t, fail: func(row *flow.Rollup, reason flow.Reason, err error) flow.Failure {
		data := string(flow.AppendRow(nil, t, row))
		return flow.Failure{Stage: f.Options.Stage, Reason: reason, Error: flow.ErrorText(err),
			Data: data, Size: int64(len(data)), Format: t.Name, SourceTime: row.Window, Version: flow.Version}
	}}
	if !f.Options.AppendOnly {
		f.sink.tail = upsertTail
	}
	return f.sink.open(ctx, f.Table, f.Options)
}

// upsertTail writes the pseudocolumns of a change: the row of the highest version counts, and
// one of no records removes its group. The sequence number is a text of hexadecimal digits,
// compared as a number.
func upsertTail(number int) func([]byte, *flow.Rollup) []byte {
	change := func(kind string) []byte {
		b := binary.AppendUvarint(nil, uint64(number)<<3|2)
		return append(append(b, byte(len(kind))), kind...)
	}
	upsert, remove := change("UPSERT"), change("DELETE")
	sequence := binary.AppendUvarint(nil, uint64(number+1)<<3|2)
	return func(b []byte, r *flow.Rollup) []byte {
		if r.Records > 0 {
			b = append(b, upsert...)
		} else {
			b = append(b, remove...)
		}
		b = append(append(b, sequence...), 0)
		at := len(b)
		b = strconv.AppendUint(b, uint64(max(r.Version(), 0)), 16)
		b[at-1] = byte(len(b) - at)
		return b
	}
}

func (f *rollupsFn) StartBundle(context.Context, func(flow.FailureBatch), func(flow.Count)) {
	f.sink.start()
}

func (f *rollupsFn) ProcessElement(ctx context.Context, in flow.RollupBatch, fail func(flow.FailureBatch), _ func(flow.Count)) error {
	if len(in.Rows) > 0 && (in.Level != f.Rollup.Level || !slices.Equal(in.Fields, f.Rollup.Fields) || !slices.Equal(in.Measures, f.Rollup.Measures)) {
		return fmt.Errorf("bigquerysink: rollup rows of level %s by %v with %v, the table has level %s by %v with %v",
			in.Level, in.Fields, in.Measures, f.Rollup.Level, f.Rollup.Fields, f.Rollup.Measures)
	}
	for i := range in.Rows {
		if err := f.sink.add(ctx, &in.Rows[i]); err != nil {
			return err
		}
	}
	f.sink.emit(fail)
	return nil
}

func (f *rollupsFn) FinishBundle(ctx context.Context, fail func(flow.FailureBatch), count func(flow.Count)) error {
	return f.sink.finish(ctx, fail, count)
}

func (f *rollupsFn) Teardown() { f.sink.bundle.end() }
