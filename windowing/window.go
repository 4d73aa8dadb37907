package windowing

import (
	"fmt"
	"math"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window/trigger"
)

// RunnerLateness is what the runner's allowed lateness has over the pipeline's own, unless
// [Slack] says otherwise. The pipeline decides lateness by the stamped watermark
// ([MarkLate]); the runner, whose watermark goes on while a batch is under way, must never
// drop what was let through.
const RunnerLateness = 10 * time.Minute

// DefaultLateness is the allowed lateness where none is given.
const DefaultLateness = 2 * time.Hour

// Option is an option of Fixed and Sessions.
type Option func(*options) error

type options struct {
	lateness   time.Duration
	slack      time.Duration
	earlyCount int
	earlyDelay time.Duration
	lateCount  int
	once       bool
}

// AllowedLateness is how long after a window's end its records are still taken and
// correct its result. The runner's own is larger by [RunnerLateness]. Defaults to
// [DefaultLateness].
func AllowedLateness(d time.Duration) Option {
	return func(o *options) error {
		if d < 0 {
			return fmt.Errorf("allowed lateness %v is negative", d)
		}
		o.lateness = d
		return nil
	}
}

// Slack takes the place of [RunnerLateness]: how long a batch may be under way. The state of
// a window is kept for so long, and on Prism what is behind it waits for its end (see
// [Stored]). It is for tests with short windows.
func Slack(d time.Duration) Option {
	return func(o *options) error {
		if d < 0 {
			return fmt.Errorf("slack %v is negative", d)
		}
		o.slack = d
		return nil
	}
}

// EarlyCount fires a window before its end after each n elements (bundle partials, not
// records). Any runner. Defaults to no early firing.
func EarlyCount(n int) Option {
	return func(o *options) error {
		if n < 1 || n > math.MaxInt32 {
			return fmt.Errorf("early firing after %d elements: want at least 1", n)
		}
		o.earlyCount = n
		return nil
	}
}

// EarlyDelay fires a window before its end, d of processing time after the first element
// since the firing before. Prism and Dataflow; Flink's portable runner has no
// processing-time triggers, use EarlyCount there. Defaults to no early firing.
func EarlyDelay(d time.Duration) Option {
	return func(o *options) error {
		if d < time.Millisecond {
			return fmt.Errorf("early firing after %v: want at least 1ms", d)
		}
		o.earlyDelay = d
		return nil
	}
}

// LateCount fires a window after its end for each n late elements. Defaults to 1.
func LateCount(n int) Option {
	return func(o *options) error {
		if n < 1 || n > math.MaxInt32 {
			return fmt.Errorf("late firing after %d elements: want at least 1", n)
		}
		o.lateCount = n
		return nil
	}
}

// Once fires each window once, at its end, and keeps nothing for corrections: for
// bounded inputs, where the watermark stands still until all is read and nothing is
// late. It excludes the other options.
func Once() Option {
	return func(o *options) error {
		o.once = true
		return nil
	}
}

// Fixed puts a PCollection's elements into fixed windows of the given size by their
// timestamps, aligned to the Unix epoch. Panes accumulate: each firing has the whole
// window, so that what it makes can replace what the firing before made. A window fires
// when the watermark passes its end, then for each late element; early firings by option.
func Fixed(s beam.Scope, col beam.PCollection, size time.Duration, opts ...Option) beam.PCollection {
	s = s.Scope("windowing.Fixed")
	if size < time.Millisecond || size%time.Millisecond != 0 {
		panic(fmt.Sprintf("windowing.Fixed: size %v: want a positive number of milliseconds", size))
	}
	return into(s, "windowing.Fixed", window.NewFixedWindows(size), col, opts, false)
}

// Sessions puts a PCollection's elements into session windows: elements of one key that
// are less than gap apart share a window. Panes accumulate. It takes no early firing and
// no LateCount: Prism refuses triggers that count over merging windows.
//
// Prism fires a session's elements as soon as the watermark passes each element's own
// gap, so that in a stream a session that the watermark cuts comes out in parts there.
// rollup.Sessions has sessions which are exact on every runner.
func Sessions(s beam.Scope, col beam.PCollection, gap time.Duration, opts ...Option) beam.PCollection {
	s = s.Scope("windowing.Sessions")
	if gap < time.Millisecond || gap%time.Millisecond != 0 {
		panic(fmt.Sprintf("windowing.Sessions: gap %v: want a positive number of milliseconds", gap))
	}
	return into(s, "windowing.Sessions", window.NewSessions(gap), col, opts, true)
}

// Global puts a PCollection's elements back into the global window, where records and
// results travel. Their timestamps stay.
func Global(s beam.Scope, col beam.PCollection) beam.PCollection {
	return beam.WindowInto(s.Scope("windowing.Global"), window.NewGlobalWindows(), col)
}

func into(s beam.Scope, name string, fn *window.Fn, col beam.PCollection, opts []Option, merging bool) beam.PCollection {
	o := options{lateness: DefaultLateness, slack: RunnerLateness, lateCount: 1}
	for _, opt := range opts {
		if err := opt(&o); err != nil {
			panic(fmt.Sprintf("%s: invalid option: %v", name, err))
		}
	}
	early := o.earlyCount > 0 || o.earlyDelay > 0
	switch {
	case o.earlyCount > 0 && o.earlyDelay > 0:
		panic(name + ": EarlyCount and EarlyDelay exclude each other")
	case o.once && (early || o.lateCount != 1):
		panic(name + ": Once excludes early and late firings")
	case merging && (early || o.lateCount != 1):
		panic(name + ": session windows take no early firing and no LateCount")
	}
	if o.once {
		return beam.WindowInto(s, fn, col, beam.Trigger(trigger.Default()), beam.PanesDiscard())
	}
	return beam.WindowInto(s, fn, col, beam.Trigger(o.trigger()), beam.PanesAccumulate(), beam.AllowedLateness(o.lateness+o.slack))
}

// trigger is the simplest that does: the default trigger fires on time and for each late
// element, without state, on every runner.
func (o *options) trigger() trigger.Trigger {
	var early trigger.Trigger
	switch {
	case o.earlyCount > 0:
		early = trigger.Repeat(trigger.AfterCount(int32(o.earlyCount)))
	case o.earlyDelay > 0:
		early = trigger.Repeat(trigger.AfterProcessingTime().PlusDelay(o.earlyDelay))
	case o.lateCount == 1:
		return trigger.Default()
	}
	t := trigger.AfterEndOfWindow().LateFiring(trigger.Repeat(trigger.AfterCount(int32(o.lateCount))))
	if early != nil {
		t = t.EarlyFiring(early)
	}
	return t
}
