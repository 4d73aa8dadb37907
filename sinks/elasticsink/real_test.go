package elasticsink

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/flowtest"
	"github.com/flowbeam/flowbeam/internal/dataset"
	"github.com/flowbeam/flowbeam/internal/delivery"
	"github.com/flowbeam/flowbeam/internal/testenv"
)

// server is a real Elasticsearch, and a namespace on it that is the test's own.
type server struct {
	t       testing.TB
	cluster Cluster
	client  *client
	ns      string
}

var namespaces = time.Now().UnixNano()

// connect connects to the server of this machine's stack. Its indices, templates and data
// streams of the namespace are removed when the test ends.
func connect(t testing.TB, c Cluster) *server {
	t.Helper()
	namespaces++
	s := &server{t: t, cluster: c, ns: "t" + strconv.FormatInt(namespaces, 36)}
	var err error
	if s.client, err = open(context.Background(), c, 2); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, path := range []string{"/_data_stream/flowbeam-*-" + s.ns, "/flowbeam-*-" + s.ns + "-*", "/.ds-flowbeam-*-" + s.ns + "-*", "/_index_template/flowbeam-*-" + s.ns, "/_component_template/flowbeam-*-" + s.ns + "*"} {
			r := call{method: http.MethodDelete, path: path, maxReply: 1 << 20}
			s.client.do(context.Background(), &r)
		}
		s.client.close()
	})
	return s
}

func plain(t testing.TB) *server {
	return connect(t, Cluster{Addresses: []string{testenv.Server(t, "FLOWBEAM_ES_URL")}})
}

// ask makes a request and wants it to succeed.
func (s *server) ask(method, path, body string, into any) {
	s.t.Helper()
	r := call{method: method, path: path, contentType: "application/json", maxReply: 64 << 20}
	if body != "" {
		r.body = []byte(body)
	}
	if err := s.client.do(context.Background(), &r); err != nil {
		s.t.Fatal(err)
	}
	if r.status > 299 {
		s.t.Fatalf("%s %s: %d %s", method, path, r.status, r.reply)
	}
	if into != nil {
		if err := json.Unmarshal(r.reply, into); err != nil {
			s.t.Fatalf("%s %s: %v", method, path, err)
		}
	}
}

// install installs the templates for a cluster of one node without ILM.
func (s *server) install(t Templates) []Installed {
	s.t.Helper()
	none := 0
	t.Namespace, t.Replicas, t.WithoutILM = s.ns, &none, true
	done, err := Install(context.Background(), s.cluster, t)
	if err != nil {
		s.t.Fatal(err)
	}
	return done
}

func (s *server) options(stage string) options {
	o := defaults(stage)
	o.Namespace, o.Retry = s.ns, delivery.Policy{Base: 50 * time.Millisecond, Cap: time.Second, Deadline: time.Minute, Auth: 2 * time.Second}
	return o
}

// run runs a bundle and returns its counts and dead letters.
func run(t testing.TB, fn any, elements ...any) (map[string]int64, []flow.Failure) {
	t.Helper()
	h := flowtest.NewHarness(t, fn, flowtest.Once)
	if err := h.TryBundle(elements...); err != nil {
		t.Fatal(err)
	}
	return outcome(h.Effects())
}

func outcome(e *flowtest.Effects) (map[string]int64, []flow.Failure) {
	counts, failures := map[string]int64{}, []flow.Failure{}
	for _, b := range flowtest.Emitted[flow.FailureBatch](e, 0) {
		failures = append(failures, b.Failures...)
	}
	for _, c := range flowtest.Emitted[flow.Count](e, 1) {
		counts[c.Name] += c.N
	}
	return counts, failures
}

// want compares counts, but for those of requests.
func want(t testing.TB, have map[string]int64, want map[string]int64) {
	t.Helper()
	have = maps.Clone(have)
	for _, name := range []string{"requests", "bytes", "retried"} {
		delete(have, name)
	}
	if !maps.Equal(have, want) {
		t.Errorf("counted %v, want %v", have, want)
	}
}

// search refreshes and searches.
func (s *server) search(target, body string) (total int64, sources []map[string]any, aggs map[string]any) {
	s.t.Helper()
	s.ask(http.MethodPost, "/"+target+"/_refresh", "", nil)
	var r struct {
		Hits struct {
			Total struct{ Value int64 }
			Hits  []struct {
				Source map[string]any `json:"_source"`
			}
		}
		Aggregations map[string]any
	}
	s.ask(http.MethodPost, "/"+target+"/_search?track_total_hits=true", body, &r)
	for _, h := range r.Hits.Hits {
		sources = append(sources, h.Source)
	}
	return r.Hits.Total.Value, sources, r.Aggregations
}

// spread are records over three days.
func spread(n int, seed uint64) []flow.Record {
	out := flowtest.Records(n, seed)
	for i := range out {
		shift := time.Duration(i%3) * 24 * time.Hour
		out[i].EventTime, out[i].Start, out[i].End = out[i].EventTime.Add(shift), out[i].Start.Add(shift), out[i].End.Add(shift)
	}
	return out
}

func TestRealServerKeepsEachRecordOnceAndFindsItByAlias(t *testing.T) {
	s := plain(t)
	s.install(Templates{Shards: 2})
	records := spread(10_000, 1)
	var bytesSent int64
	for i := range records {
		bytesSent += records[i].Source.Bytes.V
	}
	// One in ten thousand has a value that Lucene takes no term of.
	bad := flowtest.Record(flowtest.User(strings.Repeat("x", 40_000)))
	all := append(append([]flow.Record{}, records[:5000]...), bad)
	all = append(all, records[5000:]...)
	o := s.options("elasticsearch")
	o.RequestRecords = 1500
	fn := &recordsFn{Cluster: s.cluster, Options: o}
	counts, failures := run(t, fn, flow.Batch{Records: all[:4000]}, flow.Batch{Records: all[4000:]})
	want(t, counts, map[string]int64{"new": 10_000, "rejected": 1})
	if len(failures) != 1 || failures[0].Reason != flow.ReasonRejected || !strings.Contains(failures[0].Error, "immense term") || !strings.Contains(failures[0].Data, bad.ID.String()) {
		t.Errorf("%d dead letters: %+.300v", len(failures), failures)
	}
	counts, _ = run(t, fn, flow.Batch{Records: records}) // a replay
	want(t, counts, map[string]int64{"already_there": 10_000})

	alias := aliasOf(kindFlow, s.ns)
	total, docs, aggs := s.search(alias, `{"size":1,"sort":[{"@timestamp":"asc"}],"aggs":{"b":{"sum":{"field":"source.bytes"}},"v6":{"filter":{"term":{"source.ip":"2001:db8::/32"}}},"p":{"percentiles":{"field":"flowbeam.rtt.external"}}}}`)
	if got := int64(aggs["b"].(map[string]any)["value"].(float64)); total != 10_000 || got != bytesSent {
		t.Errorf("%d documents, %d bytes, want %d", total, got, bytesSent)
	}
	v6 := 0
	for i := range records {
		if records[i].Source.IP.Len == 16 {
			v6++
		}
	}
	if n := int(aggs["v6"].(map[string]any)["doc_count"].(float64)); n != v6 || v6 == 0 {
		t.Errorf("%d documents are of the IPv6 prefix, want %d", n, v6)
	}
	if len(docs) != 1 || docs[0]["event"].(map[string]any)["id"] == nil {
		t.Errorf("%v", docs)
	}
	var indices []struct{ Index, Pri string }
	s.ask(http.MethodGet, "/_cat/indices/"+alias+"-*?format=json&s=index&h=index,pri", "", &indices)
	var names []string
	for _, i := range indices {
		names = append(names, i.Index+" "+i.Pri)
	}
	day := func(d string) string { return alias + "-2026.01." + d + " 2" }
	if got := strings.Join(names, ","); got != strings.Join([]string{day("02"), day("03"), day("04")}, ",") {
		t.Errorf("indices %s", got)
	}
}

func TestRealServerTakesEveryField(t *testing.T) {
	s := plain(t)
	s.install(Templates{})
	r := new(flow.Record)
	for i := range flow.Records.Columns {
		c := &flow.Records.Columns[i]
		if c.Ref == nil {
			continue
		}
		v := map[flow.Kind]flow.Value{
			flow.KindString: flow.StringValue("text\n\x00\xff" + c.Name), flow.KindInt: flow.IntValue(int64(i)), flow.KindFloat: flow.FloatValue(float64(i) / 4), flow.KindBool: flow.BoolValue(true),
			flow.KindTime: flow.TimeValue(flow.TimeOf(flowtest.Start)), flow.KindIP: {Kind: flow.KindIP, Str: "10.0.0.1"},
			flow.KindID: {Kind: flow.KindID, Str: fmt.Sprintf("%032x", i+1)}, flow.KindObject: {Kind: flow.KindObject, Str: `{"a":"b","c.d":"e"}`},
		}[c.Kind]
		if strings.HasSuffix(c.Name, "tude") {
			v = flow.FloatValue(12.5)
		}
		if err := c.Set(r, v); err != nil {
			t.Fatal(err)
		}
	}
	counts, failures := run(t, &recordsFn{Cluster: s.cluster, Options: s.options("elasticsearch")}, flow.Batch{Records: []flow.Record{*r}})
	want(t, counts, map[string]int64{"new": 1})
	f := flow.Failure{Stage: "parse", Reason: flow.ReasonSyntax, Error: "cut", Data: strings.Repeat("{\"a\n", 20_000), Position: flow.Position{Source: "f", Offset: flow.N(7)}, SourceTime: flow.TimeOf(flowtest.Start)}
	g := f
	g.Data, g.SourceTime, g.Position.Offset = "\xff", 0, flow.N(8)
	fn := &failuresFn{Cluster: s.cluster, Options: s.options("elasticsearch_dead_letters")}
	counts, more := run(t, fn, flow.FailureBatch{Failures: []flow.Failure{f, g}})
	want(t, counts, map[string]int64{"new": 2})
	if failures = append(failures, more...); len(failures) > 0 {
		t.Errorf("%+.400v", failures)
	}
	counts, _ = run(t, fn, flow.FailureBatch{Failures: []flow.Failure{f, g}})
	want(t, counts, map[string]int64{"already_there": 2})
	if n, _, _ := s.search(aliasOf(kindDeadLetters, s.ns), `{"query":{"term":{"error.type":"syntax"}}}`); n != 2 {
		t.Errorf("%d dead letters by alias", n)
	}
	if n, _, _ := s.search(aliasOf(kindDeadLetters, s.ns)+"-unknown", `{}`); n != 1 {
		t.Errorf("%d dead letters without a time", n)
	}
}

func TestRealServerRefusesByAStricterMapping(t *testing.T) {
	s := plain(t)
	alias := aliasOf(kindFlow, s.ns)
	s.ask(http.MethodPut, "/_component_template/"+alias+"@custom", `{"template":{"mappings":{"properties":{"source":{"properties":{"port":{"type":"byte"}}}}}}}`, nil)
	s.install(Templates{})
	records := flowtest.Records(100, 2)
	for i := range records {
		records[i].Source.Port = flow.N(int64(i))
	}
	records[40].Source.Port = flow.N(4711)
	counts, failures := run(t, &recordsFn{Cluster: s.cluster, Options: s.options("elasticsearch")}, flow.Batch{Records: records})
	want(t, counts, map[string]int64{"new": 99, "rejected": 1})
	if len(failures) != 1 || !strings.Contains(failures[0].Error, "out of range for a byte") || !strings.Contains(failures[0].Error, "source.port") {
		t.Errorf("%+v", failures)
	}
}

func TestRealServerReplacesByRevisionAndRollupsGrow(t *testing.T) {
	s := plain(t)
	table := flow.RollupTable("1m", []string{"user_id"}, []flow.Kind{flow.KindString}, []string{"flows"}, []flow.Kind{flow.KindInt})
	s.install(Templates{Rollups: []*flow.Table[flow.Rollup]{table}})
	o := s.options("elasticsearch")
	o.Replace = true
	records := flowtest.Records(20, 3)
	for _, c := range []struct {
		revision int64
		want     map[string]int64
		user     string
	}{{2, map[string]int64{"new": 20}, "r2"}, {1, map[string]int64{"already_there": 20}, "r2"}, {3, map[string]int64{"already_there": 20, "replaced": 20}, "r3"}, {3, map[string]int64{"already_there": 20, "replaced": 20}, "r3"}} {
		for i := range records {
			records[i].Revision, records[i].UserID = c.revision, fmt.Sprint("r", c.revision)
		}
		counts, _ := run(t, &recordsFn{Cluster: s.cluster, Options: o}, flow.Batch{Records: records})
		want(t, counts, c.want)
		if n, _, _ := s.search(aliasOf(kindFlow, s.ns), `{"query":{"term":{"source.user.id":"`+c.user+`"}}}`); n != 20 {
			t.Errorf("revision %d: %d documents of %s", c.revision, n, c.user)
		}
	}
	r, err := dataset.RollupTableOf(table)
	if err != nil {
		t.Fatal(err)
	}
	fn := &rollupsFn{Cluster: s.cluster, Options: s.options("elasticsearch_rollup_1m"), Table: r}
	for _, c := range []struct{ n, want int64 }{{2, 2}, {1, 2}, {5, 5}, {5, 5}, {4, 5}} {
		run(t, fn, flow.RollupBatch{Level: "1m", Fields: []string{"user_id"}, Measures: []string{"flows"}, Rows: []flow.Rollup{{
			Window: flow.TimeOf(flowtest.Start).Truncate(time.Minute), Length: time.Minute, Records: c.n,
			Group: []flow.Value{flow.StringValue("u")}, Measures: []flow.Value{flow.IntValue(c.n)},
		}}})
		n, docs, _ := s.search(aliasOf(kindRollup+"1m", s.ns), `{}`)
		if n != 1 || docs[0]["flowbeam"].(map[string]any)["flows"] != float64(c.want) {
			t.Errorf("after %d records: %d rows %v, want one of %d", c.n, n, docs, c.want)
		}
	}
}

// A data stream is a set until its next rollover, and then it is not: what the docs say.
func TestRealServerDataStreamAndItsLimit(t *testing.T) {
	s := plain(t)
	s.install(Templates{DataStream: true})
	o := s.options("elasticsearch")
	o.DataStream = true
	fn := &recordsFn{Cluster: s.cluster, Options: o}
	records := spread(300, 4)
	alias := aliasOf(kindFlow, s.ns)
	for i, c := range []map[string]int64{{"new": 300}, {"already_there": 300}, {"new": 300}} {
		if i == 2 {
			s.ask(http.MethodPost, "/"+alias+"/_rollover", "", nil)
		}
		counts, _ := run(t, fn, flow.Batch{Records: records})
		want(t, counts, c)
	}
	if n, _, _ := s.search(alias, `{}`); n != 600 {
		t.Errorf("%d documents after a rollover", n)
	}
}

func TestRealServerInstallKeepsWhatIsNewer(t *testing.T) {
	s := plain(t)
	did := func(done []Installed) string {
		var out []string
		for _, i := range done {
			out = append(out, i.Did)
		}
		return strings.Join(out, " ")
	}
	if got := did(s.install(Templates{})); got != "created created created created" {
		t.Error(got)
	}
	if got := did(s.install(Templates{})); got != "unchanged unchanged unchanged unchanged" {
		t.Error(got)
	}
	if got := did(s.install(Templates{Shards: 3})); got != "unchanged updated unchanged unchanged" {
		t.Error(got)
	}
	alias := aliasOf(kindFlow, s.ns)
	// An operator's newer one, one that is not ours, and an older one of ours.
	s.ask(http.MethodPut, "/_index_template/"+alias, `{"index_patterns":["`+alias+`-*"],"priority":250,"version":99,"_meta":{"managed_by":"flowbeam","version":1},"template":{"settings":{"number_of_shards":7}}}`, nil)
	s.ask(http.MethodPut, "/_component_template/"+aliasOf(kindDeadLetters, s.ns)+"-mappings", `{"_meta":{"managed_by":"me"},"template":{"settings":{"number_of_shards":5}}}`, nil)
	s.ask(http.MethodPut, "/_component_template/"+alias+"-mappings", `{"version":0,"_meta":{"managed_by":"flowbeam","version":0},"template":{"settings":{"number_of_shards":5}}}`, nil)
	done := s.install(Templates{Shards: 3})
	if got := did(done); got != "updated kept kept unchanged" || !strings.Contains(done[1].Why, "99") || !strings.Contains(done[2].Why, "not flowbeam's") {
		t.Error(done)
	}
	var have struct {
		Templates []struct {
			T struct{ Version int } `json:"index_template"`
		} `json:"index_templates"`
	}
	if s.ask(http.MethodGet, "/_index_template/"+alias, "", &have); have.Templates[0].T.Version != 99 {
		t.Errorf("%+v", have)
	}
}

func TestRealServerWithTLSAndAKeyThatMayOnlyCreate(t *testing.T) {
	url := testenv.Server(t, "FLOWBEAM_ES_SECURE_URL")
	user, password, ca := testenv.Server(t, "FLOWBEAM_ES_USER"), testenv.Server(t, "FLOWBEAM_ES_PASSWORD"), testenv.Server(t, "FLOWBEAM_ES_CA")
	t.Setenv("FLOWBEAM_TEST_ES_PASSWORD", password)
	c := Cluster{Addresses: []string{url}, User: user, Password: "env:FLOWBEAM_TEST_ES_PASSWORD", CA: "file:" + ca}
	s := connect(t, c)
	s.install(Templates{})

	var key struct{ Encoded string }
	s.ask(http.MethodPost, "/_security/api_key", `{"name":"`+s.ns+`","role_descriptors":{"writer":{"cluster":[],"index":[{"names":["flowbeam-*"],"privileges":["create_doc","auto_configure"]}]}}}`, &key)
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(key.Encoded+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	byKey := Cluster{Addresses: []string{url}, APIKey: "file:" + file, CA: "file:" + ca}
	records := spread(500, 5)
	for _, c := range []map[string]int64{{"new": 500}, {"already_there": 500}} {
		counts, _ := run(t, &recordsFn{Cluster: byKey, Options: s.options("elasticsearch")}, flow.Batch{Records: records})
		want(t, counts, c)
	}
	if n, _, _ := s.search(aliasOf(kindFlow, s.ns), `{}`); n != 500 {
		t.Errorf("%d documents", n)
	}
	if _, err := Install(context.Background(), byKey, Templates{Namespace: s.ns, WithoutILM: true}); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("a key that may only create installs templates: %v", err)
	}
	// To write over a document is more than to create one: denied, and no dead letter.
	o := s.options("elasticsearch")
	o.Replace = true
	err := flowtest.NewHarness(t, &recordsFn{Cluster: byKey, Options: o}, flowtest.Once).TryBundle(flow.Batch{Records: records[:10]})
	if err == nil || !strings.Contains(err.Error(), "403") || strings.Contains(err.Error(), key.Encoded) {
		t.Errorf("replace with a key that may only create: %v", err)
	}

	// The key is replaced while the sink has the old one.
	h := flowtest.NewHarness(t, &recordsFn{Cluster: byKey, Options: s.options("elasticsearch")}, flowtest.Once)
	if err := h.TryBundle(flow.Batch{Records: records[:10]}); err != nil {
		t.Fatal(err)
	}
	s.ask(http.MethodDelete, "/_security/api_key", `{"name":"`+s.ns+`"}`, nil)
	s.ask(http.MethodPost, "/_security/api_key", `{"name":"`+s.ns+`b","role_descriptors":{"writer":{"cluster":[],"index":[{"names":["flowbeam-*"],"privileges":["create_doc","auto_configure"]}]}}}`, &key)
	if err := os.WriteFile(file, []byte(key.Encoded), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := h.TryBundle(flow.Batch{Records: records[10:20]}); err != nil {
		t.Errorf("after the key was replaced: %v", err)
	}

	for name, c := range map[string]Cluster{
		"another CA":       {Addresses: []string{url}, APIKey: "file:" + file},
		"a wrong password": {Addresses: []string{url}, User: user, Password: "file:" + file, CA: "file:" + ca},
	} {
		begun := time.Now()
		err := flowtest.NewHarness(t, &recordsFn{Cluster: c, Options: s.options("elasticsearch")}, flowtest.Once).TryBundle(flow.Batch{Records: records[:1]})
		if err == nil || strings.Contains(err.Error(), key.Encoded) || strings.Contains(err.Error(), password) {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(begun); took > time.Minute {
			t.Errorf("%s: it took %v to say %v", name, took, err)
		}
		t.Logf("%s: %v", name, err)
	}
}
