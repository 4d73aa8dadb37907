package filesink_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/flowtest"
	"github.com/flowbeam/flowbeam/sinks/filesink"
)

// show prints the files below dir.
func show(dir string) {
	fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			fmt.Println(path)
		}
		return err
	})
}

// The same job twice: the second run finds all records there.
func ExampleWrite() {
	dir, _ := os.MkdirTemp("", "flows")
	defer os.RemoveAll(dir)

	for range 2 {
		p, s := beam.NewPipelineWithRoot()
		batches := beam.Create(s, flow.Batch{Records: flowtest.Records(1000, 1)})
		filesink.Write(s, batches, filepath.Join(dir, "flows"),
			filesink.Partition("tenant"), filesink.Format("parquet"), filesink.Compression("zstd"))
		if err := ptest.Run(p); err != nil {
			fmt.Println(err)
		}
	}
	show(dir)
	// Output:
	// flows/_layout.json
	// flows/dt=2026-01-02/hour=03/tenant=tenant1/shard-0/part-000001.parquet
}

func ExampleWriteFailures() {
	dir, _ := os.MkdirTemp("", "dead_letters")
	defer os.RemoveAll(dir)

	p, s := beam.NewPipelineWithRoot()
	failures := beam.Create(s, flow.FailureBatch{Failures: []flow.Failure{{
		Stage: "parse", Reason: flow.ReasonSyntax, Error: "unexpected end", Data: `{"src`,
		Position: flow.Position{Source: "a.ndjson", Offset: flow.N(712)}, SourceTime: flow.TimeOf(flowtest.Start),
	}}})
	filesink.WriteFailures(s, failures, dir)
	fmt.Println(ptest.Run(p))
	show(dir)
	// Output:
	// <nil>
	// _layout.json
	// dt=2026-01-02/shard-0/part-000001.ndjson.gz
}

func ExampleWriteRollups() {
	dir, _ := os.MkdirTemp("", "rollup_1m")
	defer os.RemoveAll(dir)

	table := flow.RollupTable("1m", []string{"user_id"}, []flow.Kind{flow.KindString}, []string{"flows"}, []flow.Kind{flow.KindInt})
	p, s := beam.NewPipelineWithRoot()
	rows := beam.Create(s, flow.RollupBatch{Level: "1m", Fields: []string{"user_id"}, Measures: []string{"flows"}, Rows: []flow.Rollup{{
		Window: flow.TimeOf(flowtest.Start).Truncate(time.Minute), Length: time.Minute, Records: 3,
		Group: []flow.Value{flow.StringValue("user1")}, Measures: []flow.Value{flow.IntValue(3)},
	}}})
	filesink.WriteRollups(s, rows, dir, table, filesink.Bucket(24*time.Hour))
	fmt.Println(ptest.Run(p))
	show(dir)
	// Output:
	// <nil>
	// _layout.json
	// dt=2026-01-02/shard-0/part-000001.parquet
}

func ExampleWriteRaw() {
	dir, _ := os.MkdirTemp("", "raw")
	defer os.RemoveAll(dir)

	p, s := beam.NewPipelineWithRoot()
	raw := beam.Create(s, flow.RawBatch{
		Origin:  flow.Origin{Source: "conn.log", Format: "zeek", DataCenter: "dc1"},
		Records: []flow.Raw{{Data: []byte("1\t2\t3"), Offset: flow.N(120), Time: flow.TimeOf(flowtest.Start)}},
	})
	filesink.WriteRaw(s, raw, dir, filesink.Format("avro"))
	fmt.Println(ptest.Run(p))
	show(dir)
	// Output:
	// <nil>
	// _layout.json
	// dt=2026-01-02/hour=03/shard-0/part-000001.avro
}

// A replacement of revision 1 is written beside what it replaces, which then goes.
func ExamplePrune() {
	dir, _ := os.MkdirTemp("", "flows")
	defer os.RemoveAll(dir)
	records := flowtest.Records(100, 1)
	ids := ""
	for i := range records {
		records[i].Revision, records[i].EventTime = 0, flow.TimeOf(flowtest.Start)
		ids += string(records[i].ID[:])
	}
	p, s := beam.NewPipelineWithRoot()
	filesink.Write(s, beam.Create(s, flow.Batch{Records: records}), dir)
	if err := ptest.Run(p); err != nil {
		fmt.Println(err)
	}
	again := slices.Clone(records)
	for i := range again {
		again[i].Revision = 1
	}
	p, s = beam.NewPipelineWithRoot()
	w := filesink.Write(s, beam.Create(s, flow.Batch{Records: again}), dir, filesink.Replace())
	old := beam.ParDo(s, inOneShard, beam.Create(s, []byte(ids))) // as datasetsource.Superseded finds them
	counts := filesink.Prune(s, old, dir, 1, w.Counts)
	passert.Equals(s, counts, flow.Count{Stage: "replace", Name: "pruned", N: 100}, flow.Count{Stage: "replace", Name: "parts", N: 1})
	fmt.Println(ptest.Run(p))
	// Output:
	// <nil>
}

func init() { register.Function1x2(inOneShard) }

func inOneShard(ids []byte) (string, []byte) { return "2026-01-02T03:00:00Z 0", ids }
