package dataset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/delivery"
	"github.com/flowbeam/flowbeam/internal/filesystem/objectstore"
	"github.com/flowbeam/flowbeam/internal/shard"
)

// Spec says how a type of rows is kept.
type Spec[T any] struct {
	Table *flow.Table[T] // its first column is the id
	ID    func(*T) flow.ID
	Time  func(*T) flow.Time // that gives the bucket; 0 = unknown
	// KeepUnknown puts rows without a time under dt=unknown; else they are rejected.
	KeepUnknown bool
	// Version makes the dataset a set of rows by id of which the highest version counts;
	// VersionColumns hold it. nil: a row once written is never written again.
	Version        func(*T) int64
	VersionColumns []string
	// Init prepares a zero row for reading; nil: it needs nothing.
	Init func(*T)
	// SetDerived reads back derived columns that hold what no other column does.
	SetDerived map[string]func(*T, flow.Value) error
}

// Config is what a run asks of a dataset.
type Config struct {
	Dir          string
	Want         Want
	Format       Format
	Compression  Compression
	FlushRecords int // rows held in memory by one bundle; 0 = 200,000
	FlushBytes   int // bytes held in memory by one bundle; 0 = 64 MiB
	// Retry is for requests to gs:// and s3://; zero = delivery.DefaultPolicy.
	Retry delivery.Policy
}

// The defaults of Config.
const (
	DefaultFlushRecords = 200_000
	DefaultFlushBytes   = 64 << 20
)

// staleTemporary is the age after which a file under _tmp has no writer any more.
const staleTemporary = 24 * time.Hour

// Writer writes rows of one type to one dataset. It is safe for concurrent use; its
// bundles are not.
type Writer[T any] struct {
	spec    Spec[T]
	cfg     Config
	store   Store
	layout  *Layout
	length  time.Duration
	fields  []*flow.Column[T] // partition columns
	ids     *idCache
	idCol   string
	spare   sync.Pool // of stages that were written and emptied
	maxTry  int
	newPart func(dir string, n int) // tests: called before a part is committed
}

// Open opens a dataset for writing: it makes the layout if there is none, or adopts it, or
// says how it differs from what is asked for.
func Open[T any](ctx context.Context, spec Spec[T], cfg Config) (*Writer[T], error) {
	s, err := OpenStore(cfg.Dir, cfg.Retry)
	if err != nil {
		return nil, err
	}
	return open(ctx, s, spec, cfg)
}

func open[T any](ctx context.Context, s Store, spec Spec[T], cfg Config) (*Writer[T], error) {
	if cfg.Compression == "" {
		cfg.Compression = DefaultCompression(cfg.Format)
	}
	if err := ValidateFormat(cfg.Format, cfg.Compression); err != nil {
		return nil, err
	}
	if cfg.FlushRecords <= 0 {
		cfg.FlushRecords = DefaultFlushRecords
	}
	if cfg.FlushBytes <= 0 {
		cfg.FlushBytes = DefaultFlushBytes
	}
	if err := ValidatePartition(spec.Table, cfg.Want.Partition); err != nil {
		return nil, err
	}
	cfg.Want.Table = spec.Table.Name
	l, err := OpenLayout(ctx, s, cfg.Want)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.Dir, err)
	}
	if err := ValidatePartition(spec.Table, l.Partition); err != nil {
		return nil, fmt.Errorf("%s: %s: %w", cfg.Dir, layoutFile, err)
	}
	if err := s.Sweep(ctx, time.Now().Add(-staleTemporary)); err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.Dir, err)
	}
	w := &Writer[T]{spec: spec, cfg: cfg, store: s, layout: l, length: l.bucketLength(), ids: remembered, idCol: spec.Table.Columns[0].Name, maxTry: 1000}
	for _, f := range l.Partition {
		c, _ := spec.Table.Column(f)
		w.fields = append(w.fields, c)
	}
	return w, nil
}

// Stats is what became of the rows that a bundle was given.
type Stats struct {
	New, AlreadyThere int64 // rows
	Parts, Bytes      int64 // written
	// Requests were sent to a server, Retried ones of them again.
	Requests, Retried int64
}

// Bundle collects rows and writes them as parts. It is a set writer: a bundle that runs
// again, whole or in part, changes nothing.
type Bundle[T any] struct {
	w       *Writer[T]
	groups  map[string]*group[T]
	last    *group[T]
	lastKey []byte
	key     []byte
	rows    int
	bytes   int
	stats   Stats
	count   objectstore.Counter
	touched map[flow.Time]bool
}

// group is a bundle's rows of one shard directory.
type group[T any] struct {
	dir      string
	start    flow.Time
	stage    stage[T]
	ids      []flow.ID
	versions []int64
}

// version of row i; zero where the dataset has none.
func (g *group[T]) version(i int) int64 {
	if g.versions == nil {
		return 0
	}
	return g.versions[i]
}

// NewBundle starts a bundle.
func (w *Writer[T]) NewBundle() *Bundle[T] {
	return &Bundle[T]{w: w, groups: map[string]*group[T]{}, touched: map[flow.Time]bool{}}
}

// ErrRejected says that a row cannot be kept here, whatever is tried: it is a dead letter.
var ErrRejected = errors.New("rejected")

// Add takes one row; it keeps nothing of it. It may write what was collected. The error
// of a row that cannot be kept is ErrRejected, and the bundle goes on; any other one ends
// the bundle.
func (b *Bundle[T]) Add(ctx context.Context, row *T) error {
	g, err := b.group(row)
	if err != nil {
		return err
	}
	id := b.w.spec.ID(row)
	before := g.stage.bytes()
	g.stage.add(row)
	g.ids = append(g.ids, id)
	if b.w.spec.Version != nil {
		g.versions = append(g.versions, b.w.spec.Version(row))
	}
	b.bytes += g.stage.bytes() - before + len(id)
	b.rows++
	if b.rows >= b.w.cfg.FlushRecords || b.bytes >= b.w.cfg.FlushBytes {
		return b.Flush(ctx)
	}
	return nil
}

// group finds the group of a row by bucket, shard and partition values.
func (b *Bundle[T]) group(row *T) (*group[T], error) {
	w := b.w
	t := w.spec.Time(row)
	if t == 0 && !w.spec.KeepUnknown {
		return nil, fmt.Errorf("%w: no %s", ErrRejected, w.layout.Time)
	}
	var start flow.Time
	if t != 0 {
		start = t.Truncate(w.length)
	}
	n := shard.Of(w.spec.ID(row), w.layout.Shards)
	key := append(b.key[:0],
		byte(start>>56), byte(start>>48), byte(start>>40), byte(start>>32), byte(start>>24), byte(start>>16), byte(start>>8), byte(start),
		byte(n>>8), byte(n))
	fixed := len(key)
	for _, c := range w.fields {
		key = append(key, '/')
		key = append(key, c.Name...)
		key = append(key, '=')
		v := c.Get(row)
		if v.Kind == 0 {
			key = append(key, NoValue...)
			continue
		}
		text := v.String()
		if err := CheckValue(text); err != nil {
			return nil, fmt.Errorf("%w: partition field %s: %w", ErrRejected, c.Name, err)
		}
		key = append(key, text...)
	}
	b.key = key
	if b.last != nil && string(b.lastKey) == string(key) {
		return b.last, nil
	}
	g := b.groups[string(key)]
	if g == nil {
		st, ok := w.spare.Get().(stage[T])
		if !ok {
			var err error
			if st, err = newStage(w.spec.Table, w.cfg.Format, w.cfg.Compression); err != nil {
				return nil, err
			}
		}
		g = &group[T]{start: start, stage: st,
			dir: shardDir(bucketPath(start, w.length), string(key[fixed:]), n)}
		b.groups[string(key)] = g
		b.touched[start] = true
	}
	b.last, b.lastKey = g, append(b.lastKey[:0], key...)
	return g, nil
}

// Flush writes what was collected. After it all rows that were added are durable.
func (b *Bundle[T]) Flush(ctx context.Context) error {
	ctx = objectstore.WithCounter(ctx, &b.count)
	// In the order of their directories: the same bundle does the same again.
	dirs := make([]*group[T], 0, len(b.groups))
	for _, g := range b.groups {
		dirs = append(dirs, g)
	}
	slices.SortFunc(dirs, func(x, y *group[T]) int { return strings.Compare(x.dir, y.dir) })
	for _, g := range dirs {
		st, err := b.w.commit(ctx, g)
		if err != nil {
			return fmt.Errorf("%s/%s: %w", b.w.cfg.Dir, g.dir, err)
		}
		g.stage.reset()
		b.w.spare.Put(g.stage)
		b.stats.New += st.New
		b.stats.AlreadyThere += st.AlreadyThere
		b.stats.Parts += st.Parts
		b.stats.Bytes += st.Bytes
	}
	clear(b.groups)
	b.last, b.rows, b.bytes = nil, 0, 0
	return nil
}

// Stats of what was flushed.
func (b *Bundle[T]) Stats() Stats {
	st := b.stats
	st.Requests, st.Retried = b.count.Requests.Load(), b.count.Retried.Load()
	return st
}

// Touched names the buckets of the rows that were added, in the order of time.
func (b *Bundle[T]) Touched() []string {
	starts := make([]flow.Time, 0, len(b.touched))
	for t := range b.touched {
		starts = append(starts, t)
	}
	slices.Sort(starts)
	out := make([]string, len(starts))
	for i, t := range starts {
		out[i] = bucketName(t)
	}
	return out
}

// commit makes the group's new rows the next part of their directory.
func (w *Writer[T]) commit(ctx context.Context, g *group[T]) (st Stats, err error) {
	// What is known of a set is ids alone, or versions too.
	known := w.ids.get(fmt.Sprintf("%s\x00%t\x00%s", w.cfg.Dir, w.spec.Version != nil, g.dir), w.spec.Version != nil)
	var staged Staged
	var written []bool // the skip mask that staged was written with
	defer func() {
		if staged != nil {
			staged.Discard()
		}
	}()
	for range w.maxTry {
		if err := ctx.Err(); err != nil {
			return Stats{}, err
		}
		next, skip, fresh, err := w.filter(ctx, known, g)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a part was pruned after it was listed
		}
		if err != nil {
			return Stats{}, err
		}
		if fresh == 0 {
			return Stats{AlreadyThere: int64(len(g.ids))}, nil
		}
		if staged == nil || !slices.Equal(skip, written) {
			if staged != nil {
				staged.Discard()
			}
			if staged, err = w.stagePart(ctx, g, skip); err != nil {
				return Stats{}, err
			}
			written = skip
		}
		if w.newPart != nil {
			w.newPart(g.dir, next)
		}
		name := g.dir + "/" + partName(next, w.cfg.Format, w.cfg.Compression)
		err = staged.Commit(ctx, name)
		if errors.Is(err, ErrLostReply) {
			// It may be there: then it is ours, and these bytes.
			same, serr := staged.SameAs(ctx, name)
			if serr != nil {
				return Stats{}, errors.Join(err, serr)
			}
			if same {
				err = nil
			} else {
				continue
			}
		}
		if errors.Is(err, ErrExists) {
			continue // lost the race: look again at what is there now
		}
		if err != nil {
			return Stats{}, err
		}
		if err := w.remember(ctx, known, g, skip, name); err != nil {
			return Stats{}, err
		}
		return Stats{New: int64(fresh), AlreadyThere: int64(len(g.ids) - fresh), Parts: 1, Bytes: staged.Size()}, nil
	}
	return Stats{}, fmt.Errorf("lost the race for the next part %d times", w.maxTry)
}

func (w *Writer[T]) stagePart(ctx context.Context, g *group[T], skip []bool) (Staged, error) {
	return w.store.Stage(ctx, func(out io.Writer) error {
		f, err := g.stage.begin(out)
		if err != nil {
			return err
		}
		if !slices.Contains(skip, true) {
			skip = nil // all rows, which is quicker to write
		}
		if err := g.stage.writeTo(f, skip); err != nil {
			return err
		}
		return f.close()
	})
}

// filter lists the directory and says which rows of the group are in it already, or
// come again within the group. next is the number of the next part.
func (w *Writer[T]) filter(ctx context.Context, known *shardIDs, g *group[T]) (next int, skip []bool, fresh int, err error) {
	known.mu.Lock()
	defer known.mu.Unlock()
	// Listed under the lock: another bundle of this process puts what it wrote into the set
	// after it has written it, so the set never knows a part that is not listed.
	parts, next, err := listParts(ctx, w.store, g.dir)
	if err != nil {
		return 0, nil, 0, err
	}
	if len(parts) > 0 || len(known.parts) > 0 {
		if err := known.refresh(ctx, w.store, g.dir, parts, w.idCol, w.spec.VersionColumns); err != nil {
			return 0, nil, 0, err
		}
		w.ids.counted(known, known.len())
	}
	skip = make([]bool, len(g.ids))
	inGroup := make(map[flow.ID]int, len(g.ids))
	for i, id := range g.ids {
		version := g.version(i)
		if known.has(id, version) {
			skip[i] = true
			continue
		}
		if j, ok := inGroup[id]; ok {
			if g.versions == nil || g.versions[j] >= version {
				skip[i] = true
				continue
			}
			skip[j] = true
			fresh--
		}
		inGroup[id] = i
		fresh++
	}
	return next, skip, fresh, nil
}

// remember puts the rows of a part that was just written into the set, and the part with
// them, so that it need not be read again.
func (w *Writer[T]) remember(ctx context.Context, known *shardIDs, g *group[T], skip []bool, name string) error {
	known.mu.Lock()
	defer known.mu.Unlock()
	parts, _, err := listParts(ctx, w.store, g.dir)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(parts, func(o Object) bool { return g.dir+"/"+o.Name == name })
	if i < 0 || known.parts[parts[i]] {
		return nil // taken away already, or read by another bundle in between
	}
	known.parts[parts[i]] = true
	for i, id := range g.ids {
		if !skip[i] {
			known.put(id, g.version(i))
		}
	}
	w.ids.counted(known, known.len())
	return nil
}

// listParts lists a shard directory's parts in the order of their numbers.
func listParts(ctx context.Context, s Store, dir string) (parts []Object, next int, err error) {
	objects, err := s.List(ctx, dir)
	if err != nil {
		return nil, 0, err
	}
	next = 1
	for _, o := range objects {
		n, _, ok := parsePart(o.Name)
		if !ok || o.Dir {
			continue
		}
		parts = append(parts, o)
		next = max(next, n+1)
	}
	slices.SortFunc(parts, func(a, b Object) int {
		n, _, _ := parsePart(a.Name)
		m, _, _ := parsePart(b.Name)
		if n != m {
			return n - m
		}
		return strings.Compare(a.Name, b.Name)
	})
	return parts, next, nil
}
