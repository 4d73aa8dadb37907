package kafkasource

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/internal/inflight"
)

// Where the sinks are behind a read waits, takes its partitions forward together, and leaves
// the watermark where it is: what waits is not late.
func TestReadingWaitsForTheSinks(t *testing.T) {
	b := newBroker(t, map[string]int{"flows": 2})
	want := b.fill("flows", 2, 0, 12_000, start) // a second apart
	bytes := 0
	for _, text := range want {
		bytes += len(text)
	}
	w := newWorker(t, b.addrs(), []string{"flows"}, Format("clocked"), Skew(0), OneProcess())
	w.discover()
	inflight.Begin(int64(bytes)/2, "sink")
	defer inflight.End()
	read := func() int64 { return w.counts["messages"] }
	w.until("half of it is read", func() bool { return read() >= 6000 })
	for range 20 { // no more than a batch a partition is read beyond that
		for p := range w.places {
			if err := w.bundle(p, false, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := read(); n > 8000 {
		t.Fatalf("%d messages are read, want about 6000", n)
	}
	for p, at := range w.places {
		if at.at.Next < 2000 {
			t.Errorf("of %s %d messages are read of %d", p.key(), at.at.Next, read())
		}
		if mark := time.UnixMilli(at.mark); mark.After(start.Add(8000 * time.Second)) {
			t.Errorf("%s: the watermark is at %v while it waits", p.key(), mark)
		}
	}
	var done int64
	w.until("the rest is read", func() bool {
		inflight.Done("sink", read()-done)
		done = read()
		return done == 12_000
	})
	if d := cmp.Diff(want, w.records(t)); d != "" {
		t.Error(d)
	}
}

// Prism takes for the watermark of a read what the bundle told that ended last.
func TestAPartitionThatIsAheadDoesNotMoveTheWatermark(t *testing.T) {
	b := newBroker(t, map[string]int{"flows": 2})
	now := time.Now().Truncate(time.Second)
	old := now.Add(-3 * time.Hour)
	b.send(message("flows", 0, now, "new"), message("flows", 1, old, "old"), message("flows", 1, old.Add(time.Minute), "next"))
	w := newWorker(t, b.addrs(), []string{"flows"}, Format("clocked"), Skew(0), OneProcess(), BatchSize(1, 100), Checkpoint(1, time.Second))
	w.discover()
	var ahead, behind partition
	for p := range w.places {
		if p.ID == 0 {
			ahead = p
		} else {
			behind = p
		}
	}
	mark := func(p partition) time.Time { return time.UnixMilli(w.places[p].mark) }
	turns := func(p partition, until func() bool) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); !until(); time.Sleep(5 * time.Millisecond) {
			if err := w.bundle(p, false, 0); err != nil || time.Now().After(end) {
				t.Fatalf("%v, %v", err, w.counts)
			}
		}
	}
	turns(ahead, func() bool { return w.counts["messages"] == 1 })
	if at := mark(ahead); !at.Before(old) {
		t.Errorf("one partition was not read at all, and the watermark is at %v", at)
	}
	turns(behind, func() bool { return w.counts["messages"] == 2 })
	again := 0
	turns(ahead, func() bool { again++; return again > 3 })
	if at := mark(ahead); !at.Before(old) {
		t.Errorf("the runner may not have what a bundle of one partition gave, and the watermark is at %v", at)
	}
	turns(behind, func() bool { return w.counts["messages"] == 3 })
	turns(ahead, func() bool { return mark(ahead).Equal(old) })
	for _, p := range []partition{behind, ahead} { // all is read: the clock counts
		turns(p, func() bool {
			if err := w.bundle(behind, false, 0); err != nil {
				t.Fatal(err)
			}
			return mark(p).After(now.Add(-6 * time.Minute))
		})
	}
}
