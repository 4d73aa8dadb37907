package flow

import (
	"encoding/base64"
	"time"
)

// Rollup is one row of a rollup: what happened in one window for one group.
type Rollup struct {
	Window   Time // the window's start
	Length   time.Duration
	Records  int64   // records in the group: a corrected row has more, so it doubles as version
	Group    []Value // as RollupBatch.Fields
	Measures []Value // as RollupBatch.Measures
}

// RollupBatch is rows of one level: the element of a PCollection<flow.RollupBatch>. All
// rows have the same fields and measures.
type RollupBatch struct {
	Level    string   // 1m, 5m, 1h or session
	Fields   []string // the columns of Records that the rows are grouped by
	Measures []string // names of the measure columns, as rollup_… tables have them
	Rows     []Rollup
}

// ID is a row's key: a hash of window, length and group. It does not depend on the
// measures, so a corrected row replaces the one before it.
func (r *Rollup) ID(fields []string) ID {
	var e encoder
	e.i64(int64(r.Window))
	e.i64(int64(r.Length))
	for i := range r.Group {
		e.str(fields[i])
		e.value(&r.Group[i])
	}
	return NewID("rollup", e.b)
}

// RollupTable is the table of one level's rows. kinds are the kinds of the group fields
// and of the measures.
func RollupTable(level string, fields []string, fieldKinds []Kind, measures []string, measureKinds []Kind) *Table[Rollup] {
	t := &Table[Rollup]{Name: "rollup_" + level, Columns: []Column[Rollup]{
		{Num: 1, Name: "rollup_id", Kind: KindID, Required: true, ECS: "event.id", Doc: "Hash of window and group.", Derive: func(r *Rollup) Value { return Value{Kind: KindID, Str: r.ID(fields).String()} }},
		{Num: 2, Name: "window_start", Kind: KindTime, Required: true, ECS: "@timestamp", Doc: "Start of the window.", Ref: func(r *Rollup) any { return &r.Window }},
		{Num: 3, Name: "window_end", Kind: KindTime, Required: true, ECS: "event.end", Doc: "End of the window, exclusive.", Derive: func(r *Rollup) Value { return TimeValue(r.Window.Add(r.Length)) }},
		{Num: 4, Name: "records", Kind: KindInt, Required: true, ECS: "flowbeam.records", Doc: "Records in the group. Of two rows with one rollup_id the one with more records is the newer.", Ref: func(r *Rollup) any { return &r.Records }},
	}}
	for i, f := range fields {
		t.Columns = append(t.Columns, Column[Rollup]{Num: 100 + i, Name: f, Kind: fieldKinds[i], Doc: "Group field: see flows." + f + ".", ECS: ecsOf(f), Derive: func(r *Rollup) Value { return r.Group[i] }})
	}
	for i, m := range measures {
		t.Columns = append(t.Columns, Column[Rollup]{Num: 1000 + i, Name: m, Kind: measureKinds[i], Doc: "Measure.", ECS: "flowbeam." + m, Derive: func(r *Rollup) Value { return r.Measures[i] }})
	}
	return t
}

func ecsOf(field string) string {
	if c, ok := Records.Column(field); ok {
		return c.ECS
	}
	return "flowbeam." + field
}

func base64Text(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
