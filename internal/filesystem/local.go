package filesystem

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// local is the disks that the operating system has mounted. Paths may be written as
// file:// URLs.
type local struct{}

func trim(path string) string { return strings.TrimPrefix(path, "file://") }

func (l local) Glob(ctx context.Context, pattern string) ([]Info, error) {
	if !HasMeta(pattern) {
		in, err := l.Stat(ctx, pattern)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return []Info{in}, nil
	}
	scheme, pattern := pattern[:len(pattern)-len(trim(pattern))], trim(pattern)
	re, err := CompileGlob(pattern)
	if err != nil {
		return nil, err
	}
	if !strings.Contains(pattern, "**") {
		return globOneLevel(ctx, l, scheme, pattern)
	}
	root := Fixed(pattern)
	start := filepath.Clean(root) // "" is "."
	var out []Info
	err = filepath.WalkDir(start, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if path == start && errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		if err := ctx.Err(); err != nil || d.IsDir() {
			return err
		}
		// The path as the pattern would spell it.
		rel, err := filepath.Rel(start, path)
		if err != nil {
			return err
		}
		name := root + filepath.ToSlash(rel)
		if !re.MatchString(name) {
			return nil
		}
		return appendFile(ctx, l, &out, scheme+name)
	})
	if err != nil {
		return nil, fmt.Errorf("glob %q: %w", pattern, err)
	}
	sortInfos(out)
	return out, nil
}

func globOneLevel(ctx context.Context, l local, scheme, pattern string) ([]Info, error) {
	names, err := filepath.Glob(strings.ReplaceAll(pattern, "[!", "[^"))
	if err != nil {
		return nil, fmt.Errorf("glob %q: %w", pattern, err)
	}
	var out []Info
	for _, n := range names {
		if err := appendFile(ctx, l, &out, scheme+n); err != nil {
			return nil, err
		}
	}
	sortInfos(out)
	return out, nil
}

// appendFile adds the file unless it is a directory, a device or gone since the listing.
func appendFile(ctx context.Context, l local, out *[]Info, path string) error {
	in, err := l.Stat(ctx, path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.EISDIR), errors.Is(err, fs.ErrInvalid):
		return nil
	case err != nil:
		return err
	}
	*out = append(*out, in)
	return nil
}

func sortInfos(in []Info) {
	slices.SortFunc(in, func(a, b Info) int { return strings.Compare(a.Path, b.Path) })
}

func (local) Stat(_ context.Context, path string) (Info, error) {
	st, err := os.Stat(trim(path))
	if err != nil {
		return Info{}, err
	}
	switch {
	case st.IsDir():
		return Info{}, &fs.PathError{Op: "read", Path: path, Err: syscall.EISDIR}
	case !st.Mode().IsRegular():
		// A named pipe or a device has no size and can't be read twice.
		return Info{}, fmt.Errorf("%s is no regular file: %w", path, fs.ErrInvalid)
	}
	return Info{Path: path, Size: st.Size(), ModTime: st.ModTime()}, nil
}

func (local) Open(_ context.Context, path string, offset int64) (io.ReadCloser, error) {
	f, err := os.Open(trim(path))
	if err != nil {
		return nil, err
	}
	if offset != 0 {
		if _, err := f.Seek(offset, io.SeekStart); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return f, nil
}
