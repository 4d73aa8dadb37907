package flow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// The schemas of a table in each store, made of its columns. Those of flowbeam's own
// tables are committed under schemas/; tests hold them to the tables and refuse a change
// that a store which has data already could not take.

//go:generate go run ../internal/gen/schemas

// pretty is v as indented JSON, ending in a newline. It does not escape <, > and &.
func pretty(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		panic("flow: schema: " + err.Error()) // only strings, lists and maps go in
	}
	return b.Bytes()
}

// describe is a column's documentation in one line: what it is, its unit, its IPFIX name.
func describe[T any](c *Column[T]) string {
	d := c.Doc
	if c.Unit != "" {
		d += " Unit: " + c.Unit + "."
	}
	if c.IPFIX != "" {
		d += " IPFIX: " + c.IPFIX + "."
	}
	return d
}

// BigQuerySchema is the table's schema as BigQuery's tools and API take it: a JSON array
// of fields. Times are TIMESTAMP, which has microseconds; addresses and ids are STRING;
// objects are JSON.
// Source: https://cloud.google.com/bigquery/docs/schemas
func (t *Table[T]) BigQuerySchema() []byte {
	types := map[Kind]string{
		KindString: "STRING", KindInt: "INTEGER", KindFloat: "FLOAT", KindBool: "BOOLEAN", KindTime: "TIMESTAMP",
		KindIP: "STRING", KindID: "STRING", KindObject: "JSON", KindBytes: "BYTES",
	}
	type bigQueryField struct {
		Name        string `json:"name"`
		Type        string `json:"type"`
		Mode        string `json:"mode"`
		Description string `json:"description"`
	}
	fields := make([]bigQueryField, len(t.Columns))
	for i := range t.Columns {
		c := &t.Columns[i]
		mode := "NULLABLE"
		if c.Required {
			mode = "REQUIRED"
		}
		fields[i] = bigQueryField{c.Name, types[c.Kind], mode, describe(c)}
	}
	return pretty(fields)
}

// AvroSchema is the table's schema as an Avro record, flowbeam.<table>. A column that may
// be absent is a union with null, which is its default, so that readers and writers of
// different age understand each other. Times are timestamp-micros; addresses, ids and
// objects (as JSON text) are strings.
// Source: https://avro.apache.org/docs/1.12.0/specification/
func (t *Table[T]) AvroSchema() []byte {
	type avroLogical struct {
		Type        string `json:"type"`
		LogicalType string `json:"logicalType"`
	}
	types := map[Kind]any{
		KindString: "string", KindInt: "long", KindFloat: "double", KindBool: "boolean", KindTime: avroLogical{"long", "timestamp-micros"},
		KindIP: "string", KindID: "string", KindObject: "string", KindBytes: "bytes",
	}
	type required struct {
		Name string `json:"name"`
		Type any    `json:"type"`
		Doc  string `json:"doc"`
	}
	type optional struct {
		Name    string `json:"name"`
		Type    any    `json:"type"`
		Default any    `json:"default"`
		Doc     string `json:"doc"`
	}
	fields := make([]any, len(t.Columns))
	for i := range t.Columns {
		c := &t.Columns[i]
		if c.Required {
			fields[i] = required{c.Name, types[c.Kind], describe(c)}
		} else {
			fields[i] = optional{c.Name, []any{"null", types[c.Kind]}, nil, describe(c)}
		}
	}
	return pretty(struct {
		Type      string `json:"type"`
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
		Fields    []any  `json:"fields"`
	}{"record", t.Name, "flowbeam", fields})
}

// ParquetSchema is the table's schema in Parquet's own notation. Times are
// TIMESTAMP(MICROS,true), which is UTC.
// Source: https://github.com/apache/parquet-format/blob/master/LogicalTypes.md
func (t *Table[T]) ParquetSchema() []byte {
	types := map[Kind][2]string{ // physical type, annotation
		KindString: {"binary", " (STRING)"}, KindInt: {"int64", ""}, KindFloat: {"double", ""}, KindBool: {"boolean", ""},
		KindTime: {"int64", " (TIMESTAMP(MICROS,true))"}, KindIP: {"binary", " (STRING)"}, KindID: {"binary", " (STRING)"},
		KindObject: {"binary", " (JSON)"}, KindBytes: {"binary", ""},
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "message %s {\n", t.Name)
	for i := range t.Columns {
		c := &t.Columns[i]
		repetition := "optional"
		if c.Required {
			repetition = "required"
		}
		p := types[c.Kind]
		fmt.Fprintf(&b, "  %s %s %s%s;\n", repetition, p[0], c.Name, p[1])
	}
	b.WriteString("}\n")
	return b.Bytes()
}

// FieldReference is the table's part of the field reference page, in Markdown.
func (t *Table[T]) FieldReference() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "## %s\n\n| column | type | unit | what it is | ECS | IPFIX |\n|---|---|---|---|---|---|\n", t.Name)
	cell := strings.NewReplacer("|", `\|`, "\n", " ")
	code := func(s string) string {
		if s == "" {
			return ""
		}
		return "`" + strings.ReplaceAll(s, ", ", "`, `") + "`"
	}
	for i := range t.Columns {
		c := &t.Columns[i]
		kind := c.Kind.String()
		if c.Required {
			kind += ", required"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", c.Name, kind, cell.Replace(c.Unit), cell.Replace(c.Doc), code(c.ECS), code(c.IPFIX))
	}
	return b.Bytes()
}
