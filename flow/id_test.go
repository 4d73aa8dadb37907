package flow_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/testenv"
)

// Every store that holds records knows them by these ids: a change here makes each record
// a new one there.
func TestIDsNeverChange(t *testing.T) {
	for _, c := range []struct {
		format string
		parts  []string
		want   string
	}{
		{"canopus", []string{`{"timestamp":"2024-09-05T10:15:00Z"}`}, "f787f1b4ac4eaea392d4ed485601caf2"},
		{"canopus", nil, "1e698cd21b503f46e2f7883d011ae611"},
		{"zeek", []string{"CHhAvVGS1DHFjwGM9", "1300475167.096535", "0.100371"}, "48dc59616acdd812115bc781df4c635f"},
		{"zeek", []string{"CHhAvVGS1DHFjwGM91300475167.096535", "", "0.100371"}, "f4a2504753505a3435af7e24062548e7"},
		{"netflow", []string{"\x00\xff\x80", strings.Repeat("x", 5000)}, "19e1619a3cd2456a45cc359c2db66e56"},
	} {
		var parts [][]byte
		for _, p := range c.parts {
			parts = append(parts, []byte(p))
		}
		if got := flow.NewID(c.format, parts...).String(); got != c.want {
			t.Errorf("NewID(%q, %.40q) = %s, want %s", c.format, c.parts, got, c.want)
		}
		if got := flow.NewIDText(c.format, c.parts...).String(); got != c.want {
			t.Errorf("NewIDText(%q, %.40q) = %s, want %s", c.format, c.parts, got, c.want)
		}
	}
	letter := flow.Failure{Stage: "parse", Reason: flow.ReasonSyntax, Position: flow.Position{Source: "a.log", Offset: flow.N(7)}, Data: "x", Error: "y"}
	if got := letter.ID().String(); got != "7d3538f7182202e8af0b8e097d913fa3" {
		t.Errorf("dead letter at a position: %s", got)
	}
	letter.Data, letter.Error, letter.Version = "other", "other", "other"
	if got := letter.ID().String(); got != "7d3538f7182202e8af0b8e097d913fa3" {
		t.Errorf("the id of a dead letter follows from its position, stage and reason alone: %s", got)
	}
	if got := (&flow.Failure{Stage: "parse", Reason: flow.ReasonSyntax, Data: "x"}).ID().String(); got != "116ce6b2a650e1f065e5cbd4073a2b18" {
		t.Errorf("dead letter without a position: %s", got)
	}
	row := flow.Rollup{Window: 1767323040e9, Length: 60e9, Records: 5, Group: []flow.Value{flow.StringValue("DE"), {}, flow.IntValue(6)}}
	fields := []string{"source_country", "tenant", "protocol"}
	if got := row.ID(fields).String(); got != "ada6e6f3a480069e3214d1ea0f074a93" {
		t.Errorf("rollup row: %s", got)
	}
	row.Records, row.Measures = 6, []flow.Value{flow.IntValue(1)}
	if got := row.ID(fields).String(); got != "ada6e6f3a480069e3214d1ea0f074a93" {
		t.Errorf("the id of a rollup row does not depend on what was measured: %s", got)
	}
}

func TestIDHasAText(t *testing.T) {
	id := flow.NewID("test", []byte("x"))
	if got, err := flow.ParseID(id.String()); err != nil || got != id {
		t.Errorf("got %v, %v", got, err)
	}
	for _, s := range []string{"", "12", strings.Repeat("g", 32), strings.Repeat("0", 34)} {
		if _, err := flow.ParseID(s); err == nil {
			t.Errorf("ParseID(%q): no error", s)
		}
	}
}

// tuple is one vector of the Community ID, in the form of the specification's baselines.
type tuple struct {
	Proto       int64
	Saddr       string
	Daddr       string
	Sport       *int64
	Dport       *int64
	CommunityID string
}

func (v tuple) id(f func(uint16, flow.Int, flow.IP, flow.IP, flow.Int, flow.Int) string, seed uint16) string {
	port := func(p *int64) flow.Int {
		if p == nil {
			return flow.Int{}
		}
		return flow.N(*p)
	}
	return f(seed, flow.N(v.Proto), flow.MustIP(v.Saddr), flow.MustIP(v.Daddr), port(v.Sport), port(v.Dport))
}

func TestCommunityIDMatchesTheSpecificationsBaselines(t *testing.T) {
	dir := testenv.Shared(t, "community-id")
	for _, b := range []struct {
		file string
		f    func(uint16, flow.Int, flow.IP, flow.IP, flow.Int, flow.Int) string
		seed uint16
	}{
		{"baseline_deflt.json", flow.CommunityID, 0},
		{"baseline_seed1.json", flow.CommunityID, 1},
		{"baseline_nob64.json", flow.CommunityIDHex, 0},
	} {
		data, err := os.ReadFile(filepath.Join(dir, b.file))
		if err != nil {
			t.Fatal(err)
		}
		var vectors []tuple
		if err := json.Unmarshal(data, &vectors); err != nil {
			t.Fatal(err)
		}
		if len(vectors) != 23 {
			t.Errorf("%s: %d vectors, want 23", b.file, len(vectors))
		}
		for _, v := range vectors {
			if got := v.id(b.f, b.seed); got != v.CommunityID {
				t.Errorf("%s: %+v: got %s", b.file, v, got)
			}
		}
	}
}

func TestCommunityID(t *testing.T) {
	const tcp, udp, icmp, gre, icmp6 = 6, 17, 1, 47, 58
	a, b := flow.MustIP("192.0.2.1"), flow.MustIP("198.51.100.7")
	a6, b6 := flow.MustIP("2001:db8::1"), flow.MustIP("2001:db8::2")
	n := flow.N
	id := func(proto int64, src, dst flow.IP, sp, dp flow.Int) string {
		return flow.CommunityID(0, n(proto), src, dst, sp, dp)
	}
	for _, c := range []struct {
		name, got, want string
	}{
		{"TCP", id(tcp, a, b, n(40000), n(443)), "1:lWOTJwBjzASkHgo+w0kukpG9z0M="},
		{"TCP, the other direction", id(tcp, b, a, n(443), n(40000)), "1:lWOTJwBjzASkHgo+w0kukpG9z0M="},
		{"UDP is another conversation", id(udp, a, b, n(40000), n(443)), "1:+Antq0dIIteLfjPLB9RQKXM6UyQ="},
		{"IPv6", id(tcp, a6, b6, n(40000), n(443)), "1:RYG3Msb11GthNt1OYXJouPzmrvA="},
		{"equal addresses, ordered by port", id(tcp, a, a, n(9), n(5)), id(tcp, a, a, n(5), n(9))},
		{"ICMP echo and its reply", id(icmp, a, b, n(8), n(0)), id(icmp, b, a, n(0), n(0))},
		{"ICMPv6 neighbor solicitation and advertisement", id(icmp6, a6, b6, n(135), n(0)), id(icmp6, b6, a6, n(136), n(0))},
		{"a protocol without ports", id(gre, a, b, flow.Int{}, flow.Int{}), id(gre, b, a, n(1), n(2))},
		{"TCP without ports has none", id(tcp, a, b, flow.Int{}, n(443)), ""},
		{"a port out of range has none", id(tcp, a, b, n(70000), n(443)), ""},
		{"a negative port has none", id(tcp, a, b, n(-1), n(443)), ""},
		{"no protocol, none", flow.CommunityID(0, flow.Int{}, a, b, n(1), n(2)), ""},
		{"mixed families have none", id(tcp, a, b6, n(1), n(2)), ""},
		{"no address, none", id(tcp, flow.IP{}, b, n(1), n(2)), ""},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, c.got, c.want)
		}
	}
	if id(icmp, a, b, n(3), n(1)) == id(icmp, b, a, n(3), n(1)) {
		t.Error("ICMP unreachable has no counterpart: its two directions are two conversations")
	}
	r := flow.Record{Protocol: n(icmp), Source: flow.Endpoint{IP: a}, Destination: flow.Endpoint{IP: b}, ICMPType: n(8), ICMPCode: n(0)}
	r.SetCommunityID()
	if want := id(icmp, a, b, n(8), n(0)); r.CommunityID != want {
		t.Errorf("SetCommunityID of ICMP: got %q, want %q", r.CommunityID, want)
	}
	r = flow.Record{CommunityID: "1:given"}
	if r.SetCommunityID(); r.CommunityID != "1:given" {
		t.Error("SetCommunityID replaced the id that the source gave")
	}
}

// However long the parts are, their bytes are those of NewID.
func TestTheIDOfTextsIsThatOfTheirBytes(t *testing.T) {
	long := strings.Repeat("x", 2000)
	for n := range 300 {
		for _, parts := range [][]string{{long[:n]}, {long[:n], long[:127]}, {"", long[:n/2], long[:n%129], "y"}, {long[:10*n/2]}} {
			var raw [][]byte
			for _, p := range parts {
				raw = append(raw, []byte(p))
			}
			for _, format := range []string{"f", long[:127], long[:128]} {
				if flow.NewIDText(format, parts...) != flow.NewID(format, raw...) {
					t.Fatalf("a format of %d bytes and parts of %d: two ids", len(format), n)
				}
			}
		}
	}
}
