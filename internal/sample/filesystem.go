package sample

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"strings"

	"github.com/flowbeam/flowbeam/internal/filesystem"
)

// URL is the pattern that reads the sample in place, where the files need not be written
// to a disk.
const URL = scheme + "://" + Pattern

const scheme = "sample"

func init() { filesystem.Register(scheme, embedded{}) }

// embedded is the sample as a storage.
type embedded struct{}

func (embedded) Glob(_ context.Context, pattern string) ([]filesystem.Info, error) {
	re, err := filesystem.CompileGlob(pattern)
	if err != nil {
		return nil, err
	}
	var out []filesystem.Info
	err = fs.WalkDir(Files(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !re.MatchString(scheme+"://"+name) {
			return err
		}
		in, err := embedded{}.Stat(context.Background(), name)
		out = append(out, in)
		return err
	})
	return out, err
}

func (embedded) Stat(_ context.Context, path string) (filesystem.Info, error) {
	name := strings.TrimPrefix(path, scheme+"://")
	fi, err := fs.Stat(Files(), name)
	if err != nil {
		return filesystem.Info{}, err
	}
	return filesystem.Info{Path: scheme + "://" + name, Size: fi.Size(), ModTime: modTime(name)}, nil
}

func (embedded) Open(_ context.Context, path string, offset int64) (io.ReadCloser, error) {
	b, err := fs.ReadFile(Files(), strings.TrimPrefix(path, scheme+"://"))
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(b[min(offset, int64(len(b))):])), nil
}
