package netflow

import (
	"encoding/binary"
	"slices"

	"github.com/flowbeam/flowbeam/flow"
)

const (
	v5RecordSize = 48
	v5MaxRecords = 30
)

// decodeV5 reads a NetFlow v5 datagram: a header and up to 30 records of 48 bytes. The
// observation domain is engine type times 256 plus engine id. A sampling interval of 0 says
// nothing. Bytes behind the claimed records are not read.
//
// A record's id is made of the exporter's address, the header's times, sequence number and
// engine, its index and its bytes.
//
// Source: https://www.cisco.com/c/en/us/td/docs/net_mgmt/netflow_collection_engine/3-6/user/guide/format.html
func (s *Session) decodeV5(d *Datagram, h *header, out *Output) error {
	room := (len(d.Data) - h.size) / v5RecordSize
	if h.count > v5MaxRecords || h.count > room {
		return flow.Reject(flow.ReasonSyntax, "count: the header claims %d records, there is room for %d, and %d is the most", h.count, room, v5MaxRecords)
	}
	h.end = h.size + h.count*v5RecordSize
	dom := s.domain(h)
	s.restart(dom, h, out)
	be := binary.BigEndian
	rate := int64(be.Uint16(d.Data[22:]) & 0x3fff)
	out.Records = slices.Grow(out.Records, h.count)
	for i := range h.count {
		o := h.size + i*v5RecordSize
		b := d.Data[o : o+v5RecordSize : o+v5RecordSize]
		var r *flow.Record
		out.Records, r = d.Append(out.Records, "netflow5", o)
		s.row = row{r: r, x: &s.x, h: h}
		w := &s.row
		r.Exporter.IP, r.Exporter.ObservationDomain = s.exporter, flow.N(int64(h.domain))

		src, dst := &r.Source, &r.Destination
		src.IP.Len, dst.IP.Len = 4, 4
		copy(src.IP.B[:], b[0:4])
		copy(dst.IP.B[:], b[4:8])
		if !allZero(b[8:12]) {
			addExtension(w.x, "ipNextHopIPv4Address", kindIPv4, b[8:12])
		}
		w.ingress, w.egress = flow.N(int64(be.Uint16(b[12:]))), flow.N(int64(be.Uint16(b[14:])))
		src.Packets, src.Bytes = flow.N(int64(be.Uint32(b[16:]))), flow.N(int64(be.Uint32(b[20:])))
		w.first, w.last = flow.N(int64(be.Uint32(b[24:]))), flow.N(int64(be.Uint32(b[28:])))
		src.Port, dst.Port = flow.N(int64(be.Uint16(b[32:]))), flow.N(int64(be.Uint16(b[34:])))
		r.TCPFlags, r.Protocol, r.TypeOfService = flow.N(int64(b[37])), flow.N(int64(b[38])), flow.N(int64(b[39]))
		asn(&src.ASN, b[40:42])
		asn(&dst.ASN, b[42:44])
		src.PrefixLength, dst.PrefixLength = flow.N(int64(b[44])), flow.N(int64(b[45]))
		s.finish(dom, v5Layout)
		if rate > 0 {
			r.SamplingRate, r.SamplingSource = flow.N(rate), "header"
		}
		var place [4]byte
		be.PutUint32(place[:], uint32(i))
		r.ID = flow.NewID("netflow5", s.exporter.B[:s.exporter.Len], d.Data[8:22], place[:], b)
	}
	out.Counts.Records += int64(h.count)
	dom.sequence.count(h, h.count, true, &out.Counts)
	return nil
}

// v5Layout says what v5's counters count.
var v5Layout = &layout{semantics: "delta", byteLayer: "ip"}
