package parse

import (
	"strconv"
	"strings"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/extension"
)

func init() {
	Register(Format{
		FormatInfo: flow.FormatInfo{
			Name:      "suricata",
			Detect:    detectSuricata,
			Timestamp: suricataTimestamp,
		},
		New: func(string) (Decoder, error) {
			return &suricataDecoder{}, nil
		},
	})
}

// suricataDecoder reads Suricata's EVE log, one JSON object a line. Events of type flow are
// one record with both directions, the client (src_ip) being the source; events of type
// netflow are one direction, and a conversation has two of them. All other events (alert,
// dns, http, stats and so on) say nothing of a flow's counters: they are no flow records
// and are skipped, counted as such.
//
// flow.start and flow.end are the flow's times; event time is the end, or the start where
// there is no end (time quality no_end). timestamp is when the event was logged: the
// observed time. Times are ISO 8601 with an offset from UTC. Counters are totals of the
// whole flow, bytes those of frames with their link layer, as captures have them.
//
// flow.state is the connection state. flow.reason gives the end reason: forced for forced
// and shutdown; for timeout "end" where the state is closed, else "idle"; it is an extension
// too. flow.action drop, pass or accept is the action. tcp.tcp_flags (hexadecimal text) are
// the flags of both directions, and tcp.syn, tcp.ack and so on, which say them again, are
// left out where they do. app_proto is the application unless it is "failed" or "unknown",
// which says that none was found. host is the exporter, in_iface the ingress interface. Of
// several VLAN tags the first is the record's. All else is an extension, named by its place:
// flow_id, flow.age, tcp.state, metadata.
//
// The id is made of host, flow_id, start and event type as they are written: the sensor's id
// of a flow comes again after a time. That of a netflow event has addresses and ports in it
// too, because both directions have one flow_id and one start. Without flow_id or start it
// is the hash of the whole line.
//
// Source: https://docs.suricata.io/en/latest/output/eve/eve-json-format.html
type suricataDecoder struct {
	object jsonObject
	ext    extension.List
}

// suricataEvent collects what only together makes sense.
type suricataEvent struct {
	r                                                *flow.Record
	state, reason                                    string
	protocol                                         string
	host, id, start, typ, src, sport, dest, destPort string // as written, for the id
	counted                                          bool   // flow or netflow was there
}

func (d *suricataDecoder) Decode(data string, r *flow.Record) (Outcome, error) {
	s := trim(data)
	if s == "" {
		return Skip, nil
	}
	if err := d.object.parse(s); err != nil {
		return Parsed, err
	}
	e := suricataEvent{r: r}
	typ := memberNamed(d.object.members, "event_type")
	switch {
	case typ == nil:
		return Parsed, missing("event_type")
	case typ.wantString() != nil:
		return Parsed, typ.wantString()
	case typ.text == "flow" || typ.text == "netflow":
	case memberNamed(d.object.members, "timestamp") == nil: // other tools have event types too
		return Parsed, missing("timestamp")
	default:
		return Skip, nil
	}
	e.typ = typ.text
	if err := d.fill(&e); err != nil {
		d.ext.Drop()
		return Parsed, err
	}
	if err := e.finish(); err != nil {
		d.ext.Drop()
		return Parsed, err
	}
	r.Extensions = d.ext.Take()
	return Parsed, nil
}

func (d *suricataDecoder) fill(e *suricataEvent) (err error) {
	r := e.r
	for i := range d.object.members {
		m := &d.object.members[i]
		if m.kind == 'n' {
			continue // null is absent
		}
		keep := false
		switch m.name {
		case "event_type":
		case "timestamp":
			r.Observed, err = m.isoTime("")
		case "flow_id":
			e.id, keep = m.text, true
		case "src_ip":
			e.src = m.text
			err = m.address(&r.Source.IP)
		case "dest_ip":
			e.dest = m.text
			err = m.address(&r.Destination.IP)
		case "src_port":
			e.sport = m.text
			r.Source.Port, err = m.integer("", 65535)
		case "dest_port":
			e.destPort = m.text
			r.Destination.Port, err = m.integer("", 65535)
		case "proto":
			e.protocol, err = m.str()
			n, ok := protocolNumber(e.protocol)
			if r.Protocol = (flow.Int{}); ok {
				r.Protocol = flow.N(n)
			}
			keep = !ok
		case "icmp_type":
			r.ICMPType, err = m.integer("", 255)
		case "icmp_code":
			r.ICMPCode, err = m.integer("", 255)
		case "app_proto":
			if r.Application, err = m.str(); r.Application == "failed" || r.Application == "unknown" {
				r.Application, keep = "", true
			}
		case "community_id":
			r.CommunityID, err = m.str()
		case "in_iface":
			r.IngressInterface, err = m.str()
		case "host":
			// A shipper may put an object of its own in the sensor's place.
			if e.host = m.text; m.kind == '"' {
				r.Exporter.Name = m.text
			} else {
				keep = true
			}
		case "vlan":
			keep, err = e.vlan(m)
		case "ether":
			keep, err = d.ether(m, r)
		case "flow":
			if e.typ == "flow" {
				err = d.counters(m, e, "flow.")
			} else {
				keep = true
			}
		case "netflow":
			if e.typ == "netflow" {
				err = d.counters(m, e, "netflow.")
			} else {
				keep = true
			}
		case "tcp":
			err = d.tcp(m, r)
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

// counters reads the object flow or netflow.
func (d *suricataDecoder) counters(object *jsonMember, e *suricataEvent, prefix string) (err error) {
	if err := object.want('{', "an object"); err != nil {
		return err
	}
	e.counted = true
	r := e.r
	members := d.object.of(object)
	for i := range members {
		m := &members[i]
		if m.kind == 'n' {
			continue
		}
		keep := false
		switch m.name {
		case "pkts_toserver", "pkts":
			r.Source.Packets, err = m.count(prefix)
		case "bytes_toserver", "bytes":
			r.Source.Bytes, err = m.count(prefix)
		case "pkts_toclient":
			r.Destination.Packets, err = m.count(prefix)
		case "bytes_toclient":
			r.Destination.Bytes, err = m.count(prefix)
		case "start":
			e.start = m.text
			r.Start, err = m.isoTime(prefix)
		case "end":
			r.End, err = m.isoTime(prefix)
		case "state":
			r.ConnectionState, err = m.str()
		case "reason":
			e.reason, err = m.str()
			keep = true
		case "action":
			var action string
			switch action, err = m.str(); action {
			case "drop":
				r.Action = "drop"
			case "pass", "accept":
				r.Action = "accept"
			default:
				keep = true
			}
		default:
			keep = true
		}
		if err != nil {
			return err
		}
		if keep {
			d.keep(m)
		}
	}
	return nil
}

// keep makes an extension of a member of an object inside.
func (d *suricataDecoder) keep(m *jsonMember) {
	if m.kind != 'n' {
		d.ext.Put(d.object.names.path(m.id), m.text, m.extensionKind())
	}
}

func (d *suricataDecoder) tcp(object *jsonMember, r *flow.Record) error {
	if err := object.want('{', "an object"); err != nil {
		return err
	}
	members := d.object.of(object)
	if m := memberNamed(members, "tcp_flags"); m != nil && m.kind != 'n' {
		text, err := m.str()
		if err != nil {
			return err
		}
		n, err := strconv.ParseUint(text, 16, 16)
		if err != nil {
			return wrongType("tcp.tcp_flags", "hexadecimal digits", text)
		}
		r.TCPFlags = flow.N(int64(n))
	}
	for i := range members {
		m := &members[i]
		switch bit := tcpFlagNamed(m.name); {
		case m.name == "tcp_flags":
		case bit != 0 && r.TCPFlags.OK && (m.kind == 't') == (r.TCPFlags.V&bit != 0):
		default:
			d.keep(m)
		}
	}
	return nil
}

// tcpFlagNamed is the bit of a flag that Suricata names, or 0.
func tcpFlagNamed(name string) int64 {
	switch name {
	case "fin":
		return 0x01
	case "syn":
		return 0x02
	case "rst":
		return 0x04
	case "psh":
		return 0x08
	case "ack":
		return 0x10
	case "urg":
		return 0x20
	case "ecn":
		return 0x40
	case "cwr":
		return 0x80
	}
	return 0
}

// vlan reads one tag, or a list of which the first is the outer one.
func (e *suricataEvent) vlan(m *jsonMember) (keep bool, err error) {
	text := m.text
	if m.kind == '[' {
		var more bool
		text, _, more = strings.Cut(strings.Trim(text, "[]"), ",")
		if text = trim(text); text == "" {
			return true, nil
		}
		keep = more
	} else if err := m.wantNumber(); err != nil {
		return false, err
	}
	err = setInteger(&e.r.VLAN, "vlan", text, 4095)
	return keep, err
}

// ether reads the MAC addresses, where each side has one.
func (d *suricataDecoder) ether(m *jsonMember, r *flow.Record) (keep bool, err error) {
	if m.kind != '{' {
		return true, nil
	}
	members := d.object.of(m)
	for i := range members {
		x := &members[i]
		mac, one := x.text, x.kind == '"'
		if x.kind == '[' {
			mac, one = d.object.onlyString(x)
		}
		switch {
		case one && (x.name == "src_macs" || x.name == "src_mac"):
			r.Source.MAC = mac
		case one && (x.name == "dest_macs" || x.name == "dest_mac"):
			r.Destination.MAC = mac
		default:
			keep = true
		}
	}
	return keep, nil
}

func (e *suricataEvent) finish() error {
	r := e.r
	switch {
	case !e.counted:
		return missing(e.typ)
	case !r.Source.IP.OK():
		return missing("src_ip")
	case !r.Destination.IP.OK():
		return missing("dest_ip")
	}
	end := "flow.end"
	if e.typ == "netflow" {
		end = "netflow.end"
	}
	if err := endOrStart(r, end, "start"); err != nil {
		return err
	}
	switch e.reason {
	case "timeout":
		if r.EndReason = "idle"; r.ConnectionState == "closed" {
			r.EndReason = "end"
		}
	case "forced", "shutdown":
		r.EndReason = "forced"
	}
	r.CounterSemantics, r.ByteLayer = "total", "l2"
	if e.id == "" || e.start == "" {
		return nil
	}
	if e.typ == "netflow" {
		r.ID = flow.NewIDText(r.Format, e.host, e.id, e.start, e.typ, e.src, e.sport, e.dest, e.destPort)
	} else {
		r.ID = flow.NewIDText(r.Format, e.host, e.id, e.start, e.typ)
	}
	return nil
}

func detectSuricata(head []byte) int {
	switch {
	case looksLikeJSON(head, "event_type", "flow_id"):
		return 92
	case looksLikeJSON(head, "event_type", "timestamp"):
		return 85
	}
	return 0
}

// suricataTimestamp is the flow's end, or its start.
func suricataTimestamp(_ string, data []byte) (flow.Time, bool) {
	typ, counters := "", ""
	sc := newJSONScanner(view(data))
	for sc.next() == scanMember {
		switch sc.m.name {
		case "event_type":
			if typ = sc.m.text; typ != "flow" && typ != "netflow" {
				return 0, false
			}
		case "flow", "netflow":
			if sc.m.name == typ {
				counters = sc.m.text
			}
		}
		if counters != "" {
			break
		}
	}
	var start, end flow.Time
	sc = newJSONScanner(counters)
	for sc.next() == scanMember {
		switch sc.m.name {
		case "start":
			start, _ = sc.m.isoTime("")
		case "end":
			end, _ = sc.m.isoTime("")
		}
	}
	if end != 0 {
		return end, true
	}
	return start, start != 0
}
