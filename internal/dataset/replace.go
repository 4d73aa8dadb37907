package dataset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/delivery"
)

// replacedDir has two marks of each replacement: <revision>, which says what it was begun with,
// and <revision>.done.
const replacedDir = "_replaced"

// Replacement is one that was begun in a dataset: records of its revision stand beside older ones
// of the same ids until these are pruned.
type Replacement struct {
	Revision int64
	About    string // what was read again
	Done     bool
}

// MarkReplacement notes a replacement, before its first effect and after its last one. A mark
// that is there stays.
func MarkReplacement(ctx context.Context, dir string, r Replacement) error {
	name := fmt.Sprintf("%s/%d", replacedDir, r.Revision)
	if r.Done {
		name += doneMark
	}
	if err := WriteNote(ctx, dir, name, []byte(r.About)); err != nil && !errors.Is(err, ErrExists) {
		return err
	}
	return nil
}

const doneMark = ".done"

// LastReplacement is the one of the highest revision; the zero one where there was none.
func LastReplacement(ctx context.Context, dir string) (last Replacement, err error) {
	s, err := OpenStore(dir, delivery.Policy{})
	if err != nil {
		return last, err
	}
	marks, err := s.List(ctx, replacedDir)
	if err != nil {
		return last, fmt.Errorf("%s: %w", dir, err)
	}
	for _, m := range marks {
		digits, done := strings.CutSuffix(m.Name, doneMark)
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n < last.Revision {
			continue
		}
		last = Replacement{Revision: n, Done: done || n == last.Revision && last.Done}
	}
	if last.Revision == 0 {
		return last, nil
	}
	b, err := ReadNote(ctx, dir, fmt.Sprintf("%s/%d", replacedDir, last.Revision))
	last.About = string(b)
	return last, err
}

// Columns calls f with the named columns of each row of one shard of a bucket, over all its
// partitions: also of rows that another version has overtaken. The values are f's only until it
// returns.
func (r *Reader[T]) Columns(ctx context.Context, bucket string, shard int, names []string, f func([]flow.Value) error) error {
	cols := make([]column, len(names))
	for i, name := range names {
		c, ok := r.spec.Table.Column(name)
		if !ok {
			return fmt.Errorf("%s: no column %q", r.dir, name)
		}
		cols[i] = column{name, c.Kind}
	}
	paths, err := r.parts(ctx, bucket, shard)
	if err != nil {
		return err
	}
	for _, name := range paths {
		err := func() error {
			file, format, comp, err := openPart(ctx, r.store, name)
			if err != nil {
				return err
			}
			defer file.Close()
			return readColumns(file, format, comp, cols, f)
		}()
		if err != nil {
			return fmt.Errorf("%s/%s: %w", r.dir, name, err)
		}
	}
	return nil
}

// ShardKey is a shard of a bucket as one text, and ParseShardKey reads it.
func ShardKey(bucket string, shard int) string { return fmt.Sprintf("%s %d", bucket, shard) }

// ParseShardKey: see ShardKey.
func ParseShardKey(key string) (bucket string, shard int, err error) {
	if _, err := fmt.Sscanf(key, "%s %d", &bucket, &shard); err != nil {
		return "", 0, fmt.Errorf("shard %q: %w", key, err)
	}
	return bucket, shard, nil
}

// IDSet reads ids that stand one after the other in pieces, 16 bytes each.
func IDSet(next func(*[]byte) bool) map[flow.ID]bool {
	ids := map[flow.ID]bool{}
	var b []byte
	for next(&b) {
		for ; len(b) >= len(flow.ID{}); b = b[len(flow.ID{}):] {
			ids[flow.ID(b[:len(flow.ID{})])] = true
		}
	}
	return ids
}

// Pruned says what Prune did.
type Pruned struct {
	Rows  int64 // that went
	Parts int64 // that were written anew, or went
}

// Prune takes rows out of one shard of a bucket, over all its partitions: those that drop
// names, and those of which a later part of their directory has the same version or a higher
// one. A part that holds such rows is written anew without them, under the next number, and
// then removed. Numbers are never used again: the last part of a directory leaves one, if need
// be without rows.
//
// It is cut off anywhere and run again, or run twice at once, without harm: between the new
// part and the end of the old one rows stand in both, and readers take each id once.
func Prune[T any](ctx context.Context, spec Spec[T], dir, bucket string, shard int, drop func(*T) bool) (Pruned, error) {
	if spec.Version == nil {
		return Pruned{}, errors.New("dataset: Prune of rows without versions")
	}
	r, err := OpenReader(ctx, spec, dir)
	if err != nil {
		return Pruned{}, err
	}
	return r.pruneShard(ctx, bucket, shard, drop)
}

func (r *Reader[T]) pruneShard(ctx context.Context, bucket string, shard int, drop func(*T) bool) (all Pruned, err error) {
	dirs, err := r.dirs(ctx, bucket, shard)
	if err != nil {
		return Pruned{}, err
	}
	for _, d := range dirs {
		p, err := r.prune(ctx, d, drop)
		all.Rows += p.Rows
		all.Parts += p.Parts
		if err != nil {
			return all, fmt.Errorf("%s/%s: %w", r.dir, d, err)
		}
	}
	return all, nil
}

// prune prunes one directory. Whoever prunes it at the same time may take a part away, or the
// next number, first: then it is looked at again.
func (r *Reader[T]) prune(ctx context.Context, dir string, drop func(*T) bool) (all Pruned, err error) {
	for range 1000 {
		p, err := r.pruneOnce(ctx, dir, drop)
		all.Rows += p.Rows
		all.Parts += p.Parts
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrExists) && !errors.Is(err, ErrLostReply) {
			return all, err
		}
		if ctx.Err() != nil {
			return all, context.Cause(ctx)
		}
	}
	return all, errors.New("others wrote and pruned it a thousand times meanwhile")
}

func (r *Reader[T]) pruneOnce(ctx context.Context, dir string, drop func(*T) bool) (p Pruned, err error) {
	parts, next, err := listParts(ctx, r.store, dir)
	if err != nil {
		return p, err
	}
	type place struct {
		part    int
		version int64
	}
	last := map[flow.ID]place{} // the highest version of each id, where it stands last
	for i, o := range parts {
		err := readIDs(ctx, r.store, dir+"/"+o.Name, r.spec.Table.Columns[0].Name, r.spec.VersionColumns, func(id flow.ID, v int64) {
			if have, ok := last[id]; !ok || v >= have.version {
				last[id] = place{i, v}
			}
		})
		if err != nil {
			return p, err
		}
	}
	written := false
	for i, o := range parts {
		name := dir + "/" + o.Name
		var skip []bool
		err := r.readPart(ctx, name, func(row *T) error {
			l := last[r.spec.ID(row)]
			skip = append(skip, drop(row) || l.part > i || l.version > r.spec.Version(row))
			return nil
		})
		if err != nil {
			return p, err
		}
		gone := 0
		for _, s := range skip {
			if s {
				gone++
			}
		}
		if gone == 0 {
			continue
		}
		if gone < len(skip) || i == len(parts)-1 && !written {
			if err := r.rewrite(ctx, name, dir, next, skip); err != nil {
				return p, err
			}
			next++
			written = true
		}
		if err := r.store.Remove(ctx, name); err != nil {
			return p, err
		}
		p.Rows += int64(gone)
		p.Parts++
	}
	return p, nil
}

// rewrite writes the rows of a part that are not skipped as part number to of its directory.
func (r *Reader[T]) rewrite(ctx context.Context, from, dir string, to int, skip []bool) error {
	format, comp, err := formatOf(extensionOf(from))
	if err != nil {
		return err
	}
	staged, err := r.store.Stage(ctx, func(w io.Writer) error {
		e, err := NewEncoder(w, r.spec.Table, format, comp)
		if err != nil {
			return err
		}
		i := 0
		err = r.readPart(ctx, from, func(row *T) error {
			keep := !skip[i]
			if i++; keep {
				return e.Write(row)
			}
			return nil
		})
		if err != nil {
			return err
		}
		return e.Close()
	})
	if err != nil {
		return err
	}
	defer staged.Discard()
	return staged.Commit(ctx, dir+"/"+partName(to, format, comp))
}

// dirs lists the directories of one shard of a bucket: one in each of its partitions.
func (r *Reader[T]) dirs(ctx context.Context, bucket string, shard int) ([]string, error) {
	start, err := parseBucket(bucket, r.length)
	if err != nil {
		return nil, err
	}
	all, err := shardDirs(ctx, r.store, bucketPath(start, r.length), len(r.layout.Partition))
	return slices.DeleteFunc(all, func(d string) bool { k, _ := shardNumber(d); return k != shard }), err
}

// parts lists the parts of one shard of a bucket, over all its partitions.
func (r *Reader[T]) parts(ctx context.Context, bucket string, shard int) (names []string, err error) {
	dirs, err := r.dirs(ctx, bucket, shard)
	if err != nil {
		return nil, err
	}
	for _, d := range dirs {
		parts, _, err := listParts(ctx, r.store, d)
		if err != nil {
			return nil, err
		}
		for _, p := range parts {
			names = append(names, d+"/"+p.Name)
		}
	}
	return names, nil
}

// LoadedByParts says whether load jobs of a store know the dataset's parts one by one, so
// that parts which are written anew would be loaded again.
func LoadedByParts(ctx context.Context, dir string) (bool, error) {
	s, err := OpenStore(dir, delivery.Policy{})
	if err != nil {
		return false, err
	}
	objects, err := s.List(ctx, "")
	return slices.ContainsFunc(objects, func(o Object) bool { return o.Dir && strings.HasPrefix(o.Name, "_bigquery") }), err
}
