package collect

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flowbeam/flowbeam/internal/kafkaconn"
)

// KafkaConfig says to which topic envelopes go.
type KafkaConfig struct {
	kafkaconn.Connection
	Topic       string
	DataCenter  string // a header of each message. "": none
	Compression string // zstd, lz4, snappy, gzip or none
	BufferBytes int    // that wait in the client, beside the queue
}

// DataCenterName is the header of messages of Kafka, and the attribute of Pub/Sub's, that has
// the data center.
const DataCenterName = "data_center"

var kafkaCodecs = map[string]kgo.CompressionCodec{
	"zstd": kgo.ZstdCompression(), "lz4": kgo.Lz4Compression(), "snappy": kgo.SnappyCompression(),
	"gzip": kgo.GzipCompression(), "none": kgo.NoCompression(),
}

// Check returns every problem that shows without asking the brokers.
func (c *KafkaConfig) Check() (problems []error) {
	if err := errors.Join(c.Connection.Check(), kafkaconn.CheckTopic(c.Topic)); err != nil {
		problems = append(problems, fmt.Errorf("--kafka: %w", err))
	}
	if _, ok := kafkaCodecs[c.Compression]; !ok {
		problems = append(problems, fmt.Errorf("--kafka_compression: %q is none of zstd, lz4, snappy, gzip, none", c.Compression))
	}
	return problems
}

// Kafka writes each envelope as a message whose key is the exporter's address, so that what one
// exporter sends is in one partition and in its order. The producer is idempotent: what it tries
// again is there once. It tries for as long as there is time.
type Kafka struct {
	client  *kgo.Client
	topic   string
	headers []kgo.RecordHeader
	under   sync.WaitGroup // messages that are not settled
	trouble struct {
		sync.Mutex
		trouble
	}
	mu   sync.Mutex
	lost error // the last error of a message
}

// NewKafka connects, and looks for the topic.
func NewKafka(ctx context.Context, c KafkaConfig) (*Kafka, error) {
	opts, err := c.Options(ctx)
	if err != nil {
		return nil, err
	}
	opts = append(opts,
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.UnknownTopicRetries(-1),
		kgo.MaxBufferedBytes(c.BufferBytes),
		kgo.MaxBufferedRecords(max(1, c.BufferBytes/shortItem)),
		kgo.ProducerLinger(20*time.Millisecond),
		kgo.ProducerBatchCompression(kafkaCodecs[c.Compression]),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), // as Java's: by the key's hash
		kgo.AllowIdempotentProduceCancellation(),             // at the end the time is over
	)
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, err
	}
	k := &Kafka{client: client, topic: c.Topic}
	k.trouble.what = "collect: a message was not taken"
	if c.DataCenter != "" {
		k.headers = []kgo.RecordHeader{{Key: DataCenterName, Value: []byte(c.DataCenter)}}
	}
	topics, err := kadm.NewClient(client).ListTopics(ctx, c.Topic)
	if err == nil {
		err = topics[c.Topic].Err
	}
	switch {
	case err == nil:
		return k, nil
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		err = fmt.Errorf("topic %q does not exist: make it (kafka-topics.sh --create --topic %s --partitions N)", c.Topic, c.Topic)
	default:
		err = fmt.Errorf("topic %q at %v: %w: check the addresses, TLS, user and password; the user needs the operations Describe and Write on the topic", c.Topic, c.Brokers, err)
	}
	client.Close()
	return nil, err
}

// Write hands a message to the client. It waits while the client's buffer is full.
func (k *Kafka) Write(ctx context.Context, it *Item) {
	k.under.Add(1)
	r := &kgo.Record{
		Topic: k.topic, Key: it.From.Addr().AppendTo(nil), Value: it.Data, Timestamp: it.Received.Std(), Headers: k.headers,
	}
	k.client.Produce(ctx, r, func(_ *kgo.Record, err error) {
		defer k.under.Done()
		if err == nil {
			it.Written()
			return
		}
		it.Lost()
		k.trouble.Lock()
		k.trouble.tell(err)
		k.trouble.Unlock()
		k.mu.Lock()
		k.lost = err
		k.mu.Unlock()
	})
}

// Idle has nothing to do.
func (*Kafka) Idle(context.Context) {}

// abortTime is how long the client may take to let go of what is not written.
const abortTime = 5 * time.Second

// Close waits until all is taken. The error is of what was not.
func (k *Kafka) Close(ctx context.Context) error {
	if err := k.client.Flush(ctx); err != nil {
		abort, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
		k.client.AbortBufferedRecords(abort)
		cancel()
	}
	k.client.Close() // fails what is left
	k.under.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.lost != nil {
		return fmt.Errorf("topic %s: %w", k.topic, k.lost)
	}
	return nil
}
