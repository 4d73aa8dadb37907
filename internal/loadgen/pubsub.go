package loadgen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"cloud.google.com/go/pubsub/v2"

	"github.com/flowbeam/flowbeam/internal/pubsubconn"
)

// DataCenterAttribute is the attribute of a message that names its data center.
const DataCenterAttribute = "data_center"

// WritePubSub sends the lines to topics of Pub/Sub, which are there: topic names that of a
// data center, as projects/P/topics/T. Each line is a message, published in the order of
// arrival, but Pub/Sub keeps none. Header lines are not sent. With Live a line is sent when
// its arrival comes on the clock: its time of publishing is always now.
func WritePubSub(ctx context.Context, conn pubsubconn.Connection, project string, topic func(dataCenter string) string, c Config) (Truth, error) {
	return WritePubSubUntil(ctx, nil, conn, project, topic, c)
}

// WritePubSubUntil is WritePubSub that ends when enough is closed. The truth is about the
// lines that were sent.
func WritePubSubUntil(ctx context.Context, enough <-chan struct{}, conn pubsubconn.Connection, project string, topic func(dataCenter string) string, c Config) (Truth, error) {
	opts, err := conn.Options(ctx)
	if err != nil {
		return Truth{}, err
	}
	client, err := pubsub.NewClient(ctx, project, opts...)
	if err != nil {
		return Truth{}, err
	}
	defer client.Close()
	publishers := map[string]*pubsub.Publisher{}
	stop := func() {
		for _, p := range publishers {
			p.Stop() // sends what waits
		}
		clear(publishers)
	}
	defer stop()
	for _, dc := range c.DataCenters {
		if publishers[topic(dc)] == nil {
			p := client.Publisher(topic(dc))
			p.PublishSettings.DelayThreshold = 20 * time.Millisecond
			p.PublishSettings.FlowControlSettings.LimitExceededBehavior = pubsub.FlowControlBlock
			publishers[topic(dc)] = p
		}
	}
	var sent []*pubsub.PublishResult
	check := func(keep int) error {
		for len(sent) > keep {
			if _, err := sent[0].Get(ctx); err != nil {
				return fmt.Errorf("publishing: %w", err)
			}
			sent = sent[1:]
		}
		return nil
	}
	truth, err := send(ctx, enough, c, func(dc string, line Line) error {
		sent = append(sent, publishers[topic(dc)].Publish(ctx, &pubsub.Message{
			Data: bytes.Clone(bytes.TrimRight(line.Data, "\n")), Attributes: map[string]string{DataCenterAttribute: dc},
		}))
		return check(10_000)
	})
	if err != nil {
		return Truth{}, err
	}
	stop()
	return truth, errors.Join(check(0), ctx.Err())
}
