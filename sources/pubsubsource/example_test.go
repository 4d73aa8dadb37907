package pubsubsource_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/stopping"
	"github.com/flowbeam/flowbeam/sources/pubsubsource"
)

func init() {
	// Programs import transforms/parse, which registers the formats.
	flow.RegisterFormat(flow.FormatInfo{Name: "example"})
	register.Function2x0(printBatch)
}

var printed atomic.Int64

func printBatch(_ context.Context, b flow.RawBatch) {
	for _, r := range b.Records {
		fmt.Printf("%s: %s %s: %s\n", b.Origin.DataCenter, b.Origin.Source, r.Key, r.Data)
		if printed.Add(1) == 2 {
			stopping.Request() // as an interrupt does: the read has no end
		}
	}
}

func ExampleRead() {
	address, stop, err := pubsubsource.StartFake("flows-fra", "first", "second")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	stopping.Arm()
	defer stopping.Disarm()

	p, s := beam.NewPipelineWithRoot()
	raw, _, _ := pubsubsource.Read(s, "flowbeam-test", []string{"flows-fra"},
		pubsubsource.Format("example"), pubsubsource.DataCenter("^flows-(.+)$"),
		pubsubsource.Emulator(address), pubsubsource.Poll(10*time.Millisecond))
	beam.ParDo0(s, printBatch, raw)
	if err := ptest.Run(p); err != nil {
		fmt.Println(err)
	}
	// Unordered output:
	// fra: projects/flowbeam-test/topics/flows m00000: first
	// fra: projects/flowbeam-test/topics/flows m00001: second
}

// A run that lost its state with its process goes on from before what it may not have
// written; see [pubsubsource.StartResume].
func ExampleValidate() {
	address, stop, err := pubsubsource.StartFake("flows")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	fmt.Println(pubsubsource.Validate(context.Background(), "flowbeam-test", []string{"flows"},
		pubsubsource.Emulator(address), pubsubsource.StartResume(3*time.Hour), pubsubsource.KeepSnapshots(4*time.Hour)))
	// Output: <nil>
}
