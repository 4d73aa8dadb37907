package filesource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/sdf"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/filesystem"
	"github.com/flowbeam/flowbeam/internal/inflight"
	"github.com/flowbeam/flowbeam/internal/stopping"
	"github.com/flowbeam/flowbeam/internal/watermark"
)

func init() {
	beam.RegisterType(reflect.TypeFor[watchState]())
	beam.RegisterCoder(reflect.TypeFor[watchState](), encodeWatchState, decodeWatchState)
	register.Function1x2(encodeWatchState)
	register.Function1x2(decodeWatchState)
	beam.RegisterDoFn(&watchFn{})
	register.Emitter2[beam.EventTime, flow.RawBatch]()
	register.Emitter2[beam.EventTime, flow.FailureBatch]()
}

// watchFn follows globs. One restriction, and so one worker, does it all: the polls, the
// order of files and the watermark need one place that knows everything.
type watchFn struct {
	watermark.Estimator
	Config config
	Globs  []string

	tally
}

func (f *watchFn) Setup() error { return f.Config.setup() }

func (f *watchFn) CreateInitialRestriction(_ []byte) watchState { return *newWatchState() }

func (f *watchFn) SplitRestriction(_ []byte, s watchState) []watchState { return []watchState{s} }

func (f *watchFn) RestrictionSize(_ []byte, _ watchState) float64 { return 1 }

func (f *watchFn) CreateTracker(s watchState) *sdf.LockRTracker {
	return sdf.NewLockRTracker(&watchTracker{state: &s})
}

// TruncateRestriction drains: what was not begun is left for the next run.
func (f *watchFn) TruncateRestriction(_ *sdf.LockRTracker, _ []byte) watchState {
	s := newWatchState()
	s.Done = true
	return *s
}

func (f *watchFn) InitialWatermarkEstimatorState(_ beam.EventTime, _ watchState, _ []byte) int64 {
	return mtime.MinTimestamp.Milliseconds()
}

func (f *watchFn) StartBundle(_ context.Context, _ func(beam.EventTime, flow.RawBatch), _ func(beam.EventTime, flow.FailureBatch), _ func(flow.Count)) error {
	f.tally = tally{}
	return nil
}

func (f *watchFn) FinishBundle(_ context.Context, _ func(beam.EventTime, flow.RawBatch), _ func(beam.EventTime, flow.FailureBatch), count func(flow.Count)) error {
	f.tally.emit(count)
	return nil
}

// errTaken says that the runner took the rest of the work away: a checkpoint.
var errTaken = errors.New("the restriction was checkpointed")

func (f *watchFn) ProcessElement(ctx context.Context, we *sdf.ManualWatermarkEstimator, rt *sdf.LockRTracker, _ []byte, emit func(beam.EventTime, flow.RawBatch), fail func(beam.EventTime, flow.FailureBatch), _ func(flow.Count)) (sdf.ProcessContinuation, error) {
	w := &watch{f: f, we: we, rt: rt, emit: emit, fail: fail}
	defer w.close()
	for {
		wait, done, err := w.step(ctx)
		switch {
		case errors.Is(err, errTaken), done:
			return sdf.StopProcessing(), nil
		case err != nil:
			return nil, err
		case wait > 0:
			return sdf.ResumeProcessingIn(stopping.Pause(wait)), nil
		case w.records >= bundleRecords || w.bytes >= bundleBytes:
			// A compressed file would be decompressed again up to here.
			if w.part == nil || !w.part.whole {
				return sdf.ResumeProcessingIn(0), nil
			}
		}
	}
}

// watch is one bundle's work on a watch.
type watch struct {
	f    *watchFn
	we   *sdf.ManualWatermarkEstimator
	rt   *sdf.LockRTracker
	emit func(beam.EventTime, flow.RawBatch)
	fail func(beam.EventTime, flow.FailureBatch)

	part           *part // of the current file
	records, bytes int64
}

func (w *watch) close() {
	if w.part != nil {
		w.part.Close()
		w.part = nil
	}
}

func (w *watch) claim(change func(*watchState)) error {
	if !w.rt.TryClaim(change) {
		return errTaken
	}
	return nil
}

func (w *watch) state() watchState { return w.rt.GetRestriction().(watchState) }

func clock() flow.Time { return flow.TimeOf(time.Now()) }

// step polls if it is time to, and reads one batch. wait is how long there is nothing to
// do.
func (w *watch) step(ctx context.Context) (wait time.Duration, done bool, err error) {
	c, now, s := &w.f.Config, clock(), w.state()
	if s.Done || s.stop(c, now) || stopping.Requested() {
		err := w.claim(func(s *watchState) { s.Done = true })
		return 0, true, err
	}
	if now >= s.Polled.Add(c.Watch) {
		found := make([][]filesystem.Info, len(w.f.Globs))
		for i, g := range w.f.Globs {
			if found[i], err = glob(ctx, g); err != nil {
				return 0, false, err
			}
		}
		if err := w.claim(func(s *watchState) { s.found(c, now, found); s.advance(c, now) }); err != nil {
			return 0, false, err
		}
		w.mark()
		s = w.state()
	}
	if s.Current == nil {
		if len(s.Queue) == 0 {
			return max(s.nextPoll(c, now), time.Millisecond), false, nil
		}
		return 0, false, w.claim(func(s *watchState) { s.pick() })
	}
	// Of a compressed file what came before would be decompressed again, so it is read on.
	if inflight.Full() && (w.part == nil || !w.part.whole) {
		return inflight.Wait, false, nil
	}
	return 0, false, w.read(ctx, s, now)
}

// mark tells the runner the watermark.
func (w *watch) mark() {
	if s := w.state(); s.Watermark != 0 {
		w.we.UpdateWatermark(s.Watermark.Std())
	}
}

// read reads one batch of the current file, claims it and emits it.
func (w *watch) read(ctx context.Context, s watchState, now flow.Time) error {
	c := &w.f.Config
	var err error
	if w.part == nil {
		w.part, err = c.openPart(ctx, s.Current.file, s.Offset, s.Current.Size)
	}
	var b flow.RawBatch
	if err == nil {
		b, err = w.part.next()
	}
	// What is counted is counted after the claim, or a checkpoint would have it twice.
	opened := func() {
		if w.part != nil && s.Offset == 0 {
			w.f.files++
		}
	}
	var bad *failure
	switch {
	case err == nil:
		earliest, newest, err := w.times(ctx, &b, s.Current.ModTime)
		if err != nil {
			return err
		}
		next := w.part.cut.off
		if err := w.claim(func(s *watchState) { s.read(now, next, newest); s.advance(c, now) }); err != nil {
			return err
		}
		opened()
		w.records += int64(len(b.Records))
		w.bytes += next - s.Offset
		if !w.part.whole {
			w.f.stored += next - s.Offset
		}
		// The mark and the time are those before this batch: its own newest record makes
		// no other of its records late.
		b.Watermark = s.Watermark
		inflight.Read(int64(len(b.Records)), size(&b))
		w.emit(eventTime(max(earliest, s.Watermark)), b)
	case err == io.EOF, errors.As(err, &bad):
		if err := w.claim(func(s *watchState) { s.finish(now); s.advance(c, now) }); err != nil {
			return err
		}
		opened()
		if w.part != nil && w.part.whole {
			w.f.stored += w.part.src.n
		} else if w.part != nil && bad == nil {
			w.f.stored += max(s.Current.Size-s.Offset, 0)
		}
		if bad != nil {
			w.f.failed++
			w.fail(eventTime(max(s.Current.ModTime, s.Watermark)), flow.FailureBatch{Failures: []flow.Failure{bad.Failure}})
		}
		w.close()
	default:
		return fmt.Errorf("watch: %w", err)
	}
	w.mark()
	return nil
}

// times returns the earliest and the latest event time of a batch, no later than the
// file's, which stands in where the format tells none.
func (w *watch) times(ctx context.Context, b *flow.RawBatch, fileTime flow.Time) (earliest, newest flow.Time, err error) {
	earliest = fileTime
	if err := w.part.info.Prepared(ctx, b.Origin.Header, b.Records...); err != nil {
		return 0, 0, fmt.Errorf("filesource: %q: %w", b.Origin.Source, err)
	}
	for i := range b.Records {
		t := fileTime
		if f := w.part.info.Timestamp; f != nil {
			var ok bool
			if t, ok = f(b.Origin.Header, b.Records[i].Data); !ok || b.Records[i].Oversize {
				continue
			}
		}
		earliest, newest = min(earliest, t), max(newest, min(t, fileTime))
	}
	return earliest, newest, nil
}

func eventTime(t flow.Time) beam.EventTime { return mtime.FromTime(t.Std()) }
