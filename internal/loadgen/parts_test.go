package loadgen

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPermutationIsABijection(t *testing.T) {
	for _, n := range []uint64{1, 2, 3, 7, 64, 1000, 4097} {
		p := newPermutation(n, n*7)
		seen := make([]bool, n)
		for i := range n {
			v := p.at(i)
			if v >= n || seen[v] {
				t.Fatalf("n=%d: %d goes to %d, out of range or taken", n, i, v)
			}
			seen[v] = true
		}
	}
}

func TestQueueSorts(t *testing.T) {
	var q queue
	r := random(3)
	var want []waiting
	for range 1000 {
		w := waiting{int64(r.n(300)), r.next()}
		q.push(w)
		want = append(want, w)
	}
	slices.SortFunc(want, func(a, b waiting) int {
		if a.before(b) {
			return -1
		}
		return 1
	})
	for i := range want {
		if got := q.pop(); got != want[i] {
			t.Fatalf("%d: %v, want %v", i, got, want[i])
		}
	}
	if len(q) != 0 {
		t.Error("something is left")
	}
}

func TestAppendMillisIsRFC3339(t *testing.T) {
	r := random(5)
	for range 2000 {
		ns := int64(r.n(5e18)) // to 2128
		got := string(appendMillis(nil, ns))
		if want := time.Unix(0, ns).UTC().Format("2006-01-02T15:04:05.000Z"); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	}
}

func TestPublicAddressesAreNobodysSpecialOnes(t *testing.T) {
	var reserved []netip.Prefix
	for _, p := range strings.Fields("0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/3 2001:db8::/32 fc00::/7 fe80::/10 ff00::/8") {
		reserved = append(reserved, netip.MustParsePrefix(p))
	}
	c := Default()
	four, six := 0, 0
	for k := range uint64(20_000) {
		a := c.server(k).Addr()
		for _, p := range reserved {
			if p.Contains(a) {
				t.Fatalf("%v lies in %v", a, p)
			}
		}
		if a.Is4() {
			four++
		} else {
			six++
		}
	}
	if four < six || six < 1000 {
		t.Errorf("%d IPv4, %d IPv6", four, six)
	}
	// At the edges, where chance does not come by.
	for _, p := range reserved {
		if !p.Addr().Is4() {
			continue
		}
		b := p.Addr().As4()
		first := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
		last := first | uint32(1<<(32-p.Bits())-1)
		if first>>24 < 224 && (!special(first) || !special(last)) {
			t.Errorf("%v is taken for public", p)
		}
	}
	for _, s := range []string{"9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0", "192.167.0.1", "198.17.255.255", "198.20.0.0", "203.0.112.255", "223.255.255.255"} {
		b := netip.MustParseAddr(s).As4()
		if special(uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])) {
			t.Errorf("%s is taken for special", s)
		}
	}
}

func TestDocumentationAddressesStayInTheirPrefixes(t *testing.T) {
	c := Default()
	c.Addresses = Documentation
	seen := map[netip.Prefix]int{}
	for k := range uint64(5_000) {
		a := c.server(k).Addr()
		for _, p := range strings.Fields("192.0.2.0/25 192.0.2.128/25 198.51.100.0/24 203.0.113.0/24 2001:db8:1::/48 2001:db8:2::/48") {
			if p := netip.MustParsePrefix(p); p.Contains(a) {
				seen[p]++
				seen[netip.Prefix{}]++
			}
		}
	}
	if seen[netip.Prefix{}] != 5_000 || len(seen) != 7 {
		t.Errorf("%v", seen)
	}
	for user := range uint64(3_000) {
		a := c.client(1, user).Addr()
		if !netip.MustParsePrefix("10.2.0.0/16").Contains(a) && !netip.MustParsePrefix("100.64.0.0/10").Contains(a) {
			t.Fatalf("client %v", a)
		}
	}
}

func TestValidateReportsEveryProblemAtOnce(t *testing.T) {
	c := Default()
	c.Records, c.Duplicates, c.Broken, c.Disorder, c.Span = 0, -1, 2, -1, 0
	c.DataCenters, c.Formats = []string{"../x", "a", "a"}, []string{"pcap", "b:zeek"}
	c.LagDataCenter, c.Users, c.Servers, c.Gaps, c.Redelivered = "c", 0, 0, 0.5, 7
	c.Addresses, c.Clients, c.Compression, c.Rate = "x", "y", "rar", -1
	c.Start = time.Time{}
	err := c.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"records:", "duplicates:", "broken:", "disorder:", "span:", `"../x"`, "twice", `"pcap"`, `"b:zeek"`, "lag_data_center:", "users:", "servers:", "redelivered:", "addresses:", "clients:", "compression:", "rate:", "start:"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing about %s in\n%v", want, err)
		}
	}
	if _, err := New(c); err == nil {
		t.Error("New accepts it")
	}
	for name, change := range map[string]func(*Config){
		"nothing good is left":          func(c *Config) { c.Duplicates, c.Broken = 0.5, 0.5 },
		"more oversize than broken":     func(c *Config) { c.Oversize = 1 << 30 },
		"gaps without AWS":              func(c *Config) { c.Gaps = 0.1 },
		"a lag without its data center": func(c *Config) { c.Lag = time.Minute },
	} {
		c := Default()
		change(&c)
		if c.Validate() == nil {
			t.Errorf("accepted: %s", name)
		}
	}
}

func TestFormatsCanBeOfOneDataCenter(t *testing.T) {
	c := Default()
	c.DataCenters, c.Formats = []string{"fra", "iad"}, []string{"zeek", "iad:canopus"}
	got, err := c.streams()
	if err != nil {
		t.Fatal(err)
	}
	want := []Stream{{"fra", Zeek, 0}, {"iad", Canopus, 1}, {"iad", Zeek, 1}}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
