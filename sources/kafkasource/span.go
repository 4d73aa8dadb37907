package kafkasource

import "sync"

// span is what is left of a partition: the offsets [Next, End). It is the restriction that a
// runner checkpoints, and so the source's place.
type span struct{ Next, End int64 }

// moveTo is a position like an offset, which may be one before what was read: a log that
// lost its end goes on there.
type moveTo int64

// tracker tracks a span. A position is the offset after what is read with it. A partition is
// read in its order, so that it can't be split but for a checkpoint.
type tracker struct {
	mu      sync.Mutex // the harness locks too; tests need not
	state   span
	stopped bool
	ended   bool
}

func newTracker(s span) *tracker { return &tracker{state: s} }

func (t *tracker) TryClaim(pos any) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped || t.ended {
		return false
	}
	switch next := pos.(type) {
	case int64:
		t.state.Next = max(t.state.Next, next)
	case moveTo:
		t.state.Next = int64(next)
	}
	t.ended = t.state.Next >= t.state.End
	return true
}

func (t *tracker) GetError() error { return nil }

// TrySplit gives away all that is left at fraction 0, a checkpoint, and nothing else.
func (t *tracker) TrySplit(fraction float64) (primary, residual any, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if fraction > 0 || t.stopped || t.ended {
		return t.state, nil, nil
	}
	t.stopped = true
	return span{t.state.Next, t.state.Next}, t.state, nil
}

func (t *tracker) GetProgress() (done, remaining float64) {
	if t.IsDone() {
		return 1, 0
	}
	return 0, 1
}

func (t *tracker) IsDone() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stopped || t.ended
}

func (t *tracker) GetRestriction() any {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state
}

func (t *tracker) IsBounded() bool { return t.state.End != forever }
