package main

import (
	"fmt"
	"strings"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/go-json-experiment/json/jsontext"
)

// node is a JSON value of a sample, made to be written again with one leaf changed.
type node struct {
	kind     jsontext.Kind
	text     string // of a leaf: what a string says, else its JSON
	names    []string
	children []*node
}

func readJSON(data []byte) (*node, error) {
	d := jsontext.NewDecoder(strings.NewReader(string(data)))
	return readNode(d)
}

func readNode(d *jsontext.Decoder) (*node, error) {
	t, err := d.ReadToken()
	if err != nil {
		return nil, err
	}
	n := &node{kind: t.Kind()}
	if n.kind != '{' && n.kind != '[' {
		n.text = t.String()
		return n, nil
	}
	for d.PeekKind() != n.kind+2 {
		if n.kind == '{' {
			name, err := d.ReadToken()
			if err != nil {
				return nil, err
			}
			n.names = append(n.names, name.String())
		}
		c, err := readNode(d)
		if err != nil {
			return nil, err
		}
		n.children = append(n.children, c)
	}
	_, err = d.ReadToken()
	return n, err
}

// append writes n, in the place of leaf what with says; nil leaves it out.
func (n *node) append(b []byte, leaf *node, with *string) []byte {
	switch {
	case n == leaf && n.kind == '"':
		return flow.AppendJSON(b, *with)
	case n == leaf:
		return append(b, *with...)
	case n.kind == '"':
		return flow.AppendJSON(b, n.text)
	case n.kind != '{' && n.kind != '[':
		return append(b, n.text...)
	}
	b = append(b, byte(n.kind))
	first := true
	for i, c := range n.children {
		if c == leaf && with == nil {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		if n.kind == '{' {
			b = append(flow.AppendJSON(b, n.names[i]), ':')
		}
		b = c.append(b, leaf, with)
	}
	return append(b, byte(n.kind)+2)
}

// leaf is one value in a sample: path is a.b[].c.
type leaf struct {
	path string
	node *node
}

// leaves are the values in n. Of an array the first element counts.
func (n *node) leaves(path string) (out []leaf) {
	switch n.kind {
	case '{':
		for i, c := range n.children {
			name := n.names[i]
			if path != "" {
				name = path + "." + name
			}
			out = append(out, c.leaves(name)...)
		}
		return out
	case '[':
		if len(n.children) == 0 {
			return nil
		}
		return n.children[0].leaves(path + "[]")
	}
	return []leaf{{path, n}}
}

// parts are the values that the text of one leaf holds.
type parts struct {
	separator string
	blank     string // of a value that is not there
	names     []string
}

// jsonTrials tries each value in the samples. values has other values of fields for which none
// can be guessed; inside has the leaves that hold several values.
func jsonTrials(samples [][]byte, values map[string][]string, inside map[string]parts) ([]trial, error) {
	var out []trial
	for _, data := range samples {
		root, err := readJSON(data)
		if err != nil {
			return nil, fmt.Errorf("sample %s: %w", data, err)
		}
		with := func(l leaf, text *string) input { return input{data: root.append(nil, l.node, text)} }
		base := input{data: root.append(nil, nil, nil)}
		for _, l := range root.leaves("") {
			if p, ok := inside[l.path]; ok {
				texts := strings.Split(l.node.text, p.separator)
				if len(texts) != len(p.names) {
					return nil, fmt.Errorf("%s: %d values in the sample, %d names", l.path, len(texts), len(p.names))
				}
				_, last, _ := strings.Cut("."+l.path, l.path[:strings.LastIndexByte(l.path, '.')+1])
				for i, name := range p.names {
					put := func(v string) input {
						now := append([]string(nil), texts...)
						now[i] = v
						text := strings.Join(now, p.separator)
						return with(l, &text)
					}
					out = append(out, valueTrial(strings.TrimPrefix(last, ".")+": "+name, base, texts[i], values[name], put, put(p.blank)))
				}
				continue
			}
			put := func(v string) input { return with(l, &v) }
			t := valueTrial(l.path, base, l.node.text, values[l.path], put, with(l, nil))
			switch l.node.kind {
			case 't':
				t.changed = []input{put("false")}
			case 'f':
				t.changed = []input{put("true")}
			}
			out = append(out, t)
		}
	}
	return out, nil
}

// valueTrial is the trial of a field that has the value text in a sample.
func valueTrial(field string, base input, text string, values []string, put func(v string) input, without input) trial {
	t := trial{field: field, base: base, without: &without, all: values != nil, text: text}
	if strings.Trim(text, "0123456789") == "" && strings.Trim(text, "0") != "" {
		zero := put("0")
		t.zero = &zero
	}
	if values == nil {
		values = others(text)
	}
	for _, v := range values {
		if v != text {
			t.changed = append(t.changed, put(v))
		}
	}
	return t
}

// otherMember is the trial of a member that nobody knows, in the object at path.
func otherMember(sample []byte, path string) (*trial, error) {
	with := func(v string) (input, error) {
		root, err := readJSON(sample)
		if err != nil {
			return input{}, err
		}
		n := root
		for name := range strings.SplitSeq(path, ".") {
			for i := range n.names {
				if n.names[i] == name {
					n = n.children[i]
					break
				}
			}
		}
		n.names = append(n.names, other)
		n.children = append(n.children, &node{kind: '"', text: v})
		return input{data: root.append(nil, nil, nil)}, nil
	}
	a, err := with("a1")
	if err != nil {
		return nil, err
	}
	b, err := with("a2")
	return &trial{field: other, base: a, changed: []input{b}}, err
}

// other is the name of a field that nobody knows.
const other = "x_other"
