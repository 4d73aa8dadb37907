package netflow

import "github.com/flowbeam/flowbeam/flow"

// domain is what is known of one observation domain.
type domain struct {
	key       domainKey
	used      uint64 // tick of the last use
	templates map[uint16]*template
	options   options
	sequence  sequence
}

// template is a layout under its id. Ids of templates and of options templates are one
// space.
type template struct {
	layout *layout
	used   uint64
	said   flow.Time // when it was received last
}

func newDomain(key domainKey) *domain {
	return &domain{key: key, templates: map[uint16]*template{}}
}

// layout finds a template by its id, nil where it is not known.
func (s *Session) layout(dom *domain, id uint16) *layout {
	t := dom.templates[id]
	if t == nil || s.outlived(t.said) {
		return nil
	}
	s.tick++
	t.used = s.tick
	return t.layout
}

// learn takes the templates of a set.
func (s *Session) learn(dom *domain, h *header, set *set, options bool, out *Output) (err error) {
	visit := func(t templateRecord) {
		if err != nil {
			return
		}
		if t.fields == 0 {
			s.withdraw(dom, t, out)
			return
		}
		var l *layout
		if l, err = s.compiled(h.version, t); err != nil {
			return
		}
		out.Counts.Templates++
		if s.used != nil {
			s.used.own[t.id] = true
		}
		s.tick++
		old := dom.templates[t.id]
		switch {
		case old == nil:
			if s.kept.templates >= s.config.Templates {
				s.dropOldestTemplate()
			}
			s.kept.templates++
			dom.templates[t.id] = &template{layout: l, used: s.tick, said: s.now}
			s.fresh = true
		case old.layout.raw != l.raw || old.layout.options != l.options:
			out.Counts.TemplatesChanged++
			old.layout, old.used, old.said = l, s.tick, s.now
			s.fresh = true
		default:
			s.fresh = s.fresh || s.outlived(old.said)
			old.used, old.said = s.tick, s.now
		}
	}
	if walkErr := eachTemplate(h.version, options, set.body(), visit); walkErr != nil {
		return walkErr
	}
	return err
}

// compiled makes a template's layout, or finds it: exporters send the same ones again.
func (s *Session) compiled(version uint16, t templateRecord) (*layout, error) {
	s.key = append(s.key[:0], byte(version), 0)
	if t.options {
		s.key[1] = 1
	}
	s.key = append(s.key, t.raw...)
	if l := s.layouts[string(s.key)]; l != nil {
		return l, nil
	}
	l, err := newLayout(version, t)
	if err != nil {
		return nil, err
	}
	if len(s.layouts) >= 2*s.config.Templates {
		clear(s.layouts)
	}
	s.layouts[string(s.key)] = l
	return l, nil
}

// withdraw forgets a template, or all of a kind (RFC 7011, section 8.1).
func (s *Session) withdraw(dom *domain, t templateRecord, out *Output) {
	for id, old := range dom.templates {
		if id == t.id || t.id < 256 && old.layout.options == (t.id == 3) {
			delete(dom.templates, id)
			s.kept.templates--
			out.Counts.Withdrawn++
		}
	}
}

func (s *Session) dropOldestTemplate() {
	var from *domain
	var oldest uint16
	for _, d := range s.domains {
		for id, t := range d.templates {
			if from == nil || t.used < from.templates[oldest].used {
				from, oldest = d, id
			}
		}
	}
	if from != nil {
		delete(from.templates, oldest)
		s.kept.templates--
	}
}

// forget drops what a domain said.
func (s *Session) forget(dom *domain) {
	s.kept.templates -= len(dom.templates)
	s.kept.options -= dom.options.n
	clear(dom.templates)
	dom.options = options{}
}

// sequence watches a domain's sequence numbers and clock.
type sequence struct {
	known  bool      // next is right
	next   uint32    // what the next datagram should have
	export flow.Time // of the last datagram counted

	ticks  bool // the rest is of a datagram
	uptime uint32
	clock  flow.Time // its export time
}

// bootSlack is by how many ms an exporter's boot time, as its headers tell it, may move
// without a restart: clocks are set, and v9's has whole seconds.
const bootSlack = 10_000

// restart notices in v5 and v9 that the exporter has booted anew, and forgets what it said:
// template ids and interface numbers may mean something else now (RFC 3954, section 9). The
// uptime has gone back, while the boot time moved: neither a datagram out of order nor the
// wrap of the uptime does both.
func (s *Session) restart(dom *domain, h *header, out *Output) {
	q := &dom.sequence
	if h.version != IPFIX && q.ticks && h.uptime < q.uptime {
		boot := func(export flow.Time, uptime uint32) uint32 { return uint32(int64(export)/1e6) - uptime }
		moved := boot(h.export, h.uptime) - boot(q.clock, q.uptime)
		if moved > bootSlack && -moved > bootSlack {
			out.Counts.Restarts++
			s.forget(dom)
			*q = sequence{}
		}
	}
	if !q.ticks || h.export >= q.clock {
		q.uptime, q.clock, q.ticks = h.uptime, h.export, true
	}
}

// count compares a datagram's sequence number with what should have come. In v9 it counts
// datagrams; in v5 and IPFIX the data records before this datagram. whole says that all its
// records were counted.
func (q *sequence) count(h *header, records int, whole bool, c *Counts) {
	step := uint32(records)
	if h.version == V9 {
		step, whole = 1, true
	}
	if q.known {
		switch d := int32(h.seq - q.next); {
		case d > 0:
			c.Gaps++
			c.Missing += int64(d)
		case d < 0 && h.version == IPFIX && h.export > q.export:
			c.Restarts++ // a later datagram with an earlier number: it counts anew
		case d < 0:
			c.Reordered++
			return
		}
	}
	q.next, q.known, q.export = h.seq+step, whole, h.export
}
