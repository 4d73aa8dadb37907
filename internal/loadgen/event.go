package loadgen

import (
	"math/bits"
	"strconv"
	"time"

	"github.com/flowbeam/flowbeam/flow"
)

// What a generator's numbers are for; each purpose draws from its own sequence.
const (
	purposePlan uint64 = iota + 1
	purposeBody
	purposeCopy
	purposeOrder
	purposeServer
	purposeClient
)

// event is one conversation, before a format writes it.
type event struct {
	index          uint64
	time           int64 // event time in ns, not yet cut to the format's resolution
	dc             int
	user           uint64
	client, server flow.IP
	up, down       uint64 // bytes of the client and of the server
	r              random // for what the format needs more
}

// sums is what a good record adds to the truth, as flow.Record has it.
type sums struct {
	eventTime                int64 // ns, as the line says it
	sourceBytes, destBytes   int64
	sourcePackets, destPacks int64 // 0 where the format has none
}

// shares of the traffic.
const (
	emptyUserPercent = 2
	ipHeader4        = 20
	ipHeader6        = 40
)

// makeEvent makes the i-th one. Event times grow with i, so that records of one second or
// millisecond are neighbours, and the lowest bits of the byte counts hold the index
// among these: no two good lines are equal by chance, although some formats have nothing
// else to tell them apart, and a record's id may be the hash of its line.
func (g *Generator) makeEvent(i uint64, s Stream) event {
	r := at(g.config.Seed, purposeBody, i)
	e := event{index: i, time: g.slot(i, r.n(1<<16)), dc: s.dc}
	e.user = g.users.draw(&r)
	e.client = g.config.client(s.dc, e.user)
	// The lesser of two draws: some servers are visited more than others.
	e.server = g.config.server(min(r.n(uint64(g.config.Servers)), r.n(uint64(g.config.Servers))))
	m := g.neighbours(s.Format) - 1
	e.down = r.size(10, 25)&^m | i&m
	e.up = r.size(9, 21)
	e.r = r
	return e
}

// slot is where in time the i-th event lies, with a fraction of 1/65536 of its slot.
func (g *Generator) slot(i, fraction uint64) int64 {
	hi, lo := bits.Mul64(i<<16|fraction, uint64(g.config.Span))
	q, _ := bits.Div64(hi, lo, g.events<<16)
	return g.start + int64(q)
}

// neighbours is a power of two above the number of events within one step of the
// format's clock.
func (g *Generator) neighbours(format string) uint64 {
	if format == Canopus {
		return g.perMilli
	}
	return g.perSecond
}

func neighbours(events uint64, span, step time.Duration) uint64 {
	hi, lo := bits.Mul64(events, uint64(step))
	q, _ := bits.Div64(hi, lo, uint64(span))
	return 1 << bits.Len64(q+2)
}

// appendEvent appends the line of e, without its newline.
func appendEvent(b []byte, format string, e *event) ([]byte, sums) {
	switch format {
	case Canopus:
		return appendCanopus(b, e)
	case Zeek:
		return appendZeek(b, e)
	default:
		return appendAWS(b, e)
	}
}

// appendFraction appends v / 10^digits as a decimal number.
func appendFraction(b []byte, v uint64, digits int) []byte {
	scale := uint64(1)
	for range digits {
		scale *= 10
	}
	b = strconv.AppendUint(b, v/scale, 10)
	if digits == 0 {
		return b
	}
	b = append(b, '.')
	return appendPadded(b, v%scale, digits)
}

// appendPadded appends v in decimal with leading zeros.
func appendPadded(b []byte, v uint64, digits int) []byte {
	for range digits {
		b = append(b, '0')
	}
	for k := len(b) - 1; digits > 0; k, digits = k-1, digits-1 {
		b[k] = byte('0' + v%10)
		v /= 10
	}
	return b
}
