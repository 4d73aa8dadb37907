package flowtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/state"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/timers"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"github.com/flowbeam/flowbeam/flow"
)

func TestMain(m *testing.M) { ptest.Main(m) }

// onceFn lets each record id of a key pass once, until a timer forgets them: the shape of
// flowbeam's own dedupe.
type onceFn struct {
	Horizon time.Duration
	Seen    state.Bag[[]byte]
	Bundles state.Value[int64]
	Forget  timers.EventTime

	passed int64
}

func newOnceFn() *onceFn {
	return &onceFn{
		Horizon: time.Hour, Seen: state.MakeBagState[[]byte]("seen"),
		Bundles: state.MakeValueState[int64]("bundles"), Forget: timers.InEventTime("forget"),
	}
}

func (f *onceFn) StartBundle(func(flow.Batch), func(flow.Count)) { f.passed = 0 }

func (f *onceFn) ProcessElement(_ context.Context, ts beam.EventTime, sp state.Provider, tp timers.Provider, _ string, in flow.Batch, emit func(flow.Batch), _ func(flow.Count)) error {
	slabs, _, err := f.Seen.Read(sp)
	if err != nil {
		return err
	}
	seen := map[flow.ID]bool{}
	for _, s := range slabs {
		seen[flow.ID(s)] = true
	}
	n, _, err := f.Bundles.Read(sp)
	if err != nil {
		return err
	}
	if err := f.Bundles.Write(sp, n+1); err != nil {
		return err
	}
	var out flow.Batch
	for i := range in.Records {
		id := in.Records[i].ID
		if seen[id] {
			continue
		}
		seen[id] = true
		if err := f.Seen.Add(sp, id[:]); err != nil {
			return err
		}
		out.Records = append(out.Records, in.Records[i])
	}
	f.passed += int64(len(out.Records))
	emit(out)
	f.Forget.Set(tp, ts.ToTime().Add(f.Horizon), timers.WithNoOutputTimestamp())
	return nil
}

func (f *onceFn) OnTimer(_ context.Context, sp state.Provider, _ timers.Provider, _ string, _ timers.Context, _ func(flow.Batch), _ func(flow.Count)) error {
	return errors.Join(f.Seen.Clear(sp), f.Bundles.Clear(sp))
}

func (f *onceFn) FinishBundle(_ func(flow.Batch), count func(flow.Count)) {
	flow.EmitCount(count, "once", "passed", f.passed)
}

func TestHarnessRunsStateAndTimersTheSameEveryWay(t *testing.T) {
	records := Records(6, 1)
	day := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	EveryWay(t, func(t *testing.T, way Way) *Effects {
		h := NewHarness(t, newOnceFn(), way)
		first := h.Bundle(
			At(day, KV("a", flow.Batch{Records: records[:3]})),
			At(day, KV("a", flow.Batch{Records: records[2:4]})),
			At(day, KV("b", flow.Batch{Records: records[:1]})),
		)
		if got := idsOf(first); !slices.Equal(got, idsIn(records[:3], records[3:4], records[:1])) {
			t.Errorf("first bundle: passed %v", got)
		}
		if got := Emitted[flow.Count](first, 1); len(got) != 1 || got[0].N != 5 {
			t.Errorf("first bundle: counted %v", got)
		}
		if got := StateOf[int64](first, "a", "bundles"); !slices.Equal(got, []int64{2}) {
			t.Errorf("Value after two elements: %v", got)
		}
		if got := StateOf[[]byte](first, "b", "seen"); len(got) != 1 || flow.ID(got[0]) != records[0].ID {
			t.Errorf("Bag of key b: %v", got)
		}
		if len(first.Timers) != 2 || first.Timers[0].Key != "a" || !first.Timers[0].At.Equal(day.Add(time.Hour)) {
			t.Errorf("timers: %v", first.Timers)
		}
		if first.StateReads != 6 || first.StateWrites != 3+5 {
			t.Errorf("%d reads and %d writes of state", first.StateReads, first.StateWrites)
		}

		again := h.Bundle(At(day.Add(30*time.Minute), KV("a", flow.Batch{Records: records})))
		if got := idsOf(again); !slices.Equal(got, idsIn(records[4:])) {
			t.Errorf("delivered again: passed %v", got)
		}
		if got := h.Advance(day.Add(time.Hour)); len(got.State) != 2 || len(got.Timers) != 1 {
			t.Errorf("at the horizon of b: state %v, timers %v", got.State, got.Timers)
		}
		if got := h.Advance(day.Add(24 * time.Hour)); len(got.State) != 0 || len(got.Timers) != 0 {
			t.Errorf("after the horizon: state %v, timers %v", got.State, got.Timers)
		}
		h.Bundle(At(day, KV("a", flow.Batch{Records: records[:1]})))
		return h.Effects()
	})
}

func idsOf(e *Effects) (ids []flow.ID) {
	for _, b := range Emitted[flow.Batch](e, 0) {
		ids = append(ids, idsIn(b.Records)...)
	}
	return ids
}

func idsIn(lists ...[]flow.Record) (ids []flow.ID) {
	for _, l := range lists {
		for i := range l {
			ids = append(ids, l[i].ID)
		}
	}
	return ids
}

// The DoFns below each have one fault.

// keepsFn does not begin a bundle from nothing.
type keepsFn struct{ n int64 }

func (f *keepsFn) ProcessElement(int64, func(int64)) { f.n++ }
func (f *keepsFn) FinishBundle(emit func(int64))     { emit(f.n) }

// changesInputFn changes the batch that it received.
type changesInputFn struct{}

func (*changesInputFn) ProcessElement(b flow.Batch, emit func(flow.Batch)) {
	b.Records[0].DataCenter = "changed"
	emit(flow.Batch{Records: b.Records[1:]})
}

// changesOutputFn uses a batch again after it was emitted.
type changesOutputFn struct{ scratch []flow.Record }

func (f *changesOutputFn) ProcessElement(b flow.Batch, emit func(flow.Batch)) {
	f.scratch = append(f.scratch[:0], b.Records...)
	emit(flow.Batch{Records: f.scratch})
}

// processMemoryFn remembers in the process what belongs into state.
type processMemoryFn struct{}

var (
	processMu     sync.Mutex
	processMemory map[int64]bool
)

func (*processMemoryFn) ProcessElement(v int64, emit func(int64)) {
	processMu.Lock()
	defer processMu.Unlock()
	if !processMemory[v] {
		processMemory[v] = true
		emit(v)
	}
}

// undeclaredFn uses state that no exported field declares.
type undeclaredFn struct {
	Declared state.Value[int64]
}

func (f *undeclaredFn) ProcessElement(sp state.Provider, _ string, v int64, emit func(int64)) error {
	other := state.MakeValueState[int64]("other")
	return other.Write(sp, v)
}

// unexportedFn keeps its configuration in a field that does not travel.
type unexportedFn struct{ factor int64 }

func (f *unexportedFn) ProcessElement(v int64, emit func(int64)) { emit(v * f.factor) }

// appendFn appends to a file as it goes: a sink that a retry doubles.
type appendFn struct{ Path string }

func (f *appendFn) ProcessElement(v int64, _ func(int64)) error {
	w, err := os.OpenFile(f.Path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer w.Close()
	_, err = fmt.Fprintln(w, v)
	return err
}

// cacheFn passes each number once, and keeps over bundles what it knows of the state.
type cacheFn struct {
	Seen  state.Value[bool]
	known map[string]bool
}

func (f *cacheFn) ProcessElement(p state.Provider, key string, v int64, emit func(int64)) error {
	if f.known[key] {
		return nil
	}
	_, ok, err := f.Seen.Read(p)
	if err != nil {
		return err
	}
	if f.known == nil {
		f.known = map[string]bool{}
	}
	if f.known[key] = true; ok {
		return nil
	}
	emit(v)
	return f.Seen.Write(p, true)
}

// panicFn panics.
type panicFn struct{}

func (*panicFn) ProcessElement(int64, func(int64)) { panic("index out of range") }

// failFn returns an error.
type failFn struct{}

func (*failFn) ProcessElement(v int64, emit func(int64)) error {
	emit(v)
	if v < 0 {
		return errors.New("negative")
	}
	return nil
}

// recorder is a testing.TB that keeps the failure.
type recorder struct {
	testing.TB
	message string
}

func (r *recorder) Helper()        {}
func (r *recorder) Cleanup(func()) {}
func (r *recorder) Fatalf(format string, args ...any) {
	r.message = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// failure is what the harness says when f runs, "" if it is content.
func failure(t *testing.T, f func(tb testing.TB)) string {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() { defer close(done); f(r) }()
	<-done
	return r.message
}

func TestHarnessFindsFaults(t *testing.T) {
	batch := flow.Batch{Records: Records(3, 1)}
	for _, c := range []struct {
		name  string
		want  string
		way   Way
		fn    any
		input [][]any // bundles
	}{
		{"input changed", "changed an element that it received", Once, &changesInputFn{}, [][]any{{batch}}},
		{"output changed", "after it had emitted", Once, &changesOutputFn{}, [][]any{{batch, flow.Batch{Records: Records(3, 2)}}}},
		{"process memory, retried", "other effects", Retried, &processMemoryFn{}, [][]any{{int64(1)}}},
		{"state cached beyond the bundle", "other effects", Retried, &cacheFn{Seen: state.MakeValueState[bool]("seen")}, [][]any{{KV("k", int64(1))}}},
		{"process memory, twins", "other effects", Twins, &processMemoryFn{}, [][]any{{int64(1)}}},
		{"state not declared", "not declared", Once, &undeclaredFn{state.MakeValueState[int64]("declared")}, [][]any{{KV("k", int64(1))}}},
		{"state without a key", "ProcessElement: parameter 1: want string", Once, &undeclaredFn{state.MakeValueState[int64]("declared")}, [][]any{{int64(1)}}},
		{"a pair for one parameter", "fewer values", Once, &failFn{}, [][]any{{KV(int64(1), int64(2))}}},
		{"wrong type", "want int64", Once, &failFn{}, [][]any{{"text"}}},
		{"error", "negative", Once, &failFn{}, [][]any{{int64(-1)}}},
		{"panic", "index out of range", Twins, &panicFn{}, [][]any{{int64(-1)}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			processMemory = map[int64]bool{}
			got := failure(t, func(tb testing.TB) {
				h := NewHarness(tb, c.fn, c.way)
				for _, b := range c.input {
					h.Bundle(b...)
				}
			})
			if !strings.Contains(got, c.want) {
				t.Errorf("got %q, want it to say %q", got, c.want)
			}
		})
	}
	t.Run("bundle kept over", func(t *testing.T) {
		h := NewHarness(t, &keepsFn{}, Once)
		h.Bundle(int64(1))
		h.Bundle(int64(1))
		if got := failure(t, func(tb testing.TB) { NewHarness(tb, &keepsFn{}, Retried).Bundle(int64(1)) }); !strings.Contains(got, "other effects") {
			t.Errorf("retried by the same worker: got %q", got)
		}
		twins := NewHarness(t, &keepsFn{}, Twins)
		twins.Bundle(int64(1))
		if got := failure(t, func(tb testing.TB) { twins.t = tb; twins.Bundle(int64(1)) }); !strings.Contains(got, "other effects") {
			t.Errorf("run by a used worker and a new one: got %q", got)
		}
		if got := Emitted[int64](h.Effects(), 0); !slices.Equal(got, []int64{1, 2}) {
			t.Errorf("a worker that is used again gave %v", got)
		}
	})
	t.Run("configuration that does not travel", func(t *testing.T) {
		h := NewHarness(t, &unexportedFn{factor: 3}, Once)
		if got := Emitted[int64](h.Bundle(int64(2)), 0); !slices.Equal(got, []int64{0}) {
			t.Errorf("got %v, want the 0 that a worker gives", got)
		}
	})
	t.Run("what is left outside", func(t *testing.T) {
		outside := map[Way]string{}
		for _, way := range Ways {
			path := filepath.Join(t.TempDir(), "out")
			h := NewHarness(t, &appendFn{path}, way)
			h.Bundle(int64(1), int64(2))
			b, _ := os.ReadFile(path)
			outside[way] = string(b)
		}
		if outside[Once] != "1\n2\n" || outside[Retried] != "1\n2\n1\n2\n" || outside[Dropped] != "1\n1\n2\n1\n2\n" || len(outside[Twins]) != 8 {
			t.Errorf("got %q", outside)
		}
		a, b := &Effects{Outside: outside[Once]}, &Effects{Outside: outside[Retried]}
		if a.diff(b) == "" {
			t.Error("EveryWay would not see the difference")
		}
	})
}

func TestHarnessCommitsNothingOfABundleThatFailed(t *testing.T) {
	h := NewHarness(t, &failFn{}, Once)
	if err := h.TryBundle(int64(1), int64(-1)); err == nil || err.Error() != "negative" {
		t.Errorf("got error %v", err)
	}
	if err := h.TryBundle(int64(2)); err != nil {
		t.Error(err)
	}
	if got := Emitted[int64](h.Effects(), 0); !slices.Equal(got, []int64{2}) {
		t.Errorf("committed %v", got)
	}
}

// joinFn takes a key and its values, as after a GroupByKey, and a side input.
type joinFn struct{}

func (*joinFn) ProcessElement(key string, values func(*int64) bool, add int64) (string, int64) {
	var v, sum int64
	for values(&v) {
		sum += v + add
	}
	return key, sum
}

func TestHarnessTakesIteratorsSideInputsAndReturnedPairs(t *testing.T) {
	h := NewHarness(t, &joinFn{}, Retried, int64(10))
	got := Emitted[Pair](h.Bundle(KV("a", []int64{1, 2}), KV("b", []int64{})), 0)
	if !slices.Equal(got, []Pair{{"a", int64(23)}, {"b", int64(0)}}) {
		t.Errorf("got %v", got)
	}
}

// staleFn reads a Value after it wrote it.
type staleFn struct{ V state.Value[int64] }

func (f *staleFn) ProcessElement(sp state.Provider, _ string, v int64, emit func(int64)) error {
	if _, _, err := f.V.Read(sp); err != nil {
		return err
	}
	if err := f.V.Write(sp, v); err != nil {
		return err
	}
	got, _, err := f.V.Read(sp)
	emit(got)
	return err
}

func TestHarnessReadsAnAbsentValueAsTheSDKDoes(t *testing.T) {
	h := NewHarness(t, &staleFn{state.MakeValueState[int64]("v")}, Once)
	got := Emitted[int64](h.Bundle(KV("k", int64(7)), KV("k", int64(8))), 0)
	if !slices.Equal(got, []int64{0, 8}) {
		t.Errorf("got %v", got)
	}
}
