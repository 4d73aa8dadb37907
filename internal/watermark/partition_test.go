package watermark

import (
	"testing"
	"time"

	"github.com/flowbeam/flowbeam/flow"
)

var rule = Rule{Skew: time.Minute, MaxHold: 5 * time.Minute}

func at(minutes int) flow.Time {
	return flow.TimeOf(time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)).Add(time.Duration(minutes) * time.Minute)
}

func expect(t *testing.T, p *Partition, want flow.Time) {
	t.Helper()
	p.Advance(rule)
	if p.At != want {
		t.Errorf("watermark %v, want %v", p.At, want)
	}
}

func TestWatermarkFollowsEventTime(t *testing.T) {
	var p Partition
	expect(t, &p, 0)
	p.Read(at(10), at(11))
	p.Read(at(8), at(12))
	p.Read(0, at(12))    // broken
	expect(t, &p, at(9)) // the newest event time, less the skew
}

func TestOneRecordFromTheFutureMovesNothing(t *testing.T) {
	var p Partition
	p.Read(at(10), at(11))
	p.Read(at(1_000_000), at(11))
	expect(t, &p, at(10)) // at most the arrival, less the skew
}

func TestWhoLagsHoldsTheWatermarkForMaxHoldAtMost(t *testing.T) {
	var p Partition
	p.Read(at(10), at(70)) // an hour late
	expect(t, &p, at(64))
}

func TestWhatWaitsInTheLogHoldsTheWatermark(t *testing.T) {
	var p Partition
	p.Read(at(10), at(11)) // however late it is read: its arrival is old, too
	expect(t, &p, at(9))
}

func TestWatermarkNeverFalls(t *testing.T) {
	p := Partition{At: at(50)}
	p.Read(at(10), at(51))
	expect(t, &p, at(50))
}

func TestQuietPartitionFollowsTheClock(t *testing.T) {
	var p Partition
	p.Read(at(10), at(10))
	expect(t, &p, at(9))
	p.CaughtUp(at(20))
	expect(t, &p, at(14))
	p.CaughtUp(at(12))
	expect(t, &p, at(14))
}
