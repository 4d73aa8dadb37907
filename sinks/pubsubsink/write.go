package pubsubsink

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
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
	// Failures is the PCollection<flow.FailureBatch> of what the service doesn't take
	// (reason rejected): larger than a request, not of the topic's schema, no id.
	Failures beam.PCollection
	// Counts is the PCollection<flow.Count> of the stage (see Name): rows as new and
	// rejected, which add up to what was given; retried, requests and bytes sent.
	Counts beam.PCollection
}

// Write publishes a PCollection<flow.Batch> to a topic, each record as a JSON object with
// the attributes record_id, event_time, table, content_type and schema_version.
//
// A bundle fails when a message isn't taken within the deadline (see [Retry]); it is never
// dropped.
func Write(s beam.Scope, batches beam.PCollection, project, topic string, opts ...Option) Result {
	o := mustApply("Write", "pubsub", project, topic, opts, message.Records().Table)
	return parDo(s.Scope("pubsubsink.Write"), &recordsFn{Options: o}, batches)
}

// WriteRollups publishes a PCollection<flow.RollupBatch> of one level; table is what
// flow.RollupTable made for it. The id is that of window and group, event_time the window's
// start. Of the messages with one id the one of the highest flow.Rollup.Version counts.
func WriteRollups(s beam.Scope, rows beam.PCollection, project, topic string, table *flow.Table[flow.Rollup], opts ...Option) Result {
	r, err := dataset.RollupTableOf(table)
	if err != nil {
		panic(fmt.Sprintf("pubsubsink.WriteRollups: %v", err))
	}
	o := mustApply("WriteRollups", "pubsub_rollup_"+r.Level, project, topic, opts, table)
	return parDo(s.Scope("pubsubsink.WriteRollups"), &rollupsFn{Options: o, Table: r}, rows)
}

// WriteFailures publishes a PCollection<flow.FailureBatch>. The id is that of position,
// stage and reason, event_time the source's time.
func WriteFailures(s beam.Scope, failures beam.PCollection, project, topic string, opts ...Option) Result {
	o := mustApply("WriteFailures", "pubsub_dead_letters", project, topic, opts, &flow.Failures)
	return parDo(s.Scope("pubsubsink.WriteFailures"), &failuresFn{Options: o}, failures)
}

func parDo(s beam.Scope, fn any, in beam.PCollection) Result {
	f, c := beam.ParDo2(s, fn, in)
	return Result{f, c}
}

func mustApply[T any](name, stage, project, topic string, opts []Option, t *flow.Table[T]) options {
	o, err := apply(defaults(stage, project, topic), opts)
	if err = errors.Join(err, checkKey(t, o.OrderingKey)); err != nil {
		panic(fmt.Sprintf("pubsubsink.%s: invalid option: %v", name, err))
	}
	return o
}

func checkKey[T any](t *flow.Table[T], key string) error {
	if key == "" {
		return nil
	}
	if _, err := message.Text(t, key); err != nil {
		return fmt.Errorf("OrderingKey: %w", err)
	}
	return nil
}

// Validate says what would be wrong with Write, all problems at once: the options, and
// where they are right the credentials, the project and the topic.
func Validate(ctx context.Context, project, topic string, opts ...Option) error {
	return validate(ctx, project, topic, opts, &flow.Records)
}

// ValidateRollups is Validate for WriteRollups.
func ValidateRollups(ctx context.Context, project, topic string, table *flow.Table[flow.Rollup], opts ...Option) error {
	if _, err := dataset.RollupTableOf(table); err != nil {
		return err
	}
	return validate(ctx, project, topic, opts, table)
}

// ValidateFailures is Validate for WriteFailures.
func ValidateFailures(ctx context.Context, project, topic string, opts ...Option) error {
	return validate(ctx, project, topic, opts, &flow.Failures)
}

func validate[T any](ctx context.Context, project, topic string, opts []Option, t *flow.Table[T]) error {
	o, err := apply(defaults("", project, topic), opts)
	if err = errors.Join(err, checkKey(t, o.OrderingKey)); err != nil {
		return fmt.Errorf("pubsubsink: %w", err)
	}
	c := &client{connection: o.Connection}
	if c.admin, err = o.Connection.open(ctx); err != nil {
		return fmt.Errorf("pubsubsink: %w", err)
	}
	defer c.admin.Close()
	o.Policy.Deadline = min(o.Policy.Deadline, validateTime)
	if err := c.look(ctx, &o); err != nil {
		return fmt.Errorf("pubsubsink: %w", err)
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

// lane is a request that is being filled, and room for those under way. Without ordering
// keys there is one lane. With them there are several, with one request under way each, and
// a key is always in the same.
type lane[T any] struct {
	request *request[T]
	slots   chan struct{}
}

// sink is what the DoFns share. A worker uses it from one goroutine.
type sink[T any] struct {
	options options
	client  *client
	encoder *encoder[T]
	meter   *delivery.Meter
	pool    sync.Pool // *request[T]

	lanes  []lane[T]
	flight *message.Flight
}

func (s *sink[T]) setup(ctx context.Context, kind message.Kind[T], o options) error {
	if err := s.open(ctx, kind, o); err != nil {
		s.teardown()
		return fmt.Errorf("pubsubsink: %w", err)
	}
	return nil
}

func (s *sink[T]) open(ctx context.Context, kind message.Kind[T], o options) (err error) {
	s.options = o
	lanes, slots := 1, o.InFlight
	if o.OrderingKey != "" {
		lanes, slots = o.InFlight, 1
	}
	s.lanes = make([]lane[T], lanes)
	for i := range s.lanes {
		s.lanes[i].slots = make(chan struct{}, slots)
	}
	if s.encoder, err = newEncoder(kind, o.Topic, o.OrderingKey); err != nil {
		return err
	}
	if s.client, err = acquire(ctx, o.Connection); err != nil {
		return err
	}
	s.meter = delivery.NewMeter(o.Stage)
	return s.client.prepare(ctx, &o)
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
	for i := range s.lanes {
		if r := s.lanes[i].request; r != nil {
			r.reset()
		}
	}
}

var laneSeed = maphash.MakeSeed()

func (s *sink[T]) add(row *T) error {
	wire, key, err := s.encoder.encode(row)
	if err != nil {
		s.flight.Reject(s.encoder.kind.Fail(s.options.Stage, row, err))
		return nil
	}
	l := &s.lanes[0]
	if len(s.lanes) > 1 {
		l = &s.lanes[maphash.Bytes(laneSeed, key)%uint64(len(s.lanes))]
	}
	if r := l.request; r != nil && len(r.rows) > 0 && len(r.wire)+len(wire)+8 > s.options.BatchBytes {
		if err := s.send(l); err != nil {
			return err
		}
	}
	if l.request == nil {
		r, _ := s.pool.Get().(*request[T])
		if r == nil {
			r = &request[T]{}
		}
		l.request = r
	}
	l.request.add(wire, row)
	if len(l.request.rows) == s.options.BatchMessages {
		return s.send(l)
	}
	return nil
}

// send publishes a lane's request in a goroutine, and waits first where too many are under
// way.
func (s *sink[T]) send(l *lane[T]) error {
	r, f := l.request, s.flight
	l.request = nil
	err := f.Go(l.slots, func(ctx context.Context) error {
		var t delivery.Tally
		var failures []flow.Failure
		if err := s.deliver(ctx, r, 0, len(r.rows), &t, &failures); err != nil {
			return err
		}
		f.Done(t, failures)
		r.reset()
		s.pool.Put(r)
		return nil
	})
	if err != nil {
		return fmt.Errorf("pubsubsink: %w", err)
	}
	return nil
}

func (s *sink[T]) finish(ctx context.Context, fail func(flow.FailureBatch), count func(flow.Count)) error {
	for i := range s.lanes {
		if l := &s.lanes[i]; l.request != nil && len(l.request.rows) > 0 {
			if err := s.send(l); err != nil {
				return err
			}
		}
	}
	t, took, err := s.flight.Wait()
	if err != nil {
		return fmt.Errorf("pubsubsink: %w", err)
	}
	s.flight.Emit(fail)
	t.Emit(s.options.Stage, count)
	s.meter.Add(ctx, t)
	for _, d := range took {
		s.meter.Request(ctx, d)
	}
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
		return fmt.Errorf("pubsubsink: %w", err)
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
