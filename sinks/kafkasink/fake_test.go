package kafkasink

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/flowbeam/flowbeam/flowtest/sinktest"
)

// fake is a Kafka cluster in this process, behind connections that can lose, cut and delay
// the replies to produce requests: what the broker does and what the client hears differ
// there as they do on a network.
type fake struct {
	t       testing.TB
	cluster *kfake.Cluster
	topic   string
	slow    time.Duration
	writes  atomic.Int64

	mu     sync.Mutex
	reply  sinktest.Fault // of the next replies
	left   int            // replies that fail so, -1 = all
	broker *kfake.FaultHandle

	reader  *kgo.Client
	read    map[int32]int64 // the offset after the last record that was read
	records []*kgo.Record
}

const fakePartitions = 3

func newFake(t testing.TB, opts ...kfake.Opt) *fake {
	t.Helper()
	f := &fake{t: t, topic: "flows", slow: 50 * time.Millisecond, read: map[int32]int64{}}
	opts = append([]kfake.Opt{
		kfake.NumBrokers(1), kfake.ListenFn(func(network, address string) (net.Listener, error) {
			l, err := net.Listen(network, address)
			return &listener{l, f}, err
		}),
	}, opts...)
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		t.Fatal(err)
	}
	f.cluster = cluster
	if err := cluster.CreateTopic(f.topic, fakePartitions, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return f
}

func (f *fake) brokers() []string { return f.cluster.ListenAddrs() }

// small makes the topic "small", which takes 20,000 bytes a batch, the one.
func (f *fake) small() *fake {
	f.topic = "small"
	if err := f.cluster.CreateTopic(f.topic, fakePartitions, map[string]string{"max.message.bytes": "20000"}); err != nil {
		f.t.Fatal(err)
	}
	return f
}

// options are the sink's for this cluster, in the suite's setup.
func (f *fake) options(t testing.TB, c sinktest.Config, opts ...Option) options {
	t.Helper()
	batch := 1000
	if c.MaxBatch > 0 {
		batch = c.MaxBatch
	}
	o, err := apply(defaults("kafka", f.brokers(), f.topic), append([]Option{
		Retry(c.Wait, 20*c.Wait, c.Deadline), Batch(batch, 512<<10, 2), Linger(time.Millisecond),
	}, opts...))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// all reads the topic from where it stopped last to its end.
func (f *fake) all() []*kgo.Record {
	f.t.Helper()
	end := map[int32]int64{}
	for _, p := range f.cluster.PartitionInfos(f.topic) {
		end[p.Partition] = p.HighWatermark
	}
	behind := func() bool {
		for p, n := range end {
			if f.read[p] < n {
				return true
			}
		}
		return false
	}
	if f.reader == nil && behind() {
		var err error
		f.reader, err = kgo.NewClient(kgo.SeedBrokers(f.brokers()...), kgo.ConsumeTopics(f.topic), kgo.FetchMaxWait(10*time.Millisecond))
		if err != nil {
			f.t.Fatal(err)
		}
		f.t.Cleanup(f.reader.Close)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for behind() {
		fetches := f.reader.PollFetches(ctx)
		if ctx.Err() != nil {
			f.t.Fatalf("reading the topic: at %v of %v: %v", f.read, end, fetches.Errors())
		}
		fetches.EachRecord(func(r *kgo.Record) {
			f.records = append(f.records, r)
			f.read[r.Partition] = r.Offset + 1
		})
	}
	return f.records
}

func (f *fake) IDs() (ids []string) {
	for _, r := range f.all() {
		ids = append(ids, header(r, headerID))
	}
	return ids
}

func header(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

func (f *fake) Writes() int    { return int(f.writes.Load()) }
func (f *fake) MaxRecord() int { return 1048588 } // the default of max.message.bytes

func (f *fake) Fail(fault sinktest.Fault, n int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broker != nil {
		f.broker.Remove()
		f.broker = nil
	}
	f.left = 0
	if n == 0 {
		return true
	}
	at := kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Count: n}
	switch fault {
	case sinktest.Unavailable:
		at.Err = kerr.NotEnoughReplicas
	case sinktest.Partial:
		at.Err, at.Partitions = kerr.KafkaStorageError, []int32{1}
	case sinktest.Expired:
		at.Err = kerr.TopicAuthorizationFailed
	default:
		f.reply, f.left = fault, n
		return true
	}
	f.broker = f.cluster.Fault(at)
	return true
}

// next is the fault of the next reply.
func (f *fake) next() (sinktest.Fault, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left == 0 {
		return 0, false
	}
	if f.left > 0 {
		f.left--
	}
	return f.reply, true
}

type listener struct {
	net.Listener
	fake *fake
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, fake: l.fake, keys: map[uint32]uint16{}}, nil
}

// conn is the broker's side of a connection. It reads along: a request is its length, its
// key (2 bytes), its version (2) and its correlation id (4), which the reply has after its
// length.
//
// Source: https://kafka.apache.org/protocol#protocol_messages
type conn struct {
	net.Conn
	fake *fake

	in   []byte // of a request whose head is not whole yet
	skip int    // bytes of the request that are of no interest
	mu   sync.Mutex
	keys map[uint32]uint16 // correlation id to key
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	for part := b[:n]; len(part) > 0; {
		if c.skip > 0 {
			s := min(c.skip, len(part))
			c.skip, part = c.skip-s, part[s:]
			continue
		}
		s := min(12-len(c.in), len(part))
		c.in, part = append(c.in, part[:s]...), part[s:]
		if len(c.in) < 12 {
			break
		}
		key := binary.BigEndian.Uint16(c.in[4:])
		c.skip = int(binary.BigEndian.Uint32(c.in)) - 8
		c.mu.Lock()
		c.keys[binary.BigEndian.Uint32(c.in[8:])] = key
		c.mu.Unlock()
		if key == uint16(kmsg.Produce) {
			c.fake.writes.Add(1)
		}
		c.in = c.in[:0]
	}
	return n, err
}

func (c *conn) Write(b []byte) (int, error) { // kfake writes a reply in one piece
	c.mu.Lock()
	id := binary.BigEndian.Uint32(b[4:])
	key := c.keys[id]
	delete(c.keys, id)
	c.mu.Unlock()
	if key != uint16(kmsg.Produce) {
		return c.Conn.Write(b)
	}
	fault, ok := c.fake.next()
	switch {
	case ok && fault == sinktest.LostReply:
		c.Conn.Close()
		return 0, io.ErrClosedPipe
	case ok && fault == sinktest.Broken:
		c.Conn.Write(b[:len(b)/2])
		c.Conn.Close()
		return 0, io.ErrClosedPipe
	case ok && fault == sinktest.Slow:
		time.Sleep(c.fake.slow)
	}
	return c.Conn.Write(b)
}

// distinct sorts ids and takes each once.
func distinct(ids []string) []string {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return slices.Compact(ids)
}

func contains(err error, parts ...string) bool {
	if err == nil {
		return false
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			return false
		}
	}
	return true
}
