package pubsubsource

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/sdf"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/inflight"
	"github.com/flowbeam/flowbeam/internal/metrics"
	"github.com/flowbeam/flowbeam/internal/stopping"
	"github.com/flowbeam/flowbeam/internal/watermark"
)

// Read reads subscriptions of a project and returns their messages, undecoded, as
// PCollection<flow.RawBatch>; what could not be read as PCollection<flow.FailureBatch>, of
// which Pub/Sub gives none so far; and PCollection<flow.Count>: pubsub/messages,
// pubsub/bytes (of data), pubsub/empty, pubsub/redelivered (deliveries that were not the
// first, as far as this process knows), pubsub/acked and pubsub/bad_timestamps.
//
// A record is a message's data; one that has only attributes is passed over and counted as
// empty. Its position is the topic and the message's id, which a redelivery has too; its
// time is when it was published. All of a batch are of one subscription.
//
// A message is in what the runner committed at least once, and so exactly once after a
// distinct by position or record id, which all stores that are sets do. Each subscription is
// a restriction, which names a snapshot (see [SnapshotEvery]). A message is acknowledged when
// the bundle after its own begins; a bundle that is run again by the same process is given
// the same messages in the same order; a runner that goes back gets all that was acknowledged
// since the snapshot that its checkpoint names. Where no snapshot can be made, that is told
// in a warning, acknowledging stops and so does the reading, see [Outstanding]. A service
// that can't be reached is tried again by Google's library; a refused identity and a
// subscription that is gone fail the bundle.
//
// On a runner that keeps its state in memory, such as the local one, a run that crashed is
// gone on with by [StartResume]. A read that is asked to end leaves its last bundle
// unacknowledged: these messages come again.
//
// Batches carry the watermark of their subscription (see [OneProcess] for what the runner is told), and as their timestamp their earliest
// event time, but never one before the watermark. It is max(event time, publish time −
// MaxHold) − Skew, each the lowest of the last minute's messages and of those that wait in
// the process, as Pub/Sub has no order; where nothing is left and nothing comes, the clock
// counts.
func Read(s beam.Scope, project string, subscriptions []string, opts ...Option) (raw, failures, counts beam.PCollection) {
	s = s.Scope("pubsubsource.Read")
	c, err := newConfig(project, subscriptions, opts)
	if err != nil {
		panic(fmt.Sprintf("pubsubsource.Read: invalid option: %v", err))
	}
	if c.Runner == dataflow {
		return readDataflow(s, c)
	}
	names := beam.Reshuffle(s, beam.ParDo(s, &listFn{Subscriptions: c.Subscriptions}, beam.Impulse(s)))
	return beam.ParDo3(s, &readFn{Config: *c}, names)
}

func init() {
	beam.RegisterType(reflect.TypeFor[place]())
	beam.RegisterDoFn(&listFn{})
	beam.RegisterDoFn(&readFn{})
	register.Emitter1[string]()
	register.Emitter1[flow.Count]()
	register.Emitter2[beam.EventTime, flow.RawBatch]()
	register.Emitter2[beam.EventTime, flow.FailureBatch]()
}

// listFn gives each subscription an element of its own, which workers share.
type listFn struct{ Subscriptions []string }

func (f *listFn) ProcessElement(_ []byte, emit func(string)) {
	for _, s := range f.Subscriptions {
		emit(s)
	}
}

// readFn reads a subscription and ends the bundle early.
type readFn struct {
	watermark.Estimator
	Config config

	tally tally
}

// tally counts one bundle.
type tally struct{ messages, bytes, empty, redelivered, acked, badTimes int64 }

func (f *readFn) Setup() error { return f.Config.setup() }

func (f *readFn) CreateInitialRestriction(_ string) place { return place{} }

func (f *readFn) SplitRestriction(_ string, p place) []place { return []place{p} }

func (f *readFn) RestrictionSize(_ string, _ place) float64 { return 1 }

func (f *readFn) CreateTracker(p place) *sdf.LockRTracker { return sdf.NewLockRTracker(newTracker(p)) }

// TruncateRestriction drains: what was not read is left for the next run.
func (f *readFn) TruncateRestriction(_ *sdf.LockRTracker, _ string) place { return place{Done: true} }

func (f *readFn) InitialWatermarkEstimatorState(_ beam.EventTime, _ place, _ string) int64 {
	return mtime.MinTimestamp.Milliseconds()
}

func (f *readFn) StartBundle(_ context.Context, _ func(beam.EventTime, flow.RawBatch), _ func(beam.EventTime, flow.FailureBatch), _ func(flow.Count)) error {
	f.tally = tally{}
	return nil
}

func (f *readFn) FinishBundle(_ context.Context, _ func(beam.EventTime, flow.RawBatch), _ func(beam.EventTime, flow.FailureBatch), count func(flow.Count)) error {
	f.tally.emit(f.Config.Stage, count)
	return nil
}

func (t *tally) emit(stage string, count func(flow.Count)) {
	flow.EmitCount(count, stage, "messages", t.messages)
	flow.EmitCount(count, stage, "bytes", t.bytes)
	flow.EmitCount(count, stage, "empty", t.empty)
	flow.EmitCount(count, stage, "redelivered", t.redelivered)
	flow.EmitCount(count, stage, "acked", t.acked)
	flow.EmitCount(count, stage, "bad_timestamps", t.badTimes)
}

func (f *readFn) ProcessElement(ctx context.Context, we *sdf.ManualWatermarkEstimator, rt *sdf.LockRTracker, subscription string, emit func(beam.EventTime, flow.RawBatch), _ func(beam.EventTime, flow.FailureBatch), _ func(flow.Count)) (sdf.ProcessContinuation, error) {
	at := rt.GetRestriction().(place)
	if at.Done {
		return sdf.StopProcessing(), nil
	}
	x, err := acquire(ctx, &f.Config, subscription)
	if err != nil {
		return nil, fmt.Errorf("pubsubsource: %w", err)
	}
	defer x.release()
	b := &bundle{readFn: f, x: x, we: we, rt: rt, emit: emit}
	if stopping.Requested() {
		return b.end(ctx), nil
	}
	if b.leave, err = x.begin(ctx, at); err != nil {
		return nil, fmt.Errorf("pubsubsource: %w", err)
	}
	next, err := b.read(ctx)
	told := x.tell()
	f.tally.acked += told.acked
	f.tally.redelivered += told.redelivered
	if err != nil {
		return nil, fmt.Errorf("pubsubsource: %w", err)
	}
	return next, nil
}

// bundle is one bundle's work on a subscription.
type bundle struct {
	*readFn
	x     *subscriber
	we    *sdf.ManualWatermarkEstimator
	rt    *sdf.LockRTracker
	leave place
	emit  func(beam.EventTime, flow.RawBatch)

	messages int
}

// end ends the read. Whether the runner keeps the last bundle is not known: it is not
// acknowledged, and comes again.
func (b *bundle) end(ctx context.Context) sdf.ProcessContinuation {
	if err := b.x.letGo(ctx); err != nil {
		slog.Warn("messages are not given back; they come again when their leases end", "subscription", b.x.name, "error", err)
	}
	b.rt.TryClaim(place{Done: true})
	return sdf.StopProcessing()
}

func (b *bundle) read(ctx context.Context) (sdf.ProcessContinuation, error) {
	// Where the runner went back, so does the watermark.
	state := flow.Time(0)
	if mtime.FromTime(b.we.State) > mtime.MinTimestamp {
		state = flow.TimeOf(b.we.State)
	}
	if b.x.toldMark != state {
		b.x.mark.Reset(state)
		b.x.toldMark = state
	}
	b.x.from = b.x.mark
	b.x.commits()
	if !b.rt.TryClaim(b.leave) {
		return sdf.StopProcessing(), nil
	}
	until := time.Now().Add(b.Config.BundleTime)
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if stopping.Requested() {
			return b.end(ctx), nil
		}
		ms := b.x.peek()
		switch {
		case len(ms) == 0:
			if err := b.x.failed(); err != nil {
				return nil, err
			}
			b.quiet(ctx)
			if b.x.full() {
				return sdf.ResumeProcessingIn(0), nil // the next bundle makes room
			}
			return sdf.ResumeProcessingIn(stopping.Pause(b.Config.Poll)), nil
		case b.messages >= b.Config.BundleSize || time.Now().After(until):
			return sdf.ResumeProcessingIn(0), nil
		case inflight.Full():
			b.advance() // no further than what waits
			return sdf.ResumeProcessingIn(inflight.Wait), nil
		}
		if err := b.x.throttle(ctx, len(ms)); err != nil {
			return nil, err
		}
		if !b.rt.TryClaim(b.leave) {
			return sdf.StopProcessing(), nil
		}
		b.put(ms)
		b.x.hand(len(ms))
		b.advance()
	}
}

// put emits messages.
func (b *bundle) put(ms []*message) {
	out := flow.RawBatch{
		Origin: b.Config.origin(b.x.name, b.x.topic),
		// The mark is that before this batch: its own records make no other of them late.
		Watermark: b.x.mark.At,
	}
	out.Records = make([]flow.Raw, 0, len(ms))
	earliest, now := flow.Time(0), flow.TimeOf(time.Now())
	for _, m := range ms {
		b.messages++
		t := b.tally.add(&b.readFn.Config, &out, m)
		b.x.low.add(now, m.event, m.published)
		if t != 0 && (earliest == 0 || t < earliest) {
			earliest = t
		}
	}
	if n := len(out.Records); n > 0 {
		bytes := 0
		for i := range out.Records {
			bytes += len(out.Records[i].Data)
		}
		inflight.Read(int64(n), int64(bytes))
		b.emit(mtime.FromTime(max(earliest, out.Watermark).Std()), out)
	}
}

// add counts a message and adds it to a batch. It returns its time, zero where it is passed
// over.
func (t *tally) add(c *config, out *flow.RawBatch, m *message) flow.Time {
	t.messages++
	t.bytes += int64(len(m.data))
	if m.badTime {
		t.badTimes++
	}
	if len(m.data) == 0 {
		t.empty++
		return 0
	}
	out.Records = append(out.Records, c.raw(m.id, m.data, m.attributes, m.published))
	if m.event != 0 {
		return m.event
	}
	return m.published
}

// advance moves the watermark to what the last minute and the queue tell.
func (b *bundle) advance() {
	now := flow.TimeOf(time.Now())
	if event, arrived, ok := b.x.low.with(now, b.x.waiting()); ok {
		b.x.mark.Read(event, arrived)
	}
	b.x.mark.Advance(b.Config.Rule)
	at := b.x.mark.At
	if b.Config.OneProcess {
		at = b.x.lowest()
	}
	if at != 0 && at.Std().After(b.we.State) {
		b.we.UpdateWatermark(at.Std())
		b.x.toldMark = at
	}
	metrics.SetPlace(b.Config.Stage, b.x.name, metrics.Place{Lag: -1, Watermark: b.x.mark.At})
}

// quiet moves the watermark of a subscription of which nothing waits: the clock counts. A
// service that is away sends nothing either, so it is asked for a sign at times.
func (b *bundle) quiet(ctx context.Context) {
	now := time.Now()
	if b.x.quiet(now) {
		if now.Sub(b.x.asked) >= 2*quietTime {
			ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			if _, err := b.x.stream.service.look(ctx, b.x.name); err == nil {
				b.x.asked = now
			}
		}
		if now.Sub(b.x.asked) < 2*quietTime {
			b.x.mark.CaughtUp(flow.TimeOf(now.Add(-quietTime)))
		}
	}
	b.advance()
}
