package netflow

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/flowbeam/flowbeam/flow"
)

// usage is what the records of one datagram needed of what was said before it.
type usage struct {
	own     map[uint16]bool // templates that the datagram brought itself
	said    []*option       // as it brought itself
	layouts []*layout       // of its data sets, but these
	options []*option
}

func (u *usage) sets(l *layout) {
	if !u.own[l.id] && !slices.Contains(u.layouts, l) {
		u.layouts = append(u.layouts, l)
	}
}

func (u *usage) add(o *option) {
	if !slices.Contains(u.said, o) && !slices.Contains(u.options, o) {
		u.options = append(u.options, o)
	}
}

// Attach makes self-contained what a collector passes on: it returns the datagram with the
// templates that its data sets need put in front, and the options records from which its
// records have a sampling rate, a time, the name of an interface or application. Decoded by
// a Session that knows nothing, whenever and wherever, it gives the records, and the ids,
// that Decode would have given here. Sequence numbers stay as they are, so gaps are to be
// counted here and not from what is attached. Where nothing has to be added, the datagram's
// own bytes are returned.
//
// A data set whose template is not known yet is held back, with an empty set in its place,
// and comes out of a later call, in a datagram of its own. One that has waited too long
// comes out as it is: decoding that ends in a dead letter, so nothing is lost.
//
// An error is that of the whole datagram: pass it on as it is, to become a dead letter. The
// counts are added to.
func (s *Session) Attach(d Datagram, counts *Counts) (out []Datagram, err error) {
	if s.scratch == nil {
		s.scratch = new(Output)
	}
	o := s.scratch
	*o = Output{Records: o.Records[:0]}
	fresh := s.fresh
	s.used = &usage{own: map[uint16]bool{}}
	s.attaching = true
	err = s.Decode(d, o)
	used := s.used
	s.used, s.attaching = nil, false
	defer func() { counts.Add(&o.Counts) }()
	for i := range o.Expired {
		out = append(out, o.Expired[i].Datagram)
	}
	if err != nil {
		return out, err
	}
	s.fresh = s.fresh || fresh
	if d.Data = s.attached(&d, used); d.Data != nil {
		out = append(out, d)
	}
	s.eachReady(func(p *parkedSet, dom *domain, l *layout) {
		s.used = &usage{own: map[uint16]bool{}}
		defer func() { s.used = nil }()
		o.Records = o.Records[:0]
		n := p.d
		before := o.Counts
		if _, err := s.decodeSet(&p.d, &p.h, dom, l, &p.set, p.after, o); err != nil {
			o.Counts = before
			o.Counts.Expired++
			s.x.Drop()
			s.used = &usage{}
		} else {
			o.Counts.Recovered++
		}
		n.Data = p.datagram()
		n.Data = s.prepend(n.Data, &p.h, s.used, n.Data[p.h.size:])
		n.Position.Index = flow.N(int64(p.set.offset))
		out = append(out, n)
	})
	return out, nil
}

// attached is the datagram just decoded, with what it needs, nil where none of its sets is
// left.
func (s *Session) attached(d *Datagram, used *usage) []byte {
	h, err := readHeader(d.Data)
	if err != nil || h.version == V5 {
		return d.Data
	}
	if len(used.layouts) == 0 && len(used.options) == 0 && len(s.missing) == 0 {
		return d.Data
	}
	if len(s.missing) == 0 {
		return append(s.prepend(d.Data, &h, used, d.Data[h.size:h.end]), d.Data[h.end:]...)
	}
	var sets []byte
	left := false
	for i := range s.sets {
		set := &s.sets[i]
		if slices.Contains(s.missing, i) {
			sets = binary.BigEndian.AppendUint16(sets, set.id)
			sets = append(sets, 0, 4)
			continue
		}
		left = true
		sets = append(sets, set.bytes...)
	}
	if !left {
		return nil
	}
	return append(s.prepend(d.Data, &h, used, sets), d.Data[h.end:]...)
}

// prepend makes a datagram of the header of another, what was used, and sets. Where that
// would be longer than a message can be, names are left out, and then all.
func (s *Session) prepend(from []byte, h *header, used *usage, sets []byte) []byte {
	b := build(from, h, used, sets)
	if h.version != IPFIX || len(b) <= math.MaxUint16 {
		return b
	}
	few := usage{layouts: used.layouts}
	for _, o := range used.options {
		if o.text == "" {
			few.options = append(few.options, o)
		}
	}
	if b = build(from, h, &few, sets); len(b) > math.MaxUint16 {
		b = build(from, h, &usage{}, sets)
	}
	return b
}

func build(from []byte, h *header, used *usage, sets []byte) []byte {
	b := append(make([]byte, 0, len(from)+1024), from[:h.size]...)
	added := 0
	// Options first: an id may since have become that of another template.
	for _, o := range used.options {
		b = appendTemplates(b, h.version, []*layout{o.layout})
		start := len(b)
		b = binary.BigEndian.AppendUint16(b, o.layout.id)
		b = append(b, 0, 0)
		b = append(b, o.raw...)
		if h.version == V9 && o.layout.size > 3 {
			b = padded(b, start)
		}
		binary.BigEndian.PutUint16(b[start+2:], uint16(len(b)-start))
		added += 2
	}
	for _, options := range []bool{false, true} {
		var some []*layout
		for _, l := range used.layouts {
			if l.options == options {
				some = append(some, l)
			}
		}
		b = appendTemplates(b, h.version, some)
		added += len(some)
	}
	b = append(b, sets...)
	if h.version == V9 {
		binary.BigEndian.PutUint16(b[2:], uint16(min(h.count+added, math.MaxUint16)))
	} else {
		binary.BigEndian.PutUint16(b[2:], uint16(min(len(b), math.MaxUint16)))
	}
	return b
}

// appendTemplates appends a set of templates, all of options or none.
func appendTemplates(b []byte, version uint16, layouts []*layout) []byte {
	if len(layouts) == 0 {
		return b
	}
	id := uint16(0)
	if layouts[0].options {
		id = 1
	}
	if version == IPFIX {
		id += 2
	}
	start := len(b)
	b = binary.BigEndian.AppendUint16(b, id)
	b = append(b, 0, 0)
	for _, l := range layouts {
		b = append(b, l.raw...)
	}
	if version == V9 {
		b = padded(b, start)
	}
	binary.BigEndian.PutUint16(b[start+2:], uint16(len(b)-start))
	return b
}

// padded fills a set up to a multiple of four bytes, as v9 asks for.
func padded(b []byte, start int) []byte {
	for (len(b)-start)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// Release returns the data sets that wait, as datagrams of their own: the collector ends.
func (s *Session) Release(counts *Counts) (out []Datagram) { return s.Overdue(math.MaxInt64, counts) }

// Overdue returns the data sets that have waited for too long at a time, as datagrams of their own.
func (s *Session) Overdue(now flow.Time, counts *Counts) (out []Datagram) {
	var o Output
	s.expire(now, &o)
	counts.Add(&o.Counts)
	for i := range o.Expired {
		out = append(out, o.Expired[i].Datagram)
	}
	return out
}
