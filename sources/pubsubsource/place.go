package pubsubsource

import "sync"

// place is where the read of a subscription is: the restriction that a runner checkpoints.
// Session and Seq tell which run of a bundle handed it out, so that it is known when a
// bundle begins whether the runner goes on, tries again or went back.
type place struct {
	Session  string // of the process's read, "" at the beginning
	Seq      int64
	Snapshot string // where a runner that went back goes on; "" is where the read starts
	Done     bool
}

// same says whether two places were handed out by one run of a bundle.
func (p place) same(o place) bool { return p.Session == o.Session && p.Seq == o.Seq }

// tracker tracks a place. A position is the place that the bundle leaves behind: it is
// claimed before anything is read and again for each batch, so that nothing is emitted after
// a checkpoint took the rest away.
type tracker struct {
	mu      sync.Mutex // the harness locks too; tests need not
	state   place
	stopped bool
}

func newTracker(p place) *tracker { return &tracker{state: p} }

func (t *tracker) TryClaim(pos any) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped || t.state.Done {
		return false
	}
	t.state = pos.(place)
	return true
}

func (t *tracker) GetError() error { return nil }

// TrySplit gives away all that is left at fraction 0, a checkpoint, and nothing else.
func (t *tracker) TrySplit(fraction float64) (primary, residual any, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if fraction > 0 || t.stopped || t.state.Done {
		return t.state, nil, nil
	}
	t.stopped = true
	return place{Done: true}, t.state, nil
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
	return t.stopped || t.state.Done
}

func (t *tracker) GetRestriction() any {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state
}

func (t *tracker) IsBounded() bool { return false }
