package loadgen

import (
	"time"

	"github.com/flowbeam/flowbeam/flow"
)

// Generator makes lines in the order in which they arrive. One goroutine may use it.
type Generator struct {
	config  Config
	streams []Stream
	aws     []int // of streams: those that can have gaps
	counts  counts
	users   zipf

	start               int64
	events              uint64 // lines without the duplicates
	perMilli, perSecond uint64
	order               permutation

	next    uint64 // event that is not yet in the queue
	waiting queue
	line    []byte
	event   event // of the line; a field, because a local one would be allocated each time

	truth   Truth
	totals  [][3]*Totals // by stream
	minutes map[int64]*Minute
}

// Line is one line as it arrives.
type Line struct {
	Stream    int       // index in Streams
	Data      []byte    // with its newline; valid until the next call
	Arrival   flow.Time // when it comes, on the clock of the event times
	Duplicate bool
	// Redelivered says that it goes to the stream's second file.
	Redelivered bool
}

// New makes a generator, or reports every problem of the configuration.
func New(c Config) (*Generator, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	g := &Generator{config: c, counts: c.counts(), users: newZipf(c.Users), start: c.Start.UnixNano(), truth: NewTruth(), minutes: map[int64]*Minute{}}
	g.streams, _ = c.streams()
	for i, s := range g.streams {
		if s.Format == AWS {
			g.aws = append(g.aws, i)
		}
		g.totals = append(g.totals, g.truth.Of(s.DataCenter, s.Format))
	}
	g.events = uint64(c.Records - g.counts.duplicates)
	g.perMilli = neighbours(g.events, c.Span, time.Millisecond)
	g.perSecond = neighbours(g.events, c.Span, time.Second)
	g.order = newPermutation(g.events, mix(c.Seed+purposeOrder))
	return g, nil
}

// Streams lists the streams that lines belong to.
func (g *Generator) Streams() []Stream { return g.streams }

// Truth is the truth about the lines that Next has returned so far.
func (g *Generator) Truth() Truth {
	t := g.truth
	for m, sums := range g.minutes {
		t.ByMinute[minuteName(m)] = sums
	}
	return t
}

// plan is what is decided of an event before it is written.
type plan struct {
	stream int
	broken *Kind // nil: it is good
	gap    bool
	copies uint64 // duplicates
}

// plan deals the classes: the permutation's first places are the broken ones, then come
// the gaps, then the good ones, over which the duplicates go round.
func (g *Generator) plan(i uint64) plan {
	r := at(g.config.Seed, purposePlan, i)
	p := plan{stream: int(r.n(uint64(len(g.streams))))}
	place := g.order.at(i)
	broken, gaps := uint64(g.counts.broken), uint64(g.counts.gaps)
	switch {
	case place < uint64(g.config.Oversize):
		p.broken = &OversizeKind
	case place < broken:
		of := kinds[g.streams[p.stream].Format]
		p.broken = &of[place%uint64(len(of))]
	case place < broken+gaps:
		p.gap = true
		p.stream = g.aws[place%uint64(len(g.aws))]
	default:
		good, duplicates := uint64(g.counts.unique), uint64(g.counts.duplicates)
		p.copies = duplicates / good
		if place-broken-gaps < duplicates%good {
			p.copies++
		}
	}
	return p
}

// enqueue puts event i and its copies into the queue.
func (g *Generator) enqueue(i uint64) {
	p := g.plan(i)
	r := at(g.config.Seed, purposeCopy, i)
	c := &g.config
	arrival := g.slot(i, 0)
	if c.Disorder > 0 {
		arrival += int64(r.n(uint64(c.Disorder)))
	}
	if c.LagDataCenter == g.streams[p.stream].DataCenter {
		arrival += int64(c.Lag)
	}
	g.waiting.push(waiting{arrival, i << copyBits})
	for k := uint64(1); k <= p.copies; k++ {
		delay := uint64(c.DuplicateDelay)
		if r.percent(60) {
			delay /= 60
		}
		if delay > 0 {
			delay = r.n(delay)
		}
		g.waiting.push(waiting{arrival + int64(delay), i<<copyBits | min(k, 1<<copyBits-1)})
	}
}

// Next returns the line that arrives next; ok is false when all have come.
func (g *Generator) Next() (line Line, ok bool) {
	// An event arrives no sooner than its slot begins, and slots only grow.
	for g.next < g.events && (len(g.waiting) == 0 || g.slot(g.next, 0) <= g.waiting[0].arrival) {
		g.enqueue(g.next)
		g.next++
	}
	if len(g.waiting) == 0 {
		return Line{}, false
	}
	w := g.waiting.pop()
	i, copy := w.id>>copyBits, w.id&(1<<copyBits-1)
	p := g.plan(i)
	s := g.streams[p.stream]
	g.event = g.makeEvent(i, s)
	e := &g.event

	b, total := g.line[:0], g.totals[p.stream]
	line = Line{Stream: p.stream, Arrival: flow.Time(w.arrival), Duplicate: copy > 0}
	switch {
	case p.gap:
		b = appendGap(b, e)
		for _, n := range total {
			n.Read++
			n.Gaps++
		}
	default:
		var sum sums
		b, sum = appendEvent(b, s.Format, e)
		switch {
		case p.broken != nil:
			b = p.broken.breaks(b, &e.r)
			g.truth.DeadLetter(s.DataCenter, s.Format, p.broken.Name, p.broken.Reason)
		case copy > 0:
			for _, n := range total {
				n.Read++
				n.Duplicates++
			}
			r := at(g.config.Seed, purposeCopy, i<<copyBits|copy)
			line.Redelivered = float64(r.n(1<<20)) < g.config.Redelivered*(1<<20)
		default:
			g.truth.good(total, g.minute(sum.eventTime), sum)
		}
	}
	g.line = append(b, '\n')
	line.Data = g.line
	return line, true
}

func (g *Generator) minute(ns int64) *Minute {
	k := ns / int64(time.Minute)
	m := g.minutes[k]
	if m == nil {
		m = &Minute{}
		g.minutes[k] = m
	}
	return m
}
