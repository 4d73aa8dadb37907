package dataset

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flowbeam/flowbeam/flow"
)

// Records keeps flow records, by event time.
func Records() Spec[flow.Record] {
	return Spec[flow.Record]{
		Table: &flow.Records,
		ID:    func(r *flow.Record) flow.ID { return r.ID },
		Time:  func(r *flow.Record) flow.Time { return r.EventTime },
	}
}

// RevisedRecords is [Records] of which the highest revision counts: a replacement is a row of its
// own until what it replaces is pruned.
func RevisedRecords() Spec[flow.Record] {
	s := Records()
	s.Version = func(r *flow.Record) int64 { return r.Revision }
	s.VersionColumns = []string{"revision"}
	return s
}

// Failures keeps dead letters by the time of their source: their own is not to be trusted.
func Failures() Spec[flow.Failure] {
	return Spec[flow.Failure]{
		Table:       &flow.Failures,
		ID:          func(f *flow.Failure) flow.ID { return f.ID() },
		Time:        func(f *flow.Failure) flow.Time { return f.SourceTime },
		KeepUnknown: true,
		SetDerived: map[string]func(*flow.Failure, flow.Value) error{
			"data": func(f *flow.Failure, v flow.Value) error { f.Data = v.Str; return nil },
			"data_base64": func(f *flow.Failure, v flow.Value) error {
				b, err := base64.StdEncoding.DecodeString(v.Str)
				f.Data = string(b)
				return err
			},
		},
	}
}

// RollupTable is a rollup's table in a form that travels to workers; flow.RollupTable
// makes the table of it.
type RollupTable struct {
	Level                    string
	Fields, Measures         []string
	FieldKinds, MeasureKinds []flow.Kind
}

// RollupTableOf takes a table that flow.RollupTable made apart again.
func RollupTableOf(t *flow.Table[flow.Rollup]) (RollupTable, error) {
	level, ok := strings.CutPrefix(t.Name, "rollup_")
	if !ok {
		return RollupTable{}, fmt.Errorf("table %q was not made by flow.RollupTable", t.Name)
	}
	r := RollupTable{Level: level}
	for i := range t.Columns {
		switch c := &t.Columns[i]; {
		case c.Num >= 1000:
			r.Measures, r.MeasureKinds = append(r.Measures, c.Name), append(r.MeasureKinds, c.Kind)
		case c.Num >= 100:
			r.Fields, r.FieldKinds = append(r.Fields, c.Name), append(r.FieldKinds, c.Kind)
		}
	}
	return r, nil
}

// Rollups keeps the rows of one rollup level by their windows; of one window and group
// the row of the highest flow.Rollup.Version counts.
func Rollups(r RollupTable) Spec[flow.Rollup] {
	fields := slices.Clone(r.Fields)
	set := map[string]func(*flow.Rollup, flow.Value) error{
		"revision": func(row *flow.Rollup, v flow.Value) error {
			row.Revision = v.Int
			return nil
		},
		"window_end": func(row *flow.Rollup, v flow.Value) error {
			t, err := TimeOf(v)
			row.Length = time.Duration(t - row.Window)
			return err
		},
	}
	for i, f := range r.Fields {
		set[f] = func(row *flow.Rollup, v flow.Value) (err error) {
			row.Group[i], err = typed(v, r.FieldKinds[i])
			return err
		}
	}
	for i, m := range r.Measures {
		set[m] = func(row *flow.Rollup, v flow.Value) (err error) {
			row.Measures[i], err = typed(v, r.MeasureKinds[i])
			return err
		}
	}
	return Spec[flow.Rollup]{
		Init: func(row *flow.Rollup) {
			row.Group, row.Measures = make([]flow.Value, len(r.Fields)), make([]flow.Value, len(r.Measures))
		},
		SetDerived:     set,
		Table:          flow.RollupTable(r.Level, r.Fields, r.FieldKinds, r.Measures, r.MeasureKinds),
		ID:             func(row *flow.Rollup) flow.ID { return row.ID(fields) },
		Time:           func(row *flow.Rollup) flow.Time { return row.Window },
		Version:        func(row *flow.Rollup) int64 { return row.Version() },
		VersionColumns: []string{"revision", "records"},
	}
}

// typed is a value as a rollup holds it: times that a reader left as text are read.
func typed(v flow.Value, kind flow.Kind) (flow.Value, error) {
	if kind != flow.KindTime {
		return v, nil
	}
	t, err := TimeOf(v)
	return flow.TimeValue(t), err
}

// TimeOf is a value as a time, which some formats give as text.
func TimeOf(v flow.Value) (flow.Time, error) {
	if v.Kind != flow.KindString {
		return flow.Time(v.Int), nil
	}
	t, err := time.Parse(time.RFC3339Nano, v.Str)
	return flow.TimeOf(t), err
}

// WantRecords, WantFailures, WantRollups and WantRaw are what their datasets ask for
// where no option says more.
func WantRecords() Want {
	return Want{Table: flow.Records.Name, Time: "event_time", DefaultBucket: time.Hour}
}

// WantFailures: see WantRecords.
func WantFailures() Want {
	return Want{Table: flow.Failures.Name, Time: "source_time", DefaultBucket: 24 * time.Hour}
}

// WantRollups: see WantRecords.
func WantRollups(r RollupTable) Want {
	return Want{Table: "rollup_" + r.Level, Time: "window_start", Group: r.Fields, Measures: r.Measures, DefaultBucket: time.Hour}
}

// WantRaw: see WantRecords.
func WantRaw() Want {
	return Want{Table: RawTable.Name, Time: "source_time", DefaultBucket: time.Hour}
}
