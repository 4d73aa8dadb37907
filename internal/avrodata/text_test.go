package avrodata

import (
	"math"
	"math/big"
	"strings"
	"testing"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/flowbeam/flowbeam/flow"
)

func TestValuesAsAUserReadsThem(t *testing.T) {
	long := func(v int64) string { return encode(t, `"long"`, v) }
	fixed := func(size, logical string) string {
		return `{"type":"fixed","name":"F","size":` + size + `,"logicalType":"` + logical + `"}`
	}
	decimal := `{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}`
	for _, c := range []struct {
		schema, datum, want string
		kind                Text
	}{
		{`"null"`, "", "", TextNull},
		{`"boolean"`, "\x01", "true", TextBoolean},
		{`"int"`, long(-7), "-7", TextInteger},
		{`"long"`, long(math.MinInt64), "-9223372036854775808", TextInteger},
		{`"float"`, encode(t, `"float"`, float32(15.6)), "15.6", TextNumber},
		{`"double"`, encode(t, `"double"`, 1e300), "1e+300", TextNumber},
		{`"double"`, encode(t, `"double"`, math.NaN()), "NaN", TextString},
		{`"string"`, encode(t, `"string"`, "vídeo"), "vídeo", TextString},
		{`"bytes"`, "\x04\x00\xff", "00ff", TextString},
		{`["null","long"]`, "\x00", "", TextNull},
		{`["null","long"]`, "\x02" + long(5), "5", TextInteger},
		{`{"type":"enum","name":"E","symbols":["A","B"]}`, long(1), "B", TextString},
		{`{"type":"int","logicalType":"date"}`, long(20468), "2026-01-15", TextString},
		{`{"type":"int","logicalType":"time-millis"}`, long(36_915_250), "10:15:15.25", TextString},
		{`{"type":"long","logicalType":"time-micros"}`, long(36_915_000_001), "10:15:15.000001", TextString},
		{`{"type":"long","logicalType":"timestamp-millis"}`, long(1_768_472_100_123), "2026-01-15T10:15:00.123Z", TextString},
		{`{"type":"long","logicalType":"timestamp-micros"}`, long(-1), "1969-12-31T23:59:59.999999Z", TextString},
		{`{"type":"long","logicalType":"timestamp-nanos"}`, long(1_768_472_100_000_000_001), "2026-01-15T10:15:00.000000001Z", TextString},
		{`{"type":"long","logicalType":"local-timestamp-millis"}`, long(1_768_472_100_000), "2026-01-15T10:15:00", TextString},
		{`{"type":"long","logicalType":"timestamp-millis"}`, long(math.MaxInt64), "9223372036854775807", TextInteger},
		{decimal, "\x04\x04\xd2", "12.34", TextNumber},
		{decimal, "\x02\x05", "0.05", TextNumber},
		{decimal, "\x02\xff", "-0.01", TextNumber},
		{decimal, "\x00", "0.00", TextNumber},
		{`{"type":"bytes","logicalType":"decimal","precision":30}`, "\x1a\x01" + strings.Repeat("\x00", 12), new(big.Int).Lsh(big.NewInt(1), 96).String(), TextNumber},
		{fixed("16", "uuid"), "\x12\x3e\x45\x67\xe8\x9b\x12\xd3\xa4\x56\x42\x66\x14\x17\x40\x00", "123e4567-e89b-12d3-a456-426614174000", TextString},
		{fixed("12", "duration"), "\x01\x00\x00\x00\x02\x00\x00\x00\xc4\x09\x00\x00", "P1M2DT2.5S", TextString},
		{`{"type":"array","items":["null","string","double"]}`, "\x06\x00\x02\x06a\"\n\x04" + encode(t, `"double"`, math.Inf(1)) + "\x00", `[null,"a\"\u000a","+Inf"]`, TextJSON},
		{`{"type":"map","values":"int"}`, "\x01\x06\x02k\x02\x00", `{"k":1}`, TextJSON},
		{`{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"b","type":["null","R"]}]}`, "\x02\x02\x04\x00", `{"a":1,"b":{"a":2,"b":null}}`, TextJSON},
	} {
		s := mustParse(t, c.schema)
		r := NewReader(c.datum)
		got, kind := r.AppendText(nil, s.Root)
		if string(got) != c.want || kind != c.kind || r.Err() != nil || r.Left() != 0 {
			t.Errorf("%s: %s (%d), %v, %d bytes left; want %s (%d)", c.schema, got, kind, r.Err(), r.Left(), c.want, c.kind)
		}
		if kind == TextJSON {
			var v any
			if err := jsonv2.Unmarshal(got, &v); err != nil {
				t.Errorf("%s: %v", got, err)
			}
		}
	}
}

func TestTextThatIsNotUTF8(t *testing.T) {
	for schema, datum := range map[string]string{`"string"`: "\x02\xff", `{"type":"map","values":"int"}`: "\x02\x02\xff\x00\x00"} {
		r := NewReader(datum)
		r.AppendText(nil, mustParse(t, schema).Root)
		if flow.ReasonOf(r.Err(), "") != flow.ReasonEncoding {
			t.Errorf("%s: %v", schema, r.Err())
		}
	}
}

func TestALongDecimalIsRefused(t *testing.T) {
	s := mustParse(t, `{"type":"bytes","logicalType":"decimal","precision":4}`)
	r := NewReader(encode(t, `"bytes"`, make([]byte, maxDecimal+1)))
	if r.AppendText(nil, s.Root); r.Err() == nil {
		t.Error("accepted")
	}
}
