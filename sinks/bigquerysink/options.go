package bigquerysink

import (
	"errors"
	"fmt"
	"time"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/dataset"
	"github.com/flowbeam/flowbeam/internal/delivery"
)

// Option changes how rows are written.
type Option func(*options) error

// options travel to the workers.
type options struct {
	Stage        string
	Endpoint     endpoint
	Policy       delivery.Policy
	RequestBytes int
	RequestRows  int
	InFlight     int
	OwnStreams   bool
	AppendOnly   bool

	// Of Load and LoadOn alone.
	URI   string
	Every time.Duration
}

// endpoint is where the service is; the zero value is BigQuery with application default
// credentials.
type endpoint struct {
	REST, GRPC string
}

const (
	// maxRequest bounds a request's rows in bytes. The service takes 10 MB with what stands
	// around them.
	// Source: https://cloud.google.com/bigquery/quotas#write-api-limits
	maxRequest = 9_500_000

	defaultRequestBytes = 2 << 20
	defaultRequestRows  = 20_000
	defaultInFlight     = 4
)

func defaults(stage string) options {
	return options{Stage: stage, Policy: delivery.DefaultPolicy, RequestBytes: defaultRequestBytes, RequestRows: defaultRequestRows, InFlight: defaultInFlight}
}

// Name sets the stage of the counts and of dead letters. Default: bigquery,
// bigquery_rollup_1m and the like, bigquery_dead_letters.
func Name(stage string) Option {
	return func(o *options) error {
		if stage == "" {
			return errors.New("Name: empty")
		}
		o.Stage = stage
		return nil
	}
}

// Endpoint leads to an emulator, which is asked without credentials and without TLS: rest
// is the base URL of its REST API, as http://127.0.0.1:9050/bigquery/v2/, and grpc the
// host:port of its Storage Write API. Default: BigQuery, with application default
// credentials.
func Endpoint(rest, grpc string) Option {
	return func(o *options) error {
		if rest == "" && grpc == "" {
			return errors.New("Endpoint: empty")
		}
		o.Endpoint = endpoint{rest, grpc}
		return nil
	}
}

// Retry sets how a request that fails is tried again: pauses with full jitter between
// nothing and a bound that doubles from base to limit. After deadline, of all tries of one
// request, the bundle fails, and nothing is dropped. Default 200 ms, 30 s, 5 minutes.
func Retry(base, limit, deadline time.Duration) Option {
	return func(o *options) error {
		p := delivery.Policy{Base: base, Cap: limit, Deadline: deadline, Auth: deadline}
		if err := p.Check(); err != nil {
			return fmt.Errorf("Retry: %w", err)
		}
		o.Policy = p
		return nil
	}
}

// RequestBytes sets how many bytes of rows a request has. Default 2 MiB, at most 9,500,000:
// the service takes 10 MB.
func RequestBytes(n int) Option {
	return func(o *options) error {
		if n <= 0 || n > maxRequest {
			return fmt.Errorf("RequestBytes: %d: want 1 to %d", n, maxRequest)
		}
		o.RequestBytes = n
		return nil
	}
}

// RequestRows sets how many rows a request has at most. Default 20,000.
func RequestRows(n int) Option {
	return func(o *options) error {
		if n <= 0 {
			return fmt.Errorf("RequestRows: %d is not positive", n)
		}
		o.RequestRows = n
		return nil
	}
}

// InFlight sets how many requests of a bundle are under way at most; a bundle holds that
// many requests and one more in memory. Default 4.
func InFlight(n int) Option {
	return func(o *options) error {
		if n <= 0 {
			return fmt.Errorf("InFlight: %d is not positive", n)
		}
		o.InFlight = n
		return nil
	}
}

// OwnStreams writes by committed streams of the sink's own, with offsets, instead of the
// table's default stream: a request whose reply is lost is then known to be there, or not,
// and is not doubled. A bundle that the runner runs again still appends its rows again. It
// costs one more request for each stream, of which the service allows a project 30,000 in
// four hours, and is refused with upserts, which only the default stream takes.
func OwnStreams() Option {
	return func(o *options) error { o.OwnStreams = true; return nil }
}

// AppendOnly has WriteRollups append its rows instead of an upsert by primary key: for
// tables without one. The view rollup_…_latest has of each group the row with the most
// records.
func AppendOnly() Option {
	return func(o *options) error { o.AppendOnly = true; return nil }
}

// apply reports every bad option at once.
func apply(o options, opts []Option) (options, error) {
	var errs []error
	for _, opt := range opts {
		errs = append(errs, opt(&o))
	}
	return o, errors.Join(errs...)
}

// setup is what a Write function checks before it builds the graph.
func setup(o options, table string, upsert bool, opts []Option) (options, tableName, error) {
	o, err := apply(o, opts)
	name, nerr := parseTable(table)
	if upsert && o.OwnStreams && !o.AppendOnly {
		err = errors.Join(err, errors.New("OwnStreams: an upsert is taken by the default stream alone: add AppendOnly, or leave OwnStreams out"))
	}
	return o, name, errors.Join(err, nerr)
}

func mustSetup(fn string, o options, table string, upsert bool, opts []Option) (options, tableName) {
	o, name, err := setup(o, table, upsert, opts)
	if err != nil {
		panic(fmt.Sprintf("bigquerysink.%s: %v", fn, err))
	}
	return o, name
}

// Validate says what is wrong with the arguments of Write or WriteFailures, all problems
// at once. It asks no server.
func Validate(table string, opts ...Option) error {
	_, _, err := setup(defaults("bigquery"), table, false, opts)
	return err
}

// ValidateRollups is Validate for WriteRollups.
func ValidateRollups(table string, rollup *flow.Table[flow.Rollup], opts ...Option) error {
	_, _, err := setup(defaults("bigquery"), table, true, opts)
	_, terr := dataset.RollupTableOf(rollup)
	return errors.Join(err, terr)
}
