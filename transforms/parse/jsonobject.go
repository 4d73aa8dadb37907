package parse

import (
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/go-json-experiment/json/jsontext"
)

// jsonMember is one member of a JSON object.
type jsonMember struct {
	name string
	text string // of a string what it says, of everything else its JSON
	kind byte   // '"', '0', 't', 'f', 'n', '{' or '['
	// Of an object: its own members are jsonObject.inner[from:to].
	from, to int32
}

// jsonObject reads the members of one JSON object, in their order. Flow records are
// objects without escapes, mostly flat: these are read in one pass and without allocation, as
// parts of the input, and so are the members of objects inside (see jsonnested.go). Everything else, and all that is broken, goes to encoding/json/v2's tokenizer
// (as the module it is developed in: the standard library has it behind an experiment),
// which alone decides. So what is accepted is what it accepts: UTF-8 only, no member twice.
type jsonObject struct {
	members []jsonMember // of the last parse, used again by the next
	inner   []jsonMember // those of objects that are members
}

func (o *jsonObject) parse(s string) error {
	if o.fast(s) {
		return nil
	}
	return o.slow(s)
}

func (o *jsonObject) fast(s string) bool {
	o.members, o.inner = o.members[:0], o.inner[:0]
	sc := newJSONScanner(s)
	sc.into = &o.inner
	var seen uint64 // a set of the names' hashes, to compare names only where it must be
	for {
		switch sc.next() {
		case scanEnd:
			return true
		case scanHard:
			return false
		}
		n := sc.m.name
		bit := nameBit(n)
		if seen&bit != 0 {
			for i := range o.members {
				if o.members[i].name == n {
					return false
				}
			}
		}
		seen |= bit
		o.members = append(o.members, sc.m)
	}
}

func (o *jsonObject) slow(s string) error {
	o.members, o.inner = o.members[:0], o.inner[:0]
	if !utf8.ValidString(s) {
		return flow.Reject(flow.ReasonEncoding, "not UTF-8")
	}
	d := jsontext.NewDecoder(strings.NewReader(s))
	if k := d.PeekKind(); k != '{' && k != 0 {
		return flow.Reject(flow.ReasonSyntax, "want a JSON object, have %s", quoted(s))
	}
	if err := readMembers(d, &o.members); err != nil {
		return badJSON(err)
	}
	switch _, err := d.ReadToken(); {
	case err == io.EOF:
	case err != nil:
		return badJSON(err)
	default:
		return flow.Reject(flow.ReasonSyntax, "something follows the JSON object")
	}
	for i := range o.members {
		m := &o.members[i]
		if m.kind != '{' {
			continue
		}
		m.from = int32(len(o.inner))
		if err := readMembers(jsontext.NewDecoder(strings.NewReader(m.text)), &o.inner); err != nil {
			return badJSON(err)
		}
		m.to = int32(len(o.inner))
	}
	return nil
}

// readMembers appends the members of the object that d is at.
func readMembers(d *jsontext.Decoder, into *[]jsonMember) error {
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() != '}' {
		t, err := d.ReadToken()
		if err != nil {
			return err
		}
		m := jsonMember{name: t.String()}
		v, err := d.ReadValue()
		if err != nil {
			return err
		}
		if m.kind = byte(v.Kind()); m.kind == '"' {
			b, err := jsontext.AppendUnquote(nil, v)
			if err != nil {
				return err
			}
			m.text = string(b)
		} else {
			m.text = string(v)
		}
		*into = append(*into, m)
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

// extension makes an extension of a member that the record has no field for. A null is
// absent.
func (m *jsonMember) extension() (flow.Extension, bool) {
	e := flow.Extension{Name: m.name, Text: m.text}
	switch m.kind {
	case 'n':
		return e, false
	case 't', 'f':
		e.Kind = flow.ExtBool
	case '0':
		if e.Kind = flow.ExtFloat; isInteger(m.text) {
			e.Kind = flow.ExtInt
		}
	}
	return e, true
}

func (m *jsonMember) wantString() error { return m.want('"', "a string") }
func (m *jsonMember) wantNumber() error { return m.want('0', "a number") }

func (m *jsonMember) want(kind byte, what string) error {
	if m.kind == kind {
		return nil
	}
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

// jsonScanner walks the members of a JSON object.
type jsonScanner struct {
	s     string
	i     int
	plain bool // no byte of s needs a second look inside a string
	m     jsonMember
	into  *[]jsonMember // where members of objects inside go; nil: they are passed over
}

type scanResult int8

const (
	scanMember scanResult = iota
	scanEnd               // the object and the input are over
	scanHard              // broken, or beyond what this scanner reads
)

func newJSONScanner(s string) jsonScanner {
	return jsonScanner{s: s, i: -1, plain: isPlain(s)}
}

// isPlain says whether s has neither control characters nor backslashes nor anything
// beyond ASCII. It may say no where it should say yes.
func isPlain(s string) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	var bad uint64
	i := 0
	for ; i+8 <= len(s); i += 8 {
		w := s[i : i+8]
		x := uint64(w[0]) | uint64(w[1])<<8 | uint64(w[2])<<16 | uint64(w[3])<<24 |
			uint64(w[4])<<32 | uint64(w[5])<<40 | uint64(w[6])<<48 | uint64(w[7])<<56
		slash := x ^ ones*'\\'
		if bad = x | (x-ones*' ')&^x | (slash-ones)&^slash; bad&high != 0 {
			return false // text over many lines is none, and says so in its first ones
		}
	}
	for ; i < len(s); i++ {
		if c := s[i]; c < ' ' || c >= utf8.RuneSelf || c == '\\' {
			return false
		}
	}
	return true
}

func (d *jsonScanner) next() scanResult {
	if d.i < 0 {
		if d.i = 0; d.skip() != '{' {
			return scanHard
		}
		d.i++
		if d.skip() == '}' {
			return d.end()
		}
	} else {
		switch d.skip() {
		case '}':
			return d.end()
		case ',':
			d.i++
		default:
			return scanHard
		}
	}
	if d.skip() != '"' {
		return scanHard
	}
	var ok bool
	d.m.from, d.m.to = 0, 0
	if d.m.name, ok = d.str(); !ok || d.skip() != ':' {
		return scanHard
	}
	d.i++
	if !d.read() {
		return scanHard
	}
	return scanMember
}

// read reads the value of a member.
func (d *jsonScanner) read() (ok bool) {
	switch d.skip() {
	case '"':
		d.m.kind = '"'
		d.m.text, ok = d.str()
		return ok
	case 't':
		return d.literal("true")
	case 'f':
		return d.literal("false")
	case 'n':
		return d.literal("null")
	case '{', '[':
		return d.nested()
	}
	return d.number()
}

func (d *jsonScanner) end() scanResult {
	d.i++
	if d.skip(); d.i != len(d.s) {
		return scanHard
	}
	return scanEnd
}

// skip goes past white space and returns the byte there, 0 at the end.
func (d *jsonScanner) skip() byte {
	if d.i < len(d.s) && d.s[d.i] > ' ' {
		return d.s[d.i]
	}
	return d.skipSpace()
}

func (d *jsonScanner) skipSpace() byte {
	for ; d.i < len(d.s); d.i++ {
		if c := d.s[d.i]; !isSpace(c) {
			return c
		}
	}
	return 0
}

// str reads the string whose opening quote is the next byte.
func (d *jsonScanner) str() (string, bool) {
	start := d.i + 1
	n := strings.IndexByte(d.s[start:], '"')
	if n < 0 {
		return "", false
	}
	text := d.s[start : start+n]
	if !d.plain && !isPlain(text) && !validText(text) {
		return "", false
	}
	d.i = start + n + 1
	return text, true
}

// validText says whether a string without quotes is what it says: it has no escapes and no
// control characters and is UTF-8.
func validText(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == '\\' {
			return false
		}
	}
	return utf8.ValidString(s)
}

func (d *jsonScanner) literal(text string) bool {
	if !strings.HasPrefix(d.s[d.i:], text) {
		return false
	}
	d.i += len(text)
	d.m.kind, d.m.text = text[0], text
	return true
}

func (d *jsonScanner) number() bool {
	start := d.i
	if d.i < len(d.s) && d.s[d.i] == '-' {
		d.i++
	}
	first := d.i
	if !d.digits() || d.s[first] == '0' && d.i > first+1 {
		return false
	}
	if d.i < len(d.s) && d.s[d.i] == '.' {
		d.i++
		if !d.digits() {
			return false
		}
	}
	if d.i < len(d.s) && (d.s[d.i] == 'e' || d.s[d.i] == 'E') {
		d.i++
		if d.i < len(d.s) && (d.s[d.i] == '+' || d.s[d.i] == '-') {
			d.i++
		}
		if !d.digits() {
			return false
		}
	}
	d.m.kind, d.m.text = '0', d.s[start:d.i]
	return true
}

func (d *jsonScanner) digits() bool {
	start := d.i
	for d.i < len(d.s) && d.s[d.i]-'0' <= 9 {
		d.i++
	}
	return d.i > start
}

// isJSONNumber says whether text is a number in JSON's grammar.
func isJSONNumber(text string) bool {
	d := jsonScanner{s: text}
	return d.number() && d.i == len(text)
}

func isInteger(text string) bool {
	_, ok, inRange := parseInt(text)
	return ok && inRange
}

// findMember returns a member of the object s without reading what follows it.
func findMember(s, name string) (jsonMember, bool) {
	sc := newJSONScanner(s)
	for sc.next() == scanMember {
		if sc.m.name == name {
			return sc.m, true
		}
	}
	return jsonMember{}, false
}

// looksLikeJSON says whether head begins as a JSON object that has all the names as
// members, judged by their text alone, so that a broken record is still known for what it is.
func looksLikeJSON(head []byte, names ...string) bool {
	if s := trim(string(head[:min(len(head), 8<<10)])); s != "" && s[0] == '{' {
		s = firstLine(s)
		for _, n := range names {
			if !strings.Contains(s, `"`+n+`"`) {
				return false
			}
		}
		return true
	}
	return false
}
