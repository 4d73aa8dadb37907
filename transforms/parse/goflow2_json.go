package parse

import (
	"strconv"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/extension"
)

func init() {
	Register(Format{
		FormatInfo: flow.FormatInfo{
			Name:      "goflow2",
			Detect:    detectGoflow2,
			Timestamp: goflow2Timestamp,
		},
		New: func(string) (Decoder, error) {
			d := &goflow2Decoder{}
			d.object.names.field = func(name string) int16 { return int16(goflow2Numbered[name]) }
			return d, nil
		},
	})
}

// goflow2Decoder reads the JSON of goflow2 (-format=json), one object each. What the members
// mean is said at [goflow2Type]. proto and etype are names ("TCP", "IPv6"), src_net and
// dst_net prefixes, MAC addresses text. Of members that goflow2 was configured to add, and of
// arrays, the values are extensions. The id is the hash of the whole line.
type goflow2Decoder struct {
	object jsonObject
	ext    extension.List
}

func (d *goflow2Decoder) Decode(data string, r *flow.Record) (Outcome, error) {
	s := trim(data)
	if s == "" {
		return Skip, nil
	}
	if err := d.object.parse(s); err != nil {
		return Parsed, err
	}
	g := goflow2Record{r: r}
	if err := d.fill(&g); err != nil {
		d.ext.Drop()
		return Parsed, err
	}
	if err := g.finish(&d.ext); err != nil {
		d.ext.Drop()
		return Parsed, err
	}
	r.Extensions = d.ext.Take()
	return Parsed, nil
}

func (d *goflow2Decoder) fill(g *goflow2Record) error {
	for i := range d.object.members {
		m := &d.object.members[i]
		if m.kind == 'n' || m.text == "" || m.text == "0" || m.text == "[]" {
			continue
		}
		keep, err := d.set(g, m, int(m.field))
		if err != nil {
			return err
		}
		if keep {
			m.keep(&d.ext)
		}
	}
	return nil
}

func (d *goflow2Decoder) set(g *goflow2Record, m *jsonMember, field int) (keep bool, err error) {
	r := g.r
	switch goflow2Fields[field].kind {
	case goflow2Address:
		var ip flow.IP
		err := m.address(&ip)
		return err == nil && g.address(field, ip), err
	case goflow2Number:
	default:
		return true, nil
	}
	if m.kind == '"' {
		switch field {
		case goflow2Type:
			g.typ = m.text
			return false, nil
		case goflow2Protocol:
			n, ok := protocolNumber(m.text)
			if ok {
				r.Protocol = flow.N(n)
			}
			return !ok, nil
		case goflow2EtherType:
			return m.text != "IPv4" && m.text != "IPv6", nil
		case goflow2SourceNet:
			r.Source.PrefixLength, err = prefixLength(m.name, m.text)
			return false, err
		case goflow2DestinationNet:
			r.Destination.PrefixLength, err = prefixLength(m.name, m.text)
			return false, err
		case goflow2SourceMAC, goflow2DestinationMAC:
			if !isMAC(m.text) {
				return true, nil
			}
			if mac := notZero(m.text); field == goflow2SourceMAC {
				r.Source.MAC = mac
			} else {
				r.Destination.MAC = mac
			}
			return false, nil
		case goflow2Received, goflow2Start, goflow2End:
			t, err := timestamp(m.name, m.text) // as a renderer datetimenano writes it
			g.time(field, t)
			return false, err
		}
	}
	if m.kind != '0' {
		return false, m.wantNumber()
	}
	if m.whole && m.n >= 0 {
		return g.number(field, uint64(m.n))
	}
	v, err := strconv.ParseUint(m.text, 10, 64)
	if err != nil {
		if _, ok, _ := parseInt(m.text); !ok {
			return false, wrongType(m.name, "an integer", m.text)
		}
		return false, flow.Reject(flow.ReasonValue, "%s: %s is negative or too large", m.name, quoted(m.text))
	}
	return g.number(field, v)
}

func detectGoflow2(head []byte) int {
	switch {
	case looksLikeJSON(head, "sampler_address", "time_received_ns"), looksLikeJSON(head, "time_flow_start_ns", "src_addr"),
		looksLikeJSON(head, "time_flow_end_ns", "bytes"):
		return 91
	}
	return 0
}

func goflow2Timestamp(_ string, data []byte) (flow.Time, bool) {
	var received, start, end flow.Time
	sc := newJSONScanner(view(data))
	for end == 0 && sc.next() == scanMember {
		var to *flow.Time
		switch sc.m.name {
		case "time_received_ns":
			to = &received
		case "time_flow_start_ns":
			to = &start
		case "time_flow_end_ns":
			to = &end
		default:
			continue
		}
		if sc.m.kind == '"' {
			*to, _ = timestamp("", sc.m.text)
		} else if n, ok, inRange := parseInt(sc.m.text); ok && inRange && n > 0 {
			*to = flow.Time(n)
		}
	}
	for _, t := range [...]flow.Time{end, start, received} {
		if t != 0 {
			return t, true
		}
	}
	return 0, false
}
