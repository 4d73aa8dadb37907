package pubsubsource

import "testing"

func TestTrackerGivesAllThatIsLeftAtACheckpoint(t *testing.T) {
	first, second := place{Session: "s", Seq: 1}, place{Session: "s", Seq: 2, Snapshot: "x"}
	rt := newTracker(first)
	if !rt.TryClaim(second) || rt.IsDone() || rt.IsBounded() {
		t.Errorf("%+v", rt.GetRestriction())
	}
	if _, residual, _ := rt.TrySplit(0.5); residual != nil {
		t.Errorf("a subscription was split: %+v", residual)
	}
	primary, residual, err := rt.TrySplit(0)
	if err != nil || residual != second || primary != (place{Done: true}) {
		t.Errorf("%+v and %+v, %v", primary, residual, err)
	}
	if rt.TryClaim(place{Seq: 3}) || !rt.IsDone() {
		t.Error("a claim after the checkpoint")
	}
	if _, residual, _ := rt.TrySplit(0); residual != nil {
		t.Errorf("a second checkpoint gives %+v", residual)
	}
}

func TestTrackerEnds(t *testing.T) {
	rt := newTracker(place{Session: "s", Seq: 1})
	if !rt.TryClaim(place{Done: true}) || !rt.IsDone() || rt.TryClaim(place{Seq: 2}) {
		t.Errorf("%+v", rt.GetRestriction())
	}
	if done, left := rt.GetProgress(); done != 1 || left != 0 {
		t.Errorf("%v done, %v left", done, left)
	}
}
