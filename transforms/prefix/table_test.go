package prefix

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
)

func parse(t testing.TB, lines ...string) *Table {
	t.Helper()
	table, err := Parse([]byte(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestTheMostSpecificPrefixWins(t *testing.T) {
	table := parse(t, "prefix,network",
		"10.0.0.0/8,wide", "10.1.0.0/16,middle", "10.1.2.0/24,narrow", "10.1.2.3,host", "10.1.255.0/24,edge",
		"10.3.0.0/24,narrow from the first address", "10.3.0.0/16,middle from the first address",
		"255.255.255.0/24,top", "0.0.0.0/1,half",
		"2001:db8::/32,six", "2001:db8:1::/48,six narrow", "ffff::/16,six top")
	for address, want := range map[string]string{
		"10.0.0.0": "wide", "10.255.255.255": "wide", "10.1.0.0": "middle", "10.1.2.0": "narrow", "10.1.2.2": "narrow",
		"10.1.2.3": "host", "10.1.2.4": "narrow", "10.1.3.0": "middle", "10.1.254.255": "middle", "10.1.255.255": "edge", "10.2.0.0": "wide",
		"10.3.0.0": "narrow from the first address", "10.3.1.0": "middle from the first address", "10.4.0.0": "wide",
		"9.255.255.255": "half", "11.0.0.0": "half", "0.0.0.0": "half", "127.255.255.255": "half", "128.0.0.0": "",
		"255.255.254.255": "", "255.255.255.255": "top",
		"::": "", "::10.1.2.3": "", "2001:db8::1": "six", "2001:db8:1::1": "six narrow", "2001:db8:1:ffff:ffff:ffff:ffff:ffff": "six narrow",
		"2001:db8:2::": "six", "2001:db9::": "", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff": "six top",
	} {
		var got string
		if r := table.find(flow.MustIP(address)); r != nil {
			got = r.network
		}
		if got != want {
			t.Errorf("%s is in %q, want %q", address, got, want)
		}
	}
	if table.find(flow.IP{}) != nil {
		t.Error("an absent address was found")
	}
}

func TestFindAgreesWithASearchOfAllPrefixes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	address := func() netip.Addr { // few distinct bytes, so that prefixes nest and touch
		some := [...]byte{0, 1, 127, 128, 254, 255}
		pick := func() byte { return some[rnd.IntN(len(some))] }
		if rnd.IntN(2) == 0 {
			return netip.AddrFrom4([4]byte{pick(), pick(), pick(), pick()})
		}
		return netip.AddrFrom16([16]byte{0: 0x20, 5: pick(), 6: pick(), 14: pick(), 15: pick()})
	}
	for range 200 {
		lines := []string{"prefix,network"}
		var all []netip.Prefix
		for range rnd.IntN(40) {
			a := address()
			p := netip.PrefixFrom(a, rnd.IntN(a.BitLen()+1)).Masked()
			all = append(all, p)
			lines = append(lines, fmt.Sprintf("%v,%v", p, p))
		}
		table := parse(t, lines...)
		for range 200 {
			a := address()
			want, bits := "", -1
			for _, p := range all {
				if p.Contains(a) && p.Bits() > bits {
					want, bits = p.String(), p.Bits()
				}
			}
			got := ""
			if r := table.find(flow.IPOf(a)); r != nil {
				got = r.network
			}
			if got != want {
				t.Fatalf("%v is in %q, want %q, of %v", a, got, want, all)
			}
		}
	}
}

func TestEnrich(t *testing.T) {
	first := parse(t, "\ufeffprefix, network ,customer,site,data_center,tenant,zone,env", "# a comment",
		"10.1.0.0/16,net-a,Acme,Hall 1,dc-a,acme,z1,prod", "10.1.9.0/24,net-b,,,,,,", `192.0.2.0/24,"net, c",,,dc-c,,z3,`)
	second := parse(t, "prefix,customer,env,owner", "10.1.0.0/16,Better,test,me")
	for name, c := range map[string]struct {
		tables []*Table
		in     flow.Record
		found  int
		want   flow.Record
	}{
		"all columns, labels sorted, the source's data center first": {
			[]*Table{first}, flow.Record{}, 2,
			flow.Record{DataCenter: "dc-a", Tenant: "acme",
				Source:      flow.Endpoint{Network: "net-a", Customer: "Acme", Site: "Hall 1", Labels: []flow.Label{{Name: "env", Value: "prod"}, {Name: "zone", Value: "z1"}}},
				Destination: flow.Endpoint{Network: "net, c", Labels: []flow.Label{{Name: "zone", Value: "z3"}}}}},
		"the record's own data center and tenant stay": {
			[]*Table{first}, flow.Record{DataCenter: "own", Tenant: "mine", Destination: flow.Endpoint{IP: flow.MustIP("8.8.8.8")}}, 1,
			flow.Record{DataCenter: "own", Tenant: "mine",
				Source: flow.Endpoint{Network: "net-a", Customer: "Acme", Site: "Hall 1", Labels: []flow.Label{{Name: "env", Value: "prod"}, {Name: "zone", Value: "z1"}}}, Destination: flow.Endpoint{IP: flow.MustIP("8.8.8.8")}}},
		"the most specific row wins whole, its empty values leave what was there": {
			[]*Table{first}, flow.Record{Source: flow.Endpoint{IP: flow.MustIP("10.1.9.1"), Customer: "before"}, Destination: flow.Endpoint{IP: flow.MustIP("8.8.8.8")}}, 1,
			flow.Record{Source: flow.Endpoint{IP: flow.MustIP("10.1.9.1"), Network: "net-b", Customer: "before"}, Destination: flow.Endpoint{IP: flow.MustIP("8.8.8.8")}}},
		"a later table wins, and keeps other labels": {
			[]*Table{first, second}, flow.Record{Destination: flow.Endpoint{IP: flow.MustIP("8.8.8.8")}}, 2,
			flow.Record{DataCenter: "dc-a", Tenant: "acme",
				Source: flow.Endpoint{Network: "net-a", Customer: "Better", Site: "Hall 1",
					Labels: []flow.Label{{Name: "env", Value: "test"}, {Name: "owner", Value: "me"}, {Name: "zone", Value: "z1"}}}, Destination: flow.Endpoint{IP: flow.MustIP("8.8.8.8")}}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range []*flow.Record{&c.in, &c.want} {
				if !r.Source.IP.OK() {
					r.Source.IP = flow.MustIP("10.1.2.3")
				}
				if !r.Destination.IP.OK() {
					r.Destination.IP = flow.MustIP("192.0.2.1")
				}
			}
			found := 0
			for _, table := range c.tables {
				found += table.Enrich(&c.in)
			}
			if d := cmp.Diff(c.want, c.in); d != "" || found != c.found {
				t.Errorf("found %d, want %d; %s", found, c.found, d)
			}
		})
	}
	// Whatever was merged, the table's own labels are as they were.
	if d := cmp.Diff([]flow.Label{{Name: "env", Value: "prod"}, {Name: "zone", Value: "z1"}}, first.find(flow.MustIP("10.1.2.3")).labels); d != "" {
		t.Error(d)
	}
}

func TestParseTellsEveryProblemWithItsLine(t *testing.T) {
	for name, c := range map[string]struct {
		csv  string
		want []string
	}{
		"an empty file":    {"", []string{"no header line"}},
		"no prefix column": {"network,prefix\n", []string{`line 1: the first column is "network", want prefix`}},
		"no value column":  {"prefix\n", []string{"line 1: no column beside the prefix"}},
		"a column twice":   {"prefix,a,,a\n", []string{`line 1: column "a" is there twice`, "line 1: column 3 has no name"}},
		"a broken quote":   {"prefix,a\n10.0.0.0/8,\"x\n", []string{"line 2"}},
		"rows of many sorts": {"prefix,a\n# note\n10.0.0.0/33,x\n10.0.0.1/8,x\n\nnowhere,x\n10.0.0.0/8\n192.0.2.0/24,1\n192.0.2.0/24,2\n192.0.2.0/24,1\nfe80::1%eth0,1\n::/0,1\n::ffff:0:0/95,2\n",
			[]string{`line 3: "10.0.0.0/33" is not a network`, `line 4: "10.0.0.1/8" has bits beyond its length: did you mean 10.0.0.0/8?`,
				`line 6: "nowhere" is neither a network nor an address`, "line 7: 1 columns, want 2",
				"line 9: prefix 192.0.2.0/24 is on line 8 too, with other values", `line 11: "fe80::1%eth0"`, `line 13:`}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(c.csv))
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error\n%v\ndoes not say %q", err, want)
				}
			}
			if n := strings.Count(err.Error(), "\n") + 1; n != len(c.want) {
				t.Errorf("%d problems, want %d:\n%v", n, len(c.want), err)
			}
		})
	}
	many := "prefix,a\n" + strings.Repeat("x,1\n", 5000)
	if _, err := Parse([]byte(many)); strings.Count(err.Error(), "\n") != maxProblems {
		t.Errorf("%d lines of problems", strings.Count(err.Error(), "\n"))
	}
}

func TestAnIPv4PrefixInIPv6FormIsTheIPv4Prefix(t *testing.T) {
	table := parse(t, "prefix,network", "::ffff:192.0.2.0/120,mapped", "::ffff:198.51.100.7,host")
	if r := table.find(flow.MustIP("192.0.2.9")); r == nil || r.network != "mapped" {
		t.Error("network not found")
	}
	if r := table.find(flow.MustIP("198.51.100.7")); r == nil || r.network != "host" {
		t.Error("host not found")
	}
}

func TestTheBundledTableIsGood(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "testdata", "networks.csv"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(b); err != nil {
		t.Error(err)
	}
}

func TestNoAllocation(t *testing.T) {
	table := parse(t, "prefix,network,env", "10.0.0.0/8,a,prod")
	r := flow.Record{}
	r.Source.IP, r.Destination.IP = flow.MustIP("10.1.2.3"), flow.MustIP("2001:db8::1")
	if n := testing.AllocsPerRun(100, func() { r.Source.Labels = nil; table.Enrich(&r) }); n != 0 {
		t.Errorf("%v allocations a record, want 0", n)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("prefix,network\n10.0.0.0/8,a\n::/0,b\n0.0.0.0/0,c\n"))
	f.Add([]byte("prefix,a\n::ffff:10.0.0.0/104,\"x\ny\"\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		table, err := Parse(b)
		if err != nil {
			return
		}
		for i := 1; i < len(table.starts); i++ {
			if !table.starts[i-1].Less(table.starts[i]) {
				t.Fatalf("starts are not in order: %v", table.starts)
			}
		}
		table.find(flow.MustIP("10.0.0.1"))
		table.find(flow.MustIP("::1"))
	})
}

// BenchmarkEnrich: one op is one record, both of whose ends are looked up.
func BenchmarkEnrich(b *testing.B) {
	for _, n := range []int{10, 1_000, 100_000} {
		b.Run(fmt.Sprintf("%d_prefixes", n), func(b *testing.B) {
			lines := []string{"prefix,network,env"}
			for i := range n {
				lines = append(lines, fmt.Sprintf("10.%d.%d.%d/30,n%d,prod", i>>14&255, i>>6&255, i<<2&255, i))
			}
			table := parse(b, lines...)
			records := make([]flow.Record, 1024)
			for i := range records {
				j := i * n / len(records)
				records[i].Source.IP = flow.MustIP(fmt.Sprintf("10.%d.%d.%d", j>>14&255, j>>6&255, j<<2&255))
				records[i].Destination.IP = flow.MustIP("192.0.2.1")
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				r := &records[i&1023]
				r.Source.Labels = nil
				table.Enrich(r)
				i++
			}
		})
	}
}
