package flow

import (
	"fmt"
	"net/netip"
	"testing"
)

// Addresses are those that netip takes, however they are read.
func TestParseIPIsNetip(t *testing.T) {
	texts := []string{
		"0.0.0.0", "255.255.255.255", "1.2.3.4", "192.0.2.10", "192.0.2.100", "10.0.0.1",
		"", ".", "1", "1.2.3", "1.2.3.", "1.2.3.4.", "1.2.3.4.5", ".1.2.3", "1..2.3", "01.2.3.4", "1.2.3.00", "1.2.3.04", "256.1.1.1", "1.1.1.1000",
		"1.2.3.-4", "1.2.3.4 ", " 1.2.3.4", "1.2.3.4%eth0", "1,2,3,4", "1.2.3.a", "18446744073709551617.0.0.1",
		"::", "::1", "2001:db8::1", "::ffff:1.2.3.4", "fe80::1%eth0", "::ffff:01.2.3.4", "2001:db8", "x",
	}
	for i := range 300 {
		texts = append(texts, fmt.Sprintf("1.%d.3.4", i), fmt.Sprintf("1.2.3.%d", i))
	}
	for _, s := range texts {
		got, err := ParseIP(s)
		a, wrong := netip.ParseAddr(s)
		if a.Zone() != "" {
			wrong = fmt.Errorf("it has a zone")
		}
		if (err == nil) != (wrong == nil) || err == nil && got != IPOf(a) {
			t.Errorf("%q: %v %v, netip %v %v", s, got, err, a, wrong)
		}
	}
}
