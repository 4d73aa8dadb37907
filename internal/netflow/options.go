package netflow

import (
	"bytes"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/extension"
)

// options is what a domain's options records said that its flow records need.
type options struct {
	base           *option // systemInitTimeMilliseconds
	rate           *option // of sampling, for all
	selectors      map[int64]*option
	interfaceRates map[int64]*option
	interfaces     map[int64]*option  // names
	applications   map[string]*option // names
	n              int
}

// option is one thing said, with the record that said it: a collector attaches that.
type option struct {
	text   string // a name
	rate   int64
	base   flow.Time
	layout *layout
	raw    []byte
	said   flow.Time // when it was received last
}

// optionElements are those that learnOption reads.
var optionElements = map[uint16]bool{
	10: true, 14: true, 34: true, 48: true, 50: true, 82: true, 83: true, 95: true, 96: true, 160: true,
	302: true, 305: true, 306: true, 309: true, 310: true,
}

// maxOptionRecord bounds the options records that are kept, in bytes.
const maxOptionRecord = 4096

// learnOption takes what a record of an options template says. The row holds its values.
func (s *Session) learnOption(dom *domain, l *layout, raw []byte, out *Output) {
	if len(raw) > maxOptionRecord {
		out.Counts.OptionsDropped++
		return
	}
	w, o := &s.row, &dom.options
	said := option{layout: l, raw: raw}
	if said.base = w.base; said.base != 0 {
		s.keep(dom, &o.base, said, out)
	}
	if rate, ok := w.sampling.rate(); ok {
		said := option{layout: l, raw: raw, rate: rate}
		switch {
		case w.selector.OK:
			keepIn(s, dom, &o.selectors, w.selector.V, said, out)
		case w.ingress.OK:
			keepIn(s, dom, &o.interfaceRates, w.ingress.V, said, out)
		default:
			s.keep(dom, &o.rate, said, out)
		}
	}
	if w.interfaceName != "" {
		said := option{layout: l, raw: raw, text: w.interfaceName}
		for _, index := range []flow.Int{w.ingress, w.egress} {
			if index.OK {
				keepIn(s, dom, &o.interfaces, index.V, said, out)
			}
		}
	}
	if w.application != nil && w.r.Application != "" {
		keepIn(s, dom, &o.applications, string(w.application), option{layout: l, raw: raw, text: w.r.Application}, out)
	}
}

// keep puts what was said into its place, with memory of its own.
func (s *Session) keep(dom *domain, place **option, said option, out *Output) {
	old := *place
	said.said = s.now
	if old != nil && old.layout == said.layout && bytes.Equal(old.raw, said.raw) {
		old.said = s.now
		if s.used != nil {
			s.used.said = append(s.used.said, old)
		}
		return
	}
	if old == nil {
		if s.kept.options >= s.config.Options {
			out.Counts.OptionsDropped++
			return
		}
		s.kept.options++
		dom.options.n++
	}
	said.text = string(append([]byte(nil), said.text...))
	said.raw = append([]byte(nil), said.raw...)
	*place = &said
	if s.used != nil {
		s.used.said = append(s.used.said, &said)
	}
}

func keepIn[K comparable](s *Session, dom *domain, m *map[K]*option, key K, said option, out *Output) {
	if *m == nil {
		*m = map[K]*option{}
	}
	o := (*m)[key]
	if s.keep(dom, &o, said, out); o != nil {
		(*m)[key] = o
	}
}

// need returns o, if it still holds, and writes down that a record needs it.
func (s *Session) need(o *option) *option {
	if o == nil || s.outlived(o.said) {
		return nil
	}
	if s.used != nil {
		s.used.add(o)
	}
	return o
}

// sampling is what a record says of sampling.
type sampling struct {
	interval         flow.Int // 34: one in so many
	random           flow.Int // 50: the same, of random sampling
	packets, space   flow.Int // 305, 306: so many packets are taken, then so many not
	size, population flow.Int // 309, 310: so many of so many
}

// rest keeps what the rate is not made of, and what it is no whole number of.
func (p *sampling) rest(x *extension.Block) {
	keep := func(v flow.Int, name string) {
		if v.OK {
			x.AddNumber(name, uint64(v.V))
		}
	}
	if p.random.OK {
		keep(p.interval, "samplingInterval")
	}
	rounded := func(of, by flow.Int) bool { return of.OK && by.OK && of.V%by.V != 0 }
	if p.random.OK || p.interval.OK || rounded(p.space, p.packets) {
		keep(p.packets, "samplingPacketInterval")
	}
	if p.random.OK || p.interval.OK || !p.packets.OK || rounded(p.space, p.packets) {
		keep(p.space, "samplingPacketSpace")
	}
	if p.random.OK || p.interval.OK || p.packets.OK || !p.size.OK || !p.population.OK || rounded(p.population, p.size) {
		keep(p.size, "samplingSize")
		keep(p.population, "samplingPopulation")
	}
}

// rate is one packet in how many. 305 without 306 says by the letter nothing; exporters
// that send it alone mean the rate.
func (p *sampling) rate() (int64, bool) {
	switch {
	case p.random.OK:
		return p.random.V, true
	case p.interval.OK:
		return p.interval.V, true
	case p.packets.OK && p.space.OK:
		return (p.packets.V + p.space.V + p.packets.V/2) / p.packets.V, true
	case p.packets.OK:
		return p.packets.V, true
	case p.size.OK && p.population.OK:
		return max(1, (p.population.V+p.size.V/2)/p.size.V), true
	}
	return 0, false
}
