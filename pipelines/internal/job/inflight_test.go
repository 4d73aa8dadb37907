package job

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/inflight"
	"github.com/flowbeam/flowbeam/internal/stopping"
)

// slowElastic is Elasticsearch as far as bulk requests go: one document after the other, of
// the records so many a second.
type slowElastic struct {
	*httptest.Server
	mu     sync.Mutex
	have   map[string]bool
	heap   uint64 // the most that was in use, in the midst of its requests
	rate   int
	flight int64 // the most bytes in flight that were seen
}

func newSlowElastic(t *testing.T, rate int) *slowElastic {
	e := &slowElastic{have: map[string]bool{}, rate: rate}
	e.Server = httptest.NewServer(e)
	t.Cleanup(e.Close)
	return e
}

func (e *slowElastic) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Elastic-Product", "Elasticsearch")
	w.Header().Set("Content-Type", "application/json")
	body, err := io.ReadAll(r.Body)
	if err == nil && r.Header.Get("Content-Encoding") == "gzip" {
		var z *gzip.Reader
		if z, err = gzip.NewReader(bytes.NewReader(body)); err == nil {
			body, err = io.ReadAll(z)
		}
	}
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	var items []string
	e.mu.Lock()
	defer e.mu.Unlock()
	records := 0
	for lines := bytes.Split(bytes.TrimRight(body, "\n"), []byte("\n")); len(lines) >= 2; lines = lines[2:] {
		var action map[string]struct {
			Index string `json:"_index"`
			ID    string `json:"_id"`
		}
		json.Unmarshal(lines[0], &action)
		for op, a := range action {
			if strings.HasPrefix(a.Index, "flowbeam-flow-") {
				records++
			}
			status, key := http.StatusCreated, a.Index+"/"+a.ID
			if e.have[key] && op == "create" {
				status = http.StatusConflict
			}
			e.have[key] = true
			items = append(items, fmt.Sprintf(`{%q:{"status":%d,"result":"created"}}`, op, status))
		}
	}
	if records > 0 {
		time.Sleep(time.Duration(records) * time.Second / time.Duration(e.rate))
		var m runtime.MemStats
		runtime.GC() // what is in use, not what could be collected
		runtime.ReadMemStats(&m)
		e.heap, e.flight = max(e.heap, m.HeapAlloc), max(e.flight, inflight.Now())
	}
	fmt.Fprintf(w, `{"took":1,"errors":false,"items":[%s]}`, strings.Join(items, ","))
}

// records is how many of them it has.
func (e *slowElastic) records() (n int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for key := range e.have {
		if strings.HasPrefix(key, "flowbeam-flow-") {
			n++
		}
	}
	return n
}

// stopWhen ends a stream when all of it has come through, or a time is over.
func stopWhen(done func() bool, within time.Duration) {
	for end := time.Now().Add(within); !done() && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond)
	}
	stopping.Request()
}

// A store takes a tenth of what the sources can give: what is between them is bounded, and
// all of it arrives.
func TestASlowStoreSlowsTheSources(t *testing.T) {
	const lines, partitions, budget = 24_000, 3, 1 << 20
	brokers, want := topic(t, lines)
	heap := map[int]uint64{}
	for _, most := range []int{0, budget} {
		es := newSlowElastic(t, 3000)
		o := kafkaOptions(t, brokers)
		o.Elasticsearch, o.ElasticNamespace, o.ElasticILM = []string{es.URL}, "slow", false
		o.Rollup, o.MaxInFlight = []string{"off"}, most
		runtime.GC()
		var before runtime.MemStats
		runtime.ReadMemStats(&before)
		go stopWhen(func() bool { return es.records() == want.Unique }, time.Minute)
		s := run(t, flows(), o)
		expectTruth(t, s, want)
		if n := es.records(); n != want.Unique {
			t.Errorf("the store has %d records, want %d", n, want.Unique)
		}
		es.mu.Lock()
		heap[most] = es.heap - before.HeapAlloc
		t.Logf("budget %d: at most %d bytes in flight (%d were seen), %d MiB of memory more than before", most, inflight.Most(), es.flight, heap[most]>>20)
		es.mu.Unlock()
		if most == 0 {
			continue
		}
		// Sources look before each batch, each partition for itself.
		mean := s.BytesRead / s.Read
		if bound := budget + int64(partitions)*1000*mean*2; inflight.Most() > bound {
			t.Errorf("%d bytes in flight, want %d at most", inflight.Most(), bound)
		}
		if inflight.Most() < budget/2 {
			t.Errorf("%d bytes in flight at most: the store was not the slow one, and this shows nothing", inflight.Most())
		}
		if n := inflight.Now(); n != 0 {
			t.Errorf("all is done, and %d bytes are in flight", n)
		}
	}
	if heap[budget] > heap[0]/2 {
		t.Errorf("%d MiB in use with the budget, %d without", heap[budget]>>20, heap[0]>>20)
	}
}

// What is dropped on its way, and what a window holds, is not in flight: with a budget of one
// byte all comes through nevertheless.
func TestNothingWaitsForEverForTheBudget(t *testing.T) {
	brokers, want := topic(t, 6_000)
	o := kafkaOptions(t, brokers)
	o.MaxInFlight, o.RawBackup = 1, true
	live.written.Store(0)
	live.deadLetters.Store(0)
	go stopWhen(func() bool {
		return live.written.Load() == want.Unique && live.deadLetters.Load() == want.DeadLetters.Total
	}, 50*time.Second)
	expectTruth(t, run(t, flows(), o), want)
	if n := inflight.Now(); n != 0 {
		t.Errorf("all is done, and %d bytes are in flight", n)
	}
}

// Nor is what waits until the observations of a conversation are compared: that is when
// more was read.
func TestObservationsThatWaitAreNotInFlight(t *testing.T) {
	const records, partitions = 6000, 3
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, "flows"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	k, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.DefaultProduceTopic("flows"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	begun := time.Now().Add(-time.Hour).Truncate(time.Second)
	var all []*kgo.Record
	for i := range records {
		at := begun.Add(time.Duration(i) * time.Millisecond)
		all = append(all, &kgo.Record{Partition: int32(i % partitions), Timestamp: at, Value: fmt.Appendf(nil,
			`{"ts":%d.%03d000,"uid":"C%d","id.orig_h":"10.0.0.1","id.orig_p":%d,"id.resp_h":"192.0.2.1","id.resp_p":443,"proto":"tcp","service":"ssl","duration":1.5,"orig_bytes":100,"resp_bytes":2000,"conn_state":"SF","local_orig":true,"local_resp":false,"missed_bytes":0,"history":"ShADadFf","orig_pkts":8,"orig_ip_bytes":428,"resp_pkts":9,"resp_ip_bytes":2376}`,
			at.Unix(), at.UnixMilli()%1000, i, 1024+i)})
	}
	for p := range int32(partitions) { // the last of each is told of
		all = append(all, &kgo.Record{Partition: p, Timestamp: begun.Add(time.Minute), Value: []byte("{")})
	}
	if err := k.ProduceSync(t.Context(), all...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	o := kafkaOptions(t, c.ListenAddrs())
	o.Format, o.DataCenter, o.Rollup = "zeek_json", "", []string{"protocol"}
	o.MaxInFlight, o.RawBackup, o.Observations = 1, true, "max"
	live.written.Store(0)
	live.deadLetters.Store(0)
	var waited int64
	go stopWhen(func() bool {
		waited = records - live.written.Load()
		return live.deadLetters.Load() == partitions
	}, 50*time.Second)
	s := run(t, flows(), o)
	if s.Read != records+partitions || s.Written != records || s.DeadLetters.Total != partitions {
		t.Errorf("read %d, written %d, dead letters %v", s.Read, s.Written, s.DeadLetters)
	}
	if waited < records/2 {
		t.Errorf("%d records waited, this shows too little", waited)
	}
	if n := inflight.Now(); n != 0 {
		t.Errorf("all is done, and %d bytes are in flight", n)
	}
}

// Of each record the counts say once that a sink has it or that it never will.
func TestCountsOfARunLeaveNothingInFlight(t *testing.T) {
	inflight.Begin(1, sinkStage("files"), sinkStage("elasticsearch"), inflight.Raw)
	defer inflight.End()
	inflight.Read(100, 10_000)
	for _, c := range []flow.Count{
		{Stage: "files", Name: "read", N: 2}, {Stage: "parse", Name: "read", N: 95}, {Stage: "parse", Name: "skipped", N: 5},
		{Stage: "parse", Name: "gaps", N: 3}, {Stage: "parse", Name: "filtered", N: 1}, {Stage: "parse", Name: "failed", N: 4},
		{Stage: "dedupe", Name: "duplicates", N: 10}, {Stage: "dedupe", Name: "unique", N: 77},
		{Stage: "observations", Name: "held", N: 50}, {Stage: "observations", Name: "held", N: -40}, {Stage: "observations", Name: "duplicates", N: 7},
		{Stage: "steps", Name: "failed", N: 1}, {Stage: "dead_letters", Name: "rejected", N: 3}, {Stage: "dead_letters", Name: "syntax", N: 4},
		{Stage: "job", Name: "written", N: 59},
		{Stage: "sink_files", Name: "new", N: 50}, {Stage: "sink_files", Name: "already_there", N: 9},
		{Stage: "sink_elasticsearch", Name: "new", N: 55}, {Stage: "sink_elasticsearch", Name: "rejected", N: 4},
		{Stage: "sink_files_rollup_1m", Name: "new", N: 12}, {Stage: "sink_files_dead_letters", Name: "new", N: 11},
		{Stage: "sink_files_raw", Name: "new", N: 100},
	} {
		tellInFlight(c)
	}
	if n := inflight.Now(); n != 0 {
		t.Errorf("%d bytes in flight", n)
	}
}
