// Package dedupe takes duplicates out of flow records: [Exact] those that delivery made
// (the same record read twice), [Observations] those of several exporters that saw the
// same conversation.
package dedupe

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/state"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/timers"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/shard"
	"github.com/flowbeam/flowbeam/windowing"
)

func init() {
	beam.RegisterDoFn(&shardFn{})
	beam.RegisterDoFn(&exactFn{})
	register.Emitter1[flow.Batch]()
	register.Emitter1[flow.Count]()
	register.Emitter2[string, []byte]()
}

// The defaults. Horizon equals the pipeline's default allowed lateness.
const (
	DefaultHorizon = 2 * time.Hour
	DefaultShards  = 4
	exactBucket    = time.Minute
)

// Option configures Exact.
type Option func(*exactOptions) error

type exactOptions struct {
	horizon, lateness time.Duration
	shards            int
}

// Horizon is how long after the end of its one-minute event-time bucket an id is
// remembered. Default 2 h. Memory is 16 bytes times rate times horizon, over all workers.
func Horizon(d time.Duration) Option {
	return func(o *exactOptions) error {
		if d <= 0 {
			return fmt.Errorf("Horizon: %v is not positive", d)
		}
		o.horizon = d
		return nil
	}
}

// Lateness tells the allowed lateness of the rollups that follow. A horizon below it is
// refused: a duplicate in between would be summed twice.
func Lateness(d time.Duration) Option {
	return func(o *exactOptions) error { o.lateness = d; return nil }
}

// Shards is the number of keys, a power of two, that one minute is spread over. Default
// 4; at 58,000 records a second 64 keep a key at 55,000 ids.
func Shards(n int) Option {
	return func(o *exactOptions) error { o.shards = n; return shard.Check(n) }
}

// CheckHorizon says whether a horizon suits the allowed lateness of rollups.
func CheckHorizon(horizon, lateness time.Duration) error {
	if horizon < lateness {
		return fmt.Errorf("the dedupe horizon %v is shorter than the allowed lateness %v: a duplicate in between would be counted twice in the rollups; raise the horizon or lower the lateness", horizon, lateness)
	}
	return nil
}

// Exact removes delivery duplicates: of all records with one id it passes the first that
// arrives and drops the later ones, as long as they come within the horizon of the id's
// event-time minute. It takes a PCollection<flow.Batch> in the global window and returns
// the unique records (PCollection<flow.Batch>, newly cut) and the counts
// (PCollection<flow.Count>: dedupe/duplicates, dedupe/unique).
//
// It is exact and survives a restart on a runner with durable state: the ids of a (minute,
// shard) are kept in bag state of that key and cleared by an event-time timer, never in a
// cache of the last N. A duplicate has the same event time, so it meets the same key.
// After the horizon a duplicate passes here and meets the stores, which are sets.
func Exact(s beam.Scope, batches beam.PCollection, opts ...Option) (unique, counts beam.PCollection) {
	s = s.Scope("dedupe.Exact")
	o := exactOptions{horizon: DefaultHorizon, shards: DefaultShards}
	for _, opt := range opts {
		if err := opt(&o); err != nil {
			panic(fmt.Sprintf("dedupe.Exact: invalid option: %v", err))
		}
	}
	if err := CheckHorizon(o.horizon, o.lateness); err != nil {
		panic(fmt.Sprintf("dedupe.Exact: %v", err))
	}
	keyed := beam.ParDo(s, &shardFn{Shards: o.shards}, batches)
	return beam.ParDo2(s, &exactFn{
		HorizonNS: int64(o.horizon),
		Seen:      state.MakeBagState[[]byte]("seen"),
		Expire:    timers.InEventTime("expire"),
	}, keyed)
}

// shardFn gathers the records of a bundle by (minute, shard), because what crosses a
// shuffle must be few and large: Beam's cost is per element.
type shardFn struct {
	Shards int

	slabs   map[string]*flow.BatchEncoder
	size    int
	scratch []string
}

const (
	slabRecords = 8192     // a key is emitted at so many records
	bundleBytes = 64 << 20 // and all keys at so many bytes: Prism may make one bundle of all input
)

func (f *shardFn) StartBundle(func(string, []byte)) {
	f.slabs, f.size = map[string]*flow.BatchEncoder{}, 0
}

func (f *shardFn) ProcessElement(b flow.Batch, emit func(string, []byte)) error {
	// Neighbours mostly share their minute, so the few slabs in use are found by an index
	// of the shard and not by making the key of each record.
	var minute flow.Time
	var current []*flow.BatchEncoder
	for i := range b.Records {
		r := &b.Records[i]
		m, n := windowing.Bucket(r.EventTime, exactBucket), shard.Of(r.ID, f.Shards)
		if current == nil || m != minute {
			minute = m
			if current == nil {
				current = make([]*flow.BatchEncoder, f.Shards)
			}
			clear(current)
		}
		slab := current[n]
		if slab == nil {
			key := windowing.Key(m, n)
			if slab = f.slabs[key]; slab == nil {
				slab = &flow.BatchEncoder{Watermark: b.Watermark}
				f.slabs[key] = slab
			}
			current[n] = slab
		}
		before := slab.Size()
		slab.Watermark = min(slab.Watermark, b.Watermark)
		slab.Add(r)
		f.size += slab.Size() - before
		if slab.Len() >= slabRecords {
			f.size -= slab.Size()
			emit(windowing.Key(m, n), slab.Bytes())
			slab.Watermark = b.Watermark
		}
	}
	if f.size >= bundleBytes {
		f.flush(emit)
	}
	return nil
}

func (f *shardFn) FinishBundle(emit func(string, []byte)) error {
	f.flush(emit)
	f.slabs = nil
	return nil
}

func (f *shardFn) flush(emit func(string, []byte)) {
	f.scratch = f.scratch[:0]
	for k, slab := range f.slabs {
		if slab.Len() > 0 {
			f.scratch = append(f.scratch, k)
		}
	}
	slices.Sort(f.scratch) // the same input is emitted in the same order
	for _, k := range f.scratch {
		emit(k, f.slabs[k].Bytes())
	}
	clear(f.slabs)
	f.size = 0
}

// exactFn keeps the ids of one (minute, shard) as bag state: each element appends its new
// ids as one entry.
type exactFn struct {
	HorizonNS int64
	Seen      state.Bag[[]byte]
	Expire    timers.EventTime

	// known caches, for this bundle, the ids of the keys that it met: state is read once
	// per key and bundle.
	known              map[string]map[flow.ID]struct{}
	cached             int
	duplicates, unique int64
}

// cacheIDs bounds the bundle's cache, about 40 bytes an id. Beyond it, state is read again.
const cacheIDs = 4 << 20

func (f *exactFn) StartBundle(func(flow.Batch), func(flow.Count)) {
	f.known, f.cached = map[string]map[flow.ID]struct{}{}, 0
	f.duplicates, f.unique = 0, 0
}

func (f *exactFn) ProcessElement(sp state.Provider, tp timers.Provider, key string, slab []byte, emit func(flow.Batch), count func(flow.Count)) error {
	b, err := flow.DecodeBatch(slab)
	if err != nil {
		return fmt.Errorf("dedupe.Exact: %w", err)
	}
	seen, err := f.seen(sp, tp, key)
	if err != nil {
		return err
	}
	ids := make([]byte, 0, len(b.Records)*len(flow.ID{}))
	// The batch was decoded here, so it is nobody else's and may be compacted in place.
	kept := b.Records[:0]
	for i := range b.Records {
		id := b.Records[i].ID
		if _, dup := seen[id]; dup {
			f.duplicates++
			continue
		}
		seen[id] = struct{}{}
		ids = append(ids, id[:]...)
		if len(kept) < i {
			kept = append(kept, b.Records[i])
		} else {
			kept = b.Records[:i+1]
		}
	}
	if len(kept) == 0 {
		return nil
	}
	f.unique += int64(len(kept))
	f.cached += len(kept)
	if err := f.Seen.Add(sp, ids); err != nil {
		return fmt.Errorf("dedupe.Exact: adding to state: %w", err)
	}
	if f.cached > cacheIDs {
		f.known, f.cached = map[string]map[flow.ID]struct{}{}, 0
	}
	b.Records = kept
	emit(b)
	return nil
}

// seen returns the ids of the key that came before, and sets the key's timer where they
// are none.
func (f *exactFn) seen(sp state.Provider, tp timers.Provider, key string) (map[flow.ID]struct{}, error) {
	if seen, ok := f.known[key]; ok {
		return seen, nil
	}
	entries, _, err := f.Seen.Read(sp)
	if err != nil {
		return nil, fmt.Errorf("dedupe.Exact: reading state: %w", err)
	}
	n := 0
	for _, e := range entries {
		n += len(e) / len(flow.ID{})
	}
	seen := make(map[flow.ID]struct{}, n)
	for _, e := range entries {
		if len(e)%len(flow.ID{}) != 0 {
			return nil, fmt.Errorf("dedupe.Exact: state of %d bytes is no list of ids", len(e))
		}
		for ; len(e) > 0; e = e[len(flow.ID{}):] {
			seen[flow.ID(e[:len(flow.ID{})])] = struct{}{}
		}
	}
	if n == 0 {
		start, _, err := windowing.ParseKey(key)
		if err != nil {
			return nil, fmt.Errorf("dedupe.Exact: %w", err)
		}
		// Without an output timestamp the timer would hold the output watermark, and with it
		// every window downstream, for the whole horizon.
		f.Expire.Set(tp, start.Add(exactBucket).Add(time.Duration(f.HorizonNS)).Std(), timers.WithNoOutputTimestamp())
	}
	f.known[key] = seen
	f.cached += n
	return seen, nil
}

// OnTimer forgets the key: its horizon is over. A runner may call it more than once.
func (f *exactFn) OnTimer(_ context.Context, _ beam.EventTime, sp state.Provider, _ timers.Provider, key string, _ timers.Context, _ func(flow.Batch), _ func(flow.Count)) error {
	delete(f.known, key)
	if err := f.Seen.Clear(sp); err != nil {
		return fmt.Errorf("dedupe.Exact: clearing state: %w", err)
	}
	return nil
}

func (f *exactFn) FinishBundle(_ func(flow.Batch), count func(flow.Count)) error {
	flow.EmitCount(count, "dedupe", "duplicates", f.duplicates)
	flow.EmitCount(count, "dedupe", "unique", f.unique)
	return nil
}
