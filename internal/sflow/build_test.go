package sflow

import "encoding/binary"

// The functions of this file write sFlow by hand.

func u32(v ...uint32) (b []byte) {
	for _, n := range v {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	return b
}

func cat(parts ...[]byte) (b []byte) {
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func opaque(p []byte) []byte {
	b := append(u32(uint32(len(p))), p...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// item is a sample or a record: its kind, its length, itself.
func item(kind uint32, body ...[]byte) []byte { return cat(u32(kind), opaque(cat(body...))) }

// message is a datagram of the agent 192.0.2.1, sub-agent 7.
func message(sequence, uptime uint32, samples ...[]byte) []byte {
	return cat(u32(5, 1), []byte{192, 0, 2, 1}, u32(7, sequence, uptime, uint32(len(samples))), cat(samples...))
}

// sample is a flow_sample of the source 3, one in 100, from interface 3 to 4.
func sample(records ...[]byte) []byte {
	return item(1, u32(1, 3, 100, 5000, 2, 3, 4, uint32(len(records))), cat(records...))
}

// header is a sampled_header of a protocol.
func header(protocol, length uint32, b []byte) []byte {
	return item(1, u32(protocol, length, 4), opaque(b))
}

// udp4 is an IPv4 packet 198.51.100.1:1000 to 203.0.113.1:53 of UDP.
func udp4() []byte {
	return cat([]byte{0x45, 0x28, 0, 32, 0, 1, 0, 0, 63, 17, 0, 0, 198, 51, 100, 1, 203, 0, 113, 1}, []byte{0x03, 0xe8, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4})
}

// ethernet is a frame from 02:…:0a to 02:…:0b.
func ethernet(etherType uint16, payload []byte) []byte {
	return cat([]byte{2, 0, 0, 0, 0, 0x0b, 2, 0, 0, 0, 0, 0x0a}, binary.BigEndian.AppendUint16(nil, etherType), payload)
}
