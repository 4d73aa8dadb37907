package anonymize

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
)

// sampleKey is the key of the sample trace published with Crypto-PAn 1.0.
var sampleKey = []byte{
	21, 34, 23, 141, 51, 164, 207, 128, 19, 10, 91, 22, 73, 144, 125, 16,
	216, 152, 143, 131, 121, 121, 101, 39, 98, 87, 76, 45, 42, 132, 34, 2,
}

func pan(t testing.TB) *Cryptopan {
	t.Helper()
	c, err := NewCryptopan(sampleKey)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPublishedVectors(t *testing.T) {
	c := pan(t)
	for in, want := range map[string]string{
		"128.11.68.132":   "135.242.180.132",
		"129.118.74.4":    "134.136.186.123",
		"130.132.252.244": "133.68.164.234",
		"141.223.7.43":    "141.167.8.160",
		"141.233.145.108": "141.129.237.235",
		"152.163.225.39":  "151.140.114.167",
		"156.29.3.236":    "147.225.12.42",
		"165.247.96.84":   "162.9.99.234",
		"166.107.77.190":  "160.132.178.185",
		"192.102.249.13":  "252.138.62.131",
		"192.215.32.125":  "252.43.47.189",
		"192.233.80.103":  "252.25.108.8",
		"192.41.57.43":    "252.222.221.184",
		"193.150.244.223": "253.169.52.216",
		"195.205.63.100":  "255.186.223.5",
		"198.200.171.101": "249.199.68.213",
		"198.26.132.101":  "249.36.123.202",
		"198.36.213.5":    "249.7.21.132",
		"198.51.77.238":   "249.18.186.254",
		"199.217.79.101":  "248.38.184.213",
		"202.49.198.20":   "245.206.7.234",
		"203.12.160.252":  "244.248.163.4",
		"204.184.162.189": "243.192.77.90",
		"204.202.136.230": "243.178.4.198",
		"204.29.20.4":     "243.33.20.123",
		"205.178.38.67":   "242.108.198.51",
		"205.188.147.153": "242.96.16.101",
		"205.188.248.25":  "242.96.88.27",
		"205.245.121.43":  "242.21.121.163",
		"207.105.49.5":    "241.118.205.138",
		"207.135.65.238":  "241.202.129.222",
		"207.155.9.214":   "241.220.250.22",
		"207.188.7.45":    "241.255.249.220",
		"207.25.71.27":    "241.33.119.156",
		"207.33.151.131":  "241.1.233.131",
		"208.147.89.59":   "227.237.98.191",
		"208.234.120.210": "227.154.67.17",
		"208.28.185.184":  "227.39.94.90",
		"208.52.56.122":   "227.8.63.165",
		"209.12.231.7":    "226.243.167.8",
		"209.238.72.3":    "226.6.119.243",
		"209.246.74.109":  "226.22.124.76",
		"209.68.60.238":   "226.184.220.233",
		"209.85.249.6":    "226.170.70.6",
		"212.120.124.31":  "228.135.163.231",
		"212.146.8.236":   "228.19.4.234",
		"212.186.227.154": "228.59.98.98",
		"212.204.172.118": "228.71.195.169",
		"212.206.130.201": "228.69.242.193",
		"216.148.237.145": "235.84.194.111",
		"216.157.30.252":  "235.89.31.26",
		"216.184.159.48":  "235.96.225.78",
		"216.227.10.221":  "235.28.253.36",
		"216.254.18.172":  "235.7.16.162",
		"216.32.132.250":  "235.192.139.38",
		"216.35.217.178":  "235.195.157.81",
		"24.0.250.221":    "100.15.198.226",
		"24.13.62.231":    "100.2.192.247",
		"24.14.213.138":   "100.1.42.141",
		"24.5.0.80":       "100.9.15.210",
		"24.7.198.88":     "100.10.6.25",
		"24.94.26.44":     "100.88.228.35",
		"38.15.67.68":     "64.3.66.187",
		"4.3.88.225":      "124.60.155.63",
		"63.14.55.111":    "95.9.215.7",
		"63.195.241.44":   "95.179.238.44",
		"63.97.7.140":     "95.97.9.123",
		"64.14.118.196":   "0.255.183.58",
		"64.34.154.117":   "0.221.154.117",
		"64.39.15.238":    "0.219.7.41",
		// IPv6, of other implementations of the same scheme with this key.
		"::1":         "78ff:f001:9fc0:20df:8380:b1f1:704:ed",
		"::2":         "78ff:f001:9fc0:20df:8380:b1f1:704:ef",
		"::ffff":      "78ff:f001:9fc0:20df:8380:b1f1:704:f838",
		"2001:db8::1": "4401:2bc:603f:d91d:27f:ff8e:e6f1:dc1e",
		"2001:db8::2": "4401:2bc:603f:d91d:27f:ff8e:e6f1:dc1c",
	} {
		for range 2 { // computed, and from the cache
			if got := c.IP(flow.MustIP(in)).String(); got != want {
				t.Errorf("%s becomes %s, want %s", in, got, want)
			}
		}
	}
	if c.IP(flow.IP{}) != (flow.IP{}) {
		t.Error("an absent address became one")
	}
}

func TestPrefixesArePreserved(t *testing.T) {
	c := pan(t)
	rnd := rand.New(rand.NewPCG(5, 6))
	for range 2000 {
		ip := flow.IP{Len: []uint8{4, 16}[rnd.IntN(2)]}
		for i := range ip.Len {
			ip.B[i] = byte(rnd.Uint32())
		}
		other := ip
		keep := rnd.IntN(8 * int(ip.Len)) // this bit differs, and those behind it may
		other.B[keep/8] ^= 0x80 >> (keep % 8)
		for i := keep/8 + 1; i < int(ip.Len); i++ {
			other.B[i] = byte(rnd.Uint32())
		}
		if a, b := common(ip, other), common(c.IP(ip), c.IP(other)); a != b {
			t.Fatalf("%v and %v share %d bits, mapped %d", ip, other, a, b)
		}
	}
}

func common(a, b flow.IP) int {
	for i := range a.Len {
		if x := a.B[i] ^ b.B[i]; x != 0 {
			return 8*int(i) + bits.LeadingZeros8(x)
		}
	}
	return 8 * int(a.Len)
}

func TestTheCacheNeverAnswersForAnother(t *testing.T) {
	c, fresh := pan(t), pan(t)
	rnd := rand.New(rand.NewPCG(7, 8))
	for range 20_000 { // five times the slots
		ip := flow.IP{B: [16]byte{10, 0, byte(rnd.IntN(256)), byte(rnd.IntN(256))}, Len: 4}
		if c.IP(ip).B != fresh.compute(ip) {
			t.Fatalf("%v", ip)
		}
	}
	// The same first bytes, another family.
	a, b := flow.IP{B: [16]byte{10, 1, 2, 3}, Len: 4}, flow.IP{B: [16]byte{10, 1, 2, 3}, Len: 16}
	if c.IP(a).B != fresh.compute(a) || c.IP(b).B != fresh.compute(b) {
		t.Error("IPv4 and IPv6 share a slot's answer")
	}
}

func keyFile(t testing.TB, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return "file:" + path
}

func ready(t testing.TB, opts ...Option) *step {
	t.Helper()
	s := Step(keyFile(t, sampleKey), opts...).(*step)
	if err := s.Setup(context.Background()); err != nil {
		t.Fatal(err)
	}
	return s
}

func full() flow.Record {
	r := flow.Record{Protocol: flow.N(6), Original: "raw 128.11.68.132", Extensions: []flow.Extension{
		flow.Ext("peer", "128.11.68.132"), flow.Ext("note", "128.11.68.132 said so"), flow.Ext("version", "1.2"), flow.Ext("hop", "2001:db8::1"), flow.ExtN("n", 12811)}}
	r.Source = flow.Endpoint{IP: flow.MustIP("128.11.68.132"), NATIP: flow.MustIP("129.118.74.4"), Port: flow.N(1000), MAC: "aa:bb:cc:dd:ee:ff",
		Domain: "example.com", Geo: flow.Geo{Country: "US"}, GeoStatus: "found"}
	r.Destination = flow.Endpoint{IP: flow.MustIP("130.132.252.244"), Port: flow.N(443), MAC: "aa:bb:cc:dd:ee:00", Domain: "130.132.252.244"}
	r.Exporter.IP, r.Exporter.Name = flow.MustIP("141.223.7.43"), "141.223.7.43"
	r.SetCommunityID()
	return r
}

func TestARecord(t *testing.T) {
	in := full()
	before := in.Clone()
	want := full()
	want.Original = ""
	want.Source.IP, want.Source.NATIP = flow.MustIP("135.242.180.132"), flow.MustIP("134.136.186.123")
	want.Destination.IP, want.Destination.Domain = flow.MustIP("133.68.164.234"), "133.68.164.234"
	want.Extensions[0].Text, want.Extensions[3].Text = "135.242.180.132", "4401:2bc:603f:d91d:27f:ff8e:e6f1:dc1e"
	want.CommunityID = ""
	want.SetCommunityID()
	if want.CommunityID == in.CommunityID {
		t.Fatal("one Community ID for two pairs of addresses")
	}
	got := in // as flow.Apply copies it: the slices are shared
	if keep, err := ready(t).Process(&got); !keep || err != nil {
		t.Fatal(keep, err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(before, in); d != "" {
		t.Error("the record that came in changed:", d)
	}

	got = in
	ready(t, MAC(), Exporter()).Process(&got)
	want.Source.MAC, want.Destination.MAC = "", ""
	want.Exporter.IP, want.Exporter.Name = flow.MustIP("141.167.8.160"), "141.167.8.160"
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestBothDirectionsStillShareACommunityID(t *testing.T) {
	s := ready(t)
	a := full()
	b := full()
	b.Source.IP, b.Destination.IP = a.Destination.IP, a.Source.IP
	b.Source.Port, b.Destination.Port = a.Destination.Port, a.Source.Port
	s.Process(&a)
	s.Process(&b)
	if a.CommunityID != b.CommunityID || a.CommunityID == "" {
		t.Errorf("%q and %q", a.CommunityID, b.CommunityID)
	}
}

func TestARecordWithoutCommunityIDGetsNone(t *testing.T) {
	r := full()
	r.CommunityID = ""
	ready(t).Process(&r)
	if r.CommunityID != "" {
		t.Error(r.CommunityID)
	}
}

func TestKeyForms(t *testing.T) {
	t.Setenv("FLOWBEAM_TEST_KEY", hex.EncodeToString(sampleKey))
	for name, ref := range map[string]string{
		"bytes":                keyFile(t, sampleKey),
		"hexadecimal":          keyFile(t, []byte(hex.EncodeToString(sampleKey))),
		"hexadecimal, newline": keyFile(t, []byte(strings.ToUpper(hex.EncodeToString(sampleKey))+"\n")),
		"base64":               keyFile(t, []byte(base64.StdEncoding.EncodeToString(sampleKey)+"\n")),
		"environment":          "env:FLOWBEAM_TEST_KEY",
	} {
		if key, err := loadKey(ref); err != nil || !bytes.Equal(key, sampleKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAKeyThatIsExchangedUnderARunningJobIsNotTaken(t *testing.T) {
	ref := keyFile(t, sampleKey)
	if _, err := loadKey(ref); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(strings.TrimPrefix(ref, "file:"), make([]byte, KeySize), 0o600)
	if key, err := loadKey(ref); err != nil || !bytes.Equal(key, sampleKey) {
		t.Errorf("another key, %v", err)
	}
}

func TestTheKeyIsNeverToldToAnybody(t *testing.T) {
	const canary = "canary-7f3a"
	told := func(what string, v any) {
		t.Helper()
		if s := fmt.Sprintf("%v %+v", v, v); strings.Contains(s, canary) || s == "<nil> <nil>" {
			t.Errorf("%s: %s", what, s)
		}
	}
	t.Setenv("FLOWBEAM_TEST_CANARY", canary)
	_, err := loadKey("env:FLOWBEAM_TEST_CANARY")
	told("bad key in the environment", err)
	_, err = loadKey(keyFile(t, []byte(canary)))
	told("bad key in a file", err)
	_, err = loadKey("env:FLOWBEAM_TEST_ABSENT")
	told("absent variable", err)
	_, err = loadKey("file:/absent/key")
	told("absent file", err)
	func() {
		defer func() { told("the key itself for the reference", recover()) }()
		Step(canary)
	}()
	key := canary + strings.Repeat("x", KeySize-len(canary))
	t.Setenv("FLOWBEAM_TEST_CANARY_KEY", key)
	s := Step("env:FLOWBEAM_TEST_CANARY_KEY").(*step)
	if err := s.Setup(context.Background()); err != nil {
		t.Fatal(err)
	}
	told("the Step in the pipeline", flow.EncodeSteps([]flow.Step{s}))
}

func TestNoAllocation(t *testing.T) {
	s := ready(t)
	r := full()
	r.Extensions, r.CommunityID, r.Destination.Domain = nil, "", "example.com"
	var i byte
	if n := testing.AllocsPerRun(1000, func() { i++; r.Source.IP.B[3] = i; s.Process(&r) }); n != 0 {
		t.Errorf("%v allocations a record, want 0", n)
	}
}

// BenchmarkProcess: one op is one record with two addresses, which are in the cache or not.
func BenchmarkProcess(b *testing.B) {
	for name, mask := range map[string]uint32{"cached": 0x3ff, "new": 0xffffffff} {
		b.Run(name, func(b *testing.B) {
			s := ready(b)
			b.ReportAllocs()
			var i uint32
			for b.Loop() {
				i++
				n := i & mask
				var r flow.Record
				r.Source.IP = flow.IP{B: [16]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}, Len: 4}
				r.Destination.IP = flow.IP{B: [16]byte{192, byte(n >> 16), byte(n >> 8), byte(n)}, Len: 4}
				s.Process(&r)
			}
		})
	}
}
