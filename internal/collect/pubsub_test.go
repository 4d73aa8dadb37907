package collect

import (
	"context"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/flowbeam/flowbeam/internal/pubsubconn"
)

const testTopic = "projects/flowbeam-test/topics/datagrams"

// flaky refuses requests to publish while it is asked to.
type flaky struct {
	refuse atomic.Int64 // requests, -1 = all
	seen   atomic.Int64
}

func (f *flaky) React(any) (handled bool, ret any, err error) {
	f.seen.Add(1)
	n := f.refuse.Load()
	if n == 0 {
		return false, nil, nil
	}
	if n > 0 {
		f.refuse.Add(-1)
	}
	return true, nil, status.Error(codes.Unavailable, "try again")
}

func emulator(t testing.TB) (*pstest.Server, *flaky, PubSubConfig) {
	t.Helper()
	f := &flaky{}
	srv := pstest.NewServer(pstest.ServerReactorOption{FuncName: "Publish", Reactor: f})
	t.Cleanup(func() { srv.Close() })
	if _, err := srv.GServer.CreateTopic(t.Context(), &pubsubpb.Topic{Name: testTopic}); err != nil {
		t.Fatal(err)
	}
	return srv, f, PubSubConfig{Connection: pubsubconn.Connection{Emulator: srv.Addr}, Topic: testTopic, Ordered: true, DataCenter: "fra"}
}

func newPubSub(t testing.TB, c PubSubConfig) *PubSub {
	t.Helper()
	if problems := c.Check(); len(problems) > 0 {
		t.Fatal(problems)
	}
	p, err := NewPubSub(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// All is published, of each exporter in order and with its ordering key, also where requests fail.
func TestPubSubHasTheDatagramsOfAnExporterInOrder(t *testing.T) {
	srv, f, c := emulator(t)
	f.refuse.Store(5)
	p := newPubSub(t, c)
	var totals Totals
	const exporters, each = 10, 300
	for i := range each {
		for e := range exporters {
			from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(e)}), 2055)
			p.Write(t.Context(), newItem(&totals, from, 7, payload(i)))
		}
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if totals.Written.Load() != exporters*each || totals.Dropped() != 0 || f.refuse.Load() != 0 {
		t.Errorf("%d written, %d dropped", totals.Written.Load(), totals.Dropped())
	}
	next := map[string]int{}
	for _, m := range srv.Messages() {
		e := opened(t, m.Data)
		key := e.from.Addr().String()
		if m.OrderingKey != key || m.Attributes["data_center"] != "fra" || string(e.data) != string(payload(next[key])) {
			t.Fatalf("%s: %q of %s, want %d", m.OrderingKey, e.data, key, next[key])
		}
		next[key]++
	}
	if len(next) != exporters || len(srv.Messages()) != exporters*each {
		t.Errorf("%v", next)
	}
	if n := f.seen.Load(); n > exporters*each/10 {
		t.Errorf("%d requests for %d messages", n, exporters*each)
	}
}

func TestWhatPubSubDoesNotTakeIsLostAndCounted(t *testing.T) {
	_, f, c := emulator(t)
	f.refuse.Store(-1)
	p := newPubSub(t, c)
	var totals Totals
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	const n = 3 * pubsubMessages // more than one exporter's lane holds
	for i := range n {
		p.Write(ctx, newItem(&totals, someone, 7, payload(i)))
	}
	if ctx.Err() == nil {
		t.Error("the lane has no bound")
	}
	if err := p.Close(ctx); err == nil || !strings.Contains(err.Error(), testTopic) {
		t.Errorf("%v", err)
	}
	if totals.DroppedSink.Load() != n || totals.Written.Load() != 0 {
		t.Errorf("%d lost, %d written", totals.DroppedSink.Load(), totals.Written.Load())
	}
}

func TestWhatIsWrongWithPubSubIsSaidAtOnce(t *testing.T) {
	_, _, c := emulator(t)
	c.Topic = "projects/flowbeam-test/topics/none"
	if _, err := NewPubSub(t.Context(), c); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("a topic that is not there: %v", err)
	}
	c.Topic, c.Credentials = "none", "env:KEY"
	if problems := c.Check(); len(problems) != 2 {
		t.Errorf("%v", problems)
	}
}
