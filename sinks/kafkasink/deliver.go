package kafkasink

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/delivery"
)

// rejection are the errors that a broker gives for what is in a batch, for good. It refuses
// the whole batch, and the client all that waits for the partition, so an error of these
// doesn't say which message it is.
var rejection = []error{kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidRecord, kerr.InvalidTimestamp}

func rejected(err error) bool {
	for _, e := range rejection {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// errAbandoned is of a chunk that the client still holds: its memory isn't used again.
var errAbandoned = errors.New("messages are not acknowledged")

// deliver produces a chunk until each of its messages is acknowledged or rejected. Its
// error is what fails the bundle.
func (s *sink[T]) deliver(ctx context.Context, c *chunk[T]) (t delivery.Tally, failures []flow.Failure, err error) {
	again, err := s.client.connection.Policy.Do(ctx, "write to topic "+s.encoder.topic, func(ctx context.Context) error {
		c.todo = c.todo[:0]
		for i := range c.entries {
			if !c.entries[i].done {
				c.todo = append(c.todo, &c.entries[i])
			}
		}
		kafka := s.client.producer()
		if err := s.produce(ctx, kafka, c, c.todo); err != nil {
			return err
		}
		bad, err := s.settle(ctx, kafka, c.todo, &t)
		if err != nil || len(bad) == 0 {
			return err
		}
		return s.isolate(ctx, c, bad, &t, &failures)
	})
	t.Retried += int64(again)
	return t, failures, err
}

// produce hands messages to the client and waits for all their promises.
func (s *sink[T]) produce(ctx context.Context, kafka *kgo.Client, c *chunk[T], todo []*entry[T]) error {
	if len(todo) == 0 {
		return nil
	}
	c.left.Store(int64(len(todo)))
	c.acked = make(chan struct{})
	acked := c.acked
	life := s.client.life()
	go func() { // Produce blocks while the client's buffer is full
		for i, x := range todo {
			if ctx.Err() != nil {
				if c.left.Add(int64(i-len(todo))) == 0 { // the rest was not handed over
					close(acked)
				}
				return
			}
			r := &x.record
			x.err = errAbandoned
			x.record = kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value, Headers: x.headers[:], Timestamp: r.Timestamp, Context: x}
			kafka.Produce(life, &x.record, c.promise)
		}
	}()
	select {
	case <-acked:
		if ctx.Err() == nil {
			return nil
		}
	case <-ctx.Done():
	}
	return delivery.Again(s.client.explain(errAbandoned), 0)
}

// settle takes what the brokers said of messages. It returns those that may be bad, and an
// error where others must be tried again.
func (s *sink[T]) settle(ctx context.Context, kafka *kgo.Client, todo []*entry[T], t *delivery.Tally) (bad []*entry[T], err error) {
	for _, x := range todo {
		switch {
		case x.err == nil:
			x.done = true
			t.New++
			t.Bytes += int64(x.size)
		case rejected(x.err):
			bad = append(bad, x)
		case denied(x.err):
			err = delivery.Denied(fmt.Errorf("%w: the user needs the operation Write on the topic (and IdempotentWrite on the cluster before Kafka 3.0)", x.err))
		case err == nil:
			if err = x.err; errors.Is(err, context.DeadlineExceeded) {
				err = s.client.explain(errAbandoned)
			}
			err = delivery.Again(err, 0)
		}
	}
	if errors.Is(err, kerr.ClusterAuthorizationFailed) || errors.Is(err, kgo.ErrClientClosed) {
		s.client.renew(ctx, kafka) // it has no producer id and would never get one
	}
	return bad, err
}

// isolate finds out which of some messages a broker refuses, by halves, with a client of
// its own: in the shared one a message of another bundle may be in the same batch.
func (s *sink[T]) isolate(ctx context.Context, c *chunk[T], bad []*entry[T], t *delivery.Tally, failures *[]flow.Failure) error {
	s.client.solo.Lock()
	defer s.client.solo.Unlock()
	kafka, err := s.client.open(ctx)
	if err != nil {
		return err
	}
	defer kafka.Close()
	var halve func([]*entry[T]) error
	halve = func(part []*entry[T]) error {
		if err := s.produce(ctx, kafka, c, part); err != nil {
			return err
		}
		refused, err := s.settle(ctx, kafka, part, t)
		if err != nil || len(refused) == 0 {
			return err
		}
		t.Retried++
		if len(part) == 1 {
			x := part[0]
			x.done = true
			t.Rejected++
			*failures = append(*failures, s.encoder.kind.Fail(s.stage, x.row, x.err))
			return nil
		}
		mid := len(refused) / 2
		if mid > 0 {
			if err := halve(refused[:mid]); err != nil {
				return err
			}
		}
		return halve(refused[mid:])
	}
	return halve(bad)
}
