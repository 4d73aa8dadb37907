// Package rollup counts flow records by window and group.
package rollup

import (
	"fmt"
	"slices"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/state"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/timers"

	"github.com/flowbeam/flowbeam/windowing"
)

// Level is the rollup at one length of window.
type Level struct {
	Name  string           // 1m, 5m, 1h, session
	Every time.Duration    // length of the windows; 0 for sessions
	Rows  beam.PCollection // PCollection<flow.RollupBatch>, global window
}

// Option is an option of By.
type Option func(*options) error

type options struct {
	fields, measures []string
	every            []time.Duration
	shards           int
	cells            int
	bounded          bool
	lateness, slack  time.Duration
	gap              time.Duration
	windows          []windowing.Option
}

// Fields names the columns of flow.Records that rows are grouped by; none gives one row
// a window. Defaults to [DefaultFields].
func Fields(names ...string) Option {
	return func(o *options) error {
		o.fields = slices.Clone(names)
		return nil
	}
}

// Measures names what is gathered: see [AllMeasures]. Defaults to [DefaultMeasures].
func Measures(names ...string) Option {
	return func(o *options) error {
		o.measures = slices.Clone(names)
		return nil
	}
}

// Every gives the lengths of the windows, multiples of the smallest. Defaults to 1m, 5m
// and 1h.
func Every(lengths ...time.Duration) Option {
	return func(o *options) error {
		o.every = slices.Clone(lengths)
		return nil
	}
}

// Lateness is how long after a window's end its late records correct its rows. It is the
// value that windowing.MarkLate was given. Defaults to windowing.DefaultLateness.
func Lateness(d time.Duration) Option {
	return func(o *options) error {
		o.lateness = d
		o.windows = append(o.windows, windowing.AllowedLateness(d))
		return nil
	}
}

// Slack is windowing.Slack, for tests with short windows.
func Slack(d time.Duration) Option {
	return func(o *options) error {
		o.slack = d
		o.windows = append(o.windows, windowing.Slack(d))
		return nil
	}
}

// Early gives rows before a window's end, after each n partials of a shard. Defaults to
// none.
func Early(n int) Option {
	return func(o *options) error {
		o.windows = append(o.windows, windowing.EarlyCount(n))
		return nil
	}
}

// EarlyDelay gives rows before a window's end, d of processing time after the first
// partial since the rows before. Not on Flink: see windowing.EarlyDelay.
func EarlyDelay(d time.Duration) Option {
	return func(o *options) error {
		o.windows = append(o.windows, windowing.EarlyDelay(d))
		return nil
	}
}

// Bounded says that the input is bounded: each window gives its rows once, when all is
// read, and nothing is kept for corrections. It excludes Lateness and early rows.
func Bounded() Option {
	return func(o *options) error {
		o.bounded = true
		return nil
	}
}

// Sessions adds a level of sessions: records of one group that are less than gap apart.
// Its rows begin at the session's first record and end gap after the last. They are
// exact to the nanosecond, and given once, when the watermark shows that nothing which is
// let through can lengthen the session: so they come later than others by the lateness.
// Fields, Measures and Shards go for them too; early rows do not.
func Sessions(gap time.Duration) Option {
	return func(o *options) error {
		if gap <= 0 {
			return fmt.Errorf("session gap %v: want more than nought", gap)
		}
		o.gap = gap
		return nil
	}
}

// Shards is the number of parts, by group, in which a window is merged: how many workers
// may merge one window at a time. Defaults to 4.
func Shards(n int) Option {
	return func(o *options) error {
		if n < 1 || n > windowing.MaxShards {
			return fmt.Errorf("%d shards: want 1 to %d", n, windowing.MaxShards)
		}
		o.shards = n
		return nil
	}
}

const (
	defaultShards = 4
	// maxCells is how many cells a bundle gathers before it hands them on: about 10 MB
	// with the default measures.
	maxCells = 1 << 15
	// maxRows is the most rows in a batch.
	maxRows = 10_000
)

// By counts the records of a PCollection<flow.Batch> by window and group, at every length
// of window at once. It returns the levels, the shortest window first, and the counts
// (PCollection<flow.Count>: rollup/records, rollup/late_excluded, rollup/no_event_time).
//
// A window fires when the watermark passes its end, and again for each late partial;
// each firing gives whole rows, with flow.Rollup.Records as their version: of two rows
// with one id the one with more records is the newer, and a firing that changed nothing
// gives the same row again. The rows of a batch are of one window and sorted by group.
// Records marked late (windowing.MarkLate) are left out.
//
// Each bundle counts by (smallest window, group) first, so that a busy group costs no
// more than another, and every level is fed from these partials: a level fed from the
// panes of another would add them up anew at each firing. Sums are integers, and the
// result depends neither on order nor on how batches were cut. A retried bundle counts
// its records once, as its first try has left nothing behind.
func By(s beam.Scope, batches beam.PCollection, opts ...Option) (levels []Level, counts beam.PCollection) {
	s = s.Scope("rollup.By")
	o := options{
		fields: DefaultFields(), measures: DefaultMeasures(),
		every:  []time.Duration{time.Minute, 5 * time.Minute, time.Hour},
		shards: defaultShards, cells: maxCells, lateness: windowing.DefaultLateness, slack: windowing.RunnerLateness,
	}
	for _, opt := range opts {
		if err := opt(&o); err != nil {
			panic(fmt.Sprintf("rollup.By: invalid option: %v", err))
		}
	}
	if err := Validate(o.fields, o.measures, o.every); err != nil {
		panic(fmt.Sprintf("rollup.By: %v", err))
	}
	slices.Sort(o.every)

	slabs, counts := beam.ParDo2(s, &partialFn{Fields: o.fields, Measures: o.measures, Every: o.every, Shards: o.shards, Cells: o.cells}, batches)
	for _, every := range o.every {
		name := LevelName(every)
		s := s.Scope(name)
		keyed := beam.ParDo(s, &levelFn{Every: every}, slabs)
		// The key has the window in it. Bounded input is grouped by the key alone, in the
		// global window: where it comes from behind another grouping, the watermark has
		// reached the end of time already and every window would be too late.
		if !o.bounded {
			keyed = windowing.Fixed(s, keyed, every, o.windows...)
		}
		grouped := beam.GroupByKey(s, keyed)
		rows := beam.ParDo(s, &mergeFn{Level: name, Fields: o.fields, Measures: o.measures, Every: every}, grouped)
		levels = append(levels, Level{Name: name, Every: every, Rows: windowing.Global(s, rows)})
	}
	if o.gap > 0 {
		s := s.Scope(SessionLevel)
		// What is let through has its smallest window, and lateness, ahead of the watermark.
		hold := o.every[0] + o.lateness + o.slack
		partials := beam.ParDo(s, &sessionPartialFn{Fields: o.fields, Measures: o.measures, Gap: o.gap, Shards: o.shards, Cells: o.cells}, batches)
		rows := beam.ParDo(s, &sessionFn{
			Fields: o.fields, Measures: o.measures, Gap: o.gap, Hold: hold, Bounded: o.bounded,
			Open: state.MakeValueState[[]byte]("open"), Close: timers.InEventTime("close"),
		}, partials)
		levels = append(levels, Level{Name: SessionLevel, Rows: rows})
	}
	return levels, counts
}
