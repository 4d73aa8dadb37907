package dataset

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// tmpDir is beside the parts, so that link(2) stays on one filesystem.
const tmpDir = "_tmp"

// localStore is a directory. Commit is link(2), which fails if the name exists, also over
// NFS, where rename would replace it in silence.
type localStore struct {
	root string
	// fault, in tests, makes the store fail at a point: written, linked, replied, removed.
	fault func(point string) error
}

func (s *localStore) at(point string) error {
	if s.fault == nil {
		return nil
	}
	return s.fault(point)
}

func (s *localStore) path(name string) string { return filepath.Join(s.root, filepath.FromSlash(name)) }

func (s *localStore) List(_ context.Context, dir string) ([]Object, error) {
	entries, err := os.ReadDir(s.path(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := make([]Object, 0, len(entries))
	for _, e := range entries {
		o := Object{Name: e.Name(), Dir: e.IsDir()}
		if !o.Dir {
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, err
			}
			o.Size, o.Modified = info.Size(), info.ModTime().UnixNano()
		}
		out = append(out, o)
	}
	return out, nil
}

type localFile struct {
	*os.File
	size int64
}

func (f localFile) Size() int64 { return f.size }

func (s *localStore) Open(_ context.Context, name string) (File, error) {
	f, err := os.Open(s.path(name))
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	return localFile{f, info.Size()}, nil
}

func (s *localStore) Stage(_ context.Context, write func(io.Writer) error) (_ Staged, err error) {
	dir := s.path(tmpDir)
	if err := mkdirAll(dir); err != nil {
		return nil, err
	}
	var random [12]byte
	rand.Read(random[:]) // never fails
	path := filepath.Join(dir, hex.EncodeToString(random[:]))
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(path)
		}
	}()
	cw := &countWriter{w: f}
	if err := write(cw); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	if err := s.at("written"); err != nil {
		return nil, err
	}
	return &localStaged{s: s, tmp: path, size: cw.n}, nil
}

func (s *localStore) Remove(_ context.Context, name string) error {
	path := s.path(name)
	if err := os.Remove(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	if err := s.at("removed"); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func (s *localStore) Sweep(_ context.Context, before time.Time) error {
	entries, err := os.ReadDir(s.path(tmpDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		info, ierr := e.Info()
		if ierr != nil || !info.ModTime().Before(before) {
			continue
		}
		if rerr := os.Remove(filepath.Join(s.path(tmpDir), e.Name())); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
	}
	return err
}

type localStaged struct {
	s    *localStore
	tmp  string
	size int64
}

func (l *localStaged) Size() int64 { return l.size }
func (l *localStaged) Discard()    { os.Remove(l.tmp) }

func (l *localStaged) Commit(_ context.Context, name string) error {
	path := l.s.path(name)
	if err := mkdirAll(filepath.Dir(path)); err != nil {
		return err
	}
	if err := os.Link(l.tmp, path); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s: %w", path, ErrExists)
		}
		return err
	}
	if err := l.s.at("linked"); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return err
	}
	if err := l.s.at("replied"); err != nil {
		return err
	}
	os.Remove(l.tmp) // what stays is swept later
	return nil
}

func (l *localStaged) SameAs(_ context.Context, name string) (bool, error) {
	a, err := os.Open(l.tmp)
	if err != nil {
		return false, err
	}
	defer a.Close()
	b, err := os.Open(l.s.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer b.Close()
	bufA, bufB := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, errA := io.ReadFull(a, bufA)
		m, errB := io.ReadFull(b, bufB)
		if !bytes.Equal(bufA[:n], bufB[:m]) {
			return false, nil
		}
		if errA != nil || errB != nil {
			endA := errA == io.EOF || errA == io.ErrUnexpectedEOF
			endB := errB == io.EOF || errB == io.ErrUnexpectedEOF
			if endA && endB {
				return true, nil
			}
			if errA != nil && !endA {
				return false, errA
			}
			if errB != nil && !endB {
				return false, errB
			}
			return false, nil
		}
	}
}

// mkdirAll makes a directory and those above it, and makes each new name durable: a part
// must not vanish with its directory in a power cut.
func mkdirAll(dir string) error {
	if info, err := os.Stat(dir); err == nil {
		if !info.IsDir() {
			return fmt.Errorf("%s is not a directory", dir)
		}
		return nil
	}
	parent := filepath.Dir(dir)
	if parent == dir {
		return fmt.Errorf("%s: %w", dir, fs.ErrNotExist)
	}
	if err := mkdirAll(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

type countWriter struct {
	w io.Writer
	n int64
}

func (c *countWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
