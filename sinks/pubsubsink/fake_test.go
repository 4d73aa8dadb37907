package pubsubsink

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/flowbeam/flowbeam/flowtest/sinktest"
)

const (
	project   = "flowbeam-test"
	topic     = "flows"
	topicName = "projects/" + project + "/topics/" + topic
)

// fake is the publishing side of Pub/Sub, with the service's documented bounds of a request.
//
// Source: https://cloud.google.com/pubsub/quotas#resource_limits
type fake struct {
	pubsubpb.UnimplementedPublisherServer
	addr   string
	writes atomic.Int64
	slow   time.Duration
	refuse func(*pubsubpb.PubsubMessage) bool // as a topic with a schema does

	mu       sync.Mutex
	fault    sinktest.Fault
	left     int // requests that fail so, -1 = all
	messages []*pubsubpb.PubsubMessage
}

func newFake(t testing.TB) *fake {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{addr: l.Addr().String(), slow: 50 * time.Millisecond}
	s := grpc.NewServer(grpc.MaxRecvMsgSize(32 << 20))
	pubsubpb.RegisterPublisherServer(s, f)
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return f
}

// options are the sink's for this server, in the suite's setup.
func (f *fake) options(t testing.TB, c sinktest.Config, opts ...Option) options {
	t.Helper()
	batch := 1000
	if c.MaxBatch > 0 {
		batch = c.MaxBatch
	}
	o, err := apply(defaults("pubsub", project, topic), append([]Option{
		Emulator(f.addr), Retry(c.Wait, 20*c.Wait, c.Deadline), Batch(batch, 1<<20, 2),
	}, opts...))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func (f *fake) GetTopic(_ context.Context, r *pubsubpb.GetTopicRequest) (*pubsubpb.Topic, error) {
	if r.Topic != topicName {
		return nil, status.Errorf(codes.NotFound, "Resource not found (resource=%s).", r.Topic)
	}
	return &pubsubpb.Topic{Name: r.Topic}, nil
}

// next is the fault of the next request.
func (f *fake) next() (sinktest.Fault, bool) {
	if f.left == 0 {
		return 0, false
	}
	if f.left > 0 {
		f.left--
	}
	return f.fault, true
}

func (f *fake) Publish(_ context.Context, r *pubsubpb.PublishRequest) (*pubsubpb.PublishResponse, error) {
	f.writes.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	fault, failing := f.next()
	if failing {
		switch fault {
		case sinktest.Unavailable:
			return nil, status.Error(codes.Unavailable, "The service was unable to fulfill your request. Please try again.")
		case sinktest.Expired:
			return nil, status.Error(codes.Unauthenticated, "Request had invalid authentication credentials.")
		case sinktest.Slow:
			f.mu.Unlock()
			time.Sleep(f.slow)
			f.mu.Lock()
		}
	}
	if err := f.check(r); err != nil {
		return nil, err
	}
	reply := &pubsubpb.PublishResponse{}
	for _, m := range r.Messages {
		f.messages = append(f.messages, m)
		reply.MessageIds = append(reply.MessageIds, "id")
	}
	if failing && fault == sinktest.LostReply {
		return nil, status.Error(codes.Unavailable, "the connection is draining")
	}
	if failing && fault == sinktest.Broken {
		reply.MessageIds = reply.MessageIds[:len(reply.MessageIds)/2]
	}
	return reply, nil
}

// check refuses what the service would.
func (f *fake) check(r *pubsubpb.PublishRequest) error {
	bad := func(why string) error { return status.Error(codes.InvalidArgument, why) }
	if r.Topic != topicName {
		return status.Errorf(codes.NotFound, "Resource not found (resource=%s).", r.Topic)
	}
	if n := len(r.Messages); n == 0 || n > 1000 {
		return bad("The request contains too many messages or none.")
	}
	if proto.Size(r) > 10_000_000 {
		return bad("Request payload size exceeds the limit: 10000000 bytes.")
	}
	for _, m := range r.Messages {
		if len(m.Data) == 0 && len(m.Attributes) == 0 {
			return bad("One or more messages in the publish request is empty.")
		}
		if len(m.OrderingKey) > 1024 || len(m.Attributes) > 100 {
			return bad("An ordering key or the attributes exceed a limit.")
		}
		for k, v := range m.Attributes {
			if len(k) == 0 || len(k) > 256 || len(v) > 1024 || strings.HasPrefix(k, "goog") || !utf8.ValidString(v) {
				return bad("An attribute exceeds a limit.")
			}
		}
		if f.refuse != nil && f.refuse(m) {
			return bad("The message does not match the topic's schema.")
		}
	}
	return nil
}

func (f *fake) IDs() (ids []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.messages {
		ids = append(ids, m.Attributes[attributeID])
	}
	return ids
}

func (f *fake) Fail(fault sinktest.Fault, n int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault, f.left = fault, n
	if fault == sinktest.Partial {
		f.left = 0
	}
	return fault != sinktest.Partial || n == 0 // the service takes all of a request or nothing
}

func (f *fake) Writes() int    { return int(f.writes.Load()) }
func (f *fake) MaxRecord() int { return maxRequestBytes }

func contains(err error, parts ...string) bool {
	return err != nil && !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(err.Error(), p) })
}
