package main

import "encoding/binary"

// opaque is parts with their length in front, filled up to four bytes, as sFlow (XDR) has it.
type opaque struct{ list }

func (o opaque) append(b []byte, of *chunk, with []byte) []byte {
	body := o.list.append(nil, of, with)
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
	b = append(b, body...)
	for range -len(body) & 3 {
		b = append(b, 0)
	}
	return b
}

// structured is a sample or a record: its kind, its length, itself.
func structured(kind uint64, parts ...wire) list { return list{structure(4, kind), opaque{parts}} }

func sflowDatagram(samples ...wire) list {
	return append(list{
		structure(4, 5), structure(4, 1), &chunk{name: "agent address", value: []byte{192, 0, 2, 250}}, field("sub-agent id", 4, 7),
		field("datagram sequence number", 4, 1), field("uptime", 4, 1000), structure(4, uint64(len(samples))),
	}, samples...)
}

// flowSample is a flow_sample with records.
func flowSample(records ...wire) list {
	return structured(1, append(list{
		field("flow_sample.sequence_number", 4, 1),
		&chunk{name: "flow_sample.source_id type", value: []byte{0}, others: [][]byte{{1}}}, field("flow_sample.source_id index", 3, 3),
		field("flow_sample.sampling_rate", 4, 100), field("flow_sample.sample_pool", 4, 5000), field("flow_sample.drops", 4, 2),
		field("flow_sample.input", 4, 3),
		&chunk{name: "flow_sample.output", value: number(4, 4), others: [][]byte{number(4, 5), number(4, 1<<30|258), number(4, 2<<30|3)}, all: true},
		structure(4, uint64(len(records))),
	}, records...)...)
}

// expandedSample is a flow_sample_expanded.
func expandedSample(records ...wire) list {
	return structured(3, append(list{
		field("flow_sample_expanded.sequence_number", 4, 1), field("flow_sample_expanded.source_id type", 4, 0), field("flow_sample_expanded.source_id index", 4, 3),
		field("flow_sample_expanded.sampling_rate", 4, 100), field("flow_sample_expanded.sample_pool", 4, 5000), field("flow_sample_expanded.drops", 4, 2),
		structure(4, 0), field("flow_sample_expanded.input", 4, 3),
		&chunk{name: "flow_sample_expanded.output format", value: number(4, 0), others: [][]byte{number(4, 1), number(4, 2)}, all: true},
		field("flow_sample_expanded.output value", 4, 4), structure(4, uint64(len(records))),
	}, records...)...)
}

// sampledHeader is a sampled_header with the first bytes of a packet.
func sampledHeader(protocol uint64, packet list) list {
	return structured(1, structure(4, protocol), field("sampled_header.frame_length", 4, 200), field("sampled_header.stripped", 4, 4), opaque{packet})
}

func address(name string, last byte) list {
	return list{structure(4, 1), &chunk{name: name, value: []byte{198, 51, 100, last}}}
}

func text(name string) wire { return opaque{list{&chunk{name: name, value: []byte("name1")}}} }

// sflow is the section of sFlow version 5.
func sflow() *section {
	s := &section{
		title: "sFlow v5", parse: "datagram",
		about: "Records of the format `sflow`, one for each sampled packet, of datagrams ([datagram](#datagram)). The fields of packets are those of the first bytes in sampled_header. " +
			"Versions, types, counts and lengths, which say how to read the rest, are not in the table.",
		reasons:   packetReasons(),
		partly:    map[string]string{},
		otherText: "A flow record of a kind that is not known is the extension `sflow_`, its enterprise and its format, in hexadecimal, and so is a second one of a kind in one sample. Counter samples are no flow records: they are skipped.",
	}
	s.reasons["datagram sequence number"] = "the collector counts lost datagrams by it"
	s.reasons["uptime"] = "the collector knows a restart by it"
	s.reasons["flow_sample.sequence_number"] = "lost samples are those of lost datagrams, and `drops`"
	s.reasons["flow_sample_expanded.sequence_number"] = s.reasons["flow_sample.sequence_number"]
	s.reasons["extended_user.src_charset"] = "a name that is no UTF-8 is kept as it came, with this"
	s.reasons["extended_user.dst_charset"] = s.reasons["extended_user.src_charset"]
	add := func(samples ...wire) { s.trials = append(s.trials, wireTrials(sflowDatagram(samples...))...) }
	for _, record := range append(sampledHeaders(), sampledPackets()...) {
		add(flowSample(record))
	}
	for _, record := range extendedRecords() {
		add(flowSample(record))
	}
	add(expandedSample(sampledHeader(1, ethernetPacket())))
	// As agents send them: several that say the same.
	add(flowSample(sampledPackets()[0], sampledPackets()[1]))
	add(flowSample(sampledPackets()[1], sampledPackets()[0]))
	add(flowSample(append([]wire{sampledHeader(1, ethernetPacket()), sampledPackets()[0], sampledPackets()[1]}, extendedRecords()...)...))
	unknown := func(v byte) input {
		return input{data: sflowDatagram(flowSample(structured(1005, &chunk{value: []byte{0, 0, 0, v}}))).append(nil, nil, nil)}
	}
	s.other = &trial{field: "sflow_0_1005", base: unknown(1), changed: []input{unknown(2)}}
	counter := sflowDatagram(structured(2, structure(4, 1)))
	one := sflowDatagram(flowSample(sampledHeader(1, ethernetPacket())))
	s.trials = append(s.trials, trial{field: "counter_sample", base: input{data: one.append(nil, nil, nil)}, changed: []input{{data: counter.append(nil, nil, nil)}}})
	return s
}

func sampledHeaders() []wire {
	return []wire{
		sampledHeader(1, ethernetPacket()), sampledHeader(1, qinqPacket()), sampledHeader(1, arpFrame()), sampledHeader(11, ipv4Packet(1)),
		sampledHeader(11, laterFragment()), sampledHeader(12, ipv6Packet(17)), sampledHeader(12, flowLabel()),
		sampledHeader(7, list{&chunk{name: "header of another protocol", value: []byte{1, 2, 3, 4}}}),
	}
}

// sampledPackets are the records of packets whose agent read them itself.
func sampledPackets() []wire {
	mac := func(name string, last byte) list {
		return list{&chunk{name: name, value: []byte{2, 0, 0, 0, 0, last}}, structure(2, 0)}
	}
	out := []wire{structured(2, field("sampled_ethernet.length", 4, 200), mac("sampled_ethernet.src_mac", 1), mac("sampled_ethernet.dst_mac", 2), field("sampled_ethernet.type", 4, 0x0806))}
	for _, ip := range []struct {
		name     string
		kind     uint64
		size     int
		protocol uint64
	}{{"sampled_ipv4", 3, 4, 6}, {"sampled_ipv4", 3, 4, 1}, {"sampled_ipv6", 4, 16, 6}} {
		sport, dport, flags := uint64(50000), uint64(443), uint64(0x12)
		if ip.protocol == 1 {
			sport, dport, flags = 3, 1, 0
		}
		last := field(ip.name+".tos", 4, 8)
		if ip.size == 16 {
			last.name = ip.name + ".priority"
		}
		f := field(ip.name+".tcp_flags", 4, flags)
		if ip.protocol != 6 {
			f.name = "" // what has none has zeros
		}
		next := field(ip.name+".protocol", 4, ip.protocol)
		next.others = [][]byte{number(4, 17)}
		end := func(name string, last byte) *chunk {
			return &chunk{name: ip.name + name, value: []byte{0x20, 1, 0xd, 0xb8, 15: last}[16-ip.size:]}
		}
		out = append(out, structured(ip.kind, field(ip.name+".length", 4, 200), next, end(".src_ip", 1), end(".dst_ip", 2),
			field(ip.name+".src_port", 4, sport), field(ip.name+".dst_port", 4, dport), f, last))
	}
	return out
}

func extendedRecords() []wire {
	return []wire{
		structured(1001, field("extended_switch.src_vlan", 4, 101), field("extended_switch.src_priority", 4, 1), field("extended_switch.dst_vlan", 4, 200), field("extended_switch.dst_priority", 4, 2)),
		structured(1002, address("extended_router.nexthop", 1), field("extended_router.src_mask", 4, 24), field("extended_router.dst_mask", 4, 16)),
		structured(1003, address("extended_gateway.nexthop", 1), field("extended_gateway.as", 4, 64496), field("extended_gateway.src_as", 4, 64497), field("extended_gateway.src_peer_as", 4, 64498),
			structure(4, 1), structure(4, 2), structure(4, 2), field("extended_gateway.dst_as_path first", 4, 64499), field("extended_gateway.dst_as_path last", 4, 64500),
			structure(4, 1), field("extended_gateway.communities", 4, 64496<<16|1), field("extended_gateway.localpref", 4, 100)),
		structured(1004, field("extended_user.src_charset", 4, 106), text("extended_user.src_user"), field("extended_user.dst_charset", 4, 106), text("extended_user.dst_user")),
		structured(1007, address("extended_nat.src_address", 1), address("extended_nat.dst_address", 2)),
	}
}
