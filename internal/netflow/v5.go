package netflow

import (
	"encoding/binary"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/datagram"
)

const (
	v5RecordSize = 48
	v5MaxRecords = 30
)

// decodeV5 reads a NetFlow v5 datagram: a header and up to 30 records of 48 bytes. The
// observation domain is engine type times 256 plus engine id. A sampling interval of 0 says
// nothing. Bytes behind the claimed records are not read.
//
// A record's id is made of the exporter's address, the datagram from the header's times to
// the last record (the uptime is before that), and the record's index.
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
	ids := s.hashed(V5, d.Data[8:h.end])
	out.Records = datagram.Append(out.Records, h.count)
	records := out.Records[len(out.Records)-h.count:]
	for i := range records {
		o := h.size + i*v5RecordSize
		r := &records[i]
		d.Fill(r, "netflow5", o)
		ids.record(&r.ID, i)
		r.Exporter.IP, r.Exporter.ObservationDomain = s.exporter, flow.N(int64(h.domain))
		r.CounterSemantics, r.ByteLayer = "delta", "ip"
		if rate > 0 {
			r.SamplingRate, r.SamplingSource = flow.N(rate), "header"
		}
		s.v5Record(r, h, (*[v5RecordSize]byte)(d.Data[o:]))
	}
	out.Counts.Records += int64(h.count)
	dom.sequence.count(h, h.count, true, &out.Counts)
	return nil
}

func (s *Session) v5Record(r *flow.Record, h *header, b *[v5RecordSize]byte) {
	be := binary.BigEndian
	src, dst := &r.Source, &r.Destination
	src.IP.Len, dst.IP.Len = 4, 4
	copy(src.IP.B[:4], b[0:4])
	copy(dst.IP.B[:4], b[4:8])
	if hop := b[8:12]; be.Uint32(hop) != 0 {
		s.x.Add(flow.Ext("ipNextHopIPv4Address", s.x.IPv4(hop)))
	}
	r.IngressInterface, r.EgressInterface = s.x.Number(uint64(be.Uint16(b[12:]))), s.x.Number(uint64(be.Uint16(b[14:])))
	src.Packets, src.Bytes = flow.N(int64(be.Uint32(b[16:]))), flow.N(int64(be.Uint32(b[20:])))
	start, first := h.absolute(int64(be.Uint32(b[24:])), 0)
	end, last := h.absolute(int64(be.Uint32(b[28:])), 0)
	r.Start, r.End = start, end
	if first || last {
		r.TimeQuality = "uptime_wrap"
	}
	src.Port, dst.Port = flow.N(int64(be.Uint16(b[32:]))), flow.N(int64(be.Uint16(b[34:])))
	r.TCPFlags, r.Protocol, r.TypeOfService = flow.N(int64(b[37])), flow.N(int64(b[38])), flow.N(int64(b[39]))
	if v := be.Uint16(b[40:]); v != 0 {
		src.ASN = flow.N(int64(v))
	}
	if v := be.Uint16(b[42:]); v != 0 {
		dst.ASN = flow.N(int64(v))
	}
	src.PrefixLength, dst.PrefixLength = flow.N(int64(b[44])), flow.N(int64(b[45]))
	eventTime(r, &s.x, 0, h.export)
	ports(r, &s.x, flow.Int{})
	r.Extensions = s.x.Take()
}
