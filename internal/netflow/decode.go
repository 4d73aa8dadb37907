package netflow

import (
	"encoding/binary"
	"slices"

	"github.com/flowbeam/flowbeam/flow"
)

// decodeSet reads the records of a data set and returns how many there were. after is how
// many sets follow it in the datagram.
//
// A record's id is made of the exporter's address, the header's domain, export time and
// sequence number, how many sets follow, its index in the set and its bytes. The sets
// behind are counted rather than those in front, because templates are put in front of a
// datagram to make it self-contained: the ids stay.
func (s *Session) decodeSet(d *Datagram, h *header, dom *domain, l *layout, set *set, after int, out *Output) (int, error) {
	if s.used != nil {
		s.used.sets(l)
	}
	body := set.body()
	var identity [12]byte
	be := binary.BigEndian
	be.PutUint32(identity[:], h.domain)
	be.PutUint32(identity[4:], uint32(int64(h.export)/1e9))
	be.PutUint32(identity[8:], h.seq)
	format := formatName(h.version)
	if !l.options && !l.variable {
		n := len(body) / l.size
		if n > maxRecords {
			return 0, tooMany(set)
		}
		out.Records = slices.Grow(out.Records, n)
	}
	n, o := 0, 0
	for len(body)-o >= l.size {
		rest := body[o:]
		if l.variable && len(rest) < 4 && allZero(rest) {
			break // padding, that could be taken for empty strings
		}
		if n >= maxRecords {
			return 0, tooMany(set)
		}
		s.row = row{x: &s.x, h: h}
		if l.options {
			s.row.r = new(flow.Record)
			size, err := s.fill(l, rest)
			if err != nil {
				return 0, err
			}
			s.learnOption(dom, l, rest[:size], out)
			n, o = n+1, o+size
			continue
		}
		var r *flow.Record
		out.Records, r = d.Append(out.Records, format, set.offset+4+o)
		r.Exporter.IP, r.Exporter.ObservationDomain = s.exporter, flow.N(int64(h.domain))
		s.row.r = r
		size, err := s.fill(l, rest)
		if err != nil {
			return 0, err
		}
		s.finish(dom, l)
		var place [8]byte
		be.PutUint32(place[:], uint32(after))
		be.PutUint32(place[4:], uint32(n))
		r.ID = flow.NewID(format, s.exporter.B[:s.exporter.Len], identity[:], place[:], rest[:size])
		n, o = n+1, o+size
	}
	if rest := body[o:]; len(rest) > 3 && !allZero(rest) {
		out.Counts.LeftoverBytes += int64(len(rest))
	}
	if l.options {
		out.Counts.OptionRecords += int64(n)
	} else {
		out.Counts.Records += int64(n)
	}
	return n, nil
}
