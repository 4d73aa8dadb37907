package netflow

import (
	"cmp"
	"slices"
)

// Element is an information element that this package knows.
type Element struct {
	Enterprise uint32 // 0: IANA's, or by Vendor9
	Number     uint16
	Name       string // the name of its extension
	Length     int    // one that its values may have, in bytes
	Vendor9    bool   // of a vendor, in v9 alone: beyond IANA's numbers
}

// Elements lists all information elements that this package knows, those of the reverse direction
// (RFC 5103) as far as they have a field of their own. They are in the order of enterprise and
// number.
func Elements() []Element {
	var out []Element
	add := func(version, number uint16, enterprise uint32) {
		e := elementOf(version, number, enterprise)
		out = append(out, Element{enterprise, number, e.name, e.kind.length(), version == V9})
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
		if m.reverse != nil {
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

// length is one that a value of the kind may have.
func (k kind) length() int {
	for _, n := range [...]int{4, 6, 8, 16} {
		if k.fits(n) {
			return n
		}
	}
	return 0
}
