package netflow

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
)

// ntpOf is a time in NTP's form.
func ntpOf(t time.Time) []byte {
	s := uint64(t.Unix()) + ntpEpoch
	return u64b(s<<32 | uint64(t.Nanosecond())<<32/1e9)
}

func TestTimesInAllForms(t *testing.T) {
	start, end := flowDay.Add(-90*time.Second-876_543_211), flowDay.Add(-time.Second-123_456_789)
	ms := func(t time.Time) []byte { return u64b(uint64(t.UnixMilli())) }
	sec := func(t time.Time) []byte { return u32b(uint32(t.Unix())) }
	ago := func(t time.Time) []byte { return u32b(uint32(flowDay.Sub(t).Microseconds())) }
	for what, c := range map[string]struct {
		version    uint16
		fields     string
		values     []byte
		start, end time.Time
		quality    string
	}{
		"seconds":             {IPFIX, "150:4 151:4", cat(sec(start), sec(end)), start.Truncate(time.Second), end.Truncate(time.Second), ""},
		"milliseconds":        {IPFIX, "152:8 153:8", cat(ms(start), ms(end)), start.Truncate(time.Millisecond), end.Truncate(time.Millisecond), ""},
		"milliseconds in six": {IPFIX, "152:6 153:6", cat(ms(start)[2:], ms(end)[2:]), start.Truncate(time.Millisecond), end.Truncate(time.Millisecond), ""},
		"microseconds":        {IPFIX, "154:8 155:8", cat(ntpOf(start.Truncate(time.Microsecond)), ntpOf(end.Truncate(time.Microsecond))), start.Truncate(time.Microsecond), end.Truncate(time.Microsecond), ""},
		"nanoseconds":         {IPFIX, "156:8 157:8", cat(ntpOf(start), ntpOf(end)), start, end, ""},
		"before the export":   {IPFIX, "158:4 159:4", cat(ago(start), ago(end)), flowDay.Add(-flowDay.Sub(start).Truncate(time.Microsecond)), flowDay.Add(-flowDay.Sub(end).Truncate(time.Microsecond)), ""},
		"uptime of v9":        {V9, "22:4 21:4", cat(u32b(uptime-90_000), u32b(uptime-1000)), flowDay.Add(-90 * time.Second), flowDay.Add(-time.Second), ""},
		"uptime, base beside": {IPFIX, "160:8 22:4 21:4", cat(ms(flowDay.Add(-time.Hour)), u32b(uptime-90_000), u32b(uptime-1000)), flowDay.Add(-90 * time.Second), flowDay.Add(-time.Second), ""},
		"start and duration":  {IPFIX, "152:8 161:4", cat(ms(start), u32b(1500)), start.Truncate(time.Millisecond), start.Truncate(time.Millisecond).Add(1500 * time.Millisecond), ""},
		"end and duration":    {IPFIX, "153:8 162:4", cat(ms(end), u32b(1500)), end.Truncate(time.Millisecond).Add(-1500 * time.Microsecond), end.Truncate(time.Millisecond), ""},
		"the finest of two":   {IPFIX, "150:4 156:8 157:8 151:4", cat(sec(start), ntpOf(start), ntpOf(end), sec(end)), start, end, ""},
		"no start":            {IPFIX, "153:8", ms(end), time.Time{}, end.Truncate(time.Millisecond), "no_start"},
		"no end":              {IPFIX, "152:8", ms(start), start.Truncate(time.Millisecond), time.Time{}, "no_end"},
		"a start of zero":     {IPFIX, "152:8 153:8", cat(u64b(0), ms(end)), time.Time{}, end.Truncate(time.Millisecond), "no_start"},
		"start after end":     {IPFIX, "152:8 153:8", cat(ms(end), ms(start)), time.Time{}, start.Truncate(time.Millisecond), "no_start"},
		"none":                {IPFIX, "1:4", u32b(1), time.Time{}, time.Time{}, "no_end"},
	} {
		r := one(t, c.version, c.fields, c.values)
		if r.Start.Std() != c.start.UTC() && !(r.Start == 0 && c.start.IsZero()) || r.End.Std() != c.end.UTC() && !(r.End == 0 && c.end.IsZero()) || r.TimeQuality != c.quality {
			t.Errorf("%s: %v to %v %q, want %v to %v %q", what, r.Start, r.End, r.TimeQuality, c.start, c.end, c.quality)
		}
		want := r.End
		if want == 0 {
			want = r.Start
		}
		if want == 0 {
			want = at(0)
		}
		if r.EventTime != want || r.Observed != at(0) {
			t.Errorf("%s: event time %v, observed %v", what, r.EventTime, r.Observed)
		}
	}
	// What could not be used is not lost.
	if got := extensions(one(t, IPFIX, "22:4 21:4", u32b(7), u32b(8))); got != `{"flowStartSysUpTime":7,"flowEndSysUpTime":8}` {
		t.Errorf("uptimes without a base: %s", got)
	}
	if got := extensions(one(t, IPFIX, "152:8 153:8", ms(end), ms(start))); got != `{"flowStart":"`+at(-1124*time.Millisecond).String()+`"}` {
		t.Errorf("start after end: %s", got)
	}
	if got := extensions(one(t, IPFIX, "152:8 153:8 161:4", ms(start), ms(end), u32b(9))); got != `{"flowDurationMilliseconds":9}` {
		t.Errorf("a duration beside both: %s", got)
	}
}

func TestObservationTimeIsThatOfAnEvent(t *testing.T) {
	ms := u64b(uint64(flowDay.Add(-time.Second).UnixMilli()))
	r := one(t, V9, "323:8 233:1", ms, u8(1))
	if r.EventTime != at(-time.Second) || r.Observed != at(-time.Second) || r.TimeQuality != "no_end" || r.Start != 0 {
		t.Errorf("%+v", r)
	}
}

func TestMicrosecondsOfNTPSurvive(t *testing.T) {
	for us := range int64(1_000_000) {
		if us%977 != 0 && us < 999_000 {
			continue
		}
		want := flow.Time(flowDay.Unix()*1e9 + us*1000)
		for _, cut := range []uint64{0, 1<<11 - 1} { // with and without the bits that mean nothing
			var got flow.Time
			v := uint64(flowDay.Unix()+ntpEpoch)<<32 | (uint64(us)<<32/1e6)&^cut
			if ntp(&got, u64b(v), 1e3); got != want {
				t.Fatalf("%d µs: %v", us, got)
			}
		}
	}
	var got flow.Time
	if ntp(&got, u64b(1<<32), 1); got.Std().Year() != 2036 {
		t.Errorf("the next era begins in %v", got)
	}
}

// The base of IPFIX's uptimes is in an options record, and stays when the uptime wraps.
func TestBaseOfUptimesComesByOptions(t *testing.T) {
	booted := flowDay.Add(-time.Hour)
	say := ipfix(head{}, optionTemplates(IPFIX, 300, "144:4", "160:8"), setOf(300, u32b(1), u64b(uint64(booted.UnixMilli()))))
	tpl := templates(IPFIX, 256, "22:4 21:4")
	out := decodeAll(t, say, ipfix(head{}, tpl, setOf(256, u32b(uptime-2000), u32b(uptime-1000))),
		ipfix(head{at: (1 << 32) * time.Millisecond}, setOf(256, u32b(uptime-2000), u32b(uptime-1000))))
	r := &out.Records[0]
	if r.Start != at(-2*time.Second) || r.End != at(-time.Second) || r.TimeQuality != "" {
		t.Errorf("%v to %v %q", r.Start, r.End, r.TimeQuality)
	}
	wrapped := &out.Records[1]
	if wrapped.Start != r.Start+flow.Time((1<<32)*time.Millisecond) || wrapped.TimeQuality != "uptime_wrap" {
		t.Errorf("49.7 days later: %v %q", wrapped.Start, wrapped.TimeQuality)
	}
	other := decodeAll(t, say, ipfix(head{domain: 1}, tpl, setOf(256, u32b(1), u32b(2))))
	if other.Records[0].Start != 0 {
		t.Error("the base of one domain was taken for another's")
	}
}

func TestElementsGoWhereTheyBelong(t *testing.T) {
	for what, c := range map[string]struct {
		version uint16
		fields  string
		values  []byte
		want    flow.Record
	}{
		"addresses and ports": {IPFIX, "8:4 12:4 7:2 11:2 4:1 6:2 5:1", cat(ip("198.51.100.1"), ip("203.0.113.1"), u16b(1000), u16b(443), u8(6), u16b(0x112), u8(8)),
			flow.Record{Protocol: flow.N(6), TCPFlags: flow.N(0x112), TypeOfService: flow.N(8), Source: flow.Endpoint{IP: flow.MustIP("198.51.100.1"), Port: flow.N(1000)}, Destination: flow.Endpoint{IP: flow.MustIP("203.0.113.1"), Port: flow.N(443)}}},
		"IPv6": {IPFIX, "27:16 28:16 29:1 30:1 60:1", cat(ip("2001:db8::1"), ip("2001:db8::2"), u8(48, 64, 6)),
			flow.Record{Source: flow.Endpoint{IP: flow.MustIP("2001:db8::1"), PrefixLength: flow.N(48)}, Destination: flow.Endpoint{IP: flow.MustIP("2001:db8::2"), PrefixLength: flow.N(64)}}},
		"both families, one of zeros": {IPFIX, "8:4 27:16 12:4 28:16", cat(make([]byte, 4), ip("2001:db8::1"), make([]byte, 4), ip("2001:db8::2")),
			flow.Record{Source: flow.Endpoint{IP: flow.MustIP("2001:db8::1")}, Destination: flow.Endpoint{IP: flow.MustIP("2001:db8::2")}}},
		"both families, both there": {IPFIX, "8:4 27:16", cat(ip("198.51.100.1"), ip("2001:db8::1")),
			flow.Record{Source: flow.Endpoint{IP: flow.MustIP("198.51.100.1")}, Extensions: []flow.Extension{flow.Ext("sourceIPv6Address", "2001:db8::1")}}},
		"counters in fewer bytes": {IPFIX, "1:3 2:1", cat(u8(1, 0, 0), u8(9)),
			flow.Record{CounterSemantics: "delta", ByteLayer: "ip", Source: flow.Endpoint{Bytes: flow.N(65536), Packets: flow.N(9)}}},
		"totals": {IPFIX, "85:8 86:8", cat(u64b(100), u64b(2)),
			flow.Record{CounterSemantics: "total", ByteLayer: "ip", Source: flow.Endpoint{Bytes: flow.N(100), Packets: flow.N(2)}}},
		"totals beside deltas": {IPFIX, "85:8 1:4", cat(u64b(100), u32b(7)),
			flow.Record{CounterSemantics: "delta", ByteLayer: "ip", Source: flow.Endpoint{Bytes: flow.N(7)}, Extensions: []flow.Extension{flow.ExtN("octetTotalCount", 100)}}},
		"a counter beyond 63 bits": {IPFIX, "1:8 2:8", cat(u64b(math.MaxUint64), u64b(1)),
			flow.Record{CounterSemantics: "delta", Source: flow.Endpoint{Packets: flow.N(1)}, Extensions: []flow.Extension{flow.Ext("octetDeltaCount", "18446744073709551615")}}},
		"zero is a value": {IPFIX, "1:4 2:4", cat(u32b(0), u32b(0)),
			flow.Record{CounterSemantics: "delta", ByteLayer: "ip", Source: flow.Endpoint{Bytes: flow.N(0), Packets: flow.N(0)}}},
		"counters of the egress alone": {V9, "23:4 24:4", cat(u32b(100), u32b(2)),
			flow.Record{CounterSemantics: "delta", ByteLayer: "ip", Source: flow.Endpoint{Bytes: flow.N(100), Packets: flow.N(2)}}},
		"counters of the egress beside zeros": {V9, "1:4 2:4 23:4 24:4", cat(u32b(0), u32b(0), u32b(100), u32b(2)),
			flow.Record{CounterSemantics: "delta", ByteLayer: "ip", Source: flow.Endpoint{Bytes: flow.N(100), Packets: flow.N(2)}}},
		"counters of both sides of the exporter": {V9, "1:4 23:4", cat(u32b(90), u32b(100)),
			flow.Record{CounterSemantics: "delta", ByteLayer: "ip", Source: flow.Endpoint{Bytes: flow.N(90)}, Extensions: []flow.Extension{flow.ExtN("postOctetDeltaCount", 100)}}},
		"initiator and responder": {V9, "231:4 232:4 298:4 299:4", cat(u32b(10), u32b(20), u32b(1), u32b(2)),
			flow.Record{CounterSemantics: "delta", ByteLayer: "payload", Source: flow.Endpoint{Bytes: flow.N(10), Packets: flow.N(1)}, Destination: flow.Endpoint{Bytes: flow.N(20), Packets: flow.N(2)}}},
		"initiator and responder beside others": {V9, "1:4 231:4 232:4", cat(u32b(50), u32b(10), u32b(20)),
			flow.Record{CounterSemantics: "delta", ByteLayer: "ip", Source: flow.Endpoint{Bytes: flow.N(50), PayloadBytes: flow.N(10)}, Destination: flow.Endpoint{PayloadBytes: flow.N(20)}}},
		"a responder without an initiator": {V9, "1:4 232:2", cat(u32b(50), u16b(3)),
			flow.Record{CounterSemantics: "delta", ByteLayer: "ip", Source: flow.Endpoint{Bytes: flow.N(50)}, Extensions: []flow.Extension{flow.ExtN("responderOctets", 3)}}},
		"a sampled packet": {IPFIX, "312:2 315:v", cat(u16b(1500), u8(42), u8(2, 0, 0, 0, 0, 11, 2, 0, 0, 0, 0, 10, 8, 0), u8(0x45, 8, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0), ip("198.51.100.1"), ip("203.0.113.1"), u16b(1000), u16b(53), u32b(0)),
			flow.Record{Protocol: flow.N(17), TypeOfService: flow.N(8), CounterSemantics: "delta", ByteLayer: "l2",
				Source:      flow.Endpoint{IP: flow.MustIP("198.51.100.1"), Port: flow.N(1000), MAC: "02:00:00:00:00:0a", Bytes: flow.N(1500), Packets: flow.N(1)},
				Destination: flow.Endpoint{IP: flow.MustIP("203.0.113.1"), Port: flow.N(53), MAC: "02:00:00:00:00:0b"}, Extensions: []flow.Extension{flow.ExtN("ipTTL", 64)}}},
		"a sampled packet beside addresses": {IPFIX, "8:4 315:2", cat(ip("198.51.100.1"), u16b(7)),
			flow.Record{Source: flow.Endpoint{IP: flow.MustIP("198.51.100.1")}, Extensions: []flow.Extension{flow.Ext("dataLinkFrameSection", "0007")}}},
		"layer 2 counters": {IPFIX, "352:8", u64b(64), flow.Record{CounterSemantics: "delta", ByteLayer: "l2", Source: flow.Endpoint{Bytes: flow.N(64)}}},
		"both directions (RFC 5103)": {IPFIX, "4:1 6:1 1:4 2:4 401:4 29305/1:4 29305/2:4 29305/401:4 29305/6:1 29305/5:1", cat(u8(6), u8(2), u32b(10), u32b(1), u32b(3), u32b(20), u32b(2), u32b(4), u8(16), u8(4)),
			flow.Record{Protocol: flow.N(6), TCPFlags: flow.N(18), CounterSemantics: "delta", ByteLayer: "ip",
				Source: flow.Endpoint{Bytes: flow.N(10), Packets: flow.N(1), PayloadBytes: flow.N(3)}, Destination: flow.Endpoint{Bytes: flow.N(20), Packets: flow.N(2), PayloadBytes: flow.N(4)},
				Extensions: []flow.Extension{flow.ExtN("reverseTcpControlBits", 16), flow.ExtN("reverseIpClassOfService", 4), flow.ExtN("tcpControlBits", 2)}}},
		"NAT": {IPFIX, "225:4 226:4 227:2 228:2 230:1", cat(ip("192.0.2.8"), make([]byte, 4), u16b(5000), u16b(0), u8(1)),
			flow.Record{Source: flow.Endpoint{NATIP: flow.MustIP("192.0.2.8"), NATPort: flow.N(5000)}, Extensions: []flow.Extension{flow.ExtN("natEvent", 1)}}},
		"NAT of IPv6, and of an old ASA": {V9, "281:16 40002:4 40003:2", cat(ip("2001:db8::8"), ip("192.0.2.9"), u16b(7)),
			flow.Record{Source: flow.Endpoint{NATIP: flow.MustIP("2001:db8::8"), NATPort: flow.N(7)}, Destination: flow.Endpoint{NATIP: flow.MustIP("192.0.2.9")}}},
		"an ASA denied": {V9, "233:1 33002:2 33000:12 40000:20", cat(u8(3), u16b(1001), filled("\x01", 12), filled("ann", 20)),
			flow.Record{Action: "reject", ActionReason: "ingress ACL", UserID: "ann", Extensions: []flow.Extension{flow.ExtN("firewallEvent", 3), flow.ExtN("ie_33002", 1001), flow.Ext("ie_33000", "010000000000000000000000")}}},
		"an ASA deleted":   {V9, "233:1", u8(2), flow.Record{Action: "accept", Extensions: []flow.Extension{flow.ExtN("firewallEvent", 2)}}},
		"a router dropped": {V9, "89:4", u32b(130), flow.Record{Action: "drop", Extensions: []flow.Extension{flow.ExtN("forwardingStatus", 130)}}},
		"layer 2": {IPFIX, "56:6 80:6 58:2 243:2", cat(u8(2, 0, 0, 0, 0, 10), u8(2, 0, 0, 0, 0, 11), u16b(5), u16b(6)),
			flow.Record{VLAN: flow.N(5), Source: flow.Endpoint{MAC: "02:00:00:00:00:0a"}, Destination: flow.Endpoint{MAC: "02:00:00:00:00:0b"}, Extensions: []flow.Extension{flow.ExtN("dot1qVlanId", 6)}}},
		"routing": {IPFIX, "16:4 17:2 9:1 13:1 15:4 18:4 61:1 10:2 14:4", cat(u32b(64500), u16b(0), u8(24, 0), ip("192.0.2.254"), make([]byte, 4), u8(1), u16b(70), u32b(1<<31)),
			flow.Record{Direction: "egress", IngressInterface: "70", EgressInterface: "2147483648", Source: flow.Endpoint{ASN: flow.N(64500), PrefixLength: flow.N(24)}, Destination: flow.Endpoint{PrefixLength: flow.N(0)},
				Extensions: []flow.Extension{flow.Ext("ipNextHopIPv4Address", "192.0.2.254")}}},
		"ICMP":                      {IPFIX, "4:1 7:2 11:2 32:2", cat(u8(1), u16b(0), u16b(0x301), u16b(0x301)), flow.Record{Protocol: flow.N(1), ICMPType: flow.N(3), ICMPCode: flow.N(1)}},
		"ICMP by type and code":     {IPFIX, "4:1 178:1 179:1", u8(58, 135, 2), flow.Record{Protocol: flow.N(58), ICMPType: flow.N(135), ICMPCode: flow.N(2)}},
		"type and code of no ICMP":  {IPFIX, "4:1 176:1 177:1", u8(17, 0, 0), flow.Record{Protocol: flow.N(17)}},
		"why it ended":              {IPFIX, "136:1", u8(3), flow.Record{EndReason: "end"}},
		"sampling":                  {IPFIX, "34:4 1:4", cat(u32b(512), u32b(1)), flow.Record{SamplingRate: flow.N(512), SamplingSource: "record", CounterSemantics: "delta", ByteLayer: "ip", Source: flow.Endpoint{Bytes: flow.N(1)}}},
		"a sampling interval of 0":  {IPFIX, "34:4", u32b(0), flow.Record{}},
		"sampled so many, then not": {IPFIX, "305:4 306:4", cat(u32b(1), u32b(9)), flow.Record{SamplingRate: flow.N(10), SamplingSource: "record"}},
		"an application's name":     {IPFIX, "95:4 96:v", cat(u8(3, 0, 0, 80), u8(4), []byte("http")), flow.Record{Application: "http", Extensions: []flow.Extension{flow.Ext("applicationId", "3:80")}}},
		"jitter":                    {IPFIX, "386:4", u32b(7), flow.Record{Jitter: flow.N(7000)}},
		"Palo Alto":                 {V9, "56701:8 56702:8 346:4", cat(filled("dns", 8), filled("ann", 8), u32b(25461)), flow.Record{Application: "dns", UserID: "ann", Extensions: []flow.Extension{flow.ExtN("privateEnterpriseNumber", 25461)}}},
		"56701 of IPFIX is another": {IPFIX, "23929:4", u32b(1), flow.Record{Extensions: []flow.Extension{flow.Ext("ie_23929", "00000001")}}},
	} {
		got := one(t, c.version, c.fields, c.values)
		var blank flow.Record
		got.ID, got.EventTime, got.Observed, got.Received, got.TimeQuality, got.Format = blank.ID, 0, 0, 0, "", ""
		got.Exporter, got.Position = blank.Exporter, blank.Position
		if d := cmp.Diff(&c.want, got); d != "" {
			t.Errorf("%s: %s", what, d)
		}
	}
}

// What has no field is kept, by its IANA name or its number, in a form that its type has.
func TestNothingOfARecordIsLost(t *testing.T) {
	for _, c := range []struct {
		version uint16
		fields  string
		values  []byte
		want    string
	}{
		{IPFIX, "148:8", u64b(77), `{"flowId":77}`},
		{IPFIX, "148:8", u64b(math.MaxUint64), `{"flowId":"18446744073709551615"}`},
		{IPFIX, "434:1", u8(255), `{"mibObjectValueInteger":-1}`},
		{IPFIX, "311:8", u64b(math.Float64bits(0.25)), `{"samplingProbability":0.25}`},
		{IPFIX, "311:4", u32b(math.Float32bits(0.5)), `{"samplingProbability":0.5}`},
		{IPFIX, "311:8", u64b(math.Float64bits(math.NaN())), `{"samplingProbability":"7ff8000000000001"}`},
		{IPFIX, "276:1", u8(1), `{"dataRecordsReliability":true}`},
		{IPFIX, "276:1", u8(2), `{"dataRecordsReliability":false}`},
		{IPFIX, "57:6", u8(1, 2, 3, 4, 5, 6), `{"postDestinationMacAddress":"01:02:03:04:05:06"}`},
		{IPFIX, "44:4", ip("198.51.100.0"), `{"sourceIPv4Prefix":"198.51.100.0"}`},
		{IPFIX, "62:16", ip("2001:db8::1"), `{"ipNextHopIPv6Address":"2001:db8::1"}`},
		{IPFIX, "258:8", u64b(uint64(flowDay.UnixMilli())), `{"collectionTimeMilliseconds":"2026-01-15T12:00:00Z"}`},
		{IPFIX, "147:v", cat(u8(4), []byte("wifi")), `{"wlanSSID":"wifi"}`},
		{IPFIX, "147:8", filled("wifi", 8), `{"wlanSSID":"wifi"}`},
		{IPFIX, "147:8", make([]byte, 8), `{}`},
		{IPFIX, "147:v", cat(u8(255, 0, 4), []byte("wifi")), `{"wlanSSID":"wifi"}`},
		{IPFIX, "147:v 1:1", u8(0, 9), `{}`},
		{IPFIX, "147:2", u8(0xff, 0xfe), `{"wlanSSID":"fffe"}`},
		{IPFIX, "70:3", u8(1, 2, 3), `{"mplsTopLabelStackSection":"010203"}`},
		{IPFIX, "8:3 7:9", make([]byte, 12), `{"sourceIPv4Address":"000000","sourceTransportPort":"000000000000000000"}`},
		{IPFIX, "7:4", u32b(70000), `{"sourceTransportPort":70000}`},
		{IPFIX, "10704/1:4 6871/21:4 29305/8:4", cat(u32b(9), u32b(9), ip("192.0.2.1")), `{"ie_10704_1":"00000009","ie_6871_21":9,"reverseSourceIPv4Address":"192.0.2.1"}`},
		{IPFIX, "30000:2 29305/30000:2", u32b(1), `{"ie_30000":"0000","ie_29305_30000":"0001"}`},
		{V9, "40000:3", []byte{0xff, 'a', 'b'}, `{"ie_40000":"ff6162"}`},
		{V9, "57591:4 65000:1", cat([]byte("http"), u8(5)), `{"ie_57591":"http","ie_65000":"05"}`},
		{V9, "8:4 8:4 1:4 1:4", cat(ip("192.0.2.1"), ip("192.0.2.2"), u32b(1), u32b(2)), `{"sourceIPv4Address_2":"192.0.2.2","octetDeltaCount_2":2}`},
		{IPFIX, "60:1 8:4", cat(u8(6), ip("192.0.2.1")), `{"ipVersion":6}`},
		{IPFIX, "210:2 210:3 210:1", u8(0, 0, 0, 0, 0, 7), `{"paddingOctets_3":"07"}`},
		{IPFIX, "210:1 210:1", u8(7, 8), `{"paddingOctets":"07","paddingOctets_2":"08"}`},
		{IPFIX, "61:1 136:1", u8(2, 9), `{"flowDirection":2,"flowEndReason":9}`},
		{IPFIX, "48:1 302:4", u8(3, 0, 0, 0, 4), `{"samplerId":3,"selectorId":4}`},
		{IPFIX, "82:4", []byte("eth0"), `{"interfaceName":"eth0"}`},
		{IPFIX, "95:1", u8(7), `{"applicationId":"07"}`},
	} {
		if got := extensions(one(t, c.version, c.fields, c.values)); got != c.want {
			t.Errorf("%s: %s, want %s", c.fields, got, c.want)
		}
	}
}

func TestDecodingAllocatesNothingPerRecord(t *testing.T) {
	var records [][]byte
	for i := range 30 {
		records = append(records, cat(ip("198.51.100.1"), ip("203.0.113.1"), u16b(uint16(1000+i)), u16b(443), u8(6, 2), u32b(1500), u32b(10), u32b(1000), u32b(2000), u32b(100), u32b(101), u8(2, 0, 0, 0, 0, 10)))
	}
	for what, datagrams := range map[string][2][]byte{
		"v5": {nil, v5(head{}, 2, 0, v5Record(1, 2, 6, 3, 4), v5Record(1, 2, 6, 3, 4))},
		"v9": {v9(head{}, templates(V9, 256, "8:4 12:4 7:2 11:2 4:1 6:1 1:4 2:4 22:4 21:4 10:4 14:4 56:6")), v9(head{}, setOf(256, records...))},
	} {
		s, out := NewSession(exporterIP, Config{}), new(Output)
		if datagrams[0] != nil {
			decodeBy(t, s, datagrams[0])
		}
		if n := testing.AllocsPerRun(200, func() {
			out.Records = out.Records[:0]
			if err := s.Decode(Datagram{Data: datagrams[1]}, out); err != nil {
				t.Fatal(err)
			}
		}); n > 0.5 {
			t.Errorf("%s: %v allocations a datagram", what, n)
		}
	}
}
