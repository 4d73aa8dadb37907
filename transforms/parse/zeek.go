package parse

import (
	"strconv"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/extension"
)

func init() {
	Register(Format{
		FormatInfo: flow.FormatInfo{
			Name:      "zeek",
			Detect:    detectZeek,
			Header:    zeekHeaderLength,
			Timestamp: zeekTimestamp,
		},
		New: func(header string) (Decoder, error) {
			layout, err := readZeekLayout(header)
			if err != nil {
				return nil, err
			}
			return &zeekDecoder{layout: layout}, nil
		},
	})
}

// zeekDecoder reads Zeek's conn.log as tab-separated text. The log's header says which
// columns there are, in which order, and what marks an unset or empty value; without it
// nothing can be read.
//
// The originator is the source. Bytes are those of the IP layer (orig_ip_bytes,
// resp_ip_bytes), payload bytes are orig_bytes and resp_bytes. Event time is ts + duration,
// or ts where the duration is unset (time quality no_end). local_orig and local_resp give
// the direction. Columns that the record has no field for are extensions, the uid among
// them. The id is made of uid, ts and duration as they are written.
type zeekDecoder struct {
	layout *zeekLayout
	cells  cells
	ext    extension.List
}

// zeekLayout is what a header says.
type zeekLayout struct {
	separator    byte
	empty, unset string
	mark         byte   // unset, where that is one byte and empty is not; else 0
	fields       string // as written, to know a repeated header
	columns      []zeekColumn
	names        zeekTexts // of columns
}

type zeekColumn struct {
	name  string
	field zeekField
	kind  flow.ExtensionKind // by its type
}

func (d *zeekDecoder) Decode(data string, r *flow.Record) (Outcome, error) {
	line := trimLine(data)
	if line == "" {
		return Skip, nil
	}
	if line[0] == '#' {
		return d.comment(line)
	}
	if trim(line) == "" {
		return Skip, nil
	}
	if err := d.read(line, r); err != nil {
		d.ext.Drop()
		return Parsed, err
	}
	r.Extensions = d.ext.Take()
	return Parsed, nil
}

// comment skips a line of the header, or the #close that ends a log. Logs put behind one
// another repeat the header; one with other columns would be misread in silence.
func (d *zeekDecoder) comment(line string) (Outcome, error) {
	if fields, ok := directive(line, "#fields", d.layout.separator); ok && fields != d.layout.fields {
		return Skip, flow.Reject(flow.ReasonFormat, "a second header with other columns: what follows can't be read by the first one")
	}
	return Skip, nil
}

func (d *zeekDecoder) read(line string, r *flow.Record) error {
	l := d.layout
	columns, mark := l.columns, l.mark
	z := zeekRecord{r: r, names: &l.names}
	escapes := strings.IndexByte(line, '\\') >= 0
	d.cells.cut(line, l.separator, len(columns))
	if !d.cells.ascii && !utf8.ValidString(line) {
		return l.notUTF8(line)
	}
	if d.cells.n != len(columns) {
		columns = columns[:min(d.cells.n, len(columns))-1] // what is wrong in these is said first
	}
	for i := range columns {
		c, text := &columns[i], d.cells.at(i)
		if len(text) == 1 && mark != 0 {
			if text[0] == mark {
				continue
			}
		} else if text == l.unset || text == l.empty {
			continue
		}
		if escapes {
			text = unescapeZeek(text)
		}
		if c.field <= zeekUID {
			c.keep(text, &d.ext)
		}
		if z.values[c.field] = text; text == "" && !c.field.isText() {
			return flow.Reject(flow.ReasonField, "%s: empty", c.name)
		}
	}
	if d.cells.n == len(l.columns) {
		return z.fill(&d.ext)
	}
	if z.fill(&d.ext); z.err != nil {
		return z.err
	}
	return l.wrongCount(line)
}

func (l *zeekLayout) wrongCount(line string) error {
	return flow.Reject(flow.ReasonSyntax, "%d columns, the header has %d",
		strings.Count(line, string(l.separator))+1, len(l.columns))
}

func (l *zeekLayout) notUTF8(line string) error {
	for i, text := range strings.Split(line, string(l.separator)) {
		if !utf8.ValidString(text) && i < len(l.columns) {
			return flow.Reject(flow.ReasonEncoding, "%s: %s is not UTF-8", l.columns[i].name, quoted(text))
		}
	}
	return flow.Reject(flow.ReasonEncoding, "not UTF-8")
}

// keep makes an extension of a column by its type, or of text where the value is not of that
// type.
func (c *zeekColumn) keep(text string, ext *extension.List) {
	kind := flow.ExtString
	switch c.kind {
	case flow.ExtBool:
		switch text {
		case "T":
			text, kind = "true", flow.ExtBool
		case "F":
			text, kind = "false", flow.ExtBool
		}
	case flow.ExtInt, flow.ExtFloat:
		if isJSONNumber(text) {
			if kind = flow.ExtFloat; isInteger(text) {
				kind = flow.ExtInt
			}
		}
	}
	ext.Put(c.name, text, kind)
}

// unescapeZeek resolves \xNN. Where that gives no UTF-8 the escapes stay: nothing is lost.
func unescapeZeek(s string) string {
	if !strings.Contains(s, `\x`) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && s[i+1] == 'x' {
			if v, err := strconv.ParseUint(s[i+2:i+4], 16, 8); err == nil {
				b = append(b, byte(v))
				i += 3
				continue
			}
		}
		b = append(b, s[i])
	}
	if !utf8.Valid(b) {
		return s
	}
	return string(b)
}

// directive returns what follows the name of a header line.
func directive(line, name string, separator byte) (string, bool) {
	rest, ok := strings.CutPrefix(line, name)
	if !ok || rest == "" || rest[0] != separator && rest[0] != ' ' && rest[0] != '\t' {
		return "", false
	}
	return rest[1:], true
}

// readZeekLayout reads a header. Lines that it does not know are skipped: tools put their
// own before it.
func readZeekLayout(header string) (*zeekLayout, error) {
	l := &zeekLayout{separator: '\t', empty: "(empty)", unset: "-"}
	var types string
	found := false
	for line := range strings.Lines(header) {
		line = strings.TrimLeft(trimLine(line), " \t")
		if v, ok := directive(line, "#separator", ' '); ok {
			if v = unescapeZeek(v); len(v) != 1 {
				return nil, flow.Reject(flow.ReasonFormat, "zeek: #separator %s: want one byte", quoted(v))
			}
			l.separator = v[0]
		} else if v, ok := directive(line, "#empty_field", l.separator); ok {
			l.empty = unescapeZeek(v)
		} else if v, ok := directive(line, "#unset_field", l.separator); ok {
			l.unset = unescapeZeek(v)
		} else if v, ok := directive(line, "#fields", l.separator); ok && !found {
			l.fields, found = v, true
		} else if v, ok := directive(line, "#types", l.separator); ok && types == "" {
			types = v
		}
	}
	if !found {
		return nil, flow.Reject(flow.ReasonFormat, "zeek: no #fields line in the header: columns can't be told without it")
	}
	if len(l.unset) == 1 && len(l.empty) != 1 {
		l.mark = l.unset[0]
	}
	return l, l.setColumns(types)
}

func (l *zeekLayout) setColumns(types string) error {
	names := strings.Split(l.fields, string(l.separator))
	kinds := strings.Split(types, string(l.separator))
	if types != "" && len(kinds) != len(names) {
		return flow.Reject(flow.ReasonFormat, "zeek: %d names in #fields, %d types in #types", len(names), len(kinds))
	}
	var have [zeekFields]bool
	conn := false
	seen := map[string]bool{}
	for i, name := range names {
		if seen[name] || !utf8.ValidString(name) {
			return flow.Reject(flow.ReasonFormat, "zeek: the column %s is there twice or is not UTF-8", quoted(name))
		}
		seen[name] = true
		c := zeekColumn{name: name, field: zeekFieldNamed(name)}
		if types != "" {
			c.kind = zeekKind(kinds[i])
		}
		if c.field != zeekOther && have[c.field] {
			c.field = zeekOther // the first of two columns of one meaning counts
		}
		have[c.field], l.names[c.field] = true, name
		conn = conn || c.field.isConn()
		l.columns = append(l.columns, c)
	}
	switch {
	case !have[zeekTS] || !have[zeekOrigH] || !have[zeekRespH]:
		return flow.Reject(flow.ReasonFormat, "zeek: the header lacks ts, id.orig_h or id.resp_h")
	case !conn:
		return flow.Reject(flow.ReasonFormat, "zeek: the header is that of another log: it has none of conn_state, history, orig_pkts, resp_pkts, orig_ip_bytes, missed_bytes")
	}
	return nil
}

func zeekKind(typ string) flow.ExtensionKind {
	switch typ {
	case "count", "int", "port":
		return flow.ExtInt
	case "double", "interval", "time":
		return flow.ExtFloat
	case "bool":
		return flow.ExtBool
	}
	return flow.ExtString
}

// zeekHeaderLength goes to the end of the leading lines that begin with #.
func zeekHeaderLength(head []byte) int {
	n := 0
	for n < len(head) {
		line := firstLine(view(head[n:]))
		if t := strings.TrimLeft(line, " \t\r"); t != "" && t[0] != '#' {
			break
		}
		n = min(n+len(line)+1, len(head))
	}
	return n
}

func detectZeek(head []byte) int {
	s := string(head[:min(len(head), 8<<10)])
	for line := range strings.Lines(s) {
		line = strings.TrimLeft(line, " \t\r\n")
		if line == "" {
			continue
		}
		if line[0] != '#' {
			break
		}
		if strings.HasPrefix(line, "#separator ") || strings.HasPrefix(line, "#fields") {
			return 95
		}
	}
	return 0
}

// lastZeekLayout spares zeekTimestamp reading the header for each record of one file.
var lastZeekLayout atomic.Pointer[struct {
	header string
	layout *zeekLayout
}]

// zeekTimestamp is the event time: ts + duration.
func zeekTimestamp(header string, data []byte) (flow.Time, bool) {
	last := lastZeekLayout.Load()
	if last == nil || last.header != header {
		l, err := readZeekLayout(header)
		if err != nil {
			return 0, false
		}
		last = &struct {
			header string
			layout *zeekLayout
		}{header, l}
		lastZeekLayout.Store(last)
	}
	l := last.layout
	rest := trimLine(view(data))
	if rest == "" || rest[0] == '#' {
		return 0, false
	}
	var start, duration int64
	for i := range l.columns {
		text := rest
		if n := strings.IndexByte(rest, l.separator); n >= 0 {
			text, rest = rest[:n], rest[n+1:]
		} else {
			rest = ""
		}
		switch l.columns[i].field {
		case zeekTS:
			t, err := zeekTime("ts", text)
			if err != nil {
				return 0, false
			}
			start = int64(t)
		case zeekDuration:
			if text != l.unset {
				duration, _ = nanoseconds("duration", text, seconds)
			}
		}
		if rest == "" {
			break
		}
	}
	return flow.Time(start + duration), start != 0
}
