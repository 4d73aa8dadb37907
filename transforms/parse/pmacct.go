package parse

import (
	"strings"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/extension"
)

func init() {
	Register(Format{
		FormatInfo: flow.FormatInfo{
			Name:      "pmacct",
			Detect:    detectPmacct,
			Timestamp: pmacctTimestamp,
		},
		New: func(header string) (Decoder, error) {
			z, _, err := readZone(header)
			if err != nil {
				return nil, err
			}
			return &pmacctDecoder{zone: z}, nil
		},
	})
}

// pmacctDecoder reads the JSON that the daemons of pmacct (nfacctd, sfacctd, pmacctd) print or
// send, one object each: what is in it follows from aggregate[] in their configuration.
//
// packets and bytes are the source's, since the last object of the same aggregate (delta),
// and those of the IP layer. Start and end are timestamp_start and timestamp_end, or, without
// them, timestamp_min and timestamp_max. Event time is the end, or the start; where there is
// neither it is stamp_updated, stamp_inserted or timestamp_arrival (time quality no_end). The
// stamps, pmacct's own time bucket, are extensions as well; timestamp_arrival is the observed
// time. Times are local text without an offset, RFC 3339, or seconds since the epoch, as a
// number or as text. A line "#timezone Asia/Tokyo" of the declared header says what zone local
// text is in, otherwise it is UTC. A time of 0 is none.
//
// ip_proto is a name or a number; for ICMP port_dst is type × 256 + code, as NetFlow has it.
// peer_ip_src is the exporter, writer_id its name. Interfaces, VLANs, AS numbers, sampling
// rates and prefix lengths of 0 are absent, because pmacct writes 0 for what it does not know,
// and so are MAC addresses of zeros. All else is an extension. Objects whose event_type says
// that pmacct speaks of itself (log_init, dump_close, purge_init and so on) are skipped, counted as such.
// The id is the hash of the whole line.
//
// Source: https://github.com/pmacct/pmacct (CONFIG-KEYS, docs/MSGLOG_DUMP_FORMATS)
type pmacctDecoder struct {
	zone   zone
	object jsonObject
	ext    extension.List
}

func (d *pmacctDecoder) Decode(data string, r *flow.Record) (Outcome, error) {
	s := trim(data)
	if s == "" {
		return Skip, nil
	}
	if err := d.object.parse(s); err != nil {
		return Parsed, err
	}
	if typ := memberNamed(d.object.members, "event_type"); typ != nil && isPmacctEvent(typ.text) {
		return Skip, nil
	}
	p := pmacctRecord{r: r}
	if err := d.fill(&p); err != nil {
		d.ext.Drop()
		return Parsed, err
	}
	if err := p.finish(&d.ext); err != nil {
		d.ext.Drop()
		return Parsed, err
	}
	r.Extensions = d.ext.Take()
	return Parsed, nil
}

// isPmacctEvent knows the objects around the records.
func isPmacctEvent(typ string) bool {
	switch typ {
	case "log_init", "log_close", "dump_init", "dump_close", "purge_init", "purge_close":
		return true
	}
	return false
}

// pmacctRecord collects what only together makes sense.
type pmacctRecord struct {
	r                           *flow.Record
	updated, inserted, min, max flow.Time
	sourcePort, destPort        flow.Int
	icmp                        bool
	known                       bool // it has a counter
	minText, maxText            string
}

func (d *pmacctDecoder) fill(p *pmacctRecord) (err error) {
	r := p.r
	for i := range d.object.members {
		m := &d.object.members[i]
		if m.kind == 'n' || m.kind == '"' && m.text == "" {
			continue
		}
		keep := false
		switch m.name {
		case "event_type":
			keep = m.text != "purge"
		case "ip_src":
			err = m.address(&r.Source.IP)
		case "ip_dst":
			err = m.address(&r.Destination.IP)
		case "port_src":
			p.sourcePort, err = m.number(65535)
		case "port_dst":
			p.destPort, err = m.number(65535)
		case "ip_proto":
			n, ok := protocolNumber(m.text)
			if r.Protocol = (flow.Int{}); ok {
				r.Protocol = flow.N(n)
			}
			keep = !ok
		case "packets":
			p.known = true
			r.Source.Packets, err = m.number(1<<63 - 1)
		case "bytes":
			p.known = true
			r.Source.Bytes, err = m.number(1<<63 - 1)
		case "timestamp_start":
			r.Start, err = d.time(m)
		case "timestamp_end":
			r.End, err = d.time(m)
		case "timestamp_min":
			p.minText = m.text
			p.min, err = d.time(m)
		case "timestamp_max":
			p.maxText = m.text
			p.max, err = d.time(m)
		case "timestamp_arrival":
			r.Observed, err = d.time(m)
		case "stamp_inserted":
			keep = true
			p.inserted, err = d.time(m)
		case "stamp_updated":
			keep = true
			p.updated, err = d.time(m)
		case "tcp_flags":
			r.TCPFlags, err = m.number(65535)
		case "tos":
			r.TypeOfService, err = m.number(255)
		case "vlan", "vlan_in":
			if keep = r.VLAN.OK; !keep {
				r.VLAN, err = notNought(m.number(4095))
			}
		case "mac_src":
			if isMAC(m.text) {
				r.Source.MAC = notZero(m.text)
			} else {
				keep = true
			}
		case "mac_dst":
			if isMAC(m.text) {
				r.Destination.MAC = notZero(m.text)
			} else {
				keep = true
			}
		case "as_src":
			r.Source.ASN, err = notNought(m.number(1<<32 - 1))
		case "as_dst":
			r.Destination.ASN, err = notNought(m.number(1<<32 - 1))
		case "mask_src":
			r.Source.PrefixLength, err = notNought(m.number(128))
		case "mask_dst":
			r.Destination.PrefixLength, err = notNought(m.number(128))
		case "peer_ip_src":
			err = m.address(&r.Exporter.IP)
		case "iface_in":
			r.IngressInterface = notZero(m.text)
		case "iface_out":
			r.EgressInterface = notZero(m.text)
		case "sampling_rate":
			if r.SamplingRate, err = notNought(m.number(1<<63 - 1)); r.SamplingRate.OK {
				r.SamplingSource = "record"
			}
		case "export_proto_sysid":
			r.Exporter.ObservationDomain, err = m.number(1<<32 - 1)
		case "post_nat_ip_src":
			err = m.address(&r.Source.NATIP)
		case "post_nat_ip_dst":
			err = m.address(&r.Destination.NATIP)
		case "post_nat_port_src":
			r.Source.NATPort, err = notNought(m.number(65535))
		case "post_nat_port_dst":
			r.Destination.NATPort, err = notNought(m.number(65535))
		case "class":
			if keep = m.text == "unknown"; !keep {
				r.Application = m.text
			}
		case "writer_id":
			r.Exporter.Name = m.text
		default:
			keep = true
		}
		if err != nil {
			return err
		}
		if keep {
			m.keep(&d.ext)
		}
	}
	return nil
}

// number reads a whole number, which older versions write as text.
func (m *jsonMember) number(max int64) (flow.Int, error) {
	if m.kind == '"' {
		return integer(m.name, m.text, max)
	}
	return m.integer("", max)
}

func notNought(v flow.Int, err error) (flow.Int, error) {
	if v.V == 0 {
		return flow.Int{}, err
	}
	return v, err
}

func (d *pmacctDecoder) time(m *jsonMember) (flow.Time, error) { return pmacctTime(d.zone, m) }

func pmacctTime(z zone, m *jsonMember) (t flow.Time, err error) {
	if m.kind == '"' && strings.IndexByte(m.text, ':') >= 0 {
		t, err = z.local(m.name, m.text)
	} else {
		if m.kind != '"' && m.kind != '0' {
			return 0, m.wantNumber()
		}
		var ns int64
		ns, err = nanoseconds(m.name, m.text, seconds)
		t = flow.Time(ns)
	}
	if t >= 0 && t < 1e9 {
		t = 0
	}
	return t, err
}

func (p *pmacctRecord) finish(ext *extension.List) error {
	r := p.r
	if !r.Source.IP.OK() && !r.Destination.IP.OK() && !p.known {
		return missing("ip_src, ip_dst, packets and bytes")
	}
	if r.Start == 0 && r.End == 0 {
		r.Start, r.End = p.min, p.max
	}
	if p.min != 0 && p.min != r.Start {
		ext.Add(flow.Ext("timestamp_min", p.minText))
	}
	if p.max != 0 && p.max != r.End {
		ext.Add(flow.Ext("timestamp_max", p.maxText))
	}
	if r.Start == 0 && r.End == 0 {
		r.TimeQuality = "no_end"
		for _, t := range [...]flow.Time{p.updated, p.inserted, r.Observed} {
			if t != 0 {
				r.EventTime = t
				break
			}
		}
		if r.EventTime == 0 {
			return missing("timestamp_end")
		}
	} else if err := endOrStart(r, "timestamp_end", "timestamp_start"); err != nil {
		return err
	}
	switch {
	case r.Protocol.OK && (r.Protocol.V == 1 || r.Protocol.V == 58):
		if p.destPort.OK {
			r.ICMPType, r.ICMPCode = flow.N(p.destPort.V>>8), flow.N(p.destPort.V&0xff)
		}
		portless(ext, "port_src", &p.sourcePort)
	case !r.Protocol.OK || hasPorts(r.Protocol.V):
		r.Source.Port, r.Destination.Port = p.sourcePort, p.destPort
	default:
		portless(ext, "port_src", &p.sourcePort)
		portless(ext, "port_dst", &p.destPort)
	}
	if r.Protocol.OK && r.Protocol.V != 6 && r.TCPFlags.V == 0 {
		r.TCPFlags = flow.Int{}
	}
	r.CounterSemantics = "delta"
	if r.Source.Bytes.OK {
		r.ByteLayer = "ip"
	}
	return nil
}

func detectPmacct(head []byte) int {
	switch {
	case looksLikeJSON(head, "ip_proto", "packets", "bytes"), looksLikeJSON(head, "ip_src", "ip_dst"),
		looksLikeJSON(head, "peer_ip_src", "packets"), looksLikeJSON(head, "stamp_inserted", "packets"):
		return 88
	}
	return 0
}

func pmacctTimestamp(header string, data []byte) (flow.Time, bool) {
	z, _, err := readZone(header)
	if err != nil {
		return 0, false
	}
	var times [7]flow.Time
	sc := newJSONScanner(view(data))
	for sc.next() == scanMember {
		i := 0
		switch sc.m.name {
		case "timestamp_end":
			i = 0
		case "timestamp_start":
			i = 1
		case "timestamp_max":
			i = 2
		case "timestamp_min":
			i = 3
		case "stamp_updated":
			i = 4
		case "stamp_inserted":
			i = 5
		case "timestamp_arrival":
			i = 6
		default:
			continue
		}
		times[i], _ = pmacctTime(z, &sc.m)
	}
	for _, t := range times {
		if t != 0 {
			return t, true
		}
	}
	return 0, false
}
