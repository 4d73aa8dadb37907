package kafkasink

import (
	"errors"
	"fmt"
	"time"

	"github.com/flowbeam/flowbeam/internal/delivery"
	"github.com/flowbeam/flowbeam/internal/kafkaconn"
)

// Option changes how messages are written.
type Option func(*options) error

// options travel to the workers, so there is no secret in them, only references.
type options struct {
	Stage        string
	Topic        string
	Key          string // a column, "" = the id
	BatchRecords int
	BatchBytes   int
	InFlight     int
	Partitions   int // of a topic that is made, 0 = it is not
	Replication  int
	Connection   connection
}

// connection is what a client is made of: sinks with equal ones share a client.
type connection struct {
	kafkaconn.Connection
	Compression     string
	MaxMessageBytes int // 0 = what the topic takes
	BufferRecords   int
	BufferBytes     int
	Linger          time.Duration
	Policy          delivery.Policy
}

func defaults(stage string, brokers []string, topic string) options {
	return options{
		Stage: stage, Topic: topic, BatchRecords: 1000, BatchBytes: 512 << 10, InFlight: 8,
		Connection: connection{
			Connection: kafkaconn.Connection{Brokers: brokers, ClientID: "flowbeam"}, Compression: "zstd",
			BufferRecords: 100_000, BufferBytes: 128 << 20, Linger: 5 * time.Millisecond, Policy: delivery.DefaultPolicy,
		},
	}
}

// Name sets the stage of counts, metrics and dead letters. Default: kafka, kafka_rollup_1m
// and the like, kafka_dead_letters.
func Name(stage string) Option {
	return func(o *options) error {
		if stage == "" {
			return errors.New("Name: empty")
		}
		o.Stage = stage
		return nil
	}
}

// Key makes a column the messages' key, such as community_id, which keeps both directions
// of a conversation in one partition, or user_id. A row without a value has its id for a
// key. Default: the id, which spreads evenly.
func Key(column string) Option {
	return func(o *options) error {
		if column == "" {
			return errors.New("Key: empty")
		}
		o.Key = column
		return nil
	}
}

// Compression sets the compression of batches: zstd (the default), lz4, snappy, gzip or
// none.
func Compression(name string) Option {
	return func(o *options) error {
		if _, ok := codecs[name]; !ok {
			return fmt.Errorf("Compression: %q is none of zstd, lz4, snappy, gzip, none", name)
		}
		o.Connection.Compression = name
		return nil
	}
}

// MaxMessageBytes bounds a batch, and so a message, in bytes before compression: a larger
// message is a dead letter. Default: the topic's max.message.bytes where it may be read,
// else 1,000,012.
func MaxMessageBytes(n int) Option {
	return func(o *options) error {
		if n < 1024 || n > 1<<30 {
			return fmt.Errorf("MaxMessageBytes: %d is not within 1,024 and 1,073,741,824", n)
		}
		o.Connection.MaxMessageBytes = n
		return nil
	}
}

// Batch bounds what a bundle hands to the client at a time, in messages and bytes, and how
// many such parts it has under way: together they bound its memory. Default 1,000 messages,
// 512 KiB and 8.
func Batch(records, bytes, inFlight int) Option {
	return func(o *options) error {
		if records <= 0 || bytes <= 0 || inFlight <= 0 {
			return fmt.Errorf("Batch: %d records, %d bytes, %d in flight: all must be positive", records, bytes, inFlight)
		}
		o.BatchRecords, o.BatchBytes, o.InFlight = records, bytes, inFlight
		return nil
	}
}

// Buffer bounds what the client of a process holds for all bundles; a bundle that would
// exceed it waits. Default 100,000 messages, 128 MiB.
func Buffer(records, bytes int) Option {
	return func(o *options) error {
		if records <= 0 || bytes <= 0 {
			return fmt.Errorf("Buffer: %d records, %d bytes: both must be positive", records, bytes)
		}
		o.Connection.BufferRecords, o.Connection.BufferBytes = records, bytes
		return nil
	}
}

// Linger sets how long a partition waits for more before it sends. Default 5 ms.
func Linger(d time.Duration) Option {
	return func(o *options) error {
		if d < 0 || d > time.Minute {
			return fmt.Errorf("Linger: %v is not within 0 and 1m", d)
		}
		o.Connection.Linger = d
		return nil
	}
}

// Retry sets the pauses before a repetition, from base up to most, and for how long a
// message is tried: after the deadline the bundle fails. Refused credentials are tried for
// two minutes of it at most. Default 200 ms, 30 s, 5 min.
func Retry(base, most, deadline time.Duration) Option {
	return func(o *options) error {
		p := delivery.Policy{Base: base, Cap: most, Deadline: deadline, Auth: min(deadline, delivery.DefaultPolicy.Auth)}
		if err := p.Check(); err != nil {
			return fmt.Errorf("Retry: %w", err)
		}
		o.Connection.Policy = p
		return nil
	}
}

// ClientID sets the name that brokers log and set quotas by. Default: flowbeam.
func ClientID(id string) Option {
	return func(o *options) error {
		o.Connection.ClientID = id
		return nil
	}
}

// TLS encrypts the connections. ca refers to the PEM file of the authorities to trust, as
// file:PATH, env:NAME or gcp:projects/P/secrets/S/versions/V; "" is those of the system.
func TLS(ca string) Option {
	return func(o *options) error { return o.Connection.SetTLS(ca) }
}

// ClientCertificate shows a certificate to the brokers. Both are references to PEM files,
// as for [TLS].
func ClientCertificate(cert, key string) Option {
	return func(o *options) error { return o.Connection.SetClientCertificate(cert, key) }
}

// SASL names the user and refers to the password, as file:PATH, env:NAME or
// gcp:projects/P/secrets/S/versions/V. mechanism is PLAIN, which asks for [TLS] unless the
// brokers are on this machine, SCRAM-SHA-256 or SCRAM-SHA-512. The password is read again
// for each connection, so a new one is taken.
func SASL(mechanism, user, password string) Option {
	return func(o *options) error { return o.Connection.SetSASL(mechanism, user, password) }
}

// CreateTopic makes the topic where it is absent, when the job starts. A replication of -1
// is the brokers' default. By default an absent topic is an error.
func CreateTopic(partitions, replication int) Option {
	return func(o *options) error {
		if partitions <= 0 || replication == 0 || replication < -1 || replication > 1<<15-1 {
			return fmt.Errorf("CreateTopic: %d partitions, replication %d", partitions, replication)
		}
		o.Partitions, o.Replication = partitions, replication
		return nil
	}
}

func wrap(name string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// apply returns the options over o, and every problem of them at once.
func apply(o options, opts []Option) (options, error) {
	var errs []error
	for _, opt := range opts {
		errs = append(errs, opt(&o))
	}
	c := &o.Connection
	errs = append(errs, kafkaconn.CheckTopic(o.Topic), c.Check())
	if c.BufferBytes < c.MaxMessageBytes {
		errs = append(errs, fmt.Errorf("Buffer: %d bytes cannot hold a message of %d", c.BufferBytes, c.MaxMessageBytes))
	}
	return o, errors.Join(errs...)
}
