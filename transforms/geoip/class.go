package geoip

import (
	"net/netip"

	"github.com/flowbeam/flowbeam/flow"
)

// The values of Endpoint.GeoStatus.
const (
	Found    = "found"    // the database knows the address
	Private  = "private"  // RFC 1918, RFC 4193 (fc00::/7) and RFC 6598 (100.64.0.0/10): somebody's inside
	Reserved = "reserved" // loopback, link-local, multicast, documentation and the like
	Unknown  = "unknown"  // a public address that the database doesn't know
)

// classify says why no database knows the address. Databases are asked first: one may
// well hold a company's private networks.
func classify(ip flow.IP) string {
	if ip.Len == 4 {
		return classify4(ip.B[0], ip.B[1], ip.B[2])
	}
	return classify6(ip.Addr())
}

// classify4 follows IANA's IPv4 Special-Purpose Address Registry, RFC 6890.
func classify4(a, b, c byte) string {
	switch {
	case a == 10, a == 172 && b&0xf0 == 16, a == 192 && b == 168, a == 100 && b&0xc0 == 64:
		return Private
	case a == 0, a == 127, a >= 224, // this network, loopback, multicast and reserved
		a == 169 && b == 254,            // link-local
		a == 192 && b == 0 && c == 0,    // protocol assignments
		a == 192 && b == 0 && c == 2,    // documentation
		a == 198 && b == 51 && c == 100, // documentation
		a == 203 && b == 0 && c == 113,  // documentation
		a == 198 && b&0xfe == 18:        // benchmarks
		return Reserved
	}
	return Unknown
}

// reserved6 follows IANA's IPv6 Special-Purpose Address Registry and RFC 4291.
var reserved6 = []netip.Prefix{
	netip.MustParsePrefix("::/127"),         // unspecified and loopback
	netip.MustParsePrefix("64:ff9b:1::/48"), // local translation
	netip.MustParsePrefix("100::/64"),       // discard
	netip.MustParsePrefix("2001:2::/48"),    // benchmarks
	netip.MustParsePrefix("2001:db8::/32"),  // documentation
	netip.MustParsePrefix("3fff::/20"),      // documentation
	netip.MustParsePrefix("5f00::/16"),      // segment routing
	netip.MustParsePrefix("fe80::/10"),      // link-local
	netip.MustParsePrefix("fec0::/10"),      // site-local, deprecated
	netip.MustParsePrefix("ff00::/8"),       // multicast
}

func classify6(a netip.Addr) string {
	if a.IsPrivate() {
		return Private
	}
	for _, p := range reserved6 {
		if p.Contains(a) {
			return Reserved
		}
	}
	return Unknown
}
