// Package filesystem reads files by path or URL: the one place that knows the storages.
// A storage is registered under its URL scheme; a path without a scheme is local.
package filesystem

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Info says what there is to know of a file without reading it.
type Info struct {
	Path    string // as it is given to Open
	Size    int64  // bytes as stored
	ModTime time.Time
	// Generation changes whenever the content does, where the storage has such a number;
	// zero elsewhere, as on local disks.
	Generation int64
}

// FS is the read side of a storage. Its methods may be called by many goroutines.
type FS interface {
	// Glob returns the files that match the pattern, sorted by path. * and ? stay within a
	// path element, [a-z] is a class, and ** as a whole element stands for any number of
	// them. A pattern without any of these names one file. Directories don't match. No
	// match is an empty result and no error.
	Glob(ctx context.Context, pattern string) ([]Info, error)
	// Stat describes one file. The error is fs.ErrNotExist where there is none.
	Stat(ctx context.Context, path string) (Info, error)
	// Open reads a file from a byte offset on.
	Open(ctx context.Context, path string, offset int64) (io.ReadCloser, error)
}

var (
	mu      sync.RWMutex
	schemes = map[string]FS{"": local{}, "file": local{}}
)

// Register makes a storage known by its URL scheme, such as "gs". It panics on a scheme
// that is taken.
func Register(scheme string, f FS) {
	mu.Lock()
	defer mu.Unlock()
	if _, ok := schemes[scheme]; ok {
		panic(fmt.Sprintf("filesystem.Register: the scheme %q is taken", scheme))
	}
	schemes[scheme] = f
}

// For returns the storage of a path or URL, or an error that names the schemes there are.
func For(path string) (FS, error) {
	scheme := Scheme(path)
	mu.RLock()
	defer mu.RUnlock()
	if f, ok := schemes[scheme]; ok {
		return f, nil
	}
	var known []string
	for s := range schemes {
		if s != "" {
			known = append(known, s+"://")
		}
	}
	slices.Sort(known)
	return nil, fmt.Errorf("%s: no storage for %s://; known are local paths and %s", path, scheme, strings.Join(known, ", "))
}

// Scheme returns a URL's scheme, or "" for a path without one.
func Scheme(path string) string {
	if i := strings.Index(path, "://"); i > 0 && !strings.ContainsAny(path[:i], `/\*?[`) {
		return path[:i]
	}
	return ""
}

// Permanent says whether trying again can't help: the file is not there, is a directory
// or may not be read. All other errors may be the network's or the disk's mood.
func Permanent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) ||
		errors.Is(err, fs.ErrInvalid) || errors.Is(err, syscall.EISDIR)
}
