package parse

import "strings"

// Objects and arrays inside of an object are members whose text is their JSON, read without
// allocation and accepted only where encoding/json/v2's tokenizer would accept them. The
// members of an object inside are read in the same pass; what is deeper is stepped over.

const (
	// maxNesting is how deep this goes, and maxNestedNames how many members an object further
	// inside may have, before the tokenizer has to do it.
	maxNesting     = 6
	maxNestedNames = 24
)

// of returns the members of a member that is an object; none of another.
func (o *jsonObject) of(m *jsonMember) []jsonMember { return o.inner[m.from:m.to] }

// nested reads the object or array that begins at the next byte.
func (d *jsonScanner) nested() (ok bool) {
	start, m := d.i, d.m
	m.kind = d.s[start]
	if m.kind == '{' && d.into != nil {
		into := d.into
		m.from = int32(len(*into))
		d.into = nil
		ok = d.objectInto(into)
		d.into = into
		m.to = int32(len(*into))
	} else {
		ok = d.value(maxNesting)
	}
	m.text = d.s[start:d.i]
	d.m = m
	return ok
}

// objectInto reads the object that begins at the next byte and appends its members.
func (d *jsonScanner) objectInto(into *[]jsonMember) bool {
	first := len(*into)
	d.i++
	if d.skip() == '}' {
		d.i++
		return true
	}
	var seen uint64 // as in jsonObject.fast
	for {
		if d.skip() != '"' {
			return false
		}
		var ok bool
		d.m.from, d.m.to = 0, 0
		if d.m.name, ok = d.str(); !ok || d.skip() != ':' {
			return false
		}
		d.i++
		bit := nameBit(d.m.name)
		if seen&bit != 0 {
			for i := first; i < len(*into); i++ {
				if (*into)[i].name == d.m.name {
					return false
				}
			}
		}
		seen |= bit
		if !d.read() {
			return false
		}
		*into = append(*into, d.m)
		switch d.skip() {
		case '}':
			d.i++
			return true
		case ',':
			d.i++
		default:
			return false
		}
	}
}

// value steps over one value.
func (d *jsonScanner) value(depth int) bool {
	switch d.skip() {
	case '"':
		_, ok := d.str()
		return ok
	case '{':
		return depth > 0 && d.objectBody(depth-1)
	case '[':
		return depth > 0 && d.arrayBody(depth-1)
	case 't':
		return d.literal("true")
	case 'f':
		return d.literal("false")
	case 'n':
		return d.literal("null")
	}
	return d.number()
}

func (d *jsonScanner) objectBody(depth int) bool {
	d.i++
	if d.skip() == '}' {
		d.i++
		return true
	}
	var names [maxNestedNames]string
	var seen uint64 // as in jsonObject.fast
	for n := 0; n < maxNestedNames; n++ {
		if d.skip() != '"' {
			return false
		}
		name, ok := d.str()
		if !ok || d.skip() != ':' {
			return false
		}
		d.i++
		bit := nameBit(name)
		if seen&bit != 0 {
			for i := range n {
				if names[i] == name {
					return false
				}
			}
		}
		seen |= bit
		names[n] = name
		if !d.value(depth) {
			return false
		}
		switch d.skip() {
		case '}':
			d.i++
			return true
		case ',':
			d.i++
		default:
			return false
		}
	}
	return false
}

func (d *jsonScanner) arrayBody(depth int) bool {
	d.i++
	if d.skip() == ']' {
		d.i++
		return true
	}
	for {
		if !d.value(depth) {
			return false
		}
		switch d.skip() {
		case ']':
			d.i++
			return true
		case ',':
			d.i++
		default:
			return false
		}
	}
}

// nameBit is a bit of 64 that a member's name has: names with different bits differ.
func nameBit(n string) uint64 {
	h := len(n) * 7
	if len(n) > 0 {
		h += int(n[0])*3 + int(n[len(n)-1])*5 + int(n[len(n)/2])
	}
	return 1 << (h & 63)
}

// onlyString is the one string that a JSON array holds, if it is one without escapes.
func onlyString(array string) (string, bool) {
	s := trim(strings.Trim(array, "[]"))
	if len(s) < 2 || s[0] != '"' || strings.IndexByte(s[1:], '"') != len(s)-2 || strings.Contains(s, `\`) {
		return "", false
	}
	return s[1 : len(s)-1], true
}

// memberNames makes "object.member" of members' names, each once, so that a record's
// extensions cost no allocation.
type memberNames struct {
	prefix string // "object."
	full   map[string]string
}

// maxMemberNames bounds what a stream of ever new names keeps.
const maxMemberNames = 256

func (e *memberNames) of(name string) string {
	if full, ok := e.full[name]; ok {
		return full
	}
	if e.full == nil || len(e.full) >= maxMemberNames {
		e.full = make(map[string]string)
	}
	full := e.prefix + name
	e.full[full[len(e.prefix):]] = full
	return full
}
