package stored

import (
	"slices"
	"testing"

	"github.com/flowbeam/flowbeam/flow"
)

func TestListenersHearEachAdvanceOnce(t *testing.T) {
	Begin()
	var heard []flow.Time
	cancel := Listen(func(at flow.Time) { heard = append(heard, at) })
	for _, at := range []flow.Time{5, 5, 3, 7} {
		Advance(at)
	}
	cancel()
	Advance(9)
	if want := []flow.Time{5, 7}; !slices.Equal(heard, want) || At() != 9 {
		t.Errorf("heard %v, want %v; it is at %d", heard, want, At())
	}
	End()
	if Advance(11); At() != 9 {
		t.Errorf("after the end it is at %d", At())
	}
	Begin()
	if At() != 0 {
		t.Errorf("a new job begins at %d", At())
	}
}
