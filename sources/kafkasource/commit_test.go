package kafkasource

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/stored"
)

func second(n int) flow.Time {
	return flow.TimeOf(time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)).Add(time.Duration(n) * time.Second)
}

func TestWhatAWindowMayNeedIsNotSafe(t *testing.T) {
	var h handedOver
	h.begin(100)
	expect := func(at flow.Time, want int64) {
		t.Helper()
		if h.until(at, 10*time.Second); h.safe != want || !h.known {
			t.Errorf("safe before %d (%v), want %d", h.safe, h.known, want)
		}
	}
	h.add(110, second(5))
	h.add(120, second(30)) // ahead of its time
	h.add(130, second(7))  // behind it in the partition
	h.add(140, second(31))
	expect(second(0), 100)
	expect(second(15), 100) // the time itself is not over
	expect(second(16), 110)
	expect(second(40), 110) // 130 is not safe before 120 is
	expect(second(41), 130)
	expect(second(42), 140)
}

func TestAFewMarksStandForManyBatches(t *testing.T) {
	var h handedOver
	for i := range 100_000 {
		h.add(int64(i+1), second(0).Add(time.Duration(i)*100*time.Microsecond)) // ten seconds
	}
	if n := len(h.marks); n < 9 || n > 11 {
		t.Errorf("%d marks", n)
	}
	if h.until(second(5), 0); h.safe < 39_000 || h.safe > 50_000 {
		t.Errorf("safe before %d", h.safe)
	}
}

func TestWhatIsReadAgainIsNotSafe(t *testing.T) {
	var h handedOver
	h.begin(0)
	h.add(10, second(1))
	h.add(20, second(3))
	h.add(30, second(5))
	h.backTo(15)
	if h.until(second(4), 0); h.safe != 15 {
		t.Errorf("safe before %d, want 15", h.safe)
	}
	h.backTo(7)
	if h.safe != 7 {
		t.Errorf("safe before %d, want 7", h.safe)
	}
}

// A run that is killed is followed by one that begins where all before it is stored and in
// no open window.
func TestCommitsFollowWhatIsStored(t *testing.T) {
	stored.Begin()
	t.Cleanup(stored.Begin)
	b := newBroker(t, map[string]int{"flows": 1})
	b.fill("flows", 1, 0, 60, start)
	opts := []Option{Format("clocked"), CommitStored("next", 10*time.Second, time.Hour), StartCommitted("next"), BatchSize(10, 1000)}
	w := newWorker(t, b.addrs(), []string{"flows"}, opts...)
	w.discover()
	w.until("read", func() bool { return w.counts["messages"] == 60 })
	expect := func(want int64) {
		t.Helper()
		c := newWorker(t, b.addrs(), []string{"flows"}, StartCommitted("next"))
		c.discover()
		for p := range c.places {
			if p.Start != want {
				t.Errorf("a run would begin at %d, want %d", p.Start, want)
			}
		}
	}
	expect(0)
	stored.Advance(flow.TimeOf(start.Add(5 * time.Second)))
	expect(0)
	stored.Advance(flow.TimeOf(start.Add(31 * time.Second)))
	expect(20) // of the batches of ten, two have no record of the last ten seconds
	stored.End()
	stored.Advance(flow.TimeOf(start.Add(time.Hour)))
	expect(20) // the windows that were open when reading ended are not whole
}

// A record that is out of bounds is in no window; one that is just within is.
func TestARecordFromTheFutureHoldsTheCommitWhileItIsInBounds(t *testing.T) {
	for ahead, want := range map[time.Duration]int64{10 * time.Minute: 0, 2 * time.Hour: 10} {
		stored.Begin()
		b := newBroker(t, map[string]int{"flows": 1})
		b.send(message("flows", 0, start.Add(ahead), "ahead", start))
		b.fill("flows", 1, 1, 9, start)
		w := newWorker(t, b.addrs(), []string{"flows"}, Format("clocked"), CommitStored("next", 0, time.Hour), BatchSize(10, 1000))
		w.discover()
		w.until("read", func() bool { return w.counts["messages"] == 10 })
		stored.Advance(flow.TimeOf(start.Add(time.Minute)))
		c := newWorker(t, b.addrs(), []string{"flows"}, StartCommitted("next"))
		c.discover()
		for p := range c.places {
			if p.Start != want {
				t.Errorf("%v ahead: the next run begins at %d, want %d", ahead, p.Start, want)
			}
		}
	}
	stored.Begin()
}

// A partition of which nothing is stored yet begins again where this run began, not where
// another start would be.
func TestTheFirstCommitIsTheStart(t *testing.T) {
	stored.Begin()
	t.Cleanup(stored.Begin)
	b := newBroker(t, map[string]int{"flows": 1})
	b.fill("flows", 1, 0, 10, start)
	w := newWorker(t, b.addrs(), []string{"flows"}, Format("clocked"), CommitStored("next", time.Hour, time.Hour), StartLatest())
	w.discover()
	b.fill("flows", 1, 10, 5, start)
	w.until("read", func() bool { return w.counts["messages"] == 5 })
	stored.Advance(flow.TimeOf(start.Add(20 * time.Second)))
	c := newWorker(t, b.addrs(), []string{"flows"}, StartCommitted("next"))
	c.discover()
	for p := range c.places {
		if p.Start != 10 {
			t.Errorf("the next run begins at %d, want 10", p.Start)
		}
	}
}

// The first group that a broker is asked for waits until the broker has made the topic that
// keeps groups.
func TestACoordinatorThatIsNotThereYetIsWaitedFor(t *testing.T) {
	b := newBroker(t, map[string]int{"flows": 1})
	refusals := 0
	b.cluster.ControlKey(int16(kmsg.FindCoordinator), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.cluster.KeepControl()
		if refusals++; refusals > 12 {
			return nil, nil, false
		}
		request := r.(*kmsg.FindCoordinatorRequest)
		response := request.ResponseKind().(*kmsg.FindCoordinatorResponse)
		response.ErrorCode = kerr.CoordinatorNotAvailable.Code
		for _, key := range request.CoordinatorKeys {
			c := kmsg.NewFindCoordinatorResponseCoordinator()
			c.Key, c.NodeID, c.ErrorCode = key, -1, kerr.CoordinatorNotAvailable.Code
			response.Coordinators = append(response.Coordinators, c)
		}
		return response, nil, true
	})
	w := newWorker(t, b.addrs(), []string{"flows"}, StartCommitted("first"))
	w.discover()
	if len(w.places) != 1 || refusals < 3 {
		t.Errorf("%d partitions after %d refusals", len(w.places), refusals)
	}
}
