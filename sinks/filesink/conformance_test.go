package filesink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/flowtest/sinktest"
	"github.com/flowbeam/flowbeam/internal/dataset"
	"github.com/flowbeam/flowbeam/internal/delivery"
	"github.com/flowbeam/flowbeam/internal/filesystem/fakestore"
	"github.com/flowbeam/flowbeam/internal/filesystem/objectstore"
)

var fake *fakestore.Server

func TestMain(m *testing.M) {
	fake = fakestore.Start()
	ptest.Main(m)
}

// store is a dataset's directory as the suite sees it.
type store struct {
	t       testing.TB
	objects func() map[string][]byte
	bucket  *fakestore.Bucket // nil for a local directory
	before  int
}

type memory struct{ *bytes.Reader }

func (memory) Close() error { return nil }

// IDs reads every object that is there, whatever its name, but for the layout.
func (s *store) IDs() (ids []string) {
	for name, b := range s.objects() {
		if strings.HasSuffix(name, "/_layout.json") || name == "_layout.json" {
			continue
		}
		_, ext, _ := strings.Cut(name[strings.LastIndexByte(name, '/')+1:], ".")
		err := dataset.ReadRows(memory{bytes.NewReader(b)}, &flow.Records, dataset.Format(ext), dataset.None, func(r *flow.Record) error {
			ids = append(ids, r.ID.String())
			return nil
		})
		if err != nil {
			s.t.Errorf("%s: %v", name, err)
		}
	}
	return ids
}

var faults = map[sinktest.Fault]fakestore.Fault{
	sinktest.Unavailable: fakestore.Unavailable, sinktest.LostReply: fakestore.LostReply, sinktest.Expired: fakestore.Expired,
	sinktest.Broken: fakestore.Broken, sinktest.Slow: fakestore.Slow,
}

func (s *store) Fail(f sinktest.Fault, n int) bool {
	x, ok := faults[f] // no request is done in part
	if !ok || s.bucket == nil {
		return false
	}
	s.bucket.Fail(x, n)
	return true
}

func (s *store) Writes() int {
	if s.bucket == nil {
		return 0
	}
	return s.bucket.Writes() - s.before
}

func (s *store) MaxRecord() int { return 0 }

// objects are those of a server's bucket below a prefix.
func objects(t testing.TB, scheme, bucket, prefix string) map[string][]byte {
	b, err := objectstore.Open(scheme, bucket, delivery.DefaultPolicy)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	err = b.List(context.Background(), prefix, "", func(in objectstore.Info) { out[in.Key] = nil }, nil)
	for key := range out {
		r, rerr := b.Reader(context.Background(), key, 0)
		if rerr == nil {
			out[key], rerr = io.ReadAll(r)
			r.Close()
		}
		err = errors.Join(err, rerr)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestConformance runs the suite over a local directory, over both kinds of stores with
// faults, and over their servers, each with another format.
func TestConformance(t *testing.T) {
	for _, c := range []struct {
		name, format string
	}{{"local", "avro"}, {"gs", "parquet"}, {"s3", "ndjson"}, {"gs server", "ndjson"}, {"s3 server", "avro"}} {
		scheme, real := strings.CutSuffix(c.name, " server")
		format, server := c.format, ""
		t.Run(c.name, func(t *testing.T) {
			if real {
				server = fakestore.Real(t, scheme)
			}
			runs := 0
			sinktest.Run(t, sinktest.Sink{Class: sinktest.Set, Open: func(t testing.TB, c sinktest.Config) (any, sinktest.Store) {
				dir, s := "", &store{t: t}
				if scheme == "local" {
					d, err := os.MkdirTemp(t.TempDir(), "")
					if err != nil {
						t.Fatal(err)
					}
					dir, s.objects = d, func() map[string][]byte {
						out := map[string][]byte{}
						for name, b := range files(t, d) {
							out[name] = []byte(b)
						}
						return out
					}
				} else if real {
					runs++
					dir = fmt.Sprintf("%s://%s/%d/flows", scheme, server, runs)
					s.objects = func() map[string][]byte { return objects(t, scheme, server, fmt.Sprint(runs, "/")) }
				} else {
					s.bucket = fake.Bucket()
					dir, s.objects = scheme+"://"+s.bucket.Name+"/data/flows", s.bucket.Objects
				}
				opts := []Option{Format(format), Compression("none"), Retry(c.Wait, 20*c.Wait, c.Deadline), Shards(2)}
				if c.MaxBatch > 0 {
					opts = append(opts, FlushRecords(c.MaxBatch))
				}
				fn := &recordsFn{Dir: dir, Options: mustApply("Write", recordDefaults, opts)}
				// The dataset is there, and the faults meet its parts.
				if _, err := dataset.Open(context.Background(), dataset.Records(), fn.Options.config(dir, dataset.WantRecords())); err != nil {
					t.Fatal(err)
				}
				if s.bucket != nil {
					s.before = s.bucket.Writes()
				}
				return fn, s
			}})
		})
	}
}
