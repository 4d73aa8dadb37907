package main

// netflow5 is the section of NetFlow version 5, whose fields have fixed places.
func netflow5() *section {
	s := &section{
		title: "NetFlow v5", parse: "datagram",
		about: "Records of the format `netflow5`, of datagrams ([datagram](#datagram)). Version and count, which say how to read the rest, are not in the table.",
		reasons: map[string]string{
			"flow_sequence": "the collector counts lost records by it",
			"sampling_mode": "how the packets are picked: the rate is the same",
			"pad1":          "padding", "pad2": "padding",
		},
	}
	for _, protocol := range []uint64{6, 1, 47} {
		s.trials = append(s.trials, wireTrials(v5Datagram(protocol))...)
	}
	sampling := v5Datagram(6)
	for _, c := range sampling.chunks() {
		if c.name == "sampling_interval" {
			c.name, c.others = "sampling_mode", [][]byte{number(2, 2<<14|100)}
		} else {
			c.name = ""
		}
	}
	s.trials = append(s.trials, wireTrials(sampling)...)
	return s
}

func v5Datagram(protocol uint64) list {
	sport, dport, flags := uint64(50000), uint64(443), uint64(0x1b)
	switch protocol {
	case 1:
		sport, dport, flags = 0, 0x0301, 0
	case 47:
		sport, dport, flags = 0, 0, 0
	}
	next := field("prot", 1, protocol)
	next.others = [][]byte{{17}}
	return list{
		structure(2, 5), structure(2, 1), field("SysUptime", 4, 3_600_000), field("unix_secs", 4, 1_768_478_460),
		field("unix_nsecs", 4, 1000), field("flow_sequence", 4, 7), field("engine_type", 1, 1), field("engine_id", 1, 2),
		&chunk{name: "sampling_interval", value: number(2, 1<<14|100)},
		&chunk{name: "srcaddr", value: []byte{10, 0, 0, 1}}, &chunk{name: "dstaddr", value: []byte{192, 0, 2, 1}},
		&chunk{name: "nexthop", value: []byte{192, 0, 2, 254}}, field("input", 2, 2), field("output", 2, 3),
		field("dPkts", 4, 8), field("dOctets", 4, 428), field("First", 4, 3_590_000), field("Last", 4, 3_595_000),
		field("srcport", 2, sport), field("dstport", 2, dport), field("pad1", 1, 0), field("tcp_flags", 1, flags), next,
		field("tos", 1, 8), field("src_as", 2, 64496), field("dst_as", 2, 64497), field("src_mask", 1, 24), field("dst_mask", 1, 16),
		field("pad2", 2, 0),
	}
}
