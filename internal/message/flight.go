package message

import (
	"context"
	"sync"
	"time"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/delivery"
)

// Flight is what one bundle has on its way to a server, and what has come of it. The
// bundle makes one when it starts, so that nothing of a failed try stays.
type Flight struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup

	mu       sync.Mutex
	tally    delivery.Tally
	failures []flow.Failure
	took     []time.Duration
}

// NewFlight makes the flight of a bundle; its requests end with ctx.
func NewFlight(ctx context.Context) *Flight {
	f := &Flight{}
	f.ctx, f.cancel = context.WithCancelCause(ctx)
	return f
}

// Go sends a request in a goroutine of its own, as soon as slots has room: that is what
// makes a bundle wait for a slow server. The first request that fails ends the others, and
// its error is returned from then on.
func (f *Flight) Go(slots chan struct{}, send func(context.Context) error) error {
	select {
	case slots <- struct{}{}:
	case <-f.ctx.Done():
		return context.Cause(f.ctx)
	}
	if f.ctx.Err() != nil { // select takes any way that is open
		<-slots
		return context.Cause(f.ctx)
	}
	f.wg.Go(func() {
		defer func() { <-slots }()
		if err := send(f.ctx); err != nil {
			f.cancel(err)
		}
	})
	return nil
}

// Done adds what became of a request's rows.
func (f *Flight) Done(t delivery.Tally, rejected []flow.Failure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tally.Add(t)
	f.failures = append(f.failures, rejected...)
}

// Request adds one request and how long it took.
func (f *Flight) Request(took time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tally.Requests++
	f.took = append(f.took, took)
}

// Reject adds a row that was refused before it was sent.
func (f *Flight) Reject(failure flow.Failure) {
	f.Done(delivery.Tally{Rejected: 1}, []flow.Failure{failure})
}

// Emit sends on the dead letters that there are since the last call.
func (f *Flight) Emit(fail func(flow.FailureBatch)) {
	f.mu.Lock()
	failures := f.failures
	f.failures = nil
	f.mu.Unlock()
	if len(failures) > 0 {
		fail(flow.FailureBatch{Failures: failures})
	}
}

// Wait waits until everything sent has its answer. It returns the tally, and how long each
// request took, or the first error.
func (f *Flight) Wait() (delivery.Tally, []time.Duration, error) {
	f.wg.Wait()
	err := context.Cause(f.ctx)
	f.cancel(nil)
	if err != nil {
		return delivery.Tally{}, nil, err
	}
	return f.tally, f.took, nil
}

// Stop ends what a bundle before left on its way, and waits for it.
func (f *Flight) Stop() {
	if f != nil {
		f.cancel(context.Canceled)
		f.wg.Wait()
	}
}
