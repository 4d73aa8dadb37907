package netflow

import (
	"cmp"
	"slices"
)

// Element is an information element that this package knows.
type Element struct {
	Enterprise uint32 // 0: IANA's, or that of a vendor which took a number of v9
	Number     uint16
	Name       string // that of its extension
	// Kind is how a value is written: u unsigned, i signed, f float, b boolean, m MAC address, 4 and 6
	// address, s string, S, M, U and N time in seconds, milliseconds, microseconds and nanoseconds,
	// x octets.
	Kind   byte
	V9     bool     // known in v9 alone: a number beyond IANA's
	Unless []uint16 // where a template has one of these, this one is an extension
}

// Elements lists all information elements that this package knows, those of the reverse direction
// (RFC 5103) as far as they have a field of their own. They are in the order of enterprise and
// number.
func Elements() []Element {
	var out []Element
	add := func(version, number uint16, enterprise uint32) {
		e := elementOf(version, number, enterprise)
		m := mappings[number]
		if version == V9 {
			m = v9Mappings[number]
		} else if enterprise != 0 && enterprise != reversePEN {
			m = mapping{}
		}
		out = append(out, Element{enterprise, number, e.name, kindLetters[e.kind], version == V9, m.unless})
	}
	for n, e := range ianaNames() {
		if e.name != "" {
			add(IPFIX, uint16(n), 0)
		}
	}
	for n := range v9Mappings {
		add(V9, n, 0)
	}
	for n := range v9Kinds {
		if _, ok := v9Mappings[n]; !ok {
			add(V9, n, 0)
		}
	}
	for id := range vendorKinds {
		add(IPFIX, id.id, id.pen)
	}
	for n, m := range mappings {
		if m.reverse.is() {
			add(IPFIX, n, reversePEN)
		}
	}
	slices.SortFunc(out, func(a, b Element) int {
		return cmp.Or(cmp.Compare(a.Enterprise, b.Enterprise), cmp.Compare(a.Number, b.Number))
	})
	return out
}

// OptionElements lists the numbers of those that are read in options records.
func OptionElements() []uint16 {
	var out []uint16
	for n := range optionElements {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}
