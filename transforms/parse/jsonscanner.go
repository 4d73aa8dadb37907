package parse

import (
	"math/bits"
	"strings"
	"unicode/utf8"
)

// The functions of this file read JSON's parts where they are as text, by their place in s:
// each returns the place behind, or -1 where the text is broken or needs the tokenizer.

const ones, high = 0x0101010101010101, 0x8080808080808080

// word is the eight bytes at s[i:], the first one the lowest.
func word(s string, i int) uint64 {
	w := s[i : i+8]
	return uint64(w[0]) | uint64(w[1])<<8 | uint64(w[2])<<16 | uint64(w[3])<<24 |
		uint64(w[4])<<32 | uint64(w[5])<<40 | uint64(w[6])<<48 | uint64(w[7])<<56
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

// stringAt is where the string ends whose opening quote is s[i]. Eight bytes at a time it looks
// for a quote, and for what needs a second look: control characters, backslashes, what is
// beyond ASCII. Of each of these the lowest bit found is right; those above it may be wrong.
func stringAt(s string, i int) int {
	i++
	start := i
	for ; i+8 <= len(s); i += 8 {
		x := word(s, i)
		quote, slash := x^ones*'"', x^ones*'\\'
		quote = (quote - ones) &^ quote & high
		hard := (x | (x-ones*' ')&^x | (slash-ones)&^slash) & high
		if quote|hard == 0 {
			continue
		}
		if end := bits.TrailingZeros64(quote); end < bits.TrailingZeros64(hard) {
			return i + end>>3 + 1
		}
		break
	}
	n := strings.IndexByte(s[i:], '"')
	if n < 0 || !validText(s[start:i+n]) {
		return -1
	}
	return i + n + 1
}

// spaceAt goes past white space.
func spaceAt(s string, i int) int {
	for i < len(s) && isSpace(s[i]) {
		i++
	}
	return i
}

func digitsAt(s string, i int) int {
	for i < len(s) && s[i]-'0' <= 9 {
		i++
	}
	return i
}

// wholeAt reads the whole number at s[i], if it is one of at most 18 digits.
func wholeAt(s string, i int) (n int64, end int, ok bool) {
	neg := i < len(s) && s[i] == '-'
	if neg {
		i++
	}
	first := i
	for i < len(s) && s[i]-'0' <= 9 {
		n = n*10 + int64(s[i]-'0')
		i++
	}
	if size := i - first; size == 0 || size > 18 || size > 1 && s[first] == '0' || i < len(s) && (s[i] == '.' || s[i]|0x20 == 'e') {
		return 0, 0, false
	}
	if neg {
		n = -n
	}
	return n, i, true
}

// numberAt is where the number at s[i] ends.
func numberAt(s string, i int) int {
	if i < len(s) && s[i] == '-' {
		i++
	}
	first := i
	if i = digitsAt(s, i); i == first || s[first] == '0' && i > first+1 {
		return -1
	}
	if i < len(s) && s[i] == '.' {
		first = i + 1
		if i = digitsAt(s, first); i == first {
			return -1
		}
	}
	if i < len(s) && s[i]|0x20 == 'e' {
		if i++; i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		first = i
		if i = digitsAt(s, first); i == first {
			return -1
		}
	}
	return i
}

// literalAt is where true, false or null ends.
func literalAt(s string, i int) int {
	for _, text := range [...]string{"true", "false", "null"} {
		if strings.HasPrefix(s[i:], text) {
			return i + len(text)
		}
	}
	return -1
}

// isJSONNumber says whether text is a number in JSON's grammar.
func isJSONNumber(text string) bool { return text != "" && numberAt(text, 0) == len(text) }

// jsonScanner walks the members of a JSON object, as far as it is asked to: for those who want
// one or two members of many. What is inside of objects and arrays is passed over, and not
// checked.
type jsonScanner struct {
	s string
	i int
	m jsonMember
}

type scanResult int8

const (
	scanMember scanResult = iota
	scanEnd               // the object and the input are over
	scanHard              // broken, or beyond what this scanner reads
)

func newJSONScanner(s string) jsonScanner {
	return jsonScanner{s: s, i: -1}
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
	start, end := d.i, -1
	switch d.m.kind = d.skip(); d.m.kind {
	case '"':
		d.m.text, ok = d.str()
		return ok
	case 't', 'f', 'n':
		start = d.i
		end = literalAt(d.s, start)
	case '{', '[':
		start = d.i
		end = d.nested()
	default:
		d.m.kind, start = '0', d.i
		end = numberAt(d.s, start)
	}
	if end < 0 {
		return false
	}
	d.m.text, d.i = d.s[start:end], end
	return true
}

// nested is where the object or array ends that begins at the next byte.
func (d *jsonScanner) nested() int {
	depth := 0
	for i := d.i; i < len(d.s); i++ {
		switch d.s[i] {
		case '"':
			if i = stringAt(d.s, i) - 1; i < 0 {
				return -1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return -1
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
	if d.i = spaceAt(d.s, d.i); d.i < len(d.s) {
		return d.s[d.i]
	}
	return 0
}

// str reads the string whose opening quote is the next byte.
func (d *jsonScanner) str() (string, bool) {
	end := stringAt(d.s, d.i)
	if end < 0 {
		return "", false
	}
	text := d.s[d.i+1 : end-1]
	d.i = end
	return text, true
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
