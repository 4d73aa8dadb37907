package windowing

import (
	"context"
	"fmt"
	"time"

	"github.com/flowbeam/flowbeam/flow"
)

func init() { flow.RegisterStep("bounds", &bounds{}) }

// Earliest is the earliest event time that the default bounds accept: 2000-01-01. What
// is older comes from a clock that was never set.
var Earliest = flow.TimeOf(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC))

// The default bounds of streams around the source's append or publish time.
const (
	DefaultPast   = 7 * 24 * time.Hour
	DefaultFuture = time.Hour
)

// bounds refuses impossible event times. It is a pure function of the record: a clock
// would make a replay differ from the run.
type bounds struct {
	Min, Max     flow.Time     // absolute, inclusive; zero = none
	Past, Future time.Duration // around Received, where Relative and it is known
	Relative     bool
}

// Bounds is a Step that refuses event times before min or after max with
// [flow.ReasonTimeRange], and absent ones too: one record of the far future would poison
// a watermark, and open windows that never close. It belongs to the parse transform,
// where the original bytes are still at hand for the dead letter.
func Bounds(min, max flow.Time) flow.Step {
	if max < min {
		panic(fmt.Sprintf("windowing.Bounds: max %v is before min %v", max, min))
	}
	return &bounds{Min: min, Max: max}
}

// FileBounds are the bounds of files and replays: [Earliest] to one day after now. now
// is the time of the launch, taken once, so that each worker and each retry decides alike.
func FileBounds(now flow.Time) flow.Step { return Bounds(Earliest, now.Add(24*time.Hour)) }

// StreamBounds are bounds around the time at which the source received the record
// (append or publish time): event times earlier than past before it or later than future
// after it are refused with [flow.ReasonTimeRange]. A record without a receive time, and
// every other, is held to [Earliest].
func StreamBounds(past, future time.Duration) flow.Step {
	if past < 0 || future < 0 {
		panic(fmt.Sprintf("windowing.StreamBounds: past %v and future %v must not be negative", past, future))
	}
	return &bounds{Min: Earliest, Past: past, Future: future, Relative: true}
}

func (*bounds) Setup(context.Context) error { return nil }

func (b *bounds) Process(r *flow.Record) (bool, error) {
	t := r.EventTime
	switch {
	case t == 0:
		return false, flow.Reject(flow.ReasonTimeRange, "no event time")
	case b.Min != 0 && t < b.Min:
		return false, flow.Reject(flow.ReasonTimeRange, "event time %v is before %v", t, b.Min)
	case b.Max != 0 && t > b.Max:
		// Max follows the launch: with it in the text, two runs would not write the same.
		return false, flow.Reject(flow.ReasonTimeRange, "event time %v is after the latest that is accepted", t)
	}
	if !b.Relative || r.Received == 0 {
		return true, nil
	}
	// Differences are compared, as times near the ends of the range would overflow.
	switch d := subtract(t, r.Received); {
	case d < -b.Past:
		return false, flow.Reject(flow.ReasonTimeRange, "event time %v is more than %v before the receive time %v", t, b.Past, r.Received)
	case d > b.Future:
		return false, flow.Reject(flow.ReasonTimeRange, "event time %v is more than %v after the receive time %v", t, b.Future, r.Received)
	}
	return true, nil
}

// subtract is a-b, saturated.
func subtract(a, b flow.Time) time.Duration {
	d := int64(a) - int64(b)
	if (a < b) != (d < 0) {
		if a < b {
			return -1 << 63
		}
		return 1<<63 - 1
	}
	return time.Duration(d)
}
