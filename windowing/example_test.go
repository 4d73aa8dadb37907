package windowing_test

import (
	"context"
	"fmt"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/transforms/stats"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/flowtest"
	"github.com/flowbeam/flowbeam/windowing"
)

func ExampleKey() {
	t := flow.TimeOf(time.Date(2026, 3, 1, 12, 34, 56, 0, time.UTC))
	key := windowing.Key(windowing.Bucket(t, time.Minute), 7)
	bucket, shard, err := windowing.ParseKey(key)
	fmt.Println(len(key), bucket, shard, err)
	// Output: 14 2026-03-01T12:34:00Z 7 <nil>
}

func ExampleFileBounds() {
	launch := flow.TimeOf(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	steps, err := flow.SetupSteps(context.Background(), flow.EncodeSteps([]flow.Step{windowing.FileBounds(launch)}))
	if err != nil {
		panic(err)
	}
	_, step, err := steps.Process(&flow.Record{EventTime: launch.Add(1000 * time.Hour)})
	fmt.Println(step, flow.ReasonOf(err, flow.ReasonStep))
	fmt.Println(err)
	// Output:
	// bounds time_range
	// event time 2026-04-12T04:00:00Z is after the latest that is accepted
}

func ExampleLate() {
	noon := flow.TimeOf(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	fmt.Println(windowing.Late(noon, noon.Add(2*time.Hour), 2*time.Hour, time.Minute))
	fmt.Println(windowing.Late(noon, noon.Add(3*time.Hour), 2*time.Hour, time.Minute))
	// Output:
	// false
	// true
}

// An own range of event times instead of the usual ones.
func ExampleBounds() {
	start := flow.TimeOf(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
	steps, err := flow.SetupSteps(context.Background(), flow.EncodeSteps([]flow.Step{windowing.Bounds(start, start.Add(24*time.Hour))}))
	if err != nil {
		panic(err)
	}
	keep, _, err := steps.Process(&flow.Record{EventTime: start.Add(time.Hour)})
	fmt.Println(keep, err)
	_, _, err = steps.Process(&flow.Record{EventTime: start.Add(-1)})
	fmt.Println(err)
	// Output:
	// true <nil>
	// event time 2026-02-28T23:59:59.999999999Z is before 2026-03-01T00:00:00Z
}

// In a stream the bounds go with the time at which the source received the record.
func ExampleStreamBounds() {
	received := flow.TimeOf(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	steps, err := flow.SetupSteps(context.Background(), flow.EncodeSteps([]flow.Step{windowing.StreamBounds(24*time.Hour, time.Hour)}))
	if err != nil {
		panic(err)
	}
	for _, event := range []flow.Time{received.Add(-23 * time.Hour), received.Add(2 * time.Hour)} {
		keep, _, err := steps.Process(&flow.Record{EventTime: event, Received: received})
		fmt.Println(keep, err)
	}
	// Output:
	// true <nil>
	// false event time 2026-03-01T14:00:00Z is more than 1h0m0s after the receive time 2026-03-01T12:00:00Z
}

func ExampleMarkLate() {
	noon := flow.TimeOf(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	old, current := flowtest.Record(), flowtest.Record()
	old.EventTime, current.EventTime = noon.Add(-3*time.Hour), noon

	p, s := beam.NewPipelineWithRoot()
	batches := beam.Create(s, flow.Batch{Records: []flow.Record{old, current}, Watermark: noon})
	marked, counts := windowing.MarkLate(s, batches, 2*time.Hour, time.Minute)
	old.Late = true // it is kept, and marked
	flowtest.Equal(s, marked, []flow.Record{old, current})
	flowtest.EqualCounts(s, counts, map[string]int64{"windowing/late": 1})
	fmt.Println(ptest.Run(p))
	// Output: <nil>
}

// An aggregation in windows of one minute, whose results go on in the global window.
func ExampleFixed() {
	p, s := beam.NewPipelineWithRoot()
	bytes := beam.AddFixedKey(s, beam.CreateList(s, []int{10, 20, 12}))
	windowed := windowing.Fixed(s, bytes, time.Minute, windowing.Once())
	sums := windowing.Global(s, beam.DropKey(s, stats.SumPerKey(s, windowed)))
	passert.Equals(s, sums, 42)
	fmt.Println(ptest.Run(p))
	// Output: <nil>
}

func ExampleSessions() {
	p, s := beam.NewPipelineWithRoot()
	bytes := beam.AddFixedKey(s, beam.CreateList(s, []int{10, 20, 12}))
	windowed := windowing.Sessions(s, bytes, time.Minute, windowing.Once())
	sums := windowing.Global(s, beam.DropKey(s, stats.SumPerKey(s, windowed)))
	passert.Equals(s, sums, 42)
	fmt.Println(ptest.Run(p))
	// Output: <nil>
}

// Records go to a sink, and sources hear how far it is.
func ExampleStored() {
	line := flow.Raw{Data: []byte("line"), Offset: flow.N(0)}
	p, s := beam.NewPipelineWithRoot()
	raw := beam.Create(s, flow.RawBatch{Records: []flow.Raw{line, line}})
	counts := beam.ParDo(s, sinkLines, raw)
	windowing.Stored(s, raw, counts)
	flowtest.EqualCounts(s, counts, map[string]int64{"sink/new": 2})
	fmt.Println(ptest.Run(p))
	// Output: <nil>
}

// sinkLines stands for a sink, which counts what it has written.
func sinkLines(b flow.RawBatch, count func(flow.Count)) {
	flow.EmitCount(count, "sink", "new", int64(len(b.Records)))
}

func init() { register.Function2x0(sinkLines) }
