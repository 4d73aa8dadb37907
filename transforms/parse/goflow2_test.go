package parse

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/flowbeam/flowbeam/flow"
)

const goflow2Line = `{"type":"IPFIX","time_received_ns":1768478460000000000,"sequence_num":77,"sampling_rate":100,"sampler_address":"192.0.2.250","time_flow_start_ns":1768478400000000001,"time_flow_end_ns":1768478401500000001,"bytes":428,"packets":8,"src_addr":"10.0.0.1","dst_addr":"192.0.2.1","etype":"IPv4","proto":"TCP","src_port":50000,"dst_port":443,"in_if":2,"out_if":3,"src_mac":"02:00:00:00:00:01","dst_mac":"00:00:00:00:00:00","src_vlan":0,"dst_vlan":0,"vlan_id":100,"ip_tos":8,"forwarding_status":64,"ip_ttl":63,"ip_flags":0,"tcp_flags":27,"icmp_type":0,"icmp_code":0,"ipv6_flow_label":0,"fragment_id":0,"fragment_offset":0,"src_as":64496,"dst_as":64497,"next_hop":"192.0.2.254","next_hop_as":0,"src_net":"10.0.0.0/24","dst_net":"0.0.0.0/0","bgp_next_hop":"","bgp_communities":[],"as_path":[64496,64497],"mpls_ttl":[],"mpls_label":[],"mpls_ip":[],"observation_domain_id":5,"observation_point_id":0,"layer_stack":[],"layer_size":[]}`

// goflow2Bare is goflow2Line on the wire, and goflow2Delimited has its length before it.
var goflow2Bare, goflow2Delimited = func() (string, string) {
	m := protoMessage(
		1, 4, 110, 1768478460000000000, 4, 77, 3, 100, 11, "\xc0\x00\x02\xfa", 111, 1768478400000000001, 112, 1768478401500000001,
		9, 428, 10, 8, 6, "\x0a\x00\x00\x01", 7, "\xc0\x00\x02\x01", 30, 0x800, 20, 6, 21, 50000, 22, 443, 18, 2, 19, 3, 27, 0x020000000001,
		29, 100, 23, 8, 24, 64, 25, 63, 26, 27, 14, 64496, 15, 64497, 12, "\xc0\x00\x02\xfe", 16, 24, 102, "\xf0\xf7\x03\xf1\xf7\x03", 70, 5)
	return m, string(protowire.AppendString(nil, m))
}()

// protoMessage writes pairs of field number and value.
func protoMessage(pairs ...any) string {
	var b []byte
	for i := 0; i < len(pairs); i += 2 {
		n := protowire.Number(pairs[i].(int))
		switch v := pairs[i+1].(type) {
		case int:
			b = protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), uint64(v))
		case string:
			b = protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), v)
		case uint32:
			b = protowire.AppendFixed32(protowire.AppendTag(b, n, protowire.Fixed32Type), v)
		case uint64:
			b = protowire.AppendFixed64(protowire.AppendTag(b, n, protowire.Fixed64Type), v)
		}
	}
	return string(b)
}

// JSON and protobuf, with and without its length, say the same of one message.
func TestGoflow2MapsEveryField(t *testing.T) {
	at := flow.Time(1768478400000000001)
	want := flow.Record{
		Start: at, End: at + 1.5e9, EventTime: at + 1.5e9, Observed: 1768478460e9,
		Exporter: flow.Exporter{IP: flow.MustIP("192.0.2.250"), ObservationDomain: flow.N(5)}, IngressInterface: "2", EgressInterface: "3",
		Protocol: flow.N(6), TCPFlags: flow.N(27), TypeOfService: flow.N(8), VLAN: flow.N(100), CounterSemantics: "delta", ByteLayer: "ip",
		SamplingRate: flow.N(100), SamplingSource: "record",
		Source: flow.Endpoint{
			IP: flow.MustIP("10.0.0.1"), Port: flow.N(50000), MAC: "02:00:00:00:00:01", ASN: flow.N(64496), PrefixLength: flow.N(24),
			Bytes: flow.N(428), Packets: flow.N(8),
		},
		Destination: flow.Endpoint{IP: flow.MustIP("192.0.2.1"), Port: flow.N(443), ASN: flow.N(64497)},
		Extensions: []flow.Extension{
			flow.ExtN("sequence_num", 77), flow.ExtN("forwarding_status", 64), flow.ExtN("ip_ttl", 63),
			flow.Ext("next_hop", "192.0.2.254"), flow.Ext("as_path", "[64496,64497]"), flow.Ext("type", "IPFIX"),
		},
	}
	for _, c := range []struct{ name, format, data string }{
		{"JSON", "goflow2", goflow2Line}, {"protobuf", "goflow2_protobuf", goflow2Bare}, {"protobuf with its length", "goflow2_protobuf", goflow2Delimited},
	} {
		t.Run(c.name, func(t *testing.T) {
			want.Format, want.ID = c.format, flow.ID{}
			if c.format == "goflow2_protobuf" {
				want.ID = flow.NewIDText("goflow2_protobuf", goflow2Bare)
			}
			got, _, err := decodeOne(t, c.format, "", c.data)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
			info, _ := flow.FormatNamed(c.format)
			if at, ok := info.Timestamp("", []byte(c.data)); !ok || at != got.EventTime {
				t.Errorf("timestamp %v %v", at, ok)
			}
			if name, err := flow.DetectFormat([]byte(c.data)); name != c.format {
				t.Errorf("detected as %q, %v", name, err)
			}
		})
	}
}

func TestGoflow2Protobuf(t *testing.T) {
	const now = 1768478400000000000
	decode := func(pairs ...any) flow.Record {
		t.Helper()
		r, _, err := decodeOne(t, "goflow2_protobuf", "", protoMessage(append([]any{112, now}, pairs...)...))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	sflow := decode(1, 1, 6, string(make([]byte, 4)), 7, strings.Repeat("\xff", 4), 9, 1518, 10, 1, 3, 1024, 20, 17)
	if sflow.ByteLayer != "l2" || !sflow.Source.IP.OK() || sflow.Source.Port.OK {
		t.Errorf("sFlow: %+v", sflow)
	}
	echo := decode(9, 84, 20, 1, 31, 8)
	if echo.ICMPType != flow.N(8) || echo.ICMPCode != flow.N(0) || echo.Source.Port.OK {
		t.Errorf("echo: %v %v", echo.ICMPType, echo.ICMPCode)
	}
	unreachable := decode(9, 84, 20, 1, 22, 3<<8|1)
	if unreachable.ICMPType != flow.N(3) || unreachable.ICMPCode != flow.N(1) || unreachable.Destination.Port.OK {
		t.Errorf("unreachable: %v %v", unreachable.ICMPType, unreachable.ICMPCode)
	}
	unknown := decode(9, 84, 2000, 7, 2001, "\x00\xff", 2000, 8, 2002, uint32(9), 2003, uint64(1<<63), 101, 5, 101, 6, 82, "\x0a\x00\x00\x01", 9, 85)
	want := []flow.Extension{
		flow.Ext("field_2000", "[7,8]"), flow.Ext("field_2001", "00ff"), flow.ExtN("field_2002", 9),
		{Name: "field_2003", Text: "9223372036854775808", Kind: flow.ExtFloat}, flow.Ext("bgp_communities", "[5,6]"), flow.Ext("mpls_ip", `["10.0.0.1"]`),
	}
	if d := cmp.Diff(want, unknown.Extensions); d != "" || unknown.Source.Bytes != flow.N(85) {
		t.Error(d, unknown.Source.Bytes)
	}
}

// A message may begin with bytes that read as the length of what follows.
func TestGoflow2MessageThatBeginsLikeALength(t *testing.T) {
	// 0x08 is the key of type, and as a length that of 8 bytes more.
	m := protoMessage(1, 4, 9, 300, 10, 8) // 2 + 3 + 2 bytes, and no time
	m = m + protoMessage(4, 1)
	if len(m) != 9 || m[0] != 8 {
		t.Fatalf("%d bytes, %#x", len(m), m[0])
	}
	if _, _, err := decodeOne(t, "goflow2_protobuf", "", m); err == nil || !strings.Contains(err.Error(), "protobuf") && !strings.Contains(err.Error(), "missing") {
		t.Error(err)
	}
	for size := range 300 {
		m := protoMessage(112, 1768478400000000000, 9, 1, 2000, strings.Repeat("x", size))
		bare, _, err1 := decodeOne(t, "goflow2_protobuf", "", m)
		with, _, err2 := decodeOne(t, "goflow2_protobuf", "", string(protowire.AppendString(nil, m)))
		if err1 != nil || err2 != nil {
			t.Fatal(size, err1, err2)
		}
		if d := cmp.Diff(bare, with); d != "" {
			t.Fatal(size, d)
		}
	}
}

func TestGoflow2Reasons(t *testing.T) {
	with := func(old, new string) string {
		if !strings.Contains(goflow2Line, old) {
			t.Fatalf("no %s in the sample", old)
		}
		return strings.Replace(goflow2Line, old, new, 1)
	}
	const now = 1768478400000000000
	for _, c := range []struct {
		name, format, data string
		reason             flow.Reason
		text               string
	}{
		{"a line that is cut", "goflow2", goflow2Line[:90], flow.ReasonSyntax, "cut off"},
		{"an end before the start", "goflow2", with(`_end_ns":17684`, `_end_ns":16684`), flow.ReasonValue, "time_flow_end_ns"},
		{"a port beyond 16 bits", "goflow2", with(":50000", ":65536"), flow.ReasonValue, "src_port"},
		{"negative bytes", "goflow2", with(`"bytes":428`, `"bytes":-1`), flow.ReasonValue, "bytes"},
		{"bytes with a fraction", "goflow2", with(`"bytes":428`, `"bytes":1.5`), flow.ReasonField, "bytes"},
		{"bytes as text", "goflow2", with(`"bytes":428`, `"bytes":"428"`), flow.ReasonField, "bytes"},
		{"bytes beyond 63 bits", "goflow2", with(`"bytes":428`, `"bytes":9223372036854775808`), flow.ReasonValue, "bytes"},
		{"an address that is none", "goflow2", with("10.0.0.1", "10.0.0"), flow.ReasonField, "src_addr"},
		{"a prefix that is none", "goflow2", with("10.0.0.0/24", "10.0.0.0/240"), flow.ReasonValue, "src_net"},
		{"no time", "goflow2", strings.ReplaceAll(goflow2Line, "_ns", ""), flow.ReasonField, "time_flow_end_ns: missing"},
		{"a message that is cut", "goflow2_protobuf", goflow2Bare[:len(goflow2Bare)-1], flow.ReasonSyntax, "cut off"},
		{"two messages", "goflow2_protobuf", goflow2Delimited + goflow2Delimited, flow.ReasonSyntax, "protobuf"},
		{"an address of five bytes", "goflow2_protobuf", protoMessage(112, now, 6, "12345"), flow.ReasonField, "src_addr: an address of 5 bytes"},
		{"a port on the wire as bytes", "goflow2_protobuf", protoMessage(112, now, 21, "1"), flow.ReasonField, "src_port: wire type 2"},
		{"a port beyond 16 bits on the wire", "goflow2_protobuf", protoMessage(112, now, 21, 65536), flow.ReasonValue, "src_port"},
		{"an ICMP type beyond 8 bits", "goflow2_protobuf", protoMessage(112, now, 31, 256), flow.ReasonValue, "icmp_type"},
		{"a time beyond 63 bits", "goflow2_protobuf", protoMessage(112, -1), flow.ReasonValue, "time_flow_end_ns"},
		{"a group", "goflow2_protobuf", protoMessage(112, now) + "\x0b", flow.ReasonSyntax, "wire type 3"},
		{"field 0", "goflow2_protobuf", protoMessage(112, now) + "\x00\x00", flow.ReasonSyntax, "key"},
		{"a packed list that is cut", "goflow2_protobuf", protoMessage(112, now, 101, "\x80"), flow.ReasonSyntax, "bgp_communities"},
		{"nothing of a flow", "goflow2_protobuf", protoMessage(112, now), flow.ReasonField, "missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, o, err := decodeOne(t, c.format, "", c.data)
			if err == nil {
				t.Fatalf("accepted, outcome %v", o)
			}
			if got := flow.ReasonOf(err, flow.ReasonSyntax); got != c.reason || !strings.Contains(err.Error(), c.text) {
				t.Errorf("reason %q, error %q; want %q and %q", got, err, c.reason, c.text)
			}
		})
	}
}

func FuzzUvarint(f *testing.F) {
	f.Add("\x80\x01")
	f.Add("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
	f.Add("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02")
	f.Fuzz(func(t *testing.T, s string) {
		v, n := uvarint(s)
		want, size := protowire.ConsumeVarint([]byte(s))
		if (n > 0) != (size > 0) || n > 0 && (v != want || n != size) {
			t.Fatalf("%x: %d %d, want %d %d", s, v, n, want, size)
		}
	})
}
