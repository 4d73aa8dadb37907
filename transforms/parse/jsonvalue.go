package parse

import (
	"math"

	"github.com/flowbeam/flowbeam/flow"
)

// The methods of this file read one member as a value of a type. Where the member is one of
// an object inside, prefix is that object's name with a dot, for the error.

func (m *jsonMember) str() (string, error) { return m.text, m.wantString() }

func (m *jsonMember) address() (flow.IP, error) {
	if err := m.wantString(); err != nil {
		return flow.IP{}, err
	}
	return address(m.name, m.text)
}

func (m *jsonMember) integer(prefix string, max int64) (flow.Int, error) {
	if m.kind != '0' {
		return flow.Int{}, wrongType(prefix+m.name, "a number", m.text)
	}
	v, ok, inRange := parseInt(m.text)
	if ok && inRange && v >= 0 && v <= max {
		return flow.N(v), nil
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
