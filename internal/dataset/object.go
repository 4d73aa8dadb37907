package dataset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/flowbeam/flowbeam/internal/delivery"
	"github.com/flowbeam/flowbeam/internal/filesystem/objectstore"
)

// objectStore is a prefix in a bucket. What is staged is on this machine, and Commit
// uploads it to its name with the precondition that there is none. Nothing is ever uploaded
// under another name: a copy or a compose to the final one would be a second request that
// may fail, and what it leaves behind would have to be found again.
type objectStore struct {
	bucket *objectstore.Bucket
	prefix string // without a slash at its end; "" is the whole bucket
}

func openObjectStore(url string, p delivery.Policy) (*objectStore, error) {
	scheme, name, key, err := objectstore.Split(url)
	if err != nil {
		return nil, err
	}
	if key, err = objectstore.Prefix(key); err != nil {
		return nil, fmt.Errorf("%s://%s/…: %w", scheme, name, err)
	}
	if p == (delivery.Policy{}) {
		p = delivery.DefaultPolicy
	}
	b, err := objectstore.Open(scheme, name, p)
	if err != nil {
		return nil, err
	}
	return &objectStore{b, key}, nil
}

func (s *objectStore) List(ctx context.Context, dir string) ([]Object, error) {
	prefix := s.prefix
	if dir != "" {
		var err error
		if prefix, err = objectstore.Join(s.prefix, dir); err != nil {
			return nil, err
		}
	}
	if prefix != "" {
		prefix += "/"
	}
	var out []Object
	err := s.bucket.List(ctx, prefix, "/", func(in objectstore.Info) {
		out = append(out, Object{Name: in.Key[len(prefix):], Size: in.Size, Modified: in.Modified.UnixNano(), Generation: in.Generation})
	}, func(dir string) {
		out = append(out, Object{Name: dir[len(prefix) : len(dir)-1], Dir: true})
	})
	return out, err
}

func (s *objectStore) Open(ctx context.Context, name string) (File, error) {
	key, err := objectstore.Join(s.prefix, name)
	if err != nil {
		return nil, err
	}
	r, err := s.bucket.Reader(ctx, key, 0)
	if err != nil {
		return nil, err
	}
	return &objectFile{r: r}, nil
}

// objectFile reads an object from its start to its end. Who reads at offsets, as Parquet
// does, has it fetched whole first: the checksum is one of the whole object, a request for
// each column of each page would take longer, and a part is not larger than what one bundle
// held in memory.
type objectFile struct {
	r     *objectstore.Reader
	whole *objectstore.Spool
}

func (f *objectFile) Size() int64 { return f.r.Info().Size }

func (f *objectFile) Read(p []byte) (int, error) { return f.r.Read(p) }

func (f *objectFile) ReadAt(p []byte, off int64) (int, error) {
	if f.whole == nil {
		s := objectstore.NewSpool()
		if _, err := io.Copy(s, f.r); err != nil {
			s.Close()
			return 0, err
		}
		f.whole = s
	}
	return f.whole.ReadAt(p, off)
}

func (f *objectFile) Close() error {
	if f.whole != nil {
		f.whole.Close()
	}
	return f.r.Close()
}

func (s *objectStore) Stage(_ context.Context, write func(io.Writer) error) (Staged, error) {
	sp := objectstore.NewSpool()
	if err := write(sp); err != nil {
		sp.Close()
		return nil, err
	}
	return &objectStaged{s, sp}, nil
}

func (s *objectStore) Remove(ctx context.Context, name string) error {
	key, err := objectstore.Join(s.prefix, name)
	if err != nil {
		return err
	}
	return s.bucket.Remove(ctx, key)
}

// Sweep: spools go with their process. What S3 keeps of uploads that never ended is removed.
func (s *objectStore) Sweep(ctx context.Context, before time.Time) error {
	return s.bucket.Sweep(ctx, s.prefix, before)
}

type objectStaged struct {
	s     *objectStore
	spool *objectstore.Spool
}

func (o *objectStaged) Size() int64 { return o.spool.Size() }
func (o *objectStaged) Discard()    { o.spool.Close() }

// Commit never returns ErrLostReply: an upload is repeated until it is known what became of
// it, or fails.
func (o *objectStaged) Commit(ctx context.Context, name string) error {
	key, err := objectstore.Join(o.s.prefix, name)
	if err != nil {
		return err
	}
	err = o.s.bucket.Create(ctx, key, o.spool)
	if errors.Is(err, objectstore.ErrExists) {
		return fmt.Errorf("%s: %w", name, ErrExists)
	}
	return err
}

// SameAs says whether the named object was made of this one: by its writer, which is in its
// metadata.
func (o *objectStaged) SameAs(ctx context.Context, name string) (bool, error) {
	key, err := objectstore.Join(o.s.prefix, name)
	if err != nil {
		return false, err
	}
	in, err := o.s.bucket.Stat(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && in.Writer == o.spool.Writer() && in.Size == o.spool.Size(), err
}
