package kafkasink

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/dataset"
	"github.com/flowbeam/flowbeam/internal/delivery"
	"github.com/flowbeam/flowbeam/internal/message"
)

// Result is what a write gives back.
type Result struct {
	// Failures is the PCollection<flow.FailureBatch> of what no broker takes (reason
	// rejected): larger than the topic's messages, a timestamp out of its bounds, no id.
	Failures beam.PCollection
	// Counts is the PCollection<flow.Count> of the stage (see Name): rows as new and
	// rejected, which add up to what was given; retried and requests, which are of the
	// client that bundles share, and so right in their sum; bytes of keys and values.
	Counts beam.PCollection
}

// Write writes a PCollection<flow.Batch> to a topic, each record as a JSON object with its
// event time as timestamp, its record id as key (see [Key]) and the headers
// flowbeam-record-id, content-type, flowbeam-schema-version and flowbeam-table. brokers are
// addresses host:port to begin with.
//
// A bundle fails when a message isn't acknowledged by all in-sync replicas within the
// deadline (see [Retry]); it is never dropped.
func Write(s beam.Scope, batches beam.PCollection, brokers []string, topic string, opts ...Option) Result {
	o := mustApply("Write", "kafka", brokers, topic, opts, message.Records().Table)
	return parDo(s.Scope("kafkasink.Write"), &recordsFn{Options: o}, batches)
}

// WriteRollups writes a PCollection<flow.RollupBatch> of one level; table is what
// flow.RollupTable made for it. The id is that of window and group, the timestamp the
// window's start. Of the messages with one id the one of the highest flow.Rollup.Version counts, so a
// compacted topic is not enough for a reader that asks for exact sums.
func WriteRollups(s beam.Scope, rows beam.PCollection, brokers []string, topic string, table *flow.Table[flow.Rollup], opts ...Option) Result {
	r, err := dataset.RollupTableOf(table)
	if err != nil {
		panic(fmt.Sprintf("kafkasink.WriteRollups: %v", err))
	}
	o := mustApply("WriteRollups", "kafka_rollup_"+r.Level, brokers, topic, opts, table)
	return parDo(s.Scope("kafkasink.WriteRollups"), &rollupsFn{Options: o, Table: r}, rows)
}

// WriteFailures writes a PCollection<flow.FailureBatch>. The id is that of position, stage
// and reason, the timestamp the source's time.
func WriteFailures(s beam.Scope, failures beam.PCollection, brokers []string, topic string, opts ...Option) Result {
	o := mustApply("WriteFailures", "kafka_dead_letters", brokers, topic, opts, &flow.Failures)
	return parDo(s.Scope("kafkasink.WriteFailures"), &failuresFn{Options: o}, failures)
}

func parDo(s beam.Scope, fn any, in beam.PCollection) Result {
	f, c := beam.ParDo2(s, fn, in)
	return Result{f, c}
}

func mustApply[T any](name, stage string, brokers []string, topic string, opts []Option, t *flow.Table[T]) options {
	o, err := apply(defaults(stage, brokers, topic), opts)
	if err = errors.Join(err, checkKey(t, o.Key)); err != nil {
		panic(fmt.Sprintf("kafkasink.%s: invalid option: %v", name, err))
	}
	return o
}

func checkKey[T any](t *flow.Table[T], key string) error {
	if key == "" {
		return nil
	}
	_, err := message.Text(t, key)
	return wrap("Key", err)
}

// Validate says what would be wrong with Write, all problems at once: the options, and
// where they are right the brokers, the user and the topic. It makes no topic.
func Validate(ctx context.Context, brokers []string, topic string, opts ...Option) error {
	return validate(ctx, brokers, topic, opts, &flow.Records)
}

// ValidateRollups is Validate for WriteRollups.
func ValidateRollups(ctx context.Context, brokers []string, topic string, table *flow.Table[flow.Rollup], opts ...Option) error {
	if _, err := dataset.RollupTableOf(table); err != nil {
		return err
	}
	return validate(ctx, brokers, topic, opts, table)
}

// ValidateFailures is Validate for WriteFailures.
func ValidateFailures(ctx context.Context, brokers []string, topic string, opts ...Option) error {
	return validate(ctx, brokers, topic, opts, &flow.Failures)
}

func validate[T any](ctx context.Context, brokers []string, topic string, opts []Option, t *flow.Table[T]) error {
	o, err := apply(defaults("", brokers, topic), opts)
	if err = errors.Join(err, checkKey(t, o.Key)); err != nil {
		return fmt.Errorf("kafkasink: %w", err)
	}
	c := &client{connection: o.Connection, topics: map[string]int{}}
	c.connection.Policy.Deadline = min(c.connection.Policy.Deadline, validateTime)
	if c.kafka, err = c.open(ctx); err != nil {
		return fmt.Errorf("kafkasink: %w", err)
	}
	defer c.kafka.Close()
	if _, err := c.look(ctx, &o, false); err != nil {
		if o.Partitions > 0 && errors.As(err, &noTopicError{}) {
			return nil // the job makes it
		}
		return fmt.Errorf("kafkasink: %w", err)
	}
	return nil
}

func init() {
	beam.RegisterDoFn(&recordsFn{})
	beam.RegisterDoFn(&failuresFn{})
	beam.RegisterDoFn(&rollupsFn{})
	register.Emitter1[flow.FailureBatch]()
	register.Emitter1[flow.Count]()
}

// sink is what the DoFns share. A worker uses it from one goroutine.
type sink[T any] struct {
	options options
	stage   string
	client  *client
	encoder *encoder[T]
	meter   *delivery.Meter
	pool    sync.Pool // *chunk[T]

	slots  chan struct{}
	flight *message.Flight
	chunk  *chunk[T] // being filled
}

func (s *sink[T]) setup(ctx context.Context, kind message.Kind[T], o options) error {
	err := s.open(ctx, kind, o)
	if err != nil {
		s.teardown()
		return fmt.Errorf("kafkasink: %w", err)
	}
	return nil
}

func (s *sink[T]) open(ctx context.Context, kind message.Kind[T], o options) (err error) {
	s.options, s.stage, s.slots = o, o.Stage, make(chan struct{}, o.InFlight)
	if s.encoder, err = newEncoder(kind, o.Topic, o.Key); err != nil {
		return err
	}
	if s.client, err = acquire(ctx, o.Connection); err != nil {
		return err
	}
	if err = s.client.prepare(ctx, &o); err != nil {
		return err
	}
	s.encoder.limit = s.client.limit(o.Topic)
	s.meter = delivery.NewMeter(o.Stage)
	return nil
}

func (s *sink[T]) teardown() {
	s.flight.Stop()
	if s.client != nil {
		s.client.release()
		s.client = nil
	}
}

func (s *sink[T]) start(ctx context.Context) {
	s.flight.Stop()
	s.flight = message.NewFlight(ctx)
	if s.chunk != nil {
		s.chunk.reset()
	}
}

func (s *sink[T]) add(row *T) error {
	if s.chunk == nil {
		c, _ := s.pool.Get().(*chunk[T])
		if c == nil {
			c = newChunk[T](s.options.BatchRecords, s.options.BatchBytes)
		}
		s.chunk = c
	}
	c := s.chunk
	if err := s.encoder.add(c, row); err != nil {
		s.flight.Reject(s.encoder.kind.Fail(s.stage, row, err))
		return nil
	}
	if len(c.entries) == cap(c.entries) || len(c.buf) >= s.options.BatchBytes {
		return s.send()
	}
	return nil
}

// send hands the chunk over to a goroutine, and waits first where too many are under way.
func (s *sink[T]) send() error {
	c, f := s.chunk, s.flight
	s.chunk = nil
	err := f.Go(s.slots, func(ctx context.Context) error {
		t, failures, err := s.deliver(ctx, c)
		if err != nil {
			return err
		}
		f.Done(t, failures)
		c.reset()
		s.pool.Put(c)
		return nil
	})
	if err != nil {
		return fmt.Errorf("kafkasink: %w", err)
	}
	return nil
}

func (s *sink[T]) finish(ctx context.Context, fail func(flow.FailureBatch), count func(flow.Count)) error {
	if s.chunk != nil && len(s.chunk.entries) > 0 {
		if err := s.send(); err != nil {
			return err
		}
	}
	t, _, err := s.flight.Wait()
	if err != nil {
		return fmt.Errorf("kafkasink: %w", err)
	}
	s.flight.Emit(fail)
	if t != (delivery.Tally{}) { // what the client counted is told by a bundle that did something
		t.Retried += s.client.resent.n.Swap(0)
		t.Requests += s.client.requests.Swap(0)
		for _, took := range s.client.latency.take() {
			s.meter.Request(ctx, took)
		}
	}
	t.Emit(s.stage, count)
	s.meter.Add(ctx, t)
	return nil
}

type recordsFn struct {
	Options options

	sink sink[flow.Record]
}

func (f *recordsFn) Setup(ctx context.Context) error {
	return f.sink.setup(ctx, message.Records(), f.Options)
}

func (f *recordsFn) Teardown() { f.sink.teardown() }

func (f *recordsFn) StartBundle(ctx context.Context, _ func(flow.FailureBatch), _ func(flow.Count)) {
	f.sink.start(ctx)
}

func (f *recordsFn) ProcessElement(_ context.Context, in flow.Batch, fail func(flow.FailureBatch), _ func(flow.Count)) error {
	for i := range in.Records {
		if err := f.sink.add(&in.Records[i]); err != nil {
			return err
		}
	}
	f.sink.flight.Emit(fail)
	return nil
}

func (f *recordsFn) FinishBundle(ctx context.Context, fail func(flow.FailureBatch), count func(flow.Count)) error {
	return f.sink.finish(ctx, fail, count)
}

type failuresFn struct {
	Options options

	sink sink[flow.Failure]
}

func (f *failuresFn) Setup(ctx context.Context) error {
	return f.sink.setup(ctx, message.Failures(), f.Options)
}

func (f *failuresFn) Teardown() { f.sink.teardown() }

func (f *failuresFn) StartBundle(ctx context.Context, _ func(flow.FailureBatch), _ func(flow.Count)) {
	f.sink.start(ctx)
}

func (f *failuresFn) ProcessElement(_ context.Context, in flow.FailureBatch, fail func(flow.FailureBatch), _ func(flow.Count)) error {
	for i := range in.Failures {
		if err := f.sink.add(&in.Failures[i]); err != nil {
			return err
		}
	}
	f.sink.flight.Emit(fail)
	return nil
}

func (f *failuresFn) FinishBundle(ctx context.Context, fail func(flow.FailureBatch), count func(flow.Count)) error {
	return f.sink.finish(ctx, fail, count)
}

type rollupsFn struct {
	Options options
	Table   dataset.RollupTable

	sink sink[flow.Rollup]
}

func (f *rollupsFn) Setup(ctx context.Context) error {
	return f.sink.setup(ctx, message.Rollups(f.Table), f.Options)
}

func (f *rollupsFn) Teardown() { f.sink.teardown() }

func (f *rollupsFn) StartBundle(ctx context.Context, _ func(flow.FailureBatch), _ func(flow.Count)) {
	f.sink.start(ctx)
}

func (f *rollupsFn) ProcessElement(_ context.Context, in flow.RollupBatch, fail func(flow.FailureBatch), _ func(flow.Count)) error {
	if err := message.CheckRollups(&in, f.Table); err != nil {
		return fmt.Errorf("kafkasink: %w", err)
	}
	for i := range in.Rows {
		if err := f.sink.add(&in.Rows[i]); err != nil {
			return err
		}
	}
	f.sink.flight.Emit(fail)
	return nil
}

func (f *rollupsFn) FinishBundle(ctx context.Context, fail func(flow.FailureBatch), count func(flow.Count)) error {
	return f.sink.finish(ctx, fail, count)
}
