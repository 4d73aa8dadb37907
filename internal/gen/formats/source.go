package main

import (
	"fmt"
	"net/netip"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/datagram"
)

// envelopes is the section of what stands around datagrams: collect's envelope, and packet captures.
func envelopes() (*section, error) {
	s := &section{
		title: "datagram", formats: []string{"datagram"}, parse: "datagram", source: true, quiet: true,
		about: "What is around datagrams of [NetFlow v5](#netflow-v5), [v9 and IPFIX](#netflow-v9-and-ipfix), which may bring [options](#options-of-netflow-v9-and-ipfix), and [sFlow](#sflow-v5): the envelope of [collect](../pipelines/collect/README.md), in topics and in length-prefixed files, and packet captures.",
		reasons: map[string]string{
			"envelope: exporter's port": "it changes with the exporter's restart, and says nothing of a flow",
			"pcap: source port":         "it changes with the exporter's restart, and says nothing of a flow",
			"pcap: destination address": "the collector's", "pcap: destination port": "the collector's",
		},
	}
	v5 := v5Datagram(6).append(nil, nil, nil)
	in := func(address string, port uint16, at flow.Time) input {
		from := netip.AddrPortFrom(netip.MustParseAddr(address), port)
		return input{data: datagram.AppendEnvelope(nil, from, at, v5)}
	}
	const at = flow.Time(exportSeconds * 1e9)
	base := in("192.0.2.250", 2055, at)
	s.trials = append(s.trials,
		trial{field: "envelope: time received", base: base, changed: []input{in("192.0.2.250", 2055, at+1)}, without: &input{data: v5}},
		trial{field: "envelope: exporter's port", base: base, changed: []input{in("192.0.2.250", 2056, at)}},
		trial{field: "envelope: exporter's address", base: base, changed: []input{in("192.0.2.251", 2055, at)}, without: &input{data: v5}},
	)
	frame := list{
		structure(12, 0), structure(2, 0x0800), structure(2, 0x4500), structure(2, uint64(len(v5)+28)), structure(4, 0), structure(1, 64), structure(1, 17), structure(2, 0),
		&chunk{name: "pcap: source address", value: []byte{192, 0, 2, 250}}, &chunk{name: "pcap: destination address", value: []byte{192, 0, 2, 1}},
		field("pcap: source port", 2, 2055), field("pcap: destination port", 2, 2055), structure(2, uint64(len(v5)+8)), structure(2, 0), &chunk{value: v5},
	}
	size := uint64(len(frame.append(nil, nil, nil)))
	record := append(list{field("pcap: seconds", 4, exportSeconds), field("pcap: fraction of a second", 4, 1000), structure(4, size), structure(4, size)}, frame...)
	trials := wireTrials(record)
	for i := range trials {
		t := &trials[i]
		var err error
		if t.base, err = captured(t.base.data); err != nil {
			return nil, err
		}
		for j := range t.changed {
			if t.changed[j], err = captured(t.changed[j].data); err != nil {
				return nil, err
			}
		}
	}
	s.trials = append(s.trials, trials...)
	return s, nil
}

// captured is what the file source makes of one record of a packet capture.
func captured(record []byte) (in input, err error) {
	header := list{structure(4, 0xa1b2c3d4), structure(2, 2), structure(2, 4), structure(8, 0), structure(4, 1<<16), structure(4, 1)}.append(nil, nil, nil)
	info, _ := flow.FormatNamed("datagram")
	learner, err := info.Learn(string(header))
	if err != nil {
		return in, err
	}
	n := 0
	take := func(r flow.Raw) { in.data, n = append([]byte(nil), r.Data...), n+1 }
	learner.Next(flow.Raw{Data: record}, take)
	if learner.End(take); n != 1 {
		return in, fmt.Errorf("datagram: the sample of a packet capture gives %d datagrams", n)
	}
	return in, nil
}

// sources is the section of what the source knows of each record, whatever its format.
func sources() (*section, error) {
	s := &section{
		title: "Of every record", parse: "canopus", source: true, quiet: true,
		about: "What the source knows of a record, whatever its format. What the record itself says of its data center and tenant wins.",
	}
	files, err := sampleFiles("canopus")
	if err != nil {
		return nil, err
	}
	root, err := readJSON(files[0])
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"data_center", "tenant"} {
		for _, l := range root.leaves("") {
			if l.path == name {
				if root, err = readJSON(root.append(nil, l.node, nil)); err != nil {
					return nil, err
				}
			}
		}
	}
	data := root.append(nil, nil, nil)
	for _, f := range []struct {
		name   string
		change func(b *flow.RawBatch, v int64)
	}{
		{"file, topic or subscription", func(b *flow.RawBatch, v int64) { b.Origin.Source = fmt.Sprint("source", v) }},
		{"partition", func(b *flow.RawBatch, v int64) { b.Origin.Partition = flow.N(v) }},
		{"offset", func(b *flow.RawBatch, v int64) { b.Records[0].Offset = flow.N(v) }},
		{"message id", func(b *flow.RawBatch, v int64) { b.Records[0].Key = fmt.Sprint("id", v) }},
		{"place in its unit", func(b *flow.RawBatch, v int64) { b.Records[0].Index = flow.N(v) }},
		{"time of append, publish or receipt", func(b *flow.RawBatch, v int64) { b.Records[0].Time = flow.Time(v) }},
		{"--datacenter, or the message's header or attribute", func(b *flow.RawBatch, v int64) { b.Origin.DataCenter = fmt.Sprint("dc", v) }},
		{"tenant of the origin", func(b *flow.RawBatch, v int64) { b.Origin.Tenant = fmt.Sprint("t", v) }},
	} {
		with := func(v int64) input {
			return input{data: data, change: func(b *flow.RawBatch) { f.change(b, v) }}
		}
		s.trials = append(s.trials, trial{field: f.name, base: with(1), changed: []input{with(2)}})
	}
	return s, nil
}

// shippers is the section of the envelopes that shippers put around lines.
func shippers() (*section, error) {
	s := &section{
		title: "In an envelope", parse: "canopus", quiet: true,
		about: "What shippers put around a line of any format that is text, tried with a line of [canopus](#canopus). The line has the record id that it has alone.",
	}
	files, err := sampleFiles("canopus")
	if err != nil {
		return nil, err
	}
	line := string(files[0][:len(files[0])-1])
	sample := flow.AppendJSON([]byte(`{"@timestamp":"2026-01-15T12:00:05Z","host":{"name":"host1"},"log":{"offset":1,"file":{"path":"/a1"}},"agent":{"type":"filebeat1"},"tags":["a1"],"event":{"dataset":"d1"},"message":`), line)
	trials, err := jsonTrials([][]byte{append(sample, '}')}, nil, nil)
	if err != nil {
		return nil, err
	}
	for _, t := range trials {
		if t.field != "message" {
			s.trials = append(s.trials, t)
		}
	}
	for _, p := range []list{
		{
			structure(1, '<'), &chunk{name: "RFC 5424: priority", value: []byte("134")}, &chunk{value: []byte(">1 ")}, &chunk{name: "RFC 5424: timestamp", value: []byte("2026-01-15T12:00:00Z"), others: [][]byte{[]byte("2026-01-15T12:00:01Z")}},
			structure(1, ' '), &chunk{name: "RFC 5424: host", value: []byte("host1")}, structure(1, ' '), &chunk{name: "RFC 5424: app", value: []byte("app1")}, structure(1, ' '),
			&chunk{name: "RFC 5424: process", value: []byte("71")}, structure(1, ' '), &chunk{name: "RFC 5424: message id", value: []byte("id1")}, &chunk{value: []byte(" [")},
			&chunk{name: "RFC 5424: structured data", value: []byte("a1")}, &chunk{value: []byte("] ")}, &chunk{value: []byte(line)},
		},
		{
			structure(1, '<'), &chunk{name: "RFC 3164: priority", value: []byte("134")}, structure(1, '>'), &chunk{name: "RFC 3164: timestamp", value: []byte("Jan 15 12:00:00")}, structure(1, ' '),
			&chunk{name: "RFC 3164: host", value: []byte("host1")}, structure(1, ' '), &chunk{name: "RFC 3164: tag", value: []byte("app[71]"), others: [][]byte{[]byte("app[72]")}}, &chunk{value: []byte(": ")}, &chunk{value: []byte(line)},
		},
		{
			&chunk{name: "Fluentd: time", value: []byte("2026-01-15T12:00:00+00:00"), others: [][]byte{[]byte("2026-01-15T12:00:01+00:00")}}, structure(1, '\t'), &chunk{name: "Fluentd: tag", value: []byte("tag1")}, structure(1, '\t'), &chunk{value: []byte(line)},
		},
	} {
		s.trials = append(s.trials, wireTrials(p)...)
	}
	return s, nil
}
