package job

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/bigquery"
	"github.com/parquet-go/parquet-go"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/dataset"
	"github.com/flowbeam/flowbeam/internal/loadgen"
	"github.com/flowbeam/flowbeam/internal/stopping"
	"github.com/flowbeam/flowbeam/internal/testenv"
)

// TestAStreamIntoAllStores runs the load generator into a real Kafka and the pipeline from
// there into real stores, for FLOWBEAM_LIVE seconds at FLOWBEAM_LIVE_RATE lines a second
// (default 5,000): two data centers, 10 % duplicates, 1 % broken lines, a horizon and a
// lateness of two minutes. What each store has is compared with the truth. How long a record
// took from its event until it could be found is measured and printed; no time is asserted.
func TestAStreamIntoAllStores(t *testing.T) {
	seconds, _ := strconv.Atoi(os.Getenv("FLOWBEAM_LIVE"))
	if seconds == 0 {
		t.Skip("skipped: it takes minutes; FLOWBEAM_LIVE=SECONDS runs it, scripts/soak stream does")
	}
	perSecond := 5000
	if n, err := strconv.Atoi(os.Getenv("FLOWBEAM_LIVE_RATE")); err == nil {
		perSecond = n
	}
	unique := fmt.Sprintf("live%d", time.Now().Unix())
	brokers := []string{testenv.Server(t, "FLOWBEAM_KAFKA")}
	rest, grpc, project := testenv.Server(t, "FLOWBEAM_BQ_REST"), testenv.Server(t, "FLOWBEAM_BQ_GRPC"), testenv.Server(t, "FLOWBEAM_BQ_PROJECT")
	elastic := testenv.Server(t, "FLOWBEAM_ES_URL")
	if err := loadgen.CreateTopic(t.Context(), brokers, unique, 4); err != nil {
		t.Fatal(err)
	}

	o := small(t)
	o.Install, o.Input = true, nil
	o.KafkaInput, o.KafkaInputTopics, o.Format, o.DataCenter = brokers, []string{unique}, "canopus", "header:"+loadgen.DataCenterHeader
	o.AllowedLateness, o.DedupeHorizon, o.MaxHold, o.Skew = 2*time.Minute, 2*time.Minute, 10*time.Second, 5*time.Second
	o.Rollup, o.RollupWindows, o.FileBucket = []string{"data_center", "user_id"}, []time.Duration{time.Minute, 5 * time.Minute}, time.Minute
	o.slack = time.Minute // or ten minutes would show nothing of what stays in memory
	o.Elasticsearch, o.ElasticNamespace, o.ElasticILM = []string{elastic}, unique, false
	o.BigQuery, o.BigQueryEndpoint = project+"."+unique, rest+","+grpc
	if problems := o.Validate(); len(problems) > 0 {
		t.Fatal(problems)
	}
	if err := o.install(t.Context()); err != nil {
		t.Fatal(err)
	}

	g := loadgen.Default()
	g.Records, g.Rate, g.Live = seconds*perSecond, float64(perSecond), true
	g.DataCenters, g.DuplicateDelay = []string{"fra", "iad"}, time.Minute
	g.Start, g.Span = time.Now().Add(5*time.Second).UTC().Truncate(time.Millisecond), time.Duration(seconds)*time.Second
	var want loadgen.Truth
	sent := make(chan error, 1)
	go func() {
		truth, err := loadgen.WriteKafka(t.Context(), brokers, unique, g)
		want = truth
		sent <- err
	}()
	var memory []int
	es := &freshness{name: "Elasticsearch", ask: func() (map[int64]int64, error) { return elasticSeconds(elastic, unique) }}
	bq := &freshness{name: "BigQuery", ask: bigquerySeconds(t, rest, project, unique)}
	done := make(chan struct{})
	var watchers sync.WaitGroup
	watch := func(every time.Duration, look func()) {
		watchers.Go(func() {
			tick := time.NewTicker(every)
			defer tick.Stop()
			for {
				select {
				case <-done:
					return
				case <-tick.C:
					look()
				}
			}
		})
	}
	watch(time.Second, es.look)
	watch(5*time.Second, bq.look)
	watch(5*time.Second, func() { memory = append(memory, rss()) })
	watch(10*time.Second, func() {
		t.Logf("written %d, dead letters %d, in Elasticsearch %d, %d MiB", live.written.Load(), live.deadLetters.Load(), es.total(), rss())
	})
	live.written.Store(0)
	live.deadLetters.Store(0)
	go func() { // ends the stream when all of it has come through
		if err := <-sent; err != nil {
			t.Error(err)
		}
		t.Logf("all is sent: %d lines", want.Read)
		for end := time.Now().Add(3 * time.Minute); es.total() < want.Unique && time.Now().Before(end); {
			time.Sleep(time.Second)
		}
		time.Sleep(2 * time.Second)
		stopping.Request()
	}()
	s := run(t, flows(), o)
	close(done)
	watchers.Wait()

	expectTruth(t, s, want)
	for _, store := range []string{"files", "elasticsearch", "bigquery"} {
		if c := s.Sinks[store]; c.New != want.Unique || c.Rejected != 0 {
			t.Errorf("%s: %+v, want %d", store, c, want.Unique)
		}
	}
	var found struct {
		Hits         struct{ Total struct{ Value int64 } }
		Aggregations map[string]struct{ Value float64 }
	}
	if err := postJSON(fmt.Sprintf("%s/flowbeam-flow-%s-*/_refresh", elastic, unique), "", nil); err != nil {
		t.Fatal(err)
	}
	if err := postJSON(fmt.Sprintf("%s/flowbeam-flow-%s-*/_search?size=0&track_total_hits=true", elastic, unique), `{"aggs":{"sent":{"sum":{"field":"source.bytes"}}}}`, &found); err != nil {
		t.Fatal(err)
	}
	if n, sum := found.Hits.Total.Value, int64(found.Aggregations["sent"].Value); n != want.Unique || sum != want.SourceBytes {
		t.Errorf("Elasticsearch has %d records of %d bytes, want %d of %d", n, sum, want.Unique, want.SourceBytes)
	}
	row := askBigQuery(t, rest, project, unique)
	if v := row("SELECT COUNT(*), COUNT(DISTINCT record_id), SUM(source_bytes) FROM DATASET.flows_latest"); v[0] != want.Unique || v[1] != want.Unique || v[2] != want.SourceBytes {
		t.Errorf("BigQuery has %v records (%v ids) of %v bytes, want %d of %d", v[0], v[1], v[2], want.Unique, want.SourceBytes)
	}
	files, sum := map[flow.ID]bool{}, int64(0)
	eachRow(t, dataset.Records(), o.dir("flows"), func(r *flow.Record) {
		files[r.ID] = true
		sum += r.Source.Bytes.V
	})
	if int64(len(files)) != want.Unique || sum != want.SourceBytes {
		t.Errorf("the files have %d records of %d bytes, want %d of %d", len(files), sum, want.Unique, want.SourceBytes)
	}
	for _, level := range []string{"1m", "5m"} {
		var records int64
		for _, r := range rollupRows(t, o, level) {
			records += r.Records
		}
		if records+s.Late != want.Unique {
			t.Errorf("the rollups of %s have %d records and %d were late, of %d", level, records, s.Late, want.Unique)
		}
	}
	t.Logf("%d lines in %d s: %d records, %d duplicates, %d dead letters, %d late; equal in all stores", want.Read, seconds, want.Unique, want.Duplicates, want.DeadLetters.Total, s.Late)
	t.Log(es.report())
	t.Log(bq.report())
	t.Log(fileFreshness(t, o))
	if n := len(memory); n >= 4 {
		slices.Sort(memory[n/2:])
		t.Logf("memory: %d MiB after a quarter of the time, %d MiB at most in the second half", memory[n/4], memory[n-1])
	}
}

// freshness is how long after their events records could be found in a store: it asks how
// many there are of each second of event time, again and again.
type freshness struct {
	name string
	ask  func() (map[int64]int64, error)

	mu      sync.Mutex
	seen    map[int64]int64
	waited  map[int64]int64 // records by seconds from event to found
	n, lost int64
}

func (f *freshness) look() {
	now, err := f.ask()
	at := time.Now().Unix()
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.lost++
		return
	}
	if f.waited == nil {
		f.seen, f.waited = map[int64]int64{}, map[int64]int64{}
	}
	for second, n := range now {
		if more := n - f.seen[second]; more > 0 {
			f.waited[at-second] += more
			f.n += more
			f.seen[second] = n
		}
	}
}

func (f *freshness) total() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

func (f *freshness) report() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fmt.Sprintf("%s: %s from event to found, of %d records; %d questions had no answer", f.name, quantiles(f.waited), f.n, f.lost)
}

// quantiles of a histogram of seconds.
func quantiles(h map[int64]int64) string {
	var keys []int64
	var n int64
	for k, v := range h {
		keys = append(keys, k)
		n += v
	}
	slices.Sort(keys)
	var out []string
	for _, q := range []float64{0.5, 0.95, 0.99, 1} {
		var sum int64
		for _, k := range keys {
			if sum += h[k]; float64(sum) >= q*float64(n) {
				out = append(out, fmt.Sprintf("p%g %d s", q*100, k))
				break
			}
		}
	}
	return strings.Join(out, ", ")
}

func postJSON(url, body string, into any) error {
	r, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer r.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(r.Body); err != nil {
		return err
	}
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %d: %s", url, r.StatusCode, b.String())
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(b.Bytes(), into)
}

// elasticSeconds counts the documents by the second of their event time. It does not
// refresh: what is found is what any search would find.
func elasticSeconds(url, namespace string) (map[int64]int64, error) {
	var found struct {
		Aggregations struct {
			Seconds struct {
				Buckets []struct {
					Key   int64
					Count int64 `json:"doc_count"`
				}
			}
		}
	}
	err := postJSON(fmt.Sprintf("%s/flowbeam-flow-%s-*/_search?size=0", url, namespace), `{"aggs":{"seconds":{"date_histogram":{"field":"@timestamp","fixed_interval":"1s","min_doc_count":1}}}}`, &found)
	out := map[int64]int64{}
	for _, b := range found.Aggregations.Seconds.Buckets {
		out[b.Key/1000] += b.Count
	}
	return out, err
}

// bigquerySeconds counts the rows of the last minutes by the second of their event time.
func bigquerySeconds(t *testing.T, rest, project, dataset string) func() (map[int64]int64, error) {
	t.Helper()
	bq, err := bigquery.NewClient(context.Background(), project, option.WithEndpoint(rest), option.WithoutAuthentication())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bq.Close() })
	return func() (map[int64]int64, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		it, err := bq.Query(fmt.Sprintf("SELECT UNIX_SECONDS(event_time), COUNT(*) FROM `%s`.%s.flows WHERE event_time > TIMESTAMP_SECONDS(%d) GROUP BY 1",
			project, dataset, time.Now().Add(-3*time.Minute).Unix())).Read(ctx)
		if err != nil {
			return nil, err
		}
		out := map[int64]int64{}
		for {
			var row []bigquery.Value
			switch err := it.Next(&row); {
			case errors.Is(err, iterator.Done):
				return out, nil
			case err != nil:
				return nil, err
			}
			out[row[0].(int64)] += row[1].(int64)
		}
	}
}

// fileFreshness is from the events to the time at which the parts were visible.
func fileFreshness(t *testing.T, o *Options) string {
	t.Helper()
	waited, n := map[int64]int64{}, int64(0)
	err := filepath.WalkDir(o.dir("flows"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".parquet") {
			return err
		}
		in, err := d.Info()
		if err != nil {
			return err
		}
		rows, err := parquet.ReadFile[struct {
			EventTime time.Time `parquet:"event_time"`
		}](path)
		for _, r := range rows {
			waited[int64(in.ModTime().Sub(r.EventTime).Seconds())]++
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("files: %s from event to visible, of %d records", quantiles(waited), n)
}

// rss is the process's memory in MiB.
func rss() int {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.Sys >> 20)
	}
	fields := strings.Fields(string(b))
	pages, _ := strconv.Atoi(fields[1])
	return pages * os.Getpagesize() >> 20
}
