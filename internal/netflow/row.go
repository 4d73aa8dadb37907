package netflow

import (
	"math"
	"time"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/extension"
)

// row is one record on its way: what can be said of it only when all its fields are read,
// or with what options records said.
type row struct {
	r *flow.Record
	x *extension.Block
	h *header

	postBytes, postPackets        flow.Int
	ipVersion, icmp, reverseFlags flow.Int
	ingress, egress               flow.Int // interface numbers
	interfaceName                 string
	application                   []byte
	selector                      flow.Int // of sampling
	sampling                      sampling
	first, last                   flow.Int  // ms of the exporter's uptime
	base                          flow.Time // when that began
	observed, duration            flow.Time
	haveDuration                  bool
	packet                        []byte // the first bytes of a sampled one
	frame                         bool   // of its frame
}

// fill reads the record at the beginning of b into the row, and returns its length.
func (s *Session) fill(l *layout, b []byte) (int, error) {
	w := &s.row
	if !l.variable {
		fields := l.fields
		if w.place(l, b) {
			fields = l.others
		}
		for i := range fields {
			f := &fields[i]
			v := b[f.offset : f.offset+f.length]
			if !f.set.set(w, v) && !l.options {
				addExtension(w.x, f.name, f.kind, v)
			}
		}
		return l.size, nil
	}
	o := 0
	for i := range l.fields {
		f := &l.fields[i]
		n := f.length
		if f.variable {
			if o >= len(b) {
				return 0, cut(l, f)
			}
			if n = int(b[o]); n < 255 {
				o++
			} else {
				if o+3 > len(b) {
					return 0, cut(l, f)
				}
				n = int(b[o+1])<<8 | int(b[o+2])
				o += 3
			}
		}
		if o+n > len(b) {
			return 0, cut(l, f)
		}
		v := b[o : o+n : o+n]
		o += n
		if n == 0 {
			continue
		}
		k := f.kind
		if f.variable && !k.fits(n) {
			k = kindOctets
		} else if f.set.set(w, v) {
			continue
		}
		if !l.options {
			addExtension(w.x, f.name, k, v)
		}
	}
	return o, nil
}

func cut(l *layout, f *field) error {
	return flow.Reject(flow.ReasonSyntax, "%s: a record of template %d ends beyond its set", f.name, l.id)
}

// finish sets what needs the whole record.
func (s *Session) finish(dom *domain, l *layout) {
	w := &s.row
	r := w.r
	if w.packet != nil {
		w.sampledPacket()
	}
	own(w.x, &r.Source.Bytes, w.postBytes, "postOctetDeltaCount")
	own(w.x, &r.Source.Packets, w.postPackets, "postPacketDeltaCount")
	r.CounterSemantics, r.ByteLayer = l.semantics, l.byteLayer
	if !r.Source.Bytes.OK && !r.Destination.Bytes.OK {
		r.ByteLayer = ""
	}
	s.times(dom)
	s.interfaces(dom)
	s.applications(dom)
	s.rates(dom)
	if w.ipVersion.OK && w.ipVersion != r.Source.IP.Version() && w.ipVersion != r.Destination.IP.Version() {
		w.x.AddNumber("ipVersion", uint64(w.ipVersion.V))
	}
	if w.reverseFlags.OK {
		if r.TCPFlags.OK {
			w.x.AddNumber("tcpControlBits", uint64(r.TCPFlags.V))
		}
		r.TCPFlags = flow.N(r.TCPFlags.V | w.reverseFlags.V)
	}
	ports(r, w.x, w.icmp)
	r.Extensions = w.x.Take()
}

// own makes a counter of the egress the flow's own where there is no other.
func own(x *extension.Block, counter *flow.Int, post flow.Int, name string) {
	switch {
	case !post.OK:
	case counter.V == 0:
		*counter = post
	default:
		x.AddNumber(name, uint64(post.V))
	}
}

// ports takes away what a protocol does not have, which exporters with one template for all
// fill with zeros: ports, TCP flags, the type and code of ICMP. ICMP's are where IPFIX has
// them, or as one number in the destination port, beside a source port of 0.
func ports(r *flow.Record, x *extension.Block, typeCode flow.Int) {
	switch {
	case !r.Protocol.OK:
		if typeCode.OK {
			r.ICMPType, r.ICMPCode = flow.N(typeCode.V>>8), flow.N(typeCode.V&255)
		}
		return
	case r.Protocol.V == 1 || r.Protocol.V == 58:
		icmp(r, typeCode)
	case r.ICMPType.V|r.ICMPCode.V|typeCode.V != 0:
		x.AddNumber("icmpTypeCode", uint64(r.ICMPType.V<<8|r.ICMPCode.V|typeCode.V))
		fallthrough
	default:
		r.ICMPType, r.ICMPCode = flow.Int{}, flow.Int{}
	}
	if r.Protocol.V == 6 {
		return
	}
	if r.TCPFlags.V != 0 {
		x.AddNumber("tcpControlBits", uint64(r.TCPFlags.V))
	}
	r.TCPFlags = flow.Int{}
	switch r.Protocol.V {
	case 17, 33, 132, 136: // UDP, DCCP, SCTP, UDP-Lite
		return
	}
	if r.Source.Port.V != 0 {
		x.AddNumber("sourceTransportPort", uint64(r.Source.Port.V))
	}
	if r.Destination.Port.V != 0 {
		x.AddNumber("destinationTransportPort", uint64(r.Destination.Port.V))
	}
	r.Source.Port, r.Destination.Port = flow.Int{}, flow.Int{}
}

func icmp(r *flow.Record, typeCode flow.Int) {
	port := r.Destination.Port
	switch {
	case typeCode.OK && (typeCode.V != 0 || port.V == 0 || r.Source.Port.V != 0):
		r.ICMPType, r.ICMPCode = flow.N(typeCode.V>>8), flow.N(typeCode.V&255)
	case !r.ICMPType.OK && port.OK && r.Source.Port.V == 0:
		r.ICMPType, r.ICMPCode = flow.N(port.V>>8), flow.N(port.V&255)
	}
	if r.ICMPType.OK && port.V == r.ICMPType.V<<8|r.ICMPCode.V {
		r.Destination.Port = flow.Int{} // the same once more
	}
}

// wrap is after how many ms an uptime begins at 0 again: 49.7 days.
const wrap = 1 << 32

// times makes absolute times of uptimes, and sets the event time: the end, or the time of
// observation, or the start, or else that of the export.
func (s *Session) times(dom *domain) {
	w := &s.row
	r := w.r
	if w.base != 0 && (w.h.version != IPFIX || !w.first.OK && !w.last.OK) {
		w.x.Add(flow.Ext("systemInitTimeMilliseconds", w.base.String())) // no time is counted from it
	}
	if w.first.OK || w.last.OK {
		base, wrapped := w.base, false
		if base == 0 && w.h.version == IPFIX {
			if o := s.need(dom.options.base); o != nil {
				base = o.base
			}
		}
		if w.first.OK {
			wrapped = w.uptime(&r.Start, w.first.V, base, "flowStartSysUpTime")
		}
		if w.last.OK {
			wrapped = w.uptime(&r.End, w.last.V, base, "flowEndSysUpTime") || wrapped
		}
		if wrapped {
			r.TimeQuality = "uptime_wrap"
		}
	}
	if w.haveDuration {
		switch {
		case r.Start != 0 && r.End == 0:
			r.End = r.Start + w.duration
		case r.End != 0 && r.Start == 0:
			r.Start = r.End - w.duration
		default:
			w.x.AddNumber("flowDurationMicroseconds", uint64(w.duration/1e3))
		}
	}
	eventTime(r, w.x, w.observed, w.h.export)
}

// uptime makes a time of an uptime, and says whether that had wrapped since. Where it is not
// known when it was zero, it stays as it is.
func (w *row) uptime(to *flow.Time, uptime int64, base flow.Time, name string) (wrapped bool) {
	if base == 0 && w.h.version == IPFIX {
		w.x.AddNumber(name, uint64(uptime))
		return false
	}
	*to, wrapped = w.h.absolute(uptime, base)
	return wrapped
}

// eventTime sets the time of the event and what is doubtful of the times.
func eventTime(r *flow.Record, x *extension.Block, observed, export flow.Time) {
	if r.Start > r.End && r.End != 0 {
		x.Add(flow.Ext("flowStart", r.Start.String())) // impossible, and not lost
		r.Start = 0
	}
	if r.Observed = observed; observed == 0 {
		r.Observed = export
	}
	if r.End != 0 {
		if r.EventTime = r.End; r.Start == 0 {
			r.TimeQuality = "no_start"
		}
		return
	}
	r.TimeQuality = "no_end"
	switch {
	case observed != 0:
		r.EventTime = observed
	case r.Start != 0:
		r.EventTime = r.Start
	default:
		r.EventTime = export
	}
}

// absolute is the time of an uptime in ms, and whether the uptime had wrapped since then.
// base is when the exporter booted; in v5 and v9 the header tells it, with the export's time
// and uptime at one instant.
func (h *header) absolute(uptime int64, base flow.Time) (t flow.Time, wrapped bool) {
	if base != 0 && h.version == IPFIX {
		t = base + flow.Time(uptime)*flow.Time(time.Millisecond)
		// The base stays and the uptime wraps: the time is the one near the export.
		turns := (int64(h.export-t)/1e6 + wrap/2) / wrap
		if turns > 0 {
			return t + flow.Time(turns*wrap*1e6), true
		}
		return t, false
	}
	ago := int64(h.uptime) - uptime
	if ago <= -wrap/2 { // not that far ahead of the header: it was before the wrap
		ago, wrapped = ago+wrap, true
	}
	return h.export - flow.Time(ago)*flow.Time(time.Millisecond), wrapped
}

// interfaces names the interfaces: by their name where an options record gave it, with the
// number as an extension then, and else by the number.
func (s *Session) interfaces(dom *domain) {
	w := &s.row
	if w.ingress.OK {
		w.r.IngressInterface = s.interfaceText(dom, w.ingress.V, "ingressInterface")
	}
	if w.egress.OK {
		w.r.EgressInterface = s.interfaceText(dom, w.egress.V, "egressInterface")
	}
	if w.interfaceName != "" {
		w.x.Add(flow.Ext("interfaceName", w.interfaceName))
	}
}

func (s *Session) interfaceText(dom *domain, index int64, element string) string {
	if len(dom.options.interfaces) > 0 {
		if o := s.need(dom.options.interfaces[index]); o != nil {
			s.x.AddNumber(element, uint64(index))
			return o.text
		}
	}
	return s.x.Number(uint64(index))
}

// applications names the application by its id (RFC 6759: a byte for who numbered it, then
// the number), which stays an extension.
func (s *Session) applications(dom *domain) {
	w := &s.row
	if w.application == nil {
		return
	}
	if allZero(w.application) {
		return // unclassified
	}
	if len(w.application) > 1 && len(w.application) <= 9 {
		b := w.application
		w.x.Add(flow.Ext("applicationId", w.x.Number(uint64(b[0]))+":"+w.x.Number(number(b[1:]))))
	} else {
		w.x.Add(flow.Ext("applicationId", w.x.Hex(w.application)))
	}
	if w.r.Application == "" {
		if o := s.need(dom.options.applications[string(w.application)]); o != nil {
			w.r.Application = o.text
		}
	}
}

// rates sets the sampling rate: the record's own, or that of its selector, of its interface,
// or of the whole domain. A domain that told of one selector only samples by that one.
func (s *Session) rates(dom *domain) {
	w, o := &s.row, &dom.options
	if rate, ok := w.sampling.rate(); ok {
		w.r.SamplingRate, w.r.SamplingSource = flow.N(rate), "record"
		w.sampling.rest(w.x)
		return
	}
	if p := &w.sampling; p.space.OK || p.size.OK || p.population.OK { // parts of a rate
		p.rest(w.x)
	}
	var found *option
	if w.selector.OK {
		found = o.selectors[w.selector.V]
	}
	if found == nil && w.ingress.OK {
		found = o.interfaceRates[w.ingress.V]
	}
	if found == nil && !w.selector.OK {
		found = o.rate
		if found == nil && len(o.selectors) == 1 {
			for _, found = range o.selectors {
			}
		}
	}
	if found = s.need(found); found != nil {
		w.r.SamplingRate, w.r.SamplingSource = flow.N(min(found.rate, math.MaxInt64)), "options"
	}
}
