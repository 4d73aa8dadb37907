package sflow

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/testenv"
)

const receivedAt = flow.Time(1768478400e9)

var sender = flow.MustIP("192.0.2.99")

func decode(t *testing.T, b ...[]byte) *Output {
	t.Helper()
	s, out := NewSession(sender), new(Output)
	for _, b := range b {
		if err := s.Decode(Datagram{Data: b, Received: receivedAt}, out); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestASampleIsOnePacket(t *testing.T) {
	out := decode(t, message(1, 1000, item(2, u32(1, 2, 3)), sample(header(1, 64, ethernet(0x0800, udp4()))), item(0x1001, u32(9))))
	want := flow.Record{
		Format: "sflow", Received: receivedAt, EventTime: receivedAt, TimeQuality: "no_end", Position: flow.Position{Index: flow.N(48)},
		Exporter:         flow.Exporter{IP: flow.MustIP("192.0.2.1"), ObservationDomain: flow.N(7), ObservationPoint: flow.N(3)},
		IngressInterface: "3", EgressInterface: "4", Direction: "ingress", Protocol: flow.N(17), TypeOfService: flow.N(0x28),
		CounterSemantics: "delta", ByteLayer: "l2", SamplingRate: flow.N(100), SamplingSource: "record",
		Source:      flow.Endpoint{IP: flow.MustIP("198.51.100.1"), Port: flow.N(1000), MAC: "02:00:00:00:00:0a", Bytes: flow.N(64), Packets: flow.N(1)},
		Destination: flow.Endpoint{IP: flow.MustIP("203.0.113.1"), Port: flow.N(53), MAC: "02:00:00:00:00:0b"},
		Extensions:  []flow.Extension{flow.ExtN("samplePool", 5000), flow.ExtN("drops", 2), flow.ExtN("stripped", 4), flow.ExtN("ipTTL", 63)},
	}
	want.ID = out.Records[0].ID
	if d := cmp.Diff([]flow.Record{want}, out.Records); d != "" {
		t.Error(d)
	}
	if want := (Counts{Datagrams: 1, Records: 1, CounterSamples: 1, OtherSamples: 1}); out.Counts != want {
		t.Errorf("%+v", out.Counts)
	}
}

// Ids are for ever.
func TestRecordIDsAreGolden(t *testing.T) {
	s := sample(header(1, 64, ethernet(0x0800, udp4())))
	out := decode(t, message(1, 1000, s, s))
	for i, want := range []string{"240b551684f444258c41ec246b04326d", "4945eb64f4601b463e0fbf14ffbcdaaa"} {
		if got := out.Records[i].ID.String(); got != want {
			t.Errorf("sample %d: %s, want %s", i, got, want)
		}
	}
}

func TestExpandedSamplesHaveLargeInterfaces(t *testing.T) {
	s := item(3, u32(1, 0, 1<<30, 100, 5000, 0, 0, 1<<30, 0, internal, 1), item(3, u32(100, 6), []byte{198, 51, 100, 1, 203, 0, 113, 1}, u32(1000, 443, 0x12, 8)))
	r := decode(t, message(1, 1, s)).Records[0]
	if r.IngressInterface != "1073741824" || r.EgressInterface != "internal" || r.Direction != "ingress" {
		t.Errorf("%q %q %q", r.IngressInterface, r.EgressInterface, r.Direction)
	}
	if r.ByteLayer != "ip" || r.Source.Bytes != flow.N(100) || r.TCPFlags != flow.N(0x12) || r.Source.Port != flow.N(1000) || r.TypeOfService != flow.N(8) {
		t.Errorf("%+v", r)
	}
}

func TestDiscardedPacketsAreDropped(t *testing.T) {
	s := item(1, u32(1, 3, 100, 5000, 2, 3, 1<<30|258, 0))
	r := decode(t, message(1, 1, s)).Records[0]
	if r.Action != "drop" || r.ActionReason != "ACL" || r.EgressInterface != "" || r.Source.Bytes.OK {
		t.Errorf("%+v", r)
	}
	s = item(1, u32(1, 3, 0, 5000, 2, 0, 2<<30|5, 0))
	r = decode(t, message(1, 1, s)).Records[0]
	if r.Action != "" || r.IngressInterface != "" || r.SamplingRate.OK || ext(&r, "egressInterfaces") != "5" {
		t.Errorf("%+v", r)
	}
}

func ext(r *flow.Record, name string) string {
	for _, e := range r.Extensions {
		if e.Name == name {
			return e.Text
		}
	}
	return ""
}

func TestWhatSwitchesAndRoutersAdd(t *testing.T) {
	s := sample(
		header(11, 32, udp4()),
		item(1001, u32(10, 3, 20, unknown)),
		item(1002, u32(1), []byte{192, 0, 2, 254}, u32(24, 16)),
		item(1003, u32(1), []byte{192, 0, 2, 253}, u32(64500, 64501, 64502), u32(2), u32(2, 2, 64503, 64504), u32(1, 1, 64505), u32(1, 64500<<16|100), u32(150)),
		item(1004, u32(106), opaque([]byte("ann")), u32(106), opaque([]byte("bob"))),
		item(1007, u32(1), []byte{192, 0, 2, 10}, u32(1), []byte{192, 0, 2, 11}),
		item(2, u32(60), []byte{2, 0, 0, 0, 0, 1, 0, 0, 2, 0, 0, 0, 0, 2, 0, 0}, u32(0x800)),
		item(1006, u32(1)), item(1006, u32(2)),
	)
	r := decode(t, message(1, 1, s)).Records[0]
	if r.VLAN != flow.N(10) || r.Source.PrefixLength != flow.N(24) || r.Destination.PrefixLength != flow.N(16) || r.Source.ASN != flow.N(64501) ||
		r.Destination.ASN.OK || r.UserID != "ann" || r.Source.NATIP != flow.MustIP("192.0.2.10") || r.Destination.NATIP != flow.MustIP("192.0.2.11") ||
		r.Source.MAC != "02:00:00:00:00:01" || r.Source.Bytes != flow.N(32) {
		t.Errorf("%+v", r)
	}
	for name, want := range map[string]string{
		"postVlanId": "20", "dot1qPriority": "3", "postDot1qPriority": "", "ipNextHopIPv4Address": "192.0.2.254", "bgpNextHopIPv4Address": "192.0.2.253",
		"routerAsNumber": "64500", "bgpPrevAdjacentAsNumber": "64502", "bgpNextAdjacentAsNumber": "64503", "bgpAsPath": "64503 64504 {64505}",
		"bgpCommunities": "64500:100", "bgpLocalPreference": "150", "destinationUser": "bob", "sflow_0_1006": "00000001", "sflow_0_1006_2": "00000002",
	} {
		if got := ext(&r, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// A datagram that is not whole gives no records at all.
func TestCutDatagramsAreRefusedWhole(t *testing.T) {
	whole := message(1, 1000, sample(header(1, 64, ethernet(0x0800, udp4()))), sample(header(1, 64, ethernet(0x0800, udp4()))))
	for n := range whole {
		s, out := NewSession(sender), new(Output)
		err := s.Decode(Datagram{Data: whole[:n], Received: receivedAt}, out)
		if err == nil || len(out.Records) != 0 || out.Counts != (Counts{}) {
			t.Fatalf("%d bytes: %d records, %+v, %v", n, len(out.Records), out.Counts, err)
		}
	}
	for what, b := range map[string][]byte{
		"more samples than bytes": cat(u32(5, 1), []byte{192, 0, 2, 1}, u32(7, 1, 1, 1<<31)),
		"more records than bytes": message(1, 1, item(1, u32(1, 3, 100, 1, 1, 1, 1, 1<<31))),
		"version 4":               append(u32(4), whole[4:]...),
		"a family of 3":           append(u32(5, 3), whole[8:]...),
	} {
		if err := NewSession(sender).Decode(Datagram{Data: b}, new(Output)); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

func TestGapsAndRestartsOfAgents(t *testing.T) {
	out := decode(t, message(10, 505000), message(11, 506000), message(14, 507000), message(13, 506500), message(15, 508000), message(1, 10), message(2, 20))
	want := Counts{Datagrams: 7, Gaps: 1, Missing: 2, Reordered: 1, Restarts: 1}
	if out.Counts != want {
		t.Errorf("%+v", out.Counts)
	}
}

func TestAnAgentWithoutAddressIsTheSender(t *testing.T) {
	b := message(1, 1, sample())
	copy(b[8:12], []byte{0, 0, 0, 0})
	if got := decode(t, b).Records[0].Exporter.IP; got != sender {
		t.Error(got)
	}
}

// The exports of real traffic give the packets and bytes that were counted.
func TestSamplesOfRealTraffic(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(testenv.Shared(t, "one-traffic"), "*", "sflow*.lp"))
	if err != nil || len(files) < 7 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		name := filepath.Base(filepath.Dir(file)) + "/" + filepath.Base(file)
		want := truth(t, file)
		s, out := NewSession(sender), new(Output)
		for _, b := range payloads(t, file) {
			if !IsDatagram(b) {
				t.Errorf("%s: not known as sFlow", name)
			}
			if err := s.Decode(Datagram{Data: b, Received: receivedAt}, out); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		var packets, bytes int64
		tuples, ids := map[string][2]int64{}, map[flow.ID]bool{}
		for i := range out.Records {
			r := &out.Records[i]
			ids[r.ID] = true
			packets += r.Scaled(r.Source.Packets).V
			bytes += r.Scaled(r.Source.Bytes).V
			sp, dp := r.Source.Port, r.Destination.Port
			if r.ICMPType.OK {
				sp, dp = r.ICMPType, r.ICMPCode
			}
			key := fmt.Sprint(r.Protocol.V, r.Source.IP, sp.V, r.Destination.IP, dp.V)
			v := tuples[key]
			tuples[key] = [2]int64{v[0] + 1, v[1] + r.Source.Bytes.V}
		}
		if got := fmt.Sprint(len(out.Records), packets, bytes); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		if len(ids) != len(out.Records) || out.Counts.Gaps+out.Counts.Restarts+out.Counts.OtherSamples+out.Counts.TrailingBytes != 0 {
			t.Errorf("%s: %d ids, %+v", name, len(ids), out.Counts)
		}
		if filepath.Base(file) != "sflow.lp" {
			continue
		}
		short := int64(0)
		for _, f := range rows(t, filepath.Join(filepath.Dir(file), "truth-tuples.tsv")) {
			sp, dp := f[3], f[5]
			if f[1] != "6" && f[1] != "17" && f[1] != "1" && f[1] != "58" {
				sp, dp = "0", "0"
			}
			key := fmt.Sprint(f[1], f[2], sp, f[4], dp)
			n, ip := int64(number(f[6])), int64(number(f[7]))
			got := tuples[fmt.Sprint(int64(number(f[1])), flow.MustIP(f[2]), int64(number(sp)), flow.MustIP(f[4]), int64(number(dp)))]
			if got[0] == n && got[1] != ip+18*n || got[0] > n {
				t.Errorf("%s %s: %v, want %d packets, %d bytes of IP", name, key, got, n, ip)
			}
			short += n - got[0]
		}
		if short > 5 {
			t.Errorf("%s: %d packets are in no tuple", name, short)
		}
	}
}

func truth(t *testing.T, file string) string {
	t.Helper()
	for _, f := range rows(t, filepath.Join(filepath.Dir(file), "truth.tsv")) {
		if f[0] == filepath.Base(file) && strings.Contains(f[1], "goflow2") {
			return fmt.Sprint(number(f[2]), number(f[3]), number(f[4]))
		}
	}
	t.Fatalf("%s: no row", file)
	return ""
}

func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

func rows(t *testing.T, path string) (out [][]string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(string(b)) {
		out = append(out, strings.Split(strings.TrimRight(l, "\n"), "\t"))
	}
	return out[1:]
}

func payloads(t testing.TB, path string) (out [][]byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for len(b) > 0 {
		n := int(binary.BigEndian.Uint32(b))
		out, b = append(out, b[4:4+n]), b[4+n:]
	}
	return out
}
