package objectstore

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/storage"
	gax "github.com/googleapis/gax-go/v2"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/iterator"

	"github.com/flowbeam/flowbeam/internal/delivery"
)

// gcs is Google Cloud Storage.
type gcs struct {
	mu sync.Mutex
	c  *storage.Client
}

// gcsChunk is the bytes of one request of a resumable upload. Objects up to it go in one
// request, which is one round trip less.
const gcsChunk = 8 << 20

// metaWriter is the metadata key of Spool.Writer.
const metaWriter = "flowbeam-writer"

func (g *gcs) client() (*storage.Client, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.c == nil {
		// Not the request's context: the client outlives it.
		// Reads go by the XML API: the JSON one can't ask for stored bytes ("custom
		// Accept-Encoding headers not allowed", storage v1.70.0).
		c, err := storage.NewClient(context.Background())
		if err != nil {
			return nil, delivery.Denied(err)
		}
		c.SetRetry(storage.WithPolicy(storage.RetryNever)) // Bucket.do retries
		g.c = c
	}
	return g.c, nil
}

func (g *gcs) page(ctx context.Context, bucket, prefix, delimiter, token string) ([]Info, []string, string, error) {
	c, err := g.client()
	if err != nil {
		return nil, nil, "", err
	}
	q := &storage.Query{Prefix: prefix, Delimiter: delimiter, Projection: storage.ProjectionNoACL}
	if err := q.SetAttrSelection([]string{"Name", "Size", "Updated", "Generation"}); err != nil {
		return nil, nil, "", err
	}
	var attrs []*storage.ObjectAttrs
	next, err := iterator.NewPager(c.Bucket(bucket).Objects(ctx, q), 1000, token).NextPage(&attrs)
	if err != nil {
		return nil, nil, "", gcsError(err)
	}
	var objects []Info
	var prefixes []string
	for _, a := range attrs {
		if a.Prefix != "" {
			prefixes = append(prefixes, a.Prefix)
		} else {
			objects = append(objects, gcsInfo(a))
		}
	}
	return objects, prefixes, next, nil
}

func gcsInfo(a *storage.ObjectAttrs) Info {
	return Info{Key: a.Name, Size: a.Size, Modified: a.Updated, Generation: a.Generation, CRC: a.CRC32C, HasCRC: true, Writer: a.Metadata[metaWriter]}
}

func (g *gcs) stat(ctx context.Context, bucket, key string) (Info, error) {
	c, err := g.client()
	if err != nil {
		return Info{}, err
	}
	a, err := c.Bucket(bucket).Object(key).Attrs(ctx)
	if err != nil {
		return Info{}, gcsError(err)
	}
	return gcsInfo(a), nil
}

func (g *gcs) get(ctx context.Context, bucket, key string, offset int64, of Info) (*body, error) {
	c, err := g.client()
	if err != nil {
		return nil, err
	}
	// ReadCompressed: the bytes as they are stored. The service would decompress an object
	// with Content-Encoding gzip, and then neither sizes nor offsets nor the checksum hold.
	o := c.Bucket(bucket).Object(key).ReadCompressed(true)
	if of.Generation != 0 {
		o = o.Generation(of.Generation)
	}
	r, err := o.NewRangeReader(ctx, offset, -1)
	var ge *googleapi.Error
	if errors.As(err, &ge) && ge.Code == http.StatusRequestedRangeNotSatisfiable {
		in, err := g.stat(ctx, bucket, key)
		return &body{http.NoBody, in}, err
	}
	if errors.Is(err, storage.ErrObjectNotExist) { // or its bucket, which the JSON API tells
		_, err := g.stat(ctx, bucket, key)
		if err == nil {
			err = fs.ErrNotExist // the generation went, or the object came since
		}
		return nil, err
	}
	if err != nil {
		return nil, gcsError(err)
	}
	if r.Attrs.Size < 0 || r.Attrs.Generation == 0 {
		r.Close()
		return nil, unanswered(errors.New("the reply does not say what object it is of, or how long"))
	}
	return &body{r, Info{Key: key, Size: r.Attrs.Size, Modified: r.Attrs.LastModified, Generation: r.Attrs.Generation,
		CRC: r.Attrs.CRC32C, HasCRC: r.Attrs.CRC32C != 0}}, nil
}

// put sends the object with ifGenerationMatch=0 and its CRC32C, which the service compares
// before it makes the object. Beyond gcsChunk the upload is resumable: the client asks how
// far it came and goes on from there.
//
// Source: https://cloud.google.com/storage/docs/request-preconditions
func (g *gcs) put(ctx context.Context, b *Bucket, key string, s *Spool) error {
	c, err := g.client()
	if err != nil {
		return err
	}
	o := c.Bucket(b.name).Object(key).If(storage.Conditions{DoesNotExist: true})
	large := s.Size() > gcsChunk
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // a Writer whose context ended makes no object
	if !large {
		ctx, cancel = patience(ctx, s.Size())
		defer cancel()
	} else {
		count := counterOf(ctx)
		o = o.Retryer(storage.WithPolicy(storage.RetryAlways), // the precondition makes it idempotent
			storage.WithBackoff(gax.Backoff{Initial: b.policy.Base, Max: b.policy.Cap, Multiplier: 2}),
			storage.WithErrorFunc(func(err error) bool {
				if !storage.ShouldRetry(err) {
					return false
				}
				count.Retried.Add(1)
				return true
			}))
	}
	w := o.NewWriter(ctx)
	w.CRC32C, w.SendCRC32C = s.crc, true
	w.Metadata = map[string]string{metaWriter: s.writer}
	w.ContentType = "application/octet-stream"
	w.ChunkSize = 0
	if large {
		w.ChunkSize, w.ChunkRetryDeadline, w.ChunkTransferTimeout = gcsChunk, b.policy.Deadline, time.Minute
	}
	if _, err := io.Copy(w, s.section()); err != nil {
		cancel()
		w.Close()
		return gcsError(err)
	}
	if err := w.Close(); err != nil {
		return gcsError(err)
	}
	if a := w.Attrs(); a == nil || a.Generation == 0 {
		return unanswered(errors.New("the reply names no object"))
	}
	return nil
}

func (g *gcs) remove(ctx context.Context, bucket, key string) error {
	c, err := g.client()
	if err != nil {
		return err
	}
	err = c.Bucket(bucket).Object(key).Delete(ctx)
	if err != nil {
		err = gcsError(err)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// sweep: sessions that never end hold no object, cost nothing and go after a week.
func (g *gcs) sweep(context.Context, *Bucket, string, time.Time) error { return nil }

// gcsError marks an error of the client.
//
// Source: https://cloud.google.com/storage/docs/json_api/v1/status-codes
func gcsError(err error) error {
	if errors.Is(err, storage.ErrBucketNotExist) {
		return errors.New("the bucket does not exist")
	}
	var ge *googleapi.Error
	isAPI := errors.As(err, &ge)
	if isAPI && ge.Code == http.StatusNotFound && strings.HasPrefix(ge.Message, "The specified bucket does not exist") {
		return errors.New("the bucket does not exist")
	}
	if errors.Is(err, storage.ErrObjectNotExist) {
		return fs.ErrNotExist
	}
	if !isAPI {
		return unanswered(err)
	}
	err = &scrubbed{gcsText(ge), err}
	switch {
	case ge.Code == http.StatusPreconditionFailed:
		return errTaken
	case ge.Code == http.StatusNotFound:
		return fs.ErrNotExist
	case ge.Code == http.StatusForbidden && limited(ge):
		return delivery.Again(err, delivery.RetryAfter(ge.Header))
	case ge.Code == http.StatusBadRequest && strings.Contains(strings.ToLower(ge.Message), "crc32c"):
		return delivery.Again(err, 0) // the bytes were changed on their way
	}
	return delivery.Status(ge.Code, ge.Header, err)
}

// gcsText is an error in one line; the client's own prints the whole reply.
func gcsText(e *googleapi.Error) string {
	text := strings.TrimSpace(e.Message)
	if text == "" {
		text = strings.TrimSpace(e.Body[:min(len(e.Body), 200)])
	}
	return strings.TrimSpace(http.StatusText(e.Code) + ": " + text)
}

// limited says whether a 403 is about the rate and not about who asks.
func limited(e *googleapi.Error) bool {
	for _, x := range e.Errors {
		if strings.Contains(strings.ToLower(x.Reason), "ratelimitexceeded") {
			return true
		}
	}
	return false
}
