package filesource

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/filesystem/fakestore"
)

var fake *fakestore.Server

func TestMain(m *testing.M) {
	shortWatch = true
	fake = fakestore.Start()
	ptest.Main(m)
}

func init() {
	// "plain" is any text, and must be declared. "headed" has "#" lines before its records.
	// "clocked" lines begin with their event time in Unix seconds.
	flow.RegisterFormat(flow.FormatInfo{Name: "plain"})
	// "prepared" lines can be read when away is false.
	flow.RegisterFormat(flow.FormatInfo{Name: "prepared", Prepare: func(context.Context, string, []flow.Raw) error {
		if away.Load() {
			return errors.New("nobody answers")
		}
		return nil
	}})
	flow.RegisterFormat(flow.FormatInfo{Name: "headed",
		Detect: func(head []byte) int {
			if bytes.HasPrefix(head, []byte("#headed")) {
				return 100
			}
			return 0
		},
		Header: func(head []byte) int {
			n := 0
			for n < len(head) && head[n] == '#' {
				i := bytes.IndexByte(head[n:], '\n')
				if i < 0 {
					return len(head)
				}
				n += i + 1
			}
			return n
		},
	})
	flow.RegisterFormat(flow.FormatInfo{Name: "clocked",
		Timestamp: func(_ string, data []byte) (flow.Time, bool) {
			f, _, _ := bytes.Cut(data, []byte(" "))
			s, err := strconv.ParseInt(string(f), 10, 64)
			return flow.TimeOf(time.Unix(s, 0)), err == nil
		},
		Detect: func(head []byte) int {
			if bytes.HasPrefix(head, []byte("17")) {
				return 10
			}
			return 0
		},
	})
	beam.RegisterDoFn(&rawSinkFn{})
	beam.RegisterDoFn(&failSinkFn{})
	beam.RegisterDoFn(&countSinkFn{})
}

var away atomic.Bool

// collected is what a pipeline's outputs were, kept in the test's process, where Prism
// runs the pipeline.
type collected struct {
	batches  []flow.RawBatch
	stamps   []flow.Time
	failures []flow.Failure
	counts   map[string]int64
	bundles  int
}

var (
	collectMu sync.Mutex
	runs      = map[string]*collected{}
)

type sinkFn struct{ Run string }

func (f *sinkFn) with(do func(*collected)) {
	collectMu.Lock()
	defer collectMu.Unlock()
	do(runs[f.Run])
}

type rawSinkFn struct{ Run string }

func (f *rawSinkFn) ProcessElement(at beam.EventTime, b flow.RawBatch) {
	(&sinkFn{f.Run}).with(func(c *collected) {
		c.batches = append(c.batches, b)
		c.stamps = append(c.stamps, flow.TimeOf(at.ToTime()))
	})
}

func (f *rawSinkFn) FinishBundle() { (&sinkFn{f.Run}).with(func(c *collected) { c.bundles++ }) }

type failSinkFn struct{ Run string }

func (f *failSinkFn) ProcessElement(b flow.FailureBatch) {
	(&sinkFn{f.Run}).with(func(c *collected) { c.failures = append(c.failures, b.Failures...) })
}

type countSinkFn struct{ Run string }

func (f *countSinkFn) ProcessElement(n flow.Count) {
	(&sinkFn{f.Run}).with(func(c *collected) { c.counts[n.Stage+"/"+n.Name] += n.N })
}

// run reads on Prism and returns what came out.
func run(t testing.TB, globs []string, opts ...Option) *collected {
	t.Helper()
	c, err := tryRun(t, globs, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func tryRun(t testing.TB, globs []string, opts ...Option) (*collected, error) {
	t.Helper()
	name := t.Name() + strconv.Itoa(int(time.Now().UnixNano()))
	c := &collected{counts: map[string]int64{}}
	collectMu.Lock()
	runs[name] = c
	collectMu.Unlock()
	p, s := beam.NewPipelineWithRoot()
	raw, failures, counts := Read(s, globs, opts...)
	beam.ParDo0(s, &rawSinkFn{name}, raw)
	beam.ParDo0(s, &failSinkFn{name}, failures)
	beam.ParDo0(s, &countSinkFn{name}, counts)
	return c, ptest.Run(p)
}

// record is a raw record as tests compare it.
type record struct {
	source string
	offset int64
	data   string
}

// records returns all records in the order of sources and offsets.
func (c *collected) records() []record {
	var out []record
	for _, b := range c.batches {
		for _, r := range b.Records {
			out = append(out, record{b.Origin.Source, r.Offset.V, string(r.Data)})
		}
	}
	slices.SortFunc(out, func(a, b record) int {
		if a.source != b.source {
			return bytes.Compare([]byte(a.source), []byte(b.source))
		}
		return int(a.offset - b.offset)
	})
	return out
}

func write(t testing.TB, dir, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func gz(t testing.TB, members ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, m := range members {
		w := gzip.NewWriter(&b)
		if _, err := w.Write(m); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func zst(t testing.TB, frames ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, m := range frames {
		w, err := zstd.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(m); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}
