package parse

import (
	"strings"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/extension"
)

// nfdumpField is a field of nfdump's output that the record has a place for. CSV and JSON
// have other names for them and the same meaning:
//
// A record is one direction: packets and bytes are the source's, those of the IP layer, and
// since the record before (delta). The reverse direction's (out packets and bytes) are the
// destination's. nfdump writes 0, 0.0.0.0 or 00:00:00:00:00:00 for what the exporter did not
// send, so these are taken for absent, but for protocol, ports, type of service and the
// counters of the direction itself. Times are local, without an offset: a line "#timezone
// Asia/Tokyo" of the declared header says which zone that is, otherwise it is UTC. Event time
// is the last packet's.
//
// The time at which the collector received the record is the observed time, the router's
// address the exporter. The incoming source MAC and the incoming destination MAC are the
// endpoints' MAC addresses. ICMP type and code are read where nfdump has them: as they are,
// or as type × 256 + code in the place of the destination port. All else that has a value is
// an extension by its name there, ports of protocols that have none among it.
//
// Source: https://github.com/phaag/nfdump (src/output)
const (
	nfdumpOther int8 = iota
	nfdumpFirst
	nfdumpLast
	nfdumpDuration
	nfdumpReceived
	nfdumpSource
	nfdumpDestination
	nfdumpSourcePort
	nfdumpDestinationPort
	nfdumpProtocol
	nfdumpFlags
	nfdumpSourceTOS
	nfdumpPackets
	nfdumpBytes
	nfdumpOutPackets
	nfdumpOutBytes
	nfdumpInput
	nfdumpOutput
	nfdumpSourceAS
	nfdumpDestinationAS
	nfdumpSourceMask
	nfdumpDestinationMask
	nfdumpDirection
	nfdumpSourceVLAN
	nfdumpSourceMAC
	nfdumpDestinationMAC
	nfdumpRouter
	nfdumpICMPType
	nfdumpICMPCode
	nfdumpSourceNAT
	nfdumpDestinationNAT
	nfdumpSourceNATPort
	nfdumpDestinationNATPort
	nfdumpDomain
	nfdumpPoint
	nfdumpUser
	nfdumpCount  // the row's number in the output
	nfdumpFamily // follows from the addresses
)

// nfdumpNoFlows is what an empty result says, in CSV and in JSON.
const nfdumpNoFlows = "No matching flows"

// nfdumpRecord collects what only together makes sense.
type nfdumpRecord struct {
	r        *flow.Record
	zone     zone
	duration flow.Int // ns
	destPort flow.Int
	icmp     bool // type and code were there as they are
	// The names of the ports there, for what is no port of the record.
	sourcePortName, destPortName string
}

// set fills one field and says whether it has to be kept as an extension.
func (n *nfdumpRecord) set(f int8, name, text string) (keep bool, err error) {
	r := n.r
	switch f {
	case nfdumpFirst:
		r.Start, err = n.time(name, text)
	case nfdumpLast:
		r.End, err = n.time(name, text)
	case nfdumpDuration:
		var ns int64
		if ns, err = nanoseconds(name, text, seconds); err == nil {
			n.duration = flow.N(ns)
		}
	case nfdumpReceived:
		r.Observed, err = n.time(name, text)
	case nfdumpSource:
		err = setAddress(&r.Source.IP, name, text)
	case nfdumpDestination:
		err = setAddress(&r.Destination.IP, name, text)
	case nfdumpSourcePort:
		n.sourcePortName = name
		err = setPort(&r.Source.Port, name, text)
	case nfdumpDestinationPort:
		if typ, code, ok := strings.Cut(text, "."); ok {
			return false, n.typeAndCode(name, typ, code)
		}
		n.destPortName = name
		err = setPort(&n.destPort, name, text)
	case nfdumpProtocol:
		v, ok := protocolNumber(text)
		if ok {
			r.Protocol = flow.N(v)
		}
		keep = !ok
	case nfdumpFlags:
		r.TCPFlags, err = nfdumpTCPFlags(name, text)
	case nfdumpSourceTOS:
		err = setInteger(&r.TypeOfService, name, text, 255)
	case nfdumpPackets:
		err = setCount(&r.Source.Packets, name, text)
	case nfdumpBytes:
		err = setCount(&r.Source.Bytes, name, text)
	case nfdumpOutPackets:
		err = setCount(&r.Destination.Packets, name, text)
	case nfdumpOutBytes:
		err = setCount(&r.Destination.Bytes, name, text)
	case nfdumpInput:
		r.IngressInterface = notZero(text)
	case nfdumpOutput:
		r.EgressInterface = notZero(text)
	case nfdumpSourceAS:
		r.Source.ASN, err = positive(name, text, 1<<32-1)
	case nfdumpDestinationAS:
		r.Destination.ASN, err = positive(name, text, 1<<32-1)
	case nfdumpSourceMask:
		r.Source.PrefixLength, err = positive(name, text, 128)
	case nfdumpDestinationMask:
		r.Destination.PrefixLength, err = positive(name, text, 128)
	case nfdumpDirection:
		switch text {
		case "0", "I": // the exporter said ingress, or nothing
		case "1", "E":
			r.Direction = "egress"
		default:
			keep = true
		}
	case nfdumpSourceVLAN:
		r.VLAN, err = positive(name, text, 4095)
	case nfdumpSourceMAC:
		r.Source.MAC = notZero(text)
	case nfdumpDestinationMAC:
		r.Destination.MAC = notZero(text)
	case nfdumpRouter:
		if notZero(text) != "" {
			err = setAddress(&r.Exporter.IP, name, text)
		}
	case nfdumpICMPType:
		n.icmp = true
		err = setInteger(&r.ICMPType, name, text, 255)
	case nfdumpICMPCode:
		n.icmp = true
		err = setInteger(&r.ICMPCode, name, text, 255)
	case nfdumpSourceNAT:
		if notZero(text) != "" {
			err = setAddress(&r.Source.NATIP, name, text)
		}
	case nfdumpDestinationNAT:
		if notZero(text) != "" {
			err = setAddress(&r.Destination.NATIP, name, text)
		}
	case nfdumpSourceNATPort:
		r.Source.NATPort, err = positive(name, text, 65535)
	case nfdumpDestinationNATPort:
		r.Destination.NATPort, err = positive(name, text, 65535)
	case nfdumpDomain:
		r.Exporter.ObservationDomain, err = positive(name, text, 1<<32-1)
	case nfdumpPoint:
		r.Exporter.ObservationPoint, err = positive(name, text, 1<<63-1)
	case nfdumpUser:
		if text != "<empty>" {
			r.UserID = text
		}
	case nfdumpCount, nfdumpFamily:
	default:
		keep = notZero(text) != ""
	}
	return keep, err
}

func (n *nfdumpRecord) typeAndCode(name, typ, code string) (err error) {
	n.icmp = true
	if err = setInteger(&n.r.ICMPType, name, typ, 255); err == nil {
		err = setInteger(&n.r.ICMPCode, name, code, 255)
	}
	return err
}

// time reads a local time, or milliseconds since the epoch (newer CSV), or seconds with
// a fraction (csv:%tsr). One of the year 1970's first second says that there is none.
func (n *nfdumpRecord) time(name, text string) (t flow.Time, err error) {
	if strings.IndexByte(text, ':') >= 0 {
		t, err = n.zone.local(name, text)
	} else {
		scale := seconds
		if len(text) >= 12 && strings.IndexByte(text, '.') < 0 {
			scale = milliseconds
		}
		var ns int64
		ns, err = nanoseconds(name, text, scale)
		t = flow.Time(ns)
	}
	if err == nil && t >= 0 && t < 1e9 {
		t = 0
	}
	return t, err
}

func (n *nfdumpRecord) finish(ext *extension.List) error {
	r := n.r
	switch {
	case !r.Source.IP.OK():
		return missing("source address")
	case !r.Destination.IP.OK():
		return missing("destination address")
	}
	if r.End == 0 && r.Start != 0 && n.duration.OK {
		if r.End = r.Start + flow.Time(n.duration.V); r.End < r.Start {
			return flow.Reject(flow.ReasonValue, "duration: it ends beyond the year 2261")
		}
	}
	if err := endOrStart(r, "last", "first"); err != nil {
		return err
	}
	if r.Destination.Packets.V == 0 && r.Destination.Bytes.V == 0 {
		r.Destination.Packets, r.Destination.Bytes = flow.Int{}, flow.Int{}
	}
	switch {
	case r.Protocol.OK && (r.Protocol.V == 1 || r.Protocol.V == 58):
		if !n.icmp && n.destPort.OK {
			r.ICMPType, r.ICMPCode = flow.N(n.destPort.V>>8), flow.N(n.destPort.V&0xff)
		} else if n.destPort.V != r.ICMPType.V<<8|r.ICMPCode.V {
			portless(ext, n.destPortName, &n.destPort)
		}
		portless(ext, n.sourcePortName, &r.Source.Port)
	case r.Protocol.OK && !hasPorts(r.Protocol.V):
		portless(ext, n.sourcePortName, &r.Source.Port)
		portless(ext, n.destPortName, &n.destPort)
	default:
		r.Destination.Port = n.destPort
	}
	if r.Protocol != flow.N(6) && r.TCPFlags.V == 0 {
		r.TCPFlags = flow.Int{}
	}
	r.CounterSemantics = "delta"
	if r.Source.Bytes.OK {
		r.ByteLayer = "ip"
	}
	return nil
}

// nfdumpTCPFlags reads "...AP.SF": a letter or a dot for each bit, the highest first; or,
// as nfdump writes what letters can't say, hexadecimal with 0x before it.
func nfdumpTCPFlags(name, text string) (flow.Int, error) {
	if hex, ok := strings.CutPrefix(text, "0x"); ok {
		v, digits := int64(0), len(hex)
		for i := range digits {
			c := hex[i] | 0x20
			switch {
			case hex[i]-'0' <= 9:
				v = v<<4 | int64(hex[i]-'0')
			case c >= 'a' && c <= 'f':
				v = v<<4 | int64(c-'a'+10)
			default:
				digits = 0
			}
		}
		if digits >= 1 && digits <= 4 {
			return flow.N(v), nil
		}
		return flow.Int{}, wrongType(name, "TCP flags", text)
	}
	const letters = "CEUAPRSF"
	v := int64(0)
	skipped := len(letters) - len(text)
	if skipped < 0 || len(text) < 6 { // the two highest were not there once
		return flow.Int{}, wrongType(name, "TCP flags such as ...AP.SF", text)
	}
	for i := range len(text) {
		v <<= 1
		switch text[i] {
		case letters[skipped+i]:
			v |= 1
		case '.':
		default:
			return flow.Int{}, wrongType(name, "TCP flags such as ...AP.SF", text)
		}
	}
	return flow.N(v), nil
}

// positive reads a number of which 0 says that there is none.
func positive(name, text string, max int64) (flow.Int, error) {
	v, err := integer(name, text, max)
	if v.V == 0 {
		v = flow.Int{}
	}
	return v, err
}

// notZero is text, or "" where it is one of the ways in which nfdump writes that there is
// nothing: zeros between points, colons, dashes and slashes, or no characters but these.
func notZero(text string) string {
	for i := range len(text) {
		switch text[i] {
		case '0', '.', ':', '-', '/', ' ':
		default:
			return text
		}
	}
	return ""
}
