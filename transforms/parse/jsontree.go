package parse

import (
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/extension"
)

// jsonTree reads one JSON object with all that is in it, for formats whose records are
// nested. As [jsonObject], it reads what has no escapes in one pass, as parts of the input
// and without allocation; everything else, and all that is broken, goes to
// encoding/json/v2's tokenizer, which alone decides.
type jsonTree struct {
	nodes []jsonNode // the object, then what is in it, depth first
}

// jsonNode is a member of an object, or an element of an array, which has no name. The text
// of an object or array is its JSON.
type jsonNode struct {
	jsonMember
	end int // of nodes: after the last one that is in this one
}

const (
	// maxTreeDepth is how deep the fast path goes.
	maxTreeDepth = 32
	// maxTreeMembers is how many members of one object it compares with one another.
	maxTreeMembers = 256
)

func (t *jsonTree) parse(s string) error {
	t.nodes = t.nodes[:0]
	sc := newJSONScanner(s)
	sc.i = 0
	if sc.skip() == '{' && t.value(&sc, "", 0) {
		if sc.skip(); sc.i == len(s) {
			return nil
		}
	}
	return t.slow(s)
}

func (t *jsonTree) value(sc *jsonScanner, name string, depth int) (ok bool) {
	at := len(t.nodes)
	m := jsonMember{name: name, kind: sc.skip()}
	if m.kind == '"' { // most are
		m.text, ok = sc.str()
		t.nodes = append(t.nodes, jsonNode{m, at + 1})
		return ok
	}
	t.nodes = append(t.nodes, jsonNode{})
	start := sc.i
	switch m.kind {
	case '{':
		ok = depth < maxTreeDepth && t.object(sc, depth+1)
		m.text = sc.s[start:sc.i]
	case '[':
		ok = depth < maxTreeDepth && t.array(sc, depth+1)
		m.text = sc.s[start:sc.i]
	case 't':
		ok = sc.literal("true")
	case 'f':
		ok = sc.literal("false")
	case 'n':
		ok = sc.literal("null")
	default:
		ok = sc.number()
		m.kind = '0'
	}
	if m.text == "" {
		m.text = sc.s[start:sc.i]
	}
	t.nodes[at] = jsonNode{m, len(t.nodes)}
	return ok
}

func (t *jsonTree) object(sc *jsonScanner, depth int) bool {
	sc.i++
	if sc.skip() == '}' {
		sc.i++
		return true
	}
	first := len(t.nodes)
	var seen uint64 // a set of the names' hashes, as jsonObject has it
	for n := 0; n < maxTreeMembers; n++ {
		if sc.skip() != '"' {
			return false
		}
		name, ok := sc.str()
		if !ok || sc.skip() != ':' {
			return false
		}
		sc.i++
		h := len(name) * 7
		if len(name) > 0 {
			h += int(name[0])*3 + int(name[len(name)-1])*5 + int(name[len(name)/2])
		}
		if bit := uint64(1) << (h & 63); seen&bit == 0 {
			seen |= bit
		} else {
			for i := first; i < len(t.nodes); i = t.nodes[i].end {
				if t.nodes[i].name == name {
					return false
				}
			}
		}
		if !t.value(sc, name, depth) {
			return false
		}
		switch sc.skip() {
		case '}':
			sc.i++
			return true
		case ',':
			sc.i++
		default:
			return false
		}
	}
	return false
}

func (t *jsonTree) array(sc *jsonScanner, depth int) bool {
	sc.i++
	if sc.skip() == ']' {
		sc.i++
		return true
	}
	for {
		if !t.value(sc, "", depth) {
			return false
		}
		switch sc.skip() {
		case ']':
			sc.i++
			return true
		case ',':
			sc.i++
		default:
			return false
		}
	}
}

func (t *jsonTree) slow(s string) error {
	t.nodes = t.nodes[:0]
	if !utf8.ValidString(s) {
		return flow.Reject(flow.ReasonEncoding, "not UTF-8")
	}
	d := jsontext.NewDecoder(strings.NewReader(s))
	if k := d.PeekKind(); k != '{' && k != 0 {
		return flow.Reject(flow.ReasonSyntax, "want a JSON object, have %s", quoted(s))
	}
	if err := t.read(d, s, ""); err != nil {
		return badJSON(err)
	}
	if trim(s[d.InputOffset():]) != "" {
		return flow.Reject(flow.ReasonSyntax, "something follows the JSON object")
	}
	return nil
}

// read reads the tokenizer's next value. Its nesting is bounded by the tokenizer.
func (t *jsonTree) read(d *jsontext.Decoder, s, name string) error {
	at := len(t.nodes)
	t.nodes = append(t.nodes, jsonNode{})
	token, err := d.ReadToken()
	if err != nil {
		return err
	}
	m := jsonMember{name: name, kind: byte(token.Kind())}
	switch m.kind {
	case '{', '[':
		start := d.InputOffset() - 1
		end := map[byte]jsontext.Kind{'{': '}', '[': ']'}[m.kind]
		for d.PeekKind() != end {
			child := ""
			if m.kind == '{' {
				if token, err = d.ReadToken(); err != nil {
					return err
				}
				child = token.String()
			}
			if err := t.read(d, s, child); err != nil {
				return err
			}
		}
		if _, err := d.ReadToken(); err != nil {
			return err
		}
		m.text = s[start:d.InputOffset()]
	default:
		m.text = token.String()
	}
	t.nodes[at] = jsonNode{m, len(t.nodes)}
	return nil
}

// children says where the first node in node i is, and where they end: the next after i is
// at nodes[i].end.
func (t *jsonTree) children(i int) (first, end int) { return i + 1, t.nodes[i].end }

// member finds a member of the object at node i, 0 where there is none or it is null: what is
// null is absent.
func (t *jsonTree) member(i int, name string) int {
	if i < 0 || t.nodes[i].kind != '{' {
		return 0
	}
	for c, end := t.children(i); c < end; c = t.nodes[c].end {
		if t.nodes[c].name == name {
			if t.nodes[c].kind == 'n' {
				return 0
			}
			return c
		}
	}
	return 0
}

// want is member of a kind that has to be there. path is that of the member, for the error.
func (t *jsonTree) want(i int, name, path string, kind byte, what string) (int, error) {
	c := t.member(i, name)
	if c == 0 {
		return 0, missing(path)
	}
	m := t.nodes[c].jsonMember
	m.name = path
	return c, m.want(kind, what)
}

// text is the text of a member of the object at node i, "" where it is absent.
func (t *jsonTree) text(i int, name string) string {
	c := t.member(i, name)
	if c == 0 {
		return ""
	}
	return t.nodes[c].text
}

// only appends the JSON of node i, and of each array that has node of in it only that element.
func (t *jsonTree) only(b []byte, i, of int) []byte {
	n := &t.nodes[i]
	if n.kind == '"' {
		return flow.AppendJSON(b, n.text)
	}
	if of <= i || of >= n.end {
		return append(b, n.text...)
	}
	b = append(b, n.kind)
	first := true
	for c, end := t.children(i); c < end; c = t.nodes[c].end {
		if n.kind == '[' && (of < c || of >= t.nodes[c].end) {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		if n.kind == '{' {
			b = append(flow.AppendJSON(b, t.nodes[c].name), ':')
		}
		b = t.only(b, c, of)
	}
	return append(b, n.kind+2)
}

// leaves adds all that is in node i as extensions, the members of objects by their path with
// dots, an array as its JSON. path is that of i.
func (t *jsonTree) leaves(i int, path string, names *memberPaths, ext *extension.List) {
	n := &t.nodes[i]
	if n.kind == '{' {
		for c, end := t.children(i); c < end; c = t.nodes[c].end {
			t.leaves(c, names.join(path, t.nodes[c].name), names, ext)
		}
		return
	}
	m := n.jsonMember
	m.name = path
	if e, ok := m.extension(); ok {
		ext.Add(e)
	}
}

// memberPaths makes the names of nested members, each once. Records mostly have the same
// ones in the same order, and that spares looking them up.
type memberPaths struct {
	order []memberPath
	next  int // of order
	full  map[[2]string]string
}

type memberPath struct{ path, name, full string }

// maxMemberPaths bounds what a stream of ever new names keeps.
const maxMemberPaths = 1024

// begin begins a record.
func (p *memberPaths) begin() { p.next = 0 }

func (p *memberPaths) join(path, name string) string {
	if path == "" {
		return name
	}
	i := p.next
	p.next++
	if i < len(p.order) && p.order[i].name == name && p.order[i].path == path {
		return p.order[i].full
	}
	full, ok := p.full[[2]string{path, name}]
	if !ok {
		if p.full == nil || len(p.full) >= maxMemberPaths {
			p.full = make(map[[2]string]string)
		}
		full = path + "." + name
		path, name = full[:len(path)], full[len(path)+1:]
		p.full[[2]string{path, name}] = full
	}
	e := memberPath{full[:len(path)], full[len(path)+1:], full}
	switch {
	case i < len(p.order):
		p.order[i] = e
	case i < maxMemberPaths:
		p.order = append(p.order, e)
	}
	return full
}
