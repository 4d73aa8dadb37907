// Package objectstore is what the dataset and the filesystem know of Google Cloud Storage
// (gs://) and of S3 and what speaks its protocol (s3://): listing, reading with
// verification, and creating an object that is not there yet, with retries.
//
// Clients find their endpoint and credentials where each platform's tools do: Application
// Default Credentials and STORAGE_EMULATOR_HOST for gs://; AWS's environment, files and
// roles for s3://, with AWS_ENDPOINT_URL_S3 (then with the bucket in the path) and
// AWS_REGION. Nothing of them is ever part of a URL or of an error.
package objectstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync/atomic"
	"time"

	"github.com/flowbeam/flowbeam/internal/delivery"
)

// Info is what a store knows of an object.
type Info struct {
	Key      string // within the bucket
	Size     int64  // bytes as stored
	Modified time.Time
	// Generation changes with the content: the store's number, or one made of Tag.
	Generation int64
	Tag        string // S3's ETag; empty for GCS

	CRC    uint32 // CRC32C of the whole object, where HasCRC
	HasCRC bool
	Writer string // of the Spool that it was created from, or ""
}

// ErrExists says that an object of another writer has the key.
var ErrExists = errors.New("the object exists")

// errTaken is a store's answer that the precondition does not hold. It may be our own
// object, of a try whose reply was lost.
var errTaken = errors.New("precondition failed: the object exists")

// api is one kind of store: single requests, without retries. Errors are marked as
// package delivery wants them; that of a key that is not there is fs.ErrNotExist.
type api interface {
	// page lists up to 1,000 keys with the prefix; with a delimiter, what follows it is
	// given once, as a prefix. next is empty at the end.
	page(ctx context.Context, bucket, prefix, delimiter, token string) (objects []Info, prefixes []string, next string, err error)
	stat(ctx context.Context, bucket, key string) (Info, error)
	// get reads from an offset to the end; of exactly the object that of says, where that has
	// a Generation.
	get(ctx context.Context, bucket, key string, offset int64, of Info) (*body, error)
	// put creates the object if none has the key; errTaken.
	put(ctx context.Context, b *Bucket, key string, s *Spool) error
	// remove takes an object away; one that is not there is no error.
	remove(ctx context.Context, bucket, key string) error
	// sweep removes uploads that were begun before the time and never ended.
	sweep(ctx context.Context, b *Bucket, prefix string, before time.Time) error
}

// Bucket is one bucket of a store. It is safe for concurrent use.
type Bucket struct {
	name   string
	url    string // scheme://bucket/
	api    api
	policy delivery.Policy
}

// Counter counts requests of those who ask for it by [WithCounter].
type Counter struct {
	Requests atomic.Int64 // sent, each try as one
	Retried  atomic.Int64 // sent again
}

type counterKey struct{}

// WithCounter has c count the requests that are made with the context.
func WithCounter(ctx context.Context, c *Counter) context.Context {
	return context.WithValue(ctx, counterKey{}, c)
}

func counterOf(ctx context.Context) *Counter {
	if c, ok := ctx.Value(counterKey{}).(*Counter); ok {
		return c
	}
	return &Counter{}
}

// do makes a request until it succeeds or the policy's time is up.
func (b *Bucket) do(ctx context.Context, op, key string, try func(context.Context) error) error {
	err := b.again(ctx, op, try)
	if err != nil {
		return fmt.Errorf("%s%s: %w", b.url, key, scrub(err))
	}
	return nil
}

// again is do without the name of the object.
func (b *Bucket) again(ctx context.Context, op string, try func(context.Context) error) error {
	c := counterOf(ctx)
	var last error
	n, err := b.policy.Do(ctx, op, func(ctx context.Context) error {
		c.Requests.Add(1)
		err := try(ctx)
		if err != nil && ctx.Err() != nil && last != nil {
			return last // which says why there is no time left
		}
		last = err
		return err
	})
	c.Retried.Add(int64(n))
	return err
}

// patience is how long one try may take: a connection that hangs must not use up the time
// of all tries. A store that is slower than 64 KiB a second is as good as none.
func patience(ctx context.Context, bytes int64) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, time.Minute+time.Duration(bytes>>16)*time.Second)
}

// List calls object for each key with the prefix, in order of keys, and dir for each
// prefix that ends with the delimiter, if that isn't empty.
func (b *Bucket) List(ctx context.Context, prefix, delimiter string, object func(Info), dir func(string)) error {
	for token := ""; ; {
		var objects []Info
		var prefixes []string
		var next string
		err := b.do(ctx, "list", prefix, func(ctx context.Context) (err error) {
			ctx, cancel := patience(ctx, 0)
			defer cancel()
			objects, prefixes, next, err = b.api.page(ctx, b.name, prefix, delimiter, token)
			return err
		})
		if err != nil {
			return err
		}
		for i := range objects {
			if !strings.HasSuffix(objects[i].Key, "/") { // a folder's marker, as consoles make them
				object(objects[i])
			}
		}
		for _, p := range prefixes {
			dir(p)
		}
		if token = next; next == "" {
			return nil
		}
	}
}

// Stat describes an object. The error is fs.ErrNotExist where there is none.
func (b *Bucket) Stat(ctx context.Context, key string) (in Info, err error) {
	err = b.do(ctx, "stat", key, func(ctx context.Context) (err error) {
		ctx, cancel := patience(ctx, 0)
		defer cancel()
		in, err = b.api.stat(ctx, b.name, key)
		return err
	})
	return in, err
}

// Create makes the spool's bytes an object, in one step, if none has the key: no part of
// it is ever visible. ErrExists: one of another writer has it. Each request is repeated as
// the policy says. That is safe, because the precondition lets one succeed at most, and
// that one is known again by the writer's name in the object's metadata.
func (b *Bucket) Create(ctx context.Context, key string, s *Spool) error {
	if err := checkKey(key); err != nil {
		return err
	}
	return b.do(ctx, "create", key, func(ctx context.Context) error {
		err := b.api.put(ctx, b, key, s)
		if !errors.Is(err, errTaken) {
			return err
		}
		ctx, cancel := patience(ctx, 0)
		defer cancel()
		have, err := b.api.stat(ctx, b.name, key)
		switch {
		case errors.Is(err, fs.ErrNotExist): // and taken away again
			return ErrExists
		case err != nil:
			return err
		case have.Writer == s.writer && have.Size == s.Size() && (!have.HasCRC || have.CRC == s.crc):
			return nil // our own, of a try whose reply was lost
		}
		return ErrExists
	})
}

// Remove takes an object away. One that is not there is gone already. Keys are never used
// again for other content, so a request whose reply was lost is repeated without harm.
func (b *Bucket) Remove(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	return b.do(ctx, "remove", key, func(ctx context.Context) error {
		ctx, cancel := patience(ctx, 0)
		defer cancel()
		return b.api.remove(ctx, b.name, key)
	})
}

// Sweep removes what uploads that never ended hold in the store, if they were begun before
// the time. It does what it can: where listing them is not allowed or not known, they are
// left to the bucket's lifecycle rule.
func (b *Bucket) Sweep(ctx context.Context, prefix string, before time.Time) error {
	return b.api.sweep(ctx, b, prefix, before)
}
