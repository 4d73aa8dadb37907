package windowing_test

import (
	"context"
	"fmt"
	"time"

	"github.com/flowbeam/flowbeam/flow"
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
	// event time 2026-04-12T04:00:00Z is after 2026-03-02T12:00:00Z
}

func ExampleLate() {
	noon := flow.TimeOf(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	fmt.Println(windowing.Late(noon, noon.Add(2*time.Hour), 2*time.Hour, time.Minute))
	fmt.Println(windowing.Late(noon, noon.Add(3*time.Hour), 2*time.Hour, time.Minute))
	// Output:
	// false
	// true
}
