package kafkasink

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// client is the one of its configuration in this process: runners set DoFns up by the
// hundred, and each client has connections, buffers and a producer id of its own.
type client struct {
	connection connection
	key        string
	refs       int         // guarded by clients
	idle       *time.Timer // closes it, guarded by clients

	mu      sync.Mutex
	kafka   *kgo.Client // the producer; renew replaces it
	topics  map[string]int
	trouble error // the last error of a connection

	lifeCtx   context.Context // see life
	lifeEnd   context.CancelFunc
	lifeBegun time.Time

	solo     sync.Mutex // one isolated delivery at a time, see deliver.go
	requests atomic.Int64
	resent   resent
	latency  latencies
}

var clients = struct {
	sync.Mutex
	byKey map[string]*client
}{byKey: map[string]*client{}}

// idleTime is how long a client without users is kept: bundles come and go.
var idleTime = 30 * time.Second

// acquire returns the process's client for the connection. It connects to nothing yet.
func acquire(ctx context.Context, conn connection) (*client, error) {
	b, err := json.Marshal(conn)
	if err != nil {
		return nil, err
	}
	key := string(b)
	clients.Lock()
	defer clients.Unlock()
	if c := clients.byKey[key]; c != nil {
		c.refs++
		if c.idle != nil {
			c.idle.Stop()
			c.idle = nil
		}
		return c, nil
	}
	c := &client{connection: conn, key: key, refs: 1, topics: map[string]int{}}
	if c.kafka, err = c.open(ctx); err != nil {
		return nil, err
	}
	clients.byKey[key] = c
	return c, nil
}

// release gives the client back.
func (c *client) release() {
	clients.Lock()
	defer clients.Unlock()
	if c.refs--; c.refs > 0 {
		return
	}
	c.idle = time.AfterFunc(idleTime, func() {
		clients.Lock()
		defer clients.Unlock()
		if c.refs == 0 && clients.byKey[c.key] == c {
			delete(clients.byKey, c.key)
			go c.close()
		}
	})
}

func (c *client) close() {
	c.producer().Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lifeEnd != nil {
		c.lifeEnd()
	}
}

// producer is the Kafka client to use now.
func (c *client) producer() *kgo.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.kafka
}

// renew replaces a Kafka client that cannot produce any more. What others have in it fails
// as "client closed" and is tried again with the new one.
func (c *client) renew(ctx context.Context, old *kgo.Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kafka != old {
		return
	}
	if k, err := c.open(ctx); err == nil {
		c.kafka = k
		go old.Close()
	}
}

var codecs = map[string]kgo.CompressionCodec{
	"zstd": kgo.ZstdCompression(), "lz4": kgo.Lz4Compression(), "snappy": kgo.SnappyCompression(),
	"gzip": kgo.GzipCompression(), "none": kgo.NoCompression(),
}

// open makes a Kafka client.
//
// franz-go repeats what may pass by itself, with the sequence numbers that keep a repeated
// batch from being there twice. Its RecordDeliveryTimeout counts from the timestamp of a
// record, which is the event time here, so the deadline comes with each record's context. It
// ends a record also when the broker may have it: the bundle has failed by then, and a log
// may have copies.
func (c *client) open(ctx context.Context) (*kgo.Client, error) {
	conn := &c.connection
	p := conn.Policy
	compressor, err := kgo.DefaultCompressor(codecs[conn.Compression])
	if err != nil {
		return nil, err
	}
	opts, err := conn.Options(ctx)
	if err != nil {
		return nil, err
	}
	opts = append(opts,
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.AllowIdempotentProduceCancellation(),
		kgo.UnknownTopicRetries(-1),
		kgo.RetryTimeout(p.Deadline),
		kgo.ProduceRequestTimeout(within(p.Deadline, time.Second, 30*time.Second)),
		kgo.RetryBackoffFn(func(try int) time.Duration { return pause(p.Base, p.Cap, try) }),
		kgo.MetadataMinAge(within(p.Base, 10*time.Millisecond, 5*time.Second)),
		kgo.MaxBufferedRecords(conn.BufferRecords),
		kgo.MaxBufferedBytes(conn.BufferBytes),
		kgo.ProducerLinger(conn.Linger),
		kgo.BrokerMaxWriteBytes(int32(max(100<<20, conn.MaxMessageBytes+conn.MaxMessageBytes/8))),
		kgo.ProducerBatchMaxBytesFn(func(topic string) int32 { return int32(c.limit(topic)) }),
		kgo.RecordPartitioner(kgo.UniformBytesPartitioner(64<<10, true, true, nil)),
		kgo.WithCompressor(&countingCompressor{compressor, &c.resent}),
		kgo.WithHooks(c),
	)
	return kgo.NewClient(opts...)
}

// pause is the wait before the nth repetition, from 1: full jitter, as delivery.Policy has it.
func pause(base, most time.Duration, n int) time.Duration {
	if n = max(n-1, 0); n < 32 {
		if b := base << n; b > 0 {
			most = min(most, b)
		}
	}
	return rand.N(most) + 1
}

func within(d, least, most time.Duration) time.Duration { return min(max(d, least), most) }

var (
	_ kgo.HookBrokerE2E     = (*client)(nil)
	_ kgo.HookBrokerConnect = (*client)(nil)
)

// OnBrokerE2E counts and measures produce requests.
func (c *client) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e kgo.BrokerE2E) {
	if key != int16(kmsg.Produce) {
		return
	}
	c.requests.Add(1)
	c.latency.add(e.DurationE2E())
	if err := e.Err(); err != nil {
		c.setTrouble(err)
	}
}

// OnBrokerConnect keeps why a broker could not be reached: a record that timed out does
// not say it.
func (c *client) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	c.setTrouble(err)
}

func (c *client) setTrouble(err error) {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, kgo.ErrClientClosed) {
		return
	}
	c.mu.Lock()
	c.trouble = err
	c.mu.Unlock()
}

// life is the context of messages that are handed to the client now. It ends with their
// deadline, a 16th of it later at most, and with nothing else: where the context of the
// first message of a partition ends, the client fails all that waits there, of other
// bundles too, and it may use the context for requests that have others' messages. So it is
// shared, and there are never more than a few.
func (c *client) life() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.connection.Policy.Deadline
	if c.lifeCtx == nil || time.Since(c.lifeBegun) > d/16 {
		c.lifeBegun = time.Now()
		c.lifeCtx, c.lifeEnd = context.WithTimeout(context.Background(), d+d/16)
	}
	return c.lifeCtx
}

// explain adds the last trouble of a connection to the error of a message that timed out.
func (c *client) explain(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.trouble != nil {
		return fmt.Errorf("%w; the last trouble of a connection: %w", err, c.trouble)
	}
	return err
}

// denied says whether an error is of credentials: the record is not at fault.
func denied(err error) bool {
	for _, e := range []error{
		kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed,
		kerr.SaslAuthenticationFailed, kerr.IllegalSaslState, kerr.UnsupportedSaslMechanism,
		kerr.DelegationTokenExpired, kerr.DelegationTokenAuthorizationFailed,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// countingCompressor compresses batches and notices those that are sent again: there the
// client calls it once more with the same bytes.
type countingCompressor struct {
	kgo.Compressor // nil = no compression
	resent         *resent
}

func (c *countingCompressor) Compress(dst *bytes.Buffer, src []byte, flags ...kgo.CompressFlag) ([]byte, kgo.CompressionCodecType) {
	c.resent.batch(src)
	if c.Compressor == nil {
		return nil, kgo.CodecNone
	}
	return c.Compressor.Compress(dst, src, flags...)
}

// resent counts batches that are sent again. franz-go has no hook for a repetition, and a
// batch that it repeats is byte for byte the same, ids and all.
type resent struct {
	n    atomic.Int64
	mu   sync.Mutex
	ring [256]uint64 // the last batches by hash; a client has far fewer under way
	at   int
}

var hashSeed = maphash.MakeSeed()

func (r *resent) batch(src []byte) {
	h := maphash.Bytes(hashSeed, src)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, seen := range r.ring {
		if seen == h {
			r.n.Add(1)
			return
		}
	}
	r.ring[r.at%len(r.ring)] = h
	r.at++
}

// latencies keeps how long requests took until a bundle takes them.
type latencies struct {
	mu   sync.Mutex
	took []time.Duration
}

func (l *latencies) add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.took) < 4096 {
		l.took = append(l.took, d)
	}
}

func (l *latencies) take() []time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	took := l.took
	l.took = nil
	return took
}
