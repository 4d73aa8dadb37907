package pubsubsource

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const (
	project   = "flowbeam-test"
	topicName = "projects/" + project + "/topics/flows"
)

func fullSubscription(id string) string { return "projects/" + project + "/subscriptions/" + id }

// fake is the subscribing side of Pub/Sub with one topic. It is as unkind as the service may
// be: messages come in any order and some of them twice, what may be outstanding is not
// bounded, and a late acknowledgement counts, even after a seek.
type fake struct {
	pubsubpb.UnimplementedSubscriberServer
	addr string

	mu        sync.Mutex
	random    *rand.Rand
	doubled   int           // of 100 deliveries
	ackDelay  time.Duration // before an acknowledgement counts
	refuse    map[string]codes.Code
	messages  []*pubsubpb.PubsubMessage
	subs      map[string]*fakeSubscription
	snapshots map[string]map[string]bool // what was acknowledged
	ids       map[string]string          // message ids by ack id
	seeks     []string
}

type fakeSubscription struct {
	about  *pubsubpb.Subscription
	acked  map[string]bool
	leased map[string]bool
}

func newFake(t testing.TB, subscriptions ...string) *fake {
	t.Helper()
	f, stop, err := startFake(subscriptions)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return f
}

func startFake(subscriptions []string) (f *fake, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	f = &fake{
		addr: l.Addr().String(), random: rand.New(rand.NewPCG(1, 2)), refuse: map[string]codes.Code{},
		subs: map[string]*fakeSubscription{}, snapshots: map[string]map[string]bool{}, ids: map[string]string{},
	}
	for _, id := range subscriptions {
		name := fullSubscription(id)
		f.subs[name] = &fakeSubscription{
			about: &pubsubpb.Subscription{Name: name, Topic: topicName, RetainAckedMessages: true, AckDeadlineSeconds: 60},
			acked: map[string]bool{}, leased: map[string]bool{},
		}
	}
	s := grpc.NewServer()
	pubsubpb.RegisterSubscriberServer(s, f)
	go s.Serve(l)
	return f, s.Stop, nil
}

func (f *fake) with(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

// publish gives messages their ids and times, and returns the ids.
func (f *fake) publish(messages ...*pubsubpb.PubsubMessage) (ids []string) {
	f.with(func() {
		for _, m := range messages {
			m.MessageId = fmt.Sprintf("m%05d", len(f.messages))
			if m.PublishTime == nil {
				m.PublishTime = timestamppb.Now()
			}
			f.messages = append(f.messages, m)
			ids = append(ids, m.MessageId)
		}
	})
	return ids
}

// expire ends all leases, as time does for those of a process that died.
func (f *fake) expire() {
	f.with(func() {
		for _, s := range f.subs {
			clear(s.leased)
		}
	})
}

func (f *fake) acked(id string) (n int) {
	f.with(func() { n = len(f.subs[fullSubscription(id)].acked) })
	return n
}

func (f *fake) find(name string) (*fakeSubscription, error) {
	if s := f.subs[name]; s != nil {
		return s, nil
	}
	return nil, status.Errorf(codes.NotFound, "Resource not found (resource=%s).", lastPart(name))
}

func (f *fake) refused(what string) error {
	if c := f.refuse[what]; c != codes.OK {
		return status.Error(c, "User not authorized to perform this action.")
	}
	return nil
}

func (f *fake) GetSubscription(_ context.Context, r *pubsubpb.GetSubscriptionRequest) (*pubsubpb.Subscription, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.refused("look"); err != nil {
		return nil, err
	}
	s, err := f.find(r.Subscription)
	if err != nil {
		return nil, err
	}
	return s.about, nil
}

func (f *fake) StreamingPull(stream pubsubpb.Subscriber_StreamingPullServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	go func() {
		for err == nil { // pings
			_, err := stream.Recv()
			if err != nil {
				return
			}
		}
	}()
	leased := map[string]bool{}
	defer func() { // the service waits for the deadline
		f.mu.Lock()
		defer f.mu.Unlock()
		if s := f.subs[first.Subscription]; s != nil {
			for id := range leased {
				delete(s.leased, id)
			}
		}
	}()
	for stream.Context().Err() == nil {
		out, err := f.next(first.Subscription)
		if err != nil {
			return err
		}
		if len(out.ReceivedMessages) == 0 {
			time.Sleep(time.Millisecond)
			continue
		}
		for _, m := range out.ReceivedMessages {
			leased[m.Message.MessageId] = true
		}
		if err := stream.Send(out); err != nil {
			return err
		}
	}
	return nil
}

// next leases some messages, in any order.
func (f *fake) next(name string) (*pubsubpb.StreamingPullResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, err := f.find(name)
	if err != nil {
		return nil, err
	}
	out := &pubsubpb.StreamingPullResponse{}
	for _, i := range f.random.Perm(len(f.messages)) {
		m := f.messages[i]
		if s.acked[m.MessageId] || s.leased[m.MessageId] && f.random.IntN(2000) >= f.doubled {
			continue
		}
		s.leased[m.MessageId] = true
		ack := fmt.Sprintf("a%d", len(f.ids))
		f.ids[ack] = m.MessageId
		out.ReceivedMessages = append(out.ReceivedMessages, &pubsubpb.ReceivedMessage{AckId: ack, Message: m})
		if len(out.ReceivedMessages) == 20 {
			break
		}
	}
	return out, nil
}

func (f *fake) Acknowledge(_ context.Context, r *pubsubpb.AcknowledgeRequest) (*emptypb.Empty, error) {
	f.mu.Lock()
	delay := f.ackDelay
	f.mu.Unlock()
	time.Sleep(delay)
	f.mu.Lock()
	defer f.mu.Unlock()
	s, err := f.find(r.Subscription)
	if err != nil {
		return nil, err
	}
	for _, a := range r.AckIds {
		id := f.ids[a]
		s.acked[id] = true
		delete(s.leased, id)
	}
	return &emptypb.Empty{}, nil
}

func (f *fake) ModifyAckDeadline(_ context.Context, r *pubsubpb.ModifyAckDeadlineRequest) (*emptypb.Empty, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, err := f.find(r.Subscription)
	if err != nil {
		return nil, err
	}
	for _, a := range r.AckIds {
		if r.AckDeadlineSeconds == 0 {
			delete(s.leased, f.ids[a])
		}
	}
	return &emptypb.Empty{}, nil
}

func (f *fake) CreateSnapshot(_ context.Context, r *pubsubpb.CreateSnapshotRequest) (*pubsubpb.Snapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.refused("snapshot"); err != nil {
		return nil, err
	}
	s, err := f.find(r.Subscription)
	if err != nil {
		return nil, err
	}
	if f.snapshots[r.Name] != nil {
		return nil, status.Error(codes.AlreadyExists, "Snapshot already exists")
	}
	f.snapshots[r.Name] = maps.Clone(s.acked)
	return &pubsubpb.Snapshot{Name: r.Name, Topic: topicName}, nil
}

func (f *fake) ListSnapshots(_ context.Context, r *pubsubpb.ListSnapshotsRequest) (*pubsubpb.ListSnapshotsResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := &pubsubpb.ListSnapshotsResponse{}
	for name := range f.snapshots {
		if strings.HasPrefix(name, r.Project+"/") {
			out.Snapshots = append(out.Snapshots, &pubsubpb.Snapshot{Name: name, Topic: topicName})
		}
	}
	return out, nil
}

func (f *fake) DeleteSnapshot(_ context.Context, r *pubsubpb.DeleteSnapshotRequest) (*emptypb.Empty, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.snapshots[r.Snapshot] == nil {
		return nil, status.Error(codes.NotFound, "Snapshot does not exist")
	}
	delete(f.snapshots, r.Snapshot)
	return &emptypb.Empty{}, nil
}

func (f *fake) Seek(_ context.Context, r *pubsubpb.SeekRequest) (*pubsubpb.SeekResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, err := f.find(r.Subscription)
	if err != nil {
		return nil, err
	}
	clear(s.leased)
	if t := r.GetTime(); t != nil {
		clear(s.acked)
		for _, m := range f.messages {
			if m.PublishTime.AsTime().Before(t.AsTime()) {
				s.acked[m.MessageId] = true
			}
		}
		f.seeks = append(f.seeks, t.AsTime().Format(time.RFC3339))
		return &pubsubpb.SeekResponse{}, nil
	}
	acked := f.snapshots[r.GetSnapshot()]
	if acked == nil {
		return nil, status.Error(codes.NotFound, "Snapshot does not exist")
	}
	s.acked = maps.Clone(acked)
	f.seeks = append(f.seeks, r.GetSnapshot())
	return &pubsubpb.SeekResponse{}, nil
}
