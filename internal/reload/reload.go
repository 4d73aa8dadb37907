// Package reload keeps values that are made of files: a GeoIP database, a prefix table.
//
// A file is loaded once in a process, however many DoFn instances want it, and again when
// it changes. Who holds a value keeps it whole: a published value is never modified, and a
// newer one takes its place behind an atomic pointer.
//
// A file is read into memory and never mapped: a mapped file that somebody truncates kills
// the process with SIGBUS, which Go can't recover from.
package reload

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/log"

	"github.com/flowbeam/flowbeam/internal/metrics"
)

// DefaultEvery is how often a file is looked at, unless the caller says otherwise.
const DefaultEvery = 10 * time.Second

// racy is the age below which a file's modification time proves nothing: a second write in
// the same tick of the file system's clock leaves size and time as they were. Such a file
// is read once more when it has grown older.
const racy = 2 * time.Second

// File is a value of type T made of one file. It is safe for concurrent use.
type File[T any] struct {
	kind, path string
	parse      func([]byte) (T, error)

	current atomic.Pointer[T]
	polled  atomic.Int64 // when the file was last looked at, Unix nanoseconds

	mu      sync.Mutex // held while the file is looked at; guards the rest
	loaded  stamp      // of the file as it was when last read, well or ill
	sum     [sha256.Size]byte
	recheck bool   // loaded was racy
	pending stamp  // of a change that was seen once
	failure string // the last error, so that it is said once
}

var (
	filesMu sync.Mutex
	files   = map[[2]string]*slot{}
)

// slot lets one goroutine load a file while others of the same file wait for it.
type slot struct {
	mu   sync.Mutex
	file any // *File[T], nil until it was loaded
}

// Open returns the process's value of the file at path, loading it where this is the first
// call for (kind, path). kind names what is made of it, one name for each type T: it is
// the namespace of the counters too. parse verifies the bytes and makes the value; it may
// keep them. An error names path and cause, and is not remembered: the next Open tries
// again. Values stay for the life of the process.
func Open[T any](kind, path string, parse func([]byte) (T, error)) (*File[T], error) {
	filesMu.Lock()
	key := [2]string{kind, path}
	s := files[key]
	if s == nil {
		s = &slot{}
		files[key] = s
	}
	filesMu.Unlock()

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file != nil {
		f, ok := s.file.(*File[T])
		if !ok {
			return nil, fmt.Errorf("%s: %s is already open as %T", kind, path, s.file)
		}
		return f, nil
	}
	f := &File[T]{kind: kind, path: path, parse: parse}
	if err := f.load(); err != nil {
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	f.polled.Store(time.Now().UnixNano())
	s.file = f
	return f, nil
}

// Get returns the value now in force. It costs one atomic read.
func (f *File[T]) Get() *T { return f.current.Load() }

// Poll looks whether the file changed, at most once in every interval, and publishes the
// new value. Call it from StartBundle. While one caller loads a file, others go on with the
// value they have.
//
// A changed file is read when two looks in a row saw it alike, so that a file which is
// being written is left in peace. One that can't be read or doesn't verify leaves the old
// value in force, and is logged once for each change. Both outcomes are counted: reload
// and reload_failed in the namespace of kind.
func (f *File[T]) Poll(ctx context.Context, every time.Duration) {
	now := time.Now().UnixNano()
	last := f.polled.Load()
	if now-last < int64(every) || !f.polled.CompareAndSwap(last, now) || !f.mu.TryLock() {
		return
	}
	defer f.mu.Unlock()
	switch changed, err := f.look(); {
	case err != nil:
		beam.NewCounter(f.kind, "reload_failed").Inc(ctx, 1)
		metrics.Event(f.kind, "reload_failed", 1)
		log.Errorf(ctx, "%s: keeping the old edition: %v", f.kind, err)
	case changed:
		beam.NewCounter(f.kind, "reload").Inc(ctx, 1)
		metrics.Event(f.kind, "reload", 1)
		log.Infof(ctx, "%s: loaded a new edition of %s", f.kind, f.path)
	}
}

// look compares the file with what was loaded. It returns an error once for each change.
func (f *File[T]) look() (changed bool, err error) {
	st, err := statFile(f.path)
	if err != nil {
		return false, f.once(err)
	}
	if st == f.loaded {
		f.pending, f.failure = stamp{}, ""
		if !f.recheck || st.racy() {
			return false, nil
		}
	} else if st != f.pending {
		f.pending = st
		return false, nil
	}
	before := f.current.Load()
	if err := f.load(); err != nil {
		return false, f.once(err)
	}
	f.failure = ""
	return f.current.Load() != before, nil
}

// once passes an error on unless it is the one that was passed on last.
func (f *File[T]) once(err error) error {
	if errors.Is(err, errMoving) || f.failure == err.Error() {
		return nil // a file that moves is looked at again
	}
	f.failure = err.Error()
	return err
}

// load reads, verifies and publishes. A file with the same content as before is not
// published anew, and a bad one is not reported again.
func (f *File[T]) load() error {
	data, st, err := readFile(f.path)
	if err != nil {
		return err
	}
	f.loaded, f.recheck, f.pending = st, st.racy(), stamp{}
	sum := sha256.Sum256(data)
	if sum == f.sum {
		return nil
	}
	f.sum = sum
	v, err := f.parse(data)
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	f.current.Store(&v)
	return nil
}
