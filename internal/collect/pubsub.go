package collect

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"net/netip"
	"sync"
	"time"

	apiv1 "cloud.google.com/go/pubsub/v2/apiv1"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/flowbeam/flowbeam/internal/delivery"
	"github.com/flowbeam/flowbeam/internal/pubsubconn"
)

// PubSubConfig says to which topic envelopes go.
type PubSubConfig struct {
	pubsubconn.Connection
	Topic      string // projects/P/topics/T
	Ordered    bool   // each message has its exporter's address as ordering key
	DataCenter string // an attribute of each message. "": none
}

// Check returns every problem that shows without asking the service.
func (c *PubSubConfig) Check() (problems []error) {
	if err := pubsubconn.CheckTopic(c.Topic); err != nil {
		problems = append(problems, fmt.Errorf("--pubsub: %w", err))
	}
	if c.Emulator != "" && c.Credentials != "" {
		problems = append(problems, errors.New("--pubsub_credentials: an emulator has none"))
	}
	return problems
}

// PubSub publishes each envelope as a message. What one exporter sends goes through one lane,
// which has one request under way at a time, so that it is published in its order. A request that
// fails for a reason that may pass is tried again for as long as there is time, and may then be
// there twice: records have ids.
type PubSub struct {
	c          PubSubConfig
	client     *apiv1.TopicAdminClient
	attributes map[string]string
	lanes      [pubsubLanes]chan *Item
	done       sync.WaitGroup
	ctx        context.Context // of requests
	cancel     context.CancelFunc

	mu      sync.Mutex
	lost    error
	trouble trouble
}

const (
	pubsubLanes = 8
	// The bounds of a request; the service's are 1,000 messages and 10,000,000 bytes.
	//
	// Source: https://cloud.google.com/pubsub/quotas#resource_limits
	pubsubMessages = 1000
	pubsubBytes    = 1 << 20
	pubsubWait     = 50 * time.Millisecond // for more messages of a request
	pubsubTry      = time.Minute           // of one try: a connection may be dead without a sign
)

// pubsubPolicy has no end: the context has.
var pubsubPolicy = delivery.Policy{Base: 200 * time.Millisecond, Cap: 10 * time.Second, Deadline: math.MaxInt64 / 2, Auth: math.MaxInt64 / 2}

// NewPubSub connects, and looks for the topic.
func NewPubSub(ctx context.Context, c PubSubConfig) (*PubSub, error) {
	opts, err := c.Options(ctx)
	if err != nil {
		return nil, err
	}
	if c.Emulator == "" {
		opts = append(opts, option.WithGRPCConnectionPool(2))
	}
	p := &PubSub{c: c, trouble: trouble{what: "collect: a request was not taken, it is tried again"}}
	if p.client, err = apiv1.NewTopicAdminClient(context.WithoutCancel(ctx), opts...); err != nil {
		return nil, err
	}
	p.client.CallOptions = &apiv1.TopicAdminCallOptions{} // it repeats nothing by itself
	if c.DataCenter != "" {
		p.attributes = map[string]string{DataCenterName: c.DataCenter}
	}
	if err := p.look(ctx); err != nil {
		p.client.Close()
		return nil, err
	}
	p.ctx, p.cancel = context.WithCancel(context.WithoutCancel(ctx))
	for i := range p.lanes {
		p.lanes[i] = make(chan *Item, pubsubMessages)
		p.done.Go(func() { p.publish(p.lanes[i]) })
	}
	return p, nil
}

// look asks for the topic. A publisher may lack the permission to see it, so a refusal is no
// error: publishing tells.
func (p *PubSub) look(ctx context.Context) error {
	_, err := p.client.GetTopic(ctx, &pubsubpb.GetTopicRequest{Topic: p.c.Topic})
	switch status.Code(err) {
	case codes.OK, codes.PermissionDenied:
		return nil
	case codes.NotFound:
		return fmt.Errorf("%s does not exist: create it (gcloud pubsub topics create), or check project and name", p.c.Topic)
	}
	return fmt.Errorf("%s: %w", p.c.Topic, err)
}

var laneSeed = maphash.MakeSeed()

func laneOf(from netip.AddrPort) uint64 {
	a := from.Addr().As16()
	return maphash.Bytes(laneSeed, a[:]) % pubsubLanes
}

// Write gives an envelope to its lane, and waits while that is full.
func (p *PubSub) Write(ctx context.Context, it *Item) {
	select {
	case p.lanes[laneOf(it.From)] <- it:
	case <-ctx.Done():
		it.Lost()
		p.setLost(ctx.Err())
	}
}

// Idle has nothing to do: lanes have clocks of their own.
func (*PubSub) Idle(context.Context) {}

// Close waits until all is taken. The error is of what was not.
func (p *PubSub) Close(ctx context.Context) error {
	stop := context.AfterFunc(ctx, p.cancel)
	for _, l := range p.lanes {
		close(l)
	}
	p.done.Wait()
	stop()
	p.cancel()
	p.client.Close()
	if p.lost != nil {
		return fmt.Errorf("%s: %w", p.c.Topic, p.lost)
	}
	return nil
}

// publish makes requests of what comes through a lane, until it is closed.
func (p *PubSub) publish(lane chan *Item) {
	var batch []*Item
	timer := time.NewTimer(0)
	for open := true; open; {
		batch = batch[:0]
		it, ok := <-lane
		if !ok {
			return
		}
		batch = append(batch, it)
		bytes := len(it.Data)
		timer.Reset(pubsubWait)
	more:
		for len(batch) < pubsubMessages && bytes < pubsubBytes {
			select {
			case it, ok := <-lane:
				if !ok {
					open = false
					break more
				}
				batch = append(batch, it)
				bytes += len(it.Data)
			case <-timer.C:
				break more
			}
		}
		p.send(batch)
	}
}

// send publishes a request, and settles its Items.
func (p *PubSub) send(batch []*Item) {
	req := &pubsubpb.PublishRequest{Topic: p.c.Topic, Messages: make([]*pubsubpb.PubsubMessage, len(batch))}
	for i, it := range batch {
		m := &pubsubpb.PubsubMessage{Data: it.Data, Attributes: p.attributes}
		if p.c.Ordered {
			m.OrderingKey = it.From.Addr().String()
		}
		req.Messages[i] = m
	}
	_, err := pubsubPolicy.Do(p.ctx, "publish", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, pubsubTry)
		defer cancel()
		reply, err := p.client.Publish(ctx, req)
		if err == nil && len(reply.MessageIds) != len(batch) {
			err = delivery.Again(fmt.Errorf("a reply of %d message ids for %d messages", len(reply.MessageIds), len(batch)), 0)
		} else {
			err = pubsubconn.Mark(err)
		}
		if err != nil {
			p.mu.Lock()
			p.trouble.tell(err)
			p.mu.Unlock()
		}
		return err
	})
	for _, it := range batch {
		if err == nil {
			it.Written()
		} else {
			it.Lost()
		}
	}
	if err != nil {
		p.setLost(err)
	}
}

func (p *PubSub) setLost(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lost = err
}
