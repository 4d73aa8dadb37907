package kafkasource

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/sdf"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/inflight"
	"github.com/flowbeam/flowbeam/internal/stopping"
	"github.com/flowbeam/flowbeam/internal/watermark"
)

// instances numbers the reads of a program in the order in which they are built.
var instances atomic.Int64

// Read reads topics and returns their messages, undecoded, as PCollection<flow.RawBatch>;
// ranges that could not be read as PCollection<flow.FailureBatch>; and
// PCollection<flow.Count>: kafka/messages, kafka/bytes (of values), kafka/never_read
// (offsets in ranges that could not be read) and kafka/read (one for each such range: it is
// one dead letter). brokers are addresses host:port to begin with.
//
// A record is a message's value; one without a value is passed over and counted as
// kafka/tombstones. Its position is topic, partition and offset, its time the message's
// timestamp. All of a batch are of one partition.
//
// Each partition is a restriction, in offsets; partitions and topics that come later are
// found (see [Discover], [Pattern]). A bundle ends after 20,000 messages or a second (see
// [Checkpoint]), a retried one gives the same records at the same positions. Brokers that
// cannot be reached are tried for ever, with a warning now and then; refused credentials and
// topics that are deleted fail the bundle.
//
// Batches carry the watermark of their partition, and as their timestamp their earliest
// event time, but never one before the watermark. It is max(newest event time, newest
// arrival − MaxHold) − Skew, where an event time counts for no more than its message's
// timestamp, and where all was read the time of that counts as an arrival. What waits in the
// topic so holds the watermark without limit: that is our delay and not theirs.
func Read(s beam.Scope, brokers, topics []string, opts ...Option) (raw, failures, counts beam.PCollection) {
	s = s.Scope("kafkasource.Read")
	c, err := newConfig(brokers, topics, opts)
	if err != nil {
		panic(fmt.Sprintf("kafkasource.Read: invalid option: %v", err))
	}
	c.Instance = strconv.FormatInt(instances.Add(1), 10)
	impulse := beam.Impulse(s)
	if c.Batch {
		found := beam.Reshuffle(s, beam.ParDo(s, &listFn{Config: *c}, impulse))
		return beam.ParDo3(s, &readBatchFn{reader{Config: *c}}, found)
	}
	return beam.ParDo3(s, &readFn{reader{Config: *c}}, beam.ParDo(s, &discoverFn{Config: *c}, impulse))
}

// Validate says what would be wrong with Read, all problems at once: the options, and where
// they are right the brokers, the user and the topics.
func Validate(ctx context.Context, brokers, topics []string, opts ...Option) error {
	c, err := newConfig(brokers, topics, opts)
	if err != nil {
		return fmt.Errorf("kafkasource: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, validateTime)
	defer cancel()
	a, err := openCatalog(ctx, c)
	if err != nil {
		return fmt.Errorf("kafkasource: %w", err)
	}
	defer a.close()
	if _, err := a.partitions(ctx); err != nil {
		return fmt.Errorf("kafkasource: %v: %w", brokers, err)
	}
	return nil
}

// validateTime bounds Validate where no broker answers.
var validateTime = 20 * time.Second

func init() {
	beam.RegisterType(reflect.TypeFor[span]())
	beam.RegisterDoFn(&readFn{})
	beam.RegisterDoFn(&readBatchFn{})
	register.Emitter2[beam.EventTime, flow.RawBatch]()
	register.Emitter2[beam.EventTime, flow.FailureBatch]()
	register.Emitter1[flow.Count]()
}

// reader is what both reading DoFns share.
type reader struct {
	watermark.Estimator
	Config config

	consumer *consumer
	info     flow.FormatInfo
	tally    tally
}

// tally counts one bundle.
type tally struct {
	messages, bytes, tombstones, never, read int64

	said map[[2]string]int64 // what followers saw, by format and name
}

func (r *reader) Setup(ctx context.Context) error {
	if err := r.Config.setup(); err != nil {
		return err
	}
	if r.Config.EventTime == "payload" {
		r.info, _ = flow.FormatNamed(r.Config.Format)
	}
	var err error
	if r.consumer, err = acquire(ctx, &r.Config); err != nil {
		return fmt.Errorf("kafkasource: %w", err)
	}
	return nil
}

func (r *reader) Teardown() {
	if r.consumer != nil {
		r.consumer.release()
		r.consumer = nil
	}
}

func (r *reader) CreateInitialRestriction(p partition) span { return span{p.Start, p.End} }

func (r *reader) SplitRestriction(_ partition, s span) []span { return []span{s} }

func (r *reader) RestrictionSize(_ partition, _ span) float64 { return 1 }

func (r *reader) CreateTracker(s span) *sdf.LockRTracker { return sdf.NewLockRTracker(newTracker(s)) }

func (r *reader) InitialWatermarkEstimatorState(_ beam.EventTime, _ span, _ partition) int64 {
	return mtime.MinTimestamp.Milliseconds()
}

func (r *reader) StartBundle(_ context.Context, _ func(beam.EventTime, flow.RawBatch), _ func(beam.EventTime, flow.FailureBatch), _ func(flow.Count)) error {
	r.tally = tally{}
	return nil
}

func (r *reader) FinishBundle(_ context.Context, _ func(beam.EventTime, flow.RawBatch), _ func(beam.EventTime, flow.FailureBatch), count func(flow.Count)) error {
	flow.EmitCount(count, r.Config.Stage, "messages", r.tally.messages)
	flow.EmitCount(count, r.Config.Stage, "bytes", r.tally.bytes)
	flow.EmitCount(count, r.Config.Stage, "tombstones", r.tally.tombstones)
	flow.EmitCount(count, r.Config.Stage, "never_read", r.tally.never)
	flow.EmitCount(count, r.Config.Stage, "read", r.tally.read)
	for _, k := range slices.SortedFunc(maps.Keys(r.tally.said), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		flow.EmitCount(count, k[0], k[1], r.tally.said[k])
	}
	return nil
}

// readFn reads a partition and ends the bundle early.
type readFn struct{ reader }

// TruncateRestriction drains: what was not read is left for the next run.
func (f *readFn) TruncateRestriction(rt *sdf.LockRTracker, _ partition) span {
	s := rt.GetRestriction().(span)
	return span{s.Next, s.Next}
}

func (f *readFn) ProcessElement(ctx context.Context, we *sdf.ManualWatermarkEstimator, rt *sdf.LockRTracker, p partition, emit func(beam.EventTime, flow.RawBatch), fail func(beam.EventTime, flow.FailureBatch), _ func(flow.Count)) (sdf.ProcessContinuation, error) {
	b := f.begin(we, rt, p, emit, fail)
	defer b.gauges(ctx)
	until := time.Now().Add(f.Config.BundleTime)
	for {
		if stopping.Requested() {
			if err := b.flush(ctx); err != nil {
				return nil, err
			}
			rt.TryClaim(moveTo(b.span().End))
			return sdf.StopProcessing(), nil
		}
		switch more, err := b.step(ctx); {
		case err != nil:
			return nil, err
		case more == ended:
			return sdf.StopProcessing(), nil
		case more == waiting:
			return sdf.ResumeProcessingIn(f.Config.Poll), nil
		case more == held:
			return sdf.ResumeProcessingIn(inflight.Wait), nil
		case b.messages >= f.Config.BundleSize || time.Now().After(until):
			return sdf.ResumeProcessingIn(0), nil
		}
	}
}

// readBatchFn reads a partition to its stop.
type readBatchFn struct{ reader }

func (f *readBatchFn) ProcessElement(ctx context.Context, we *sdf.ManualWatermarkEstimator, rt *sdf.LockRTracker, p partition, emit func(beam.EventTime, flow.RawBatch), fail func(beam.EventTime, flow.FailureBatch), _ func(flow.Count)) error {
	b := f.begin(we, rt, p, emit, fail)
	defer b.gauges(ctx)
	for {
		more, err := b.step(ctx)
		if err != nil || more == ended {
			return err
		}
		if more == waiting {
			b.queue.wait(ctx)
		}
	}
}

// bundle is one bundle's work on a partition.
type bundle struct {
	*reader
	we    *sdf.ManualWatermarkEstimator
	rt    *sdf.LockRTracker
	p     partition
	queue *queue
	emit  func(beam.EventTime, flow.RawBatch)
	fail  func(beam.EventTime, flow.FailureBatch)

	messages int
}

func (r *reader) begin(we *sdf.ManualWatermarkEstimator, rt *sdf.LockRTracker, p partition, emit func(beam.EventTime, flow.RawBatch), fail func(beam.EventTime, flow.FailureBatch)) *bundle {
	b := &bundle{reader: r, we: we, rt: rt, p: p, emit: emit, fail: fail}
	at := b.span()
	b.queue = r.consumer.queue(&p, at.Next)
	// Where the runner went back, so does the watermark.
	state := flow.Time(0)
	if mtime.FromTime(we.State) > mtime.MinTimestamp {
		state = flow.TimeOf(we.State)
	}
	if b.queue.told != state {
		b.queue.mark.Reset(state)
		b.queue.told = state
	}
	r.consumer.begun(b.queue)
	r.consumer.commit(b.queue, at.Next)
	return b
}

func (b *bundle) span() span { return b.rt.GetRestriction().(span) }

// progress is what became of a step.
type progress int

const (
	some    progress = iota
	waiting          // there is nothing to read now
	held             // there is, and the sinks are behind
	ended
)

// step reads one batch.
func (b *bundle) step(ctx context.Context) (progress, error) {
	if err := ctx.Err(); err != nil {
		return ended, err
	}
	at := b.span()
	if at.Next >= at.End {
		if err := b.flush(ctx); err != nil {
			return ended, err
		}
		if b.rt.TryClaim(at.End) { // an empty range
			b.consumer.forget(b.queue)
		}
		return ended, nil
	}
	f := b.follow(at.Next, nil)
	if f != nil && f.back == at.Next {
		return b.before(ctx, f)
	}
	c := b.consumer.peek(b.queue, at.End)
	switch {
	case c.err != nil:
		return b.trouble(ctx, c.err)
	case c.next == at.Next:
		return waiting, b.quiet(ctx, &c)
	case !b.Config.Batch && (inflight.Full() || inflight.Half() && !b.consumer.turn(b.queue)):
		// The watermark stays: what waits is our delay. A bundle that is a whole partition
		// can't wait: what it gave goes on when it ends.
		return held, nil
	}
	switch {
	case f == nil:
		if f = b.follow(at.Next, c.records); f != nil {
			return some, nil
		}
	case !f.alone(b, &c):
		return b.goBack(ctx, f, at.Next)
	}
	if err := b.consumer.throttle(ctx, len(c.records)); err != nil {
		return ended, err
	}
	if !b.rt.TryClaim(c.next) {
		return ended, nil
	}
	if err := b.put(ctx, &c, f); err != nil {
		return ended, err
	}
	b.consumer.take(b.queue, &c)
	b.consumer.show(b.queue)
	if c.next >= at.End {
		b.consumer.forget(b.queue)
		return ended, nil
	}
	return some, nil
}

// put emits a chunk and moves the watermark.
func (b *bundle) put(ctx context.Context, c *chunk, f *following) error {
	mark := &b.queue.mark
	latest, err := b.give(ctx, len(c.records), func(give func(flow.Raw)) {
		for _, r := range c.records {
			b.messages++
			if r.Attrs.IsControl() {
				continue
			}
			b.tally.messages++
			b.tally.bytes += int64(len(r.Value))
			switch {
			case r.Value == nil:
				b.tally.tombstones++
			case f != nil:
				raw := b.raw(r)
				mark.Read(0, min(raw.Time, flow.TimeOf(time.Now()))) // also where it gives nothing now
				f.show(raw, b.sender(r), give)
			default:
				give(b.raw(r))
			}
		}
		if f == nil {
			return
		}
		if f.next = c.next; c.next >= b.span().End {
			f.End(give)
		}
		b.told(f)
	})
	if err != nil {
		return err
	}
	if !c.caughtUp.IsZero() {
		mark.CaughtUp(flow.TimeOf(c.caughtUp))
	}
	if b.Config.CommitStored {
		b.consumer.handOver(b.queue, c.next, latest)
	}
	b.advance()
	return nil
}

// give emits a batch of the records, about n, that each hands to it, and returns the newest event
// time so far.
func (b *bundle) give(ctx context.Context, n int, each func(give func(flow.Raw))) (latest flow.Time, err error) {
	mark := &b.queue.mark
	out := flow.RawBatch{
		Origin: flow.Origin{
			Source: b.p.Topic, Partition: flow.N(b.p.ID), Format: b.Config.Format, Header: b.Config.Header,
			DataCenter: b.Config.names.of(b.p.Topic), Tenant: b.Config.Tenant,
		},
		// The mark is that before this batch: its own newest record makes no other of its
		// records late.
		Watermark: mark.At,
		Records:   make([]flow.Raw, 0, n),
	}
	each(func(raw flow.Raw) { out.Records = append(out.Records, raw) })
	if err := b.info.Prepared(ctx, out.Origin.Header, out.Records...); err != nil {
		return 0, fmt.Errorf("kafkasource: %s: %w", b.p.key(), err)
	}
	earliest, now, bytes := flow.Time(0), flow.TimeOf(time.Now()), 0
	latest = mark.At
	for i := range out.Records {
		raw := &out.Records[i]
		event := raw.Time
		if b.info.Timestamp != nil {
			event = 0
			if t, ok := b.info.Timestamp(out.Origin.Header, raw.Data); ok && !raw.Oversize {
				event = t
			}
		}
		mark.Read(event, min(raw.Time, now))
		if event == 0 {
			event = raw.Time
		}
		if earliest == 0 || event < earliest {
			earliest = event
		}
		if event <= raw.Time.Add(b.Config.CommitFuture) { // or it is out of bounds, and in no window
			latest = max(latest, event)
		}
		bytes += len(raw.Data)
	}
	if n := len(out.Records); n > 0 {
		inflight.Read(int64(n), int64(bytes))
		b.emit(mtime.FromTime(max(earliest, out.Watermark).Std()), out)
	}
	return latest, nil
}

func (b *bundle) advance() {
	b.queue.mark.Advance(b.Config.Rule)
	at := b.consumer.lowest(b.queue)
	if !b.Config.OneProcess {
		at = b.queue.mark.At
	}
	if at != 0 && at.Std().After(b.we.State) {
		b.we.UpdateWatermark(at.Std())
		b.queue.told = at
	}
}

// raw makes an undecoded record of a message.
func (b *bundle) raw(r *kgo.Record) flow.Raw {
	out := flow.Raw{Data: r.Value, Offset: flow.N(r.Offset), Time: millis(r)}
	if len(r.Value) > b.Config.MaxMessage {
		sum := sha256.Sum256(r.Value)
		out.Data, out.Oversize, out.Size, out.SHA256 = r.Value[:min(oversizePrefix, len(r.Value))], true, int64(len(r.Value)), hex.EncodeToString(sum[:])
	}
	if name := b.Config.names.header; name != "" {
		for i := range r.Headers {
			if r.Headers[i].Key == name {
				out.DataCenter = string(r.Headers[i].Value)
			}
		}
	}
	return out
}

// oversizePrefix is how much of a message that is too long is kept.
const oversizePrefix = 1 << 10

// quiet moves the watermark of a partition of which all is read. That it is all is what the
// brokers say, at times: a broker that is away has no new messages either.
func (b *bundle) quiet(ctx context.Context, c *chunk) error {
	q, now, at := b.queue, time.Now(), c.caughtUp
	if now.Sub(q.asked) >= max(10*time.Second, b.Config.Poll) {
		ask, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		q.asked = now
		if a, err := b.consumer.ask(ask); err == nil {
			if high, err := a.end(ask, &b.p); err == nil && high <= c.next {
				at = now
			}
		}
	}
	var err error
	if !at.IsZero() {
		q.mark.CaughtUp(flow.TimeOf(at))
		err = b.idle(ctx, flow.TimeOf(at))
	}
	b.advance()
	b.consumer.show(b.queue)
	return err
}

// passing says whether an error is one of the brokers or of the network, which ends by itself.
// One that closes a connection before it says anything is as good as away: what stands
// before brokers does so while they are. That encryption is wrong, which looks the same, is
// told before a read begins.
func passing(err error) bool {
	if errors.Is(err, kerr.OffsetOutOfRange) || errors.Is(err, kerr.UnknownTopicOrPartition) {
		return false
	}
	var closed *kgo.ErrFirstReadEOF
	return kerr.IsRetriable(err) || kgo.IsRetryableBrokerErr(err) || errors.As(err, &closed)
}

// trouble is what an error of a partition means.
func (b *bundle) trouble(ctx context.Context, err error) (progress, error) {
	var lost *kgo.ErrDataLoss
	if passing(err) {
		b.consumer.again(b.queue)
		return waiting, nil
	}
	if !errors.Is(err, kerr.OffsetOutOfRange) && !errors.As(err, &lost) {
		return ended, fmt.Errorf("kafkasource: %s at offset %d: %w", b.p.key(), b.queue.next, err)
	}
	a, aerr := b.consumer.ask(ctx)
	if aerr != nil {
		return ended, fmt.Errorf("kafkasource: %w", aerr)
	}
	low, high, aerr := a.bounds(ctx, &b.p)
	if aerr != nil {
		return ended, fmt.Errorf("kafkasource: %s: %w", b.p.key(), aerr)
	}
	at := b.span()
	switch {
	case at.Next < low:
		return b.expired(at, low, fmt.Sprintf("offsets %d to %d of %s were deleted before they were read", at.Next, low-1, b.p.key()), low-at.Next)
	case at.Next > high || lost != nil:
		// The log lost its end: what has these offsets next is new.
		if lost != nil {
			high = min(lost.ResetTo, high)
		}
		return b.expired(at, high, fmt.Sprintf("%s was read up to offset %d and its log now ends at %d: messages are lost, and new ones take their offsets", b.p.key(), at.Next, high), 0)
	}
	b.consumer.again(b.queue) // it was so for a moment
	return waiting, nil
}

// expired goes on at another offset, and says that what is between was not read.
func (b *bundle) expired(at span, to int64, what string, never int64) (progress, error) {
	if b.Config.Expired != earliest {
		return ended, fmt.Errorf("kafkasource: %s; where that may be, read on with OnExpired(%q)", what, earliest)
	}
	to = min(to, at.End)
	if !b.rt.TryClaim(moveTo(to)) {
		return ended, nil
	}
	b.tally.read++
	b.tally.never += never
	t := flow.TimeOf(time.Now())
	b.fail(mtime.FromTime(max(t, b.queue.mark.At).Std()), flow.FailureBatch{Failures: []flow.Failure{{
		Stage: b.Config.Stage, Reason: flow.ReasonExpired, Error: what, Format: b.Config.Format,
		Position:   flow.Position{Source: b.p.Topic, Partition: flow.N(b.p.ID), Offset: flow.N(at.Next)},
		SourceTime: t, DataCenter: b.Config.names.of(b.p.Topic), Tenant: b.Config.Tenant, Version: flow.Version,
	}}})
	b.consumer.moveTo(b.queue, to)
	return some, nil
}
