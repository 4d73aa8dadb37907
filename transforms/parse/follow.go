package parse

import (
	"net/netip"
	"time"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/datagram"
	"github.com/flowbeam/flowbeam/internal/netflow"
)

// follower is the [flow.Follower] of topics of bare datagrams, as something that only passes on what it
// receives writes them: each becomes readable alone, in its envelope and with its templates.
// A datagram in the envelope of a collector is so already.
//
// A template and an options record hold for three quarters of the rewind after they were sent last, and
// a data set waits for its template for a quarter of it, by the times of messages, whoever
// sent them. So what is known after a message, and what waits, follows from the messages of the rewind before it:
// it is the same for a reader that began long ago and for one that goes on after a crash.
type follower struct {
	exporters
	oldest flow.Time // of what waits, or older; zero: nothing does
}

func newFollower(rewind time.Duration) *follower {
	wait := rewind / 4
	return &follower{exporters: exporters{config: netflow.Config{ParkedFor: wait, Lifetime: rewind - wait}}}
}

func (f *follower) Alone(message flow.Raw) bool {
	switch netflow.Version(message.Data) {
	case netflow.V9, netflow.IPFIX:
		return message.Oversize
	}
	return true
}

func (f *follower) Next(message flow.Raw, from netip.Addr, emit func(flow.Raw)) {
	if f.oldest != 0 && message.Time.Add(-f.config.ParkedFor) > f.oldest {
		f.Until(message.Time, emit)
	}
	_, _, data, ok := datagram.OpenEnvelope(message.Data)
	if !ok || message.Oversize || len(data) != len(message.Data) || f.Alone(message) && !from.IsValid() {
		emit(message)
		return
	}
	exporter := netip.AddrPortFrom(from, 0)
	f.attach(exporter, message.Time, data, message, emit)
	if s := f.by[exporter]; s != nil {
		f.waits(s)
	}
}

func (f *follower) waits(s *exporterSession) {
	if at := s.Oldest(); at != 0 && (f.oldest == 0 || at < f.oldest) {
		f.oldest = at
	}
}

func (f *follower) Until(now flow.Time, emit func(flow.Raw)) {
	f.oldest = 0
	for _, from := range f.sorted() {
		s := f.by[from]
		for _, d := range s.Overdue(now, &f.flows) {
			give(from, d, flow.Raw{}, emit)
		}
		f.waits(s)
	}
}
