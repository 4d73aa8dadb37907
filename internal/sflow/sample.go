package sflow

import (
	"encoding/binary"
	"strconv"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/extension"
	"github.com/flowbeam/flowbeam/internal/packet"
)

// flowSample reads a flow_sample, or a flow_sample_expanded, whose interfaces and source
// have the form and the number apart.
func (s *Session) flowSample(r *flow.Record, body []byte, expanded bool) error {
	in := reader{b: body}
	in.u32() // the sample's sequence number: that of the datagram is watched
	var sourceType, source uint32
	if expanded {
		sourceType, source = in.u32(), in.u32()
	} else {
		v := in.u32()
		sourceType, source = v>>24, v&0xffffff
	}
	rate, pool, drops := in.u32(), in.u32(), in.u32()
	var input, output port
	if expanded {
		input, output = port{in.u32(), in.u32()}, port{in.u32(), in.u32()}
	} else {
		input, output = compact(in.u32()), compact(in.u32())
	}
	records := in.u32()
	if in.cut {
		return flow.Reject(flow.ReasonSyntax, "flow sample: its header is cut at %d bytes", len(body))
	}
	if uint64(records)*8 > uint64(len(in.b)) {
		return flow.Reject(flow.ReasonSyntax, "flow sample: it claims %d records, there are %d bytes", records, len(in.b))
	}
	r.Source.Packets, r.CounterSemantics = flow.N(1), "delta"
	if rate > 0 {
		r.SamplingRate, r.SamplingSource = flow.N(int64(rate)), "record"
	}
	r.Exporter.ObservationPoint = flow.N(int64(source))
	if sourceType != 0 {
		s.x.AddNumber("sourceIdType", uint64(sourceType))
	}
	s.x.AddNumber("samplePool", uint64(pool))
	s.x.AddNumber("drops", uint64(drops))
	s.interfaces(r, input, output, sourceType, source)
	f := sampled{r: r, x: &s.x}
	for i := range records {
		kind := in.u32()
		data := in.opaque()
		if in.cut {
			return flow.Reject(flow.ReasonSyntax, "flow record %d: it ends beyond its sample", i)
		}
		if !f.record(kind, data) {
			s.x.Add(flow.Ext("sflow_"+strconv.Itoa(int(kind>>12))+"_"+strconv.Itoa(int(kind&0xfff))+f.again(kind), s.x.Hex(data)))
		}
	}
	r.Extensions = s.x.Take()
	return nil
}

// port is an interface: its form (0 a number, 1 discarded for a reason, 2 several) and the
// number, reason or how many.
type port struct{ form, value uint32 }

func compact(v uint32) port {
	if v == 0x3fffffff {
		return port{0, 0xffffffff}
	}
	return port{v >> 30, v & 0x3fffffff}
}

// internal is the number of the agent itself: the packet ends or begins there.
const internal = 0xffffffff

// discards are the reasons for which a packet is discarded: the codes of ICMP's
// unreachable, and those from 256.
var discards = map[uint32]string{
	0: "net unreachable", 1: "host unreachable", 2: "protocol unreachable", 3: "port unreachable", 4: "fragmentation needed",
	5: "source route failed", 9: "net prohibited", 10: "host prohibited", 13: "communication prohibited",
	256: "unknown", 257: "ttl exceeded", 258: "ACL", 259: "no buffer space", 260: "RED", 261: "traffic shaping", 262: "packet too big",
}

func (s *Session) interfaces(r *flow.Record, input, output port, sourceType, source uint32) {
	name := func(p port) string {
		switch {
		case p.form != 0 || p.value == 0: // 0 = not known
			return ""
		case p.value == internal:
			return "internal"
		}
		return s.x.Number(uint64(p.value))
	}
	r.IngressInterface, r.EgressInterface = name(input), name(output)
	switch output.form {
	case 1:
		r.Action = "drop"
		if r.ActionReason = discards[output.value]; r.ActionReason == "" {
			r.ActionReason = s.x.Number(uint64(output.value))
		}
	case 2:
		s.x.AddNumber("egressInterfaces", uint64(output.value)) // how many, 0 = not known
	}
	if sourceType == 0 && source != 0 {
		switch {
		case input == port{0, source} && output != port{0, source}:
			r.Direction = "ingress"
		case output == port{0, source} && input != port{0, source}:
			r.Direction = "egress"
		}
	}
}

// sampled reads the flow records of one sample.
type sampled struct {
	r    *flow.Record
	x    *extension.Block
	read uint64         // the kinds that were read, a bit each
	seen map[uint32]int // of those kept as they are
}

// again tells apart extensions of one kind.
func (f *sampled) again(kind uint32) string {
	if f.seen == nil {
		f.seen = map[uint32]int{}
	}
	if f.seen[kind]++; f.seen[kind] > 1 {
		return "_" + strconv.Itoa(f.seen[kind])
	}
	return ""
}

// record reads one flow record; false where it is of a kind that is not known, or cut, or
// where one of its kind was read before: a field has one value.
func (f *sampled) record(kind uint32, data []byte) bool {
	bit := uint64(1) << (kind % 64) // the known kinds are 1 to 4 and 1001 to 1007
	if f.read&bit != 0 || !f.known(kind, &reader{b: data}) {
		return false
	}
	f.read |= bit
	return true
}

func (f *sampled) known(kind uint32, in *reader) bool {
	switch kind {
	case 1:
		return f.header(in)
	case 2:
		return f.ethernet(in)
	case 3:
		return f.ip(in, 4)
	case 4:
		return f.ip(in, 16)
	case 1001:
		return f.vlans(in)
	case 1002:
		return f.router(in)
	case 1003:
		return f.gateway(in)
	case 1004:
		return f.users(in)
	case 1007:
		source, destination := in.address(), in.address()
		if in.cut {
			return false
		}
		f.r.Source.NATIP, f.r.Destination.NATIP = source, destination
		return true
	}
	return false
}

// length sets the bytes, which the first record that has them tells. Those of another layer are an
// extension.
func (f *sampled) length(n uint32, layer string) {
	switch {
	case !f.r.Source.Bytes.OK:
		f.r.Source.Bytes, f.r.ByteLayer = flow.N(int64(n)), layer
	case layer == "ip":
		f.x.AddNumber("ipTotalLength", uint64(n))
	default:
		f.x.AddNumber("dataLinkFrameSize", uint64(n))
	}
}

// header reads sampled_header: the first bytes of the packet.
func (f *sampled) header(in *reader) bool {
	protocol, length, stripped, b := in.u32(), in.u32(), in.u32(), in.opaque()
	if in.cut || f.r.Source.Bytes.OK {
		return false
	}
	f.length(length, "l2")
	if stripped != 0 {
		f.x.AddNumber("stripped", uint64(stripped))
	}
	switch protocol {
	case 1:
		packet.Ethernet(f.r, f.x, b)
	case 11, 12:
		packet.IP(f.r, f.x, b)
	case 13:
		packet.MPLS(f.r, f.x, b)
	default:
		f.x.AddNumber("headerProtocol", uint64(protocol))
		f.x.Add(flow.Ext("header", f.x.Hex(b)))
	}
	return true
}

// ethernet reads sampled_ethernet.
func (f *sampled) ethernet(in *reader) bool {
	length, source, destination, etherType := in.u32(), in.take(8), in.take(8), in.u32()
	if in.cut || f.r.Source.MAC != "" {
		return false // as the frame's header has said it
	}
	f.length(length, "l2")
	f.r.Source.MAC, f.r.Destination.MAC = f.x.MAC(source[:6]), f.x.MAC(destination[:6])
	if n := f.r.Source.IP.Len; !(n == 4 && etherType == 0x0800) && !(n == 16 && etherType == 0x86dd) {
		f.x.AddNumber("ethernetType", uint64(etherType)) // else the addresses say it
	}
	return true
}

// ip reads sampled_ipv4 and sampled_ipv6. Their length is that of the IP packet.
func (f *sampled) ip(in *reader, size int) bool {
	length, protocol, source, destination := in.u32(), in.u32(), in.take(size), in.take(size)
	sport, dport, flags, tos := in.u32(), in.u32(), in.u32(), in.u32()
	r := f.r
	if in.cut || r.Source.IP.OK() || protocol > 255 || sport > 65535 || dport > 65535 || flags > 65535 || tos > 255 {
		return false
	}
	f.length(length, "ip")
	r.Source.IP.Len, r.Destination.IP.Len = uint8(copy(r.Source.IP.B[:], source)), uint8(copy(r.Destination.IP.B[:], destination))
	r.Protocol, r.TypeOfService = flow.N(int64(protocol)), flow.N(int64(tos))
	switch protocol {
	case 6, 17, 33, 132, 136:
		r.Source.Port, r.Destination.Port = flow.N(int64(sport)), flow.N(int64(dport))
	case 1, 58: // type and code take the place of ports
		if sport < 256 && dport < 256 {
			r.ICMPType, r.ICMPCode = flow.N(int64(sport)), flow.N(int64(dport))
		}
	}
	if protocol == 6 {
		r.TCPFlags = flow.N(int64(flags))
	}
	return true
}

// unknown is a VLAN or priority that the agent does not know.
const unknown = 0xffffffff

// vlans reads extended_switch.
func (f *sampled) vlans(in *reader) bool {
	vlan, priority, postVLAN, postPriority := in.u32(), in.u32(), in.u32(), in.u32()
	if in.cut {
		return false
	}
	switch {
	case vlan == unknown || f.r.VLAN == flow.N(int64(vlan)):
	case vlan < 4096 && !f.r.VLAN.OK:
		f.r.VLAN = flow.N(int64(vlan))
	default:
		f.x.AddNumber("vlanId", uint64(vlan)) // the frame's header has another
	}
	for _, v := range []struct {
		name  string
		value uint32
	}{{"dot1qPriority", priority}, {"postVlanId", postVLAN}, {"postDot1qPriority", postPriority}} {
		if v.value != unknown {
			f.x.AddNumber(v.name, uint64(v.value))
		}
	}
	return true
}

func (f *sampled) nextHop(ip flow.IP, protocol string) {
	if !ip.OK() || ip == (flow.IP{Len: ip.Len}) {
		return
	}
	version := "4"
	if ip.Len == 16 {
		version = "6"
	}
	f.x.Add(flow.Ext(protocol+"NextHopIPv"+version+"Address", f.x.IP(ip)))
}

// router reads extended_router.
func (f *sampled) router(in *reader) bool {
	hop, source, destination := in.address(), in.u32(), in.u32()
	if in.cut || source > 128 || destination > 128 {
		return false
	}
	f.nextHop(hop, "ip")
	f.r.Source.PrefixLength, f.r.Destination.PrefixLength = flow.N(int64(source)), flow.N(int64(destination))
	return true
}

// gateway reads extended_gateway: BGP's view. The destination is the last AS of the path.
func (f *sampled) gateway(in *reader) bool {
	hop := in.address()
	own, source, peer := in.u32(), in.u32(), in.u32()
	var path, communities []byte
	var first, last uint32
	segments := in.u32()
	for range min(segments, uint32(len(in.b)/8)) {
		set := in.u32() == 1 // not in order
		n := in.u32()
		ases := in.take(int(min(uint64(n)*4, 1<<20)))
		for i := 0; i+4 <= len(ases); i += 4 {
			v := binary.BigEndian.Uint32(ases[i:])
			if len(path) > 0 {
				path = append(path, ' ')
			}
			if set && i == 0 {
				path = append(path, '{')
			}
			path = strconv.AppendUint(path, uint64(v), 10)
			if set && i+8 > len(ases) {
				path = append(path, '}')
			}
			if first == 0 {
				first = v
			}
			last = v
			if set {
				last = 0 // which of them is not known
			}
		}
	}
	list := in.take(int(min(uint64(in.u32())*4, 1<<20)))
	for i := 0; i+4 <= len(list); i += 4 {
		if i > 0 {
			communities = append(communities, ' ')
		}
		communities = strconv.AppendUint(communities, uint64(binary.BigEndian.Uint16(list[i:])), 10)
		communities = append(communities, ':')
		communities = strconv.AppendUint(communities, uint64(binary.BigEndian.Uint16(list[i+2:])), 10)
	}
	preference := in.u32()
	if in.cut {
		return false
	}
	f.nextHop(hop, "bgp")
	for _, v := range []struct {
		to    *flow.Int
		name  string
		value uint32
	}{
		{&f.r.Source.ASN, "", source}, {&f.r.Destination.ASN, "", last},
		{nil, "routerAsNumber", own}, {nil, "bgpPrevAdjacentAsNumber", peer}, {nil, "bgpNextAdjacentAsNumber", first},
		{nil, "bgpLocalPreference", preference},
	} {
		switch {
		case v.value == 0: // none
		case v.to != nil:
			*v.to = flow.N(int64(v.value))
		default:
			f.x.AddNumber(v.name, uint64(v.value))
		}
	}
	if len(path) > 0 {
		f.x.Add(flow.Ext("bgpAsPath", f.x.String(path)))
	}
	if len(communities) > 0 {
		f.x.Add(flow.Ext("bgpCommunities", f.x.String(communities)))
	}
	return true
}

// users reads extended_user: a character set (106 = UTF-8) and a name, for each side.
func (f *sampled) users(in *reader) bool {
	in.u32()
	source := in.opaque()
	in.u32()
	destination := in.opaque()
	if in.cut || !extension.Printable(source) {
		return false
	}
	if len(source) > 0 {
		f.r.UserID = f.x.String(source)
	}
	if len(destination) > 0 {
		f.x.AddText("destinationUser", destination)
	}
	return true
}
