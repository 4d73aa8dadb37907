package parse

import (
	"strings"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/extension"
)

func init() {
	Register(Format{
		FormatInfo: flow.FormatInfo{
			Name:      "nfdump_json",
			Detect:    detectNfdumpJSON,
			Header:    skipZone,
			Split:     splitObjects,
			Timestamp: nfdumpJSONTimestamp,
		},
		New: func(header string) (Decoder, error) {
			z, _, err := readZone(header)
			if err != nil {
				return nil, err
			}
			d := &nfdumpJSONDecoder{zone: z}
			d.object.names.field = func(name string) int16 { return int16(nfdumpMembers[name]) }
			return d, nil
		},
	})
}

// nfdumpJSONDecoder reads nfdump's JSON (nfdump -o json): an array of objects which span lines, or
// an object a line (-o json-log); the array's brackets and commas around an object are let
// pass. What the members mean is said at [nfdumpFirst]. "No matching flows", which an empty
// result has in the array's place, is no record and is skipped. The id is the hash of
// the object as it is written.
type nfdumpJSONDecoder struct {
	zone   zone
	object jsonObject
	ext    extension.List
}

var nfdumpMembers = map[string]int8{
	"first": nfdumpFirst, "last": nfdumpLast, "received": nfdumpReceived, "in_packets": nfdumpPackets, "in_bytes": nfdumpBytes,
	"proto": nfdumpProtocol, "tcp_flags": nfdumpFlags, "src_port": nfdumpSourcePort, "dst_port": nfdumpDestinationPort,
	"icmp_type": nfdumpICMPType, "icmp_code": nfdumpICMPCode, "src_tos": nfdumpSourceTOS,
	"src4_addr": nfdumpSource, "src6_addr": nfdumpSource, "dst4_addr": nfdumpDestination, "dst6_addr": nfdumpDestination,
	"input_snmp": nfdumpInput, "output_snmp": nfdumpOutput, "src_mask": nfdumpSourceMask, "dst_mask": nfdumpDestinationMask,
	"direction": nfdumpDirection, "out_packets": nfdumpOutPackets, "out_bytes": nfdumpOutBytes, "src_vlan": nfdumpSourceVLAN,
	"src_as": nfdumpSourceAS, "dst_as": nfdumpDestinationAS, "ip4_router": nfdumpRouter, "ip6_router": nfdumpRouter,
	"in_src_mac": nfdumpSourceMAC, "in_dst_mac": nfdumpDestinationMAC,
	"src4_xlt_ip": nfdumpSourceNAT, "src6_xlt_ip": nfdumpSourceNAT, "dst4_xlt_ip": nfdumpDestinationNAT, "dst6_xlt_ip": nfdumpDestinationNAT,
	"src_xlt_port": nfdumpSourceNATPort, "dst_xlt_port": nfdumpDestinationNATPort, "user_name": nfdumpUser,
	"observationDomainID": nfdumpDomain, "observationDoaminID": nfdumpDomain, "observationPointID": nfdumpPoint,
}

func (d *nfdumpJSONDecoder) Decode(data string, r *flow.Record) (Outcome, error) {
	s := nfdumpObject(data)
	if s == "" || s == nfdumpNoFlows {
		return Skip, nil
	}
	if err := d.object.parse(s); err != nil {
		return Parsed, err
	}
	n := nfdumpRecord{r: r, zone: d.zone}
	if err := d.fill(&n); err != nil {
		d.ext.Drop()
		return Parsed, err
	}
	if err := n.finish(&d.ext); err != nil {
		d.ext.Drop()
		return Parsed, err
	}
	r.Extensions = d.ext.Take()
	if len(s) != len(trim(data)) { // else it is the id that a record without one gets
		r.ID = flow.NewIDText(r.Format, s)
	}
	return Parsed, nil
}

func (d *nfdumpJSONDecoder) fill(n *nfdumpRecord) error {
	for i := range d.object.members {
		m := &d.object.members[i]
		f := int8(m.field)
		if m.kind == 'n' || m.text == "" || m.text == "<none>" {
			continue
		}
		if f != nfdumpOther && m.kind != '"' && m.kind != '0' {
			return flow.Reject(flow.ReasonField, "%s: want a string or a number, have %s %s", m.name, kindName(m.kind), quoted(m.text))
		}
		keep := true
		if f != nfdumpOther || m.kind == '"' || m.kind == '0' {
			var err error
			if keep, err = n.set(f, m.name, m.text); err != nil {
				return err
			}
		}
		if keep {
			m.keep(&d.ext)
		}
	}
	return nil
}

// nfdumpObject takes off what stands around an object in an array.
func nfdumpObject(data string) string {
	s := trim(data)
	for s != "" && s[0] == '[' {
		s = trim(s[1:])
	}
	for s != "" && (s[len(s)-1] == ',' || s[len(s)-1] == ']') && (s[0] == '{' || len(s) == 1 || strings.HasPrefix(s, nfdumpNoFlows)) {
		s = trim(s[:len(s)-1])
	}
	return s
}

func detectNfdumpJSON(head []byte) int {
	head = head[:min(len(head), 8<<10)]
	s := view(head[skipZone(head):])
	if object := nfdumpObject(s); object == nfdumpNoFlows {
		return 80
	}
	s = strings.TrimLeft(s, "[ \t\r\n")
	if s == "" || s[0] != '{' {
		return 0
	}
	if i := strings.IndexByte(s, '}'); i >= 0 {
		s = s[:i]
	}
	has := func(name string) bool { return strings.Contains(s, `"`+name+`"`) }
	if has("first") && has("last") && (has("src4_addr") || has("src6_addr") || has("in_packets")) {
		return 92
	}
	return 0
}

// nfdumpJSONTimestamp is the last packet's time.
func nfdumpJSONTimestamp(header string, data []byte) (flow.Time, bool) {
	z, _, err := readZone(header)
	if err != nil {
		return 0, false
	}
	n := nfdumpRecord{zone: z}
	var start, end flow.Time
	sc := newJSONScanner(nfdumpObject(view(data)))
	for end == 0 && sc.next() == scanMember {
		switch sc.m.name {
		case "first":
			start, _ = n.time("", sc.m.text)
		case "last":
			end, _ = n.time("", sc.m.text)
		}
	}
	if end != 0 {
		return end, true
	}
	return start, start != 0
}
