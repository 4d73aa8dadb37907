package main

import (
	"encoding/binary"
	"fmt"
)

// protoField is a field of goflow2's FlowMessage. An address is 4 bytes, a number of a list is the
// list of it alone.
type protoField struct {
	number  int
	name    string
	value   uint64
	address []byte
	list    bool
}

// protoFields are those of flow.proto.
//
// Source: https://github.com/netsampler/goflow2 (pb/flow.proto)
var protoFields = []protoField{
	{number: 1, name: "type", value: 4}, {number: 3, name: "sampling_rate", value: 100}, {number: 4, name: "sequence_num", value: 77},
	{number: 6, name: "src_addr", address: []byte{10, 0, 0, 1}}, {number: 7, name: "dst_addr", address: []byte{192, 0, 2, 1}},
	{number: 9, name: "bytes", value: 428}, {number: 10, name: "packets", value: 8}, {number: 11, name: "sampler_address", address: []byte{192, 0, 2, 250}},
	{number: 12, name: "next_hop", address: []byte{192, 0, 2, 254}}, {number: 13, name: "next_hop_as", value: 64498},
	{number: 14, name: "src_as", value: 64496}, {number: 15, name: "dst_as", value: 64497}, {number: 16, name: "src_net", value: 24}, {number: 17, name: "dst_net", value: 16},
	{number: 18, name: "in_if", value: 2}, {number: 19, name: "out_if", value: 3}, {number: 20, name: "proto", value: 17}, {number: 21, name: "src_port", value: 50000},
	{number: 22, name: "dst_port", value: 443}, {number: 23, name: "ip_tos", value: 8}, {number: 24, name: "forwarding_status", value: 64}, {number: 25, name: "ip_ttl", value: 63},
	{number: 26, name: "tcp_flags", value: 27}, {number: 27, name: "src_mac", value: 0x020000000001}, {number: 28, name: "dst_mac", value: 0x020000000002},
	{number: 29, name: "vlan_id", value: 100}, {number: 30, name: "etype", value: 0x800}, {number: 31, name: "icmp_type"}, {number: 32, name: "icmp_code"},
	{number: 33, name: "src_vlan", value: 101}, {number: 34, name: "dst_vlan", value: 102}, {number: 35, name: "fragment_id", value: 1}, {number: 36, name: "fragment_offset", value: 1},
	{number: 37, name: "ipv6_flow_label", value: 1}, {number: 38, name: "ip_flags", value: 2},
	{number: 70, name: "observation_domain_id", value: 5}, {number: 71, name: "observation_point_id", value: 6},
	{number: 80, name: "mpls_ttl", value: 1, list: true}, {number: 81, name: "mpls_label", value: 16, list: true}, {number: 82, name: "mpls_ip", address: []byte{192, 0, 2, 3}},
	{number: 100, name: "bgp_next_hop", address: []byte{192, 0, 2, 253}}, {number: 101, name: "bgp_communities", value: 1, list: true}, {number: 102, name: "as_path", value: 64496, list: true},
	{number: 103, name: "layer_stack", value: 1, list: true}, {number: 104, name: "ipv6_routing_header_addresses", address: []byte{0x20, 1, 0xd, 0xb8, 15: 1}},
	{number: 105, name: "ipv6_routing_header_seg_left", value: 1}, {number: 106, name: "layer_size", value: 14, list: true},
	{number: 110, name: "time_received_ns", value: 1768478460000000001}, {number: 111, name: "time_flow_start_ns", value: 1768478400000000001}, {number: 112, name: "time_flow_end_ns", value: 1768478401500000001},
}

func (f *protoField) append(b []byte) []byte {
	switch {
	case f.address != nil:
		b = binary.AppendUvarint(b, uint64(f.number)<<3|2)
		return append(binary.AppendUvarint(b, uint64(len(f.address))), f.address...)
	case f.list:
		packed := binary.AppendUvarint(nil, f.value)
		b = binary.AppendUvarint(b, uint64(f.number)<<3|2)
		return append(binary.AppendUvarint(b, uint64(len(packed))), packed...)
	}
	return binary.AppendUvarint(binary.AppendUvarint(b, uint64(f.number)<<3), f.value)
}

// protobuf is the section of goflow2's FlowMessage.
func protobuf() *section {
	s := &section{
		title: "goflow2_protobuf", formats: []string{"goflow2_protobuf"}, parse: "goflow2_protobuf",
		about:     "In brackets is the field's number. A message may have its length in front.",
		otherText: "A field that nobody knows is the extension `field_` and its number.",
	}
	icmp := func(fields []protoField) (out []protoField) {
		for _, f := range fields {
			switch f.name {
			case "proto":
				f.value = 1
			case "src_port", "vlan_id":
				f.value = 0
			case "dst_port":
				f.value = 0x0301
			case "icmp_type":
				f.value = 3
			case "icmp_code":
				f.value = 1
			case "etype":
				f.value = 0x8847
			}
			out = append(out, f)
		}
		return out
	}
	received := func(fields []protoField) (out []protoField) {
		for _, f := range fields {
			if f.number < 111 {
				out = append(out, f)
			}
		}
		return out
	}
	for i, fields := range [][]protoField{protoFields, icmp(protoFields), received(protoFields)} {
		with := func(at int, f *protoField) input {
			var b []byte
			for i := range fields {
				switch {
				case i != at:
					b = fields[i].append(b)
				case f != nil:
					b = f.append(b)
				}
			}
			return input{data: b}
		}
		for at, f := range fields {
			if i != 1 && (f.name == "icmp_type" || f.name == "icmp_code") {
				continue // of ICMP
			}
			without := with(at, nil)
			t := trial{field: fmt.Sprintf("%s (%d)", f.name, f.number), base: with(-1, nil), without: &without}
			zero := f
			zero.value = 0
			if f.address == nil && !f.list && f.value != 0 {
				z := with(at, &zero)
				t.zero = &z
			}
			for _, d := range [...]uint64{1, ^uint64(0), 0x805} {
				o := f
				o.value += d
				if o.address = append([]byte(nil), f.address...); f.address != nil {
					o.address[len(o.address)-1] += byte(d)
				} else {
					o.address = nil
				}
				t.changed = append(t.changed, with(at, &o))
			}
			if f.name == "type" {
				t.changed = []input{with(at, &protoField{number: 1, value: 1})} // SFLOW_5
			}
			if f.name == "proto" {
				t.changed = []input{with(at, &protoField{number: 20, value: 6})}
			}
			s.trials = append(s.trials, t)
		}
	}
	other := func(v uint64) input {
		b := (&protoField{number: 200, value: v}).append(nil)
		for i := range protoFields {
			b = protoFields[i].append(b)
		}
		return input{data: b}
	}
	s.other = &trial{field: "field_200", base: other(1), changed: []input{other(2)}}
	return s
}
