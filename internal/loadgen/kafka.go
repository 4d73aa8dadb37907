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
	k, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(20*time.Millisecond),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.ProducerBatchMaxBytes(4<<20), kgo.MaxBufferedRecords(50_000),
		kgo.AlwaysRetryEOF(), kgo.RecordRetries(1000), kgo.UnknownTopicRetries(5)) // a delivery timeout would count from the timestamp
	if err != nil {
		return Truth{}, err
	}
	defer k.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	truth, err := send(ctx, enough, c, func(dc string, line Line) error {
		k.Produce(ctx, &kgo.Record{
			Value: bytes.Clone(bytes.TrimRight(line.Data, "\n")), Timestamp: line.Arrival.Std(),
			Headers: []kgo.RecordHeader{{Key: DataCenterHeader, Value: []byte(dc)}},
		}, func(_ *kgo.Record, err error) {
			if err != nil {
				cancel(err)
			}
		})
		return nil
	})
	if err == nil {
		err = k.Flush(ctx)
	}
	if err != nil {
		return Truth{}, errors.Join(err, context.Cause(ctx))
	}
	return truth, context.Cause(ctx)
}

// send gives each line and its data center to out, at its time, until enough is closed, and
// returns the truth about these lines.
func send(ctx context.Context, enough <-chan struct{}, c Config, out func(dataCenter string, line Line) error) (Truth, error) {
	g, err := New(c)
	if err != nil {
		return Truth{}, err
	}
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
		if err == nil {
			err = out(g.streams[line.Stream].DataCenter, line)
		}
		if err != nil {
			return Truth{}, err
		}
	}
	return g.Truth(), nil
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
