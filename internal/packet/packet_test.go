package packet

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/extension"
)

func cat(parts ...[]byte) (b []byte) {
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

var (
	macs = []byte{2, 0, 0, 0, 0, 0xb, 2, 0, 0, 0, 0, 0xa}
	tcp  = []byte{0x30, 0x39, 0x01, 0xbb, 0, 0, 0, 1, 0, 0, 0, 2, 0x51, 0x12, 0, 0, 0, 0, 0, 0}
	addr = []byte{198, 51, 100, 1, 203, 0, 113, 1}
)

// v4 is an IPv4 header with so many bytes of options.
func v4(protocol byte, fragment uint16, options int, payload []byte) []byte {
	h := cat([]byte{0x40 | byte(5+options/4), 0xb8, 0, 60, 0, 0, byte(fragment >> 8), byte(fragment), 64, protocol, 0, 0}, addr, make([]byte, options))
	return append(h, payload...)
}

// v6 is an IPv6 header from 2001:db8::1 to 2001:db8::2.
func v6(next byte, payload ...[]byte) []byte {
	h := make([]byte, 40)
	copy(h, []byte{0x6b, 0x81, 0x23, 0x45, 0, 0, next, 64})
	copy(h[8:], []byte{0x20, 1, 0xd, 0xb8, 15: 1})
	copy(h[24:], []byte{0x20, 1, 0xd, 0xb8, 15: 2})
	return cat(h, cat(payload...))
}

type tuple struct {
	Source, Destination   string
	Protocol              flow.Int
	SourcePort, DestPort  flow.Int
	ICMPType, ICMPCode    flow.Int
	Flags, Service, VLAN  flow.Int
	SourceMAC, Extensions string
}

func read(b []byte) tuple {
	var r flow.Record
	var x extension.Block
	Ethernet(&r, &x, b)
	return tuple{
		r.Source.IP.String(), r.Destination.IP.String(), r.Protocol, r.Source.Port, r.Destination.Port, r.ICMPType, r.ICMPCode,
		r.TCPFlags, r.TypeOfService, r.VLAN, r.Source.MAC, string(flow.AppendExtensions(nil, x.Take())),
	}
}

func TestHeadersOfSampledPackets(t *testing.T) {
	const a, b, a6, b6, mac = "198.51.100.1", "203.0.113.1", "2001:db8::1", "2001:db8::2", "02:00:00:00:00:0a"
	n := flow.N
	v4TCP := tuple{a, b, n(6), n(12345), n(443), flow.Int{}, flow.Int{}, n(0x112), n(0xb8), flow.Int{}, mac, `{"ipTTL":64}`}
	v6UDP := tuple{a6, b6, n(17), n(12345), n(443), flow.Int{}, flow.Int{}, flow.Int{}, n(0xb8), flow.Int{}, mac, `{"flowLabelIPv6":74565,"ipTTL":64}`}
	with := func(base tuple, change func(*tuple)) tuple { change(&base); return base }
	none := tuple{SourceMAC: mac}
	for what, c := range map[string]struct {
		frame []byte
		want  tuple
	}{
		"IPv4":            {cat(macs, []byte{8, 0}, v4(6, 0x4000, 0, tcp)), v4TCP},
		"options of IPv4": {cat(macs, []byte{8, 0}, v4(6, 0, 12, tcp)), v4TCP},
		"VLAN":            {cat(macs, []byte{0x81, 0, 0x60, 10, 8, 0}, v4(6, 0, 0, tcp)), with(v4TCP, func(t *tuple) { t.VLAN = n(10) })},
		"QinQ":            {cat(macs, []byte{0x88, 0xa8, 0, 10, 0x81, 0, 0, 20, 8, 0}, v4(6, 0, 0, tcp)), with(v4TCP, func(t *tuple) { t.VLAN, t.Extensions = n(10), `{"dot1qCustomerVlanId":20,"ipTTL":64}` })},
		"MPLS":            {cat(macs, []byte{0x88, 0x47, 0, 1, 0, 64, 0, 2, 1, 64}, v4(6, 0, 0, tcp)), with(v4TCP, func(t *tuple) { t.Extensions = `{"mplsLabels":"16 32","ipTTL":64}` })},
		"a later fragment": {cat(macs, []byte{8, 0}, v4(6, 185, 0, tcp)), with(v4TCP, func(t *tuple) {
			t.SourcePort, t.DestPort, t.Flags, t.Extensions = flow.Int{}, flow.Int{}, flow.Int{}, `{"ipTTL":64,"fragmentOffset":185}`
		})},
		"the ports are cut": {cat(macs, []byte{8, 0}, v4(6, 0, 0, tcp[:3])), with(v4TCP, func(t *tuple) { t.SourcePort, t.DestPort, t.Flags = flow.Int{}, flow.Int{}, flow.Int{} })},
		"the flags are cut": {cat(macs, []byte{8, 0}, v4(6, 0, 0, tcp[:13])), with(v4TCP, func(t *tuple) { t.Flags = flow.Int{} })},
		"SCTP":              {cat(macs, []byte{8, 0}, v4(132, 0, 0, tcp)), with(v4TCP, func(t *tuple) { t.Protocol, t.Flags = n(132), flow.Int{} })},
		"ICMP": {cat(macs, []byte{8, 0}, v4(1, 0, 0, []byte{3, 1})), with(v4TCP, func(t *tuple) {
			t.Protocol, t.SourcePort, t.DestPort, t.Flags, t.ICMPType, t.ICMPCode = n(1), flow.Int{}, flow.Int{}, flow.Int{}, n(3), n(1)
		})},
		"GRE has no ports": {cat(macs, []byte{8, 0}, v4(47, 0, 0, tcp)), with(v4TCP, func(t *tuple) {
			t.Protocol, t.SourcePort, t.DestPort, t.Flags = n(47), flow.Int{}, flow.Int{}, flow.Int{}
		})},
		"IPv6":              {cat(macs, []byte{0x86, 0xdd}, v6(17, tcp)), v6UDP},
		"extension headers": {cat(macs, []byte{0x86, 0xdd}, v6(0, []byte{43, 0, 7: 0}, []byte{44, 1, 15: 0}, []byte{51, 0, 0, 1, 0, 0, 0, 0}, []byte{17, 1, 11: 0}, tcp)), v6UDP},
		"a later fragment of IPv6": {cat(macs, []byte{0x86, 0xdd}, v6(44, []byte{17, 0, 0x05, 0xc8, 0, 0, 0, 1}, tcp)),
			with(v6UDP, func(t *tuple) {
				t.SourcePort, t.DestPort, t.Extensions = flow.Int{}, flow.Int{}, `{"flowLabelIPv6":74565,"ipTTL":64,"fragmentOffset":185}`
			})},
		"cut in extension headers": {cat(macs, []byte{0x86, 0xdd}, v6(0, []byte{17, 3, 0, 0})), with(v6UDP, func(t *tuple) { t.Protocol, t.SourcePort, t.DestPort = flow.Int{}, flow.Int{}, flow.Int{} })},
		"ARP":                      {cat(macs, []byte{8, 6}, make([]byte, 28)), with(none, func(t *tuple) { t.Extensions = `{"ethernetType":2054}` })},
		"cut in the IPv4 header":   {cat(macs, []byte{8, 0}, v4(6, 0, 0, nil)[:19]), with(none, func(t *tuple) { t.Extensions = "{}" })},
		"cut in a tag":             {cat(macs, []byte{0x81, 0, 0}), with(none, func(t *tuple) { t.Extensions = "{}" })},
		"cut in a label":           {cat(macs, []byte{0x88, 0x47, 0, 1, 0}), with(none, func(t *tuple) { t.Extensions = "{}" })},
		"cut in the addresses":     {macs[:11], tuple{Extensions: "{}"}},
	} {
		if d := cmp.Diff(c.want, read(c.frame)); d != "" {
			t.Errorf("%s: %s", what, d)
		}
		for i := range c.frame {
			read(c.frame[:i]) // no panic
		}
	}
}
