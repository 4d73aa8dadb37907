package flow_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hamba/avro/v2"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/gen"
)

func TestCommittedSchemasAreThoseOfTheTables(t *testing.T) {
	for name, want := range gen.SchemaFiles() {
		got, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(name)))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the field table gives (%v): run go generate ./flow", name, err)
		}
	}
}

// baseline is what stores hold already.
func baseline(t *testing.T, table string) (contract []flow.ColumnContract) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "schemas", table+".baseline.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &contract); err != nil {
		t.Fatal(err)
	}
	if len(contract) == 0 {
		t.Fatal("the baseline is empty")
	}
	return contract
}

func TestTablesAreCompatibleWithWhatIsStored(t *testing.T) {
	for _, p := range flow.Incompatible(baseline(t, "flows"), flow.Records.Contract()) {
		t.Errorf("flows: %s", p)
	}
	for _, p := range flow.Incompatible(baseline(t, "dead_letters"), flow.Failures.Contract()) {
		t.Errorf("dead_letters: %s", p)
	}
}

func TestIncompatibleChangesAreRefused(t *testing.T) {
	base := baseline(t, "flows")
	at := slices.IndexFunc(base, func(c flow.ColumnContract) bool { return c.Name == "source_bytes" })
	id := slices.IndexFunc(base, func(c flow.ColumnContract) bool { return c.Name == "record_id" })
	highest := 0
	for _, c := range base {
		highest = max(highest, c.Num)
	}
	type columns = []flow.Column[flow.Record]
	add := func(c columns, name string, num int, required bool) columns {
		return append(c, flow.Column[flow.Record]{Name: name, Num: num, Kind: flow.KindInt, Required: required, Ref: func(r *flow.Record) any { return &r.Revision }})
	}
	for _, c := range []struct {
		name   string
		doctor func(columns) columns
		says   string // "" = allowed
	}{
		{"nothing", func(c columns) columns { return c }, ""},
		{"a new column that may be absent", func(c columns) columns { return add(c, "new", highest+1, false) }, ""},
		{"another order", func(c columns) columns { slices.Reverse(c); return c }, ""},
		{"other words", func(c columns) columns { c[at].Doc = "other"; return c }, ""},
		{"removed", func(c columns) columns { return slices.Delete(c, at, at+1) }, "source_bytes is removed"},
		{"renamed", func(c columns) columns { c[at].Name = "bytes_source"; return c }, "source_bytes is removed or renamed"},
		{"renamed, number used again", func(c columns) columns { c[at].Name = "bytes_source"; return c }, "bytes_source takes the number"},
		{"retyped", func(c columns) columns { c[at].Kind = flow.KindString; return c }, "source_bytes changes its type from int64 to string"},
		{"renumbered", func(c columns) columns { c[at].Num = highest + 1; return c }, "source_bytes changes its number"},
		{"made required", func(c columns) columns { c[at].Required = true; return c }, "source_bytes changes required from false to true"},
		{"made optional", func(c columns) columns { c[id].Required = false; return c }, "record_id changes required from true to false"},
		{"a new required column", func(c columns) columns { return add(c, "new", highest+1, true) }, "new column new is required"},
		{"a number taken twice", func(c columns) columns { return add(c, "new", base[at].Num, false) }, "have the number"},
		{"a name taken twice", func(c columns) columns { return add(c, "source_bytes", highest+1, false) }, "there twice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			doctored := flow.Table[flow.Record]{Name: "flows"}
			// Only the columns of the baseline: the table may have newer ones.
			for _, col := range flow.Records.Columns {
				if slices.ContainsFunc(base, func(b flow.ColumnContract) bool { return b.Name == col.Name }) {
					doctored.Columns = append(doctored.Columns, col)
				}
			}
			doctored.Columns = c.doctor(doctored.Columns)
			got := strings.Join(flow.Incompatible(base, doctored.Contract()), "\n")
			if (got == "") != (c.says == "") || !strings.Contains(got, c.says) {
				t.Errorf("got %q, want it to say %q", got, c.says)
			}
		})
	}
}

func TestAvroSchemaIsReadByAnAvroLibrary(t *testing.T) {
	for _, b := range [][]byte{flow.Records.AvroSchema(), flow.Failures.AvroSchema()} {
		s, err := avro.Parse(string(b))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range s.(*avro.RecordSchema).Fields() {
			if f.Type().Type() == avro.Union && !f.HasDefault() {
				t.Errorf("%s may be absent and has no default", f.Name())
			}
		}
	}
}

func TestSchemasOfEveryKind(t *testing.T) {
	type row struct {
		S   string
		B   []byte
		Lat flow.Float
	}
	str := func(r *row) any { return &r.S }
	table := flow.Table[row]{Name: "t", Columns: []flow.Column[row]{
		{Name: "s", Kind: flow.KindString, Required: true, ECS: "a.s", Doc: "Text | of a.", Unit: "bytes", Ref: str},
		{Name: "b", Kind: flow.KindBytes, ECS: "a.b", Ref: func(r *row) any { return &r.B }},
		{Name: "lat", Kind: flow.KindFloat, ECS: "geo.location.lat", Ref: func(r *row) any { return &r.Lat }},
		{Name: "lon", Kind: flow.KindFloat, ECS: "geo.location.lon", Ref: func(r *row) any { return &r.Lat }},
		{Name: "o", Kind: flow.KindObject, ECS: "o", Ref: str}, {Name: "at", Kind: flow.KindTime, ECS: "@timestamp", Ref: str},
	}}
	flat := func(b []byte) string { return strings.Join(strings.Fields(string(b)), " ") }
	for name, c := range map[string]struct{ got, want string }{
		"BigQuery": {flat(table.BigQuerySchema()), `{ "name": "s", "type": "STRING", "mode": "REQUIRED", "description": "Text | of a. Unit: bytes." }, { "name": "b", "type": "BYTES", "mode": "NULLABLE",`},
		"Avro":     {flat(table.AvroSchema()), `{ "name": "b", "type": [ "null", "bytes" ], "default": null, "doc": "" }`},
		"Parquet": {string(table.ParquetSchema()), "message t {\n  required binary s (STRING);\n  optional binary b;\n  optional double lat;\n  optional double lon;\n" +
			"  optional binary o (JSON);\n  optional int64 at (TIMESTAMP(MICROS,true));\n}\n"},
		"Elasticsearch": {flat(table.ElasticMapping()), `"geo": { "properties": { "location": { "type": "geo_point" } } }, "o": { "type": "flattened" }`},
		"Markdown":      {string(table.FieldReference()), "| `s` | string, required | bytes | Text \\| of a. | `a.s` |  |"},
	} {
		if !strings.Contains(c.got, c.want) {
			t.Errorf("%s: got\n%s\nwant it to hold\n%s", name, c.got, c.want)
		}
	}
	table.Columns[1].ECS = "a.s"
	defer func() {
		if recover() == nil {
			t.Error("an ECS name given to two columns: no panic")
		}
	}()
	table.ElasticMapping()
}
