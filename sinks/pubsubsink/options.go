package pubsubsink

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/flowbeam/flowbeam/internal/delivery"
	"github.com/flowbeam/flowbeam/internal/pubsubconn"
)

// Option changes how messages are published.
type Option func(*options) error

// options travel to the workers, so there is no secret in them, only references.
type options struct {
	Stage         string
	Topic         string // projects/P/topics/T
	OrderingKey   string // a column, "" = none
	BatchMessages int
	BatchBytes    int
	InFlight      int
	Policy        delivery.Policy
	Connection    connection
}

// connection is what a client is made of: sinks with equal ones share a client.
type connection struct{ pubsubconn.Connection }

// The service's bounds of a request.
//
// Source: https://cloud.google.com/pubsub/quotas#resource_limits
const (
	maxRequestMessages = 1000
	maxRequestBytes    = 10_000_000
	maxOrderingKey     = 1024
)

func defaults(stage, project, topic string) options {
	return options{
		Stage: stage, Topic: "projects/" + project + "/topics/" + topic,
		BatchMessages: maxRequestMessages, BatchBytes: 1 << 20, InFlight: 8, Policy: delivery.DefaultPolicy,
		Connection: connection{pubsubconn.Connection{Emulator: os.Getenv("PUBSUB_EMULATOR_HOST")}},
	}
}

// Name sets the stage of counts, metrics and dead letters. Default: pubsub,
// pubsub_rollup_1m and the like, pubsub_dead_letters.
func Name(stage string) Option {
	return func(o *options) error {
		if stage == "" {
			return errors.New("Name: empty")
		}
		o.Stage = stage
		return nil
	}
}

// OrderingKey makes a column the messages' ordering key, such as community_id: those of one
// key and bundle are published in their order. A row without a value has none; a value that
// is not UTF-8 or longer than 1,024 bytes makes the row a dead letter. A retried bundle
// publishes a second time, after what came since. Default: no ordering key.
func OrderingKey(column string) Option {
	return func(o *options) error {
		if column == "" {
			return errors.New("OrderingKey: empty")
		}
		o.OrderingKey = column
		return nil
	}
}

// Batch bounds a request, in messages and bytes, and how many of them a bundle has under
// way: together they bound its memory. The service takes at most 1,000 messages and
// 10,000,000 bytes. Default 1,000, 1 MiB and 8.
func Batch(messages, bytes, inFlight int) Option {
	return func(o *options) error {
		if messages <= 0 || messages > maxRequestMessages || bytes <= 0 || bytes > maxRequestBytes || inFlight <= 0 {
			return fmt.Errorf("Batch: %d messages, %d bytes, %d in flight: want at most %d and %d, and all positive", messages, bytes, inFlight, maxRequestMessages, maxRequestBytes)
		}
		o.BatchMessages, o.BatchBytes, o.InFlight = messages, bytes, inFlight
		return nil
	}
}

// Retry sets the pauses before a repetition, from base up to most, and for how long a
// request is tried: after the deadline the bundle fails. Refused credentials are tried for
// two minutes of it at most. Default 200 ms, 30 s, 5 min.
func Retry(base, most, deadline time.Duration) Option {
	return func(o *options) error {
		p := delivery.Policy{Base: base, Cap: most, Deadline: deadline, Auth: min(deadline, delivery.DefaultPolicy.Auth)}
		if err := p.Check(); err != nil {
			return fmt.Errorf("Retry: %w", err)
		}
		o.Policy = p
		return nil
	}
}

// Endpoint sets the service's address, such as europe-west1-pubsub.googleapis.com:443:
// ordering keys ask for a regional one, where publishers are in several regions. Default:
// the global endpoint.
func Endpoint(address string) Option {
	return func(o *options) error { return o.Connection.SetEndpoint(address) }
}

// Emulator publishes to an emulator at host:port, without credentials or encryption.
// Default: PUBSUB_EMULATOR_HOST, where it is set when the pipeline is built.
func Emulator(address string) Option {
	return func(o *options) error { return o.Connection.SetEmulator(address) }
}

// Credentials refers to the key of a service account, as file:PATH, env:NAME or
// gcp:projects/P/secrets/S/versions/V. It is read again when it is refused. Default: the
// worker's own identity.
func Credentials(ref string) Option {
	return func(o *options) error { return o.Connection.SetCredentials(ref) }
}

// apply returns the options over o, and every problem of them at once.
func apply(o options, opts []Option) (options, error) {
	var errs []error
	for _, opt := range opts {
		errs = append(errs, opt(&o))
	}
	if err := pubsubconn.CheckTopic(o.Topic); err != nil {
		errs = append(errs, err)
	}
	if o.Connection.Emulator != "" && o.Connection.Credentials != "" {
		errs = append(errs, errors.New("Credentials: an emulator has none"))
	}
	return o, errors.Join(errs...)
}
