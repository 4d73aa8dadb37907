package pubsubsource

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/flowbeam/flowbeam/flow"
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
	topic      string
	session    string
	seq        int64
	base, next place     // of the last bundle: where it began, and what it left behind
	anchored   bool      // there is a way back from what is acknowledged:
	anchor     time.Time // made then,
	snapshot   string    // this one, or "" for what the read starts with
	newest     time.Time // of the names of snapshots
	again      time.Time // when a snapshot that failed is tried again
	cleaned    time.Time
	warned     time.Time
	handed     []*message
	done       []*message
	mark, from watermark.Partition // now, and when the last bundle began
	toldMark   flow.Time           // what the last bundle told the runner: not more than mark
	low        lowest
	asked      time.Time // when the service was last reached
	rate       *rate.Limiter
	acked      int64
	told       told

	// Guarded by subscribers.
	idle      *time.Timer // lets go
	committed flow.Time   // mark when the last bundle began: what is before it, the runner has

	mu       sync.Mutex
	stream   *stream
	queue    []*message
	held     map[string]*message // in queue, handed and done
	bytes    int                 // of held
	room     *sync.Cond          // signals that held is less
	arrived  time.Time           // of the newest message, or when receiving began
	repeated int64               // deliveries of messages that are held
}

// noMark is what no bundle has told.
const noMark = flow.Time(-1)

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

// lowest is the lowest mark of all subscriptions of the read: the subscriber's own as it is now,
// those of others as of what the runner has of them. It is zero where one has none.
func (x *subscriber) lowest() flow.Time {
	b, err := json.Marshal(x.c)
	if err != nil {
		return 0
	}
	subscribers.Lock()
	defer subscribers.Unlock()
	low := x.mark.At
	for _, name := range x.c.Subscriptions {
		if name == x.name {
			continue
		}
		other := subscribers.byKey[string(b)+name]
		if other == nil {
			return 0
		}
		low = min(low, other.committed)
	}
	return low
}

// commits notes what the runner has of the subscription: all until its mark of now.
func (x *subscriber) commits() {
	subscribers.Lock()
	defer subscribers.Unlock()
	x.committed = x.mark.At
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
		busy: make(chan struct{}, 1), session: rand.Text(), held: map[string]*message{},
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
		x.base = at // who comes with the last bundle's place from now on went back
		x.from = x.mark
		x.done = append(x.done, x.handed...)
		x.handed = nil
		x.forget()
		if err := x.connect(ctx); err != nil {
			return place{}, err
		}
	case x.next.Session != "" && at.same(x.base): // it tries the last bundle again
		x.putBack()
		x.mark = x.from
		if err := x.connect(ctx); err != nil {
			return place{}, err
		}
	default: // it began, or went back
		x.toldMark = noMark
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
