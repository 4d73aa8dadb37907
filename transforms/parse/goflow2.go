package parse

import (
	"math"
	"strconv"
	"strings"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/extension"
)

// goflow2's flow message, whose fields have one meaning in protobuf and in JSON:
//
// A message is one direction: bytes and packets are the source's, since the message before
// (delta). They are IP bytes from NetFlow and IPFIX, and frames with their link layer from
// sFlow (type SFLOW_5), and they are not scaled: sampling_rate, if it is not 0, is the rate.
// sampler_address is the exporter. time_flow_start_ns and time_flow_end_ns are start and end;
// event time is the end, or the start, or, where there is neither, time_received_ns (time
// quality no_end), which is the observed time as well.
//
// The message can't tell 0 from absent, so 0 is taken for absent, but for ICMP type and code
// of ICMP. Where both are 0 the type and code are those of dst_port (type × 256 + code), as
// NetFlow has them. vlan_id is the VLAN, or src_vlan where that is 0. Of src_net and dst_net the
// length is kept: the rest follows from the address. All else that is not 0 is an extension,
// by its name in flow.proto; fields that this has no name for are called field_ and their
// number.
//
// Source: https://github.com/netsampler/goflow2 (pb/flow.proto, docs/protocols.md)
const (
	goflow2Type            = 1
	goflow2SamplingRate    = 3
	goflow2Source          = 6
	goflow2Destination     = 7
	goflow2Bytes           = 9
	goflow2Packets         = 10
	goflow2Sampler         = 11
	goflow2SourceAS        = 14
	goflow2DestinationAS   = 15
	goflow2SourceNet       = 16
	goflow2DestinationNet  = 17
	goflow2Input           = 18
	goflow2Output          = 19
	goflow2Protocol        = 20
	goflow2SourcePort      = 21
	goflow2DestinationPort = 22
	goflow2TOS             = 23
	goflow2TCPFlags        = 26
	goflow2SourceMAC       = 27
	goflow2DestinationMAC  = 28
	goflow2VLAN            = 29
	goflow2EtherType       = 30
	goflow2ICMPType        = 31
	goflow2ICMPCode        = 32
	goflow2SourceVLAN      = 33
	goflow2Domain          = 70
	goflow2Point           = 71
	goflow2Received        = 110
	goflow2Start           = 111
	goflow2End             = 112
)

// goflow2Field is one of flow.proto.
type goflow2Field struct {
	name string
	kind goflow2Kind
}

type goflow2Kind int8

const (
	goflow2Unknown goflow2Kind = iota
	goflow2Number
	goflow2Address // 4 or 16 bytes
	goflow2Numbers // repeated
	goflow2Addresses
)

// goflow2Fields are those of flow.proto by their numbers.
var goflow2Fields = [128]goflow2Field{
	1: {"type", goflow2Number}, 3: {"sampling_rate", goflow2Number}, 4: {"sequence_num", goflow2Number},
	6: {"src_addr", goflow2Address}, 7: {"dst_addr", goflow2Address}, 9: {"bytes", goflow2Number}, 10: {"packets", goflow2Number},
	11: {"sampler_address", goflow2Address}, 12: {"next_hop", goflow2Address}, 13: {"next_hop_as", goflow2Number},
	14: {"src_as", goflow2Number}, 15: {"dst_as", goflow2Number}, 16: {"src_net", goflow2Number}, 17: {"dst_net", goflow2Number},
	18: {"in_if", goflow2Number}, 19: {"out_if", goflow2Number}, 20: {"proto", goflow2Number},
	21: {"src_port", goflow2Number}, 22: {"dst_port", goflow2Number}, 23: {"ip_tos", goflow2Number}, 24: {"forwarding_status", goflow2Number},
	25: {"ip_ttl", goflow2Number}, 26: {"tcp_flags", goflow2Number}, 27: {"src_mac", goflow2Number}, 28: {"dst_mac", goflow2Number},
	29: {"vlan_id", goflow2Number}, 30: {"etype", goflow2Number}, 31: {"icmp_type", goflow2Number}, 32: {"icmp_code", goflow2Number},
	33: {"src_vlan", goflow2Number}, 34: {"dst_vlan", goflow2Number}, 35: {"fragment_id", goflow2Number}, 36: {"fragment_offset", goflow2Number},
	37: {"ipv6_flow_label", goflow2Number}, 38: {"ip_flags", goflow2Number},
	70: {"observation_domain_id", goflow2Number}, 71: {"observation_point_id", goflow2Number},
	80: {"mpls_ttl", goflow2Numbers}, 81: {"mpls_label", goflow2Numbers}, 82: {"mpls_ip", goflow2Addresses},
	100: {"bgp_next_hop", goflow2Address}, 101: {"bgp_communities", goflow2Numbers}, 102: {"as_path", goflow2Numbers},
	103: {"layer_stack", goflow2Numbers}, 104: {"ipv6_routing_header_addresses", goflow2Addresses}, 105: {"ipv6_routing_header_seg_left", goflow2Number},
	106: {"layer_size", goflow2Numbers},
	110: {"time_received_ns", goflow2Number}, 111: {"time_flow_start_ns", goflow2Number}, 112: {"time_flow_end_ns", goflow2Number},
}

// goflow2Numbered finds a field of flow.proto by its name, or 0.
var goflow2Numbered = func() map[string]int {
	m := map[string]int{}
	for n, f := range goflow2Fields {
		if f.kind != goflow2Unknown {
			m[f.name] = n
		}
	}
	return m
}()

var goflow2Types = [...]string{"FLOWUNKNOWN", "SFLOW_5", "NETFLOW_V5", "NETFLOW_V9", "IPFIX"}

// goflow2Record collects what only together makes sense.
type goflow2Record struct {
	r                    *flow.Record
	typ                  string
	sourcePort, destPort flow.Int
	icmpType, icmpCode   int64
	sourceVLAN           flow.Int
}

// number sets a field that is a number other than 0, and says whether it has to be kept as
// an extension.
func (g *goflow2Record) number(field int, v uint64) (keep bool, err error) {
	r := g.r
	max := uint64(math.MaxInt64)
	var to *flow.Int
	switch field {
	case goflow2Type:
		if g.typ = strconv.FormatUint(v, 10); v < uint64(len(goflow2Types)) {
			g.typ = goflow2Types[v]
		}
		return false, nil
	case goflow2SamplingRate:
		to, r.SamplingSource = &r.SamplingRate, "record"
	case goflow2Bytes:
		to = &r.Source.Bytes
	case goflow2Packets:
		to = &r.Source.Packets
	case goflow2SourceAS:
		to, max = &r.Source.ASN, 1<<32-1
	case goflow2DestinationAS:
		to, max = &r.Destination.ASN, 1<<32-1
	case goflow2SourceNet:
		to, max = &r.Source.PrefixLength, 128
	case goflow2DestinationNet:
		to, max = &r.Destination.PrefixLength, 128
	case goflow2Input:
		r.IngressInterface = strconv.FormatUint(v, 10)
		return false, nil
	case goflow2Output:
		r.EgressInterface = strconv.FormatUint(v, 10)
		return false, nil
	case goflow2Protocol:
		to, max = &r.Protocol, 255
	case goflow2SourcePort:
		to, max = &g.sourcePort, 65535
	case goflow2DestinationPort:
		to, max = &g.destPort, 65535
	case goflow2TOS:
		to, max = &r.TypeOfService, 255
	case goflow2TCPFlags:
		to, max = &r.TCPFlags, 65535
	case goflow2SourceMAC:
		r.Source.MAC = macText(v)
		return false, nil
	case goflow2DestinationMAC:
		r.Destination.MAC = macText(v)
		return false, nil
	case goflow2VLAN:
		to, max = &r.VLAN, 4095
	case goflow2SourceVLAN:
		to, max = &g.sourceVLAN, 4095
	case goflow2EtherType:
		return v != 0x800 && v != 0x86dd, nil // the addresses say these
	case goflow2ICMPType:
		if v <= 255 {
			g.icmpType = int64(v)
			return false, nil
		}
		max = 255
	case goflow2ICMPCode:
		if v <= 255 {
			g.icmpCode = int64(v)
			return false, nil
		}
		max = 255
	case goflow2Domain:
		to, max = &r.Exporter.ObservationDomain, 1<<32-1
	case goflow2Point:
		to = &r.Exporter.ObservationPoint
	case goflow2Received, goflow2Start, goflow2End:
		if v <= max {
			g.time(field, flow.Time(v))
			return false, nil
		}
	default:
		return true, nil
	}
	if v > max {
		return false, flow.Reject(flow.ReasonValue, "%s: %d is not between 0 and %d", goflow2Fields[field].name, v, max)
	}
	*to = flow.N(int64(v))
	return false, nil
}

func (g *goflow2Record) time(field int, t flow.Time) {
	switch field {
	case goflow2Received:
		g.r.Observed = t
	case goflow2Start:
		g.r.Start = t
	case goflow2End:
		g.r.End = t
	}
}

// address sets a field that is an address, and says whether it has to be kept. An address of
// zeros is that of an end which has none yet; elsewhere it says that there is none.
func (g *goflow2Record) address(field int, ip flow.IP) (keep bool) {
	switch field {
	case goflow2Source:
		g.r.Source.IP = ip
	case goflow2Destination:
		g.r.Destination.IP = ip
	case goflow2Sampler:
		if ip.B != [16]byte{} {
			g.r.Exporter.IP = ip
		}
	default:
		return ip.B != [16]byte{}
	}
	return false
}

func (g *goflow2Record) finish(ext *extension.List) error {
	r := g.r
	if r.Start == 0 && r.End == 0 && r.Observed != 0 {
		r.EventTime, r.TimeQuality = r.Observed, "no_end"
	} else if err := endOrStart(r, "time_flow_end_ns", "time_flow_start_ns"); err != nil {
		return err
	}
	if !r.Source.IP.OK() && !r.Destination.IP.OK() && !r.Source.Bytes.OK && !r.Source.Packets.OK {
		return missing("src_addr, dst_addr, bytes and packets")
	}
	if r.VLAN.OK && g.sourceVLAN.OK {
		ext.Add(flow.ExtN("src_vlan", g.sourceVLAN.V))
	} else if g.sourceVLAN.OK {
		r.VLAN = g.sourceVLAN
	}
	switch icmp := r.Protocol.V == 1 || r.Protocol.V == 58; {
	case icmp && g.icmpType == 0 && g.icmpCode == 0:
		r.ICMPType, r.ICMPCode = flow.N(g.destPort.V>>8), flow.N(g.destPort.V&0xff)
		portless(ext, "src_port", &g.sourcePort)
	case icmp:
		r.ICMPType, r.ICMPCode = flow.N(g.icmpType), flow.N(g.icmpCode)
		portless(ext, "src_port", &g.sourcePort)
		if g.destPort.V != g.icmpType<<8|g.icmpCode {
			portless(ext, "dst_port", &g.destPort)
		}
	case !r.Protocol.OK || hasPorts(r.Protocol.V):
		r.Source.Port, r.Destination.Port = g.sourcePort, g.destPort
	default:
		portless(ext, "src_port", &g.sourcePort)
		portless(ext, "dst_port", &g.destPort)
	}
	if g.typ != "" && g.typ != "FLOWUNKNOWN" {
		ext.Add(flow.Ext("type", g.typ))
	}
	r.CounterSemantics = "delta"
	if r.Source.Bytes.OK {
		if r.ByteLayer = "ip"; g.typ == "SFLOW_5" {
			r.ByteLayer = "l2"
		}
	}
	return nil
}

// macText writes the lower 48 bits as a MAC address.
func macText(v uint64) string {
	const hex = "0123456789abcdef"
	var b [17]byte
	for i := range 6 {
		x := byte(v >> (40 - 8*i))
		b[3*i], b[3*i+1] = hex[x>>4], hex[x&15]
		if i < 5 {
			b[3*i+2] = ':'
		}
	}
	return string(b[:])
}

// prefixLength reads the length of "10.0.0.0/8", or a length alone; absent where it is 0 or
// there is none, as goflow2 writes of an address that it has not.
func prefixLength(name, text string) (flow.Int, error) {
	if _, length, ok := strings.Cut(text, "/"); ok {
		return positive(name, length, 128)
	}
	if text == "" || text == "invalid Prefix" || text == "unknown" {
		return flow.Int{}, nil
	}
	return positive(name, text, 128)
}
