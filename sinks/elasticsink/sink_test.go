package elasticsink

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/flowtest"
	"github.com/flowbeam/flowbeam/internal/dataset"
)

func init() { register.Function2x0(printCount) }

func printCount(c flow.Count, emit func(string)) {
	if c.Name != "bytes" {
		emit(fmt.Sprint(c.Stage, "/", c.Name, " ", c.N))
	}
}

// sinkTo is a DoFn that writes records to a fake, with short pauses.
func sinkTo(f *fake, change ...func(*options)) *recordsFn {
	o := defaults("elasticsearch")
	o.Retry = quick(time.Millisecond, 5*time.Second)
	for _, c := range change {
		c(&o)
	}
	return &recordsFn{Cluster: Cluster{Addresses: []string{f.URL}}, Options: o}
}

// try runs a bundle that may fail.
func try(t testing.TB, fn any, elements ...any) error {
	t.Helper()
	return flowtest.NewHarness(t, fn, flowtest.Once).TryBundle(elements...)
}

func TestWriteInAPipeline(t *testing.T) {
	f := newFake(t)
	records := flowtest.Records(100, 1)
	bad := flowtest.Record(flowtest.EventTime(time.Date(1970, 1, 1, 0, 0, 1, 0, time.UTC)))
	for _, name := range []string{"new", "already_there"} {
		p, s := beam.NewPipelineWithRoot()
		batches := beam.CreateList(s, []flow.Batch{{Records: records[:40]}, {Records: append(slices.Clone(records[40:]), bad)}})
		r := Write(s, batches, Cluster{Addresses: []string{f.URL}}, Namespace("prod"))
		flowtest.EqualFailures(s, r.Failures, []flow.Failure{flow.FailRecord(&bad, "elasticsearch", flow.ReasonRejected, errTime)})
		passert.Equals(s, beam.ParDo(s, printCount, r.Counts), "elasticsearch/"+name+" 100", "elasticsearch/rejected 1", "elasticsearch/requests 1")
		ptest.RunAndValidate(t, p)
	}
	if got := f.names(); !slices.Equal(got, []string{"flowbeam-flow-prod-2026.01.02"}) {
		t.Errorf("indices %v", got)
	}
	got, _ := f.document("flowbeam-flow-prod-2026.01.02", records[7].ID.String())
	if want := string(recordECS().Append(nil, &records[7])); got.doc != want {
		t.Errorf("got  %s\nwant %s", got.doc, want)
	}
}

func TestIndicesFollowFromEventTime(t *testing.T) {
	at := func(s string) flow.Record {
		x, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return flowtest.Record(flowtest.EventTime(x))
	}
	records := []flow.Record{at("2026-01-31T23:59:59.9Z"), at("2026-02-01T00:00:00Z"), at("2026-02-01T13:00:00Z"), at("2000-01-01T00:00:00Z"), at("2099-12-31T23:59:59Z"), at("2026-02-01T00:00:00.1Z")}
	for length, want := range map[string]string{
		Day:   "2000.01.01 2026.01.31 2026.02.01 2099.12.31",
		Hour:  "2000.01.01-00 2026.01.31-23 2026.02.01-00 2026.02.01-13 2099.12.31-23",
		Month: "2000.01.01 2026.01.01 2026.02.01 2099.12.01",
	} {
		f := newFake(t)
		run(t, sinkTo(f, func(o *options) { o.Period = length }), flow.Batch{Records: records})
		if got := strings.ReplaceAll(strings.Join(f.names(), " "), "flowbeam-flow-default-", ""); got != want {
			t.Errorf("by %s: %s, want %s", length, got, want)
		}
	}
}

func TestNoIndexIsMadeOfAnImpossibleTime(t *testing.T) {
	f := newFake(t)
	var records []flow.Record
	for i, ts := range []flow.Time{0, 1, -1 << 62, 1<<63 - 1, earliest - 1, latest} {
		records = append(records, flowtest.Record(func(r *flow.Record) { r.EventTime = ts; r.ID = flow.NewID("t", []byte{byte(i)}) }))
	}
	noID := flowtest.Record()
	noID.ID = flow.ID{}
	counts, failures := run(t, sinkTo(f), flow.Batch{Records: append(records, noID)})
	want(t, counts, map[string]int64{"rejected": 7})
	if len(failures) != 7 || len(f.names()) != 0 || f.Writes() != 0 {
		t.Errorf("%d dead letters, indices %v", len(failures), f.names())
	}
	negative := flowtest.Record(func(r *flow.Record) { r.Revision = -1 })
	counts, _ = run(t, sinkTo(f, func(o *options) { o.Replace = true }), flow.Batch{Records: []flow.Record{negative}})
	want(t, counts, map[string]int64{"rejected": 1})
}

func TestReplaceModeKeepsTheHigherRevision(t *testing.T) {
	f := newFake(t)
	fn := sinkTo(f, func(o *options) { o.Replace = true })
	r := flowtest.Record()
	for _, c := range []struct {
		revision, want int64
		counts         map[string]int64
	}{{2, 2, map[string]int64{"new": 1}}, {1, 2, map[string]int64{"already_there": 1}}, {3, 3, map[string]int64{"already_there": 1, "replaced": 1}}} {
		r.Revision = c.revision
		counts, _ := run(t, fn, flow.Batch{Records: []flow.Record{r}})
		want(t, counts, c.counts)
		if got, _ := f.document("flowbeam-flow-default-2026.01.02", r.ID.String()); got.version != c.want {
			t.Errorf("revision %d: stored %d", c.revision, got.version)
		}
	}
}

func TestRollupsOnlyGrow(t *testing.T) {
	table := flow.RollupTable("5m", []string{"user_id"}, []flow.Kind{flow.KindString}, []string{"flows"}, []flow.Kind{flow.KindInt})
	r, err := dataset.RollupTableOf(table)
	if err != nil {
		t.Fatal(err)
	}
	f := newFake(t)
	o := defaults("elasticsearch_rollup_5m")
	fn := &rollupsFn{Cluster: Cluster{Addresses: []string{f.URL}}, Options: o, Table: r}
	row := func(n int64) flow.Rollup {
		return flow.Rollup{Window: flow.TimeOf(flowtest.Start).Truncate(5 * time.Minute), Length: 5 * time.Minute, Records: n,
			Group: []flow.Value{flow.StringValue("u\n")}, Measures: []flow.Value{flow.IntValue(n)}}
	}
	of := func(rows ...flow.Rollup) flow.RollupBatch {
		return flow.RollupBatch{Level: "5m", Fields: []string{"user_id"}, Measures: []string{"flows"}, Rows: rows}
	}
	one := row(1)
	id := one.ID([]string{"user_id"}).String()
	for _, c := range []struct{ n, want int64 }{{2, 2}, {1, 2}, {5, 5}, {5, 5}, {4, 5}} {
		run(t, fn, of(row(c.n)))
		if got, ok := f.document("flowbeam-rollup-5m-default-2026.01.02", id); !ok || got.version != c.want {
			t.Errorf("after %d: %+v", c.n, got)
		}
	}
	bad := row(1)
	bad.Window = 0
	counts, failures := run(t, fn, of(bad))
	want(t, counts, map[string]int64{"rejected": 1})
	if len(failures) != 1 || failures[0].Format != "rollup_5m" {
		t.Errorf("%+v", failures)
	}
	other := of(row(1))
	other.Fields = []string{"tenant"}
	if err := try(t, fn, other); err == nil {
		t.Error("rows by another field were taken")
	}
}

func TestRequestsAreCutByBytesAndCountAndBoundedInFlight(t *testing.T) {
	records := flowtest.Records(1000, 2)
	f := newFake(t)
	f.whole = func(int, http.ResponseWriter) bool { time.Sleep(5 * time.Millisecond); return false }
	counts, _ := run(t, sinkTo(f, func(o *options) { o.RequestRecords, o.InFlight = 30, 3 }), flow.Batch{Records: records})
	want(t, counts, map[string]int64{"new": 1000})
	if counts["requests"] != 34 || slices.Max(f.lines) != 60 {
		t.Errorf("%d requests of up to %d lines", counts["requests"], slices.Max(f.lines))
	}
	if f.most != 3 {
		t.Errorf("%d requests at a time, want 3", f.most)
	}
	f = newFake(t)
	big := flowtest.Record(func(r *flow.Record) { r.Original = strings.Repeat("x", 30_000) }) // goes alone
	counts, _ = run(t, sinkTo(f, func(o *options) { o.RequestBytes = 20_000 }), flow.Batch{Records: append(append(slices.Clone(records[:100]), big), records[100:200]...)})
	want(t, counts, map[string]int64{"new": 201})
	alone := 0
	for _, a := range f.asked { // not by f.lines: with requests at a time their order may differ
		n := strings.Count(a.body, "\n")
		if n == 2 {
			alone++
		}
		if b := len(a.body); b > 20_000 && n != 2 {
			t.Errorf("a request of %d documents has %d bytes", n/2, b)
		}
	}
	if alone != 1 || len(f.asked) > 15 {
		t.Errorf("%d requests, %d of one document", len(f.asked), alone)
	}
}

// Only what was refused for now goes again, and each outcome stands for its own document.
func TestAPartialFailureSendsAgainOnlyWhatMayPass(t *testing.T) {
	f := newFake(t)
	records := flowtest.Records(100, 3)
	tries := map[string]int{}
	kind := map[string]int{}
	for i := range records {
		kind[records[i].ID.String()] = i % 5
	}
	f.refuse = func(_ string, doc []byte) *refuse {
		var d struct{ Event struct{ ID string } }
		if err := json.Unmarshal(doc, &d); err != nil {
			t.Error(err)
		}
		id := d.Event.ID
		tries[id]++
		switch k := kind[id]; {
		case k == 1 && tries[id] < 3:
			return &refuse{429, "es_rejected_execution_exception", "busy"}
		case k == 2 && tries[id] < 2:
			return &refuse{503, "unavailable_shards_exception", "primary is not active"}
		case k == 3:
			return &refuse{400, "document_parsing_exception", "failed to parse field of " + id}
		}
		return nil
	}
	counts, failures := run(t, sinkTo(f), flow.Batch{Records: records})
	want(t, counts, map[string]int64{"new": 80, "rejected": 20})
	if counts["retried"] != 2 || counts["requests"] != 3 || !slices.Equal(f.lines, []int{200, 80, 40}) {
		t.Errorf("%v, lines %v", counts, f.lines)
	}
	if len(failures) != 20 {
		t.Errorf("%d dead letters", len(failures))
	}
	for _, x := range failures {
		var d struct {
			ID string `json:"record_id"`
		}
		if err := json.Unmarshal([]byte(x.Data), &d); err != nil || kind[d.ID] != 3 || x.Error != "document_parsing_exception: failed to parse field of "+d.ID+", by why: because" {
			t.Errorf("the dead letter of %s says %q", d.ID, x.Error)
		}
	}
	if n := len(f.IDs()); n != 80 {
		t.Errorf("%d documents", n)
	}
}

// What is wrong with the cluster, the index or the login makes no dead letters, whatever
// its status.
func TestWhatIsNotTheDocumentsFaultFailsTheBundle(t *testing.T) {
	for _, r := range []refuse{
		{403, "security_exception", "action [indices:data/write/bulk] is unauthorized"},
		{403, "cluster_block_exception", "index [x] blocked by: [FORBIDDEN/8/index write (api)]"},
		{429, "cluster_block_exception", "index [x] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark]"},
		{404, "index_not_found_exception", "no such index [x] and [action.auto_create_index] is [false]"},
		{400, "validation_exception", "Validation Failed: 1: this action would add [2] shards, but this cluster currently has [1000]/[1000] maximum normal shards open;"},
		{500, "i_o_exception", "No space left on device"},
	} {
		f := newFake(t)
		f.refuse = func(string, []byte) *refuse { return &r }
		err := try(t, sinkTo(f, func(o *options) { o.Retry = quick(time.Millisecond, 50*time.Millisecond) }), flow.Batch{Records: flowtest.Records(10, 4)})
		if err == nil || !strings.Contains(err.Error(), r.typ) || !strings.Contains(err.Error(), "10 of 10 documents") {
			t.Errorf("%d %s: %v", r.status, r.typ, err)
		}
	}
}

func TestTheServersRetryAfterIsKept(t *testing.T) {
	f := newFake(t)
	f.whole = func(n int, w http.ResponseWriter) bool {
		if n == 1 {
			w.Header().Set("Retry-After", "1")
			reply(w, 429, `{"error":{"type":"circuit_breaking_exception","reason":"Data too large"},"status":429}`)
		}
		return n == 1
	}
	begun := time.Now()
	counts, _ := run(t, sinkTo(f), flow.Batch{Records: flowtest.Records(10, 5)})
	if took := time.Since(begun); took < time.Second || counts["new"] != 10 {
		t.Errorf("%v after %v", counts, took)
	}
}

func TestARequestThatIsTooLargeIsHalved(t *testing.T) {
	f := newFake(t)
	f.limit = 10_000
	records := flowtest.Records(300, 6)
	big := flowtest.Record(func(r *flow.Record) { r.Original = strings.Repeat("x", 10_000) })
	counts, failures := run(t, sinkTo(f), flow.Batch{Records: append(slices.Clone(records), big)})
	want(t, counts, map[string]int64{"new": 300, "rejected": 1})
	if len(failures) != 1 || failures[0].Reason != flow.ReasonOversize || !strings.Contains(failures[0].Data, big.ID.String()) {
		t.Errorf("%+.300v", failures)
	}
}

// A server that hangs is left after the time of a try.
func TestATryThatTakesTooLongIsMadeAgain(t *testing.T) {
	f := newFake(t)
	f.whole = func(n int, _ http.ResponseWriter) bool {
		if n == 1 {
			time.Sleep(300 * time.Millisecond)
		}
		return false
	}
	counts, _ := run(t, sinkTo(f, func(o *options) { o.Timeout = 50 * time.Millisecond }), flow.Batch{Records: flowtest.Records(10, 7)})
	if counts["new"]+counts["already_there"] != 10 || counts["retried"] == 0 {
		t.Error(counts)
	}
}

func TestANodeThatIsDownIsLeftOut(t *testing.T) {
	f, dead := newFake(t), newFake(t)
	dead.Server.Close()
	fn := sinkTo(f, func(o *options) { o.RequestRecords = 10 })
	fn.Cluster.Addresses = []string{dead.URL, f.URL}
	counts, _ := run(t, fn, flow.Batch{Records: flowtest.Records(200, 8)})
	want(t, counts, map[string]int64{"new": 200})
}

// A bundle that fails leaves nothing in the DoFn: neither documents nor counts.
func TestNothingOfABundleThatFailedStays(t *testing.T) {
	f := newFake(t)
	fn := sinkTo(f, func(o *options) { o.Retry = quick(time.Millisecond, 30*time.Millisecond); o.RequestRecords = 10 })
	ctx := context.Background()
	if err := fn.Setup(ctx); err != nil {
		t.Fatal(err)
	}
	defer fn.Teardown()
	var got []flow.Count
	count := func(c flow.Count) { got = append(got, c) }
	fail := func(flow.FailureBatch) { t.Error("a dead letter") }
	f.whole = func(_ int, w http.ResponseWriter) bool { reply(w, 503, ""); return true }
	fn.StartBundle(ctx, fail, count)
	first := flow.Batch{Records: flowtest.Records(35, 9)}
	err := fn.ProcessElement(ctx, first, fail, count)
	if ferr := fn.FinishBundle(ctx, fail, count); err == nil && ferr == nil || len(got) > 0 {
		t.Fatalf("%v, %v, %v", err, ferr, got)
	}
	f.mu.Lock()
	f.whole = nil
	f.mu.Unlock()
	fn.StartBundle(ctx, fail, count)
	second := flow.Batch{Records: flowtest.Records(5, 10)}
	if err := fn.ProcessElement(ctx, second, fail, count); err != nil {
		t.Fatal(err)
	}
	// Dropped here: the worker starts another bundle without FinishBundle.
	fn.StartBundle(ctx, fail, count)
	if err := fn.ProcessElement(ctx, second, fail, count); err != nil {
		t.Fatal(err)
	}
	if err := fn.FinishBundle(ctx, fail, count); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int64{}
	for _, c := range got {
		counts[c.Name] += c.N
	}
	want(t, counts, map[string]int64{"new": 5})
	// Requests of the first bundle that were cut off may still arrive, as those of a real
	// worker may: so only the second one's documents are looked at.
	have := f.IDs()
	for i := range second.Records {
		if !slices.Contains(have, second.Records[i].ID.String()) {
			t.Errorf("record %d is not there", i)
		}
	}
}

func TestABatchIsNotChanged(t *testing.T) {
	b := flow.Batch{Records: flowtest.Records(50, 3)}
	before := flow.EncodeBatch(&b)
	run(t, sinkTo(newFake(t)), b)
	if string(before) != string(flow.EncodeBatch(&b)) {
		t.Error("the batch has changed")
	}
}

func TestDeadLettersGoByTheDayOfTheirSource(t *testing.T) {
	f := newFake(t)
	x := flow.Failure{Stage: "parse", Reason: flow.ReasonSyntax, Error: "cut", Data: "a\nb", Position: flow.Position{Source: "f", Offset: flow.N(7)}, SourceTime: flow.TimeOf(flowtest.Start)}
	y := x
	y.SourceTime, y.Position.Offset = 0, flow.N(9)
	fn := &failuresFn{Cluster: Cluster{Addresses: []string{f.URL}}, Options: defaults("elasticsearch_dead_letters")}
	for _, c := range []map[string]int64{{"new": 2}, {"already_there": 2}} {
		counts, _ := run(t, fn, flow.FailureBatch{Failures: []flow.Failure{x, y}})
		want(t, counts, c)
	}
	if got := f.names(); !slices.Equal(got, []string{"flowbeam-dead-letters-default-2026.01.02", "flowbeam-dead-letters-default-unknown"}) {
		t.Error(got)
	}
}

func TestValidateReportsEveryProblemAtOnce(t *testing.T) {
	err := Validate(Cluster{Addresses: []string{"es:9200"}, CloudID: "x:y", User: "u", APIKey: "env:K"},
		Namespace("../x"), IndexPer("week"), RequestBytes(0), RequestRecords(-1), InFlight(0), Timeout(0), Retry(0, 0, 0), Name(""), DataStream(), Replace())
	for _, w := range []string{"both addresses", "address 1", "both an API key", "come together", "namespace", "IndexPer", "RequestBytes", "RequestRecords", "InFlight", "Timeout", "retries", "Name", "DataStream and Replace"} {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("error %v does not say %s", err, w)
		}
	}
	good := Cluster{Addresses: []string{"https://es1:9200", "https://es2:9200/path"}, APIKey: "gcp:projects/p/secrets/s/versions/latest"}
	table := flow.RollupTable("1m", []string{"user_id"}, []flow.Kind{flow.KindString}, []string{"flows"}, []flow.Kind{flow.KindInt})
	if err := Validate(good, Namespace("prod_1"), IndexPer(Hour), Replace()); err != nil {
		t.Error(err)
	}
	if err := ValidateRollups(good, table); err != nil {
		t.Error(err)
	}
	if ValidateRollups(good, table, DataStream()) == nil || ValidateFailures(good, Replace()) == nil || Validate(Cluster{}) == nil {
		t.Error("taken")
	}
	table.Name = "rollup_../x"
	if ValidateRollups(good, table) == nil {
		t.Error("a level that does not fit a name was taken")
	}
	for _, ns := range []string{"", "A", "a-b", "a*", "a,b", "_a", ".a", "a.b", "ü", "a/b", "a\n", strings.Repeat("a", 64)} {
		if Validate(good, Namespace(ns)) == nil {
			t.Errorf("namespace %q was taken", ns)
		}
	}
}

func TestABadOptionPanicsWhileTheGraphIsBuilt(t *testing.T) {
	defer func() {
		if r := fmt.Sprint(recover()); !strings.HasPrefix(r, "elasticsink.Write: ") {
			t.Errorf("panic: %s", r)
		}
	}()
	_, s := beam.NewPipelineWithRoot()
	Write(s, beam.Create(s, flow.Batch{}), Cluster{}, Namespace("x"))
}

// The first document passes at once, so that those after it move up in the repetition, and
// one is refused only then.
func TestARejectionAfterARetryIsOfItsOwnRecord(t *testing.T) {
	f := newFake(t)
	records := flowtest.Records(5, 12)
	bad, tries := records[3].ID.String(), 0
	f.refuse = func(_ string, doc []byte) *refuse {
		switch tries++; {
		case tries == 1, tries == 3:
			return nil
		case tries <= 5:
			return &refuse{429, "es_rejected_execution_exception", "busy"}
		case strings.Contains(string(doc), bad):
			return &refuse{400, "document_parsing_exception", bad}
		}
		return nil
	}
	counts, failures := run(t, sinkTo(f), flow.Batch{Records: records})
	want(t, counts, map[string]int64{"new": 4, "rejected": 1})
	if len(failures) != 1 || !strings.Contains(failures[0].Data, bad) || !strings.Contains(failures[0].Error, bad) {
		t.Errorf("%+v", failures)
	}
}
