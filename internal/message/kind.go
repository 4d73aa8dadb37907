// Package message is what the log sinks, Kafka and Pub/Sub, share: what a row is as a
// message, and how a bundle keeps a bounded number of requests in flight.
package message

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/dataset"
)

// What every message says beside its value.
const (
	// ContentType is of the value: one JSON object, columns by name.
	ContentType = "application/json"
	// SchemaVersion is of the columns. Within a version columns are only added, and added
	// ones may be absent.
	SchemaVersion = "1"
)

// Kind says how the rows of one table are messages.
type Kind[T any] struct {
	Table *flow.Table[T]
	ID    func(*T) flow.ID   // what a distinct goes by; zero where there is none
	Time  func(*T) flow.Time // zero where it isn't known
	// Fail makes the dead letter of a row that a store refused.
	Fail func(stage string, row *T, err error) flow.Failure
}

// Records are flow records: record id, event time.
func Records() Kind[flow.Record] {
	return Kind[flow.Record]{
		Table: &flow.Records,
		ID:    func(r *flow.Record) flow.ID { return r.ID },
		Time:  func(r *flow.Record) flow.Time { return r.EventTime },
		Fail: func(stage string, r *flow.Record, err error) flow.Failure {
			return flow.FailRecord(r, stage, flow.ReasonRejected, err)
		},
	}
}

// Failures are dead letters: dead letter id, source time.
func Failures() Kind[flow.Failure] {
	return Kind[flow.Failure]{
		Table: &flow.Failures,
		ID:    func(f *flow.Failure) flow.ID { return f.ID() },
		Time:  func(f *flow.Failure) flow.Time { return f.SourceTime },
		Fail: func(stage string, f *flow.Failure, err error) flow.Failure {
			bad := *f
			bad.Stage, bad.Reason, bad.Error = stage, flow.ReasonRejected, flow.ErrorText(err)
			return bad
		},
	}
}

// Rollups are the rows of one rollup level: rollup id, window start. Of the messages with
// one id the one of the highest flow.Rollup.Version counts.
func Rollups(r dataset.RollupTable) Kind[flow.Rollup] {
	t := flow.RollupTable(r.Level, r.Fields, r.FieldKinds, r.Measures, r.MeasureKinds)
	return Kind[flow.Rollup]{
		Table: t,
		ID:    func(row *flow.Rollup) flow.ID { return row.ID(r.Fields) },
		Time:  func(row *flow.Rollup) flow.Time { return row.Window },
		Fail: func(stage string, row *flow.Rollup, err error) flow.Failure {
			data := string(flow.AppendRow(nil, t, row))
			return flow.Failure{Stage: stage, Reason: flow.ReasonRejected, Error: flow.ErrorText(err),
				Data: data, Size: int64(len(data)), Format: t.Name, SourceTime: row.Window, Version: flow.Version}
		},
	}
}

// CheckRollups says whether a batch has the rows of the table: their values go by position.
func CheckRollups(in *flow.RollupBatch, r dataset.RollupTable) error {
	if len(in.Rows) > 0 && (in.Level != r.Level || !slices.Equal(in.Fields, r.Fields) || !slices.Equal(in.Measures, r.Measures)) {
		return fmt.Errorf("rollup rows of level %s by %v with %v, the table has level %s by %v with %v",
			in.Level, in.Fields, in.Measures, r.Level, r.Fields, r.Measures)
	}
	return nil
}

// Text returns a function that appends the text of a column, nothing where it is absent.
// It allocates for objects, bytes and derived columns alone.
func Text[T any](t *flow.Table[T], column string) (func([]byte, *T) []byte, error) {
	c, ok := t.Column(column)
	if !ok {
		return nil, fmt.Errorf("%s has no column %q", t.Name, column)
	}
	if c.Ref == nil {
		return func(b []byte, row *T) []byte { return append(b, c.Derive(row).String()...) }, nil
	}
	return func(b []byte, row *T) []byte {
		switch p := c.Ref(row).(type) {
		case *string:
			return append(b, *p...)
		case *flow.ID:
			if p.IsZero() {
				return b
			}
			return flow.AppendID(b, *p)
		case *flow.IP:
			if !p.OK() {
				return b
			}
			return p.Append(b)
		case *flow.Int:
			if !p.OK {
				return b
			}
			return strconv.AppendInt(b, p.V, 10)
		}
		return append(b, c.Get(row).String()...)
	}, nil
}
