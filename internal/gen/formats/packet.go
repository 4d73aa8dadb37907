package main

// ethernetPacket is a frame as samplers export its first bytes: TCP over IPv4 in a VLAN.
func ethernetPacket() list {
	return list{
		&chunk{name: "Ethernet destination", value: []byte{2, 0, 0, 0, 0, 2}}, &chunk{name: "Ethernet source", value: []byte{2, 0, 0, 0, 0, 1}},
		structure(2, 0x8100), field("VLAN id", 2, 100), structure(2, 0x0800), ipv4Packet(6),
	}
}

// qinqPacket is one in two VLANs and with a label of MPLS.
func qinqPacket() list {
	return list{
		structure(6, 0x020000000002), structure(6, 0x020000000001),
		structure(2, 0x88a8), &chunk{name: "VLAN priority", value: number(2, 100), others: [][]byte{number(2, 1<<13|100)}}, structure(2, 0x8100), field("inner VLAN id", 2, 200), structure(2, 0x8847),
		&chunk{name: "MPLS label", value: number(4, 16<<12|0x100|64), others: [][]byte{number(4, 17<<12|0x100|64)}},
		ipv4Packet(17),
	}
}

// arpFrame is one that is no IP.
func arpFrame() list {
	return list{structure(6, 0x020000000002), structure(6, 0x020000000001), field("EtherType", 2, 0x0806), &chunk{value: make([]byte, 28)}}
}

func ipv4Packet(protocol uint64) list {
	l := list{
		structure(1, 0x45), field("IPv4 TOS", 1, 8), field("IPv4 total length", 2, 100), field("IPv4 identification", 2, 1),
		&chunk{name: "IPv4 flags", value: []byte{0x40, 0}, others: [][]byte{{0, 0}}},
		field("IPv4 TTL", 1, 64), structure(1, protocol), field("IPv4 checksum", 2, 1),
		&chunk{name: "IPv4 source", value: []byte{10, 0, 0, 1}}, &chunk{name: "IPv4 destination", value: []byte{192, 0, 2, 1}},
	}
	return append(l, transport(protocol)...)
}

// laterFragment has no ports.
func laterFragment() list {
	return list{
		structure(1, 0x45), structure(1, 0), structure(2, 100), structure(2, 1), field("IPv4 fragment offset", 2, 185), structure(1, 64),
		&chunk{name: "IPv4 protocol", value: []byte{17}, others: [][]byte{{47}}}, structure(2, 0), structure(4, 0x0a000001), structure(4, 0xc0000201),
	}
}

func ipv6Packet(protocol uint64) list {
	a := []byte{0x20, 1, 0xd, 0xb8, 15: 1}
	l := list{
		&chunk{name: "IPv6 traffic class", value: number(4, 6<<28|8<<20|1), others: [][]byte{number(4, 6<<28|9<<20|1)}},
		structure(2, 20), structure(1, protocol), field("IPv6 hop limit", 1, 64),
		&chunk{name: "IPv6 source", value: a}, &chunk{name: "IPv6 destination", value: a},
	}
	return append(l, transport(protocol)...)
}

// flowLabel is one whose flow label is tried.
func flowLabel() list {
	l := ipv6Packet(17)
	for _, c := range l.chunks() {
		c.name = ""
	}
	l[0] = &chunk{name: "IPv6 flow label", value: number(4, 6<<28|8<<20|1), others: [][]byte{number(4, 6<<28|8<<20|2)}}
	return l
}

func transport(protocol uint64) list {
	switch protocol {
	case 6:
		return list{
			field("source port", 2, 50000), field("destination port", 2, 443), field("TCP sequence number", 4, 1), field("TCP acknowledgement number", 4, 2),
			&chunk{name: "TCP flags", value: []byte{0x50, 0x12}, others: [][]byte{{0x50, 0x10}}}, field("TCP window", 2, 100), field("TCP checksum", 2, 1), field("TCP urgent pointer", 2, 0),
		}
	case 1, 58:
		return list{field("ICMP type", 1, 3), field("ICMP code", 1, 1), field("ICMP checksum", 2, 1), &chunk{name: "ICMP rest", value: []byte{0, 0, 0, 1}}}
	}
	return list{field("source port", 2, 50000), field("destination port", 2, 53), field("UDP length", 2, 60), field("UDP checksum", 2, 1), &chunk{name: "payload", value: []byte{1, 2, 3, 4}}}
}

// packetReasons say why the rest of a packet's headers is dropped.
func packetReasons() map[string]string {
	const one = "of one packet: it says nothing of its flow"
	return map[string]string{
		"IPv4 total length": "the length of the frame is there", "UDP length": "the length of the frame is there",
		"IPv4 identification": one, "IPv4 flags": one, "IPv4 checksum": one, "TCP sequence number": one, "TCP acknowledgement number": one,
		"TCP window": one, "TCP checksum": one, "TCP urgent pointer": one, "ICMP checksum": one, "ICMP rest": one, "UDP checksum": one, "payload": one,
		"VLAN priority": one,
	}
}

// packets are the values of an element that holds a packet's first bytes: each differs from the
// first in one field.
func packets(ip bool) (out [][]byte) {
	p := ethernetPacket()
	if ip {
		p = ipv4Packet(6)
	}
	out = append(out, p.append(nil, nil, nil))
	for _, c := range p.chunks() {
		if c.name == "" {
			continue
		}
		others := c.others
		if others == nil {
			others = otherBytes(c.value)[:1]
		}
		out = append(out, p.append(nil, c, others[0]))
	}
	return out
}
