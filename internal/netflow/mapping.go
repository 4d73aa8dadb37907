package netflow

import (
	"math"
	"unsafe"

	"github.com/flowbeam/flowbeam/flow"
)

// setter puts one field of a data record, b, into the row or its record. The value is to be
// kept as an extension where it does not fit, or beside what was set: then call says false. b
// has a length that the element's kind allows.
type setter struct {
	call func(w *row, b []byte) bool // nil of the other forms
	form form
	// Of all forms but a call: where it is in the record, or the row. Most fields are of these,
	// and a call for each would be most of the time.
	offset uintptr
	inRow  uint8  // 0 the record, 1 the row
	max    uint64 // of a number or time as it is sent
	unit   uint64 // of a time, in ns
}

type form uint8

const (
	formCall       form = iota
	formNumber          // a flow.Int of at most max
	formPrefix          // one of which another element may say 0: the length of a prefix of the other family
	formPositive        // one of which 0 says nothing
	formTime            // a flow.Time since 1970, of which 0 says nothing
	formAddress         // a flow.IP
	formNATAddress      // one of which zeros say nothing
)

// is says whether there is one.
func (s *setter) is() bool { return s.form != formCall || s.call != nil }

func by(call func(w *row, b []byte) bool) setter { return setter{call: call} }

func inRecord[T any](f form, of func(r *flow.Record) *T, max uint64) setter {
	r := new(flow.Record)
	return setter{form: f, offset: uintptr(unsafe.Pointer(of(r))) - uintptr(unsafe.Pointer(r)), max: max}
}

func inRow[T any](f form, of func(w *row) *T, max uint64) setter {
	w := new(row)
	return setter{form: f, offset: uintptr(unsafe.Pointer(of(w))) - uintptr(unsafe.Pointer(w)), inRow: 1, max: max}
}

// in makes the setter one of times in units of so many ns.
func (s setter) in(unit uint64) setter {
	s.form, s.unit, s.max = formTime, unit, math.MaxInt64/unit
	return s
}

func startIn(unit uint64) setter {
	return inRecord(formTime, func(r *flow.Record) *flow.Time { return &r.Start }, 0).in(unit)
}

func endIn(unit uint64) setter {
	return inRecord(formTime, func(r *flow.Record) *flow.Time { return &r.End }, 0).in(unit)
}

func observedIn(unit uint64) setter {
	return inRow(formTime, func(w *row) *flow.Time { return &w.observed }, 0).in(unit)
}

// set puts the field in its place, and says false where it is to be kept as an extension.
func (s *setter) set(w *row, b []byte) bool {
	if s.form == formCall {
		return s.call != nil && s.call(w, b)
	}
	to := w.places()[s.inRow&1]
	switch s.form {
	case formAddress, formNATAddress:
		if s.form == formNATAddress && allZero(b) {
			return true
		}
		return address((*flow.IP)(unsafe.Add(to, s.offset)), b)
	}
	v := number(b)
	if v > s.max {
		return false
	}
	if s.form == formTime {
		*(*flow.Time)(unsafe.Add(to, s.offset)) = flow.Time(v * s.unit)
		return true
	}
	n := (*flow.Int)(unsafe.Add(to, s.offset))
	switch {
	case s.form == formNumber:
	case n.V != 0: // another element was there before
		return v == 0 || v == uint64(n.V)
	case s.form == formPositive && v == 0:
		return true
	}
	*n = flow.N(int64(v))
	return true
}

// places are what offsets of setters are in.
func (w *row) places() [2]unsafe.Pointer {
	return [2]unsafe.Pointer{unsafe.Pointer(w.r), unsafe.Pointer(w)}
}

// mapping is where an element goes.
type mapping struct {
	set     setter
	reverse setter   // of the same element for the other direction, RFC 5103
	unless  []uint16 // a template that has one of these has a better source: then it is an extension
}

// mappings is the table of elements that have a field. All others are extensions.
//
// Counters: those of 23 and 24 (OUT_BYTES and OUT_PKTS in v9, "post" counters by IANA) count
// the same direction behind the exporter, as captures of several vendors show. They are the
// flow's own where 1 and 2 are absent or zero, as in an export at the egress, and else
// extensions. The initiator's and responder's (231, 232, 298, 299), used together, are both
// directions; octets count the payload.
//
// Times: of several forms the finest is taken.
var mappings = map[uint16]mapping{
	1:   {set: sourceBytes, reverse: destinationBytes},
	2:   {set: sourcePackets, reverse: destinationPackets},
	85:  {set: sourceBytes, reverse: destinationBytes, unless: []uint16{1}},
	86:  {set: sourcePackets, reverse: destinationPackets, unless: []uint16{2}},
	23:  {set: inRow(formNumber, func(w *row) *flow.Int { return &w.postBytes }, math.MaxInt64)},
	24:  {set: inRow(formNumber, func(w *row) *flow.Int { return &w.postPackets }, math.MaxInt64)},
	352: {set: sourceBytes, reverse: destinationBytes, unless: []uint16{1, 85, 23, 231}},
	353: {set: sourceBytes, reverse: destinationBytes, unless: []uint16{1, 85, 23, 231, 352}},
	401: {set: sourcePayload, reverse: destinationPayload},

	4:  {set: inRecord(formNumber, func(r *flow.Record) *flow.Int { return &r.Protocol }, 255)},
	5:  {set: inRecord(formNumber, func(r *flow.Record) *flow.Int { return &r.TypeOfService }, 255)},
	6:  {set: inRecord(formNumber, func(r *flow.Record) *flow.Int { return &r.TCPFlags }, 65535), reverse: by(reverseFlags)},
	7:  {set: inRecord(formNumber, func(r *flow.Record) *flow.Int { return &r.Source.Port }, 65535)},
	11: {set: inRecord(formNumber, func(r *flow.Record) *flow.Int { return &r.Destination.Port }, 65535)},
	8:  {set: inRecord(formAddress, func(r *flow.Record) *flow.IP { return &r.Source.IP }, 0)},
	12: {set: inRecord(formAddress, func(r *flow.Record) *flow.IP { return &r.Destination.IP }, 0)},
	27: {set: inRecord(formAddress, func(r *flow.Record) *flow.IP { return &r.Source.IP }, 0)},
	28: {set: inRecord(formAddress, func(r *flow.Record) *flow.IP { return &r.Destination.IP }, 0)},
	60: {set: inRow(formNumber, func(w *row) *flow.Int { return &w.ipVersion }, 15)},
	9:  {set: inRecord(formPrefix, func(r *flow.Record) *flow.Int { return &r.Source.PrefixLength }, 32)},
	13: {set: inRecord(formPrefix, func(r *flow.Record) *flow.Int { return &r.Destination.PrefixLength }, 32)},
	29: {set: inRecord(formPrefix, func(r *flow.Record) *flow.Int { return &r.Source.PrefixLength }, 128)},
	30: {set: inRecord(formPrefix, func(r *flow.Record) *flow.Int { return &r.Destination.PrefixLength }, 128)},
	// AS 0 is no AS (RFC 7607): exporters write it for unknown. Zeros say that there was no NAT.
	16:  {set: inRecord(formPositive, func(r *flow.Record) *flow.Int { return &r.Source.ASN }, math.MaxUint32)},
	17:  {set: inRecord(formPositive, func(r *flow.Record) *flow.Int { return &r.Destination.ASN }, math.MaxUint32)},
	10:  {set: inRow(formNumber, func(w *row) *flow.Int { return &w.ingress }, math.MaxUint32)},
	14:  {set: inRow(formNumber, func(w *row) *flow.Int { return &w.egress }, math.MaxUint32)},
	32:  {set: by(icmpTypeCode)},
	139: {set: by(icmpTypeCode), unless: []uint16{32}},
	176: {set: inRecord(formNumber, func(r *flow.Record) *flow.Int { return &r.ICMPType }, 255), unless: []uint16{32, 139}},
	177: {set: inRecord(formNumber, func(r *flow.Record) *flow.Int { return &r.ICMPCode }, 255), unless: []uint16{32, 139}},
	178: {set: inRecord(formNumber, func(r *flow.Record) *flow.Int { return &r.ICMPType }, 255), unless: []uint16{32, 139, 176}},
	179: {set: inRecord(formNumber, func(r *flow.Record) *flow.Int { return &r.ICMPCode }, 255), unless: []uint16{32, 139, 177}},

	56:  {set: by(func(w *row, b []byte) bool { w.r.Source.MAC = w.x.MAC(b); return true })},
	80:  {set: by(func(w *row, b []byte) bool { w.r.Destination.MAC = w.x.MAC(b); return true })},
	58:  {set: inRecord(formNumber, func(r *flow.Record) *flow.Int { return &r.VLAN }, 4095)},
	243: {set: inRecord(formNumber, func(r *flow.Record) *flow.Int { return &r.VLAN }, 4095), unless: []uint16{58}},
	61:  {set: by(direction)},
	136: {set: by(endReason)},
	233: {set: by(firewallEvent)},
	89:  {set: by(forwardingStatus), unless: []uint16{233}},
	138: {set: inRecord(formNumber, func(r *flow.Record) *flow.Int { return &r.Exporter.ObservationPoint }, math.MaxInt64)},
	371: {set: by(func(w *row, b []byte) bool { return text(w, &w.r.UserID, b) })},
	387: {set: jitter(1)},
	386: {set: jitter(1e3), unless: []uint16{387}},
	385: {set: jitter(1e6), unless: []uint16{386, 387}},

	225: {set: inRecord(formNATAddress, func(r *flow.Record) *flow.IP { return &r.Source.NATIP }, 0)},
	226: {set: inRecord(formNATAddress, func(r *flow.Record) *flow.IP { return &r.Destination.NATIP }, 0)},
	281: {set: inRecord(formNATAddress, func(r *flow.Record) *flow.IP { return &r.Source.NATIP }, 0)},
	282: {set: inRecord(formNATAddress, func(r *flow.Record) *flow.IP { return &r.Destination.NATIP }, 0)},
	227: {set: inRecord(formPositive, func(r *flow.Record) *flow.Int { return &r.Source.NATPort }, 65535)},
	228: {set: inRecord(formPositive, func(r *flow.Record) *flow.Int { return &r.Destination.NATPort }, 65535)},

	95: {set: by(func(w *row, b []byte) bool { w.application = b; return true })},
	96: {set: by(func(w *row, b []byte) bool { return text(w, &w.r.Application, b) })},
	82: {set: by(interfaceName)},

	34:  {set: inRow(formPositive, func(w *row) *flow.Int { return &w.sampling.interval }, math.MaxUint32)},
	50:  {set: inRow(formPositive, func(w *row) *flow.Int { return &w.sampling.random }, math.MaxUint32)},
	305: {set: inRow(formPositive, func(w *row) *flow.Int { return &w.sampling.packets }, math.MaxUint32)},
	306: {set: inRow(formNumber, func(w *row) *flow.Int { return &w.sampling.space }, math.MaxUint32)},
	48:  {set: by(func(w *row, b []byte) bool { small(&w.selector, b, math.MaxInt64); return false })},
	302: {set: by(func(w *row, b []byte) bool { small(&w.selector, b, math.MaxInt64); return false }), unless: []uint16{48}},

	309: {set: inRow(formPositive, func(w *row) *flow.Int { return &w.sampling.size }, math.MaxUint32)},
	310: {set: inRow(formPositive, func(w *row) *flow.Int { return &w.sampling.population }, math.MaxUint32)},

	160: {set: inRow(formTime, func(w *row) *flow.Time { return &w.base }, 0).in(1e6)},
	22:  {set: inRow(formNumber, func(w *row) *flow.Int { return &w.first }, math.MaxUint32), unless: []uint16{156, 154, 152, 150, 158}},
	21:  {set: inRow(formNumber, func(w *row) *flow.Int { return &w.last }, math.MaxUint32), unless: []uint16{157, 155, 153, 151, 159}},
	158: {set: by(func(w *row, b []byte) bool { return before(&w.r.Start, w, b) }), unless: []uint16{156, 154, 152, 150}},
	159: {set: by(func(w *row, b []byte) bool { return before(&w.r.End, w, b) }), unless: []uint16{157, 155, 153, 151}},
	150: {set: startIn(1e9), unless: []uint16{156, 154, 152}},
	151: {set: endIn(1e9), unless: []uint16{157, 155, 153}},
	152: {set: startIn(1e6), unless: []uint16{156, 154}},
	153: {set: endIn(1e6), unless: []uint16{157, 155}},
	154: {set: by(func(w *row, b []byte) bool { return ntp(&w.r.Start, b, 1e3) }), unless: []uint16{156}},
	155: {set: by(func(w *row, b []byte) bool { return ntp(&w.r.End, b, 1e3) }), unless: []uint16{157}},
	156: {set: by(func(w *row, b []byte) bool { return ntp(&w.r.Start, b, 1) })},
	157: {set: by(func(w *row, b []byte) bool { return ntp(&w.r.End, b, 1) })},
	322: {set: observedIn(1e9), unless: []uint16{325, 324, 323}},
	323: {set: observedIn(1e6), unless: []uint16{325, 324}},
	324: {set: by(func(w *row, b []byte) bool { return ntp(&w.observed, b, 1e3) }), unless: []uint16{325}},
	325: {set: by(func(w *row, b []byte) bool { return ntp(&w.observed, b, 1) })},
	161: {set: by(func(w *row, b []byte) bool { return duration(w, b, 1e6) }), unless: []uint16{162}},
	162: {set: by(func(w *row, b []byte) bool { return duration(w, b, 1e3) })},

	// The first bytes of a sampled packet, and its length.
	312: {set: by(func(w *row, b []byte) bool { w.r.Source.Packets = flow.N(1); return sourceBytes.set(w, b) }), unless: []uint16{1, 2, 85, 86, 352}},
	313: {set: by(func(w *row, b []byte) bool { w.packet = b; return true }), unless: []uint16{315}},
	315: {set: by(func(w *row, b []byte) bool { w.packet, w.frame = b, true; return true })},

	// No next hop is told by zeros; others stay extensions.
	15: {set: by(unspecified)}, 18: {set: by(unspecified)}, 62: {set: by(unspecified)}, 63: {set: by(unspecified)},

	// Padding.
	210: {set: by(unspecified)},
}

// v9Mappings are elements that vendors took for v9, beyond IANA's numbers.
var v9Mappings = map[uint16]mapping{
	// Cisco ASA: https://www.cisco.com/c/en/us/td/docs/security/asa/special/netflow/asa_netflow.html
	33000: {set: by(unspecified)}, 33001: {set: by(unspecified)}, // ids of ACLs: zeros where none matched
	33002: {set: by(extendedEvent)},
	40000: {set: by(func(w *row, b []byte) bool { return text(w, &w.r.UserID, b) })},
	40001: {set: inRecord(formNATAddress, func(r *flow.Record) *flow.IP { return &r.Source.NATIP }, 0)},
	40002: {set: inRecord(formNATAddress, func(r *flow.Record) *flow.IP { return &r.Destination.NATIP }, 0)},
	40003: {set: inRecord(formPositive, func(r *flow.Record) *flow.Int { return &r.Source.NATPort }, 65535)},
	40004: {set: inRecord(formPositive, func(r *flow.Record) *flow.Int { return &r.Destination.NATPort }, 65535)},
	40005: {set: by(firewallEvent), unless: []uint16{233}},
	// Palo Alto: App-ID and User-ID.
	56701: {set: by(func(w *row, b []byte) bool { return text(w, &w.r.Application, b) }), unless: []uint16{96}},
	56702: {set: by(func(w *row, b []byte) bool { return text(w, &w.r.UserID, b) }), unless: []uint16{371}},
}

// v9Kinds are the kinds of elements beyond IANA's numbers, as far as they are known.
var v9Kinds = map[uint16]kind{
	33002: kindUnsigned, 40000: kindString, 40001: kindIPv4, 40002: kindIPv4, 40003: kindUnsigned, 40004: kindUnsigned,
	40005: kindUnsigned, 56701: kindString, 56702: kindString, 57590: kindUnsigned, 57591: kindString,
}

// vendorKinds are the kinds of enterprise elements, as far as they are known: those of YAF
// (PEN 6871; a set bit 14 means the reverse direction), https://tools.netsa.cert.org/yaf/.
var vendorKinds = map[elementID]kind{
	{6871, 14}: kindUnsigned, {6871, 15}: kindUnsigned, {6871, 16398}: kindUnsigned, {6871, 16399}: kindUnsigned,
	{6871, 21}: kindUnsigned, {6871, 33}: kindUnsigned, {6871, 40}: kindUnsigned, {6871, 16424}: kindUnsigned,
}

// choose is the setter of a template's field, an empty one for an extension.
func choose(version uint16, s spec, have elements) setter {
	m, ok := mappings[s.id]
	switch {
	case s.pen == reversePEN:
		if ok && !have.any(s.pen, m.unless...) {
			return m.reverse
		}
		return setter{}
	case s.pen != 0:
		return setter{}
	case version == V9 && s.id >= 1<<15:
		m, ok = v9Mappings[s.id]
	}
	switch s.id {
	case 231, 232:
		switch other := have.any(0, 1, 85, 23); {
		case !have.all(0, 231, 232):
			return setter{}
		case s.id == 231 && other:
			return sourcePayload
		case s.id == 231:
			return sourceBytes
		case other:
			return destinationPayload
		}
		return destinationBytes
	case 298, 299:
		switch {
		case !have.all(0, 298, 299) || have.any(0, 2, 86, 24):
			return setter{}
		case s.id == 298:
			return sourcePackets
		}
		return destinationPackets
	case 312, 313, 315:
		// A sampled packet (RFC 5477), where the record has nothing of its header by itself.
		if !have.any(0, 313, 315) || have.any(0, 8, 27, 31, 88, 192, 245, 256) {
			return setter{}
		}
	case 161, 162:
		if have.any(0, 22, 150, 152, 154, 156, 158) && have.any(0, 21, 151, 153, 155, 157, 159) {
			return setter{}
		}
	case 401:
		if have.all(0, 231, 232) && have.any(0, 1, 85, 23) {
			return setter{}
		}
	}
	if !ok || have.any(0, m.unless...) {
		return setter{}
	}
	return m.set
}

var (
	sourceBytes        = inRecord(formNumber, func(r *flow.Record) *flow.Int { return &r.Source.Bytes }, math.MaxInt64)
	sourcePackets      = inRecord(formNumber, func(r *flow.Record) *flow.Int { return &r.Source.Packets }, math.MaxInt64)
	sourcePayload      = inRecord(formNumber, func(r *flow.Record) *flow.Int { return &r.Source.PayloadBytes }, math.MaxInt64)
	destinationBytes   = inRecord(formNumber, func(r *flow.Record) *flow.Int { return &r.Destination.Bytes }, math.MaxInt64)
	destinationPackets = inRecord(formNumber, func(r *flow.Record) *flow.Int { return &r.Destination.Packets }, math.MaxInt64)
	destinationPayload = inRecord(formNumber, func(r *flow.Record) *flow.Int { return &r.Destination.PayloadBytes }, math.MaxInt64)
)

func unspecified(_ *row, b []byte) bool { return allZero(b) }

// address sets an address. A template may have one of each family, of which one is zeros.
func address(to *flow.IP, b []byte) bool {
	switch {
	case !to.OK() || allZero(to.B[:]) && !allZero(b):
	case allZero(b):
		return true
	default:
		return false
	}
	if len(b) == 16 && mapped(b) {
		b = b[12:]
	}
	*to = flow.IP{Len: uint8(len(b))}
	if len(b) == 4 {
		*(*[4]byte)(to.B[:4]) = [4]byte(b)
	} else {
		to.B = [16]byte(b)
	}
	return true
}

// mapped says whether b is an IPv4 address mapped into IPv6.
func mapped(b []byte) bool { return allZero(b[:10]) && b[10] == 0xff && b[11] == 0xff }

// reverseFlags ORs the flags of the other direction into those of the flow, which may be
// set before or after it.
func reverseFlags(w *row, b []byte) bool {
	small(&w.reverseFlags, b, 65535)
	return false
}

// icmpTypeCode is type times 256 plus code.
func icmpTypeCode(w *row, b []byte) bool {
	v := number(b)
	if v > 65535 {
		return false
	}
	w.icmp = flow.N(int64(v))
	return true
}

func direction(w *row, b []byte) bool {
	switch number(b) {
	case 0:
		w.r.Direction = "ingress"
	case 1:
		w.r.Direction = "egress"
	default:
		return false
	}
	return true
}

var endReasons = [...]string{1: "idle", 2: "active", 3: "end", 4: "forced", 5: "resources"}

func endReason(w *row, b []byte) bool {
	v := number(b)
	if v == 0 || v >= uint64(len(endReasons)) {
		return v == 0
	}
	w.r.EndReason = endReasons[v]
	return true
}

// firewallEvent: 1 created, 2 deleted, 3 denied, 4 alert, 5 update. It stays an extension,
// as the first two and the last are one action.
func firewallEvent(w *row, b []byte) bool {
	switch number(b) {
	case 1, 2, 5:
		w.r.Action = "accept"
	case 3:
		w.r.Action = "reject"
	}
	return false
}

// forwardingStatus has the status in the two highest bits of a byte and the reason in the
// others; some exporters put that byte at the end of four.
func forwardingStatus(w *row, b []byte) bool {
	switch number(b) & 0xff >> 6 {
	case 1, 3: // forwarded, consumed
		w.r.Action = "accept"
	case 2:
		w.r.Action = "drop"
	}
	return false
}

// extendedEvent is why an ASA denied a flow.
func extendedEvent(w *row, b []byte) bool {
	switch number(b) {
	case 1001:
		w.r.ActionReason = "ingress ACL"
	case 1002:
		w.r.ActionReason = "egress ACL"
	case 1003:
		w.r.ActionReason = "service of the interface"
	case 1004:
		w.r.ActionReason = "first packet is no SYN"
	}
	return false
}

func interfaceName(w *row, b []byte) bool { return text(w, &w.interfaceName, b) }

func jitter(unit uint64) setter {
	return by(func(w *row, b []byte) bool {
		v := number(b)
		if v > math.MaxInt64/unit {
			return false
		}
		w.r.Jitter = flow.N(int64(v * unit))
		return true
	})
}
