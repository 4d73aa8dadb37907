package kafkasink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/flowbeam/flowbeam/internal/delivery"
)

// defaultMessageBytes is Kafka's own default of max.message.bytes, as franz-go takes it.
const defaultMessageBytes = 1000012

// limit is the largest batch of a topic in bytes.
func (c *client) limit(topic string) int {
	if n := c.connection.MaxMessageBytes; n > 0 {
		return n
	}
	if topic == "" { // the client's own check, made while it is opened
		return defaultMessageBytes
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.topics[topic]; n > 0 {
		return n
	}
	return defaultMessageBytes
}

// validateTime bounds how long Validate looks for the brokers: who asks wants an answer.
const validateTime = 10 * time.Second

type noTopicError struct{ topic, brokers string }

func (e noTopicError) Error() string {
	return fmt.Sprintf("topic %q does not exist at %s: create it (kafka-topics.sh --create --topic %s --partitions N), or let the job do it with the option CreateTopic", e.topic, e.brokers, e.topic)
}

// prepare finds the topic, or makes it where that was asked for, once a client. It tries
// as long as the policy says where the brokers are not reached.
func (c *client) prepare(ctx context.Context, o *options) error {
	c.mu.Lock()
	_, known := c.topics[o.Topic]
	c.mu.Unlock()
	if known {
		return nil
	}
	_, err := c.connection.Policy.Do(ctx, "look for topic "+o.Topic, func(ctx context.Context) error {
		limit, err := c.look(ctx, o, o.Partitions > 0)
		if err != nil {
			return err
		}
		c.mu.Lock()
		c.topics[o.Topic] = limit
		c.mu.Unlock()
		return nil
	})
	return err
}

// look asks the brokers for the topic and returns its largest message, 0 where that may not
// be known. Errors that may pass are marked so.
func (c *client) look(ctx context.Context, o *options, create bool) (limit int, err error) {
	ctx, cancel := context.WithTimeout(ctx, min(c.connection.Policy.Deadline, 20*time.Second))
	defer cancel()
	admin := kadm.NewClient(c.producer())
	at := strings.Join(c.connection.Brokers, ", ")
	topics, err := admin.ListTopics(ctx, o.Topic)
	if err == nil {
		err = topics[o.Topic].Err
	}
	switch {
	case err == nil && len(topics[o.Topic].Partitions) == 0:
		return 0, delivery.Again(fmt.Errorf("topic %q at %s has no partitions", o.Topic, at), 0)
	case errors.Is(err, kerr.UnknownTopicOrPartition) && create:
		_, err = admin.CreateTopic(ctx, int32(o.Partitions), int16(o.Replication), nil, o.Topic)
		if err == nil || errors.Is(err, kerr.TopicAlreadyExists) {
			return 0, delivery.Again(fmt.Errorf("topic %q was made just now", o.Topic), 0)
		}
		err = fmt.Errorf("topic %q at %s cannot be made: %w", o.Topic, at, err)
		if denied(err) {
			return 0, delivery.Denied(fmt.Errorf("%w: the user needs the operation Create on the topic", err))
		}
		return 0, err
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return 0, noTopicError{o.Topic, at}
	case denied(err):
		return 0, delivery.Denied(fmt.Errorf("topic %q at %s: %w: check user and password; the user needs the operations Describe and Write on the topic", o.Topic, at, err))
	case err != nil:
		return 0, delivery.Again(fmt.Errorf("brokers %s: %w: check the addresses, and TLS and SASL if they ask for it", at, err), 0)
	}
	configs, err := admin.DescribeTopicConfigs(ctx, o.Topic)
	if err != nil || len(configs) == 0 {
		return 0, nil // needs the operation DescribeConfigs, which a writer may not have
	}
	i := slices.IndexFunc(configs[0].Configs, func(c kadm.Config) bool { return c.Key == "max.message.bytes" })
	if i < 0 {
		return 0, nil
	}
	n, err := strconv.Atoi(configs[0].Configs[i].MaybeValue())
	if err != nil || n < 512 {
		return 0, nil
	}
	return min(n, 1<<30), nil
}
