package netflow

import (
	"testing"

	"github.com/flowbeam/flowbeam/flow"
)

// A record may say by elements of its own what its packet says too: in whatever order they come, the
// elements stand, and the packet's other values are not lost.
func TestElementsStandBesideTheirPacket(t *testing.T) {
	ipv4 := cat(u8(0x45, 8, 0, 60, 0, 0, 0, 0, 64, 6, 0, 0), ip("198.51.100.1"), ip("203.0.113.1"), u16b(40000), u16b(443), make([]byte, 8), u8(0x50, 0x12), make([]byte, 6))
	frame := cat(u8(2, 0, 0, 0, 0, 0xb, 2, 0, 0, 0, 0, 0xa, 8, 0), ipv4)
	const rest = `"ipTTL":64,"packet.tcpControlBits":18,"packet.destinationTransportPort":443`
	for what, r := range map[string]*flow.Record{
		"before": one(t, IPFIX, "313:40 6:1 11:2 12:4", ipv4, u8(0x1b), u16b(80), ip("192.0.2.7")),
		"after":  one(t, IPFIX, "6:1 11:2 12:4 313:40", u8(0x1b), u16b(80), ip("192.0.2.7"), ipv4),
	} {
		if r.TCPFlags != flow.N(0x1b) || r.Destination.Port != flow.N(80) || r.Source.Port != flow.N(40000) || r.Destination.IP != flow.MustIP("192.0.2.7") ||
			r.Source.IP != flow.MustIP("198.51.100.1") || r.TypeOfService != flow.N(8) {
			t.Errorf("%s: %+v", what, r)
		}
		if got := extensions(r); got != `{`+rest+`,"packet.destinationAddress":"203.0.113.1"}` {
			t.Errorf("%s: %s", what, got)
		}
	}
	r := one(t, IPFIX, "56:6 58:2 315:54", u8(2, 0, 0, 0, 0, 1), u16b(7), frame)
	if r.Source.MAC != "02:00:00:00:00:01" || r.Destination.MAC != "02:00:00:00:00:0b" || r.VLAN != flow.N(7) || extensions(r) != `{"ipTTL":64,"packet.sourceMacAddress":"02:00:00:00:00:0a"}` {
		t.Errorf("%+v", r)
	}
}

// Exporters with one template for both families fill the other one with zeros.
func TestOfTwoElementsForOneFieldNoneIsLost(t *testing.T) {
	for fields, c := range map[string]struct {
		values     []byte
		length     flow.Int
		extensions string
	}{
		"9:1 29:1":          {u8(24, 0), flow.N(24), `{}`},
		"29:1 9:1":          {u8(0, 24), flow.N(24), `{}`},
		"9:1 29:1 1:1":      {u8(0, 0, 1), flow.N(0), `{}`},
		"9:1 29:1 2:1":      {u8(24, 48, 1), flow.N(24), `{"sourceIPv6PrefixLength":48}`},
		"227:2 40003:2":     {cat(u16b(1000), u16b(1000)), flow.Int{}, `{}`},
		"227:2 40003:2 1:1": {cat(u16b(1000), u16b(2000), u8(1)), flow.Int{}, `{"ie_40003":2000}`},
		"371:2 40000:2":     {[]byte("u1u1"), flow.Int{}, `{}`},
		"371:2 40000:2 1:1": {[]byte("u1u2\x01"), flow.Int{}, `{"ie_40000":"u2"}`},
	} {
		r := one(t, V9, fields, c.values)
		if r.Source.PrefixLength != c.length || extensions(r) != c.extensions {
			t.Errorf("%s: %v %s", fields, r.Source.PrefixLength, extensions(r))
		}
	}
}
