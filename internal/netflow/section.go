package netflow

import (
	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/packet"
)

// sampledPacket reads the first bytes of a sampled packet. What the record says by an element of its
// own stands; where the packet says something else, that is an extension.
func (w *row) sampledPacket() {
	var p flow.Record
	if w.frame {
		packet.Ethernet(&p, w.x, w.packet)
	} else {
		packet.IP(&p, w.x, w.packet)
	}
	r := w.r
	for _, f := range [...]struct {
		to   *flow.Int
		v    flow.Int
		name string
	}{
		{&r.Protocol, p.Protocol, "packet.protocolIdentifier"}, {&r.TypeOfService, p.TypeOfService, "packet.ipClassOfService"},
		{&r.TCPFlags, p.TCPFlags, "packet.tcpControlBits"}, {&r.VLAN, p.VLAN, "packet.vlanId"},
		{&r.Source.Port, p.Source.Port, "packet.sourceTransportPort"}, {&r.Destination.Port, p.Destination.Port, "packet.destinationTransportPort"},
		{&r.ICMPType, p.ICMPType, "packet.icmpType"}, {&r.ICMPCode, p.ICMPCode, "packet.icmpCode"},
	} {
		switch {
		case !f.v.OK:
		case !f.to.OK:
			*f.to = f.v
		case *f.to != f.v:
			w.x.AddNumber(f.name, uint64(f.v.V))
		}
	}
	for _, f := range [...]struct {
		to   *flow.IP
		v    flow.IP
		name string
	}{{&r.Source.IP, p.Source.IP, "packet.sourceAddress"}, {&r.Destination.IP, p.Destination.IP, "packet.destinationAddress"}} {
		switch {
		case !f.v.OK():
		case !f.to.OK():
			*f.to = f.v
		case *f.to != f.v:
			w.x.Add(flow.Ext(f.name, w.x.IP(f.v)))
		}
	}
	for _, f := range [...]struct {
		to   *string
		v    string
		name string
	}{{&r.Source.MAC, p.Source.MAC, "packet.sourceMacAddress"}, {&r.Destination.MAC, p.Destination.MAC, "packet.destinationMacAddress"}} {
		switch {
		case f.v == "":
		case *f.to == "":
			*f.to = f.v
		case *f.to != f.v:
			w.x.Add(flow.Ext(f.name, f.v))
		}
	}
}
