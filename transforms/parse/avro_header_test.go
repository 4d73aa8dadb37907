package parse

import (
	"strconv"
	"strings"
	"testing"
)

func TestAHeaderHasItsSchemasAndItsRegistry(t *testing.T) {
	pretty := strings.NewReplacer("{", "{\n  ", ",", ",\n  ").Replace(canopusSchema)
	text, err := AvroHeader{
		Schemas:  []AvroSchema{{JSON: pretty}, {ID: 7, JSON: schemaWith("")}},
		Registry: "https://registry:8081", User: "u", Password: "env:P", CA: "file:ca.pem",
	}.Text()
	if err != nil {
		t.Fatal(err)
	}
	if want := `#registry {"url":"https://registry:8081","user":"u","password":"env:P","ca":"file:ca.pem"}` + "\n" + canopusSchema + "\n7 " + schemaWith("") + "\n"; text != want {
		t.Errorf("%s\nwant\n%s", text, want)
	}
	for _, header := range []string{text, pretty + "\n7" + schemaWith("") + " #registry " + `{"url":"https://registry:8081","user":"u","password":"env:P","ca":"file:ca.pem"}`} {
		s := newAvroSchemas(header)
		if s.err != nil || len(s.plans) != 2 || s.byID[7] != s.plans[1] || s.byFingerprint[fingerprintOf(t, canopusSchema)] != s.plans[0] || s.registry == nil {
			t.Errorf("%+v of %s", s, header)
		}
	}
	if text, err := (AvroHeader{}).Text(); text != "" || err != nil {
		t.Errorf("an empty one is %q, %v", text, err)
	}
}

func TestAllProblemsOfAHeaderAreSaid(t *testing.T) {
	_, err := AvroHeader{Registry: "registry", Password: "hunter2", Schemas: []AvroSchema{{JSON: "{"}, {ID: -1, JSON: `"long"`}}}.Text()
	for _, want := range []string{"want http(s)", "password: a secret is given as", "schema 1: no JSON", "schema 2: -1 is no id"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a secret in %v", err)
	}
	for _, c := range []struct {
		schemas []AvroSchema
		want    string
	}{
		{[]AvroSchema{{JSON: `"wide"`}}, "unknown type: wide"},
		{[]AvroSchema{{JSON: `"long"`}}, `schema "of a long"`},
		{[]AvroSchema{{ID: 7, JSON: canopusSchema}, {ID: 7, JSON: schemaWith("")}}, "two schemas have the id 7"},
	} {
		if _, err := (AvroHeader{Schemas: c.schemas}).Text(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
	for header, want := range map[string]string{"#timezone UTC": "neither a registry nor", "0 " + canopusSchema: "is no id", "99999999999 {}": "is no id", "#registry x": "no JSON", "7": "neither a registry nor"} {
		if s := newAvroSchemas(header); s.err == nil || !strings.Contains(s.err.Error(), want) {
			t.Errorf("%s: %v, want %q", header, s.err, want)
		}
	}
}

func TestASchemaMayUseTypesOfThoseBeforeIt(t *testing.T) {
	address := `{"type":"record","name":"net.A","fields":[{"name":"timestamp","type":"string"},{"name":"client_ip","type":"string"},{"name":"server_ip","type":{"type":"fixed","name":"F","size":4}}]}`
	using := `{"type":"record","name":"net.B","fields":[{"name":"timestamp","type":"string"},{"name":"client_ip","type":"F"},{"name":"server_ip","type":"F"}]}`
	if text, err := (AvroHeader{Schemas: []AvroSchema{{JSON: address}, {JSON: using}}}).Text(); err != nil {
		t.Errorf("%s: %v", text, err)
	}
	if _, err := (AvroHeader{Schemas: []AvroSchema{{JSON: using}, {JSON: address}}}).Text(); err == nil {
		t.Error("a type that comes later is found")
	}
}

func TestSchemasOfHeadersAreKeptAndBounded(t *testing.T) {
	first := avroSchemasOf(canopusSchema)
	if avroSchemasOf(strings.Clone(canopusSchema)) != first {
		t.Error("compiled again")
	}
	for i := range 3 * maxAvroHeaders {
		avroSchemasOf(strconv.Itoa(i+1) + " " + canopusSchema)
	}
	avroHeaders.RLock()
	defer avroHeaders.RUnlock()
	if n := len(avroHeaders.all); n > maxAvroHeaders {
		t.Errorf("%d headers are kept", n)
	}
}
