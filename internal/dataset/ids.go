package dataset

import (
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/flowbeam/flowbeam/flow"
)

// maxIDs bounds the ids that the process remembers, over all datasets; one takes about
// 32 bytes. A shard directory that was forgotten is read again when rows come for it.
const maxIDs = 8 << 20

// idleIDs is how long a shard directory is remembered that no rows come for: a stream leaves its
// buckets behind.
const idleIDs = 5 * time.Minute

var remembered = newIDCache(maxIDs)

// idCache remembers which ids are in which shard directory. Parts are immutable, so what
// was read of one stays true for as long as it is listed.
type idCache struct {
	max   int
	now   func() time.Time
	mu    sync.Mutex
	total int
	order *list.List // of *shardIDs, the least recently used first
	byDir map[string]*list.Element
}

func newIDCache(max int) *idCache {
	return &idCache{max: max, now: time.Now, order: list.New(), byDir: map[string]*list.Element{}}
}

// shardIDs is the set of one shard directory. Its own lock is held while its directory is
// listed and read, so that this happens once for all who need it.
type shardIDs struct {
	key   string
	count int       // as the cache has counted it; under the cache's lock
	used  time.Time // under the cache's lock

	mu       sync.Mutex
	parts    map[Object]bool
	versions map[flow.ID]int64 // where the dataset has versions
	ids      map[flow.ID]struct{}
}

// get finds a directory's set or makes an empty one, which knows no part yet.
func (c *idCache) get(key string, versioned bool) *shardIDs {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	for e := c.order.Front(); e != nil && now.Sub(e.Value.(*shardIDs).used) > idleIDs; e = c.order.Front() {
		c.forget(e)
	}
	if e, ok := c.byDir[key]; ok {
		c.order.MoveToBack(e)
		d := e.Value.(*shardIDs)
		d.used = now
		return d
	}
	d := &shardIDs{key: key, used: now}
	d.clear(versioned)
	c.byDir[key] = c.order.PushBack(d)
	return d
}

// counted tells the cache how large a set has become; it forgets others, the longest
// unused first. Who uses one of them at the moment keeps it until done.
func (c *idCache) counted(d *shardIDs, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byDir[d.key]
	if !ok || e.Value.(*shardIDs) != d {
		return
	}
	c.total += n - d.count
	d.count = n
	for c.total > c.max && c.order.Len() > 0 {
		c.forget(c.order.Front())
	}
}

func (c *idCache) forget(e *list.Element) {
	old := c.order.Remove(e).(*shardIDs)
	delete(c.byDir, old.key)
	c.total -= old.count
}

func (d *shardIDs) clear(versioned bool) {
	d.parts, d.ids, d.versions = map[Object]bool{}, nil, nil
	if versioned {
		d.versions = map[flow.ID]int64{}
	} else {
		d.ids = map[flow.ID]struct{}{}
	}
}

func (d *shardIDs) len() int { return len(d.ids) + len(d.versions) }

// has says whether the row is there already: its id, in this version or a later one.
func (d *shardIDs) has(id flow.ID, version int64) bool {
	if d.versions != nil {
		v, ok := d.versions[id]
		return ok && v >= version
	}
	_, ok := d.ids[id]
	return ok
}

func (d *shardIDs) put(id flow.ID, version int64) {
	if d.versions == nil {
		d.ids[id] = struct{}{}
	} else if v, ok := d.versions[id]; !ok || version > v {
		d.versions[id] = version
	}
}

// refresh reads the ids of the listed parts that are not known yet.
func (d *shardIDs) refresh(ctx context.Context, s Store, dir string, parts []Object, idColumn string, versionColumns []string) error {
	listed := make(map[Object]bool, len(parts))
	for _, p := range parts {
		listed[p] = true
	}
	for p := range d.parts {
		if !listed[p] { // somebody took parts away: what they held is new again
			d.clear(d.versions != nil)
			break
		}
	}
	for _, p := range parts {
		if d.parts[p] {
			continue
		}
		if err := readIDs(ctx, s, dir+"/"+p.Name, idColumn, versionColumns, d.put); err != nil {
			return err
		}
		d.parts[p] = true
	}
	return nil
}

// readIDs reads the id column of a part, and the columns of its version if there are any.
func readIDs(ctx context.Context, s Store, name, idColumn string, versionColumns []string, put func(flow.ID, int64)) error {
	f, format, comp, err := openPart(ctx, s, name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer f.Close()
	cols := []column{{idColumn, flow.KindID}}
	for _, c := range versionColumns {
		cols = append(cols, column{c, flow.KindInt})
	}
	err = readColumns(f, format, comp, cols, func(v []flow.Value) error {
		id, err := flow.ParseID(v[0].Str)
		if err != nil {
			return err
		}
		put(id, versionOf(v[1:]))
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the ids of %s: %w", name, err)
	}
	return nil
}

// versionOf is the version that its columns hold: one, or a rollup's revision and records.
func versionOf(v []flow.Value) int64 {
	switch len(v) {
	case 0:
		return 0
	case 1:
		return v[0].Int
	}
	return flow.RollupVersion(v[0].Int, v[1].Int)
}
