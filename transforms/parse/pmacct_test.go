package parse

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
)

const pmacctLine = `{"event_type":"purge","peer_ip_src":"192.0.2.250","iface_in":2,"iface_out":3,"as_src":64496,"as_dst":64497,"vlan":100,"ip_src":"10.0.0.1","ip_dst":"192.0.2.1","port_src":50000,"port_dst":443,"tcp_flags":"27","ip_proto":"tcp","tos":0,"sampling_rate":100,"timestamp_start":"2026-01-15 12:00:00.000001","timestamp_end":"2026-01-15 12:00:01.500001","stamp_inserted":"2026-01-15 12:00:00","stamp_updated":"2026-01-15 12:01:01","packets":8,"bytes":428,"writer_id":"default_kafka/1"}`

func TestPmacctMapsEveryField(t *testing.T) {
	got, _, err := decodeOne(t, "pmacct", "", pmacctLine)
	if err != nil {
		t.Fatal(err)
	}
	at := flow.TimeOf(time.Date(2026, 1, 15, 12, 0, 0, 1000, time.UTC))
	want := flow.Record{
		Format: "pmacct", Start: at, End: at + 1.5e9, EventTime: at + 1.5e9,
		Exporter: flow.Exporter{IP: flow.MustIP("192.0.2.250"), Name: "default_kafka/1"}, IngressInterface: "2", EgressInterface: "3",
		Protocol: flow.N(6), TCPFlags: flow.N(27), TypeOfService: flow.N(0), VLAN: flow.N(100), CounterSemantics: "delta", ByteLayer: "ip",
		SamplingRate: flow.N(100), SamplingSource: "record",
		Source:      flow.Endpoint{IP: flow.MustIP("10.0.0.1"), Port: flow.N(50000), ASN: flow.N(64496), Bytes: flow.N(428), Packets: flow.N(8)},
		Destination: flow.Endpoint{IP: flow.MustIP("192.0.2.1"), Port: flow.N(443), ASN: flow.N(64497)},
		Extensions:  []flow.Extension{flow.Ext("stamp_inserted", "2026-01-15 12:00:00"), flow.Ext("stamp_updated", "2026-01-15 12:01:01")},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestPmacctTimes(t *testing.T) {
	const noTimes = `{"ip_src":"10.0.0.1","ip_dst":"192.0.2.1","packets":8,"bytes":428`
	for _, c := range []struct{ name, header, times, event, quality string }{
		{"start and end", "", `"timestamp_start":"2026-01-15 12:00:00.000001","timestamp_end":"2026-01-15 12:00:01.000001"`, "2026-01-15T12:00:01.000001Z", ""},
		{"local times of a zone", "#timezone Asia/Tokyo", `"timestamp_start":"2026-01-15 12:00:00","timestamp_end":"2026-01-15 12:00:01"`, "2026-01-15T03:00:01Z", ""},
		{"RFC 3339", "#timezone Asia/Tokyo", `"timestamp_end":"2026-01-15T12:00:01+01:00"`, "2026-01-15T11:00:01Z", "no_start"},
		{"seconds as text", "", `"timestamp_start":"1768478400.000001","timestamp_end":"1768478401.5"`, "2026-01-15T12:00:01.5Z", ""},
		{"seconds as a number", "", `"timestamp_start":1768478400,"timestamp_end":0`, "2026-01-15T12:00:00Z", "no_end"},
		{"the first and the last of an aggregate", "", `"timestamp_min":"2026-01-15 12:00:00","timestamp_max":"2026-01-15 12:00:05"`, "2026-01-15T12:00:05Z", ""},
		{"stamps alone", "", `"stamp_inserted":"2026-01-15 12:00:00","stamp_updated":"2026-01-15 12:01:00"`, "2026-01-15T12:01:00Z", "no_end"},
		{"the bucket alone", "", `"stamp_inserted":"2026-01-15 12:00:00"`, "2026-01-15T12:00:00Z", "no_end"},
		{"the arrival alone", "", `"timestamp_arrival":"2026-01-15 12:00:02.25"`, "2026-01-15T12:00:02.25Z", "no_end"},
	} {
		t.Run(c.name, func(t *testing.T) {
			line := noTimes + "," + c.times + "}"
			r, _, err := decodeOne(t, "pmacct", c.header, line)
			if err != nil || r.EventTime.String() != c.event || r.TimeQuality != c.quality {
				t.Errorf("%v %q %v, want %v %q", r.EventTime, r.TimeQuality, err, c.event, c.quality)
			}
			info, _ := flow.FormatNamed("pmacct")
			if at, ok := info.Timestamp(c.header, []byte(line)); !ok || at != r.EventTime {
				t.Errorf("timestamp %v %v, want %v", at, ok, r.EventTime)
			}
		})
	}
}

func TestPmacctReasons(t *testing.T) {
	with := func(old, new string) string {
		if !strings.Contains(pmacctLine, old) {
			t.Fatalf("no %s in the sample", old)
		}
		return strings.Replace(pmacctLine, old, new, 1)
	}
	for _, c := range []struct {
		name, data string
		reason     flow.Reason
		text       string
	}{
		{"a line that is cut", pmacctLine[:90], flow.ReasonSyntax, "cut off"},
		{"no time", strings.NewReplacer("timestamp_", "t_", "stamp_", "s_").Replace(pmacctLine), flow.ReasonField, "timestamp_end: missing"},
		{"an end before the start", with("12:00:01.500001", "11:00:01.500001"), flow.ReasonValue, "timestamp_end"},
		{"a time that is none", with("12:00:01.500001", "12:00:61"), flow.ReasonField, "timestamp_end"},
		{"a time that is true", with(`"2026-01-15 12:00:01.500001"`, "true"), flow.ReasonField, "timestamp_end"},
		{"an address that is none", with("10.0.0.1", "10.0.0"), flow.ReasonField, "ip_src"},
		{"a port beyond 16 bits", with("50000", "65536"), flow.ReasonValue, "port_src"},
		{"negative bytes", with(`"bytes":428`, `"bytes":-1`), flow.ReasonValue, "bytes"},
		{"packets that are a list", with(`"packets":8`, `"packets":[8]`), flow.ReasonField, "packets"},
		{"nothing of a flow", `{"event_type":"purge","stamp_inserted":"2026-01-15 12:00:00"}`, flow.ReasonField, "missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, o, err := decodeOne(t, "pmacct", "", c.data)
			if err == nil {
				t.Fatalf("accepted, outcome %v", o)
			}
			if got := flow.ReasonOf(err, flow.ReasonSyntax); got != c.reason || !strings.Contains(err.Error(), c.text) {
				t.Errorf("reason %q, error %q; want %q and %q", got, err, c.reason, c.text)
			}
		})
	}
}
