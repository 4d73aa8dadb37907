package bigquerysink

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/delivery"
)

// sink is what the DoFns share. One goroutine gives it rows, others send them.
type sink[T any] struct {
	table *flow.Table[T]
	// tail returns what appends to a row's message that which an upsert has beside the
	// columns, in fields from the given number on. nil: rows are appended.
	tail func(number int) func([]byte, *T) []byte
	// fail makes the dead letter of a row.
	fail func(row *T, reason flow.Reason, err error) flow.Failure

	o      options
	target *target
	meter  *delivery.Meter
	writer rowWriter[T]
	free   []*chunk[T] // whose requests were answered
	bundle *bundle[T]
}

// rowWriter writes rows for a schema.
type rowWriter[T any] struct {
	schema *schema
	e      *flow.ProtoEncoder[T]
	tail   func([]byte, *T) []byte
}

func (s *sink[T]) rowWriter(to *schema) (rowWriter[T], error) {
	e, err := flow.NewProtoEncoder(s.table, to.has)
	if err != nil {
		return rowWriter[T]{}, fmt.Errorf("table %s: %w", s.target.name, err)
	}
	w := rowWriter[T]{schema: to, e: e}
	if s.tail != nil {
		w.tail = s.tail(e.NextNumber())
	}
	return w, nil
}

// open is for Setup: it finds the table and its columns, as often as the policy has it.
func (s *sink[T]) open(ctx context.Context, name tableName, o options) (err error) {
	s.o = o
	if s.target, err = targetOf(o.Endpoint, name, s.table, s.tail != nil); err == nil {
		err = s.target.open(ctx, o.Policy)
	}
	if err != nil {
		return fmt.Errorf("bigquerysink: %w", err)
	}
	s.meter = delivery.NewMeter(o.Stage)
	return nil
}

// bundle is what one try of a bundle does. Nothing of it is left for the next one.
type bundle[T any] struct {
	ctx     context.Context // of its requests; ends with the first that fails
	cancel  context.CancelCauseFunc
	senders sync.WaitGroup
	slots   chan struct{} // one for each request under way
	filling *chunk[T]

	mu       sync.Mutex
	tally    delivery.Tally
	took     []time.Duration
	failures []flow.Failure
	free     []*chunk[T]
}

// start forgets the try before, and ends what that has under way.
func (s *sink[T]) start() {
	s.bundle.end()
	s.bundle = &bundle[T]{slots: make(chan struct{}, s.o.InFlight)}
}

func (b *bundle[T]) end() {
	if b != nil && b.cancel != nil {
		b.cancel(context.Canceled)
		b.senders.Wait()
	}
}

// add takes one row, which must stay as it is until the bundle ends.
func (s *sink[T]) add(ctx context.Context, row *T) error {
	b := s.bundle
	if b.filling == nil {
		if err := s.newChunk(); err != nil {
			return err
		}
	}
	c := b.filling
	c.add(&s.writer, row)
	if len(c.body) > maxRequest {
		return s.overflow(ctx)
	}
	if len(c.body) >= s.o.RequestBytes || len(c.rows) >= s.o.RequestRows {
		b.filling = nil
		return s.send(ctx, c)
	}
	return nil
}

// overflow takes out the row that made a request too large: into the next one, or, if it
// is too large for any, among the dead letters.
func (s *sink[T]) overflow(ctx context.Context) error {
	b, c := s.bundle, s.bundle.filling
	body, row := c.pop()
	if len(body) > maxRequest {
		f := shorten(s.fail(row, flow.ReasonOversize, fmt.Errorf("the row has %d bytes, a request takes %d", len(body), maxRequest)))
		b.mu.Lock()
		defer b.mu.Unlock()
		b.tally.Rejected++
		b.failures = append(b.failures, f)
		return nil
	}
	if err := s.newChunk(); err != nil {
		return err
	}
	if b.filling.schema == c.schema {
		b.filling.push(body, row)
	} else {
		b.filling.add(&s.writer, row)
	}
	return s.send(ctx, c)
}

// newChunk begins a request, with the newest schema.
func (s *sink[T]) newChunk() (err error) {
	if now := s.target.now.Load(); s.writer.schema != now {
		if s.writer, err = s.rowWriter(now); err != nil {
			return fmt.Errorf("bigquerysink: %w", err)
		}
	}
	b := s.bundle
	if len(s.free) == 0 {
		b.mu.Lock()
		s.free, b.free = b.free, nil
		b.mu.Unlock()
	}
	c := new(chunk[T])
	if n := len(s.free); n > 0 {
		c, s.free = s.free[n-1], s.free[:n-1]
	}
	c.reset(s.writer.schema)
	b.filling = c
	return nil
}

// send has a request sent, when fewer than InFlight are under way.
func (s *sink[T]) send(ctx context.Context, c *chunk[T]) error {
	b := s.bundle
	if b.ctx == nil {
		b.ctx, b.cancel = context.WithCancelCause(ctx)
	}
	select {
	case b.slots <- struct{}{}:
	case <-b.ctx.Done():
		return context.Cause(b.ctx)
	}
	b.senders.Go(func() {
		defer func() { <-b.slots }()
		a := attempt[T]{sink: s, c: c, whole: true}
		err := a.run(b.ctx)
		b.mu.Lock()
		defer b.mu.Unlock()
		b.tally.Add(a.tally)
		b.took = append(b.took, a.took...)
		b.failures = append(b.failures, a.failures...)
		if err != nil {
			b.cancel(fmt.Errorf("bigquerysink: %w", err))
		} else if a.whole {
			b.free = append(b.free, c)
		}
	})
	return nil
}

// emit hands over the dead letters that there are.
func (s *sink[T]) emit(fail func(flow.FailureBatch)) {
	b := s.bundle
	b.mu.Lock()
	failures := b.failures
	b.failures = nil
	b.mu.Unlock()
	if len(failures) > 0 {
		fail(flow.FailureBatch{Failures: failures})
	}
}

// finish sends the rest and waits for all answers.
func (s *sink[T]) finish(ctx context.Context, fail func(flow.FailureBatch), count func(flow.Count)) error {
	b := s.bundle
	if c := b.filling; c != nil && len(c.rows) > 0 {
		b.filling = nil
		if err := s.send(ctx, c); err != nil {
			return err
		}
	}
	b.senders.Wait()
	if b.ctx != nil {
		if err := context.Cause(b.ctx); err != nil {
			return err
		}
		b.cancel(nil)
		b.cancel = nil
	}
	s.emit(fail)
	b.tally.Emit(s.o.Stage, count)
	s.meter.Add(ctx, b.tally)
	for _, d := range b.took {
		s.meter.Request(ctx, d)
	}
	return nil
}
