package elasticsink

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/flowtest"
)

// body is the bulk body that the sink makes of some records, and how many documents it
// means it to have.
func body(t testing.TB, o options, records []flow.Record) ([]byte, int) {
	s := recordSpec(&o)
	w := writer[flow.Record]{spec: s, o: o, heads: heads{op: "create", alias: aliasOf(kindFlow, o.Namespace), period: o.Period}}
	if s.version != nil {
		w.heads.op = "index"
	}
	for i := range records {
		if err := w.add(&records[i]); err != nil {
			t.Fatal(err)
		}
	}
	if w.now == nil {
		return nil, 0
	}
	return w.now.body, len(w.now.ends)
}

// checkBody wants two lines a document: an action with an index of the namespace and the
// record's own id, and one JSON object.
func checkBody(t testing.TB, b []byte, records []flow.Record, docs int, op string) {
	t.Helper()
	lines := bytes.Split(b, []byte{'\n'})
	if docs == 0 && len(b) == 0 {
		return
	}
	if len(lines) != 2*docs+1 || len(lines[2*docs]) != 0 {
		t.Fatalf("%d lines for %d documents: %q", len(lines)-1, docs, b)
	}
	for i := range docs {
		d := json.NewDecoder(bytes.NewReader(lines[2*i]))
		d.DisallowUnknownFields()
		var a struct {
			Create, Index *struct {
				Index       string `json:"_index"`
				ID          string `json:"_id"`
				Version     *int64 `json:"version"`
				VersionType string `json:"version_type"`
			}
		}
		if err := d.Decode(&a); err != nil {
			t.Fatalf("action %q: %v", lines[2*i], err)
		}
		x := a.Create
		if op == "index" {
			x = a.Index
		}
		if x == nil || !indexName.MatchString(x.Index) || !strings.HasPrefix(x.Index, "flowbeam-flow-default-2026.") || len(x.ID) != 32 {
			t.Fatalf("action %q", lines[2*i])
		}
		var doc map[string]json.RawMessage
		if err := json.Unmarshal(lines[2*i+1], &doc); err != nil {
			t.Fatalf("document %q: %v", lines[2*i+1], err)
		}
	}
}

// FuzzBulkBodyHasTwoLinesADocument puts any text into every field of a record that holds
// text, between two other records.
func FuzzBulkBodyHasTwoLinesADocument(f *testing.F) {
	f.Add("x", "1", uint8(1), int64(0), 0.5, false)
	f.Add("\n{\"delete\":{\"_index\":\"flowbeam-flow-default-2026.01.02\",\"_id\":\"0\"}}\n", "1\n{\"index\":{}}\n2", uint8(1), int64(7), math.Inf(1), true)
	f.Add("\r\n\u2028\x00\xff\"\\", "\n", uint8(2), int64(-7), math.NaN(), false)
	f.Add("a", "1\n", uint8(2), int64(-7), 1e300, false)
	f.Fuzz(func(t *testing.T, text, number string, kind uint8, shift int64, x float64, replace bool) {
		r := flowtest.Record()
		for i := range flow.Records.Columns {
			if c := &flow.Records.Columns[i]; c.Ref != nil {
				switch p := c.Ref(&r).(type) {
				case *string:
					*p = text
				case *flow.Float:
					*p = flow.F(x)
				case *flow.Int:
					*p = flow.N(shift)
				}
			}
		}
		r.Extensions = []flow.Extension{{Name: text, Text: number, Kind: flow.ExtensionKind(kind & 3)}}
		r.Source.Labels = []flow.Label{{Name: text, Value: number}}
		r.EventTime = r.EventTime.Add(0) // the day stays: see TestNoIndexIsMadeOfAnImpossibleTime
		r.Revision = shift
		records := []flow.Record{flowtest.Record(), r, flowtest.Record(flowtest.User("z"))}
		o, op := defaults("elasticsearch"), "create"
		if o.Replace = replace; replace {
			op = "index"
		}
		b, docs := body(t, o, records)
		if docs != 3 && !(replace && shift < 0 && docs == 2) {
			t.Fatalf("%d documents", docs)
		}
		checkBody(t, b, records, docs, op)
	})
}

// Any event time gives an index of the pattern, or none.
func FuzzIndexName(f *testing.F) {
	f.Add(int64(0))
	f.Add(int64(math.MinInt64))
	f.Add(int64(math.MaxInt64))
	f.Add(int64(latest) - 1)
	f.Fuzz(func(t *testing.T, ts int64) {
		for _, length := range []string{Hour, Day, Month} {
			h := heads{op: "create", alias: aliasOf(kindFlow, "default"), period: length}
			head := h.of(flow.Time(ts))
			if head == nil {
				if flow.Time(ts) >= earliest && flow.Time(ts) < latest {
					t.Errorf("no index for %v", flow.Time(ts))
				}
				continue
			}
			var a struct {
				Create struct {
					Index string `json:"_index"`
					ID    string `json:"_id"`
				}
			}
			if err := json.Unmarshal(append(head, `"}}`...), &a); err != nil || !indexName.MatchString(a.Create.Index) || !strings.HasPrefix(a.Create.Index, "flowbeam-flow-default-2") {
				t.Errorf("%s: %v", head, err)
			}
			if from, to, _ := period(flow.Time(ts), length); flow.Time(ts) < from || flow.Time(ts) >= to {
				t.Errorf("%v is not between %v and %v", flow.Time(ts), from, to)
			}
		}
	})
}

// A document of more than one line would bring actions of its own: it is refused even
// where an encoder should write one.
func TestADocumentOfMoreThanOneLineIsRefused(t *testing.T) {
	type row struct{ A, B string }
	table := &flow.Table[row]{Name: "t", Columns: []flow.Column[row]{{Name: "a", Kind: flow.KindBytes, ECS: "a", Derive: func(r *row) flow.Value {
		return flow.Value{Kind: flow.KindString, Str: r.A}
	}}}}
	w := writer[row]{o: defaults("x"), heads: heads{op: "create", alias: "flowbeam-x-default", period: Day}, spec: spec[row]{
		kind: "x", ecs: flow.NewECS(table), id: func(r *row) flow.ID { return flow.NewID(r.A) },
		time: func(*row) flow.Time { return flow.TimeOf(flowtest.Start) },
		fail: func(_ *row, reason flow.Reason, err error) flow.Failure {
			return flow.Failure{Reason: reason, Error: err.Error()}
		},
	}}
	if err := w.add(&row{A: "good\n"}); err != nil || len(w.failures) != 0 {
		t.Error(err, w.failures)
	}
	if bytes.Count(w.now.body, []byte{'\n'}) != 2 {
		t.Errorf("%q", w.now.body)
	}
	// The guard itself.
	if checkLine([]byte("{}")) != nil || checkLine([]byte("{}\n{}")) == nil {
		t.Error("checkLine")
	}
}

func FuzzReadReply(f *testing.F) {
	for _, s := range []string{
		`{"took":1,"errors":false,"items":[{"create":{"_index":"x","status":201,"result":"created"}},{"index":{"status":409,"error":{"type":"t","reason":"r"}}}]}`,
		`{"items":[{"create":{"status":201}},{"create":{"status":429}}]}`, `{"items":[]}`, `{"items":[{"create":{"status":201}}]`, `[]`, ``, `{"items":[{"create":{"status":1e99}},{}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := readReply(b, 2, nil)
		if err != nil {
			return
		}
		// What it takes, encoding/json takes too, and sees the same.
		var r struct {
			Items []map[string]struct {
				Status int
				Result string
				Error  json.RawMessage
			}
		}
		if err := json.Unmarshal(b, &r); err != nil {
			if strings.Contains(err.Error(), "cannot unmarshal") {
				return // a field of another type, which is not looked at here
			}
			t.Fatalf("%q: %v", b, err)
		}
		if len(got) != 2 {
			t.Fatalf("%d results", len(got))
		}
		for i := range got {
			judge(got[i])
			errorOf(got[i], nil)
		}
	})
}

func TestReadReply(t *testing.T) {
	const good = `{"took":1,"errors":true,"items":[{"create":{"_id":"a","status":201,"result":"created","_seq_no":1}},{"index":{"error":{"type":"t","reason":"r","caused_by":{"type":"c","reason":"d"}},"status":400}}]}`
	got, err := readReply([]byte(good), 2, nil)
	if err != nil || len(got) != 2 || got[0].status != 201 || string(got[0].word) != `"created"` || got[0].err != nil || got[1].status != 400 || errorOf(got[1], nil).Error() != "t: r, by c: d" {
		t.Errorf("%+v, %v", got, err)
	}
	for n := range len(good) {
		if _, err := readReply([]byte(good[:n]), 2, nil); err == nil {
			t.Errorf("taken: %s", good[:n])
		}
	}
	for _, n := range []int{0, 1, 3} {
		if _, err := readReply([]byte(good), n, nil); err == nil {
			t.Errorf("2 results were taken for %d documents", n)
		}
	}
	for _, bad := range []string{good + good, `{"items":[{"create":{}},{"create":{}}]}`, `{"items":[{"create":{"status":"201"}},{"create":{"status":201}}]}`, `{"error":"x"}`, `<html>`} {
		if _, err := readReply([]byte(bad), 2, nil); err == nil {
			t.Errorf("taken: %s", bad)
		}
	}
}
