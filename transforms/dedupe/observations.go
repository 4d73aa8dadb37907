package dedupe

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/state"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/timers"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/shard"
	"github.com/flowbeam/flowbeam/windowing"
)

func init() {
	beam.RegisterDoFn(&observedFn{})
	beam.RegisterDoFn(&decideFn{})
}

// Policy says which observer's records of a conversation are kept.
type Policy string

// The policies. Ties are broken by the smallest record id, so that the choice does not
// depend on the order of arrival.
const (
	First    Policy = "first"    // the observer that saw the conversation first
	Max      Policy = "max"      // the one that counted most bytes, then packets
	Priority Policy = "priority" // the one that stands first in the list given by Exporters
	MarkOnly Policy = "mark"     // as First, but the others' records pass, marked "duplicate"
)

// Policies lists the policies by name.
func Policies() []Policy { return []Policy{First, Max, Priority, MarkOnly} }

// ObservationOption configures Observations.
type ObservationOption func(*decideFn) error

// Every is the length of the event-time bucket in which observations are compared.
// Default one minute. Observations of one conversation that fall into two buckets are
// not compared: choose it longer than the exporters' active timeout.
func Every(d time.Duration) ObservationOption {
	return func(f *decideFn) error {
		if d <= 0 {
			return fmt.Errorf("Every: %v is not positive", d)
		}
		f.EveryNS = int64(d)
		return nil
	}
}

// Wait is how long after its bucket's end, in event time, a conversation is decided.
// Default one minute. It delays what follows by as much; a copy that comes later passes,
// marked "duplicate".
func Wait(d time.Duration) ObservationOption {
	return func(f *decideFn) error { f.WaitNS = int64(d); return nil }
}

// Remember is how long after its bucket's end a decision is remembered. Default 2 h.
func Remember(d time.Duration) ObservationOption {
	return func(f *decideFn) error { f.RememberNS = int64(d); return nil }
}

// Exporters lists exporter addresses or names for Priority, the best first. One that is
// not in the list comes after all that are.
func Exporters(names ...string) ObservationOption {
	return func(f *decideFn) error { f.Exporters = names; return nil }
}

// Observations removes what several observers (exporters, interfaces, SRC and DEST
// reporters) said of the same packets, so that traffic is not counted twice. Records of
// one direction of one conversation (Community ID and source endpoint) in one event-time
// bucket are compared once, by a timer; the winning observer's records pass with
// Observation "winner", those of the others are dropped and counted, or with MarkOnly
// pass with "duplicate". An observer is the exporter with its domain, data center and
// interface: several records of one observer are never duplicates of each other. Records
// without a Community ID pass at once, unmarked.
//
// It takes a PCollection<flow.Batch> in the global window and returns a
// PCollection<flow.Batch> and the counts (PCollection<flow.Count>:
// observations/duplicates, observations/marked, observations/conversations, and
// observations/held: records that wait, less those that waited). Put it after Exact. State: the encoded records of a bucket until they are decided, then 32 bytes a
// conversation until Remember is over.
func Observations(s beam.Scope, batches beam.PCollection, policy Policy, opts ...ObservationOption) (kept, counts beam.PCollection) {
	s = s.Scope("dedupe.Observations")
	f := &decideFn{
		Policy: policy, EveryNS: int64(time.Minute), WaitNS: int64(time.Minute), RememberNS: int64(2 * time.Hour),
		Pending: state.MakeBagState[[]byte]("pending"),
		Decided: state.MakeBagState[[]byte]("decided"),
		Next:    timers.InEventTime("next"),
	}
	for _, opt := range opts {
		if err := opt(f); err != nil {
			panic(fmt.Sprintf("dedupe.Observations: invalid option: %v", err))
		}
	}
	if !slices.Contains(Policies(), policy) {
		panic(fmt.Sprintf("dedupe.Observations: policy %q is none of %v", policy, Policies()))
	}
	if policy == Priority && len(f.Exporters) == 0 {
		panic("dedupe.Observations: policy priority needs the option Exporters")
	}
	if f.RememberNS < f.WaitNS {
		panic("dedupe.Observations: Remember is shorter than Wait")
	}
	keyed, alone, aloneCounts := beam.ParDo3(s, &observedFn{EveryNS: f.EveryNS}, batches)
	decided, decidedCounts := beam.ParDo2(s, f, keyed)
	return beam.Flatten(s, alone, decided), beam.Flatten(s, aloneCounts, decidedCounts)
}

// conversation identifies one direction: both directions share the Community ID.
func conversation(r *flow.Record) flow.ID {
	var port [8]byte
	for i, v := 0, r.Source.Port.Or(-1); i < 8; i, v = i+1, v>>8 {
		port[i] = byte(v)
	}
	return flow.NewID("conversation", []byte(r.CommunityID), r.Source.IP.B[:r.Source.IP.Len], port[:])
}

// observer identifies who saw it.
func observer(r *flow.Record) flow.ID {
	var domain [8]byte
	for i, v := 0, r.Exporter.ObservationDomain.Or(-1); i < 8; i, v = i+1, v>>8 {
		domain[i] = byte(v)
	}
	return flow.NewID("observer", r.Exporter.IP.B[:r.Exporter.IP.Len], []byte(r.Exporter.Name), domain[:],
		[]byte(r.DataCenter), []byte(r.IngressInterface), []byte(r.EgressInterface))
}

// observedFn gathers the records of a bundle by (bucket, shard of the conversation).
type observedFn struct {
	EveryNS int64

	slabs map[string]*flow.BatchEncoder
}

const observedShards = 16

func (f *observedFn) StartBundle(func(string, []byte), func(flow.Batch), func(flow.Count)) {
	f.slabs = map[string]*flow.BatchEncoder{}
}

func (f *observedFn) ProcessElement(b flow.Batch, emit func(string, []byte), pass func(flow.Batch), _ func(flow.Count)) error {
	var alone []flow.Record
	for i := range b.Records {
		r := &b.Records[i]
		if r.CommunityID == "" {
			alone = append(alone, *r)
			continue
		}
		key := windowing.Key(windowing.Bucket(r.EventTime, time.Duration(f.EveryNS)), shard.Of(conversation(r), observedShards))
		slab := f.slabs[key]
		if slab == nil {
			slab = &flow.BatchEncoder{Watermark: b.Watermark}
			f.slabs[key] = slab
		}
		slab.Watermark = min(slab.Watermark, b.Watermark)
		if slab.Add(r); slab.Len() >= slabRecords {
			emit(key, slab.Bytes())
			slab.Watermark = b.Watermark
		}
	}
	if len(alone) > 0 {
		pass(flow.Batch{Records: alone, Watermark: b.Watermark})
	}
	return nil
}

func (f *observedFn) FinishBundle(emit func(string, []byte), _ func(flow.Batch), _ func(flow.Count)) error {
	keys := make([]string, 0, len(f.slabs))
	for k, slab := range f.slabs {
		if slab.Len() > 0 {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		emit(k, f.slabs[k].Bytes())
	}
	f.slabs = nil
	return nil
}

// decideFn keeps a bucket's records until the timer, then the winners until the horizon.
type decideFn struct {
	Policy                      Policy
	EveryNS, WaitNS, RememberNS int64
	Exporters                   []string
	Pending, Decided            state.Bag[[]byte]
	// Next decides, then forgets. One timer, because two families set on one key leave
	// Prism (Beam 2.77) waiting for ever.
	Next                         timers.EventTime
	duplicates, marked, distinct int64
	held                         int64 // in this bundle, less what was let go
}

func (f *decideFn) StartBundle(func(flow.Batch), func(flow.Count)) {
	f.duplicates, f.marked, f.distinct, f.held = 0, 0, 0, 0
}

func (f *decideFn) ProcessElement(sp state.Provider, tp timers.Provider, key string, slab []byte, emit func(flow.Batch), _ func(flow.Count)) error {
	winners, err := f.winners(sp)
	if err != nil {
		return err
	}
	if winners != nil {
		return f.late(slab, winners, emit)
	}
	start, _, err := windowing.ParseKey(key)
	if err != nil {
		return fmt.Errorf("dedupe.Observations: %w", err)
	}
	n, err := flow.BatchLen(slab)
	if err != nil {
		return fmt.Errorf("dedupe.Observations: %w", err)
	}
	f.held += int64(n)
	end := start.Add(time.Duration(f.EveryNS))
	// The records wait here, so the output watermark must wait with them: the timer holds
	// it at the bucket's start, the earliest event time that it will emit.
	f.Next.Set(tp, end.Add(time.Duration(f.WaitNS)).Std(), timers.WithOutputTimestamp(start.Std()))
	return f.Pending.Add(sp, slab)
}

// winners is nil while the key is undecided.
func (f *decideFn) winners(sp state.Provider) (map[flow.ID]flow.ID, error) {
	entries, ok, err := f.Decided.Read(sp)
	if err != nil {
		return nil, fmt.Errorf("dedupe.Observations: reading state: %w", err)
	}
	if !ok || len(entries) == 0 {
		return nil, nil
	}
	const size = 2 * len(flow.ID{})
	m := map[flow.ID]flow.ID{}
	for _, e := range entries {
		for ; len(e) >= size; e = e[size:] {
			m[flow.ID(e[:size/2])] = flow.ID(e[size/2 : size])
		}
	}
	return m, nil
}

// late passes what came after the decision: copies are only marked, because what follows
// has gone on already.
func (f *decideFn) late(slab []byte, winners map[flow.ID]flow.ID, emit func(flow.Batch)) error {
	b, err := flow.DecodeBatch(slab)
	if err != nil {
		return fmt.Errorf("dedupe.Observations: %w", err)
	}
	for i := range b.Records {
		r := &b.Records[i]
		r.Observation = "winner"
		if w, ok := winners[conversation(r)]; ok && w != observer(r) {
			r.Observation = "duplicate"
			f.marked++
		}
	}
	emit(b)
	return nil
}

// OnTimer decides the bucket and sets the timer anew, or forgets the bucket.
func (f *decideFn) OnTimer(_ context.Context, _ beam.EventTime, sp state.Provider, tp timers.Provider, key string, _ timers.Context, emit func(flow.Batch), _ func(flow.Count)) error {
	decided, err := f.decide(sp, emit)
	if err != nil {
		return err
	}
	if !decided {
		return f.Decided.Clear(sp)
	}
	start, _, err := windowing.ParseKey(key)
	if err != nil {
		return fmt.Errorf("dedupe.Observations: %w", err)
	}
	f.Next.Set(tp, start.Add(time.Duration(f.EveryNS+f.RememberNS)).Std(), timers.WithNoOutputTimestamp())
	return nil
}

// decide emits what waited; decided is false where nothing did.
func (f *decideFn) decide(sp state.Provider, emit func(flow.Batch)) (decided bool, err error) {
	slabs, _, err := f.Pending.Read(sp)
	if err != nil {
		return false, fmt.Errorf("dedupe.Observations: reading state: %w", err)
	}
	if len(slabs) == 0 {
		return false, nil
	}
	var all flow.Batch
	for i, slab := range slabs {
		b, err := flow.DecodeBatch(slab)
		if err != nil {
			return false, fmt.Errorf("dedupe.Observations: %w", err)
		}
		if i == 0 || b.Watermark < all.Watermark {
			all.Watermark = b.Watermark
		}
		all.Records = append(all.Records, b.Records...)
	}
	f.held -= int64(len(all.Records))
	winners := chooseObservers(all.Records, f.Policy, f.Exporters)
	won := make([]byte, 0, 32*len(winners))
	// In one order: a bundle that is run again leaves the same.
	for _, c := range slices.SortedFunc(maps.Keys(winners), func(a, b flow.ID) int { return slices.Compare(a[:], b[:]) }) {
		o := winners[c]
		won = append(append(won, c[:]...), o[:]...)
	}
	kept := all.Records[:0]
	for _, r := range all.Records {
		if winners[conversation(&r)] == observer(&r) {
			r.Observation = "winner"
		} else if r.Observation = "duplicate"; f.Policy != MarkOnly {
			f.duplicates++
			continue
		} else {
			f.marked++
		}
		kept = append(kept, r)
	}
	f.distinct += int64(len(winners))
	slices.SortFunc(kept, func(a, b flow.Record) int { return slices.Compare(a.ID[:], b.ID[:]) })
	all.Records = kept
	if err := f.Decided.Add(sp, won); err != nil {
		return false, err
	}
	if err := f.Pending.Clear(sp); err != nil {
		return false, err
	}
	emit(all)
	return true, nil
}

func (f *decideFn) FinishBundle(_ func(flow.Batch), count func(flow.Count)) error {
	flow.EmitCount(count, "observations", "duplicates", f.duplicates)
	flow.EmitCount(count, "observations", "marked", f.marked)
	flow.EmitCount(count, "observations", "conversations", f.distinct)
	flow.EmitCount(count, "observations", "held", f.held)
	return nil
}

// claim is what one observer says of one conversation, in the terms of the policies.
type claim struct {
	observer       flow.ID
	first          flow.Time
	bytes, packets int64
	rank           int
	id             flow.ID // the smallest record id, for ties
}

// chooseObservers returns the winning observer of each conversation. The order of
// records does not matter.
func chooseObservers(records []flow.Record, policy Policy, exporters []string) map[flow.ID]flow.ID {
	type pair struct{ conversation, observer flow.ID }
	claims := map[pair]*claim{}
	for i := range records {
		r := &records[i]
		p := pair{conversation(r), observer(r)}
		seen := r.Start
		if seen == 0 {
			seen = r.EventTime
		}
		c := claims[p]
		if c == nil {
			c = &claim{observer: p.observer, first: seen, id: r.ID, rank: exporterRank(r, exporters)}
			claims[p] = c
		}
		c.first = min(c.first, seen)
		c.bytes += r.Source.Bytes.Or(0) + r.Destination.Bytes.Or(0)
		c.packets += r.Source.Packets.Or(0) + r.Destination.Packets.Or(0)
		if slices.Compare(r.ID[:], c.id[:]) < 0 {
			c.id = r.ID
		}
	}
	best := map[flow.ID]*claim{}
	for p, c := range claims {
		if b := best[p.conversation]; b == nil || better(c, b, policy) {
			best[p.conversation] = c
		}
	}
	winners := make(map[flow.ID]flow.ID, len(best))
	for conv, c := range best {
		winners[conv] = c.observer
	}
	return winners
}

// better is a total order: no two observers of one conversation are equal in it.
func better(a, b *claim, policy Policy) bool {
	var order int
	switch policy {
	case Max:
		order = cmp.Or(cmp.Compare(b.bytes, a.bytes), cmp.Compare(b.packets, a.packets))
	case Priority:
		order = cmp.Compare(a.rank, b.rank)
	default:
		order = cmp.Compare(a.first, b.first)
	}
	return cmp.Or(order, slices.Compare(a.id[:], b.id[:]), slices.Compare(a.observer[:], b.observer[:])) < 0
}

func exporterRank(r *flow.Record, exporters []string) int {
	for i, e := range exporters {
		if e == r.Exporter.Name || r.Exporter.IP.OK() && e == r.Exporter.IP.String() {
			return i
		}
	}
	return len(exporters)
}
