package dataset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/delivery"
)

// Reader reads a dataset's parts back, of all formats.
type Reader[T any] struct {
	spec   Spec[T]
	dir    string
	store  Store
	layout *Layout
	length time.Duration
}

// OpenReader opens a dataset for reading. The error of a directory that holds none is
// fs.ErrNotExist.
func OpenReader[T any](ctx context.Context, spec Spec[T], dir string) (*Reader[T], error) {
	s, err := OpenStore(dir, delivery.Policy{})
	if err != nil {
		return nil, err
	}
	l, err := ReadLayout(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	if l.Table != spec.Table.Name {
		return nil, fmt.Errorf("%s: the dataset holds %q, not %q", dir, l.Table, spec.Table.Name)
	}
	return &Reader[T]{spec: spec, dir: dir, store: s, layout: l, length: l.bucketLength()}, nil
}

// Buckets lists the buckets that have parts, in the order of time, as Bundle.Touched
// names them. A directory without a dataset has none.
func Buckets(ctx context.Context, dir string) ([]string, error) {
	s, err := OpenStore(dir, delivery.Policy{})
	if err != nil {
		return nil, err
	}
	l, err := ReadLayout(ctx, s)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	length := l.bucketLength()
	formats := []string{"dt=2006-01-02"}
	if length < 24*time.Hour {
		formats = append(formats, "hour=15")
	}
	if length < time.Hour {
		formats = append(formats, "minute=04")
	}
	var out []string
	var walk func(path string, depth int) error
	walk = func(path string, depth int) error {
		if depth == len(formats) || path == "dt="+Unknown {
			shards, err := shardDirs(ctx, s, path, len(l.Partition))
			if err != nil {
				return err
			}
			for _, d := range shards {
				parts, _, err := listParts(ctx, s, d)
				if err != nil {
					return err
				}
				if len(parts) == 0 {
					continue
				}
				if path == "dt="+Unknown {
					out = append(out, Unknown)
					return nil
				}
				t, err := time.Parse(strings.Join(formats, "/"), path)
				if err != nil {
					return nil // not a bucket: not ours
				}
				out = append(out, t.Format(time.RFC3339))
				return nil
			}
			return nil
		}
		prefix, _, _ := strings.Cut(formats[depth], "=")
		objects, err := s.List(ctx, path)
		if err != nil {
			return err
		}
		for _, o := range objects {
			if !o.Dir || !strings.HasPrefix(o.Name, prefix+"=") {
				continue
			}
			next := o.Name
			if path != "" {
				next = path + "/" + o.Name
			}
			if err := walk(next, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	if err := walk("", 0); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	slices.Sort(out)
	return out, nil
}

// shardDirs lists the shard directories below a bucket, through its partitions.
func shardDirs(ctx context.Context, s Store, path string, partitions int) ([]string, error) {
	objects, err := s.List(ctx, path)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, o := range objects {
		if !o.Dir {
			continue
		}
		if partitions == 0 {
			if _, ok := shardNumber(o.Name); ok {
				out = append(out, path+"/"+o.Name)
			}
			continue
		}
		below, err := shardDirs(ctx, s, path+"/"+o.Name, partitions-1)
		if err != nil {
			return nil, err
		}
		out = append(out, below...)
	}
	slices.Sort(out)
	return out, nil
}

func shardNumber(path string) (int, bool) {
	n, ok := strings.CutPrefix(path[strings.LastIndexByte(path, '/')+1:], "shard-")
	if !ok {
		return 0, false
	}
	k, err := strconv.Atoi(n)
	return k, err == nil && k >= 0 && k < maxShards
}

// Shards lists the shards that a bucket of a dataset has, over all its partitions. table
// is what the dataset should hold. A directory without a dataset has none.
func Shards(ctx context.Context, dir, table, bucket string) ([]int, error) {
	s, err := OpenStore(dir, delivery.Policy{})
	if err != nil {
		return nil, err
	}
	l, err := ReadLayout(ctx, s)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	if l.Table != table {
		return nil, fmt.Errorf("%s: the dataset holds %q, not %q", dir, l.Table, table)
	}
	start, err := parseBucket(bucket, l.bucketLength())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	dirs, err := shardDirs(ctx, s, bucketPath(start, l.bucketLength()), len(l.Partition))
	if err != nil {
		return nil, err
	}
	var out []int
	for _, d := range dirs {
		if k, _ := shardNumber(d); !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out, nil
}

// Read calls f for each row of one shard of a bucket, over all its partitions: each id
// once. f must not keep the row. Of a dataset with versions it is the row of the highest
// one; else the first in the order of the paths (one id stands in two partitions only if
// a record came again with another value in a partition field).
func (r *Reader[T]) Read(ctx context.Context, bucket string, shard int, f func(*T) error) error {
	names, err := r.parts(ctx, bucket, shard)
	if err != nil {
		return err
	}
	best := map[flow.ID]int64{} // the highest version
	if r.spec.Version != nil {
		for _, n := range names {
			err := readIDs(ctx, r.store, n, r.spec.Table.Columns[0].Name, r.spec.VersionColumns, func(id flow.ID, v int64) {
				if b, ok := best[id]; !ok || v > b {
					best[id] = v
				}
			})
			if err != nil {
				return fmt.Errorf("%s: %w", r.dir, err)
			}
		}
	}
	seen := map[flow.ID]struct{}{}
	for _, n := range names {
		err := r.readPart(ctx, n, func(row *T) error {
			id := r.spec.ID(row)
			if _, ok := seen[id]; ok {
				return nil
			}
			if r.spec.Version != nil && r.spec.Version(row) != best[id] {
				return nil
			}
			seen[id] = struct{}{}
			return f(row)
		})
		if err != nil {
			return fmt.Errorf("%s/%s: %w", r.dir, n, err)
		}
	}
	return nil
}

// openPart opens a part, of the format that its name says.
func openPart(ctx context.Context, s Store, name string) (file File, format Format, comp Compression, err error) {
	if format, comp, err = formatOf(extensionOf(name)); err == nil {
		file, err = s.Open(ctx, name)
	}
	return file, format, comp, err
}

func (r *Reader[T]) readPart(ctx context.Context, name string, f func(*T) error) error {
	file, format, comp, err := openPart(ctx, r.store, name)
	if err != nil {
		return err
	}
	defer file.Close()
	n := 0
	return readRows(file, r.spec, format, comp, func(row *T) error {
		if n++; n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		return f(row)
	})
}
