//go:build esutil

// The comparison with esutil has a build tag of its own, because esutil needs all of
// go-elasticsearch, which takes minutes to compile:
//
//	go test -tags esutil -run '^$' -bench . ./sinks/elasticsink

package elasticsink

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/elastic/go-elasticsearch/v8"
	"github.com/elastic/go-elasticsearch/v8/esutil"
	fastgzip "github.com/klauspost/compress/gzip"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/flowtest"
	"github.com/flowbeam/flowbeam/internal/delivery"
)

// server without a network: it counts the documents of a bulk request and answers as
// Elasticsearch does, with all that it says of a document or with what filter_path leaves.
type noNetwork struct{ whole, filtered []byte }

func newNoNetwork(most int) *noNetwork {
	return &noNetwork{
		bytes.Repeat([]byte(`{"create":{"_index":"flowbeam-flow-default-2026.01.02","_id":"0123456789abcdef0123456789abcdef","_version":1,"result":"created","_shards":{"total":1,"successful":1,"failed":0},"_seq_no":12345,"_primary_term":1,"status":201}},`), most),
		bytes.Repeat([]byte(`{"create":{"result":"created","status":201}},`), most),
	}
}

func (s *noNetwork) RoundTrip(r *http.Request) (*http.Response, error) {
	var body io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := fastgzip.NewReader(r.Body)
		if err != nil {
			return nil, err
		}
		body = z
	}
	buf := make([]byte, 64<<10)
	lines := 0
	for {
		n, err := body.Read(buf)
		lines += bytes.Count(buf[:n], []byte{'\n'})
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	r.Body.Close()
	items := s.whole
	if strings.Contains(r.URL.RawQuery, "filter_path") {
		items = s.filtered
	}
	size := bytes.Index(items, []byte("},{")) + 2
	reply := io.MultiReader(strings.NewReader(`{"took":30,"errors":false,"items":[`), bytes.NewReader(items[:size*(lines/2)-1]), strings.NewReader(`]}`))
	return &http.Response{StatusCode: 200, Header: http.Header{"X-Elastic-Product": {"Elasticsearch"}, "Content-Type": {"application/json"}}, Body: io.NopCloser(reply), Request: r}, nil
}

// ours writes records by the sink to a transport.
func ours(t testing.TB, rt http.RoundTripper, packed bool) func([]flow.Record) {
	es, err := elasticsearch.NewBaseClient(elasticsearch.Config{Addresses: []string{"http://es:9200"}, Transport: rt, DisableRetry: true})
	if err != nil {
		t.Fatal(err)
	}
	o := defaults("elasticsearch")
	o.Plain = !packed
	c := &client{es: es, slots: make(chan struct{}, o.InFlight), auth: httpauth.Keep(nil)}
	w := writer[flow.Record]{spec: recordSpec(&o), o: o, c: c, meter: delivery.NewMeter(o.Stage), done: make(chan *request[flow.Record], 2*o.InFlight+2)}
	w.heads = heads{op: "create", alias: aliasOf(kindFlow, o.Namespace), period: o.Period}
	return func(records []flow.Record) {
		w.start(context.Background())
		for i := range records {
			if err := w.add(&records[i]); err != nil {
				t.Fatal(err)
			}
		}
		done := int64(0)
		if err := w.finish(func(flow.FailureBatch) {}, func(c flow.Count) {
			if c.Name == "new" {
				done = c.N
			}
		}); err != nil || done != int64(len(records)) {
			t.Fatalf("%d of %d: %v", done, len(records), err)
		}
	}
}

// document is one that was encoded before.
type document struct {
	id, index string
	body      []byte
}

func encoded(records []flow.Record, namespace string) []document {
	docs := make([]document, len(records))
	for i := range records {
		_, _, day := period(records[i].EventTime, Day)
		docs[i] = document{records[i].ID.String(), aliasOf(kindFlow, namespace) + "-" + day, recordECS().Append(nil, &records[i])}
	}
	return docs
}

// theirs writes documents that are encoded already by esutil's indexer, in the way its
// documentation recommends.
func theirs(t testing.TB, es *elasticsearch.Client) func([]document) {
	return func(docs []document) {
		var failed atomic.Int64
		bi, err := esutil.NewBulkIndexer(esutil.BulkIndexerConfig{Client: es, NumWorkers: 4, FlushBytes: 5 << 20, FlushInterval: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		ctx := context.Background()
		fail := func(context.Context, esutil.BulkIndexerItem, esutil.BulkIndexerResponseItem, error) { failed.Add(1) }
		for i := range docs {
			if err := bi.Add(ctx, esutil.BulkIndexerItem{Action: "create", Index: docs[i].index, DocumentID: docs[i].id, Body: bytes.NewReader(docs[i].body), OnFailure: fail}); err != nil {
				t.Fatal(err)
			}
		}
		if err := bi.Close(ctx); err != nil {
			t.Fatal(err)
		}
		if n := failed.Load(); n > 0 || bi.Stats().NumFlushed != uint64(len(docs)) {
			t.Fatalf("%d failed, %d of %d", n, bi.Stats().NumFlushed, len(docs))
		}
	}
}

// cpu is the processor time of this process.
func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkCPU(b *testing.B) {
	records := flowtest.Records(50_000, 1)
	docs := encoded(records, "default")
	for _, packed := range []bool{false, true} {
		b.Run(map[bool]string{false: "plain", true: "gzip"}[packed], func(b *testing.B) {
			rt := newNoNetwork(20_000)
			es, err := elasticsearch.NewClient(elasticsearch.Config{Addresses: []string{"http://es:9200"}, Transport: rt, CompressRequestBody: packed, CompressRequestBodyLevel: gzip.BestSpeed, PoolCompressor: true})
			if err != nil {
				b.Fatal(err)
			}
			mine, plain := ours(b, rt, packed), theirs(b, es)
			mine(records)
			plain(docs)
			var a, c time.Duration
			for b.Loop() { // one after the other, so that a busy machine slows both
				t0 := cpu()
				mine(records)
				t1 := cpu()
				plain(docs)
				a, c = a+t1-t0, c+cpu()-t1
			}
			n := float64(b.N * len(records))
			b.ReportMetric(float64(a)/n, "cpu-ns/record")
			b.ReportMetric(float64(c)/n, "esutil-cpu-ns/record")
			b.ReportMetric(float64(a)/float64(c), "ratio")
			b.ReportMetric(testing.AllocsPerRun(1, func() { mine(records) })/float64(len(records)), "allocs/record")
			b.ReportMetric(testing.AllocsPerRun(1, func() { plain(docs) })/float64(len(records)), "esutil-allocs/record")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// A record costs less than one allocation.
func TestAllocationsPerRecord(t *testing.T) {
	records := flowtest.Records(20_000, 1)
	mine := ours(t, newNoNetwork(20_000), true)
	mine(records)
	if n := testing.AllocsPerRun(3, func() { mine(records) }) / float64(len(records)); n > 0.5 {
		t.Errorf("%.2f allocations a record", n)
	}
}

// BenchmarkRealServer compares documents a second into a real server, turn by turn.
func BenchmarkRealServer(b *testing.B) {
	s := plain(b)
	u, err := url.Parse(s.cluster.Addresses[0])
	if err != nil {
		b.Fatal(err)
	}
	es, err := elasticsearch.NewClient(elasticsearch.Config{Addresses: []string{u.String()}})
	if err != nil {
		b.Fatal(err)
	}
	const n = 30_000
	var a, c []float64
	round := uint64(0)
	for b.Loop() {
		for turn := range 2 {
			round++
			mine, other := plain(b), plain(b)
			mine.install(Templates{})
			other.install(Templates{})
			records := flowtest.Records(n, round)
			docs := encoded(records, other.ns)
			runtime.GC()
			for k := range 2 {
				begun := time.Now()
				if k == turn {
					o := mine.options("elasticsearch")
					run(b, &recordsFn{Cluster: mine.cluster, Options: o}, flow.Batch{Records: records})
					a = append(a, n/time.Since(begun).Seconds())
				} else {
					theirs(b, es)(docs)
					c = append(c, n/time.Since(begun).Seconds())
				}
			}
		}
	}
	middle := func(x []float64) float64 { slices.Sort(x); return (x[(len(x)-1)/2] + x[len(x)/2]) / 2 }
	b.ReportMetric(middle(a), "docs/s")
	b.ReportMetric(middle(c), "esutil-docs/s")
	b.ReportMetric(middle(a)/middle(c), "ratio")
	b.ReportMetric(0, "ns/op")
	b.Log(fmt.Sprintf("docs/s: sink %.0f, esutil %.0f", a, c))
}
