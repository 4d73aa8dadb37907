package flow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

// docLeaves are the paths of a document's values; flattened objects and points are values.
func docLeaves(t testing.TB, doc []byte, stop map[string]bool) map[string]any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var root map[string]any
	if err := d.Decode(&root); err != nil || d.More() {
		t.Fatalf("%v: %s", err, doc)
	}
	out := map[string]any{}
	var walk func(path string, m map[string]any)
	walk = func(path string, m map[string]any) {
		for k, v := range m {
			p := strings.TrimPrefix(path+"."+k, ".")
			if inner, ok := v.(map[string]any); ok && !stop[p] {
				walk(p, inner)
				continue
			}
			out[p] = v
		}
	}
	walk("", root)
	return out
}

// mapped are the paths of a mapping's fields, with their types.
func mapped(t testing.TB, mapping []byte) map[string]string {
	t.Helper()
	type node struct {
		Type       string
		Properties map[string]json.RawMessage
	}
	out := map[string]string{}
	var walk func(path string, b []byte)
	walk = func(path string, b []byte) {
		var n node
		if err := json.Unmarshal(b, &n); err != nil {
			t.Fatal(err)
		}
		if n.Type != "" {
			out[path] = n.Type
		}
		for k, v := range n.Properties {
			walk(strings.TrimPrefix(path+"."+k, "."), v)
		}
	}
	walk("", mapping)
	return out
}

// filledRow is a row with a value in every column that has a field.
func filledRow[T any](t testing.TB, table *Table[T]) *T {
	t.Helper()
	row := new(T)
	for i := range table.Columns {
		c := &table.Columns[i]
		if c.Ref == nil {
			continue
		}
		v := map[Kind]Value{
			KindString: StringValue("text \"of\"\n" + c.Name), KindInt: IntValue(int64(i)), KindFloat: FloatValue(float64(i) / 4), KindBool: BoolValue(true),
			KindTime: TimeValue(TimeOf(time.Date(2026, 1, 2, 3, 4, 5, i, time.UTC))), KindIP: {Kind: KindIP, Str: fmt.Sprintf("10.0.0.%d", i%256)},
			KindID: {Kind: KindID, Str: fmt.Sprintf("%032x", i+1)}, KindObject: {Kind: KindObject, Str: `{"a":"b","c.d":"e"}`}, KindBytes: {Kind: KindBytes, Str: "\x00\xff"},
		}[c.Kind]
		if err := c.Set(row, v); err != nil {
			t.Fatal(err)
		}
	}
	return row
}

func TestADocumentHasEveryFieldOfTheMappingAndNoOther(t *testing.T) {
	check := func(name string, mapping, doc []byte, absent ...string) {
		fields := mapped(t, mapping)
		stop := map[string]bool{}
		for p, typ := range fields {
			stop[p] = typ == "geo_point" || typ == "flattened"
		}
		have := docLeaves(t, doc, stop)
		for p := range have {
			if fields[p] == "" {
				t.Errorf("%s: the mapping has no %s", name, p)
			}
			delete(fields, p)
		}
		for _, p := range absent {
			delete(fields, p)
		}
		for p := range fields {
			t.Errorf("%s: the document has no %s", name, p)
		}
	}
	check("flows", Records.ElasticMapping(), NewECS(&Records).Append(nil, filledRow(t, &Records)))
	f := filledRow(t, &Failures)
	f.Data = "x"
	check("dead letters", Failures.ElasticMapping(), NewECS(&Failures).Append(nil, f), "flowbeam.data_base64")
	f.Data = "\xff"
	check("dead letters", Failures.ElasticMapping(), NewECS(&Failures).Append(nil, f), "event.original")
	rollups := RollupTable("1m", []string{"user_id", "destination_country"}, []Kind{KindString, KindString}, []string{"flows", "source_rtt_p95"}, []Kind{KindInt, KindFloat})
	check("rollups", rollups.ElasticMapping(), NewECS(rollups).Append(nil, &Rollup{
		Window: TimeOf(time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)), Length: time.Minute, Records: 3, Revision: 2,
		Group: []Value{StringValue("u"), StringValue("DE")}, Measures: []Value{IntValue(3), FloatValue(1.5)},
	}))
}

func TestADocumentHasTheValuesOfTheRow(t *testing.T) {
	end := TimeOf(time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC))
	r := Record{
		Revision: 2, Format: "test", EventTime: end, Start: end.Add(-time.Second), End: end, DataCenter: "ams\n1",
		Source:       Endpoint{IP: MustIP("2001:db8::1"), Port: N(0), Bytes: N(5), Geo: Geo{Country: "NL", Latitude: F(52.5), Longitude: F(-4.25)}},
		Destination:  Endpoint{Geo: Geo{Latitude: F(1)}, Labels: []Label{{"a.b", "c\n"}}},
		LossInternal: Float{math.NaN(), true}, LossExternal: F(0.25), SamplingRate: N(10),
		Extensions: []Extension{{Name: "n", Text: "1\n", Kind: ExtInt}, Ext("s", "x\ny")},
	}
	r.ID[0] = 0xab
	got := NewECS(&Records).Append([]byte("before"), &r)
	if !bytes.HasPrefix(got, []byte(`before{"@timestamp"`)) || bytes.IndexByte(got, '\n') >= 0 {
		t.Errorf("%s", got)
	}
	var have, expect any
	if err := json.Unmarshal(got[len("before"):], &have); err != nil {
		t.Fatalf("%v: %s", err, got)
	}
	if err := json.Unmarshal([]byte(`{
		"@timestamp":"2026-01-02T03:04:05.0000006Z",
		"event":{"id":"ab000000000000000000000000000000","start":"2026-01-02T03:04:04.0000006Z","end":"2026-01-02T03:04:05.0000006Z","duration":1000000000,"module":"test"},
		"flowbeam":{"revision":2,"late":false,"loss":{"external":0.25},"extensions":{"n":"1\n","s":"x\ny"},
			"source":{"bytes_scaled":50},"destination":{"labels":{"a.b":"c\n"}}},
		"netflow":{"sampling_interval":10},
		"network":{"type":"ipv6"},
		"observer":{"geo":{"name":"ams\n1"}},
		"source":{"ip":"2001:db8::1","port":0,"bytes":5,"geo":{"country_iso_code":"NL","location":{"lat":52.5,"lon":-4.25}}}
	}`), &expect); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(have, expect) {
		t.Errorf("got  %s", got)
	}
}

func TestADocumentIsOneLineWhateverItsObjectsHave(t *testing.T) {
	type row struct{ S string }
	e := NewECS(&Table[row]{Name: "t", Columns: []Column[row]{{Name: "s", Kind: KindObject, ECS: "a.s", Derive: func(r *row) Value { return Value{Kind: KindObject, Str: r.S} }}}})
	if got := string(e.Append(nil, &row{"{\"b\":\n1\n}"})); got != `{"a":{"s":{"b": 1 }}}` {
		t.Errorf("%q", got)
	}
}

func TestAnEmptyDocumentIsOne(t *testing.T) {
	type row struct{ S string }
	e := NewECS(&Table[row]{Name: "t", Columns: []Column[row]{{Name: "s", Kind: KindString, ECS: "a.s", Ref: func(r *row) any { return &r.S }}}})
	if got := string(e.Append(nil, &row{})); got != "{}" {
		t.Error(got)
	}
	if got := string(e.Append(nil, &row{"x"})); got != `{"a":{"s":"x"}}` {
		t.Error(got)
	}
}

func FuzzECSDocumentIsOneLineOfJSON(f *testing.F) {
	f.Add("user", "a\nb", "1\n", int8(1), 1.5)
	f.Add("\xff", "{\"create\":{}}\n", "\n{}\n", int8(2), math.Inf(1))
	e := NewECS(&Records)
	f.Fuzz(func(t *testing.T, user, name, text string, kind int8, loss float64) {
		r := Record{UserID: user, DataCenter: name, Original: text, LossInternal: F(loss), Extensions: []Extension{{Name: name, Text: text, Kind: ExtensionKind(kind & 3)}}}
		r.Source.Labels = []Label{{name, text}}
		doc := e.Append(nil, &r)
		if !json.Valid(doc) || bytes.ContainsAny(doc, "\n") {
			t.Errorf("%q", doc)
		}
	})
}

func BenchmarkECS(b *testing.B) {
	batch := probeBatch(benchRecords)
	e := NewECS(&Records)
	var buf []byte
	perRecord(b, func() {
		for i := range batch.Records {
			buf = e.Append(buf[:0], &batch.Records[i])
		}
	})
	b.SetBytes(int64(len(buf) * benchRecords))
}
