package kafkasource

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/sdf"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/stopping"
	"github.com/flowbeam/flowbeam/internal/watermark"
)

func init() {
	beam.RegisterType(reflect.TypeFor[partition]())
	beam.RegisterType(reflect.TypeFor[known]())
	beam.RegisterCoder(reflect.TypeFor[known](), encodeKnown, decodeKnown)
	register.Function1x2(encodeKnown)
	register.Function1x2(decodeKnown)
	beam.RegisterDoFn(&listFn{})
	beam.RegisterDoFn(&discoverFn{})
	register.Emitter1[partition]()
	register.Emitter2[beam.EventTime, partition]()
}

// listFn lists the partitions of a read that ends.
type listFn struct{ Config config }

func (f *listFn) Setup() error { return f.Config.setup() }

func (f *listFn) ProcessElement(ctx context.Context, _ []byte, emit func(partition)) error {
	found, _, err := f.Config.discover(ctx, known{})
	if err != nil {
		return err
	}
	for _, p := range found {
		emit(p)
	}
	return nil
}

// known is which partitions were found: the restriction of the discovery.
type known struct {
	Partitions map[string]int // by topic: 0 up to this
	Polled     flow.Time      // zero before the first time
	Done       bool
}

// discover returns the partitions that are not known yet, with their offsets.
func (c *config) discover(ctx context.Context, k known) ([]partition, known, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	fail := func(err error) ([]partition, known, error) {
		return nil, k, fmt.Errorf("kafkasource: %v: %w", c.Brokers, err)
	}
	a, err := openCatalog(ctx, c)
	if err != nil {
		return fail(err)
	}
	defer a.close()
	now, err := a.partitions(ctx)
	if err != nil {
		return fail(err)
	}
	next := known{Partitions: maps.Clone(k.Partitions), Polled: flow.TimeOf(time.Now())}
	if next.Partitions == nil {
		next.Partitions = map[string]int{}
	}
	var found []partition
	for _, topic := range slices.Sorted(maps.Keys(now)) {
		for i := next.Partitions[topic]; i < now[topic]; i++ {
			found = append(found, partition{Topic: topic, ID: int64(i)})
		}
		next.Partitions[topic] = max(now[topic], next.Partitions[topic])
	}
	if len(found) > 0 {
		if err := a.resolve(ctx, found, k.Polled == 0); err != nil {
			return fail(err)
		}
	}
	next.Done = c.Stop.Kind != ""
	return found, next, nil
}

// discoverFn looks for partitions again and again. Its watermark advances each
// time, and all windows wait for that: the partitions hold theirs themselves.
type discoverFn struct {
	watermark.Estimator
	Config config
}

func (f *discoverFn) Setup() error { return f.Config.setup() }

func (f *discoverFn) CreateInitialRestriction(_ []byte) known { return known{} }

func (f *discoverFn) SplitRestriction(_ []byte, k known) []known { return []known{k} }

func (f *discoverFn) RestrictionSize(_ []byte, _ known) float64 { return 1 }

func (f *discoverFn) CreateTracker(k known) *sdf.LockRTracker {
	return sdf.NewLockRTracker(&knownTracker{state: k})
}

// TruncateRestriction drains: what was not found is left for the next run.
func (f *discoverFn) TruncateRestriction(_ *sdf.LockRTracker, _ []byte) known {
	return known{Done: true}
}

func (f *discoverFn) InitialWatermarkEstimatorState(_ beam.EventTime, _ known, _ []byte) int64 {
	return mtime.MinTimestamp.Milliseconds()
}

func (f *discoverFn) ProcessElement(ctx context.Context, we *sdf.ManualWatermarkEstimator, rt *sdf.LockRTracker, _ []byte, emit func(beam.EventTime, partition)) (sdf.ProcessContinuation, error) {
	k := rt.GetRestriction().(known)
	if stopping.Requested() {
		rt.TryClaim(known{Done: true})
		return sdf.StopProcessing(), nil
	}
	if wait := k.Polled.Add(f.Config.Discover).Std().Sub(time.Now()); k.Polled != 0 && wait > 0 {
		return sdf.ResumeProcessingIn(stopping.Pause(wait)), nil
	}
	found, next, err := f.Config.discover(ctx, k)
	if err != nil && k.Polled == 0 {
		return nil, err
	}
	if err != nil { // what is known goes on being read
		slog.Warn("no new partitions are found", "error", err)
		return sdf.ResumeProcessingIn(stopping.Pause(f.Config.Discover)), nil
	}
	if !rt.TryClaim(next) {
		return sdf.StopProcessing(), nil
	}
	if f.Config.OneProcess {
		awaited.found(f.Config.Instance, found)
	}
	for _, p := range found {
		// As early as may be: the first ones hold the watermark until they are read.
		emit(mtime.FromTime(we.State), p)
	}
	if next.Done {
		return sdf.StopProcessing(), nil
	}
	// All that came until now is in partitions that hold the watermark by themselves. What
	// comes to another one before that is found has an event time after this, unless it
	// lags: the allowed lateness is for that.
	if to := next.Polled.Add(-f.Config.Rule.Skew).Std(); to.After(we.State) {
		we.UpdateWatermark(to)
	}
	return sdf.ResumeProcessingIn(stopping.Pause(f.Config.Discover)), nil
}

func encodeKnown(k known) ([]byte, error) { return json.Marshal(k) }

func decodeKnown(b []byte) (k known, err error) { return k, json.Unmarshal(b, &k) }

// knownTracker tracks a discovery. A position is what is known after it.
type knownTracker struct {
	mu      sync.Mutex // the harness locks too; tests need not
	state   known
	stopped bool
}

func (t *knownTracker) TryClaim(pos any) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped || t.state.Done {
		return false
	}
	t.state = pos.(known)
	return true
}

func (t *knownTracker) GetError() error { return nil }

// TrySplit gives away all that is left at fraction 0, a checkpoint, and nothing else.
func (t *knownTracker) TrySplit(fraction float64) (primary, residual any, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if fraction > 0 || t.stopped || t.state.Done {
		return t.state, nil, nil
	}
	t.stopped = true
	return known{Done: true}, t.state, nil
}

func (t *knownTracker) GetProgress() (done, remaining float64) {
	if t.IsDone() {
		return 1, 0
	}
	return 0, 1
}

func (t *knownTracker) IsDone() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stopped || t.state.Done
}

func (t *knownTracker) GetRestriction() any {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state
}

func (t *knownTracker) IsBounded() bool { return false }
