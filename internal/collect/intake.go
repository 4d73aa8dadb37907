package collect

import (
	"errors"
	"maps"
	"net/netip"
	"sync"
	"time"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/netflow"
	"github.com/flowbeam/flowbeam/internal/sflow"
)

// intake makes envelopes of the datagrams of one socket. One goroutine uses it, but for
// counted.
type intake struct {
	totals       *Totals
	allow        []netip.Prefix // empty: all
	maxExporters int
	forget       time.Duration
	maxParked    int // bytes that wait for templates, of all exporters
	emit         func(*Item)

	exporters exporters
	scratch   netflow.Output // of all Sessions
	sampled   sflow.Output
	parked    int
	n         int64 // datagrams taken
	// waiting are the datagrams of which data sets wait, by their number, which
	// Position.Offset carries through the Session.
	waiting map[int64]*waiting
	counts  Counts

	mu   sync.Mutex
	told Counts
}

// waiting is a datagram that was not passed on whole.
type waiting struct {
	parts *parts
	left  int // Items that have not been made
}

// Counts is what the datagrams of a socket were, and what is known of their exporters.
type Counts struct {
	NetFlow   netflow.Counts
	SFlow     sflow.Counts
	Formats   map[string]int64 // datagrams by format; other: of none that is known
	Malformed map[string]int64 // by reason: passed on as they are
	Forgotten int64            // exporters, silent for too long or one too many
	Exporters int64            // known now
	Waiting   int64            // data sets that wait for their template now
}

// Add adds other counts.
func (c *Counts) Add(o *Counts) {
	c.NetFlow.Add(&o.NetFlow)
	s, t := &c.SFlow, &o.SFlow
	s.Datagrams += t.Datagrams
	s.Records += t.Records
	s.CounterSamples += t.CounterSamples
	s.OtherSamples += t.OtherSamples
	s.Gaps += t.Gaps
	s.Missing += t.Missing
	s.Reordered += t.Reordered
	s.Restarts += t.Restarts
	s.TrailingBytes += t.TrailingBytes
	addTo(&c.Formats, o.Formats)
	addTo(&c.Malformed, o.Malformed)
	c.Forgotten += o.Forgotten
	c.Exporters += o.Exporters
	c.Waiting += o.Waiting
}

func addTo(to *map[string]int64, from map[string]int64) {
	if *to == nil {
		*to = map[string]int64{}
	}
	for k, n := range from {
		(*to)[k] += n
	}
}

// The formats that datagrams are counted by.
const (
	formatV5    = "netflow5"
	formatV9    = "netflow9"
	formatIPFIX = "ipfix"
	formatSFlow = "sflow"
	formatOther = "other"
)

func formatOf(data []byte) string {
	switch netflow.Version(data) {
	case netflow.V5:
		return formatV5
	case netflow.V9:
		return formatV9
	case netflow.IPFIX:
		return formatIPFIX
	}
	if sflow.IsDatagram(data) {
		return formatSFlow
	}
	return formatOther
}

// take takes a datagram that was received. data is not kept.
func (in *intake) take(from netip.AddrPort, at flow.Time, data []byte) {
	in.totals.Received.Add(1)
	in.totals.ReceivedBytes.Add(int64(len(data)))
	from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	e := in.exporters.find(from)
	if e == nil && !in.allowed(from.Addr()) {
		in.totals.Refused.Add(1)
		return
	}
	format := formatOf(data)
	in.counts.add(&in.counts.Formats, format)
	if format == formatOther {
		in.counts.add(&in.counts.Malformed, string(flow.ReasonFormat))
		in.emit(newItem(in.totals, from, at, data))
		return
	}
	if e == nil {
		if len(in.exporters.by) >= in.maxExporters {
			in.remove(in.exporters.oldest())
		}
		e = in.exporters.add(from)
	}
	at = max(at, e.last) // a clock that is set back would keep data sets waiting
	e.last = at
	in.n++
	d := netflow.Datagram{Data: data, Received: at, Position: flow.Position{Offset: flow.N(in.n)}}
	if format == formatSFlow {
		in.sflow(e, d)
	} else {
		in.netflow(e, d)
	}
}

func (in *intake) allowed(a netip.Addr) bool {
	if len(in.allow) == 0 {
		return true
	}
	a = a.WithZone("")
	for _, p := range in.allow {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// sflow passes a datagram on as it is. It is decoded for what its counts tell.
func (in *intake) sflow(e *exporter, d netflow.Datagram) {
	if e.sflow == nil {
		e.sflow = sflow.NewSession(flow.IPOf(e.from.Addr()))
	}
	in.sampled.Records = in.sampled.Records[:0]
	if err := e.sflow.Decode(d, &in.sampled); err != nil {
		in.malformed(err)
	}
	in.counts.SFlow = in.sampled.Counts
	in.pass(e, &d)
}

// netflow passes on what the Session makes of a datagram. Of its data sets some may wait; they
// come out of a later call, each in a datagram of its own, which has the Position of this
// one and an index.
func (in *intake) netflow(e *exporter, d netflow.Datagram) {
	if e.netflow == nil {
		e.netflow = netflow.NewSession(flow.IPOf(e.from.Addr()), netflow.Config{Scratch: &in.scratch})
	}
	before := in.counts.NetFlow.Parked
	out, err := e.netflow.Attach(d, &in.counts.NetFlow)
	later := int(in.counts.NetFlow.Parked - before)
	own := false
	for i := range out {
		own = own || !out[i].Position.Index.OK
	}
	if err != nil {
		in.malformed(err)
	}
	if err != nil || !own && later == 0 {
		out, own = append(out, d), true
	}
	if later > 0 {
		n := later
		if own {
			n++
		}
		w := &waiting{parts: &parts{}, left: n}
		w.parts.left.Store(int32(n))
		if in.waiting == nil {
			in.waiting = map[int64]*waiting{}
		}
		in.waiting[d.Position.Offset.V] = w
	}
	for i := range out {
		in.pass(e, &out[i])
	}
	if in.measure(e); in.parked > in.maxParked {
		in.release(e) // the one that has made it too much
	}
}

func (in *intake) malformed(err error) {
	reason := flow.ReasonSyntax
	var r *flow.RejectError
	if errors.As(err, &r) {
		reason = r.Reason
	}
	in.counts.add(&in.counts.Malformed, string(reason))
}

func (c *Counts) add(to *map[string]int64, name string) {
	if *to == nil {
		*to = map[string]int64{}
	}
	(*to)[name]++
}

// pass sends a datagram on its way.
func (in *intake) pass(e *exporter, d *netflow.Datagram) {
	it := newItem(in.totals, e.from, d.Received, d.Data)
	if w := in.waiting[d.Position.Offset.V]; w != nil {
		it.parts = w.parts
		if w.left--; w.left == 0 {
			delete(in.waiting, d.Position.Offset.V)
		}
	}
	in.emit(it)
}

// measure brings the bytes that wait up to date.
func (in *intake) measure(e *exporter) {
	bytes := 0
	if e.netflow != nil {
		_, bytes = e.netflow.Waiting()
	}
	in.parked += bytes - e.parked
	e.parked = bytes
}

// release passes on the data sets of an exporter that wait, as they are: what reads them may
// know the template.
func (in *intake) release(e *exporter) {
	if e.netflow == nil || e.parked == 0 {
		return
	}
	out := e.netflow.Release(&in.counts.NetFlow)
	for i := range out {
		in.pass(e, &out[i])
	}
	in.measure(e)
}

func (in *intake) remove(e *exporter) {
	in.release(e)
	in.exporters.remove(e)
	in.counts.Forgotten++
}

// tick is called about once a second: it forgets who is silent, and passes on what has waited
// for too long.
func (in *intake) tick(now flow.Time) {
	for e := in.exporters.oldest(); e != nil && now-e.last > flow.Time(in.forget); e = in.exporters.oldest() {
		in.remove(e)
	}
	if in.parked > 0 {
		for _, e := range in.exporters.by {
			if e.parked == 0 {
				continue
			}
			var o netflow.Output
			e.netflow.Expire(now, &o)
			in.counts.NetFlow.Add(&o.Counts)
			for i := range o.Expired {
				in.pass(e, &o.Expired[i].Datagram)
			}
			in.measure(e)
		}
	}
	in.tell()
}

// end passes on all that waits.
func (in *intake) end() {
	for _, e := range in.exporters.by {
		in.release(e)
	}
	in.tell()
}

// tell lets others see the counts.
func (in *intake) tell() {
	c := in.counts
	c.Formats, c.Malformed = maps.Clone(c.Formats), maps.Clone(c.Malformed)
	c.Exporters = int64(len(in.exporters.by))
	for _, e := range in.exporters.by {
		if e.parked > 0 {
			sets, _ := e.netflow.Waiting()
			c.Waiting += int64(sets)
		}
	}
	in.mu.Lock()
	in.told = c
	in.mu.Unlock()
}

// counted is what was counted up to the last tick.
func (in *intake) counted() Counts {
	in.mu.Lock()
	defer in.mu.Unlock()
	var c Counts
	c.Add(&in.told)
	return c
}
