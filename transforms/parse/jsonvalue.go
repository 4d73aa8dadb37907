package parse

import (
	"math"

	"github.com/flowbeam/flowbeam/flow"
)

// The methods of this file read one member as a value of a type. Where the member is one of
// an object inside, prefix is that object's name with a dot, for the error.

func (m *jsonMember) str() (string, error) { return m.text, m.wantString() }

func (m *jsonMember) address(to *flow.IP) error {
	if err := m.wantString(); err != nil {
		return err
	}
	return setAddress(to, m.name, m.text)
}

func (m *jsonMember) integer(prefix string, max int64) (flow.Int, error) {
	if m.whole && m.n >= 0 && m.n <= max {
		return flow.N(m.n), nil
	}
	if m.kind != '0' {
		return flow.Int{}, wrongType(prefix+m.name, "a number", m.text)
	}
	return integer(prefix+m.name, m.text, max)
}

func (m *jsonMember) count(prefix string) (flow.Int, error) { return m.integer(prefix, math.MaxInt64) }

func (m *jsonMember) isoTime(prefix string) (flow.Time, error) {
	if m.kind == '"' {
		if t, ok, inRange := iso8601(m.text); ok && inRange {
			return t, nil
		}
	}
	_, err := timestamp(prefix+m.name, m.text)
	if err == nil {
		err = wrongType(prefix+m.name, "an RFC 3339 time", m.text)
	}
	return 0, err
}

// memberNamed finds a member, or nil.
func memberNamed(members []jsonMember, name string) *jsonMember {
	for i := range members {
		if members[i].name == name {
			return &members[i]
		}
	}
	return nil
}

// present is memberNamed of one that is not null: what is null is absent.
func present(members []jsonMember, name string) *jsonMember {
	if m := memberNamed(members, name); m != nil && m.kind != 'n' {
		return m
	}
	return nil
}

// needed is present of a member that has to be there and of a kind. path is the name that an
// error gives it.
func needed(members []jsonMember, name, path string, kind byte, what string) (*jsonMember, error) {
	m := present(members, name)
	if m == nil {
		return nil, missing(path)
	}
	if m.kind != kind {
		named := *m
		named.name = path
		return nil, named.want(kind, what)
	}
	return m, nil
}

// textOf is the text of a member, "" where it is absent.
func textOf(members []jsonMember, name string) string {
	if m := present(members, name); m != nil {
		return m.text
	}
	return ""
}

// onlyString is the one string that a JSON array holds, if it is one.
func (o *jsonObject) onlyString(array *jsonMember) (string, bool) {
	if in := o.of(array); len(in) == 1 && in[0].kind == '"' {
		return in[0].text, true
	}
	return "", false
}
