package kibana_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/flowtest"
	"github.com/flowbeam/flowbeam/internal/testenv"
	"github.com/flowbeam/flowbeam/sinks/elasticsink"
)

func TestMain(m *testing.M) { ptest.Main(m) }

// ask makes a request and wants it to succeed.
func ask(t testing.TB, method, url, body string) []byte {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode > 299 {
		t.Fatalf("%s %s: %d %s %v", method, url, res.StatusCode, b, err)
	}
	return b
}

// node is one level of a reply: a bucket, or an aggregation.
type node map[string]any

func (n node) at(path ...string) node {
	for _, p := range path {
		n, _ = n[p].(map[string]any)
	}
	return n
}

func (n node) number(path ...string) float64 {
	last := len(path) - 1
	v, _ := n.at(path[:last]...)[path[last]].(float64)
	return v
}

func (n node) buckets(id string) (out []node) {
	list, _ := n.at(id)["buckets"].([]any)
	for _, b := range list {
		out = append(out, b.(map[string]any))
	}
	return out
}

// key is a bucket's key.
func (n node) key() string {
	switch k := n["key"].(type) {
	case string:
		return k
	case float64:
		return strconv.FormatInt(int64(k), 10)
	}
	return ""
}

// documents are records of three hours with countries, and dead letters.
func documents() ([]flow.Record, []flow.Failure) {
	records := flowtest.Records(3000, 42)
	countries := []string{"DE", "NL", "US", "JP", "BR", "IN", "GB", "FR", "AU", "ZA", "CA", "SE"}
	for i := range records {
		r := &records[i]
		shift := time.Duration(i%3) * time.Hour
		r.EventTime, r.Start, r.End = r.EventTime.Add(shift), r.Start.Add(shift), r.End.Add(shift)
		r.Destination.Geo.Country = countries[(i*i+i/7)%len(countries)]
		r.RTTInternal = flow.N(int64(1e6 + i*1000))
	}
	reasons := []flow.Reason{flow.ReasonSyntax, flow.ReasonSyntax, flow.ReasonSyntax, flow.ReasonValue, flow.ReasonField}
	var failures []flow.Failure
	for i := range 50 {
		failures = append(failures, flow.Failure{Stage: "parse", Reason: reasons[i%5], Error: "bad", Data: "x", Position: flow.Position{Source: "f", Offset: flow.N(int64(i))}, SourceTime: flow.TimeOf(flowtest.Start)})
	}
	return records, failures
}

// sums adds up what records have by some key.
func sums[K comparable](records []flow.Record, key func(*flow.Record) K, value func(*flow.Record) int64) map[K]float64 {
	out := map[K]float64{}
	for i := range records {
		out[key(&records[i])] += float64(value(&records[i]))
	}
	return out
}

// top are the n keys of most, the most first.
func top(m map[string]float64, n int) []string {
	keys := slices.SortedFunc(maps.Keys(m), func(a, b string) int { return cmp.Or(cmp.Compare(m[b], m[a]), cmp.Compare(a, b)) })
	return keys[:min(n, len(keys))]
}

// quantile is the exact one.
func quantile(values []int64, percent float64) float64 {
	slices.Sort(values)
	return float64(values[int(percent/100*float64(len(values)-1))])
}

func TestEachVisualizationShowsWhatWasWritten(t *testing.T) {
	url := testenv.Server(t, "FLOWBEAM_ES_URL")
	ns := "kibana" + strconv.FormatInt(time.Now().UnixNano(), 36)
	t.Cleanup(func() {
		for _, path := range []string{"/flowbeam-*-" + ns + "-*", "/_index_template/flowbeam-*-" + ns, "/_component_template/flowbeam-*-" + ns + "*"} {
			ask(t, http.MethodDelete, url+path, "")
		}
	})
	cluster, none := elasticsink.Cluster{Addresses: []string{url}}, 0
	if _, err := elasticsink.Install(context.Background(), cluster, elasticsink.Templates{Namespace: ns, WithoutILM: true, Replicas: &none}); err != nil {
		t.Fatal(err)
	}
	records, failures := documents()
	p, s := beam.NewPipelineWithRoot()
	elasticsink.Write(s, beam.Create(s, flow.Batch{Records: records}), cluster, elasticsink.Namespace(ns))
	elasticsink.WriteFailures(s, beam.Create(s, flow.FailureBatch{Failures: failures}), cluster, elasticsink.Namespace(ns))
	ptest.RunAndValidate(t, p)
	ask(t, http.MethodPost, url+"/flowbeam-*-"+ns+"-*/_refresh", "")

	sent := func(r *flow.Record) int64 { return r.Source.Bytes.V }
	received := func(r *flow.Record) int64 { return r.Destination.Bytes.V }
	one := func(*flow.Record) int64 { return 1 }
	user := func(r *flow.Record) string { return r.UserID }
	country := func(r *flow.Record) string { return r.Destination.Geo.Country }
	hour := func(r *flow.Record) string { return fmt.Sprint(int64(r.EventTime.Truncate(time.Hour)) / 1e6) }
	all := func(*flow.Record) string { return "" }

	// table checks a table of the ten keys with the largest first metric.
	table := func(t *testing.T, got node, key func(*flow.Record) string, first, second map[string]float64, secondOf func(node) float64) {
		want := top(first, 10)
		rows := got.buckets("3")
		if len(rows) != len(want) {
			t.Fatalf("%d rows, want %d", len(rows), len(want))
		}
		for i, k := range want {
			if rows[i].key() != k || rows[i].number("1", "value") != first[k] || secondOf(rows[i]) != second[k] {
				t.Errorf("row %d: %v, want %s %.0f %.0f", i, rows[i], k, first[k], second[k])
			}
		}
	}
	checks := map[string]func(t *testing.T, total float64, got node){
		"flowbeam-totals": func(t *testing.T, total float64, got node) {
			users := sums(records, user, one)
			if total != 3000 || got.number("2", "value") != sums(records, all, sent)[""] || got.number("3", "value") != sums(records, all, received)[""] || got.number("4", "value") != float64(len(users)) {
				t.Errorf("%v of %v", got, total)
			}
		},
		"flowbeam-bytes-by-data-center": func(t *testing.T, _ float64, got node) {
			want := sums(records, func(r *flow.Record) string { return hour(r) + " " + r.DataCenter }, received)
			have := map[string]float64{}
			for _, h := range got.buckets("2") {
				for _, dc := range h.buckets("3") {
					have[h.key()+" "+dc.key()] = dc.number("1", "value")
				}
			}
			if !maps.Equal(have, want) || len(want) < 6 {
				t.Errorf("have %v\nwant %v", have, want)
			}
		},
		"flowbeam-rtt": func(t *testing.T, _ float64, got node) {
			hours := got.buckets("3")
			byHour := sums(records, hour, one)
			if len(hours) != len(byHour) {
				t.Fatalf("%d hours, want %d", len(hours), len(byHour))
			}
			for _, h := range hours {
				var external, internal []int64
				for i := range records {
					if hour(&records[i]) == h.key() {
						external, internal = append(external, records[i].RTTExternal.V), append(internal, records[i].RTTInternal.V)
					}
				}
				for _, c := range []struct {
					id, percent string
					values      []int64
					p           float64
				}{{"1", "50.0", external, 50}, {"1", "95.0", external, 95}, {"1", "99.0", external, 99}, {"2", "50.0", internal, 50}, {"2", "95.0", internal, 95}} {
					if have, want := h.number(c.id, "values", c.percent), quantile(c.values, c.p); !near(have, want) {
						t.Errorf("hour %s, metric %s, %s %%: %.0f, want %.0f", h.key(), c.id, c.percent, have, want)
					}
				}
			}
		},
		"flowbeam-countries": func(t *testing.T, _ float64, got node) {
			table(t, got, country, sums(records, country, received), sums(records, country, one), func(n node) float64 { return n.number("doc_count") })
		},
		"flowbeam-users": func(t *testing.T, _ float64, got node) {
			table(t, got, user, sums(records, user, received), sums(records, user, sent), func(n node) float64 { return n.number("2", "value") })
		},
		"flowbeam-dead-letters-by-reason": func(t *testing.T, total float64, got node) {
			have := map[string]float64{}
			for _, r := range got.buckets("2") {
				for _, stage := range r.buckets("3") {
					have[r.key()+" "+stage.key()] = stage.number("doc_count")
				}
			}
			if want := map[string]float64{"syntax parse": 30, "value parse": 10, "field parse": 10}; !maps.Equal(have, want) || total != 50 {
				t.Errorf("have %v, want %v", have, want)
			}
		},
	}
	visualizations, problems := read(saved(t))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, v := range visualizations {
		t.Run(v.id, func(t *testing.T) {
			check := checks[v.id]
			if check == nil {
				t.Fatal("nothing is known of what it should show")
			}
			// The view's pattern, for the documents of this test alone.
			var r struct {
				Hits         struct{ Total struct{ Value float64 } }
				Aggregations node
			}
			b := ask(t, http.MethodPost, url+"/"+strings.TrimSuffix(v.pattern, "*")+ns+"-*/_search", v.query("1h"))
			if err := json.Unmarshal(b, &r); err != nil {
				t.Fatal(err)
			}
			check(t, r.Hits.Total.Value, r.Aggregations)
		})
	}
}
