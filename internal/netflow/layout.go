package netflow

import (
	"strconv"

	"github.com/flowbeam/flowbeam/flow"
)

// layout is a template made ready: where each field is and what is done with it. It is
// never changed once it is made.
type layout struct {
	id       uint16
	raw      string // the template as it was sent
	options  bool
	specs    []spec
	fields   []field // without those of no length
	placed   placed
	others   []field // of fields: those not in placed
	size     int     // of a record in bytes, the least one where variable
	variable bool

	semantics, byteLayer string
}

// field is one field of a layout.
type field struct {
	length   int   // in bytes
	variable bool  // the length is in the record
	offset   int   // in a record of a layout that is not variable
	shift    uint8 // of eight bytes that begin with a number, to have it alone
	set      setter
	name     string // of the extension
	kind     kind
}

// maxRecords bounds the records of one datagram: none of an honest exporter is shorter
// than four bytes.
const maxRecords = 1 << 14

func newLayout(version uint16, t templateRecord) (*layout, error) {
	l := &layout{id: t.id, raw: string(t.raw), options: t.options, specs: t.specs(version)}
	have := make(elements, len(l.specs))
	for _, s := range l.specs {
		if s.length > 0 {
			have[elementID{s.pen, s.id}] = true
		}
	}
	seen := make(map[elementID]int, len(l.specs))
	for _, s := range l.specs {
		if s.length == 0 {
			continue // exporters fill up a template with these
		}
		f := field{length: int(s.length), offset: l.size}
		if s.length == variableLength {
			f.variable, f.length, l.variable = true, 0, true
			l.size++
		} else {
			l.size += f.length
		}
		e := elementOf(version, s.id, s.pen)
		f.name, f.kind = e.name, e.kind
		key := elementID{s.pen, s.id}
		seen[key]++
		n := seen[key]
		if n > 1 {
			f.name += "_" + strconv.Itoa(n)
		}
		if (n == 1 || key == padding) && (!l.options || s.pen == 0 && optionElements[s.id]) {
			f.set = choose(version, s, have)
			if s.id == 83 && l.options && !have.any(0, 82) {
				f.set = by(interfaceName) // some exporters have the name in the description
			}
		}
		f.shift = uint8(max(64-8*f.length, 0))
		if !f.variable && !f.kind.fits(f.length) {
			f.set, f.kind = setter{}, kindOctets
		}
		l.fields = append(l.fields, f)
	}
	if l.size == 0 {
		return nil, flow.Reject(flow.ReasonSyntax, "template %d: its records have no bytes", t.id)
	}
	if !l.variable && !have.any(0, 312, 313, 315) { // of a sampled packet and the numbers the last one counts
		l.place()
	}
	l.semantics, l.byteLayer = counters(have)
	return l, nil
}

// elementOf names an element and says how its value is written.
func elementOf(version, id uint16, pen uint32) element {
	u16 := func(v uint16) string { return strconv.Itoa(int(v)) }
	switch {
	case pen == 0 && int(id) < len(ianaNames()) && ianaNames()[id].name != "":
		return ianaNames()[id]
	case pen == reversePEN && int(id) < len(ianaNames()) && ianaNames()[id].name != "":
		e := ianaNames()[id]
		return element{"reverse" + string(e.name[0]&^0x20) + e.name[1:], e.kind}
	case pen == 0:
		e := element{name: "ie_" + u16(id)}
		if version == V9 {
			e.kind = v9Kinds[id]
		}
		return e
	}
	return element{"ie_" + strconv.FormatUint(uint64(pen), 10) + "_" + u16(id), vendorKinds[elementID{pen, id}]}
}

// elementID is an element's enterprise, 0 = IANA, and number.
type elementID struct {
	pen uint32
	id  uint16
}

// padding is paddingOctets.
var padding = elementID{0, 210}

// elements are those of a template.
type elements map[elementID]bool

// any says whether one of the elements is there.
func (e elements) any(pen uint32, ids ...uint16) bool {
	for _, id := range ids {
		if e[elementID{pen, id}] {
			return true
		}
	}
	return false
}

func (e elements) all(pen uint32, ids ...uint16) bool {
	for _, id := range ids {
		if !e[elementID{pen, id}] {
			return false
		}
	}
	return true
}

// counters says what the byte counters of a template count, and of which layer.
func counters(have elements) (semantics, byteLayer string) {
	switch {
	case have.any(0, 1, 2, 23, 24), have.all(0, 231, 232), have.all(0, 298, 299), have.any(0, 352, 312):
		semantics = "delta"
	case have.any(0, 85, 86, 353):
		semantics = "total"
	}
	switch {
	case have.any(0, 1, 85, 23):
		byteLayer = "ip"
	case have.all(0, 231, 232):
		byteLayer = "payload"
	case have.any(0, 352, 353, 312):
		byteLayer = "l2"
	}
	return semantics, byteLayer
}
