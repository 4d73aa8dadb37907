package parse

import (
	"strconv"
	"strings"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/extension"
)

func init() {
	Register(Format{
		FormatInfo: flow.FormatInfo{
			Name:      "argus",
			Detect:    detectArgus,
			Header:    func(head []byte) int { return delimitedHeaderLength(head, argusNames) },
			Timestamp: argusTimestamp,
		},
		New: func(header string) (Decoder, error) {
			l, err := readArgusLayout(header)
			if err != nil {
				return nil, err
			}
			return &argusDecoder{layout: l}, nil
		},
	})
}

// argusDecoder reads the flow records of Argus as its client ra prints them (ra -c, the
// .binetflow files of data sets): columns in any order, separated by commas, tabs,
// semicolons or bars, named by the header line; without it nothing can be read.
//
// StartTime is local time without an offset, or seconds since the epoch; which zone it is
// in says a line "#timezone Asia/Tokyo" of the declared header, otherwise it is taken for
// UTC. The end is LastTime, or StartTime + Dur; a Dur that says something else than LastTime is an
// extension. SrcAddr is the source. Its counters are
// SrcPkts and SrcBytes; the destination's are DstPkts and DstBytes, or TotPkts and TotBytes
// less the source's. Where SrcPkts is missing, packets are known only of a record in which one
// side sent no byte; of others TotPkts is kept as an extension. Bytes are those of frames
// with their link layer. A long flow has a record for each interval: counters are deltas.
//
// Proto is a name; of those that are no IP protocol (arp, llc) the protocol is absent and the
// name an extension. For ICMP the ports are type and code in decimal or two hexadecimal
// digits, or Sport has both in four ("0x0403" is type 3, code 4) and Dport is an extension. An
// address may be a MAC address (llc) or, where ra was let resolve them, a host name, which
// becomes the domain; names of ports become extensions. State is the connection state, sTos
// the type of service; dTos, Dir (without its spaces), Label and all other columns with
// a value are extensions.
//
// A record of traffic is a record whatever its protocol: those of ARP and LLC have counters
// too. Management records (Proto man) are Argus speaking of itself and no flow records: they
// are skipped, counted as such. The id is the hash of the whole line.
//
// Source: https://openargus.org (man ra, man argus)
type argusDecoder struct {
	layout *delimited
	cells  cells
	ext    extension.List
}

// The columns that the record has a place for.
const (
	argusOther int8 = iota
	argusStart
	argusLast
	argusDuration
	argusProto
	argusSource
	argusSourcePort
	argusDirection
	argusDestination
	argusDestinationPort
	argusState
	argusSourceTOS
	argusPackets
	argusBytes
	argusSourcePackets
	argusDestinationPackets
	argusSourceBytes
	argusDestinationBytes
	argusSourceMAC
	argusDestinationMAC
	argusSourcePayload
	argusDestinationPayload
	argusVLAN
	argusSensor
)

var argusNames = map[string]int8{
	"StartTime": argusStart, "LastTime": argusLast, "Dur": argusDuration, "Proto": argusProto, "SrcAddr": argusSource, "Sport": argusSourcePort,
	"Dir": argusDirection, "DstAddr": argusDestination, "Dport": argusDestinationPort, "State": argusState, "sTos": argusSourceTOS,
	"TotPkts": argusPackets, "TotBytes": argusBytes, "SrcPkts": argusSourcePackets, "DstPkts": argusDestinationPackets,
	"SrcBytes": argusSourceBytes, "DstBytes": argusDestinationBytes, "SrcMac": argusSourceMAC, "DstMac": argusDestinationMAC,
	"SAppBytes": argusSourcePayload, "DAppBytes": argusDestinationPayload, "sVid": argusVLAN, "SrcId": argusSensor,
}

func readArgusLayout(header string) (*delimited, error) {
	l, err := readDelimited("argus", header, argusNames)
	if err == nil && (!l.has(argusStart) || !l.has(argusSource) || !l.has(argusDestination)) {
		err = flow.Reject(flow.ReasonFormat, "argus: the header lacks StartTime, SrcAddr or DstAddr: %s", quoted(l.header))
	}
	return l, err
}

// argusRow collects what only together makes sense.
type argusRow struct {
	r                        *flow.Record
	duration                 flow.Int // ns
	durationText             string
	proto                    string
	source, destination      string
	sourcePort, destPort     string
	packets, bytes           flow.Int // of both sides
	sourceFrames, destFrames flow.Int
}

func (d *argusDecoder) Decode(data string, r *flow.Record) (Outcome, error) {
	line := trimLine(data)
	if trim(line) == "" {
		return Skip, nil
	}
	if header, err := d.layout.isHeader(line, argusNames); header {
		return Skip, err
	}
	if err := d.layout.split(line, &d.cells); err != nil {
		return Parsed, err
	}
	a := argusRow{r: r}
	if err := d.columns(&a); err != nil {
		d.ext.Drop()
		return Parsed, err
	}
	if a.proto == "man" {
		d.ext.Drop()
		return Skip, nil
	}
	if err := d.finish(&a); err != nil {
		d.ext.Drop()
		return Parsed, err
	}
	r.Extensions = d.ext.Take()
	return Parsed, nil
}

func (d *argusDecoder) columns(a *argusRow) (err error) {
	r := a.r
	for i := range d.layout.columns {
		c := &d.layout.columns[i]
		text := trimSpaces(d.cells.at(i))
		if text == "" {
			continue
		}
		switch c.field {
		case argusStart:
			r.Start, err = argusTime(d.layout.zone, c.name, text)
		case argusLast:
			r.End, err = argusTime(d.layout.zone, c.name, text)
		case argusDuration:
			var ns int64
			if ns, err = nanoseconds(c.name, text, seconds); err == nil {
				a.duration, a.durationText = flow.N(ns), text
			}
		case argusProto:
			a.proto = text
		case argusSource:
			a.source = text
		case argusDestination:
			a.destination = text
		case argusSourcePort:
			a.sourcePort = text
		case argusDestinationPort:
			a.destPort = text
		case argusState:
			r.ConnectionState = text
		case argusSourceTOS:
			err = setInteger(&r.TypeOfService, c.name, text, 255)
		case argusPackets:
			err = setCount(&a.packets, c.name, text)
		case argusBytes:
			err = setCount(&a.bytes, c.name, text)
		case argusSourcePackets:
			err = setCount(&r.Source.Packets, c.name, text)
		case argusDestinationPackets:
			err = setCount(&r.Destination.Packets, c.name, text)
		case argusSourceBytes:
			err = setCount(&r.Source.Bytes, c.name, text)
		case argusDestinationBytes:
			err = setCount(&r.Destination.Bytes, c.name, text)
		case argusSourceMAC:
			r.Source.MAC = text
		case argusDestinationMAC:
			r.Destination.MAC = text
		case argusSourcePayload:
			err = setCount(&r.Source.PayloadBytes, c.name, text)
		case argusDestinationPayload:
			err = setCount(&r.Destination.PayloadBytes, c.name, text)
		case argusVLAN:
			err = setInteger(&r.VLAN, c.name, text, 4095)
		case argusSensor:
			r.Exporter.Name = text
		case argusDirection:
			d.ext.Add(flow.Ext(c.name, text))
		default:
			d.ext.Add(extensionOf(c.name, text))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *argusDecoder) finish(a *argusRow) error {
	r := a.r
	switch {
	case r.Start == 0:
		return missing("StartTime")
	case a.source == "":
		return missing("SrcAddr")
	case a.destination == "":
		return missing("DstAddr")
	}
	if r.End == 0 && a.duration.OK {
		if r.End = r.Start + flow.Time(a.duration.V); r.End < r.Start {
			return flow.Reject(flow.ReasonValue, "Dur: it ends beyond the year 2261")
		}
	}
	if err := endOrStart(r, "LastTime", "StartTime"); err != nil {
		return err
	}
	if a.duration.OK && a.duration != r.Duration() {
		d.ext.Add(extensionOf("Dur", a.durationText))
	}
	if n, ok := protocolNumber(a.proto); ok {
		r.Protocol = flow.N(n)
	} else if a.proto != "" {
		d.ext.Add(flow.Ext("Proto", a.proto))
		if a.proto == "rtp" || a.proto == "rtcp" || a.proto == "udt" {
			r.Protocol = flow.N(17) // ra names what UDP carries
		}
	}
	if err := d.address(&r.Source, "SrcAddr", a.source); err != nil {
		return err
	}
	if err := d.address(&r.Destination, "DstAddr", a.destination); err != nil {
		return err
	}
	if err := d.ports(a); err != nil {
		return err
	}
	if err := a.otherSide(&r.Source.Bytes, &r.Destination.Bytes, a.bytes, "Bytes"); err != nil {
		return err
	}
	if err := a.otherSide(&r.Source.Packets, &r.Destination.Packets, a.packets, "Pkts"); err != nil {
		return err
	}
	if a.packets.OK && !r.Source.Packets.OK && !r.Destination.Packets.OK {
		switch {
		case r.Destination.Bytes == flow.N(0): // no packet is without bytes
			r.Source.Packets, r.Destination.Packets = a.packets, flow.N(0)
		case r.Source.Bytes == flow.N(0):
			r.Source.Packets, r.Destination.Packets = flow.N(0), a.packets
		default:
			d.ext.Add(flow.ExtN("TotPkts", a.packets.V))
		}
	}
	if a.bytes.OK && !r.Source.Bytes.OK && !r.Destination.Bytes.OK {
		d.ext.Add(flow.ExtN("TotBytes", a.bytes.V))
	}
	r.CounterSemantics = "delta"
	if r.Source.Bytes.OK || r.Destination.Bytes.OK {
		r.ByteLayer = "l2"
	}
	return nil
}

// otherSide fills the counter of one side from the total and the other's.
func (a *argusRow) otherSide(source, destination *flow.Int, total flow.Int, what string) error {
	if !total.OK {
		return nil
	}
	switch {
	case source.OK && destination.OK:
		if source.V+destination.V != total.V {
			return flow.Reject(flow.ReasonValue, "Tot%s: %d is not Src%s %d and Dst%s %d", what, total.V, what, source.V, what, destination.V)
		}
	case source.OK:
		if source.V > total.V {
			return flow.Reject(flow.ReasonValue, "Src%s: %d is more than Tot%s, %d", what, source.V, what, total.V)
		}
		*destination = flow.N(total.V - source.V)
	case destination.OK:
		if destination.V > total.V {
			return flow.Reject(flow.ReasonValue, "Dst%s: %d is more than Tot%s, %d", what, destination.V, what, total.V)
		}
		*source = flow.N(total.V - destination.V)
	}
	return nil
}

func (d *argusDecoder) ports(a *argusRow) (err error) {
	r := a.r
	icmp := r.Protocol.OK && (r.Protocol.V == 1 || r.Protocol.V == 58)
	if !icmp {
		ports := r.Protocol.OK && hasPorts(r.Protocol.V)
		if r.Source.Port, err = d.port("Sport", a.sourcePort, ports); err == nil {
			r.Destination.Port, err = d.port("Dport", a.destPort, ports)
		}
		return err
	}
	typ, digits, err := argusNumber("Sport", a.sourcePort)
	if err != nil || !typ.OK {
		return err
	}
	code, _, err := argusNumber("Dport", a.destPort)
	if err != nil {
		return err
	}
	if digits > 2 {
		// Type and code as they lie in memory, and what follows them: an identifier.
		r.ICMPType, r.ICMPCode = flow.N(typ.V&0xff), flow.N(typ.V>>8)
		if code.OK {
			d.ext.Add(flow.Ext("Dport", a.destPort))
		}
		return nil
	}
	if typ.V > 255 || code.V > 255 {
		return flow.Reject(flow.ReasonValue, "Sport, Dport: %s and %s are no ICMP type and code", quoted(a.sourcePort), quoted(a.destPort))
	}
	r.ICMPType, r.ICMPCode = typ, code
	return nil
}

// port reads a port. What is none, a service's name or a number of a protocol that has
// no ports, is an extension; a zero of the latter is filler.
func (d *argusDecoder) port(name, text string, ports bool) (flow.Int, error) {
	if text == "" {
		return flow.Int{}, nil
	}
	if c := text[0] | 0x20; c >= 'a' && c <= 'z' {
		d.ext.Add(flow.Ext(name, text))
		return flow.Int{}, nil
	}
	n, _, err := argusNumber(name, text)
	if err != nil || ports {
		return n, err
	}
	if n.V != 0 {
		d.ext.Add(extensionOf(name, text))
	}
	return flow.Int{}, nil
}

// argusNumber reads a number of 16 bits in decimal, or in hexadecimal with 0x before it;
// digits is how many of these there are.
func argusNumber(name, text string) (n flow.Int, digits int, err error) {
	hex, ok := strings.CutPrefix(text, "0x")
	if text == "" {
		return flow.Int{}, 0, nil
	}
	if !ok {
		n, err = port(name, text)
		return n, 0, err
	}
	v, err := strconv.ParseUint(hex, 16, 16)
	if err != nil {
		return flow.Int{}, 0, wrongType(name, "a port or up to four hexadecimal digits", text)
	}
	return flow.N(int64(v)), len(hex), nil
}

// address reads an IP address, a MAC address or a host name.
func (d *argusDecoder) address(e *flow.Endpoint, name, text string) error {
	if v, ok := ipv4(text); ok {
		setIPv4(&e.IP, v)
		return nil
	}
	ip, err := flow.ParseIP(text)
	switch {
	case err == nil:
		e.IP = ip
	case isMAC(text):
		if e.MAC == "" {
			e.MAC = text
		} else if e.MAC != text {
			d.ext.Add(flow.Ext(name, text)) // SrcMac or DstMac is another
		}
	case isHostName(text):
		e.Domain = text
	default:
		return wrongType(name, "an address", text)
	}
	return nil
}

// isMAC knows "01:80:c2:00:00:00".
func isMAC(s string) bool {
	if len(s) != len("00:00:00:00:00:00") {
		return false
	}
	for i := range len(s) {
		if i%3 == 2 {
			if s[i] != ':' {
				return false
			}
		} else if c := s[i] | 0x20; s[i]-'0' > 9 && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// isHostName says whether s is made of labels, the last of which is no number: a broken
// address is none.
func isHostName(s string) bool {
	letter := false
	for i := range len(s) {
		switch c := s[i] | 0x20; {
		case c >= 'a' && c <= 'z':
			letter = true
		case s[i] == '.':
			letter = false
		case s[i]-'0' <= 9 || s[i] == '-' || s[i] == '_':
		default:
			return false
		}
	}
	return letter
}

func argusTime(z zone, name, text string) (flow.Time, error) {
	if strings.IndexByte(text, ':') < 0 {
		ns, err := nanoseconds(name, text, seconds)
		return flow.Time(ns), err
	}
	return z.local(name, text)
}

// trimSpaces cuts the blanks off with which ra fills columns.
func trimSpaces(s string) string {
	for s != "" && s[0] == ' ' {
		s = s[1:]
	}
	for s != "" && s[len(s)-1] == ' ' {
		s = s[:len(s)-1]
	}
	return s
}

func detectArgus(head []byte) int {
	n := skipZone(head[:min(len(head), 8<<10)])
	line := trimLine(firstLine(view(head[n:])))
	if !strings.Contains(line, "StartTime") || !strings.Contains(line, "SrcAddr") {
		return 0
	}
	if _, err := readArgusLayout(line); err != nil {
		return 0
	}
	return 95
}

var argusLayouts layoutCache

// argusTimestamp is the record's end.
func argusTimestamp(header string, data []byte) (flow.Time, bool) {
	l := argusLayouts.of(header, "argus", argusNames)
	if l == nil {
		return 0, false
	}
	var start, last flow.Time
	var duration int64
	rest := trimLine(view(data))
	for i := range l.columns {
		text, more, found := strings.Cut(rest, string(l.separator))
		if text = trimSpaces(text); text != "" {
			switch l.columns[i].field {
			case argusStart:
				start, _ = argusTime(l.zone, "", text)
			case argusLast:
				last, _ = argusTime(l.zone, "", text)
			case argusDuration:
				duration, _ = nanoseconds("", text, seconds)
			case argusProto:
				if text == "man" {
					return 0, false
				}
			}
		}
		if rest = more; !found {
			break
		}
	}
	if last != 0 {
		return last, true
	}
	return start + flow.Time(duration), start != 0
}
