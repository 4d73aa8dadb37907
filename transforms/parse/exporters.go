package parse

import (
	"bytes"
	"net/netip"
	"slices"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/datagram"
	"github.com/flowbeam/flowbeam/internal/netflow"
)

// maxExporters bounds the exporters of a file or partition that are remembered: of more, the one
// that sent nothing for longest is forgotten.
const maxExporters = 1 << 14

// exporters knows what the exporters in a file or partition have said, so that their datagrams are
// given with the templates that they need.
type exporters struct {
	config  netflow.Config
	by      map[netip.AddrPort]*exporterSession
	n       int64 // datagrams
	scratch netflow.Output
	flows   netflow.Counts
}

type exporterSession struct {
	*netflow.Session
	last int64 // its newest datagram
}

// attach gives the datagram of a unit with what it needs of those before it from the same exporter.
func (x *exporters) attach(from netip.AddrPort, received flow.Time, data []byte, unit flow.Raw, emit func(flow.Raw)) {
	at := flow.Position{Offset: unit.Offset}
	switch netflow.Version(data) {
	case netflow.V9, netflow.IPFIX:
	default:
		give(from, netflow.Datagram{Data: data, Received: received, Position: at}, unit, emit)
		return
	}
	if received == 0 {
		received = unit.Time
	}
	d := netflow.Datagram{Data: data, Received: received, Position: at, DataCenter: unit.DataCenter}
	out, err := x.session(from, emit).Attach(d, &x.flows)
	for _, d := range out {
		give(from, d, unit, emit)
	}
	if err != nil {
		give(from, d, unit, emit) // it becomes a dead letter
	}
}

func (x *exporters) session(from netip.AddrPort, emit func(flow.Raw)) *netflow.Session {
	x.n++
	s := x.by[from]
	if s == nil {
		if x.by == nil {
			x.by = map[netip.AddrPort]*exporterSession{}
		}
		if len(x.by) >= maxExporters {
			x.forgetOne(emit)
		}
		var exporter flow.IP
		if from.IsValid() {
			exporter = flow.IPOf(from.Addr())
		}
		c := x.config
		c.Scratch = &x.scratch
		s = &exporterSession{Session: netflow.NewSession(exporter, c)}
		x.by[from] = s
	}
	s.last = x.n
	return s.Session
}

func (x *exporters) forgetOne(emit func(flow.Raw)) {
	var quiet netip.AddrPort
	var s *exporterSession
	for from, other := range x.by {
		if s == nil || other.last < s.last {
			quiet, s = from, other
		}
	}
	x.release(quiet, emit)
	delete(x.by, quiet)
}

// give gives a datagram: that of a unit, or one that is made of an earlier one's data set.
func give(from netip.AddrPort, d netflow.Datagram, unit flow.Raw, emit func(flow.Raw)) {
	out := unit
	out.Offset, out.Index = d.Position.Offset, partIndex(d.Position)
	if out.Index.OK {
		out.DataCenter = d.DataCenter
	}
	if from.IsValid() || d.Received != 0 {
		out.Data = datagram.AppendEnvelope(nil, from, d.Received, d.Data)
	} else {
		out.Data = bytes.Clone(d.Data)
	}
	if d.Received != 0 {
		out.Time = d.Received
	}
	emit(out)
}

// partIndex is the index of the first record of a data set that comes apart from its datagram, by the set's
// byte offset there: beyond that of any record of the datagram, of which there are at most 16,384.
func partIndex(at flow.Position) flow.Int {
	if !at.Index.OK {
		return flow.Int{}
	}
	return flow.N(at.Index.V << 16)
}

// sorted are the exporters in an order that is the same each time.
func (x *exporters) sorted() []netip.AddrPort {
	froms := make([]netip.AddrPort, 0, len(x.by))
	for from := range x.by {
		froms = append(froms, from)
	}
	slices.SortFunc(froms, netip.AddrPort.Compare)
	return froms
}

func (x *exporters) release(from netip.AddrPort, emit func(flow.Raw)) {
	for _, d := range x.by[from].Release(&x.flows) {
		give(from, d, flow.Raw{}, emit)
	}
}

// End gives the data sets that still wait.
func (x *exporters) End(emit func(flow.Raw)) {
	for _, from := range x.sorted() {
		x.release(from, emit)
	}
}

// Counts tells what was counted since it was asked last.
func (x *exporters) Counts(tell func(name string, n int64)) {
	f := &x.flows
	for _, n := range []struct {
		name string
		n    int64
	}{
		{"templates", f.Templates}, {"templates_changed", f.TemplatesChanged}, {"templates_withdrawn", f.Withdrawn}, {"option_records", f.OptionRecords},
		{"parked", f.Parked}, {"recovered", f.Recovered}, {"expired", f.Expired}, {"sequence_gaps", f.Gaps}, {"missing", f.Missing},
		{"reordered", f.Reordered}, {"exporter_restarts", f.Restarts},
	} {
		tell(n.name, n.n)
	}
	*f = netflow.Counts{}
}
