package flowtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/funcx"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/timers"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/typex"
)

// Way is how a runner may run a bundle. A DoFn's committed effects must be the same in
// every way.
type Way int

const (
	// Once is a bundle that succeeds at the first try.
	Once Way = iota
	// Retried is a bundle that ran to its end, FinishBundle too, but whose commit failed:
	// outputs, state and timers are rolled back and the same worker runs it again, in
	// which something of the first try may be left.
	Retried
	// Dropped is a bundle whose worker dies, first after half of the elements and then
	// before FinishBundle; a third one runs it whole. Teardown is not called for the dead.
	Dropped
	// Twins is a bundle that two workers run at the same time, because the runner took
	// the first for dead (a zombie). One of them commits.
	Twins
)

// Ways are all of them, for table tests.
var Ways = []Way{Once, Retried, Dropped, Twins}

func (w Way) String() string {
	return [...]string{"once", "retried", "dropped before FinishBundle", "two copies at once"}[w]
}

// Pair is an element of a PCollection<KV>: an input of a DoFn that takes key and value, or
// an output of one that emits them.
type Pair struct{ Key, Value any }

// KV makes a Pair. For the output of a GroupByKey, which a DoFn takes as key and
// iterator func(*V) bool, the value is the []V that the iterator is to give.
func KV(key, value any) Pair { return Pair{key, value} }

// Stamped is an element with its event time: an input made by [At], or an output of an
// emitter that takes a beam.EventTime.
type Stamped struct {
	Time    time.Time
	Element any
}

// At gives an input element an event time, where the DoFn asks for one. Without it the
// event time is the Unix epoch.
func At(t time.Time, element any) Stamped { return Stamped{t, element} }

// Harness runs the bundles of one DoFn as a runner would, and keeps what they commit:
// outputs, state per key, and event-time timers. All is in the global window, where
// flowbeam's records travel.
//
// It is strict where a runner is lenient in a test and costly in production. It fails the
// test when the DoFn
//   - changes an element that it received, or one that it has emitted: fused siblings see
//     the same value;
//   - uses state or a timer that no field declares;
//   - gives other effects when a bundle is run again (see [Way]).
//
// The DoFn is made anew from the JSON of its exported fields for each worker, as a runner
// does; each element, output and state value goes through its Beam coder, so that none
// shares memory and what a coder would lose is lost here too. As in Beam Go 2.77, a Value
// that was read while absent still reads as absent after a Write in the same call.
//
// It takes state.Value and state.Bag with event-time timers, which all runners have, and
// every parameter of a DoFn but splittable ones, bundle finalization and multimaps.
// A Harness is used from one goroutine.
type Harness struct {
	t         testing.TB
	typ       reflect.Type
	config    []byte
	way       Way
	side      []any
	worker    *worker         // that ran the last bundle, nil = none
	ctx       context.Context // of the calls, nil = Background
	world     *world
	effects   Effects
	watermark mtime.Time
}

// NewHarness makes a harness for a DoFn, a pointer to a struct as beam.ParDo takes it. Side
// inputs, if any, come in the order of the parameters: a value, or a slice for an iterator.
// Workers are torn down at the test's end.
func NewHarness(t testing.TB, fn any, way Way, side ...any) *Harness {
	t.Helper()
	typ := reflect.TypeOf(fn)
	if typ == nil || typ.Kind() != reflect.Pointer || typ.Elem().Kind() != reflect.Struct {
		t.Fatalf("flowtest.NewHarness: want a pointer to a DoFn struct, have %T", fn)
	}
	config, err := json.Marshal(fn)
	if err != nil {
		t.Fatalf("flowtest.NewHarness: %T does not travel to workers: %v", fn, err)
	}
	h := &Harness{t: t, typ: typ.Elem(), config: config, way: way, side: side, world: newWorld(), watermark: mtime.MinTimestamp}
	t.Cleanup(func() {
		if h.worker != nil {
			if err := h.worker.call(h.worker.fn.TeardownFn(), nil, nil, &attempt{}); err != nil {
				t.Errorf("flowtest: Teardown: %v", err)
			}
		}
	})
	return h
}

// WithContext gives the DoFn's methods, Setup too, this context from now on: a runner
// cancels it when the job is cancelled. It returns the harness.
func (h *Harness) WithContext(ctx context.Context) *Harness {
	h.ctx = ctx
	return h
}

// Bundle runs one bundle over the elements in the harness's way, commits it, and returns
// what it committed. An error of the DoFn, or effects that differ between two runs of the
// bundle, fail the test. An element is a plain value, a [Pair] or a [Stamped].
func (h *Harness) Bundle(elements ...any) *Effects {
	h.t.Helper()
	return h.run(func() []call {
		calls := make([]call, len(elements))
		for i, e := range elements {
			calls[i] = call{element: e}
		}
		return calls
	})
}

// TryBundle runs one bundle once and returns the DoFn's error, with nothing committed, or
// commits and returns nil. The worker of a bundle that failed is not used again.
func (h *Harness) TryBundle(elements ...any) error {
	h.t.Helper()
	calls := make([]call, len(elements))
	for i, e := range elements {
		calls[i] = call{element: e}
	}
	a := h.attempt(h.takeWorker(), calls, true)
	if a.err != nil {
		return a.err
	}
	h.commit(a)
	return nil
}

// Drop runs a bundle whose worker dies before FinishBundle, so that nothing of it is
// committed, and returns the DoFn's error.
func (h *Harness) Drop(elements ...any) error {
	h.t.Helper()
	calls := make([]call, len(elements))
	for i, e := range elements {
		calls[i] = call{element: e}
	}
	return h.attempt(h.newWorker(), calls, false).err
}

// Advance moves the watermark and fires the event-time timers that are due, each bundle
// of them in the harness's way, until no more is. Timers that these set fire too, if due.
// It returns all that was committed.
func (h *Harness) Advance(watermark time.Time) *Effects {
	h.t.Helper()
	h.watermark = mtime.FromTime(watermark)
	var all Effects
	for {
		var due []timer
		for _, tm := range h.world.timers {
			if tm.FireTimestamp <= h.watermark {
				due = append(due, tm)
			}
		}
		if len(due) == 0 {
			return &all
		}
		slices.SortFunc(due, compareTimers)
		e := h.run(func() []call {
			calls := make([]call, len(due))
			for i := range due {
				calls[i] = call{timer: &due[i]}
			}
			return calls
		})
		all.add(e)
		all.State, all.Timers = e.State, e.Timers
	}
}

// Effects is all that was committed so far, with the state and timers of now.
func (h *Harness) Effects() *Effects {
	e := h.effects
	e.Outputs = make([][]any, len(h.effects.Outputs))
	for i := range e.Outputs {
		e.Outputs[i] = slices.Clone(h.effects.Outputs[i])
	}
	e.State, e.Timers = h.world.view()
	return &e
}

// run runs a bundle in the harness's way.
func (h *Harness) run(bundle func() []call) *Effects {
	h.t.Helper()
	check := func(a *attempt) *attempt {
		h.t.Helper()
		if a.err != nil {
			h.t.Fatalf("flowtest: %v, %v: %v", h.typ, h.way, a.err)
		}
		return a
	}
	var last, other *attempt
	switch h.way {
	case Once:
		last = check(h.attempt(h.takeWorker(), bundle(), true))
	case Retried:
		w := h.takeWorker()
		other = check(h.attempt(w, bundle(), true))
		last = check(h.attempt(w, bundle(), true))
	case Dropped:
		calls := bundle()
		check(h.attempt(h.takeWorker(), calls[:len(calls)/2], false))
		check(h.attempt(h.newWorker(), bundle(), false))
		last = check(h.attempt(h.newWorker(), bundle(), true))
	case Twins:
		workers := [2]*worker{h.takeWorker(), h.newWorker()}
		done := make(chan *attempt, len(workers))
		for _, w := range workers {
			go func() { done <- h.attempt(w, bundle(), true) }()
		}
		last, other = check(<-done), check(<-done)
	}
	if other != nil {
		if diff := other.view().diff(last.view()); diff != "" {
			h.t.Fatalf("flowtest: %v, %v: the two runs of one bundle have other effects (-one +the other):\n%s", h.typ, h.way, diff)
		}
	}
	return h.commit(last)
}

func (h *Harness) commit(a *attempt) *Effects {
	h.world, h.worker = a.world, a.worker
	e := a.view()
	h.effects.add(e)
	return e
}

// takeWorker returns the worker of the last bundle that was committed: a runner keeps
// using it, and it must hold nothing of that bundle.
func (h *Harness) takeWorker() *worker {
	w := h.worker
	h.worker = nil
	if w == nil {
		w = h.newWorker()
	}
	return w
}

// worker is one instance of the DoFn, set up.
type worker struct {
	fn    *graph.DoFn
	recv  any
	decl  declared
	side  []any
	setup error
}

func (h *Harness) newWorker() *worker {
	recv := reflect.New(h.typ).Interface()
	w := &worker{recv: recv, side: h.side}
	if w.setup = json.Unmarshal(h.config, recv); w.setup != nil {
		return w
	}
	if w.fn, w.setup = graph.NewDoFn(recv); w.setup != nil {
		return w
	}
	w.decl = declaredBy(w.fn)
	w.setup = w.call(w.fn.SetupFn(), nil, nil, &attempt{worker: w, ctx: h.ctx})
	return w
}

// call is one call of ProcessElement or of OnTimer.
type call struct {
	element any
	timer   *timer
}

// attempt is one run of a bundle by one worker.
type attempt struct {
	worker  *worker
	ctx     context.Context // nil = Background
	world   *world
	outputs [][]any
	emitted []witness // to see whether an element changes after it was emitted
	reads   int
	writes  int
	err     error
}

func (a *attempt) context() context.Context {
	if a.ctx == nil {
		return context.Background()
	}
	return a.ctx
}

// view is what the attempt would commit.
func (a *attempt) view() *Effects {
	e := &Effects{Outputs: a.outputs, StateReads: a.reads, StateWrites: a.writes}
	e.State, e.Timers = a.world.view()
	return e
}

// attempt runs the calls on a copy of the world; without finish the worker dies first.
func (h *Harness) attempt(w *worker, calls []call, finish bool) (a *attempt) {
	a = &attempt{worker: w, world: h.world.clone(), ctx: h.ctx}
	defer func() {
		if r := recover(); r != nil {
			a.err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	if a.err = w.setup; a.err != nil {
		return a
	}
	main := w.fn.ProcessElementFn()
	outs := main.Params(funcx.FnEmit)
	a.outputs = make([][]any, len(outs))
	if len(main.Returns(funcx.RetValue)) > 0 {
		a.outputs = make([][]any, 1+len(outs))
	}
	if a.err = w.call(w.fn.StartBundleFn(), nil, nil, a); a.err != nil {
		return a
	}
	var received []witness
	for _, c := range calls {
		ctx := &callContext{time: mtime.ZeroTimestamp}
		if c.timer != nil {
			tm := *c.timer
			delete(a.world.timers, tm.id())
			onTimer, ok := w.fn.OnTimerFn()
			if !ok {
				a.err = errors.New("a timer is set and the DoFn has no OnTimer")
				return a
			}
			ctx.time, ctx.key, ctx.keyType = tm.HoldTimestamp, tm.key, tm.keyType
			key, err := decode(tm.keyType, tm.key)
			if a.err = err; err == nil {
				a.err = w.call(onTimer, []any{key, timers.Context{Family: tm.Family, Tag: tm.Tag}}, ctx, a)
			}
		} else {
			e := c.element
			if s, ok := e.(Stamped); ok {
				ctx.time, e = mtime.FromTime(s.Time), s.Element
			}
			var args []any
			parts := []any{e}
			if p, ok := e.(Pair); ok {
				parts = []any{p.Key, p.Value}
				ctx.keyType = reflect.TypeOf(p.Key)
				if ctx.key, a.err = encode(p.Key); a.err != nil {
					return a
				}
			}
			for _, part := range parts {
				wit, err := newWitness(part)
				if err != nil {
					a.err = err
					return a
				}
				received = append(received, wit)
				args = append(args, wit.value)
			}
			a.err = w.call(main, args, ctx, a)
		}
		if a.err != nil {
			return a
		}
	}
	if finish {
		if a.err = w.call(w.fn.FinishBundleFn(), nil, nil, a); a.err != nil {
			return a
		}
	}
	for i := range received {
		if a.err = received[i].check("the DoFn changed an element that it received: a fused sibling sees the same value"); a.err != nil {
			return a
		}
	}
	for i := range a.emitted {
		if a.err = a.emitted[i].check("the DoFn changed an element after it had emitted it: its readers see the change"); a.err != nil {
			return a
		}
	}
	return a
}

// callContext is what one call of the DoFn is about.
type callContext struct {
	time    mtime.Time
	key     string // encoded, "" = no key
	keyType reflect.Type
}

// call calls one method. values are the main input, or key and timer.
func (w *worker) call(fn *funcx.Fn, values []any, ctx *callContext, a *attempt) error {
	if fn == nil {
		return nil
	}
	method := ctx != nil // ProcessElement or OnTimer
	if !method {
		ctx = &callContext{time: mtime.ZeroTimestamp}
	}
	emitted := len(a.outputs) - len(w.fn.ProcessElementFn().Params(funcx.FnEmit))
	args := make([]any, len(fn.Param))
	side := w.side
	for i, p := range fn.Param {
		switch p.Kind {
		case funcx.FnContext:
			args[i] = a.context()
		case funcx.FnEventTime:
			args[i] = ctx.time
		case funcx.FnWindow:
			args[i] = window.GlobalWindow{}
		case funcx.FnPane:
			args[i] = typex.NoFiringPane()
		case funcx.FnStateProvider:
			args[i] = &stateProvider{a: a, key: ctx.key, decl: w.decl}
		case funcx.FnTimerProvider:
			args[i] = &timerProvider{a: a, key: ctx.key, keyType: ctx.keyType, decl: w.decl}
		case funcx.FnEmit:
			args[i] = a.emitter(p.T, emitted)
			emitted++
		case funcx.FnValue, funcx.FnIter, funcx.FnReIter:
			from := &values
			if len(values) == 0 {
				from = &side
			}
			if len(*from) == 0 {
				return fmt.Errorf("%s: parameter %d (%v) has no input: give an element, flowtest.KV, or side inputs to NewHarness", w.method(fn), i, p.T)
			}
			v := (*from)[0]
			*from = (*from)[1:]
			arg, err := argument(p, v)
			if err != nil {
				return fmt.Errorf("%s: parameter %d: %w", w.method(fn), i, err)
			}
			args[i] = arg
		default:
			return fmt.Errorf("%s: parameter %d: the harness does not do %v", w.method(fn), i, p.Kind)
		}
	}
	if method && len(values) > 0 {
		return fmt.Errorf("%s takes fewer values than the element has: %v is left", w.method(fn), values)
	}
	returned := fn.Fn.Call(args)
	if i, ok := fn.Error(); ok && returned[i] != nil {
		return returned[i].(error)
	}
	if out := fn.Returns(funcx.RetValue); method && len(out) > 0 {
		var e any = returned[out[0]]
		if len(out) == 2 {
			e = Pair{e, returned[out[1]]}
		}
		return a.emit(0, e)
	}
	return nil
}

// method is the name of one of the DoFn's methods, for messages.
func (w *worker) method(fn *funcx.Fn) string {
	switch fn {
	case w.fn.ProcessElementFn():
		return "ProcessElement"
	case w.fn.SetupFn():
		return "Setup"
	case w.fn.StartBundleFn():
		return "StartBundle"
	case w.fn.FinishBundleFn():
		return "FinishBundle"
	case w.fn.TeardownFn():
		return "Teardown"
	}
	return "OnTimer"
}

// argument fits a value to a parameter: a slice gives an iterator its values.
func argument(p funcx.FnParam, v any) (any, error) {
	if p.Kind == funcx.FnValue {
		if v != nil && !reflect.TypeOf(v).AssignableTo(p.T) {
			if rv := reflect.ValueOf(v); rv.CanConvert(p.T) && rv.Kind() == p.T.Kind() {
				return rv.Convert(p.T).Interface(), nil
			}
			return nil, fmt.Errorf("want %v, the element has %T", p.T, v)
		}
		return v, nil
	}
	values := reflect.ValueOf(v)
	if values.Kind() != reflect.Slice {
		return nil, fmt.Errorf("want a slice for the iterator %v, have %T", p.T, v)
	}
	iterate := func(t reflect.Type) reflect.Value {
		next := 0
		return reflect.MakeFunc(t, func(in []reflect.Value) []reflect.Value {
			more := next < values.Len()
			if more {
				e := values.Index(next)
				if pair, ok := e.Interface().(Pair); ok {
					in[0].Elem().Set(reflect.ValueOf(pair.Key))
					in[1].Elem().Set(reflect.ValueOf(pair.Value))
				} else {
					in[0].Elem().Set(e)
				}
				next++
			}
			return []reflect.Value{reflect.ValueOf(more)}
		})
	}
	if p.Kind == funcx.FnReIter {
		return reflect.MakeFunc(p.T, func([]reflect.Value) []reflect.Value {
			return []reflect.Value{iterate(p.T.Out(0))}
		}).Interface(), nil
	}
	return iterate(p.T).Interface(), nil
}

// emitter makes an emitter func of type t for one output.
func (a *attempt) emitter(t reflect.Type, output int) any {
	return reflect.MakeFunc(t, func(in []reflect.Value) []reflect.Value {
		var at *time.Time
		if in[0].Type() == typex.EventTimeType {
			std := in[0].Interface().(typex.EventTime).ToTime()
			at, in = &std, in[1:]
		}
		e := in[0].Interface()
		if len(in) == 2 {
			e = Pair{e, in[1].Interface()}
		}
		if at != nil {
			e = Stamped{*at, e}
		}
		if err := a.emit(output, e); err != nil {
			panic(err)
		}
		return nil
	}).Interface()
}

// emit keeps a copy of what is emitted, made by its coder.
func (a *attempt) emit(output int, e any) error {
	if output >= len(a.outputs) {
		return fmt.Errorf("an emission to output %d of %d: has this method more emitters than ProcessElement?", output, len(a.outputs))
	}
	keep := func(v any) (any, error) {
		w, err := newWitness(v)
		if err != nil {
			return nil, fmt.Errorf("output %d: %w", output, err)
		}
		copied := w.value
		w.value = v // the original is to be watched
		a.emitted = append(a.emitted, w)
		return copied, nil
	}
	plain, stamped := e.(Stamped)
	if stamped {
		e = plain.Element
	}
	var err error
	if p, ok := e.(Pair); ok {
		if p.Key, err = keep(p.Key); err == nil {
			p.Value, err = keep(p.Value)
		}
		e = p
	} else {
		e, err = keep(e)
	}
	if stamped {
		plain.Element = e
		e = plain
	}
	if err == nil {
		a.outputs[output] = append(a.outputs[output], e)
	}
	return err
}
