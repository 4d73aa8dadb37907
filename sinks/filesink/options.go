package filesink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/dataset"
	"github.com/flowbeam/flowbeam/internal/delivery"
)

// Option changes how files are written. An option that belongs to the layout (Bucket,
// Shards, Partition) and differs from that of the dataset is refused when the job starts,
// and by the Validate functions before.
type Option func(*options) error

// options travel to the workers; zero values are defaults.
type options struct {
	Stage        string
	Bucket       time.Duration
	Shards       int
	Partition    []string
	Format       dataset.Format
	Compression  dataset.Compression
	FlushRecords int
	FlushBytes   int
	Retry        delivery.Policy
	Replace      bool
}

// Bucket sets the length of a time bucket, one directory each: minutes that divide the
// hour, hours that divide the day, or 24h. Default: that of the dataset; one hour for a
// new one, for dead letters one day.
func Bucket(d time.Duration) Option {
	return func(o *options) error {
		if d <= 0 {
			return fmt.Errorf("Bucket: %v is not positive", d)
		}
		o.Bucket = d
		return nil
	}
}

// Shards sets how many shards a bucket has, a power of two; a row's shard follows from its
// id. Workers that write one shard at once take turns, so have about as many as workers.
// Default: that of the dataset; one for a new one.
func Shards(n int) Option {
	return func(o *options) error {
		if n <= 0 {
			return fmt.Errorf("Shards: %d is not positive", n)
		}
		o.Shards = n
		return nil
	}
}

// Partition adds directories field=value below the bucket, for columns of few values. A
// record whose value does not match [A-Za-z0-9._-]{1,64} becomes a dead letter. Default:
// that of the dataset; none for a new one.
func Partition(fields ...string) Option {
	return func(o *options) error {
		o.Partition = append([]string{}, fields...)
		return nil
	}
}

// Format sets the files' format: parquet, avro, ndjson or csv. Default: parquet, and
// ndjson for dead letters. All writers of a dataset at one time should agree on it.
func Format(name string) Option {
	return func(o *options) error {
		if !slices.Contains(dataset.Formats, dataset.Format(name)) {
			return dataset.ValidateFormat(dataset.Format(name), dataset.None)
		}
		o.Format = dataset.Format(name)
		return nil
	}
}

// Compression sets the compression: none, gzip, zstd or snappy. Default: snappy for
// Parquet and Avro, gzip for NDJSON and CSV, which cannot be compressed with snappy.
func Compression(name string) Option {
	return func(o *options) error {
		if !slices.Contains(dataset.Compressions, dataset.Compression(name)) {
			return dataset.ValidateFormat(dataset.Parquet, dataset.Compression(name))
		}
		o.Compression = dataset.Compression(name)
		return nil
	}
}

// Replace writes a record over one of a lower revision: of one id in one directory the highest
// revision counts. The older one stays in its part, where readers pass over it, until a
// replacement prunes it. Of Write alone.
func Replace() Option {
	return func(o *options) error {
		o.Replace = true
		return nil
	}
}

// Name sets the stage of the counts and of dead letters. Default: files, files_rollup_1m
// and the like, files_dead_letters, files_raw.
func Name(stage string) Option {
	return func(o *options) error {
		if stage == "" {
			return errors.New("Name: empty")
		}
		o.Stage = stage
		return nil
	}
}

// FlushRecords sets how many rows a bundle holds before it writes them. Default 200,000.
func FlushRecords(n int) Option {
	return func(o *options) error {
		if n <= 0 {
			return fmt.Errorf("FlushRecords: %d is not positive", n)
		}
		o.FlushRecords = n
		return nil
	}
}

// FlushBytes sets how many bytes a bundle holds before it writes them, in memory and so
// before compression. Default 64 MiB.
func FlushBytes(n int) Option {
	return func(o *options) error {
		if n <= 0 {
			return fmt.Errorf("FlushBytes: %d is not positive", n)
		}
		o.FlushBytes = n
		return nil
	}
}

// Retry sets how requests to gs:// and s3:// are tried again: the bound of the first wait,
// which doubles, the bound of every wait, and the time after which the bundle fails.
// Refused credentials are tried for two minutes of it at most. Default 200 ms, 30 s, 5 min.
func Retry(base, most, deadline time.Duration) Option {
	return func(o *options) error {
		o.Retry = delivery.Policy{Base: base, Cap: most, Deadline: deadline, Auth: min(deadline, delivery.DefaultPolicy.Auth)}
		return o.Retry.Check()
	}
}

// apply reports every bad option at once.
func apply(o options, opts []Option) (options, error) {
	var errs []error
	for _, opt := range opts {
		errs = append(errs, opt(&o))
	}
	return o, errors.Join(errs...)
}

// mustApply panics on a bad option: a mistake of the wiring.
func mustApply(name string, o options, opts []Option) options {
	o, err := apply(o, opts)
	if err == nil {
		err = o.check()
	}
	if err != nil {
		panic(fmt.Sprintf("filesink.%s: invalid option: %v", name, err))
	}
	return o
}

// check finds options that do not fit each other.
func (o *options) check() error {
	w := o.want(dataset.Want{})
	c := o.Compression
	if c == "" {
		c = dataset.DefaultCompression(o.Format)
	}
	return errors.Join(w.Validate(), dataset.ValidateFormat(o.Format, c))
}

// want is what the options ask of the layout, over what the kind of rows asks for.
func (o *options) want(w dataset.Want) dataset.Want {
	w.Bucket, w.Shards, w.Partition = o.Bucket, o.Shards, o.Partition
	return w
}

func (o *options) config(dir string, w dataset.Want) dataset.Config {
	return dataset.Config{
		Dir: dir, Want: o.want(w), Format: o.Format, Compression: o.Compression,
		FlushRecords: o.FlushRecords, FlushBytes: o.FlushBytes, Retry: o.Retry,
	}
}

// Validate says what would be wrong with Write, all problems at once: the options, the
// directory, and the layout of the dataset that is there. It writes nothing.
func Validate(dir string, opts ...Option) error {
	return validate(dir, dataset.WantRecords(), &flow.Records, recordDefaults, opts)
}

// ValidateRollups is Validate for WriteRollups.
func ValidateRollups(dir string, table *flow.Table[flow.Rollup], opts ...Option) error {
	r, err := dataset.RollupTableOf(table)
	if err != nil {
		return err
	}
	return validate(dir, dataset.WantRollups(r), table, rollupDefaults(r.Level), opts)
}

// ValidateFailures is Validate for WriteFailures.
func ValidateFailures(dir string, opts ...Option) error {
	return validate(dir, dataset.WantFailures(), &flow.Failures, failureDefaults, opts)
}

// ValidateRaw is Validate for WriteRaw.
func ValidateRaw(dir string, opts ...Option) error {
	return validate(dir, dataset.WantRaw(), &dataset.RawTable, rawDefaults, opts)
}

func validate[T any](dir string, w dataset.Want, t *flow.Table[T], defaults options, opts []Option) error {
	o, err := apply(defaults, opts)
	errs := []error{err, o.check(), dataset.ValidatePartition(t, o.Partition)}
	s, err := dataset.OpenStore(dir, o.Retry)
	errs = append(errs, err)
	if errors.Join(errs...) == nil {
		_, err = dataset.CheckLayout(context.Background(), s, o.want(w))
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", dir, err))
		}
	}
	return errors.Join(errs...)
}
