package bigquerysink_test

import (
	"fmt"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/sinks/bigquerysink"
)

// Every problem is told before a job starts.
func ExampleValidate() {
	fmt.Println(bigquerysink.Validate("acme.flows", bigquerysink.RequestBytes(64<<20)))
	// Output:
	// RequestBytes: 67108864: want 1 to 9500000
	// table "acme.flows": has one dot: want project.dataset.table
}

func ExampleWrite() {
	_, s := beam.NewPipelineWithRoot()
	batches := beam.Create(s, flow.Batch{})
	r := bigquerysink.Write(s, batches, "acme.net.flows", bigquerysink.InFlight(8), bigquerysink.Retry(time.Second, time.Minute, 10*time.Minute))
	bigquerysink.WriteFailures(s, r.Failures, "acme.net.dead_letters")
	fmt.Println(r.Counts.IsValid())
	// Output:
	// true
}

func ExampleWriteRollups() {
	table := flow.RollupTable("1m", []string{"user_id"}, []flow.Kind{flow.KindString}, []string{"flows"}, []flow.Kind{flow.KindInt})
	_, s := beam.NewPipelineWithRoot()
	rows := beam.Create(s, flow.RollupBatch{})
	r := bigquerysink.WriteRollups(s, rows, "acme.net.rollup_1m", table)
	fmt.Println(r.Counts.IsValid())
	// Output:
	// true
}

func ExampleWriteFailures() {
	_, s := beam.NewPipelineWithRoot()
	failures := beam.Create(s, flow.FailureBatch{})
	r := bigquerysink.WriteFailures(s, failures, "acme.net.dead_letters")
	fmt.Println(r.Failures.IsValid())
	// Output:
	// true
}

func ExampleLoad() {
	_, s := beam.NewPipelineWithRoot()
	touched := beam.Create(s, "2026-01-02T03:00:00Z") // of filesink.Write
	counts := bigquerysink.Load(s, touched, "gs://acme-flows/flows", "acme.net.flows")
	fmt.Println(counts.IsValid())
	// Output:
	// true
}

func ExampleLoadOn() {
	_, s := beam.NewPipelineWithRoot()
	ticks := beam.Create(s, []byte{}) // of periodic.Impulse
	counts := bigquerysink.LoadOn(s, ticks, "gs://acme-flows/flows", "acme.net.flows", bigquerysink.Every(5*time.Minute))
	fmt.Println(counts.IsValid())
	// Output:
	// true
}

// After a replacement of revision 3 was written: what it put to other times, and what it has no
// more, goes.
func ExampleRemoveMoved() {
	_, s := beam.NewPipelineWithRoot()
	moved, gone := beam.Create(s, flow.Batch{}), beam.Create(s, flow.Batch{}) // of datasetsource.Superseded
	counts := bigquerysink.RemoveMoved(s, moved, "acme.net.flows", 3)
	fmt.Println(counts.IsValid(), bigquerysink.Remove(s, gone, "acme.net.flows", 3).IsValid())
	// Output:
	// true true
}

func ExampleInstall() {
	flows := bigquerysink.FlowsTable("flows")
	flows.Partition, flows.Expiry, flows.RequireFilter = "day", 90*24*time.Hour, true
	c := bigquerysink.Config{Project: "acme", Dataset: "net", Location: "EU", Tables: []bigquerysink.Table{flows, bigquerysink.FailuresTable("dead letters")}}
	fmt.Println(c.Validate())
	// Output:
	// table "dead letters": not the name of a table
}
