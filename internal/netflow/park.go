package netflow

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/flowbeam/flowbeam/flow"
)

// parking holds the data sets that wait for their template, oldest first.
type parking struct {
	sets  []parkedSet
	bytes int
}

type parkedSet struct {
	d     Datagram // without Data
	h     header
	head  []byte // the header's bytes
	set   set    // with bytes of its own
	after int    // sets that followed it
}

func (p *parkedSet) size() int { return len(p.head) + len(p.set.bytes) }

// datagram is the set alone with its header. Behind it stand as many empty sets as sets
// followed it, so that its records have the same ids.
func (p *parkedSet) datagram() []byte {
	b := make([]byte, 0, p.size()+4*p.after)
	b = append(b, p.head...)
	b = append(b, p.set.bytes...)
	for range p.after {
		b = binary.BigEndian.AppendUint16(b, p.set.id)
		b = append(b, 0, 4)
	}
	if p.h.version == V9 {
		binary.BigEndian.PutUint16(b[2:], 1)
	} else {
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	}
	return b
}

// Waiting is how many data sets wait for their template, and their bytes.
func (s *Session) Waiting() (sets, bytes int) { return len(s.parked.sets), s.parked.bytes }

// Oldest is when the data set was received that has waited for longest, zero where none waits.
func (s *Session) Oldest() flow.Time {
	if len(s.parked.sets) == 0 {
		return 0
	}
	return s.parked.sets[0].d.Received
}

// park makes a data set wait.
func (s *Session) park(d *Datagram, h *header, from *set, after int, out *Output) {
	p := parkedSet{d: *d, h: *h, head: slices.Clone(d.Data[:h.size]), set: *from, after: after}
	p.d.Data, p.set.bytes = nil, slices.Clone(from.bytes)
	out.Counts.Parked++
	s.parked.sets = append(s.parked.sets, p)
	s.parked.bytes += p.size()
	for len(s.parked.sets) > s.config.ParkedSets || s.parked.bytes > s.config.ParkedBytes {
		s.giveUp(flow.Reject(ReasonTemplate, "set %d: its template has not come, and %d data sets are waiting", s.parked.sets[0].set.id, len(s.parked.sets)), out)
	}
}

// giveUp takes the oldest set out of the parking.
func (s *Session) giveUp(err error, out *Output) {
	p := &s.parked.sets[0]
	out.Expired = append(out.Expired, p.expired(err))
	out.Counts.Expired++
	s.parked.bytes -= p.size()
	s.parked.sets[0] = parkedSet{}
	s.parked.sets = s.parked.sets[1:]
}

func (p *parkedSet) expired(err error) Expired {
	e := Expired{Datagram: p.d, Err: err}
	e.Data = p.datagram()
	e.Position.Index = flow.N(int64(p.set.offset))
	return e
}

// Expire gives up the data sets that have waited for longer than Config.ParkedFor at the
// time now. Decode does so by itself.
func (s *Session) Expire(now flow.Time, out *Output) { s.expire(now, out) }

// Close gives up all data sets that wait: nothing more will come.
func (s *Session) Close(out *Output) { s.expire(math.MaxInt64, out) }

func (s *Session) expire(now flow.Time, out *Output) {
	for len(s.parked.sets) > 0 {
		p := &s.parked.sets[0]
		if now != math.MaxInt64 && now-p.d.Received <= flow.Time(s.config.ParkedFor) {
			return
		}
		if now == math.MaxInt64 {
			s.giveUp(flow.Reject(ReasonTemplate, "set %d: its template has not come", p.set.id), out)
			continue
		}
		s.giveUp(flow.Reject(ReasonTemplate, "set %d: its template has not come in %v", p.set.id, s.config.ParkedFor), out)
	}
}

// recover reads the parked sets whose template has come.
func (s *Session) recover(out *Output) {
	s.eachReady(func(p *parkedSet, dom *domain, l *layout) {
		before := len(out.Records)
		counts := out.Counts
		if _, err := s.decodeSet(&p.d, &p.h, dom, l, &p.set, p.after, out); err != nil {
			clear(out.Records[before:])
			out.Records, out.Counts = out.Records[:before], counts
			s.x.Drop()
			out.Expired = append(out.Expired, p.expired(err))
			out.Counts.Expired++
			return
		}
		out.Counts.Recovered++
	})
}

// eachReady takes the sets whose template is known out of the parking, in order. It stops
// when many records may have been made of them, and goes on at the next datagram.
func (s *Session) eachReady(visit func(*parkedSet, *domain, *layout)) {
	if !s.fresh || len(s.parked.sets) == 0 {
		s.fresh = false
		return
	}
	s.fresh = false
	kept, room := s.parked.sets[:0], maxRecords
	for i := range s.parked.sets {
		p := s.parked.sets[i]
		var l *layout
		dom := s.domains[domainKey{p.h.version, p.h.domain}]
		if dom != nil {
			l = s.layout(dom, p.set.id)
		}
		if l == nil || room <= 0 {
			s.fresh = s.fresh || l != nil
			kept = append(kept, p)
			continue
		}
		s.parked.bytes -= p.size()
		room -= len(p.set.bytes) / l.size
		visit(&p, dom, l)
	}
	clear(s.parked.sets[len(kept):])
	s.parked.sets = kept
}
