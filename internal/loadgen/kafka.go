package loadgen

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// DataCenterHeader is the header of a message that names its data center.
const DataCenterHeader = "data_center"

// CreateTopic makes a topic where it is absent.
func CreateTopic(ctx context.Context, brokers []string, topic string, partitions int) error {
	k, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		return err
	}
	defer k.Close()
	r, err := kadm.NewClient(k).CreateTopic(ctx, int32(partitions), -1, nil, topic)
	if errors.Is(r.Err, kerr.TopicAlreadyExists) {
		return nil
	}
	return err
}

// WriteKafka sends the lines to a topic, in the order of arrival, each as a message whose
// timestamp is its arrival. Header lines are not sent. Lines go round the partitions. With
// Live a line is sent when its arrival comes on the clock.
func WriteKafka(ctx context.Context, brokers []string, topic string, c Config) (Truth, error) {
	return WriteKafkaUntil(ctx, nil, brokers, topic, c)
}

// WriteKafkaUntil is WriteKafka that ends when enough is closed. The truth is about the lines
// that were sent.
func WriteKafkaUntil(ctx context.Context, enough <-chan struct{}, brokers []string, topic string, c Config) (Truth, error) {
	g, err := New(c)
	if err != nil {
		return Truth{}, err
	}
	k, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(20*time.Millisecond),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.ProducerBatchMaxBytes(4<<20), kgo.MaxBufferedRecords(50_000),
		kgo.RecordRetries(20), kgo.UnknownTopicRetries(5)) // a delivery timeout would count from the timestamp
	if err != nil {
		return Truth{}, err
	}
	defer k.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	pace := newPace(c.Rate)
	for !closed(enough) {
		line, ok := g.Next()
		if !ok {
			break
		}
		if c.Live {
			err = until(ctx, line.Arrival.Std())
		} else {
			err = pace.wait(ctx)
		}
		if err != nil {
			return Truth{}, errors.Join(err, context.Cause(ctx))
		}
		k.Produce(ctx, &kgo.Record{
			Value: bytes.Clone(bytes.TrimRight(line.Data, "\n")), Timestamp: line.Arrival.Std(),
			Headers: []kgo.RecordHeader{{Key: DataCenterHeader, Value: []byte(g.streams[line.Stream].DataCenter)}},
		}, func(_ *kgo.Record, err error) {
			if err != nil {
				cancel(err)
			}
		})
	}
	if err := k.Flush(ctx); err != nil {
		return Truth{}, errors.Join(err, context.Cause(ctx))
	}
	return g.Truth(), context.Cause(ctx)
}

// closed says whether a channel is.
func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// until waits for a time.
func until(ctx context.Context, t time.Time) error {
	d := time.Until(t)
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
