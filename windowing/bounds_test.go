package windowing

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/flowbeam/flowbeam/flow"
)

func TestBounds(t *testing.T) {
	now := flow.TimeOf(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	const day = 24 * time.Hour
	file, stream := FileBounds(now), StreamBounds(DefaultPast, DefaultFuture)
	for _, tc := range []struct {
		name            string
		step            flow.Step
		event, received flow.Time
		ok              bool
	}{
		{"file: 2000 is accepted", file, Earliest, 0, true},
		{"file: 1999 is refused", file, Earliest - 1, 0, false},
		{"file: a day after now is accepted", file, now.Add(day), 0, true},
		{"file: more than a day after now is refused", file, now.Add(day) + 1, 0, false},
		{"file: the receive time does not matter", file, now.Add(-300 * day), now, true},
		{"no event time is refused", file, 0, now, false},
		{"stream: an hour ahead is accepted", stream, now.Add(time.Hour), now, true},
		{"stream: further ahead is refused", stream, now.Add(time.Hour) + 1, now, false},
		{"stream: seven days behind is accepted", stream, now.Add(-7 * day), now, true},
		{"stream: further behind is refused", stream, now.Add(-7*day) - 1, now, false},
		{"stream: far future is refused", stream, math.MaxInt64, now, false},
		{"stream: far past is refused", stream, math.MinInt64, now, false},
		{"stream: without a receive time only 2000 holds", stream, now, 0, true},
		{"stream: without a receive time 1999 is refused", stream, Earliest - 1, 0, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			// As a worker has it: through its encoding.
			steps, err := flow.SetupSteps(context.Background(), flow.EncodeSteps([]flow.Step{tc.step}))
			if err != nil {
				t.Fatal(err)
			}
			keep, _, err := steps.Process(&flow.Record{EventTime: tc.event, Received: tc.received})
			if keep != tc.ok || (err == nil) != tc.ok {
				t.Errorf("keep = %v, %v; want %v", keep, err, tc.ok)
			}
			if err != nil && flow.ReasonOf(err, "") != flow.ReasonTimeRange {
				t.Errorf("reason %q, want %q", flow.ReasonOf(err, ""), flow.ReasonTimeRange)
			}
		})
	}
}

func TestBoundsRefuseWrongWiring(t *testing.T) {
	for name, f := range map[string]func(){
		"max before min": func() { Bounds(2, 1) },
		"negative past":  func() { StreamBounds(-1, 0) },
		"shard":          func() { Key(0, MaxShards) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}
