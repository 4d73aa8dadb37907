// Package packet reads the headers of a sampled packet into a flow record.
package packet

import (
	"encoding/binary"
	"strconv"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/extension"
)

// EtherTypes.
const (
	typeIPv4   = 0x0800
	typeIPv6   = 0x86dd
	typeVLAN   = 0x8100
	typeQinQ   = 0x88a8
	typeMPLS   = 0x8847
	typeMPLSMC = 0x8848
)

// Ethernet reads a frame from its destination address on: MAC addresses, VLAN (the outer
// one of two, the inner is the extension dot1qCustomerVlanId), labels of MPLS, and the IP
// packet. A frame of something else has its ethernetType as an extension. Only the first
// bytes of the packet may be there: what is cut off stays absent.
func Ethernet(r *flow.Record, x *extension.Block, b []byte) {
	if len(b) < 14 {
		return
	}
	r.Destination.MAC, r.Source.MAC = x.MAC(b[0:6]), x.MAC(b[6:12])
	Typed(r, x, binary.BigEndian.Uint16(b[12:]), b[14:])
}

// Typed reads what follows an EtherType.
func Typed(r *flow.Record, x *extension.Block, etherType uint16, b []byte) {
	for tags := 0; etherType == typeVLAN || etherType == typeQinQ || etherType == 0x9100; tags++ {
		if len(b) < 4 {
			return
		}
		id := int64(binary.BigEndian.Uint16(b) & 0x0fff)
		switch tags {
		case 0:
			r.VLAN = flow.N(id)
		case 1:
			x.AddNumber("dot1qCustomerVlanId", uint64(id))
		}
		etherType, b = binary.BigEndian.Uint16(b[2:]), b[4:]
	}
	switch etherType {
	case typeIPv4, typeIPv6:
		IP(r, x, b)
	case typeMPLS, typeMPLSMC:
		MPLS(r, x, b)
	default:
		x.AddNumber("ethernetType", uint64(etherType))
	}
}

// MPLS reads a label stack, which becomes the extension mplsLabels, top first, and the IP
// packet below it. Below the last label nothing says what follows: a packet that begins
// with the version 4 or 6 is taken for IP.
func MPLS(r *flow.Record, x *extension.Block, b []byte) {
	var labels []byte
	for bottom := false; !bottom; b = b[4:] {
		if len(b) < 4 {
			break
		}
		entry := binary.BigEndian.Uint32(b)
		if labels != nil {
			labels = append(labels, ' ')
		}
		labels = strconv.AppendUint(labels, uint64(entry>>12), 10)
		bottom = entry&0x100 != 0
	}
	if labels != nil {
		x.Add(flow.Ext("mplsLabels", x.String(labels)))
	}
	if len(b) > 0 && (b[0]>>4 == 4 || b[0]>>4 == 6) {
		IP(r, x, b)
	}
}

// IP reads an IPv4 or IPv6 packet, by its version.
func IP(r *flow.Record, x *extension.Block, b []byte) {
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		ipv4(r, x, b)
	case len(b) >= 40 && b[0]>>4 == 6:
		ipv6(r, x, b)
	}
}

func ipv4(r *flow.Record, x *extension.Block, b []byte) {
	r.TypeOfService, r.Protocol = flow.N(int64(b[1])), flow.N(int64(b[9]))
	x.AddNumber("ipTTL", uint64(b[8]))
	r.Source.IP, r.Destination.IP = flow.IP{Len: 4}, flow.IP{Len: 4}
	copy(r.Source.IP.B[:], b[12:16])
	copy(r.Destination.IP.B[:], b[16:20])
	if offset := binary.BigEndian.Uint16(b[6:]) & 0x1fff; offset != 0 {
		x.AddNumber("fragmentOffset", uint64(offset))
		return // the ports are in the first fragment
	}
	if n := int(b[0]&15) * 4; n >= 20 && n <= len(b) {
		transport(r, b[9], b[n:])
	}
}

func ipv6(r *flow.Record, x *extension.Block, b []byte) {
	head := binary.BigEndian.Uint32(b)
	r.TypeOfService = flow.N(int64(head >> 20 & 255))
	if label := head & 0xfffff; label != 0 {
		x.AddNumber("flowLabelIPv6", uint64(label))
	}
	x.AddNumber("ipTTL", uint64(b[7]))
	r.Source.IP, r.Destination.IP = flow.IP{Len: 16}, flow.IP{Len: 16}
	copy(r.Source.IP.B[:], b[8:24])
	copy(r.Destination.IP.B[:], b[24:40])
	next, b := b[6], b[40:]
	for {
		n := 0
		switch next {
		case 0, 43, 60, 135, 139, 140: // hop by hop, routing, destination options, mobility, HIP, shim6
			if len(b) >= 2 {
				n = 8 + 8*int(b[1])
			}
		case 44: // fragment
			if n = 8; len(b) >= 4 {
				if offset := binary.BigEndian.Uint16(b[2:]) >> 3; offset != 0 {
					x.AddNumber("fragmentOffset", uint64(offset))
					r.Protocol = flow.N(int64(b[0]))
					return
				}
			}
		case 51: // authentication
			if len(b) >= 2 {
				n = 8 + 4*int(b[1])
			}
		default:
			r.Protocol = flow.N(int64(next))
			transport(r, next, b)
			return
		}
		if n == 0 || len(b) < n {
			return // cut within the extension headers: the protocol is not known
		}
		next, b = b[0], b[n:]
	}
}

func transport(r *flow.Record, protocol byte, b []byte) {
	switch protocol {
	case 6, 17, 33, 132, 136: // TCP, UDP, DCCP, SCTP, UDP-Lite
		if len(b) >= 4 {
			r.Source.Port = flow.N(int64(binary.BigEndian.Uint16(b)))
			r.Destination.Port = flow.N(int64(binary.BigEndian.Uint16(b[2:])))
		}
		if protocol == 6 && len(b) >= 14 {
			r.TCPFlags = flow.N(int64(binary.BigEndian.Uint16(b[12:]) & 0x0fff))
		}
	case 1, 58:
		if len(b) >= 2 {
			r.ICMPType, r.ICMPCode = flow.N(int64(b[0])), flow.N(int64(b[1]))
		}
	}
}
