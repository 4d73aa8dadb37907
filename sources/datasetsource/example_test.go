package datasetsource_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/flowtest"
	"github.com/flowbeam/flowbeam/internal/dataset"
	"github.com/flowbeam/flowbeam/sinks/filesink"
	"github.com/flowbeam/flowbeam/sources/datasetsource"
)

// Read back what is stored, each record once, though its bucket is named twice.
func ExampleRead() {
	dir, _ := os.MkdirTemp("", "flows")
	defer os.RemoveAll(dir)
	records := flowtest.Records(100, 1)
	// In a pipeline filesink.Write does this.
	w, _ := dataset.Open(context.Background(), dataset.Records(), dataset.Config{Dir: dir, Want: dataset.WantRecords(), Format: dataset.NDJSON})
	b := w.NewBundle()
	for i := range records {
		b.Add(context.Background(), &records[i])
	}
	b.Flush(context.Background())

	names, err := datasetsource.Buckets(dir)
	fmt.Println(names, err)
	p, s := beam.NewPipelineWithRoot()
	batches := datasetsource.Read(s, beam.CreateList(s, append(names, names...)), dir)
	flowtest.Equal(s, batches, records)
	fmt.Println(ptest.Run(p))
	// Output:
	// [2026-01-02T03:00:00Z] <nil>
	// <nil>
}

// Four records are stored. A corrected parser reads the raw records of three of them again: one
// stays where it was, one has another time, one is no record. What it leaves is read, for the
// rollups, before the files are pruned.
func ExampleSuperseded() {
	dir, _ := os.MkdirTemp("", "flows")
	defer os.RemoveAll(dir)
	records := flowtest.Records(4, 1)
	raw := flow.RawBatch{Origin: flow.Origin{Source: "conn.log"}}
	w, _ := dataset.Open(context.Background(), dataset.Records(), dataset.Config{Dir: dir, Want: dataset.WantRecords(), Format: dataset.NDJSON})
	b := w.NewBundle()
	for i := range records {
		r := &records[i]
		r.Revision, r.Position = 0, flow.Position{Source: "conn.log", Offset: flow.N(int64(i) * 100)}
		raw.Records = append(raw.Records, flow.Raw{Offset: r.Position.Offset, Time: r.Received})
		b.Add(context.Background(), r)
	}
	b.Flush(context.Background())
	raw.Records = raw.Records[:3]
	again := []flow.Record{records[0], records[1]}
	again[1].EventTime = again[1].EventTime.Add(time.Hour)

	p, s := beam.NewPipelineWithRoot()
	old := datasetsource.Superseded(s, dir, beam.Create(s, raw), beam.Create(s, flow.Batch{Records: again}), 1)
	flowtest.Equal(s, datasetsource.ReadRevised(s, old.Buckets, dir, old, 1), records[3:])
	passert.Equals(s, old.Counts, flow.Count{Stage: "replace", Name: "in_place", N: 1},
		flow.Count{Stage: "replace", Name: "moved", N: 1}, flow.Count{Stage: "replace", Name: "gone", N: 1})
	fmt.Println(ptest.Run(p))
	// Output:
	// <nil>
}

// The newest rows of a level of rollups.
func ExampleReadRollups() {
	dir, _ := os.MkdirTemp("", "rollup_1m")
	defer os.RemoveAll(dir)
	table := flow.RollupTable("1m", []string{"user_id"}, []flow.Kind{flow.KindString}, []string{"flows"}, []flow.Kind{flow.KindInt})
	row := func(records int64) flow.RollupBatch {
		return flow.RollupBatch{Level: "1m", Fields: []string{"user_id"}, Measures: []string{"flows"}, Rows: []flow.Rollup{{
			Window: flow.TimeOf(flowtest.Start).Truncate(time.Minute), Length: time.Minute, Records: records,
			Group: []flow.Value{flow.StringValue("user1")}, Measures: []flow.Value{flow.IntValue(records)},
		}}}
	}
	for _, n := range []int64{3, 5} {
		p, s := beam.NewPipelineWithRoot()
		filesink.WriteRollups(s, beam.Create(s, row(n)), dir, table)
		if err := ptest.Run(p); err != nil {
			fmt.Println(err)
		}
	}
	p, s := beam.NewPipelineWithRoot()
	passert.Equals(s, datasetsource.ReadRollups(s, beam.Create(s, "2026-01-02T03:00:00Z"), dir, table), row(5))
	fmt.Println(ptest.Run(p))
	// Output:
	// <nil>
}

// The dead letters of a run, to look at or to try again.
func ExampleReadFailures() {
	dir, _ := os.MkdirTemp("", "dead_letters")
	defer os.RemoveAll(dir)
	failure := flow.Failure{
		Stage: "parse", Reason: flow.ReasonSyntax, Error: "unexpected end", Data: `{"src`, Size: 5, Format: "canopus",
		Position: flow.Position{Source: "a.ndjson", Offset: flow.N(712)}, SourceTime: flow.TimeOf(flowtest.Start), Version: flow.Version,
	}
	// In a pipeline filesink.WriteFailures does this.
	w, _ := dataset.Open(context.Background(), dataset.Failures(), dataset.Config{Dir: dir, Want: dataset.WantFailures(), Format: dataset.NDJSON})
	b := w.NewBundle()
	b.Add(context.Background(), &failure)
	b.Flush(context.Background())

	names, err := datasetsource.Buckets(dir)
	fmt.Println(names, err)
	p, s := beam.NewPipelineWithRoot()
	failures := datasetsource.ReadFailures(s, beam.CreateList(s, names), dir)
	flowtest.EqualFailures(s, failures, []flow.Failure{failure})
	fmt.Println(ptest.Run(p))
	// Output:
	// [2026-01-02T00:00:00Z] <nil>
	// <nil>
}

// The raw backup, read back into the records that the source gave.
func ExampleReadRaw() {
	dir, _ := os.MkdirTemp("", "raw")
	defer os.RemoveAll(dir)
	raw := flow.RawBatch{
		Origin:  flow.Origin{Source: "conn.log", Format: "zeek", DataCenter: "fra"},
		Records: []flow.Raw{{Data: []byte("1\t2\t3"), Offset: flow.N(120), Time: flow.TimeOf(flowtest.Start)}},
	}
	// In a pipeline filesink.WriteRaw does this.
	w, _ := dataset.Open(context.Background(), dataset.Raw(), dataset.Config{Dir: dir, Want: dataset.WantRaw(), Format: dataset.Parquet})
	b := w.NewBundle()
	row := dataset.RawRowOf(&raw, 0)
	b.Add(context.Background(), &row)
	b.Flush(context.Background())

	names, err := datasetsource.Buckets(dir)
	fmt.Println(names, err)
	p, s := beam.NewPipelineWithRoot()
	back := datasetsource.ReadRaw(s, beam.CreateList(s, names), dir)
	passert.Equals(s, back, raw)
	fmt.Println(ptest.Run(p))
	// Output:
	// [2026-01-02T03:00:00Z] <nil>
	// <nil>
}
