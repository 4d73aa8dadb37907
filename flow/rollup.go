package flow

import (
	"encoding/base64"
	"time"
)

// Rollup is one row of a rollup: what happened in one window for one group.
type Rollup struct {
	Window   Time // the window's start
	Length   time.Duration
	Records  int64   // records in the group: a corrected row has more
	Revision int64   // of the replacement that the row was computed in, 0 where nothing was replaced
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

// Version tells which of two rows with one id is the newer: the one of the later replacement,
// and of one the one with more records. A row of no records takes the group back: what was in
// it is elsewhere now, or nowhere.
func (r *Rollup) Version() int64 { return RollupVersion(r.Revision, r.Records) }

// RollupVersion is [Rollup.Version] of its two columns.
func RollupVersion(revision, records int64) int64 { return revision<<rollupRecordsBits | records }

// rollupRecordsBits is what a group's records have of a version: 10^12 of them.
const rollupRecordsBits = 40

// MaxRevision is the highest revision that a replacement may have.
const MaxRevision = 1<<(63-rollupRecordsBits) - 1

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
		{Num: 4, Name: "records", Kind: KindInt, Required: true, ECS: "flowbeam.records", Doc: "Records in the group. Of two rows with one rollup_id and revision the one with more records is the newer. 0: the group is no more.", Ref: func(r *Rollup) any { return &r.Records }},
		{Num: 5, Name: "revision", Kind: KindInt, ECS: "flowbeam.revision", Doc: "Revision of the replacement that the row was computed in, if there was one. Of two rows with one rollup_id the one with the higher revision is the newer.", Derive: func(r *Rollup) (v Value) {
			if r.Revision != 0 { // tables that know nothing of it take the others
				v = IntValue(r.Revision)
			}
			return v
		}},
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
