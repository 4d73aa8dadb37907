// Package inflight bounds what is on its way from the sources of this process to its sinks.
// It is for the local runner: it holds what is between two stages in memory and never slows
// a source down, so a slow store would have the whole input in memory. Other runners bound
// that themselves.
//
// What is on its way is a difference: what the sources have read less what a sink is done
// with, of the sink that is furthest behind. What waits for a timer or a window counts as
// done while it waits: it goes on only when more is read.
package inflight

import (
	"log/slog"
	"sync"
	"time"
)

// Wait is how long a source is to wait, with its bundle ended, before it asks again.
const Wait = 200 * time.Millisecond

// Raw is the sink that is given all that is read, as it was read; the others are given
// records.
const Raw = "raw"

// Patience is how long nothing at all moves until something is let through: a count that was
// lost must not stop a stream for ever.
const Patience = time.Minute

var now state

type state struct {
	sync.Mutex
	budget      int64            // bytes; 0: none
	read, bytes int64            // records that were read, and their bytes as they were read
	done        map[string]int64 // records that a sink is done with
	allowed     int64            // bytes beyond the budget, let through
	moved       time.Time
	most        int64 // bytes that were on their way at once

	clock func() time.Time
}

// Begin begins to count for a job: at most so many bytes are to be on their way to any of
// the sinks. A budget of 0 is none.
func Begin(budget int64, sinks ...string) {
	now.begin(budget, time.Now, sinks...)
}

func (s *state) begin(budget int64, clock func() time.Time, sinks ...string) {
	s.Lock()
	defer s.Unlock()
	s.budget, s.clock, s.done = budget, clock, map[string]int64{}
	s.read, s.bytes, s.allowed, s.most, s.moved = 0, 0, 0, 0, clock()
	for _, sink := range sinks {
		s.done[sink] = 0
	}
}

// End ends it.
func End() {
	now.Lock()
	defer now.Unlock()
	now.budget = 0
}

// Read notes records that a source gives, and their bytes. It comes before what is done with
// them.
func Read(records, bytes int64) { now.took(records, bytes) }

func (s *state) took(records, bytes int64) {
	s.Lock()
	defer s.Unlock()
	if s.budget == 0 {
		return
	}
	s.read += records
	s.bytes += bytes
	s.moved = s.clock()
	s.most = max(s.most, s.underWay())
}

// Done notes records that a sink is done with. Sinks that [Begin] does not know are passed over.
func Done(sink string, records int64) { now.finished(sink, records) }

func (s *state) finished(sink string, records int64) {
	s.Lock()
	defer s.Unlock()
	s.finish(sink, records)
}

// finish is what finished does. The caller holds the lock.
func (s *state) finish(sink string, records int64) {
	if _, ok := s.done[sink]; !ok || s.budget == 0 || records == 0 {
		return
	}
	s.done[sink] += records
	s.moved = s.clock()
	// What was let through and has come out was no lost count.
	s.allowed = min(s.allowed, max(s.underWay(), 0))
	s.most = max(s.most, s.underWay())
}

// Gone notes records that no sink but [Raw] will be given: less than none where they come
// after all.
func Gone(records int64) { now.gone(records) }

func (s *state) gone(records int64) {
	s.Lock()
	defer s.Unlock()
	for sink := range s.done {
		if sink != Raw {
			s.finish(sink, records)
		}
	}
}

// Half says that half of what may be on its way is: sources see to it that those which are
// furthest behind get the room that is left.
func Half() bool {
	now.Lock()
	defer now.Unlock()
	return now.budget > 0 && now.underWay() > now.budget/2
}

// Full says that a source is to give nothing now.
func Full() bool { return now.full() }

func (s *state) full() bool {
	s.Lock()
	defer s.Unlock()
	if s.budget == 0 {
		return false
	}
	n := s.underWay()
	if n < s.budget+s.allowed {
		return false
	}
	if at := s.clock(); at.Sub(s.moved) >= Patience {
		s.moved, s.allowed = at, n-s.budget+max(s.budget/16, 1)
		slog.Warn("nothing has moved between the sources and the sinks; a little is let through", "for", Patience, "bytes", n, "max_in_flight", s.budget)
		return false
	}
	return true
}

// underWay is the bytes that are on their way to the sink that is furthest behind. Records
// are taken to be of the mean size. The caller holds the lock.
func (s *state) underWay() int64 {
	if s.read == 0 {
		return 0
	}
	var most int64
	for _, done := range s.done {
		most = max(most, s.read-done)
	}
	return int64(float64(most) * float64(s.bytes) / float64(s.read))
}

// Now is the bytes that are on their way.
func Now() int64 {
	now.Lock()
	defer now.Unlock()
	return now.underWay()
}

// Most is the most bytes that were on their way at once since [Begin].
func Most() int64 {
	now.Lock()
	defer now.Unlock()
	return now.most
}
