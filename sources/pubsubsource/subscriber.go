package pubsubsource

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"golang.org/x/time/rate"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/flowbeam/flowbeam/internal/watermark"
)

// subscriber receives ahead for the read of a subscription in this process. Runners set
// DoFns up by the hundred and end a bundle each second: it outlives them. What it knows of
// its bundles it keeps for good; its connection it lets go when no bundle comes.
//
// A message is first in its queue, then handed to a bundle, then done: the runner has the
// bundle. When it is done it is acknowledged, where there is a snapshot to go back to.
type subscriber struct {
	c    *config
	name string // projects/P/subscriptions/S
	stem string
	busy chan struct{} // holds a token while a bundle works: one at a time

	// Used by the bundle that has the token.
	session    string
	seq        int64
	base, next place // of the last bundle: the place that it began with, and that it left
	snapshot   string
	anchored   bool      // there is a way back to what was acknowledged, at the time
	anchor     time.Time // since then
	newest     time.Time // of the names of snapshots
	again      time.Time // when a snapshot that failed is tried again
	cleaned    time.Time
	warned     time.Time
	topic      string
	handed     []*message
	done       []*message
	mark       watermark.Partition
	low        lowest
	asked      time.Time // when the service was last reached
	rate       *rate.Limiter
	acked      int64
	told       told

	idle *time.Timer // lets go, guarded by subscribers

	mu       sync.Mutex
	stream   *stream
	queue    []*message
	held     map[string]*message // in queue, handed and done
	bytes    int                 // of held
	room     *sync.Cond          // signals that held is less
	arrived  time.Time           // of the newest message, or when receiving began
	repeated int64               // deliveries of messages that are held
	arrivals chan struct{}       // has a token when something came
}

// stream is one connection that receives.
type stream struct {
	service  service
	cancel   context.CancelFunc
	dropped  bool // what comes is not ours any more, guarded by the subscriber
	finished chan struct{}
	err      error // why, once it is finished
}

var subscribers = struct {
	sync.Mutex
	byKey map[string]*subscriber
}{byKey: map[string]*subscriber{}}

// idleTime is how long a subscription is held of which no bundle comes: the runner may read
// it in another process now, which waits for the messages that are held here.
var idleTime = 2 * time.Minute

// acquire returns the process's subscriber of a read, once no other bundle works with it.
func acquire(ctx context.Context, c *config, subscription string) (*subscriber, error) {
	b, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	key := string(b) + subscription
	subscribers.Lock()
	x := subscribers.byKey[key]
	if x == nil {
		x = newSubscriber(c, subscription)
		subscribers.byKey[key] = x
	}
	subscribers.Unlock()
	select {
	case x.busy <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	subscribers.Lock()
	defer subscribers.Unlock()
	if x.idle != nil {
		x.idle.Stop()
		x.idle = nil
	}
	return x, nil
}

// release ends a bundle's use.
func (x *subscriber) release() {
	subscribers.Lock()
	defer subscribers.Unlock()
	x.idle = time.AfterFunc(idleTime, func() {
		select {
		case x.busy <- struct{}{}:
			x.letGo(context.Background())
			<-x.busy
		default: // a bundle came
		}
	})
	<-x.busy
}

func newSubscriber(c *config, subscription string) *subscriber {
	x := &subscriber{
		c: c, name: subscription, stem: snapshotStem(c.Project, c.Prefix, lastPart(subscription)),
		busy: make(chan struct{}, 1), session: rand.Text(), held: map[string]*message{}, arrivals: make(chan struct{}, 1),
	}
	x.room = sync.NewCond(&x.mu)
	if c.MaxRate > 0 {
		x.rate = rate.NewLimiter(rate.Limit(c.MaxRate), max(c.BatchRecords, int(c.MaxRate)))
	}
	return x
}

// begin begins a bundle at a place and returns the place that it leaves behind. Each run of
// a bundle leaves another one, so that it is known which of two the runner took.
func (x *subscriber) begin(ctx context.Context, at place) (place, error) {
	switch {
	case x.next.Session != "" && at.same(x.next): // the runner has the last bundle
		x.done = append(x.done, x.handed...)
		x.handed = nil
		x.forget()
		if err := x.connect(ctx); err != nil {
			return place{}, err
		}
	case x.next.Session != "" && at.same(x.base): // it tries the last bundle again
		x.putBack()
		if err := x.connect(ctx); err != nil {
			return place{}, err
		}
	default: // it began, or went back
		if err := x.restore(ctx, at); err != nil {
			return place{}, err
		}
	}
	x.settle(ctx)
	x.seq++
	x.base = at
	x.next = place{Session: x.session, Seq: x.seq, Snapshot: x.snapshot}
	return x.next, nil
}

// putBack puts what the last bundle was handed at the head of the queue, as it was.
func (x *subscriber) putBack() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.queue = append(x.handed, x.queue...)
	x.handed = nil
}

// restore takes the subscription back to a place that this process did not hand out last.
// Nothing may be acknowledged any more of what was received before: it would be lost.
func (x *subscriber) restore(ctx context.Context, at place) error {
	x.next = place{}
	if err := x.letGo(ctx); err != nil {
		return err
	}
	s, err := x.c.Connection.open(ctx, x.c.Project)
	if err != nil {
		return err
	}
	x.anchored, x.snapshot, x.again = false, "", time.Time{}
	err = x.position(ctx, s, at)
	if err != nil {
		s.Close()
		return err
	}
	x.receive(s)
	return nil
}

func (x *subscriber) position(ctx context.Context, s service, at place) error {
	sub, err := s.look(ctx, x.name)
	if err != nil {
		return err
	}
	x.topic = sub.Topic
	if at.Snapshot == "" {
		return x.start(ctx, s)
	}
	if err := s.seekTo(ctx, x.name, at.Snapshot); err != nil {
		if status.Code(err) == codes.NotFound {
			return fmt.Errorf("%w: the checkpoint names a snapshot that is gone: they are kept for %v (KeepSnapshots), and 7 days at most. "+
				"Start without the checkpoint, after a seek to before it: gcloud pubsub subscriptions seek %s --time=TIME", err, x.c.KeepSnapshots, x.name)
		}
		return err
	}
	slog.Info("a subscription was sought back: messages come again", "subscription", x.name, "snapshot", at.Snapshot)
	x.anchorAt(at.Snapshot)
	return nil
}

// anchorAt notes a snapshot to go back to.
func (x *subscriber) anchorAt(name string) {
	x.snapshot, x.anchored, x.anchor = name, true, time.Now()
	if s, ok := parseSnapshot(x.stem, name); ok && s.at.After(x.newest) {
		x.newest = s.at
	}
}

// first is the snapshot of where a run found the subscription. Its name is known before it
// is made, so that a runner that goes back to the beginning finds it.
func (x *subscriber) first() snapshot { return newSnapshot(x.stem, x.c.Built, x.c.Run) }

// start finds where a read begins.
func (x *subscriber) start(ctx context.Context, s service) error {
	if x.c.Start.Kind == byTime {
		if err := s.seekTime(ctx, x.name, x.c.Start.Time.Std()); err != nil {
			return err
		}
		x.anchored, x.anchor = true, time.Now() // a seek to the time again is the way back
		return nil
	}
	all, err := s.snapshots(ctx, x.c.Project, x.stem)
	if err != nil {
		return err
	}
	if x.c.Start.Kind == byResume {
		if from, void, ok := resume(all, x.c.Run, x.c.Start.Back); ok {
			if err := s.seekTo(ctx, x.name, from.full); err != nil {
				return err
			}
			if err := s.remove(ctx, void); err != nil {
				return err
			}
			slog.Info("a subscription was sought back: messages come again", "subscription", x.name, "snapshot", from.full)
			x.anchorAt(from.full)
			return nil
		}
		slog.Info("there is no snapshot to resume from: the read begins where the subscription stands", "subscription", x.name)
	}
	for _, old := range all {
		if old.run == x.c.Run && old.full == x.first().full {
			break
		}
		if old.run == x.c.Run {
			return fmt.Errorf("%s: the runner went back to the beginning of the run, at %v, and the first snapshot is gone: they are kept for %v (KeepSnapshots). "+
				"Start a new run, after a seek to that time: gcloud pubsub subscriptions seek %s --time=TIME", x.name, x.c.Built.UTC().Format(time.RFC3339), x.c.KeepSnapshots, x.name)
		}
	}
	switch err := s.snapshot(ctx, x.name, x.first().full); status.Code(err) {
	case codes.OK:
		x.anchorAt(x.first().full)
	case codes.AlreadyExists: // the runner went back to the beginning
		if err := s.seekTo(ctx, x.name, x.first().full); err != nil {
			return err
		}
		x.anchorAt(x.first().full)
	default:
		x.noSnapshot(err)
	}
	return nil
}

// settle acknowledges what is done. A snapshot comes first, where it is time for one: what
// is acknowledged in it is part of what the runner keeps with its name.
func (x *subscriber) settle(ctx context.Context) {
	now := time.Now()
	if (!x.anchored || now.Sub(x.anchor) >= x.c.SnapshotEvery) && !now.Before(x.again) {
		next := x.first()
		if x.anchored {
			at := now
			if least := x.newest.Add(time.Millisecond); at.Before(least) { // names grow, whatever the clock does
				at = least
			}
			next = newSnapshot(x.stem, at, x.c.Run)
		}
		err := x.stream.service.snapshot(ctx, x.name, next.full)
		if err == nil || !x.anchored && status.Code(err) == codes.AlreadyExists { // the reply was lost: nothing was acknowledged since
			x.anchorAt(next.full)
			x.clean(now)
		} else {
			x.noSnapshot(err)
		}
	}
	if !x.anchored || time.Since(x.anchor) > x.c.KeepSnapshots {
		return
	}
	x.drop(x.done) // so that no delivery is added any more
	for _, m := range x.done {
		for _, d := range m.deliveries {
			d.Ack()
		}
	}
	x.acked += int64(len(x.done))
	x.done = nil
}

// noSnapshot goes on without one: nothing is acknowledged for long, and what is held is
// bounded, so that the reading stops by itself.
func (x *subscriber) noSnapshot(err error) {
	x.again = time.Now().Add(snapshotPause)
	x.warn("there is no new snapshot; what is read is not acknowledged for longer than snapshots are kept, and the reading stops at the bound of what may be outstanding", err)
}

// snapshotPause is how long a snapshot that failed is left alone.
var snapshotPause = 10 * time.Second

func (x *subscriber) warn(what string, err error) {
	if time.Since(x.warned) >= 30*time.Second {
		x.warned = time.Now()
		slog.Warn(what, "subscription", x.name, "error", err)
	}
}

// clean deletes old snapshots now and then; nothing waits for it.
func (x *subscriber) clean(now time.Time) {
	if now.Sub(x.cleaned) < x.c.KeepSnapshots/8 {
		return
	}
	x.cleaned = now
	used := x.snapshot
	go func() {
		s, err := x.c.Connection.open(context.Background(), x.c.Project)
		if err == nil {
			defer s.Close()
			var all []snapshot
			if all, err = s.snapshots(context.Background(), x.c.Project, x.stem); err == nil {
				err = s.remove(context.Background(), stale(all, now, x.c.KeepSnapshots, used))
			}
		}
		if err != nil {
			slog.Warn("old snapshots are not deleted", "subscription", x.name, "error", err)
		}
	}()
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
		err := sub.Receive(life, func(_ context.Context, m *pubsub.Message) { x.take(st, m) })
		st.err = explain(err, "receive from "+x.name, "roles/pubsub.subscriber on the subscription")
	}()
}

// take puts a message that came into the queue, when there is room. The service itself sends
// no more than what may be outstanding; the emulator does.
func (x *subscriber) take(st *stream, m *pubsub.Message) {
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
	select {
	case x.arrivals <- struct{}{}:
	default:
	}
}

// letGo ends receiving and gives back all that is held. Once it returned, nothing is
// acknowledged any more of what came before.
func (x *subscriber) letGo(ctx context.Context) error {
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

// told is what a bundle told in its counts: how many messages were acknowledged, and how
// many deliveries were not the first.
type told struct{ acked, redelivered int64 }

// tell returns what there is to tell. It stays until the runner has it.
func (x *subscriber) tell() told {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.told = told{x.acked, x.repeated}
	return x.told
}

// forget drops what the runner was told.
func (x *subscriber) forget() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.acked -= x.told.acked
	x.repeated -= x.told.redelivered
	x.told = told{}
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
