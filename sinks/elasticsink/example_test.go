package elasticsink_test

import (
	"context"
	"fmt"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/flowtest"
	"github.com/flowbeam/flowbeam/sinks/elasticsink"
)

// The same job twice: the second run finds all records there.
func ExampleWrite() {
	address, show, stop := elasticsink.StartServer()
	defer stop()

	for range 2 {
		p, s := beam.NewPipelineWithRoot()
		batches := beam.Create(s, flow.Batch{Records: flowtest.Records(1000, 1)})
		elasticsink.Write(s, batches, elasticsink.Cluster{Addresses: []string{address}}, elasticsink.Namespace("prod"))
		if err := ptest.Run(p); err != nil {
			fmt.Println(err)
		}
	}
	show()
	// Output:
	// flowbeam-flow-prod-2026.01.02 1000
}

// Records that a replacement has no more go, if they are of a lower revision.
func ExampleRemove() {
	address, show, stop := elasticsink.StartServer()
	defer stop()

	cluster := elasticsink.Cluster{Addresses: []string{address}}
	records := flowtest.Records(1000, 1)
	for i := range records {
		records[i].Revision = int64(i % 2)
	}
	p, s := beam.NewPipelineWithRoot()
	elasticsink.Write(s, beam.Create(s, flow.Batch{Records: records}), cluster, elasticsink.Namespace("prod"))
	if err := ptest.Run(p); err != nil {
		fmt.Println(err)
	}
	p, s = beam.NewPipelineWithRoot()
	gone := beam.Create(s, flow.Batch{Records: records[:100]}) // of datasetsource.Superseded
	elasticsink.Remove(s, gone, cluster, 1, elasticsink.Namespace("prod"))
	fmt.Println(ptest.Run(p))
	show()
	// Output:
	// <nil>
	// flowbeam-flow-prod-2026.01.02 950
}

func ExampleWriteRollups() {
	address, show, stop := elasticsink.StartServer()
	defer stop()

	table := flow.RollupTable("1m", []string{"user_id"}, []flow.Kind{flow.KindString}, []string{"flows"}, []flow.Kind{flow.KindInt})
	p, s := beam.NewPipelineWithRoot()
	rows := beam.Create(s, flow.RollupBatch{Level: "1m", Fields: []string{"user_id"}, Measures: []string{"flows"}, Rows: []flow.Rollup{{
		Window: flow.TimeOf(flowtest.Start).Truncate(time.Minute), Length: time.Minute, Records: 3,
		Group: []flow.Value{flow.StringValue("user1")}, Measures: []flow.Value{flow.IntValue(3)},
	}}})
	elasticsink.WriteRollups(s, rows, elasticsink.Cluster{Addresses: []string{address}}, table)
	fmt.Println(ptest.Run(p))
	show()
	// Output:
	// <nil>
	// flowbeam-rollup-1m-default-2026.01.02 1
}

func ExampleWriteFailures() {
	address, show, stop := elasticsink.StartServer()
	defer stop()

	p, s := beam.NewPipelineWithRoot()
	failures := beam.Create(s, flow.FailureBatch{Failures: []flow.Failure{{
		Stage: "parse", Reason: flow.ReasonSyntax, Error: "unexpected end", Data: `{"src`,
		Position: flow.Position{Source: "a.ndjson", Offset: flow.N(712)}, SourceTime: flow.TimeOf(flowtest.Start),
	}}})
	elasticsink.WriteFailures(s, failures, elasticsink.Cluster{Addresses: []string{address}})
	fmt.Println(ptest.Run(p))
	show()
	// Output:
	// <nil>
	// flowbeam-dead-letters-default-2026.01.02 1
}

func ExampleInstall() {
	address, _, stop := elasticsink.StartServer()
	defer stop()

	done, err := elasticsink.Install(context.Background(), elasticsink.Cluster{Addresses: []string{address}},
		elasticsink.Templates{Namespace: "prod", Shards: 3, Keep: 30 * 24 * time.Hour})
	if err != nil {
		fmt.Println(err)
	}
	for _, d := range done[:3] {
		fmt.Println(d)
	}
	// Output:
	// policy flowbeam-flow-prod: created
	// component template flowbeam-flow-prod-mappings: created
	// index template flowbeam-flow-prod: created
}
