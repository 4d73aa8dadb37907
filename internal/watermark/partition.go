// Package watermark is how a streaming source tells how far a partition is in event time.
package watermark

import (
	"time"

	"github.com/flowbeam/flowbeam/flow"
)

// Rule is what the options of a source say.
type Rule struct {
	// Skew is how much older than the newest record before it a record may be without
	// being late.
	Skew time.Duration
	// MaxHold is how far records that arrive with old event times hold the watermark back
	// behind their arrival: one data center that lags must not stop the windows of all.
	MaxHold time.Duration
}

// Partition is how far one partition, read in its order, is. The watermark is
//
//	max(newest event time, newest arrival − MaxHold) − Skew
//
// and never falls. No event time counts for more than its record's arrival, so that one
// record from the future moves nothing. What waits in the log holds the watermark without
// limit: that is our delay and not theirs, and its arrival is in the past as well.
type Partition struct {
	At     flow.Time // the watermark in whole milliseconds; zero: nothing is known
	newest flow.Time // event time, at most its arrival
	latest flow.Time // arrival
}

// Read notes a record of the given event time, zero where it has none that can be read,
// and when it arrived: its append or publish time.
func (p *Partition) Read(event, arrived flow.Time) {
	p.newest, p.latest = max(p.newest, min(event, arrived)), max(p.latest, arrived)
}

// CaughtUp notes that all that arrived until then was read: the clock takes the place of
// records that do not come.
func (p *Partition) CaughtUp(until flow.Time) { p.latest = max(p.latest, until) }

// Advance moves the watermark to what was noted.
func (p *Partition) Advance(r Rule) {
	if p.latest == 0 {
		return
	}
	to := max(p.newest, p.latest.Add(-r.MaxHold)).Add(-r.Skew)
	p.At = max(p.At, to.Truncate(time.Millisecond))
}

// Reset goes back to a watermark, as of a bundle that is run again.
func (p *Partition) Reset(at flow.Time) { *p = Partition{At: at} }
