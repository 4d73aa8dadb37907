package datasetsource_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/flowtest"
	"github.com/flowbeam/flowbeam/internal/dataset"
	"github.com/flowbeam/flowbeam/sinks/filesink"
	"github.com/flowbeam/flowbeam/sources/datasetsource"
)

func init() {
	register.Function2x0(eachRecord)
	register.Function2x0(eachCount)
	register.Function2x0(eachRow)
	register.Emitter1[string]()
}

func eachRecord(b flow.Batch, emit func(string)) {
	for _, r := range b.Records {
		emit(fmt.Sprint(r.ID, " ", r.EventTime))
	}
}

func eachCount(c flow.Count, emit func(string)) { emit(fmt.Sprint(c.Name, " ", c.N)) }

func eachRow(b flow.RollupBatch, emit func(string)) {
	for _, r := range b.Rows {
		emit(fmt.Sprint(r.Group[0].Str, " ", r.Revision, " ", r.Records))
	}
}

// A replacement that read the raw records of 200 stored ones, and finds 190 records in them: 150
// where they were, 40 at another time; and one more, of which another copy is stored.
func TestWhatAReplacementSupersedes(t *testing.T) {
	for _, format := range []dataset.Format{dataset.Parquet, dataset.NDJSON, dataset.CSV, dataset.Avro} {
		t.Run(string(format), func(t *testing.T) {
			dir := t.TempDir()
			all := hours()[:400]
			for i := range all {
				all[i].Position = flow.Position{Source: "flows", Partition: flow.N(int64(i % 3)), Offset: flow.N(int64(i))}
				all[i].Received = flow.TimeOf(flowtest.Start).Add(time.Duration(i) * time.Second)
				all[i].Revision = 1
			}
			all[399].Revision = 2 // is of the replacement already
			want := dataset.WantRecords()
			want.Shards = 4
			write(t, dir, dataset.Records(), want, format, all)

			var raw flow.RawBatch
			raws := map[int64]*flow.RawBatch{}
			for i := range 200 {
				p := all[i].Position
				b := raws[p.Partition.V]
				if b == nil {
					b = &flow.RawBatch{Origin: flow.Origin{Source: p.Source, Partition: p.Partition}}
					raws[p.Partition.V] = b
				}
				b.Records = append(b.Records, flow.Raw{Offset: p.Offset, Time: all[i].Received})
			}
			// At the place of a stored one, and of another time: a topic that was made anew.
			raw.Origin = flow.Origin{Source: "flows", Partition: flow.N(250 % 3)}
			raw.Records = []flow.Raw{{Offset: flow.N(250), Time: all[250].Received.Add(time.Hour)}}
			batches := []flow.RawBatch{raw}
			for _, b := range raws {
				batches = append(batches, *b)
			}
			var again []flow.Record
			for i := range 190 {
				r := all[i]
				if r.Revision = 2; i >= 150 {
					r.EventTime = r.EventTime.Add(5 * time.Hour)
				}
				again = append(again, r)
			}
			copied := all[300]
			copied.Revision, copied.EventTime = 2, copied.EventTime.Add(time.Minute)
			again = append(again, copied)

			p, s := beam.NewPipelineWithRoot()
			old := datasetsource.Superseded(s, dir, beam.CreateList(s, batches), beam.Create(s, flow.Batch{Records: again}), 2)
			named := func(records ...flow.Record) (out []any) {
				for _, r := range records {
					out = append(out, fmt.Sprint(r.ID, " ", r.EventTime))
				}
				return out
			}
			passert.Equals(s, beam.ParDo(s, eachRecord, old.Moved), named(append(all[150:190:190], all[300])...)...)
			passert.Equals(s, beam.ParDo(s, eachRecord, old.Gone), named(all[190:200]...)...)

			// What is left is what was not superseded: the replacement is not stored here.
			buckets := beam.Create(s, "2026-01-02T03:00:00Z")
			left := append(append([]flow.Record{}, all[200:300]...), all[301:]...)
			passert.Equals(s, beam.ParDo(s, eachRecord, datasetsource.ReadRevised(s, buckets, dir, old, 2)), named(left...)...)
			ptest.RunAndValidate(t, p)

			p, s = beam.NewPipelineWithRoot()
			old = datasetsource.Superseded(s, dir, beam.CreateList(s, batches), beam.Create(s, flow.Batch{Records: again}), 2)
			pruned := filesink.Prune(s, old.IDs, dir, 2, old.Counts)
			beam.ParDo(s, eachCount, pruned)
			ptest.RunAndValidate(t, p)
			p, s = beam.NewPipelineWithRoot()
			passert.Equals(s, beam.ParDo(s, eachRecord, datasetsource.Read(s, beam.Create(s, "2026-01-02T03:00:00Z"), dir)), named(left...)...)
			ptest.RunAndValidate(t, p)
		})
	}
}

func TestRollupsAreReadByTheirNewestRow(t *testing.T) {
	dir := t.TempDir()
	table := flow.RollupTable("1h", []string{"user_id"}, []flow.Kind{flow.KindString}, []string{"flows"}, []flow.Kind{flow.KindInt})
	rt, err := dataset.RollupTableOf(table)
	if err != nil {
		t.Fatal(err)
	}
	row := func(user string, revision, records int64) flow.Rollup {
		return flow.Rollup{Window: flow.TimeOf(flowtest.Start).Truncate(time.Hour), Length: time.Hour, Records: records, Revision: revision,
			Group: []flow.Value{flow.StringValue(user)}, Measures: []flow.Value{flow.IntValue(records)}}
	}
	for _, rows := range [][]flow.Rollup{{row("a", 0, 5), row("b", 0, 9)}, {row("a", 0, 7), row("b", 2, 4)}, {row("c", 1, 3)}, {row("c", 2, 0), row("b", 0, 11)}} {
		write(t, dir, dataset.Rollups(rt), dataset.WantRollups(rt), dataset.Parquet, rows)
	}
	p, s := beam.NewPipelineWithRoot()
	passert.Equals(s, beam.ParDo(s, eachRow, datasetsource.ReadRollups(s, beam.Create(s, "2026-01-02T03:00:00Z"), dir, table)), "a 0 7", "b 2 4", "c 2 0")
	ptest.RunAndValidate(t, p)
}
