package parse

import (
	"bytes"

	"github.com/flowbeam/flowbeam/flow"
)

// jsonSplitter takes the objects out of an array: of `[{…},{…}]`, or of one that is a member
// of an object around it, `{"records":[{…},{…}]}`, printed in one line or in many. What is
// around the objects is no record. Nothing is checked here: who decodes an object does. One
// that is never closed goes on to the end of the file.
type jsonSplitter struct {
	unit     int // depth inside of a unit's brackets, 0 outside
	arrays   int // depth of arrays outside
	text     bool
	escaped  bool
	inObject bool // the byte that begins it was announced
}

func (s *jsonSplitter) Scan(b []byte) (n int, at flow.SplitEvent) {
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch {
		case s.escaped:
			s.escaped = false
		case s.text:
			switch c {
			case '\\':
				s.escaped = true
			case '"':
				s.text = false
			}
		case c == '"':
			s.text = true
		case s.unit > 0:
			switch c {
			case '{', '[':
				s.unit++
			case '}', ']':
				if s.unit--; s.unit == 0 {
					return i + 1, flow.SplitEnd
				}
			}
		case c == '[':
			s.arrays++
		case c == ']':
			s.arrays = max(s.arrays-1, 0)
		case c == '{' && s.arrays > 0:
			if !s.inObject {
				s.inObject = true
				return i, flow.SplitBegin
			}
			s.inObject = false
			s.unit = 1
		}
	}
	return len(b), flow.SplitMore
}

// splitJSON is the Split of formats whose records are objects, one a line or in an array. The
// array begins with the file or is the first member of the object that does.
func splitJSON(head []byte) flow.Splitter {
	s := bytes.TrimLeft(head, " \t\r\n")
	if bytes.HasPrefix(s, []byte("{")) {
		s = bytes.TrimLeft(s[1:], " \t\r\n")
		if !bytes.HasPrefix(s, []byte(`"`)) {
			return nil
		}
		i := bytes.IndexByte(s[1:], '"')
		if i < 0 {
			return nil
		}
		s = bytes.TrimLeft(s[i+2:], ": \t\r\n")
	}
	if !bytes.HasPrefix(s, []byte("[")) {
		return nil
	}
	return &jsonSplitter{}
}
