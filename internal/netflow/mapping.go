package netflow

import (
	"math"

	"github.com/flowbeam/flowbeam/flow"
)

// setter puts one field of a data record, b, into the row. It says false where the value is
// to be kept as an extension: because it does not fit, or beside what was set. b has a
// length that the element's kind allows.
type setter func(w *row, b []byte) bool

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
	23:  {set: func(w *row, b []byte) bool { return small(&w.postBytes, b, math.MaxInt64) }},
	24:  {set: func(w *row, b []byte) bool { return small(&w.postPackets, b, math.MaxInt64) }},
	352: {set: sourceBytes, reverse: destinationBytes, unless: []uint16{1, 85, 23, 231}},
	353: {set: sourceBytes, reverse: destinationBytes, unless: []uint16{1, 85, 23, 231, 352}},
	401: {set: sourcePayload, reverse: destinationPayload},

	4:   {set: func(w *row, b []byte) bool { return small(&w.r.Protocol, b, 255) }},
	5:   {set: func(w *row, b []byte) bool { return small(&w.r.TypeOfService, b, 255) }},
	6:   {set: func(w *row, b []byte) bool { return small(&w.r.TCPFlags, b, 65535) }, reverse: reverseFlags},
	7:   {set: func(w *row, b []byte) bool { return small(&w.r.Source.Port, b, 65535) }},
	11:  {set: func(w *row, b []byte) bool { return small(&w.r.Destination.Port, b, 65535) }},
	8:   {set: func(w *row, b []byte) bool { return address(&w.r.Source.IP, b) }},
	12:  {set: func(w *row, b []byte) bool { return address(&w.r.Destination.IP, b) }},
	27:  {set: func(w *row, b []byte) bool { return address(&w.r.Source.IP, b) }},
	28:  {set: func(w *row, b []byte) bool { return address(&w.r.Destination.IP, b) }},
	60:  {set: func(w *row, b []byte) bool { return small(&w.ipVersion, b, 15) }},
	9:   {set: func(w *row, b []byte) bool { return prefixLength(&w.r.Source.PrefixLength, b, 32) }},
	13:  {set: func(w *row, b []byte) bool { return prefixLength(&w.r.Destination.PrefixLength, b, 32) }},
	29:  {set: func(w *row, b []byte) bool { return prefixLength(&w.r.Source.PrefixLength, b, 128) }},
	30:  {set: func(w *row, b []byte) bool { return prefixLength(&w.r.Destination.PrefixLength, b, 128) }},
	16:  {set: func(w *row, b []byte) bool { return asn(&w.r.Source.ASN, b) }},
	17:  {set: func(w *row, b []byte) bool { return asn(&w.r.Destination.ASN, b) }},
	10:  {set: func(w *row, b []byte) bool { return small(&w.ingress, b, math.MaxUint32) }},
	14:  {set: func(w *row, b []byte) bool { return small(&w.egress, b, math.MaxUint32) }},
	32:  {set: icmpTypeCode},
	139: {set: icmpTypeCode, unless: []uint16{32}},
	176: {set: func(w *row, b []byte) bool { return small(&w.r.ICMPType, b, 255) }, unless: []uint16{32, 139}},
	177: {set: func(w *row, b []byte) bool { return small(&w.r.ICMPCode, b, 255) }, unless: []uint16{32, 139}},
	178: {set: func(w *row, b []byte) bool { return small(&w.r.ICMPType, b, 255) }, unless: []uint16{32, 139, 176}},
	179: {set: func(w *row, b []byte) bool { return small(&w.r.ICMPCode, b, 255) }, unless: []uint16{32, 139, 177}},

	56:  {set: func(w *row, b []byte) bool { w.r.Source.MAC = w.x.MAC(b); return true }},
	80:  {set: func(w *row, b []byte) bool { w.r.Destination.MAC = w.x.MAC(b); return true }},
	58:  {set: func(w *row, b []byte) bool { return small(&w.r.VLAN, b, 4095) }},
	243: {set: func(w *row, b []byte) bool { return small(&w.r.VLAN, b, 4095) }, unless: []uint16{58}},
	61:  {set: direction},
	136: {set: endReason},
	233: {set: firewallEvent},
	89:  {set: forwardingStatus, unless: []uint16{233}},
	138: {set: func(w *row, b []byte) bool { return small(&w.r.Exporter.ObservationPoint, b, math.MaxInt64) }},
	371: {set: func(w *row, b []byte) bool { return text(w, &w.r.UserID, b) }},
	387: {set: jitter(1)},
	386: {set: jitter(1e3), unless: []uint16{387}},
	385: {set: jitter(1e6), unless: []uint16{386, 387}},

	225: {set: func(w *row, b []byte) bool { return natAddress(&w.r.Source.NATIP, b) }},
	226: {set: func(w *row, b []byte) bool { return natAddress(&w.r.Destination.NATIP, b) }},
	281: {set: func(w *row, b []byte) bool { return natAddress(&w.r.Source.NATIP, b) }},
	282: {set: func(w *row, b []byte) bool { return natAddress(&w.r.Destination.NATIP, b) }},
	227: {set: func(w *row, b []byte) bool { return natPort(&w.r.Source.NATPort, b) }},
	228: {set: func(w *row, b []byte) bool { return natPort(&w.r.Destination.NATPort, b) }},

	95: {set: func(w *row, b []byte) bool { w.application = b; return true }},
	96: {set: func(w *row, b []byte) bool { return text(w, &w.r.Application, b) }},
	82: {set: interfaceName},

	34:  {set: func(w *row, b []byte) bool { return positive(&w.sampling.interval, b) }},
	50:  {set: func(w *row, b []byte) bool { return positive(&w.sampling.random, b) }},
	305: {set: func(w *row, b []byte) bool { return positive(&w.sampling.packets, b) }},
	306: {set: func(w *row, b []byte) bool { return small(&w.sampling.space, b, math.MaxUint32) }},
	48:  {set: func(w *row, b []byte) bool { small(&w.selector, b, math.MaxInt64); return false }},
	302: {set: func(w *row, b []byte) bool { small(&w.selector, b, math.MaxInt64); return false }, unless: []uint16{48}},

	309: {set: func(w *row, b []byte) bool { return positive(&w.sampling.size, b) }},
	310: {set: func(w *row, b []byte) bool { return positive(&w.sampling.population, b) }},

	160: {set: func(w *row, b []byte) bool { return instant(&w.base, b, 1e6) }},
	22:  {set: func(w *row, b []byte) bool { return small(&w.first, b, math.MaxUint32) }, unless: []uint16{156, 154, 152, 150, 158}},
	21:  {set: func(w *row, b []byte) bool { return small(&w.last, b, math.MaxUint32) }, unless: []uint16{157, 155, 153, 151, 159}},
	158: {set: func(w *row, b []byte) bool { return before(&w.r.Start, w, b) }, unless: []uint16{156, 154, 152, 150}},
	159: {set: func(w *row, b []byte) bool { return before(&w.r.End, w, b) }, unless: []uint16{157, 155, 153, 151}},
	150: {set: func(w *row, b []byte) bool { return instant(&w.r.Start, b, 1e9) }, unless: []uint16{156, 154, 152}},
	151: {set: func(w *row, b []byte) bool { return instant(&w.r.End, b, 1e9) }, unless: []uint16{157, 155, 153}},
	152: {set: func(w *row, b []byte) bool { return instant(&w.r.Start, b, 1e6) }, unless: []uint16{156, 154}},
	153: {set: func(w *row, b []byte) bool { return instant(&w.r.End, b, 1e6) }, unless: []uint16{157, 155}},
	154: {set: func(w *row, b []byte) bool { return ntp(&w.r.Start, b, 1e3) }, unless: []uint16{156}},
	155: {set: func(w *row, b []byte) bool { return ntp(&w.r.End, b, 1e3) }, unless: []uint16{157}},
	156: {set: func(w *row, b []byte) bool { return ntp(&w.r.Start, b, 1) }},
	157: {set: func(w *row, b []byte) bool { return ntp(&w.r.End, b, 1) }},
	322: {set: func(w *row, b []byte) bool { return instant(&w.observed, b, 1e9) }, unless: []uint16{325, 324, 323}},
	323: {set: func(w *row, b []byte) bool { return instant(&w.observed, b, 1e6) }, unless: []uint16{325, 324}},
	324: {set: func(w *row, b []byte) bool { return ntp(&w.observed, b, 1e3) }, unless: []uint16{325}},
	325: {set: func(w *row, b []byte) bool { return ntp(&w.observed, b, 1) }},
	161: {set: func(w *row, b []byte) bool { return duration(w, b, 1e6) }, unless: []uint16{162}},
	162: {set: func(w *row, b []byte) bool { return duration(w, b, 1e3) }},

	// The first bytes of a sampled packet, and its length.
	312: {set: func(w *row, b []byte) bool { w.r.Source.Packets = flow.N(1); return sourceBytes(w, b) }, unless: []uint16{1, 2, 85, 86, 352}},
	313: {set: func(w *row, b []byte) bool { w.packet = b; return true }, unless: []uint16{315}},
	315: {set: func(w *row, b []byte) bool { w.packet, w.frame = b, true; return true }},

	// No next hop is told by zeros; others stay extensions.
	15: {set: unspecified}, 18: {set: unspecified}, 62: {set: unspecified}, 63: {set: unspecified},

	// Padding.
	210: {set: unspecified},
}

// v9Mappings are elements that vendors took for v9, beyond IANA's numbers.
var v9Mappings = map[uint16]mapping{
	// Cisco ASA: https://www.cisco.com/c/en/us/td/docs/security/asa/special/netflow/asa_netflow.html
	33000: {set: unspecified}, 33001: {set: unspecified}, // ids of ACLs: zeros where none matched
	33002: {set: extendedEvent},
	40000: {set: func(w *row, b []byte) bool { return text(w, &w.r.UserID, b) }},
	40001: {set: func(w *row, b []byte) bool { return natAddress(&w.r.Source.NATIP, b) }},
	40002: {set: func(w *row, b []byte) bool { return natAddress(&w.r.Destination.NATIP, b) }},
	40003: {set: func(w *row, b []byte) bool { return natPort(&w.r.Source.NATPort, b) }},
	40004: {set: func(w *row, b []byte) bool { return natPort(&w.r.Destination.NATPort, b) }},
	40005: {set: firewallEvent, unless: []uint16{233}},
	// Palo Alto: App-ID and User-ID.
	56701: {set: func(w *row, b []byte) bool { return text(w, &w.r.Application, b) }, unless: []uint16{96}},
	56702: {set: func(w *row, b []byte) bool { return text(w, &w.r.UserID, b) }, unless: []uint16{371}},
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

// choose is the setter of a template's field, nil for an extension.
func choose(version uint16, s spec, have elements) setter {
	m, ok := mappings[s.id]
	switch {
	case s.pen == reversePEN:
		if ok && !have.any(s.pen, m.unless...) {
			return m.reverse
		}
		return nil
	case s.pen != 0:
		return nil
	case version == V9 && s.id >= 1<<15:
		m, ok = v9Mappings[s.id]
	}
	switch s.id {
	case 231, 232:
		switch other := have.any(0, 1, 85, 23); {
		case !have.all(0, 231, 232):
			return nil
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
			return nil
		case s.id == 298:
			return sourcePackets
		}
		return destinationPackets
	case 312, 313, 315:
		// A sampled packet (RFC 5477), where the record has nothing of its header by itself.
		if !have.any(0, 313, 315) || have.any(0, 8, 27, 31, 88, 192, 245, 256) {
			return nil
		}
	case 161, 162:
		if have.any(0, 22, 150, 152, 154, 156, 158) && have.any(0, 21, 151, 153, 155, 157, 159) {
			return nil
		}
	case 401:
		if have.all(0, 231, 232) && have.any(0, 1, 85, 23) {
			return nil
		}
	}
	if !ok || have.any(0, m.unless...) {
		return nil
	}
	return m.set
}

func sourceBytes(w *row, b []byte) bool      { return small(&w.r.Source.Bytes, b, math.MaxInt64) }
func sourcePackets(w *row, b []byte) bool    { return small(&w.r.Source.Packets, b, math.MaxInt64) }
func sourcePayload(w *row, b []byte) bool    { return small(&w.r.Source.PayloadBytes, b, math.MaxInt64) }
func destinationBytes(w *row, b []byte) bool { return small(&w.r.Destination.Bytes, b, math.MaxInt64) }
func destinationPackets(w *row, b []byte) bool {
	return small(&w.r.Destination.Packets, b, math.MaxInt64)
}
func destinationPayload(w *row, b []byte) bool {
	return small(&w.r.Destination.PayloadBytes, b, math.MaxInt64)
}

func unspecified(_ *row, b []byte) bool { return allZero(b) }

// asn sets an AS number. 0 is that of no AS (RFC 7607): exporters write it for unknown.
func asn(to *flow.Int, b []byte) bool {
	if number(b) == 0 {
		return true
	}
	return small(to, b, math.MaxUint32)
}

// address sets an address. A template may have one of each family, of which one is zeros.
func address(to *flow.IP, b []byte) bool {
	switch {
	case !to.OK() || allZero(to.B[:]) && !allZero(b):
	case allZero(b):
		return true
	default:
		return false
	}
	*to = flow.IP{Len: uint8(len(b))}
	copy(to.B[:], b)
	if len(b) == 16 && mapped(b) {
		*to = flow.IP{Len: 4}
		copy(to.B[:], b[12:])
	}
	return true
}

// natAddress and natPort set what a NAT made of an address and a port: zeros say that there
// was none.
func natAddress(to *flow.IP, b []byte) bool { return allZero(b) || address(to, b) }

func natPort(to *flow.Int, b []byte) bool { return allZero(b) || agrees(to, b) && small(to, b, 65535) }

// prefixLength sets the length of a prefix. A template may have one of each family, of which one
// is zero.
func prefixLength(to *flow.Int, b []byte, max uint64) bool {
	return to.V != 0 && allZero(b) || agrees(to, b) && small(to, b, max)
}

// agrees says whether a number may be set: there is none, zero or the same.
func agrees(to *flow.Int, b []byte) bool { return to.V == 0 || uint64(to.V) == number(b) }

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
	return func(w *row, b []byte) bool {
		v := number(b)
		if v > math.MaxInt64/unit {
			return false
		}
		w.r.Jitter = flow.N(int64(v * unit))
		return true
	}
}
