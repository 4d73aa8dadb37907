package flowtest

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// Effects is what bundles committed.
type Effects struct {
	// Outputs has the elements of each emitter, in the order of the parameters and of
	// emission; what ProcessElement returns, if anything, is the first output. KVs are
	// [Pair], elements emitted with an event time are [Stamped].
	Outputs [][]any
	// State has the items of each Value (one) and Bag that is not empty. StateOf reads it.
	State map[string][]any
	// Timers are those that are set, in the order in which they fire.
	Timers []Timer
	// StateReads and StateWrites count calls to the runner. On a cluster each of them
	// is a round trip: one of each per key and bundle is the aim.
	StateReads, StateWrites int
	// Outside is for the test's own use: what was left in files or in a fake of a store,
	// for EveryWay to compare.
	Outside any
}

func (e *Effects) add(o *Effects) {
	if len(e.Outputs) < len(o.Outputs) {
		e.Outputs = append(e.Outputs, make([][]any, len(o.Outputs)-len(e.Outputs))...)
	}
	for i := range o.Outputs {
		e.Outputs[i] = append(e.Outputs[i], o.Outputs[i]...)
	}
	e.StateReads += o.StateReads
	e.StateWrites += o.StateWrites
}

// Emitted is the elements of one output.
func Emitted[T any](e *Effects, output int) []T {
	if output >= len(e.Outputs) {
		return nil
	}
	out := make([]T, len(e.Outputs[output]))
	for i, v := range e.Outputs[output] {
		out[i] = v.(T)
	}
	return out
}

// StateOf is the items of the Value or Bag named id of one key, nil where it is empty.
func StateOf[T any](e *Effects, key any, id string) []T {
	k, err := encode(key)
	if err != nil {
		panic("flowtest.StateOf: " + err.Error())
	}
	var out []T
	for _, v := range e.State[stateName(k, id)] {
		out = append(out, v.(T))
	}
	return out
}

// diff is "" where both have the same effects: the outputs and bags as multisets, because
// no runner promises an order.
func (e *Effects) diff(o *Effects) string {
	type comparable struct {
		Outputs [][]any
		State   map[string][]any
		Timers  []Timer
		Outside any
	}
	a, b := comparable{Timers: e.Timers, Outside: e.Outside}, comparable{Timers: o.Timers, Outside: o.Outside}
	for i := range max(len(e.Outputs), len(o.Outputs)) {
		x, y := differing(Emitted[any](e, i), Emitted[any](o, i))
		a.Outputs, b.Outputs = append(a.Outputs, x), append(b.Outputs, y)
	}
	a.State, b.State = map[string][]any{}, map[string][]any{}
	for _, k := range slices.Concat(slices.Collect(maps.Keys(e.State)), slices.Collect(maps.Keys(o.State))) {
		id, key, _ := strings.Cut(k, "\x00")
		name := fmt.Sprintf("%s of key %q", id, key)
		a.State[name], b.State[name] = differing(e.State[k], o.State[k])
	}
	return gocmp.Diff(a, b, everyField)
}

// differing is both lists in one order, or nothing where they have the same elements: to
// compare the encoded forms first is much faster than go-cmp.
func differing(a, b []any) (x, y []any) {
	x, xKeys := inOrder(a)
	y, yKeys := inOrder(b)
	if slices.Equal(xKeys, yKeys) {
		return nil, nil
	}
	return x, y
}

// everyField lets go-cmp look into any type.
var everyField = gocmp.Exporter(func(reflect.Type) bool { return true })

// inOrder sorts elements by their encoded form, which it returns too.
func inOrder(elements []any) (sorted []any, keys []string) {
	type item struct {
		v   any
		key string
	}
	items := make([]item, len(elements))
	for i, v := range elements {
		inner, at := v, ""
		if s, ok := v.(Stamped); ok {
			inner, at = s.Element, s.Time.UTC().String()
		}
		k, err := encode(inner)
		if err != nil {
			k = fmt.Sprint(inner)
		}
		items[i] = item{v, k + at}
	}
	slices.SortStableFunc(items, func(a, b item) int { return strings.Compare(a.key, b.key) })
	for _, it := range items {
		sorted, keys = append(sorted, it.v), append(keys, it.key)
	}
	return sorted, keys
}

// EveryWay runs script once for each [Way], as a subtest, and fails where the effects that
// it returns are not those of [Once]. The script makes everything anew: harness, folders,
// fakes.
//
//	flowtest.EveryWay(t, func(t *testing.T, way flowtest.Way) *flowtest.Effects {
//		h := flowtest.NewHarness(t, &countFn{}, way)
//		h.Bundle(flowtest.KV("a", batch1), flowtest.KV("b", batch2))
//		h.Bundle(flowtest.KV("a", batch1)) // delivered again
//		h.Advance(end)
//		return h.Effects()
//	})
func EveryWay(t *testing.T, script func(t *testing.T, way Way) *Effects) {
	t.Helper()
	var once *Effects
	for _, way := range Ways {
		t.Run(way.String(), func(t *testing.T) {
			e := script(t, way)
			if way == Once {
				once = e
				return
			}
			if once == nil {
				t.Skip("there is nothing to compare with: the subtest that runs once did not finish")
			}
			if diff := once.diff(e); diff != "" {
				t.Errorf("other effects than when run once (-once +%v):\n%s", way, diff)
			}
		})
	}
}
