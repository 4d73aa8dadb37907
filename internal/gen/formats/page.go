package main

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/flowbeam/flowbeam/flow"
)

const intro = `# What becomes of each field

Made by ` + "`go generate ./transforms/parse`" + `, which tries it: of each source field one value is changed in a sample,
or left out, and what differs then between the two records is in its row. Written by hand are the words above the
tables and the reasons why a field is dropped: a reason of a field that does change something fails the tests, as does a
field that is lost without a reason.

Record fields are those of [flow.Record](../flow/record.go); what the columns are is said in [fields](fields.md). BigQuery's
columns have these names in Parquet, Avro, CSV and NDJSON too. A field that the record has no place for becomes an
extension: %[1]s in the record, %[2]s in Elasticsearch (type flattened: searched as text), and in BigQuery
a member of the JSON column %[3]s.

The note *needed* says that a record without the field is a dead letter, *needed here or elsewhere* that others can
stand in for it. Columns that follow from others (%[4]s) are not in the tables, and neither is ` + "`community_id`" + `,
which is computed of addresses, ports and protocol where the source has none.
`

// page writes all sections.
func page(sections []*section) []byte {
	var b bytes.Buffer
	var derived []string
	for i := range flow.Records.Columns {
		if c := &flow.Records.Columns[i]; c.Ref == nil {
			derived = append(derived, "`"+c.Name+"`")
		}
	}
	ext, _ := flow.Records.Column("extensions")
	fmt.Fprintf(&b, intro, code(recordField(ext)+"[name]"), code(ext.ECS+".name"), code(ext.Name), strings.Join(derived, ", "))
	b.WriteString("\n")
	for _, s := range sections {
		fmt.Fprintf(&b, "- [%s](#%s)\n", s.title, anchor(s.title))
	}
	for _, s := range sections {
		b.WriteByte('\n')
		s.write(&b)
	}
	return b.Bytes()
}

// anchor is the heading's link on GitHub and elsewhere.
func anchor(title string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '_', r == '-', r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		}
		return -1
	}, strings.ToLower(title))
}

func (s *section) write(b *bytes.Buffer) {
	fmt.Fprintf(b, "## %s\n\n", s.title)
	if s.about != "" {
		b.WriteString(s.about + "\n\n")
	}
	b.WriteString("| source field | record field | ECS | BigQuery | note |\n|---|---|---|---|---|\n")
	kept := map[string][]string{} // by the note
	identical := 0
	for _, f := range s.fields {
		e := s.effects[f]
		list := e.notes()
		if s.partly[f] != "" {
			list = append(list, s.partly[f])
		}
		if s.identical && len(e.columns) == 1 && e.columns[f] && len(e.extensions) == 0 {
			identical++
			continue
		}
		own := e.ownExtension(f, s.below)
		either := own != "" && len(e.columns) > 0 && !e.both
		if either {
			list = append(list, "elsewhere an extension of its name")
		}
		notes := strings.Join(list, "; ")
		if name := own; name != "" && len(e.columns) == 0 && e.needed == 0 && !e.skipped && !e.refused {
			if name = code(name); !slices.Contains(kept[notes], name) {
				kept[notes] = append(kept[notes], name)
			}
			continue
		}
		switch {
		case s.reasons[f] != "":
			fmt.Fprintf(b, "| %s | dropped |  |  | %s |\n", cell(code(f)), cell(s.reasons[f]))
		case len(e.columns)+len(e.extensions) == 0:
			fmt.Fprintf(b, "| %s |  |  |  | %s |\n", cell(code(f)), cell(notes))
		}
		for _, row := range e.rows(!either) {
			fmt.Fprintf(b, "| %s | %s | %s |\n", cell(code(f)), row, cell(notes))
			notes = ""
		}
	}
	if s.identical {
		fmt.Fprintf(b, "\n%d others are the columns of their names: each was tried.\n", identical)
	}
	for _, notes := range slices.Sorted(maps.Keys(kept)) {
		names := strings.Join(kept[notes], ", ")
		switch {
		case s.keptText != "" && notes == "":
			fmt.Fprintf(b, "\n"+s.keptText+"\n", len(kept[notes]))
		case notes == "":
			fmt.Fprintf(b, "\nExtensions of the same name: %s.\n", names)
		default:
			fmt.Fprintf(b, "\nExtensions of the same name, of which %s: %s.\n", notes, names)
		}
	}
	last := ""
	if s.always != nil && !s.quiet {
		last += "Always: " + strings.Join(s.always, ", ") + ". "
	}
	if s.otherText != "" {
		last += s.otherText + " "
	} else if s.other != nil {
		last += "Any other field is an extension of its name. "
	}
	if last += s.identity(); last != "" {
		fmt.Fprintf(b, "\n%s\n", strings.TrimSpace(last))
	}
}

// ownExtension is the extension that a field is and nothing else, if it has the field's name: without the
// path above, of what is in an array that of the array, and of AWS with underscores. "" where it is not so.
func (e *effect) ownExtension(field, below string) string {
	if len(e.extensions) != 1 {
		return ""
	}
	if below != "" {
		field = strings.TrimPrefix(field, below+".")
	}
	array, _, _ := strings.Cut(field, "[]")
	unnumbered, _, _ := strings.Cut(field, " (")
	for _, name := range []string{field, array, unnumbered, strings.ReplaceAll(field, "[]", ""), strings.ReplaceAll(field, "-", "_")} {
		if e.extensions[name] {
			return name
		}
	}
	return ""
}

// identity says of which fields the record id is made.
func (s *section) identity() string {
	var in, out []string
	for _, f := range s.fields {
		switch e := s.effects[f]; {
		case e.id:
			in = append(in, code(f))
		case e.tried:
			out = append(out, code(f))
		}
	}
	switch {
	case s.source || s.bothVersions || len(in) == 0:
		return ""
	case len(out) == 0:
		return "The record id is made of all fields."
	case len(out) <= len(in)/4:
		return "The record id is made of all fields but " + strings.Join(out, ", ") + "."
	}
	return "The record id is made of " + strings.Join(in, ", ") + "."
}

// rows are the cells of the record's fields, in the order of the field table, then of the
// extensions.
func (e *effect) rows(extensions bool) (out []string) {
	for i := range flow.Records.Columns {
		if c := &flow.Records.Columns[i]; e.columns[c.Name] {
			out = append(out, fmt.Sprintf("%s | %s | %s", code(recordField(c)), code(c.ECS), code(c.Name)))
		}
	}
	if len(e.extensions) > 0 && extensions {
		var names []string
		for _, n := range slices.Sorted(maps.Keys(e.extensions)) {
			names = append(names, code(n))
		}
		out = append(out, "extension "+cell(strings.Join(names, ", "))+" |  | ")
	}
	return out
}

func (e *effect) notes() (out []string) {
	switch {
	case e.needed > 0 && e.free == 0:
		out = append(out, "needed")
	case e.needed > 0:
		out = append(out, "needed here or elsewhere")
	}
	if e.idleText != "" && len(e.columns) == 0 {
		out = append(out, fmt.Sprintf("`%s` is left out where it adds nothing", e.idleText))
	}
	if e.zeros > 0 && e.absent == e.zeros {
		out = append(out, "0 is absent")
	}
	out = append(out, slices.Sorted(maps.Keys(e.with))...)
	if e.refused {
		out = append(out, "another value is a dead letter")
	}
	if e.skipped {
		out = append(out, "another value is no flow record: skipped")
	}
	return out
}

func code(s string) string { return "`" + s + "`" }

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// recordField is the name of a column's field in flow.Record, such as Source.IP.
func recordField(c *flow.Column[flow.Record]) string {
	var r flow.Record
	at := reflect.ValueOf(c.Ref(&r)).Pointer()
	name, ok := fieldAt(reflect.ValueOf(&r).Elem(), at, reflect.TypeOf(c.Ref(&r)).Elem())
	if !ok {
		panic("column " + c.Name + " is no field of flow.Record")
	}
	return name
}

func fieldAt(v reflect.Value, at uintptr, typ reflect.Type) (string, bool) {
	for i := range v.NumField() {
		f := v.Field(i)
		name := v.Type().Field(i).Name
		if f.Addr().Pointer() == at && f.Type() == typ {
			return name, true
		}
		if f.Kind() == reflect.Struct {
			if inner, ok := fieldAt(f, at, typ); ok {
				return name + "." + inner, true
			}
		}
	}
	return "", false
}
