package dataset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/flowbeam/flowbeam/internal/delivery"
	"github.com/flowbeam/flowbeam/internal/filesystem"
)

// Store keeps immutable objects by name under one dataset's directory. Names are
// relative and use slashes. Its one strong promise is that of [Staged.Commit]: of two
// writers of one name exactly one succeeds.
type Store interface {
	// List returns what stands directly under a directory; nothing where it is absent.
	List(ctx context.Context, dir string) ([]Object, error)
	// Open opens an object. The error of an absent one is fs.ErrNotExist.
	Open(ctx context.Context, name string) (File, error)
	// Stage has write produce an object under no name yet. Where write or the store fails,
	// nothing of it stays.
	Stage(ctx context.Context, write func(io.Writer) error) (Staged, error)
	// Remove takes an object away; one that is not there is no error.
	Remove(ctx context.Context, name string) error
	// Sweep removes what crashed writers left behind before the given time.
	Sweep(ctx context.Context, before time.Time) error
}

// Object is an entry of a listing.
type Object struct {
	Name     string // the last element of its name
	Dir      bool
	Size     int64
	Modified int64 // nanoseconds: with name and size it tells two objects apart
	// Generation changes with the content, where the store has one.
	Generation int64
}

// File is an open object.
type File interface {
	io.Reader
	io.ReaderAt
	io.Closer
	Size() int64
}

// Staged is an object that has been written in full and has no name yet.
type Staged interface {
	// Commit gives the object its name and makes it durable. ErrExists: the name is taken.
	// ErrLostReply: the store may or may not have done it.
	Commit(ctx context.Context, name string) error
	// SameAs compares the object with a named one, byte by byte.
	SameAs(ctx context.Context, name string) (bool, error)
	Size() int64
	// Discard removes what is left of it. It does not undo Commit.
	Discard()
}

var (
	// ErrExists says that another writer took the name first.
	ErrExists = errors.New("the object exists")
	// ErrLostReply says that the store was asked, and did not answer.
	ErrLostReply = errors.New("the store's reply was lost")
)

// OpenStore opens the store of a dataset's directory: a local path, gs://bucket/prefix or
// s3://bucket/prefix. It sends no request. The policy is for requests to servers; the zero
// one is delivery.DefaultPolicy.
func OpenStore(dir string, p delivery.Policy) (Store, error) {
	if dir == "" {
		return nil, errors.New("the directory of the dataset is empty")
	}
	switch scheme := filesystem.Scheme(dir); scheme {
	case "":
	case "file":
		dir = strings.TrimPrefix(dir, "file://")
	case "gs", "s3":
		return openObjectStore(dir, p)
	default:
		return nil, fmt.Errorf("%s: there is no store %s://: give a local path, gs://bucket/prefix or s3://bucket/prefix", dir, scheme)
	}
	return &localStore{root: dir}, nil
}
