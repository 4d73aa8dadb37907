package flowtest

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/state"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/timers"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/reflectx"
	gocmp "github.com/google/go-cmp/cmp"
)

// encode is the value in the form of its Beam coder.
func encode(v any) (string, error) {
	var b bytes.Buffer
	t := reflect.TypeOf(v)
	if t == nil {
		return "", fmt.Errorf("a nil element")
	}
	if t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8 {
		// The values of an iterator, one after another.
		for i := range reflect.ValueOf(v).Len() {
			s, err := encode(reflect.ValueOf(v).Index(i).Interface())
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&b, "%d:%s", len(s), s)
		}
		return b.String(), nil
	}
	if p, ok := v.(Pair); ok {
		k, err := encode(p.Key)
		if err != nil {
			return "", err
		}
		s, err := encode(p.Value)
		return fmt.Sprintf("%d:%s%s", len(k), k, s), err
	}
	c := coderOf(t)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.enc.Encode(v, &b); err != nil {
		return "", fmt.Errorf("encode %v: %w", t, err)
	}
	return b.String(), nil
}

// typeCoder is Beam's coder of a type, which is dear to make.
type typeCoder struct {
	mu  sync.Mutex
	enc beam.ElementEncoder
	dec beam.ElementDecoder
}

var coders sync.Map // reflect.Type to *typeCoder

func coderOf(t reflect.Type) *typeCoder {
	if c, ok := coders.Load(t); ok {
		return c.(*typeCoder)
	}
	c, _ := coders.LoadOrStore(t, &typeCoder{enc: beam.NewElementEncoder(t), dec: beam.NewElementDecoder(t)})
	return c.(*typeCoder)
}

func decode(t reflect.Type, s string) (any, error) {
	c := coderOf(t)
	c.mu.Lock()
	defer c.mu.Unlock()
	v, err := c.dec.Decode(strings.NewReader(s))
	if err != nil {
		return nil, fmt.Errorf("decode %v: %w", t, err)
	}
	return v, nil
}

// witness keeps a value and its encoded form, to see later whether the value changed.
type witness struct {
	value any
	was   string
}

// newWitness holds a copy of v that shares no memory with it.
func newWitness(v any) (witness, error) {
	was, err := encode(v)
	if err != nil {
		return witness{}, err
	}
	t := reflect.TypeOf(v)
	if t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8 || t == reflect.TypeFor[Pair]() {
		return witness{v, was}, nil // the values of an iterator
	}
	c, err := decode(t, was)
	return witness{c, was}, err
}

func (w *witness) check(complaint string) error {
	is, err := encode(w.value)
	if err == nil && is != w.was {
		old, _ := decode(reflect.TypeOf(w.value), w.was)
		err = fmt.Errorf("%s (-before +after):\n%s", complaint, gocmp.Diff(old, w.value, everyField))
	}
	return err
}

// world is what a runner keeps between bundles: state and timers by key.
type world struct {
	cells  map[cellID]cell
	timers map[timerID]timer
}

type cellID struct{ key, state string }

// cell is a Value or a Bag, its items encoded. It is never changed, but replaced.
type cell struct {
	typ   reflect.Type
	items []string
}

type timerID struct{ key, family, tag string }

type timer struct {
	timers.TimerMap
	key     string
	keyType reflect.Type
}

func (t *timer) id() timerID { return timerID{t.key, t.Family, t.Tag} }

func compareTimers(a, b timer) int {
	return cmp.Or(cmp.Compare(a.FireTimestamp, b.FireTimestamp), cmp.Compare(a.key, b.key), cmp.Compare(a.Family, b.Family), cmp.Compare(a.Tag, b.Tag))
}

func newWorld() *world { return &world{cells: map[cellID]cell{}, timers: map[timerID]timer{}} }

func (w *world) clone() *world {
	return &world{cells: maps.Clone(w.cells), timers: maps.Clone(w.timers)}
}

// view makes the world readable: see Effects.
func (w *world) view() (map[string][]any, []Timer) {
	states := map[string][]any{}
	for id, c := range w.cells {
		var items []any
		for _, s := range c.items {
			v, err := decode(c.typ, s)
			if err != nil {
				v = err
			}
			items = append(items, v)
		}
		states[stateName(id.key, id.state)] = items
	}
	var sorted []timer
	for _, t := range w.timers {
		sorted = append(sorted, t)
	}
	slices.SortFunc(sorted, compareTimers)
	var out []Timer
	for _, t := range sorted {
		key, err := decode(t.keyType, t.key)
		if err != nil {
			key = err
		}
		out = append(out, Timer{Key: key, Family: t.Family, Tag: t.Tag, At: t.FireTimestamp.ToTime(), Hold: t.HoldTimestamp.ToTime()})
	}
	return states, out
}

func stateName(encodedKey, id string) string { return id + "\x00" + encodedKey }

// Timer is an event-time timer that is set.
type Timer struct {
	Key         any
	Family, Tag string
	At          time.Time
	Hold        time.Time // the output timestamp, which holds the watermark back
}

// declared is the state and the timers that a DoFn's fields declare.
type declared struct {
	states   map[string]state.PipelineState
	families map[string]timers.TimeDomain
}

func declaredBy(fn *graph.DoFn) declared {
	d := declared{map[string]state.PipelineState{}, map[string]timers.TimeDomain{}}
	for _, s := range fn.PipelineState() {
		d.states[s.StateKey()] = s
	}
	all, _ := fn.PipelineTimers()
	for _, t := range all {
		maps.Copy(d.families, t.Timers())
	}
	return d
}

// stateProvider is the state of one key during one call.
type stateProvider struct {
	a      *attempt
	key    string
	decl   declared
	absent map[string]bool // Values that this call read while they were absent
}

var _ state.Provider = (*stateProvider)(nil)

func (p *stateProvider) cell(id string, want state.TypeEnum) (cellID, cell, error) {
	if p.key == "" {
		return cellID{}, cell{}, fmt.Errorf("state %q without a key: state is per key, so elements must be flowtest.KV, and StartBundle and FinishBundle have none", id)
	}
	d, ok := p.decl.states[id]
	if !ok {
		return cellID{}, cell{}, fmt.Errorf("state %q is not declared by an exported field of the DoFn", id)
	}
	if d.StateType() != want {
		return cellID{}, cell{}, fmt.Errorf("state %q is declared with another kind", id)
	}
	at := cellID{p.key, id}
	c := p.a.world.cells[at]
	c.typ = d.CoderType()
	return at, c, nil
}

func (p *stateProvider) ReadValueState(id string) (any, []state.Transaction, error) {
	_, c, err := p.cell(id, state.TypeValue)
	if err != nil {
		return nil, nil, err
	}
	p.a.reads++
	if len(c.items) == 0 || p.absent[id] {
		if p.absent == nil {
			p.absent = map[string]bool{}
		}
		p.absent[id] = true
		return nil, nil, nil
	}
	v, err := decode(c.typ, c.items[0])
	return v, nil, err
}

func (p *stateProvider) WriteValueState(val state.Transaction) error {
	return p.write(val, state.TypeValue)
}

func (p *stateProvider) write(val state.Transaction, kind state.TypeEnum) error {
	at, c, err := p.cell(val.Key, kind)
	if err != nil {
		return err
	}
	s, err := encode(val.Val)
	if err != nil {
		return err
	}
	if kind == state.TypeValue {
		c.items = nil
	}
	p.a.writes++
	// Clipped, so that no other attempt's bag grows into the same array.
	p.a.world.cells[at] = cell{c.typ, append(slices.Clip(c.items), s)}
	return nil
}

func (p *stateProvider) clear(id string, kind state.TypeEnum) error {
	at, _, err := p.cell(id, kind)
	if err == nil {
		p.a.writes++
		delete(p.a.world.cells, at)
	}
	return err
}

func (p *stateProvider) ClearValueState(val state.Transaction) error {
	return p.clear(val.Key, state.TypeValue)
}

func (p *stateProvider) ReadBagState(id string) ([]any, []state.Transaction, error) {
	_, c, err := p.cell(id, state.TypeBag)
	if err != nil {
		return nil, nil, err
	}
	p.a.reads++
	out := make([]any, len(c.items))
	for i, s := range c.items {
		if out[i], err = decode(c.typ, s); err != nil {
			return nil, nil, err
		}
	}
	return out, nil, nil
}

func (p *stateProvider) WriteBagState(val state.Transaction) error {
	return p.write(val, state.TypeBag)
}

func (p *stateProvider) ClearBagState(val state.Transaction) error {
	return p.clear(val.Key, state.TypeBag)
}

// The kinds of state that some runner lacks.

func notPortable(id string) error {
	return fmt.Errorf("state %q: the harness does state.Value and state.Bag, the kinds that every runner has", id)
}

func (p *stateProvider) CreateAccumulatorFn(id string) reflectx.Func { panic(notPortable(id)) }
func (p *stateProvider) AddInputFn(id string) reflectx.Func          { panic(notPortable(id)) }
func (p *stateProvider) MergeAccumulatorsFn(id string) reflectx.Func { panic(notPortable(id)) }
func (p *stateProvider) ExtractOutputFn(id string) reflectx.Func     { panic(notPortable(id)) }
func (p *stateProvider) ReadMapStateValue(id string, _ any) (any, []state.Transaction, error) {
	return nil, nil, notPortable(id)
}
func (p *stateProvider) ReadMapStateKeys(id string) ([]any, []state.Transaction, error) {
	return nil, nil, notPortable(id)
}
func (p *stateProvider) WriteMapState(v state.Transaction) error    { return notPortable(v.Key) }
func (p *stateProvider) ClearMapStateKey(v state.Transaction) error { return notPortable(v.Key) }
func (p *stateProvider) ClearMapState(v state.Transaction) error    { return notPortable(v.Key) }
func (p *stateProvider) ReadOrderedListState(id string) ([]any, []state.Transaction, error) {
	return nil, nil, notPortable(id)
}
func (p *stateProvider) WriteOrderedListState(v state.Transaction) error { return notPortable(v.Key) }
func (p *stateProvider) ClearOrderedListState(v state.Transaction) error { return notPortable(v.Key) }

// timerProvider is the timers of one key during one call.
type timerProvider struct {
	a       *attempt
	key     string
	keyType reflect.Type
	decl    declared
}

var _ timers.Provider = (*timerProvider)(nil)

// Set panics on a timer that is wired wrongly, because the interface has no error; the
// harness makes an error of the panic.
func (p *timerProvider) Set(t timers.TimerMap) {
	domain, ok := p.decl.families[t.Family]
	switch {
	case p.key == "":
		panic(fmt.Sprintf("timer %q without a key: elements must be flowtest.KV", t.Family))
	case !ok:
		panic(fmt.Sprintf("timer family %q is not declared by an exported field of the DoFn", t.Family))
	case domain != timers.EventTimeDomain:
		panic(fmt.Sprintf("timer family %q: the harness does event-time timers, the kind that every runner has", t.Family))
	}
	tm := timer{t, p.key, p.keyType}
	if t.Clear {
		delete(p.a.world.timers, tm.id())
		return
	}
	tm.FireTimestamp = min(tm.FireTimestamp, mtime.MaxTimestamp)
	p.a.world.timers[tm.id()] = tm
}
