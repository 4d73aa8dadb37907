package dedupe

import (
	"slices"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/state"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/timers"
	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/flowtest"
	"github.com/flowbeam/flowbeam/windowing"
)

// slab is records as the keyed DoFns get them, under the key of noon's minute.
func slab(records ...flow.Record) flowtest.Pair {
	return flowtest.KV(windowing.Key(noon, 0), flow.EncodeBatch(&flow.Batch{Records: records}))
}

// names lists what came out of a DoFn's first output, sorted.
func names(e *flowtest.Effects) []string {
	var out []string
	for _, b := range flowtest.Emitted[flow.Batch](e, 0) {
		for _, r := range b.Records {
			out = append(out, r.UserID+r.Observation)
		}
	}
	slices.Sort(out)
	return out
}

// counted is the counts of a DoFn's second output, by name.
func counted(e *flowtest.Effects) map[string]int64 {
	n := map[string]int64{}
	for _, c := range flowtest.Emitted[flow.Count](e, 1) {
		n[c.Name] += c.N
	}
	return n
}

func wantNames(t *testing.T, when string, e *flowtest.Effects, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, names(e)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", when, diff)
	}
}

func newExactFn() *exactFn {
	return &exactFn{HorizonNS: int64(DefaultHorizon), Seen: state.MakeBagState[[]byte]("seen"), Expire: timers.InEventTime("expire")}
}

// However a bundle runs, the first record of an id passes and no other does, until the
// horizon is over: then nothing is left of the key.
func TestExactLeavesTheSameEveryWay(t *testing.T) {
	flowtest.EveryWay(t, func(t *testing.T, way flowtest.Way) *flowtest.Effects {
		h := flowtest.NewHarness(t, newExactFn(), way)
		wantNames(t, "first bundle", h.Bundle(slab(rec("a", 0), rec("b", 0), rec("a", 0)), slab(rec("b", 0), rec("c", 0))), "a", "b", "c")
		wantNames(t, "second bundle", h.Bundle(slab(rec("a", 0)), slab(rec("d", 0))), "d")
		wantNames(t, "third bundle", h.Bundle(slab(rec("d", 0), rec("c", 0), rec("e", 0))), "e")
		if diff := cmp.Diff(map[string]int64{"unique": 5, "duplicates": 5}, counted(h.Effects())); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
		forgets := noon.Add(time.Minute + DefaultHorizon).Std()
		h.Advance(forgets.Add(-time.Millisecond))
		wantNames(t, "at the end of the horizon", h.Bundle(slab(rec("e", 0))))
		if e := h.Advance(forgets); len(e.State) != 0 || len(e.Timers) != 0 {
			t.Errorf("after the horizon there is state %v, timers %v", e.State, e.Timers)
		}
		wantNames(t, "after the horizon", h.Bundle(slab(rec("e", 0))), "e")
		return h.Effects()
	})
}

// A timer that held the output watermark would keep every window downstream from firing.
func TestExactDoesNotHoldTheWatermark(t *testing.T) {
	e := flowtest.NewHarness(t, newExactFn(), flowtest.Once).Bundle(slab(rec("a", 0)))
	if len(e.Timers) != 1 || !e.Timers[0].At.Equal(noon.Add(time.Minute+DefaultHorizon).Std()) {
		t.Fatalf("timers %+v", e.Timers)
	}
	if hold := e.Timers[0].Hold; hold.Before(e.Timers[0].At) {
		t.Errorf("the watermark is held at %v until %v", hold, e.Timers[0].At)
	}
}

func newDecideFn() *decideFn {
	return &decideFn{
		Policy: Max, EveryNS: int64(time.Minute), WaitNS: int64(time.Minute), RememberNS: int64(time.Hour),
		Pending: state.MakeBagState[[]byte]("pending"), Decided: state.MakeBagState[[]byte]("decided"), Next: timers.InEventTime("next"),
	}
}

// However a bundle runs, each observation waits until it is decided, and what comes after
// the decision passes with a mark.
func TestObservationsLeaveTheSameEveryWay(t *testing.T) {
	flowtest.EveryWay(t, func(t *testing.T, way flowtest.Way) *flowtest.Effects {
		h := flowtest.NewHarness(t, newDecideFn(), way)
		wantNames(t, "before the decision", h.Bundle(slab(seen("a", "one", "1:x", 0, 1), seen("b", "two", "1:x", 0, 2))))
		wantNames(t, "before the decision", h.Bundle(slab(seen("c", "one", "1:y", 0, 1))))
		wantNames(t, "decided", h.Advance(noon.Add(2*time.Minute).Std()), "bwinner", "cwinner")
		wantNames(t, "late", h.Bundle(slab(seen("d", "one", "1:x", 0, 99), seen("e", "two", "1:x", 0, 1))), "dduplicate", "ewinner")
		if diff := cmp.Diff(map[string]int64{"duplicates": 1, "marked": 1, "conversations": 2, "held": 0}, counted(h.Effects())); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
		if e := h.Advance(noon.Add(time.Minute + time.Hour).Std()); len(e.State) != 0 || len(e.Timers) != 0 {
			t.Errorf("after Remember there is state %v, timers %v", e.State, e.Timers)
		}
		return h.Effects()
	})
}

// What waits in state comes out with its own event time, so the watermark must wait too.
func TestObservationsHoldTheWatermarkWhileUndecided(t *testing.T) {
	h := flowtest.NewHarness(t, newDecideFn(), flowtest.Once)
	e := h.Bundle(slab(seen("a", "one", "1:x", 0, 1)))
	if len(e.Timers) != 1 || !e.Timers[0].Hold.Equal(noon.Std()) {
		t.Errorf("undecided: timers %+v, want one that holds the watermark at %v", e.Timers, noon)
	}
	if e = h.Advance(noon.Add(2 * time.Minute).Std()); len(e.Timers) != 1 || e.Timers[0].Hold.Before(e.Timers[0].At) {
		t.Errorf("decided: timers %+v, want one that holds nothing", e.Timers)
	}
}
