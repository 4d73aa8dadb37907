package elasticsink

import (
	"errors"
	"fmt"
	"time"

	"github.com/flowbeam/flowbeam/internal/delivery"
)

// Option changes how documents are written.
type Option func(*options) error

// options travel to the workers.
type options struct {
	Stage          string
	Namespace      string
	Period         string
	DataStream     bool
	Replace        bool
	RequestRecords int
	RequestBytes   int
	InFlight       int
	Plain          bool // requests are not compressed
	Timeout        time.Duration
	Retry          delivery.Policy
}

func defaults(stage string) options {
	return options{
		Stage: stage, Namespace: "default", Period: Day,
		RequestRecords: 5000, RequestBytes: 8 << 20, InFlight: 4,
		Timeout: time.Minute, Retry: delivery.DefaultPolicy,
	}
}

// Namespace sets the last part of the alias, such as an environment or a customer:
// flowbeam-flow-<namespace>. Lower-case letters, digits and underscores. Default: default.
func Namespace(name string) Option {
	return func(o *options) error {
		o.Namespace = name
		return checkNamespace(name)
	}
}

// IndexPer sets the time that one index spans: Hour, Day or Month. All writers of a
// namespace must have the same: a record is in the store once only if it always goes to
// the same index. Default: Day.
func IndexPer(length string) Option {
	return func(o *options) error {
		if length != Hour && length != Day && length != Month {
			return fmt.Errorf("IndexPer: %q is none of %s, %s and %s", length, Hour, Day, Month)
		}
		o.Period = length
		return nil
	}
}

// DataStream writes into the data stream flowbeam-flow-<namespace>, which Install must
// have made the template of. A data stream keeps one document of an id in each of its
// backing indices: what is delivered again after a rollover is in it twice.
func DataStream() Option {
	return func(o *options) error {
		o.DataStream = true
		return nil
	}
}

// Replace writes a record over one of the same id whose revision is not higher, for runs
// that correct what is stored. It costs the store more than to create. Without it a record
// that is there stays as it is.
func Replace() Option {
	return func(o *options) error {
		o.Replace = true
		return nil
	}
}

// Name sets the stage of counts and dead letters. Default: elasticsearch,
// elasticsearch_rollup_1m and the like, elasticsearch_dead_letters.
func Name(stage string) Option {
	return func(o *options) error {
		if stage == "" {
			return errors.New("Name: empty")
		}
		o.Stage = stage
		return nil
	}
}

// RequestRecords bounds the documents of a request. Default 5,000.
func RequestRecords(n int) Option {
	return func(o *options) error {
		o.RequestRecords = n
		return positive("RequestRecords", n)
	}
}

// RequestBytes bounds a request, before compression. A document that is larger goes alone.
// Default 8 MiB.
func RequestBytes(n int) Option {
	return func(o *options) error {
		o.RequestBytes = n
		return positive("RequestBytes", n)
	}
}

// InFlight sets how many requests a process has on their way to a cluster at a time; a
// bundle that has more waits. Default 4.
func InFlight(n int) Option {
	return func(o *options) error {
		o.InFlight = n
		return positive("InFlight", n)
	}
}

// NoCompression sends requests without gzip, for a network that costs less than the time
// to compress.
func NoCompression() Option {
	return func(o *options) error {
		o.Plain = true
		return nil
	}
}

// Timeout bounds one try of a request. Default one minute.
func Timeout(d time.Duration) Option {
	return func(o *options) error {
		if d <= 0 {
			return fmt.Errorf("Timeout: %v is not positive", d)
		}
		o.Timeout = d
		return nil
	}
}

// Retry sets how a request is tried again: after pauses of a random length below a bound
// that doubles from base to longest, until deadline. Then the bundle fails, and the runner
// retries it. Credentials that are refused are tried for two minutes at most. Default: 200
// ms, 30 s, 5 minutes.
func Retry(base, longest, deadline time.Duration) Option {
	return func(o *options) error {
		o.Retry = delivery.Policy{Base: base, Cap: longest, Deadline: deadline, Auth: min(delivery.DefaultPolicy.Auth, deadline)}
		return o.Retry.Check()
	}
}

func positive(name string, n int) error {
	if n <= 0 {
		return fmt.Errorf("%s: %d is not positive", name, n)
	}
	return nil
}

// apply reports every problem at once.
func apply(c Cluster, o options, opts []Option) (options, error) {
	errs := []error{c.check()}
	for _, opt := range opts {
		errs = append(errs, opt(&o))
	}
	if o.DataStream && o.Replace {
		errs = append(errs, errors.New("DataStream and Replace: a data stream takes no document over another"))
	}
	return o, errors.Join(errs...)
}
