package avrodata

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/hamba/avro/v2"
)

// The fingerprints are those of share/test/data/schema-tests.txt of Apache Avro.
func TestFingerprintsAreThoseOfTheSpecification(t *testing.T) {
	for text, want := range map[string]int64{
		`"null"`:             7195948357588979594,
		`{"type":"boolean"}`: -6970731678124411036,
		`"int"`:              8247732601305521295,
		`{"type":"string"}`:  -8142146995180207161,
	} {
		s, err := Parse(text)
		if err != nil || int64(s.Fingerprint) != want {
			t.Errorf("%s: %d, %v; want %d", text, int64(s.Fingerprint), err, want)
		}
	}
}

func TestFingerprintsLeaveOutWhatDoesNotChangeTheBytes(t *testing.T) {
	plain := `{"name":"a.R","type":"record","fields":[{"name":"t","type":"long"},{"name":"u","type":["null","string"]},{"name":"f","type":{"name":"a.F","type":"fixed","size":4}},{"name":"g","type":"a.F"}]}`
	rich := `{"type":"record","namespace":"a","name":"R","doc":"x","aliases":["Q"],"fields":[{"name":"t","doc":"y","type":{"type":"long","logicalType":"timestamp-millis"}},
		{"name":"u","type":["null",{"type":"string"}],"default":null,"order":"ignore"},{"name":"f","aliases":["h"],"type":{"size":4,"name":"F","type":"fixed"}},{"name":"g","type":"F"}]}`
	a, err := Parse(plain)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Parse(rich)
	if err != nil {
		t.Fatal(err)
	}
	if a.Fingerprint != b.Fingerprint {
		t.Errorf("%x and %x", a.Fingerprint, b.Fingerprint)
	}
	if got := string(canonical(nil, b.Root, map[*Node]bool{})); got != plain {
		t.Errorf("%s\nwant\n%s", got, plain)
	}
	// The library's own has the logical type, and what it frames is found by it.
	hamba, err := avro.MustParse(rich).(*avro.RecordSchema).FingerprintUsing(avro.CRC64Avro)
	if err != nil || binary.BigEndian.Uint64(hamba) != b.Other || b.Other == b.Fingerprint {
		t.Errorf("%x, want %x: %v", b.Other, hamba, err)
	}
}

func TestTypesOfOtherSchemas(t *testing.T) {
	address := `{"type":"fixed","name":"net.Address","size":4}`
	both := `{"type":"record","name":"net.Both","fields":[{"name":"a","type":"net.Address"},{"name":"b","type":"Address"}]}`
	s, err := Parse(both, address)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := Parse(strings.Replace(both, `"net.Address"`, address, 1))
	if err != nil || whole.Fingerprint != s.Fingerprint || s.Root.Fields[1].Node.Size != 4 {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := Parse(both); err == nil || !strings.Contains(err.Error(), "net.Address") {
		t.Errorf("a type that is nowhere: %v", err)
	}
}

func TestSchemasThatAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		``:                         "unknown type",
		`{"type":"record"}`:        "name",
		`{`:                        "unknown type",
		`{"type":"map"}`:           "values",
		strings.Repeat(" ", 2<<20): "limit",
		strings.Repeat(`{"type":"array","items":`, 100) + `"int"` + strings.Repeat(`}`, 100): "nested deeper",
		`{"type":"fixed","name":"F","size":-1}`:                                              "negative",
		`{"type":"fixed","name":"F","size":99999999}`:                                        "fixed of 99999999 bytes",
		`["int",["null"]]`: "union",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, want %q", text, err, want)
		}
	}
	recursive := `{"type":"record","name":"R","fields":[{"name":"r","type":"R"}]}`
	s, err := Parse(recursive)
	if err != nil {
		t.Fatal(err)
	}
	r := NewReader("\x00")
	if r.Skip(s.Root); r.Err() == nil || !strings.Contains(r.Err().Error(), "nested deeper") {
		t.Errorf("a record in itself: %v", r.Err())
	}
}

// Defaults are for readers with another schema: a wrong one says nothing of the data.
func TestWrongDefaultsAreNoMatter(t *testing.T) {
	field := `{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"record","name":"S","fields":[{"name":"default","type":["string","null"]DEFAULT}]}DEFAULT}]}`
	want := mustParse(t, strings.ReplaceAll(field, "DEFAULT", ""))
	got, err := Parse(strings.ReplaceAll(field, "DEFAULT", `,"default":null`))
	if err != nil || got.Fingerprint != want.Fingerprint || got.Other != want.Other || got.Root.Fields[0].Node.Fields[0].Name != "default" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestLogicalTypesThatDoNotFitAreLeftOut(t *testing.T) {
	for text, want := range map[string]Logical{
		`{"type":"long","logicalType":"timestamp-nanos"}`:                                    TimestampNanos,
		`{"type":"int","logicalType":"timestamp-millis"}`:                                    None,
		`{"type":"string","logicalType":"decimal"}`:                                          None,
		`{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}`:                   Decimal,
		`{"type":"bytes","logicalType":"decimal","precision":4,"scale":9}`:                   None,
		`{"type":"bytes","logicalType":"decimal","precision":2000000000,"scale":1000000000}`: None,
		`{"type":"fixed","name":"F","size":11,"logicalType":"duration"}`:                     None,
		`{"type":"fixed","name":"F","size":16,"logicalType":"uuid"}`:                         UUID,
		`{"type":"long","logicalType":"of-its-own"}`:                                         None,
	} {
		s, err := Parse(text)
		if err != nil || s.Root.Logical != want {
			t.Errorf("%s: %v, %v", text, s, err)
		}
	}
}
