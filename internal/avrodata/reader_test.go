package avrodata

import (
	"math"
	"strings"
	"testing"

	"github.com/hamba/avro/v2"

	"github.com/flowbeam/flowbeam/flow"
)

func mustParse(t testing.TB, text string) *Schema {
	t.Helper()
	s, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func encode(t testing.TB, schema string, v any) string {
	t.Helper()
	var cache avro.SchemaCache
	s, err := avro.ParseWithCache(schema, "", &cache)
	if err != nil {
		t.Fatal(err)
	}
	b, err := avro.Marshal(s, v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestNumbersOfEveryLength(t *testing.T) {
	for _, v := range []int64{0, -1, 1, 63, -64, 64, 1 << 20, -1 << 40, math.MaxInt32, math.MinInt32, math.MaxInt64, math.MinInt64} {
		datum := encode(t, `"long"`, v)
		if r := NewReader(datum); r.Long() != v || r.Err() != nil || r.Left() != 0 {
			t.Errorf("%d: %v", v, r.Err())
		}
		for cut := range len(datum) {
			r := NewReader(datum[:cut])
			if got := r.Long(); got != 0 || flow.ReasonOf(r.Err(), "") != flow.ReasonSyntax {
				t.Errorf("%d cut to %d bytes: %d, %v", v, cut, got, r.Err())
			}
		}
		r := NewReader(datum)
		if got := r.Int(); (got == v) != (v == int64(int32(v))) {
			t.Errorf("%d as an int is %d, %v", v, got, r.Err())
		}
	}
	for _, long := range []string{strings.Repeat("\xff", 9) + "\x02", strings.Repeat("\x80", 10) + "\x00"} {
		if r := NewReader(long); r.Long() != 0 || r.Err() == nil {
			t.Errorf("%x is accepted", long)
		}
	}
	d := encode(t, `"double"`, 15.6) + encode(t, `"float"`, float32(0.05)) + "\x01\x00"
	r := NewReader(d)
	if a, b, c, e := r.Double(), r.Float(), r.Boolean(), r.Boolean(); a != 15.6 || b != 0.05 || !c || e || r.Err() != nil {
		t.Error(a, b, c, e, r.Err())
	}
}

func TestLengthsAreNeverTakenOnTrust(t *testing.T) {
	long := func(v int64) string { return encode(t, `"long"`, v) }
	for _, c := range []struct{ name, schema, datum, want string }{
		{"a negative length", `"string"`, long(-1) + "abc", "a length of -1"},
		{"a length beyond the end", `"bytes"`, long(4) + "abc", "a length of 4, and 3 bytes are left"},
		{"a length of everything", `"bytes"`, long(math.MaxInt64), "a length of 9223372036854775807"},
		{"a block of more items than bytes", `{"type":"array","items":"null"}`, long(1 << 40), "a block of 1099511627776 items"},
		{"blocks of nothing", `{"type":"array","items":"null"}`, strings.Repeat(long(60000), 9) + long(0), "a block of 60000 items"},
		{"items without bytes", `{"type":"array","items":{"type":"record","name":"R","fields":[{"name":"a","type":"null"},{"name":"b","type":"null"}]}}`, long(30000) + long(0), "more values than"},
		{"the most negative block", `{"type":"array","items":"int"}`, long(math.MinInt64), "a block of -9223372036854775808 items"},
		{"a block's size beyond the end", `{"type":"map","values":"int"}`, long(-1) + long(100), "a block of 100 bytes"},
		{"a negative size of a block", `{"type":"map","values":"int"}`, long(-1) + long(-1), "a block of -1 bytes"},
		{"no branch of a union", `["null","int"]`, long(2), "branch 2 of a union of 2"},
		{"a negative branch", `["null","int"]`, long(-1), "branch -1"},
		{"no symbol of an enum", `{"type":"enum","name":"E","symbols":["A"]}`, long(1), "symbol 1 of an enum of 1"},
		{"a fixed that is cut off", `{"type":"fixed","name":"F","size":4}`, "abc", "4 bytes are wanted and 3 are left"},
		{"a boolean of two", `"boolean"`, "\x02", "a boolean of 2"},
		{"a list without end", `{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]}]}`, strings.Repeat(long(1), 1000), "nested deeper"},
	} {
		s := mustParse(t, c.schema)
		skip, text := NewReader(c.datum), NewReader(c.datum)
		skip.Skip(s.Root)
		text.AppendText(nil, s.Root)
		for _, err := range []error{skip.Err(), text.Err()} {
			if err == nil || !strings.Contains(err.Error(), c.want) || flow.ReasonOf(err, "") != flow.ReasonSyntax {
				t.Errorf("%s: %v, want %q", c.name, err, c.want)
			}
		}
	}
}

func TestFramings(t *testing.T) {
	framed := string(AppendSingleObject(nil, 0x0102030405060708, "datum"))
	if f, d, err := SingleObject(framed); f != 0x0102030405060708 || d != "datum" || err != nil || framed[2] != 8 {
		t.Errorf("%x %q %v", f, d, err)
	}
	framed = string(AppendConfluent(nil, 0x01020304, "datum"))
	if id, d, err := Confluent(framed); id != 0x01020304 || d != "datum" || err != nil || framed[1] != 1 {
		t.Errorf("%x %q %v", id, d, err)
	}
	for _, short := range []string{"", "\x00", "\x00\x00\x00\x01", "\xc3\x01", "\xc3\x01\x00\x00\x00\x00\x00\x00\x00", "{}"} {
		if _, _, err := Confluent(short); err == nil {
			t.Errorf("%q is Confluent's", short)
		}
		if _, _, err := SingleObject(short); err == nil {
			t.Errorf("%q is a single object", short)
		}
	}
}

// What is skipped, what is printed and what the library reads end at the same byte.
func FuzzReader(f *testing.F) {
	schema := `{"type":"record","name":"R","fields":[{"name":"s","type":["null","string"]},{"name":"a","type":{"type":"array","items":["null","long"]}},
		{"name":"m","type":{"type":"map","values":{"type":"fixed","name":"F","size":2}}},{"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"]}},{"name":"d","type":"double"},{"name":"n","type":["null","R"]}]}`
	s, err := Parse(schema)
	if err != nil {
		f.Fatal(err)
	}
	var cache avro.SchemaCache
	theirs, err := avro.ParseWithCache(schema, "", &cache)
	if err != nil {
		f.Fatal(err)
	}
	x := int64(7)
	one := map[string]any{"s": map[string]any{"string": "text"}, "a": []any{nil, x}, "m": map[string]any{"k": [2]byte{1, 2}}, "e": "B", "d": 1.5, "n": nil}
	f.Add(encode(f, schema, one))
	f.Add(strings.Repeat("\x02", 40))
	f.Fuzz(func(t *testing.T, datum string) {
		skip, text := NewReader(datum), NewReader(datum)
		skip.Skip(s.Root)
		out, kind := text.AppendText(nil, s.Root)
		encoding := flow.ReasonOf(text.Err(), "") == flow.ReasonEncoding
		if !encoding && (skip.Err() == nil) != (text.Err() == nil) || text.Err() == nil && skip.Offset() != text.Offset() {
			t.Fatalf("skipped to %d (%v), printed to %d (%v)", skip.Offset(), skip.Err(), text.Offset(), text.Err())
		}
		if text.Err() != nil {
			return
		}
		if kind != TextJSON || len(out) == 0 {
			t.Fatalf("%s", out)
		}
		var v any
		if err := avro.Unmarshal(theirs, []byte(datum), &v); err != nil {
			t.Fatalf("the library refuses what is read here: %v", err)
		}
	})
}
