package pubsubsource

import (
	"time"

	"github.com/flowbeam/flowbeam/flow"
)

// lowest keeps the lowest event and publish times of what was read in the last minute.
// Pub/Sub has no order: the newest message tells nothing of those that wait, but where old
// ones wait, some of a minute's are old.
type lowest struct{ buckets [12]bucket }

// bucket is five seconds of it.
type bucket struct {
	slot           int64 // its time / bucketTime
	n              int
	event, arrived flow.Time // event is zero where none was read
}

const bucketTime = 5 * time.Second

func slot(now flow.Time) int64 { return int64(now) / int64(bucketTime) }

// add notes a message that was read now: its event time, zero where it has none that can be
// read, and when it was published.
func (l *lowest) add(now, event, arrived flow.Time) {
	s := slot(now)
	b := &l.buckets[s%int64(len(l.buckets))]
	if b.slot != s {
		*b = bucket{slot: s}
	}
	b.note(bucket{n: 1, event: min(event, arrived), arrived: arrived})
}

func (b *bucket) note(o bucket) {
	if o.event != 0 && (b.event == 0 || o.event < b.event) {
		b.event = o.event
	}
	if b.n == 0 || o.arrived < b.arrived {
		b.arrived = o.arrived
	}
	b.n += o.n
}

// with returns the lowest times of the minute before now, and of what waits to be read. Few
// messages, or those of one moment, tell nothing: ok is false.
func (l *lowest) with(now flow.Time, waiting bucket) (event, arrived flow.Time, ok bool) {
	var all bucket
	filled := 0
	for _, b := range l.buckets {
		if b.n > 0 && b.slot > slot(now)-int64(len(l.buckets)) {
			all.note(b)
			filled++
		}
	}
	ok = all.n >= 10 && filled >= 2
	if waiting.n > 0 {
		all.note(waiting)
	}
	return all.event, all.arrived, ok
}
