package collect

import (
	"container/list"
	"net/netip"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/netflow"
	"github.com/flowbeam/flowbeam/internal/sflow"
)

// exporter is what one sender, an address and a port, has said: two processes on one
// address may use the same template ids for other templates.
type exporter struct {
	from    netip.AddrPort
	netflow *netflow.Session // nil until it sends NetFlow or IPFIX
	sflow   *sflow.Session   // nil until it sends sFlow
	last    flow.Time        // when it was heard last
	parked  int              // bytes that wait for templates, as known last
	place   *list.Element
}

// exporters are those of one socket, the one heard last in front.
type exporters struct {
	by    map[netip.AddrPort]*exporter
	order list.List
}

// find returns the exporter, and moves it to the front; nil where it is not known.
func (x *exporters) find(from netip.AddrPort) *exporter {
	e := x.by[from]
	if e != nil {
		x.order.MoveToFront(e.place)
	}
	return e
}

func (x *exporters) add(from netip.AddrPort) *exporter {
	if x.by == nil {
		x.by = map[netip.AddrPort]*exporter{}
	}
	e := &exporter{from: from}
	e.place = x.order.PushFront(e)
	x.by[from] = e
	return e
}

func (x *exporters) remove(e *exporter) {
	x.order.Remove(e.place)
	delete(x.by, e.from)
}

// oldest is the one that was not heard for longest, nil where there is none.
func (x *exporters) oldest() *exporter {
	if b := x.order.Back(); b != nil {
		return b.Value.(*exporter)
	}
	return nil
}
