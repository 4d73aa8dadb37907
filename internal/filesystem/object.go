package filesystem

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/flowbeam/flowbeam/internal/delivery"
	"github.com/flowbeam/flowbeam/internal/filesystem/objectstore"
)

// readPolicy is how long a read tries before the runner has to.
var readPolicy = delivery.Policy{Base: 200 * time.Millisecond, Cap: 10 * time.Second, Deadline: 2 * time.Minute, Auth: time.Minute}

// object is a store of objects: gs:// or s3://. Its paths are URLs scheme://bucket/key, with
// the key as it is, without percent signs of its own.
type object struct{}

func init() {
	for _, scheme := range objectstore.Schemes {
		Register(scheme, object{})
	}
}

// bucket opens the bucket of a URL.
func (object) bucket(url string) (b *objectstore.Bucket, base, key string, err error) {
	scheme, name, key, err := objectstore.Split(url)
	if err != nil {
		return nil, "", "", fmt.Errorf("%w: %w", err, fs.ErrInvalid)
	}
	b, err = objectstore.Open(scheme, name, readPolicy)
	return b, scheme + "://" + name + "/", key, err
}

// Glob lists all that begins like the pattern up to its first special character, 1,000
// objects a request, and picks what matches. The bucket's name has no special characters.
func (o object) Glob(ctx context.Context, pattern string) ([]Info, error) {
	if !HasMeta(pattern) {
		in, err := o.Stat(ctx, pattern)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return []Info{in}, nil
	}
	b, base, key, err := o.bucket(pattern)
	if err != nil {
		return nil, err
	}
	re, err := CompileGlob(pattern)
	if err != nil {
		return nil, err
	}
	var out []Info
	err = b.List(ctx, key[:strings.IndexAny(key, `*?[`)], "", func(in objectstore.Info) {
		if re.MatchString(base + in.Key) {
			out = append(out, infoOf(base, in))
		}
	}, nil)
	if err != nil {
		return nil, err
	}
	sortInfos(out)
	return out, nil
}

func infoOf(base string, in objectstore.Info) Info {
	return Info{Path: base + in.Key, Size: in.Size, ModTime: in.Modified, Generation: in.Generation}
}

func (o object) Stat(ctx context.Context, path string) (Info, error) {
	b, base, key, err := o.bucket(path)
	if err != nil {
		return Info{}, err
	}
	if key == "" || strings.HasSuffix(key, "/") {
		return Info{}, fmt.Errorf("%s names no object: %w", path, fs.ErrInvalid)
	}
	in, err := b.Stat(ctx, key)
	return infoOf(base, in), err
}

// Open sends one request; closing before the end ends it. A connection that breaks is made
// again where it broke.
func (o object) Open(ctx context.Context, path string, offset int64) (io.ReadCloser, error) {
	b, _, key, err := o.bucket(path)
	if err != nil {
		return nil, err
	}
	return b.Reader(ctx, key, offset)
}
