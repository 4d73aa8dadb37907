package flowtest_test

import (
	"fmt"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/flowtest"
)

// bigFn keeps the records that carried more than Min bytes: a DoFn of one's own.
type bigFn struct{ Min int64 }

func init() { beam.RegisterDoFn(&bigFn{}) }

func (f *bigFn) ProcessElement(in flow.Batch, emit func(flow.Batch)) {
	var out flow.Batch
	for i := range in.Records {
		r := &in.Records[i]
		if r.Source.Bytes.Or(0)+r.Destination.Bytes.Or(0) > f.Min {
			out.Records = append(out.Records, *r)
		}
	}
	emit(out)
}

// A test of a pipeline: batches in, an assertion on what comes out.
func ExampleEqual() {
	small, large := flowtest.Record(flowtest.Bytes(10, 20)), flowtest.Record(flowtest.Bytes(10, 2000))

	p, s := beam.NewPipelineWithRoot()
	batches := beam.Create(s, flow.Batch{Records: []flow.Record{small, large}})
	flowtest.Equal(s, beam.ParDo(s, &bigFn{Min: 100}, batches), []flow.Record{large})

	fmt.Println(ptest.Run(p)) // in a test: ptest.RunAndValidate(t, p)
	// Output: <nil>
}

// A test of one DoFn in every way in which a runner may run its bundle: it fails where
// they leave other effects than running it once does.
func TestBigEveryWay(t *testing.T) {
	flowtest.EveryWay(t, func(t *testing.T, way flowtest.Way) *flowtest.Effects {
		h := flowtest.NewHarness(t, &bigFn{Min: 100}, way)
		out := h.Bundle(flow.Batch{Records: flowtest.Records(10, 1)}, flow.Batch{})
		if n := len(flowtest.Emitted[flow.Batch](out, 0)); n != 2 {
			t.Errorf("emitted %d batches, want 2", n)
		}
		return h.Effects()
	})
}

func ExampleNewHarness() {
	t := new(testing.T) // a test has its own
	small, large := flowtest.Record(flowtest.Bytes(10, 20)), flowtest.Record(flowtest.Bytes(10, 2000))
	for _, way := range flowtest.Ways {
		h := flowtest.NewHarness(t, &bigFn{Min: 100}, way)
		effects := h.Bundle(flow.Batch{Records: []flow.Record{small, large}})
		for _, batch := range flowtest.Emitted[flow.Batch](effects, 0) {
			fmt.Println(way, "gives", len(batch.Records), "record of", batch.Records[0].Destination.Bytes.V, "bytes")
		}
	}
	// Output:
	// once gives 1 record of 2000 bytes
	// retried gives 1 record of 2000 bytes
	// dropped before FinishBundle gives 1 record of 2000 bytes
	// two copies at once gives 1 record of 2000 bytes
}

func ExampleRecord() {
	r := flowtest.Record(flowtest.Between("192.0.2.1", "198.51.100.7"), flowtest.User("alice"))
	fmt.Println(r.UserID, r.Source.IP, r.Destination.IP, r.EventTime)
	// Output: alice 192.0.2.1 198.51.100.7 2026-01-02T03:04:05Z
}
