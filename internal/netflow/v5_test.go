package netflow

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
)

func TestV5Record(t *testing.T) {
	out := decodeAll(t, v5(head{domain: 0x0102, seq: 7}, 1, 1<<14|100, v5Record(uptime-60_000, uptime-1000, 6, 40000, 443)))
	want := flow.Record{
		Format: "netflow5", Received: receivedAt, Position: flow.Position{Index: flow.N(24)},
		Start: at(-60*time.Second + 250*time.Millisecond), End: at(-750 * time.Millisecond), EventTime: at(-750 * time.Millisecond),
		Observed: at(250 * time.Millisecond), Exporter: flow.Exporter{IP: exporterIP, ObservationDomain: flow.N(0x0102)},
		IngressInterface: "3", EgressInterface: "4", Protocol: flow.N(6), TCPFlags: flow.N(0x1b), TypeOfService: flow.N(8),
		CounterSemantics: "delta", ByteLayer: "ip", SamplingRate: flow.N(100), SamplingSource: "header",
		Source: flow.Endpoint{IP: flow.MustIP("198.51.100.1"), Port: flow.N(40000), Bytes: flow.N(1500), Packets: flow.N(10), ASN: flow.N(64500), PrefixLength: flow.N(24)},
		// AS 0 is none.
		Destination: flow.Endpoint{IP: flow.MustIP("203.0.113.1"), Port: flow.N(443), PrefixLength: flow.N(16)},
		Extensions:  []flow.Extension{flow.Ext("ipNextHopIPv4Address", "192.0.2.254")},
	}
	want.ID = out.Records[0].ID
	if d := cmp.Diff([]flow.Record{want}, out.Records); d != "" {
		t.Error(d)
	}
}

func TestV5CountIsNeverTakenOnTrust(t *testing.T) {
	r := v5Record(1, 2, 6, 1, 2)
	var records [][]byte
	for range 31 {
		records = append(records, r)
	}
	for what, b := range map[string][]byte{
		"more than there is room for": v5(head{}, 3, 0, r, r),
		"one cut by a byte":           v5(head{}, 2, 0, r, r[:47]),
		"more than a datagram has":    v5(head{}, 31, 0, records...),
		"all the room of 16 bits":     v5(head{}, 65535, 0, r, r),
		"a cut header":                v5(head{}, 0, 0)[:23],
	} {
		s, out := NewSession(exporterIP, Config{}), new(Output)
		err := s.Decode(Datagram{Data: b}, out)
		if err == nil || len(out.Records) != 0 || out.Counts != (Counts{}) || flow.ReasonOf(err, "") != flow.ReasonSyntax {
			t.Errorf("%s: %d records, %+v, %v", what, len(out.Records), out.Counts, err)
		}
	}
	out := decodeAll(t, append(v5(head{}, 2, 0, records[:4]...), 1, 2, 3))
	if len(out.Records) != 2 || out.Counts.TrailingBytes != 2*48+3 {
		t.Errorf("bytes behind: %d records, %+v", len(out.Records), out.Counts)
	}
	if out := decodeAll(t, v5(head{}, 30, 0, records[:30]...)); len(out.Records) != 30 {
		t.Errorf("a full datagram: %d records", len(out.Records))
	}
}

// The uptime begins anew after 49.7 days; a flow that began before has the larger number.
func TestUptimeWraps(t *testing.T) {
	for _, c := range []struct {
		now, first, last uint32
		start, end       time.Duration
		quality          string
	}{
		{5000, 1000, 4000, -4 * time.Second, -time.Second, ""},
		{5000, 1<<32 - 5000, 4000, -10 * time.Second, -time.Second, "uptime_wrap"},
		{5000, 1<<32 - 5000, 1<<32 - 3000, -10 * time.Second, -8 * time.Second, "uptime_wrap"},
		{5000, 4000, 5020, -time.Second, 20 * time.Millisecond, ""}, // the flow's end is a little after the header's clock
		{1<<32 - 1, 1000, 1<<32 - 1, -(1<<32 - 1001) * time.Millisecond, 0, ""},
	} {
		for version, r := range map[string]flow.Record{
			"v5": decodeAll(t, v5(head{uptime: c.now}, 1, 0, v5Record(c.first, c.last, 17, 1, 2))).Records[0],
			"v9": decodeAll(t, v9(head{uptime: c.now}, templates(V9, 256, "22:4 21:4"), setOf(256, u32b(c.first), u32b(c.last)))).Records[0],
		} {
			offset := time.Duration(0)
			if version == "v5" {
				offset = 250 * time.Millisecond
			}
			if r.Start != at(c.start+offset) || r.End != at(c.end+offset) || r.TimeQuality != c.quality || r.EventTime != r.End {
				t.Errorf("%s, %d to %d at %d: %v to %v, %q", version, c.first, c.last, c.now, r.Start, r.End, r.TimeQuality)
			}
		}
	}
}

func TestPortsAndFlagsOfProtocolsWithoutThem(t *testing.T) {
	decode := func(protocol byte, sport, dport uint16) flow.Record {
		return decodeAll(t, v5(head{}, 1, 0, v5Record(1, 2, protocol, sport, dport))).Records[0]
	}
	r := decode(1, 0, 3<<8|1)
	if r.ICMPType != flow.N(3) || r.ICMPCode != flow.N(1) || r.Source.Port.OK || r.Destination.Port.OK || r.TCPFlags.OK {
		t.Errorf("ICMP: %+v", r)
	}
	if r = decode(1, 136, 135); r.ICMPType.OK || ext(&r, "sourceTransportPort") != "136" || ext(&r, "destinationTransportPort") != "135" {
		t.Errorf("ICMP with something else in the ports: %+v", r)
	}
	if r = decode(2, 0, 0); r.Source.Port.OK || r.Destination.Port.OK || strings.Contains(extensions(&r), "Port") {
		t.Errorf("IGMP: %+v", r)
	}
	if r = decode(17, 0, 53); r.Source.Port != flow.N(0) || r.TCPFlags.OK || ext(&r, "tcpControlBits") != "27" {
		t.Errorf("UDP: %+v", r)
	}
}
