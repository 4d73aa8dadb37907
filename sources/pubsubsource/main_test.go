package pubsubsource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/sdf"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"github.com/flowbeam/flowbeam/flow"
)

func TestMain(m *testing.M) {
	snapshotPause = 20 * time.Millisecond
	quietTime = 50 * time.Millisecond
	ptest.Main(m)
}

func init() {
	// "clocked" messages begin with their event time in Unix seconds.
	// "prepared" messages can be read when away is false.
	flow.RegisterFormat(flow.FormatInfo{Name: "prepared",
		Prepare: func(_ context.Context, _ string, records []flow.Raw) error {
			if away.Load() {
				tries.Add(1)
				return errors.New("nobody answers")
			}
			return nil
		},
		Timestamp: func(string, []byte) (flow.Time, bool) { return 1e9, !away.Load() },
	})
	flow.RegisterFormat(flow.FormatInfo{Name: "clocked",
		Timestamp: func(_ string, data []byte) (flow.Time, bool) {
			f, _, _ := bytes.Cut(data, []byte(" "))
			s, err := strconv.ParseInt(string(f), 10, 64)
			return flow.TimeOf(time.Unix(s, 0)), err == nil
		},
	})
}

var (
	away  atomic.Bool
	tries atomic.Int64
)

var _ sdf.RTracker = (*tracker)(nil)

func texts(from, n int) (out []*pubsubpb.PubsubMessage) {
	for i := from; i < from+n; i++ {
		out = append(out, &pubsubpb.PubsubMessage{Data: fmt.Appendf(nil, "%d message %d", time.Now().Unix(), i)})
	}
	return out
}

// worker runs bundles by hand, as a runner does: it keeps places, and the effects of bundles
// that succeeded.
type worker struct {
	t      testing.TB
	fn     *readFn
	places map[string]*position
	state
	checkpoints []checkpoint
}

// position is where the read of a subscription is, by the runner.
type position struct {
	at   place
	mark int64
	done bool
}

// state are the effects that the runner keeps.
type state struct {
	batches []flow.RawBatch
	stamps  []flow.Time
	counts  map[string]int64
}

// checkpoint is a state that the runner may go back to.
type checkpoint struct {
	places  map[string]position
	batches int
}

func newWorker(t testing.TB, address string, subscriptions []string, opts ...Option) *worker {
	t.Helper()
	c, err := newConfig(project, subscriptions, append([]Option{Emulator(address), Checkpoint(20_000, 20*time.Millisecond)}, opts...))
	if err != nil {
		t.Fatal(err)
	}
	w := &worker{t: t, fn: &readFn{Config: *c}, places: map[string]*position{}, state: state{counts: map[string]int64{}}}
	if err := w.fn.Setup(); err != nil {
		t.Fatal(err)
	}
	for _, s := range c.Subscriptions {
		w.places[s] = &position{at: w.fn.CreateInitialRestriction(s), mark: w.fn.InitialWatermarkEstimatorState(0, place{}, s)}
	}
	t.Cleanup(w.restart)
	return w
}

// subscriber is the process's of a subscription.
func (w *worker) subscriber(name string) *subscriber {
	w.t.Helper()
	x, err := acquire(w.t.Context(), &w.fn.Config, name)
	if err != nil {
		w.t.Fatal(err)
	}
	x.release()
	return x
}

// restart is another process that has what the runner kept and nothing else.
func (w *worker) restart() {
	w.t.Helper()
	for name := range w.places {
		x, err := acquire(context.Background(), &w.fn.Config, name)
		if err != nil {
			w.t.Fatal(err)
		}
		x.letGo(context.Background())
		x.release()
		subscribers.Lock()
		for key, have := range subscribers.byKey {
			if have == x {
				delete(subscribers.byKey, key)
			}
		}
		subscribers.Unlock()
	}
}

// keep makes a checkpoint.
func (w *worker) keep() {
	c := checkpoint{places: map[string]position{}, batches: len(w.batches)}
	for name, p := range w.places {
		c.places[name] = *p
	}
	w.checkpoints = append(w.checkpoints, c)
}

// back goes back to a checkpoint: what came after it never was.
func (w *worker) back(i int) {
	c := w.checkpoints[i]
	w.checkpoints = w.checkpoints[:i+1]
	for name, p := range c.places {
		*w.places[name] = p
	}
	w.batches, w.stamps = w.batches[:c.batches], w.stamps[:c.batches]
}

// bundle runs one bundle of a subscription. A dropped one leaves nothing; split asks for a
// checkpoint after so many batches.
func (w *worker) bundle(name string, drop bool, split int) (got []flow.RawBatch, err error) {
	w.t.Helper()
	at := w.places[name]
	ctx := context.Background()
	we, rt := w.fn.CreateWatermarkEstimator(at.mark), w.fn.CreateTracker(at.at)
	var residual any
	checkpoint := func() {
		if _, r, err := rt.TrySplit(0); err != nil {
			w.t.Fatal(err)
		} else if r != nil {
			residual = r
		}
	}
	var stamps []flow.Time
	counts := map[string]int64{}
	emit := func(et beam.EventTime, b flow.RawBatch) {
		got, stamps = append(got, b), append(stamps, flow.TimeOf(et.ToTime()))
		if split--; split == 0 {
			checkpoint()
		}
	}
	count := func(n flow.Count) { counts[n.Name] += n.N }
	if err := w.fn.StartBundle(ctx, emit, nil, count); err != nil {
		w.t.Fatal(err)
	}
	next, err := w.fn.ProcessElement(ctx, we, rt, name, emit, nil, count)
	if err == nil {
		err = w.fn.FinishBundle(ctx, emit, nil, count)
	}
	if err != nil || drop {
		return got, err
	}
	if next.ShouldResume() {
		checkpoint()
	}
	if !rt.IsDone() {
		w.t.Fatalf("%s: the bundle ended with %+v left", name, rt.GetRestriction())
	}
	if at.done = residual == nil; residual != nil {
		at.at = residual.(place)
	}
	at.mark = w.fn.WatermarkEstimatorState(we)
	w.batches, w.stamps = append(w.batches, got...), append(w.stamps, stamps...)
	for k, n := range counts {
		w.counts[k] += n
	}
	return got, nil
}

// until runs bundles of all subscriptions until done says so.
func (w *worker) until(what string, done func() bool) {
	w.t.Helper()
	end := time.Now().Add(60 * time.Second)
	for !done() {
		if time.Now().After(end) {
			w.t.Fatalf("not within a minute: %s; counts %v", what, w.counts)
		}
		for name := range w.places {
			if _, err := w.bundle(name, false, 0); err != nil {
				w.t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// records counts what the runner has, by message id.
func (w *worker) records() map[string]int { return count(w.batches) }

func count(batches []flow.RawBatch) map[string]int {
	out := map[string]int{}
	for i := range batches {
		for k := range batches[i].Records {
			out[batches[i].Position(k).Key]++
		}
	}
	return out
}

// ids lists the messages of batches in their order.
func ids(batches []flow.RawBatch) (out []string) {
	for i := range batches {
		for _, r := range batches[i].Records {
			out = append(out, r.Key)
		}
	}
	return out
}
