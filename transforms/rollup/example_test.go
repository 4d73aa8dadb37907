package rollup_test

import (
	"context"
	"fmt"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/transforms/rollup"
)

func init() { register.Function1x0(printRows) }

func printRows(b flow.RollupBatch) {
	for i := range b.Rows {
		r := &b.Rows[i]
		fmt.Println(b.Level, r.Window, r.Group, r.Measures)
	}
}

var start = flow.TimeOf(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))

var records = []flow.Record{
	{EventTime: start.Add(10 * time.Second), UserID: "ann", Source: flow.Endpoint{Bytes: flow.N(100)}},
	{EventTime: start.Add(70 * time.Second), UserID: "ann", Source: flow.Endpoint{Bytes: flow.N(20)}},
	{EventTime: start.Add(20 * time.Second), UserID: "bob"},
	{EventTime: start.Add(30 * time.Second), UserID: "ann", Source: flow.Endpoint{Bytes: flow.N(3)}},
}

func ExampleBy() {
	p, s := beam.NewPipelineWithRoot()
	batches := beam.Create(s, flow.Batch{Records: records})
	levels, _ := rollup.By(s, batches,
		rollup.Fields("user_id"),
		rollup.Measures("flows", "source_bytes"),
		rollup.Every(time.Hour),
		rollup.Shards(1),
		rollup.Bounded())
	beam.ParDo0(s, printRows, levels[0].Rows)
	if _, err := prism.Execute(context.Background(), p); err != nil {
		panic(err)
	}
	// Output:
	// 1h 2026-03-01T12:00:00Z [ann] [3 123]
	// 1h 2026-03-01T12:00:00Z [bob] [1 ]
}

func ExampleAccumulator() {
	acc, err := rollup.NewAccumulator([]string{"user_id"}, []string{"flows", "source_bytes"}, []time.Duration{time.Minute, time.Hour})
	if err != nil {
		panic(err)
	}
	for i := range records {
		acc.Add(&records[i])
	}
	for batch := range acc.Rows(time.Minute) {
		printRows(batch)
	}
	// Output:
	// 1m 2026-03-01T12:00:00Z [ann] [2 103]
	// 1m 2026-03-01T12:00:00Z [bob] [1 ]
	// 1m 2026-03-01T12:01:00Z [ann] [1 20]
}
