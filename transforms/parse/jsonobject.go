package parse

import (
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/extension"
)

// jsonMember is one member of a JSON object, or an element of an array, which has no name.
type jsonMember struct {
	name  string
	text  string // of a string what it says, of everything else its JSON
	kind  byte   // '"', '0', 't', 'f', 'n', '{' or '['
	whole bool   // a number that is whole and small enough: it is n
	field int16  // what the format knows it as, see jsonNames
	id    int32  // of jsonNames: of an element that of its array
	n     int64
	// Of an object or array: what is in it is jsonObject.inner[from:to].
	from, to int32
}

// jsonObject reads one JSON object with all that is in it. Flow records are objects without
// escapes: these are read in one pass and without allocation, as parts of the input.
// Everything else, and all that is broken, goes to encoding/json/v2's tokenizer
// (as the module it is developed in: the standard library has it behind an experiment),
// which alone decides. So what is accepted is what it accepts: UTF-8 only, no member twice.
type jsonObject struct {
	members []jsonMember // of the last parse, used again by the next
	inner   []jsonMember // what is in members that are objects or arrays
	names   jsonNames
	open    []jsonMember // what was read so far of objects that are not over
}

// maxJSONDepth is how deep the fast path goes.
const maxJSONDepth = 32

func (o *jsonObject) parse(s string) error {
	if o.fast(s) {
		return nil
	}
	return o.slow(s)
}

func (o *jsonObject) begin() {
	o.names.begin()
	o.open, o.inner = o.open[:0], o.inner[:0]
}

// end gives the members of the object itself, which are all that is still open.
func (o *jsonObject) end() { o.members, o.open = o.open, o.members }

func (o *jsonObject) fast(s string) bool {
	o.begin()
	i := spaceAt(s, 0)
	if i >= len(s) || s[i] != '{' {
		return false
	}
	i = o.object(s, i, 0, 1)
	if i < 0 || spaceAt(s, i) != len(s) {
		return false
	}
	o.end()
	return true
}

// object reads the object at s[i] and returns the place behind it, or -1. id is that of its
// name.
func (o *jsonObject) object(s string, i int, id int32, depth int) int {
	if depth > maxJSONDepth {
		return -1
	}
	n := &o.names
	n.object++
	this, within, guess, last := n.object, id, n.known[id].first, int32(0)
	if i = spaceAt(s, i+1); i < len(s) && s[i] == '}' {
		return i + 1
	}
	for {
		if i >= len(s) || s[i] != '"' {
			return -1
		}
		e := &n.known[guess]
		if end := i + 1 + len(e.name); guess != 0 && end < len(s) && s[end] == '"' && s[i+1:end] == e.name {
			id, i = guess, end+1
		} else {
			end := stringAt(s, i)
			if end < 0 {
				return -1
			}
			id = n.id(within, s[i+1:end-1])
			i = end
			if last == 0 {
				n.known[within].first = id
			} else {
				n.known[last].next = id
			}
			e = &n.known[id]
		}
		if e.seen == this {
			return -1
		}
		e.seen, last, guess = this, id, e.next
		if i = spaceAt(s, i); i >= len(s) || s[i] != ':' {
			return -1
		}
		if i++; i < len(s) && s[i] <= ' ' {
			i = spaceAt(s, i)
		}
		if i < len(s) && s[i] == '"' { // as most are
			end := stringAt(s, i)
			if end < 0 {
				return -1
			}
			o.open = append(o.open, jsonMember{name: e.name, text: s[i+1 : end-1], kind: '"', field: e.field, id: id})
			i = end
		} else if i = o.value(s, i, jsonMember{name: e.name, field: e.field, id: id}, depth); i < 0 {
			return -1
		}
		if i < len(s) && s[i] <= ' ' {
			i = spaceAt(s, i)
		}
		if i >= len(s) {
			return -1
		}
		switch s[i] {
		case '}':
			return i + 1
		case ',':
			if i++; i < len(s) && s[i] <= ' ' {
				i = spaceAt(s, i)
			}
		default:
			return -1
		}
	}
}

// value reads the value at s[i], that of m, and returns the place behind it, or -1.
func (o *jsonObject) value(s string, i int, m jsonMember, depth int) (end int) {
	if i >= len(s) {
		return -1
	}
	switch m.kind = s[i]; m.kind {
	case '"':
		if end = stringAt(s, i); end < 0 {
			return -1
		}
		m.text = s[i+1 : end-1]
		o.open = append(o.open, m)
		return end
	case 't', 'f', 'n':
		end = literalAt(s, i)
	case '{', '[':
		mark := len(o.open)
		if m.kind == '{' {
			end = o.object(s, i, m.id, depth+1)
		} else {
			end = o.array(s, i, m.id, depth+1)
		}
		m.from, m.to = o.close(mark)
	default:
		m.kind = '0'
		if m.n, end, m.whole = wholeAt(s, i); !m.whole {
			end = numberAt(s, i)
		}
	}
	if end < 0 {
		return -1
	}
	m.text = s[i:end]
	o.open = append(o.open, m)
	return end
}

func (o *jsonObject) array(s string, i int, id int32, depth int) int {
	if depth > maxJSONDepth {
		return -1
	}
	if i = spaceAt(s, i+1); i < len(s) && s[i] == ']' {
		return i + 1
	}
	for {
		if i = o.value(s, spaceAt(s, i), jsonMember{id: id}, depth); i < 0 {
			return -1
		}
		if i = spaceAt(s, i); i >= len(s) {
			return -1
		}
		switch s[i] {
		case ']':
			return i + 1
		case ',':
			i++
		default:
			return -1
		}
	}
}

// close ends an object or array inside: what is open from mark on is in it.
func (o *jsonObject) close(mark int) (from, to int32) {
	if mark == len(o.open) {
		return 0, 0
	}
	from = int32(len(o.inner))
	o.inner = append(o.inner, o.open[mark:]...)
	o.open = o.open[:mark]
	return from, int32(len(o.inner))
}

func (o *jsonObject) slow(s string) error {
	o.begin()
	if !utf8.ValidString(s) {
		return flow.Reject(flow.ReasonEncoding, "not UTF-8")
	}
	d := jsontext.NewDecoder(strings.NewReader(s))
	if k := d.PeekKind(); k != '{' && k != 0 {
		return flow.Reject(flow.ReasonSyntax, "want a JSON object, have %s", quoted(s))
	}
	if _, err := d.ReadToken(); err != nil {
		return badJSON(err)
	}
	if err := o.tokens(d, s, '}', 0); err != nil {
		return badJSON(err)
	}
	switch _, err := d.ReadToken(); {
	case err == io.EOF:
	case err != nil:
		return badJSON(err)
	default:
		return flow.Reject(flow.ReasonSyntax, "something follows the JSON object")
	}
	o.end()
	return nil
}

// tokens reads what is in an object or array, to its end. Nesting is bounded by the tokenizer.
func (o *jsonObject) tokens(d *jsontext.Decoder, s string, end jsontext.Kind, within int32) error {
	for d.PeekKind() != end {
		m := jsonMember{id: within}
		if end == '}' {
			t, err := d.ReadToken()
			if err != nil {
				return err
			}
			m.id = o.names.id(within, t.String())
			e := &o.names.known[m.id]
			m.name, m.field = e.name, e.field
		}
		t, err := d.ReadToken()
		if err != nil {
			return err
		}
		switch m.kind = byte(t.Kind()); m.kind {
		case '{', '[':
			start, mark := d.InputOffset()-1, len(o.open)
			if err := o.tokens(d, s, jsontext.Kind(m.kind+2), m.id); err != nil {
				return err
			}
			m.from, m.to = o.close(mark)
			m.text = s[start:d.InputOffset()]
		case '0':
			m.text = t.String()
			m.n, _, m.whole = wholeAt(m.text, 0)
		default:
			m.text = t.String()
		}
		o.open = append(o.open, m)
	}
	_, err := d.ReadToken()
	return err
}

func badJSON(err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return flow.Reject(flow.ReasonSyntax, "JSON is cut off")
	}
	return flow.Reject(flow.ReasonSyntax, "JSON: %s", strings.TrimPrefix(err.Error(), "jsontext: "))
}

// of returns what is in a member that is an object or array; nothing of another.
func (o *jsonObject) of(m *jsonMember) []jsonMember { return o.inner[m.from:m.to] }

// keep adds a member that the record has no field for: the members of an object by their path
// below the object itself, with dots, all else as [jsonMember.keep] has it. The first cut
// bytes of the path are left out.
func (o *jsonObject) keep(m *jsonMember, cut int, ext *extension.List) {
	if m.kind == '{' {
		in := o.of(m)
		for i := range in {
			o.keep(&in[i], cut, ext)
		}
		return
	}
	if m.kind != 'n' {
		ext.Put(o.names.path(m.id)[cut:], m.text, m.extensionKind())
	}
}

// only appends the JSON of the object itself, and of each array that has inner[of] in it only that
// element.
func (o *jsonObject) only(b []byte, of int) []byte {
	return o.onlyIn(b, &jsonMember{kind: '{'}, o.members, of)
}

// onlyOf is only of a member.
func (o *jsonObject) onlyOf(b []byte, m *jsonMember, of int) []byte {
	switch {
	case m.kind == '"':
		return flow.AppendJSON(b, m.text)
	case !o.has(m, of):
		return append(b, m.text...)
	}
	return o.onlyIn(b, m, o.of(m), of)
}

func (o *jsonObject) onlyIn(b []byte, m *jsonMember, in []jsonMember, of int) []byte {
	b = append(b, m.kind)
	first := true
	for i := range in {
		c := &in[i]
		if m.kind == '[' && !o.has(c, of) && int(m.from)+i != of {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		if m.kind == '{' {
			b = append(flow.AppendJSON(b, c.name), ':')
		}
		b = o.onlyOf(b, c, of)
	}
	return append(b, m.kind+2)
}

// has says whether inner[of] is in a member, however deep. What is in one stands in one piece,
// the deepest first.
func (o *jsonObject) has(m *jsonMember, of int) bool {
	if of >= int(m.to) || m.from == m.to {
		return false
	}
	first := m
	for i := 0; i < len(o.of(first)); i++ {
		if c := &o.of(first)[i]; c.from < c.to {
			first, i = c, -1
		}
	}
	return of >= int(first.from)
}

// keep makes an extension of a member that the record has no field for. A null is absent.
func (m *jsonMember) keep(ext *extension.List) {
	if m.kind != 'n' {
		ext.Put(m.name, m.text, m.extensionKind())
	}
}

func (m *jsonMember) extensionKind() flow.ExtensionKind {
	switch m.kind {
	case 't', 'f':
		return flow.ExtBool
	case '0':
		if m.whole || isInteger(m.text) {
			return flow.ExtInt
		}
		return flow.ExtFloat
	}
	return flow.ExtString
}

func (m *jsonMember) wantString() error { return m.want('"', "a string") }
func (m *jsonMember) wantNumber() error { return m.want('0', "a number") }

func (m *jsonMember) want(kind byte, what string) error {
	if m.kind == kind {
		return nil
	}
	return m.wrongKind(what)
}

func (m *jsonMember) wrongKind(what string) error {
	return flow.Reject(flow.ReasonField, "%s: want %s, have %s %s", m.name, what, kindName(m.kind), quoted(m.text))
}

func kindName(kind byte) string {
	switch kind {
	case '"':
		return "the string"
	case '0':
		return "the number"
	case '{':
		return "the object"
	case '[':
		return "the array"
	}
	return "the literal"
}

func isInteger(text string) bool {
	_, ok, inRange := parseInt(text)
	return ok && inRange
}
