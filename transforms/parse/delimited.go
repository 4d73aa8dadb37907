package parse

import (
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/flowbeam/flowbeam/flow"
)

// delimited is the layout of a text format of one record a line, whose header line names
// the columns. Fields are not quoted.
type delimited struct {
	zone      zone
	separator byte
	header    string // the line as written, to know it when it comes again
	columns   []delimitedColumn
}

type delimitedColumn struct {
	name  string
	field int8 // 0: the record has none, it is an extension
}

// separators that a header may have, in the order in which they are tried.
var separators = [...]byte{'\t', ',', ';', '|'}

// columnsOf finds the separator of a header line by the columns that are known.
func columnsOf(line string, known map[string]int8) (separator byte, names []string, matches int) {
	for _, sep := range separators {
		split := strings.Split(line, string(sep))
		n := 0
		for i, name := range split {
			split[i] = strings.Trim(name, " ")
			if known[split[i]] != 0 {
				n++
			}
		}
		if n > matches {
			separator, names, matches = sep, split, n
		}
	}
	return separator, names, matches
}

// readDelimited reads a header: a zone directive, if any, and the line of names.
func readDelimited(format, header string, known map[string]int8) (*delimited, error) {
	z, rest, err := readZone(header)
	if err != nil {
		return nil, err
	}
	l := &delimited{zone: z, header: trimLine(firstLine(rest))}
	var names []string
	var matches int
	if l.separator, names, matches = columnsOf(l.header, known); matches < 3 {
		return nil, flow.Reject(flow.ReasonFormat, "%s: no header line: columns can't be told without it", format)
	}
	seen := map[string]bool{}
	have := map[int8]bool{}
	for i, name := range names {
		if name == "" && i == len(names)-1 {
			continue // a separator at the line's end
		}
		if seen[name] || !utf8.ValidString(name) {
			return nil, flow.Reject(flow.ReasonFormat, "%s: the column %s is there twice or is not UTF-8", format, quoted(name))
		}
		seen[name] = true
		c := delimitedColumn{name: name, field: known[name]}
		if c.field != 0 && have[c.field] {
			c.field = 0 // the first of two columns of one meaning counts
		}
		have[c.field] = true
		l.columns = append(l.columns, c)
	}
	return l, nil
}

func (l *delimited) has(field int8) bool {
	for i := range l.columns {
		if l.columns[i].field == field {
			return true
		}
	}
	return false
}

// split cuts a line into as many fields as there are columns. A separator that the line
// ends with is let pass.
func (l *delimited) split(line string, to *cells) error {
	want := len(l.columns)
	to.cut(line, l.separator, want)
	if !to.ascii && !utf8.ValidString(line) {
		return flow.Reject(flow.ReasonEncoding, "not UTF-8")
	}
	if to.n != want && (to.n != want+1 || line[len(line)-1] != l.separator) {
		return l.wrongCount(line)
	}
	return nil
}

func (l *delimited) wrongCount(line string) error {
	return flow.Reject(flow.ReasonSyntax, "%d columns, the header has %d", strings.Count(line, string(l.separator))+1, len(l.columns))
}

// isHeader says whether line is a header, as tools print it more than once. One with other
// columns is an error: what follows would be misread in silence.
func (l *delimited) isHeader(line string, known map[string]int8) (bool, error) {
	if line == l.header {
		return true, nil
	}
	if len(line) == 0 || line[0]-'0' <= 9 { // a record, mostly: it begins with a time
		return false, nil
	}
	if _, _, matches := columnsOf(line, known); matches < 4 {
		return false, nil
	}
	return true, flow.Reject(flow.ReasonFormat, "a header with other columns: what follows can't be read by the first one")
}

// delimitedHeaderLength is how many of head's first bytes are a header of known columns.
func delimitedHeaderLength(head []byte, known map[string]int8) int {
	n := skipZone(head)
	line := firstLine(view(head[n:]))
	if _, _, matches := columnsOf(trimLine(line), known); matches < 4 {
		return n
	}
	return min(n+len(line)+1, len(head))
}

// layoutCache spares a format's Timestamp reading the header for each record of one file.
type layoutCache struct {
	last atomic.Pointer[struct {
		header string
		layout *delimited
	}]
}

func (c *layoutCache) of(header, format string, known map[string]int8) *delimited {
	last := c.last.Load()
	if last == nil || last.header != header {
		l, err := readDelimited(format, header, known)
		if err != nil {
			return nil
		}
		last = &struct {
			header string
			layout *delimited
		}{header, l}
		c.last.Store(last)
	}
	return last.layout
}

// extensionOf keeps a column by what its text looks like.
func extensionOf(name, text string) flow.Extension {
	e := flow.Extension{Name: name, Text: text}
	if isJSONNumber(text) {
		if e.Kind = flow.ExtFloat; isInteger(text) {
			e.Kind = flow.ExtInt
		}
	}
	return e
}
