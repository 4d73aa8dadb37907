package pubsubsource

import (
	"testing"
	"time"

	"github.com/flowbeam/flowbeam/flow"
)

var noon = flow.TimeOf(time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC))

func after(d time.Duration) flow.Time { return noon.Add(d) }

func TestTheLowestOfAMinute(t *testing.T) {
	var l lowest
	for i := range 20 { // one a second; the 4th is an hour old, the 6th ten hours in its event time
		event, arrived := after(0), after(0)
		if i == 4 {
			arrived = after(-time.Hour)
		}
		if i == 6 {
			event = after(-10 * time.Hour)
		}
		if i == 7 {
			event = 0 // broken
		}
		if i == 8 {
			event = after(100 * time.Hour) // from the future: no more than it was published
		}
		l.add(after(time.Duration(i)*time.Second), event, arrived)
	}
	event, arrived, ok := l.with(after(20*time.Second), bucket{})
	if !ok || event != after(-10*time.Hour) || arrived != after(-time.Hour) {
		t.Errorf("%v, %v, %v", event, arrived, ok)
	}
	for i := range 20 {
		l.add(after(time.Minute+time.Duration(i)*time.Second), after(0), after(time.Second))
	}
	event, arrived, ok = l.with(after(80*time.Second), bucket{})
	if !ok || event != after(0) || arrived != after(time.Second) {
		t.Errorf("after a minute: %v, %v, %v", event, arrived, ok)
	}
	if event, arrived, _ = l.with(after(80*time.Second), bucket{n: 1, arrived: after(-2 * time.Hour)}); event != after(0) || arrived != after(-2*time.Hour) {
		t.Errorf("with what waits: %v, %v", event, arrived)
	}
	if _, _, ok = l.with(after(10*time.Minute), bucket{n: 1, arrived: after(0)}); ok {
		t.Error("what is long ago tells something")
	}
}

func TestFewMessagesTellNothing(t *testing.T) {
	var l lowest
	for range 1000 {
		l.add(after(time.Second), after(0), after(0))
	}
	if _, _, ok := l.with(after(2*time.Second), bucket{}); ok {
		t.Error("one moment tells something")
	}
	l = lowest{}
	for i := range 9 {
		l.add(after(time.Duration(i)*6*time.Second), after(0), after(0))
	}
	if _, _, ok := l.with(after(54*time.Second), bucket{}); ok {
		t.Error("nine messages tell something")
	}
}
