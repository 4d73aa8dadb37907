package pubsubsource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"cloud.google.com/go/pubsub/v2"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/metrics"
)

// stream is one connection that receives.
type stream struct {
	service  service
	cancel   context.CancelFunc
	dropped  bool // what comes is not ours any more, guarded by the subscriber
	finished chan struct{}
	err      error // why, once it is finished
}

// putBack puts what the last bundle was handed at the head of the queue, as it was.
func (x *subscriber) putBack() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.queue = append(x.handed, x.queue...)
	x.handed = nil
}

// connect receives, where that ended.
func (x *subscriber) connect(ctx context.Context) error {
	if x.stream != nil {
		err := x.failed()
		if err == nil && !x.stream.dropped {
			return nil
		}
		if e := x.letGo(ctx); e != nil {
			return e
		}
		if err != nil {
			return err
		}
	}
	s, err := x.c.Connection.open(ctx, x.c.Project)
	if err != nil {
		return err
	}
	x.receive(s)
	return nil
}

// receive begins to receive.
func (x *subscriber) receive(s service) {
	life, cancel := context.WithCancel(context.Background())
	st := &stream{service: s, cancel: cancel, finished: make(chan struct{})}
	x.mu.Lock()
	x.stream, x.arrived = st, time.Now()
	x.mu.Unlock()
	sub := s.Subscriber(x.name)
	sub.ReceiveSettings.MaxOutstandingMessages = x.c.MaxMessages
	sub.ReceiveSettings.MaxOutstandingBytes = x.c.MaxBytes
	sub.ReceiveSettings.MaxExtension = x.c.MaxExtension
	sub.ReceiveSettings.MinDurationPerAckExtension = time.Minute // whatever the subscription's deadline is
	sub.ReceiveSettings.NumGoroutines = x.c.Streams
	go func() {
		defer close(st.finished)
		err := sub.Receive(life, func(ctx context.Context, m *pubsub.Message) { x.take(ctx, st, m) })
		if err == nil && life.Err() == nil {
			err = errors.New("the stream ended")
		}
		st.err = explain(err, "receive from "+x.name, "roles/pubsub.subscriber on the subscription")
	}()
}

// take puts a message that came into the queue, when there is room. The service itself sends
// no more than what may be outstanding; the emulator does.
func (x *subscriber) take(ctx context.Context, st *stream, m *pubsub.Message) {
	if !x.prepare(ctx, m) {
		m.Nack()
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for {
		if st.dropped {
			m.Nack()
			return
		}
		if h := x.held[m.ID]; h != nil {
			h.deliveries = append(h.deliveries, m)
			x.repeated++
			return
		}
		if len(x.held) < x.c.MaxMessages && x.bytes < x.c.MaxBytes {
			break
		}
		x.room.Wait()
	}
	if m.DeliveryAttempt != nil && *m.DeliveryAttempt > 1 {
		x.repeated++
	}
	h := newMessage(x.c, m)
	x.held[m.ID] = h
	x.bytes += h.size()
	x.queue = append(x.queue, h)
	x.arrived = time.Now()
}

// prepare waits until a message can be read, while it is held: one that is given back again and again goes to
// the subscription's dead letters. false: receiving ended.
func (x *subscriber) prepare(ctx context.Context, m *pubsub.Message) bool {
	for x.c.info.Prepare != nil {
		err := x.c.info.Prepare(ctx, x.c.Header, []flow.Raw{x.c.raw(m.ID, m.Data, m.Attributes, flow.TimeOf(m.PublishTime))})
		if err == nil || ctx.Err() != nil {
			return err == nil
		}
		slog.Warn("messages cannot be read yet; it is tried again", "subscription", x.name, "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(prepareWait):
		}
	}
	return true
}

// prepareWait is between two tries.
var prepareWait = time.Second

// letGo ends receiving and gives back all that is held. Once it returned, nothing is
// acknowledged any more of what came before.
func (x *subscriber) letGo(ctx context.Context) error {
	metrics.DropPlace(x.c.Stage, x.name)
	x.mu.Lock()
	st := x.stream
	if st == nil {
		x.mu.Unlock()
		return nil
	}
	st.dropped = true
	st.cancel()
	for _, h := range x.held {
		for _, d := range h.deliveries {
			d.Nack()
		}
	}
	x.queue, x.handed, x.done, x.held, x.bytes = nil, nil, nil, map[string]*message{}, 0
	x.room.Broadcast()
	x.mu.Unlock()
	select {
	case <-st.finished:
	case <-time.After(callTime):
		return fmt.Errorf("receiving from %s does not end: acknowledgements are under way", x.name)
	case <-ctx.Done():
		return ctx.Err()
	}
	st.service.Close()
	x.mu.Lock()
	x.stream = nil
	x.mu.Unlock()
	return nil
}

// drop forgets messages.
func (x *subscriber) drop(ms []*message) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, m := range ms {
		delete(x.held, m.id)
		x.bytes -= m.size()
	}
	x.room.Broadcast()
}

// peek returns the messages that make up the next batch. They stay.
func (x *subscriber) peek() []*message {
	x.mu.Lock()
	defer x.mu.Unlock()
	n, bytes := 0, 0
	for n < len(x.queue) && n < x.c.BatchRecords && bytes < x.c.BatchBytes {
		bytes += len(x.queue[n].data)
		n++
	}
	return x.queue[:n:n]
}

// hand notes that the bundle has the first n messages of the queue.
func (x *subscriber) hand(n int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.handed = append(x.handed, x.queue[:n]...)
	clear(x.queue[:n])
	if x.queue = x.queue[n:]; len(x.queue) == 0 {
		x.queue = nil
	}
}

// full says that bundles hold most of what may be outstanding: only their end makes room.
func (x *subscriber) full() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return 2*len(x.handed) >= x.c.MaxMessages || 2*x.bytes >= x.c.MaxBytes
}

// failed is why nothing is received any more.
func (x *subscriber) failed() error {
	select {
	case <-x.stream.finished:
		return x.stream.err
	default:
		return nil
	}
}

// waiting are the times of what waits in the queue.
func (x *subscriber) waiting() (out bucket) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, m := range x.queue {
		out.note(bucket{n: 1, event: min(m.event, m.published), arrived: m.published})
	}
	return out
}

// quietTime is how long nothing comes before it is taken for all that there is.
var quietTime = 5 * time.Second

// quiet says that nothing is held and nothing came for some time.
func (x *subscriber) quiet(now time.Time) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.held) == 0 && now.Sub(x.arrived) >= quietTime
}

// throttle waits until n messages may be read.
func (x *subscriber) throttle(ctx context.Context, n int) error {
	if x.rate == nil {
		return nil
	}
	return x.rate.WaitN(ctx, min(n, x.rate.Burst()))
}
