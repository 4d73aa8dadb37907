package netflow

import (
	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/datagram"
)

// decodeSet reads the records of a data set and returns how many there were. after is how
// many sets follow it in the datagram.
//
// A record's id is that of its place in its set (see id.go).
func (s *Session) decodeSet(d *Datagram, h *header, dom *domain, l *layout, set *set, after int, out *Output) (int, error) {
	if s.used != nil {
		s.used.sets(l)
	}
	body := set.body()
	format := formatName(h.version)
	first := len(out.Records)
	if !l.options && !l.variable {
		n := len(body) / l.size
		if n > maxRecords {
			return 0, tooMany(set)
		}
		out.Records = datagram.Append(out.Records, n)
	}
	var ids setID
	if !l.options {
		ids = s.setID(h, after, body)
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
		if l.variable {
			out.Records = datagram.Append(out.Records, 1)
		}
		r := &out.Records[first+n]
		d.Fill(r, format, set.offset+4+o)
		r.Exporter.IP, r.Exporter.ObservationDomain = s.exporter, flow.N(int64(h.domain))
		s.row.r = r
		size, err := s.fill(l, rest)
		if err != nil {
			return 0, err
		}
		s.finish(dom, l)
		ids.record(&r.ID, n)
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
