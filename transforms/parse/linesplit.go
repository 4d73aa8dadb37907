package parse

import (
	"bytes"

	"github.com/flowbeam/flowbeam/flow"
)

// objectSplitter finds JSON objects that are printed over many lines: each begins with the brace
// that is the first of its line. It does not match braces, so that a broken object costs no
// other one. What stands between them, commas and brackets, goes with the one before; text
// before the first is a unit of its own.
type objectSplitter struct {
	inside bool
	blank  bool // nothing but blanks, commas and brackets so far in this line
}

// splitObjects is nil for a file whose first object ends in its line: it has an object a line.
func splitObjects(head []byte) flow.Splitter {
	first := bytes.TrimLeft(head, "[, \t\r\n")
	line, _, _ := bytes.Cut(first, []byte("\n"))
	line = bytes.TrimRight(line, "], \t\r")
	if bytes.HasPrefix(line, []byte("{")) && bytes.HasSuffix(line, []byte("}")) {
		return nil
	}
	return &objectSplitter{}
}

func (s *objectSplitter) Scan(b []byte) (n int, at flow.SplitEvent) {
	for i, c := range b {
		between := c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ',' || c == '[' || c == ']'
		switch {
		case !s.inside && !between:
			s.inside, s.blank = true, false
			return i, flow.SplitBegin
		case !s.inside:
		case c == '\n':
			s.blank = true
		case s.blank && c == '{':
			s.inside = false
			return i, flow.SplitEnd
		case !between:
			s.blank = false
		}
	}
	return len(b), flow.SplitMore
}
