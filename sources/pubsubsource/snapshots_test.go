package pubsubsource

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSnapshotsAreKnownByTheirNames(t *testing.T) {
	stem := snapshotStem(project, "flowbeam", "flows")
	s := newSnapshot(stem, noon.Std(), "abcd")
	if want := "projects/flowbeam-test/snapshots/flowbeam~flows~1767355200000~abcd"; s.full != want {
		t.Errorf("%s, want %s", s.full, want)
	}
	got, ok := parseSnapshot(stem, s.full)
	if !ok || !got.at.Equal(noon.Std()) || got.run != "abcd" {
		t.Errorf("%+v", got)
	}
	for _, other := range []string{
		"projects/other-test/snapshots/flowbeam~flows~1767355200000~abcd",
		"projects/flowbeam-test/snapshots/flowbeam~flows~a~1767355200000~abcd",
		"projects/flowbeam-test/snapshots/flowbeam~flows2~1767355200000~abcd",
		"projects/flowbeam-test/snapshots/other~flows~1767355200000~abcd",
		"projects/flowbeam-test/snapshots/flowbeam~flows~17673552000~abcd",
		"projects/flowbeam-test/snapshots/flowbeam~flows~1767355200000",
	} {
		if _, ok := parseSnapshot(stem, other); ok {
			t.Errorf("%s is taken for one of flows", other)
		}
	}
	long := snapshotStem(project, strings.Repeat("p", 39), strings.Repeat("s", 255))
	if n := len(lastPart(newSnapshot(long, noon.Std(), "abcdefgh").full)); n > maxName {
		t.Errorf("a name of %d characters", n)
	}
	if long == snapshotStem(project, strings.Repeat("p", 39), strings.Repeat("s", 254)+"t") {
		t.Error("two subscriptions have the same snapshots")
	}
}

// series are snapshots some minutes after noon, by run.
func series(stem string, run string, minutes ...int) (out []snapshot) {
	for _, m := range minutes {
		out = append(out, newSnapshot(stem, after(time.Duration(m)*time.Minute).Std(), run))
	}
	return out
}

func minutes(all []snapshot) (out []int) {
	for _, s := range all {
		out = append(out, int(s.at.Sub(noon.Std()).Minutes()))
	}
	return out
}

func TestStaleSnapshots(t *testing.T) {
	stem := snapshotStem(project, "flowbeam", "flows")
	all := series(stem, "a", 0, 10, 20, 30, 60)
	now := after(65 * time.Minute).Std()
	if d := cmp.Diff([]int{0, 10, 20}, minutes(stale(all, now, 30*time.Minute, ""))); d != "" { // 30 is the newest old one
		t.Error(d)
	}
	if d := cmp.Diff([]int{0, 20}, minutes(stale(all, now, 30*time.Minute, all[1].full))); d != "" {
		t.Error(d)
	}
	if got := stale(all, after(10*time.Minute).Std(), 30*time.Minute, ""); len(got) != 0 {
		t.Errorf("%v", minutes(got))
	}
}

func TestResumeChoosesASnapshot(t *testing.T) {
	stem := snapshotStem(project, "flowbeam", "flows")
	all := append(series(stem, "a", 0, 10, 20, 30), series(stem, "b", 40)...)
	for _, c := range []struct {
		run        string
		back, want int
		void       []int
	}{
		{"c", 0, 40, nil},
		{"c", 10, 30, []int{40}},
		{"c", 11, 20, []int{30, 40}},
		{"c", 100, 0, []int{10, 20, 30, 40}},
		{"b", 10, 20, []int{30}}, // its own is none of its past
	} {
		from, void, ok := resume(all, c.run, time.Duration(c.back)*time.Minute)
		if got := minutes([]snapshot{from})[0]; !ok || got != c.want {
			t.Errorf("run %s, %d minutes back: %d, want %d", c.run, c.back, got, c.want)
		}
		if d := cmp.Diff(c.void, minutes(void)); d != "" {
			t.Errorf("run %s, %d minutes back: void %s", c.run, c.back, d)
		}
	}
	if _, _, ok := resume(series(stem, "a", 1, 2), "a", 0); ok {
		t.Error("a run is its own past")
	}
}
