package inflight

import (
	"testing"
	"time"
)

func begin(budget int64, sinks ...string) (*state, *time.Time) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := &state{}
	s.begin(budget, func() time.Time { return at }, sinks...)
	return s, &at
}

func expect(t *testing.T, s *state, when string, bytes int64, full bool) {
	t.Helper()
	if n := s.underWay(); n != bytes {
		t.Errorf("%s: %d bytes are on their way, want %d", when, n, bytes)
	}
	if f := s.full(); f != full {
		t.Errorf("%s: full is %v", when, f)
	}
}

func TestTheSlowestSinkCounts(t *testing.T) {
	s, _ := begin(1000, "files", "store")
	expect(t, s, "at first", 0, false)
	s.took(9, 900)
	expect(t, s, "nine are read", 900, false)
	s.took(1, 100)
	expect(t, s, "ten are read", 1000, true)
	s.finished("files", 10)
	expect(t, s, "one sink has them", 1000, true)
	s.finished("store", 4)
	expect(t, s, "the other has four", 600, false)
	s.finished("another", 6)
	expect(t, s, "one that is not counted has six", 600, false)
	s.gone(6)
	expect(t, s, "the other six are duplicates", 0, false)
	s.gone(-12) // what waited for a timer comes
	expect(t, s, "twelve come back", 1200, true)
	if s.most != 1200 {
		t.Errorf("at most %d", s.most)
	}
}

func TestACountThatIsLostStopsNothingForEver(t *testing.T) {
	s, at := begin(1600, "store")
	s.took(20, 2000)
	*at = at.Add(Patience - 1)
	expect(t, s, "before the time", 2000, true)
	*at = at.Add(1)
	expect(t, s, "after it", 2000, false)
	expect(t, s, "until it is read", 2000, false)
	s.took(1, 100)
	expect(t, s, "a sixteenth more was read", 2100, true)
	for range 10 { // twenty are lost, what comes passes
		s.finished("store", 1)
		expect(t, s, "it moves", 2000, false)
		s.took(1, 100)
		expect(t, s, "and is full again", 2100, true)
	}
	// They were not lost: nothing is allowed on their account any more.
	s.finished("store", 21)
	expect(t, s, "all is done", 0, false)
	s.took(16, 1600)
	expect(t, s, "the budget is as it was", 1600, true)
}

func TestRawRecordsAreNotGoneWithTheirRecords(t *testing.T) {
	s, _ := begin(1000, Raw, "store")
	s.took(10, 1000)
	s.gone(10)
	expect(t, s, "all are dead letters", 1000, true)
	s.finished(Raw, 10)
	expect(t, s, "and backed up", 0, false)
}

func TestWithoutABudgetNothingIsFull(t *testing.T) {
	s, _ := begin(0, "store")
	s.took(1, 1<<40)
	expect(t, s, "no budget", 0, false)
}
