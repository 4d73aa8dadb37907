package parse

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/avrodata"
)

func TestCanopusAvroTypes(t *testing.T) {
	at := flow.TimeOf(time.Date(2024, 9, 5, 10, 15, 0, 0, time.UTC))
	long := func(v int64) string { return datumOf(t, `"long"`, v) }
	double := func(v float64) string { return datumOf(t, `"double"`, v) }
	float := func(v float32) string { return datumOf(t, `"float"`, v) }
	text := func(v string) string { return datumOf(t, `"string"`, v) }
	decimal := `{"type":"bytes","logicalType":"decimal","precision":9,"scale":3}`
	event := func(v flow.Time) func(*flow.Record) bool {
		return func(r *flow.Record) bool { return r.EventTime == v }
	}
	sent := func(v int64) func(*flow.Record) bool {
		return func(r *flow.Record) bool { return r.Source.Bytes == flow.N(v) }
	}
	rtt := func(v int64) func(*flow.Record) bool {
		return func(r *flow.Record) bool { return r.RTTInternal == flow.N(v) }
	}
	loss := func(v float64) func(*flow.Record) bool {
		return func(r *flow.Record) bool { return r.LossInternal == flow.F(v) }
	}
	client := func(v string) func(*flow.Record) bool {
		return func(r *flow.Record) bool { return r.Source.IP == flow.MustIP(v) }
	}
	user := func(v string) func(*flow.Record) bool { return func(r *flow.Record) bool { return r.UserID == v } }
	v6 := "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
	for _, c := range []struct {
		field, typ, value string
		is                func(*flow.Record) bool
		reason            flow.Reason
		says              string
	}{
		{"timestamp", `"string"`, text("2024-09-05T12:15:00+02:00"), event(at), "", ""},
		{"timestamp", `"string"`, text("yesterday"), nil, flow.ReasonField, "timestamp: want an RFC 3339 time"},
		{"timestamp", `{"type":"long","logicalType":"timestamp-millis"}`, long(int64(at / 1e6)), event(at), "", ""},
		{"timestamp", `{"type":"long","logicalType":"timestamp-micros"}`, long(int64(at/1e3) + 1), event(at + 1000), "", ""},
		{"timestamp", `{"type":"long","logicalType":"timestamp-nanos"}`, long(int64(at) + 1), event(at + 1), "", ""},
		{"timestamp", `{"type":"long","logicalType":"timestamp-millis"}`, long(math.MaxInt64), nil, flow.ReasonValue, "timestamp: \"9223372036854775807\" is beyond the years"},
		{"timestamp", `{"type":"int","logicalType":"date"}`, long(19971), event(flow.TimeOf(time.Date(2024, 9, 5, 0, 0, 0, 0, time.UTC))), "", ""},
		{"timestamp", `"long"`, long(int64(at / 1e9)), event(at), "", ""},
		{"timestamp", `"int"`, long(int64(at / 1e9)), event(at), "", ""},
		{"timestamp", `"long"`, long(int64(at / 1e6)), event(at), "", ""},
		{"timestamp", `"long"`, long(int64(at / 1e3)), event(at), "", ""},
		{"timestamp", `"long"`, long(int64(at)), event(at), "", ""},
		{"timestamp", `"double"`, double(float64(at/1e9) + 0.25), event(at + 250_000_000), "", ""},
		{"timestamp", `"long"`, long(12345), nil, flow.ReasonValue, `timestamp: "12345" is no time of the years`},
		{"timestamp", `"double"`, double(math.NaN()), nil, flow.ReasonValue, `timestamp: "NaN" is no time`},
		{"timestamp", `["null","string"]`, "\x00", nil, flow.ReasonField, "timestamp: missing"},
		{"client_ip", `{"type":"fixed","name":"F","size":4}`, "\xc0\xa8\x01\x05", client("192.168.1.5"), "", ""},
		{"client_ip", `{"type":"fixed","name":"F","size":16}`, v6, client("2001:db8::1"), "", ""},
		{"client_ip", `"bytes"`, text(v6), client("2001:db8::1"), "", ""},
		{"client_ip", `"bytes"`, text("\xc0\xa8\x01\x05"), client("192.168.1.5"), "", ""},
		{"client_ip", `"bytes"`, text("\xc0\xa8\x01"), nil, flow.ReasonField, "client_ip: an address of 3 bytes"},
		{"client_ip", `"bytes"`, text(""), nil, flow.ReasonField, "client_ip: missing"},
		{"client_ip", `"string"`, text("192.168.1.500"), nil, flow.ReasonField, "client_ip: want an IP address"},
		{"user_id", `"long"`, long(12345), user("12345"), "", ""},
		{"user_id", `{"type":"string","logicalType":"uuid"}`, text("u-1"), user("u-1"), "", ""},
		{"user_id", `"bytes"`, text("\x00\xff"), user("00ff"), "", ""},
		{"user_id", `{"type":"enum","name":"E","symbols":["A","B"]}`, long(1), user("B"), "", ""},
		{"user_id", `"string"`, text("\xff"), nil, flow.ReasonEncoding, "user_id: not UTF-8"},
		{"upload_bytes", `"string"`, text("17"), sent(17), "", ""},
		{"upload_bytes", `"float"`, float(17), sent(17), "", ""},
		{"upload_bytes", `"double"`, double(17.5), nil, flow.ReasonField, "upload_bytes: want an integer"},
		{"upload_bytes", `"double"`, double(1e19), nil, flow.ReasonValue, "upload_bytes"},
		{"upload_bytes", `"long"`, long(-1), nil, flow.ReasonValue, `upload_bytes: "-1" is not between 0 and 2^63-1`},
		{"upload_bytes", decimal, "\x04\x42\x68", sent(17), "", ""},
		{"upload_bytes", `"int"`, long(17), sent(17), "", ""},
		{"upload_bytes", `"int"`, long(1 << 40), nil, flow.ReasonSyntax, "an int has more than 32 bits"},
		{"internal_rtt", `"string"`, text("15.6"), rtt(15_600_000), "", ""},
		{"internal_rtt", `"int"`, long(15), rtt(15_000_000), "", ""},
		{"internal_rtt", `"float"`, float(75.2), rtt(75_200_000), "", ""},
		{"internal_rtt", `"double"`, double(0.0000005), rtt(1), "", ""},
		{"internal_rtt", `"double"`, double(8e12), rtt(8e18), "", ""},
		{"internal_rtt", `"double"`, double(-15.6), nil, flow.ReasonValue, `internal_rtt: "-15.6" is negative`},
		{"internal_rtt", `"double"`, double(math.Inf(1)), nil, flow.ReasonField, "internal_rtt: want a number"},
		{"internal_rtt", `{"type":"int","logicalType":"time-millis"}`, long(15), rtt(15_000_000), "", ""},
		{"internal_rtt", `{"type":"long","logicalType":"time-micros"}`, long(15), rtt(15_000), "", ""},
		{"internal_rtt", decimal, "\x04\x3c\xf0", rtt(15_600_000), "", ""},
		{"internal_loss", `"float"`, float(0.05), loss(0.05), "", ""},
		{"internal_loss", `"double"`, double(math.Copysign(0, -1)), loss(0), "", ""},
		{"internal_loss", `"int"`, long(1), loss(1), "", ""},
		{"internal_loss", decimal, "\x02\x32", loss(0.05), "", ""},
		{"internal_loss", `"double"`, double(1.05), nil, flow.ReasonValue, `internal_loss: "1.05" is not a ratio`},
		{"internal_loss", `"double"`, double(math.NaN()), nil, flow.ReasonValue, `internal_loss: "NaN" is not a ratio`},
		{"internal_loss", `["null","double",{"type":"array","items":"int"}]`, "\x04\x00", nil, flow.ReasonField, "internal_loss: want a number or a string, have array"},
		{"data_center", `"string"`, text("fra1"), func(r *flow.Record) bool { return r.DataCenter == "fra1" }, "", ""},
		{"tenant", `["null","string"]`, "\x02" + text(""), func(r *flow.Record) bool { return r.Tenant == "t1" }, "", ""},
		{"cells", `{"type":"array","items":"int"}`, "\x04\x02\x04\x00", hasExtension(flow.Ext("cells", "[1,2]")), "", ""},
		{"hash", `"bytes"`, text("\x00\xff"), hasExtension(flow.Ext("hash", "00ff")), "", ""},
		{"seen", `{"type":"long","logicalType":"timestamp-micros"}`, long(1_725_531_300_000_001), hasExtension(flow.Ext("seen", "2024-09-05T10:15:00.000001Z")), "", ""},
		{"price", decimal, "\x02\x32", hasExtension(flow.Extension{Name: "price", Text: "0.050", Kind: flow.ExtFloat}), "", ""},
		{"roaming", `"boolean"`, "\x01", hasExtension(flow.Extension{Name: "roaming", Text: "true", Kind: flow.ExtBool}), "", ""},
		{"mos", `"double"`, double(4.25), hasExtension(flow.Extension{Name: "mos", Text: "4.25", Kind: flow.ExtFloat}), "", ""},
		{"app", `["null","string"]`, "\x00", func(r *flow.Record) bool { return r.Extensions == nil }, "", ""},
	} {
		fields, datum := "", ""
		for name, v := range map[string]string{"timestamp": "2024-09-05T10:15:00Z", "client_ip": "192.168.1.5", "server_ip": "203.0.113.10"} {
			if name != c.field {
				fields, datum = fields+`{"name":"`+name+`","type":"string"},`, datum+text(v)
			}
		}
		schema := `{"type":"record","name":"R","fields":[` + fields + `{"name":"` + c.field + `","type":` + c.typ + `}]}`
		r, err := oneAvro(t, schema, datum+c.value)
		if c.reason != "" {
			if err == nil || flow.ReasonOf(err, "") != c.reason || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s of %s: %v, want %s %q", c.field, c.typ, err, c.reason, c.says)
			}
			continue
		}
		if err != nil || !c.is(&r) {
			t.Errorf("%s of %s: %+v, %v", c.field, c.typ, r, err)
		}
		if got, ok := canopusTimestamp(schema, []byte(singleObject(t, schema, datum+c.value))); !ok || got != r.EventTime {
			t.Errorf("%s of %s: timestamp %v %v, event time %v", c.field, c.typ, got, ok, r.EventTime)
		}
	}
}

func hasExtension(want flow.Extension) func(*flow.Record) bool {
	return func(r *flow.Record) bool { return len(r.Extensions) == 1 && r.Extensions[0] == want }
}

// A double gives the round trip that its shortest text gives in JSON.
func FuzzRoundTripOfADouble(f *testing.F) {
	for _, v := range []float64{0, 15.6, 75.2, 0.0000005, 0.0000015, 1e-7, 123456.7890125, 1 << 43, 8.7e6, -1, math.NaN()} {
		f.Add(v)
	}
	d := canopusAvro{}
	node := &avrodata.Node{Kind: avrodata.Double}
	f.Fuzz(func(t *testing.T, v float64) {
		rd := avrodata.NewReader(datumOf(t, `"double"`, v))
		got, err := d.roundTrip(&rd, "rtt", node)
		want, wantErr := roundTrip("rtt", strconv.FormatFloat(v, 'f', -1, 64), milliseconds)
		if got != want || (err == nil) != (wantErr == nil) {
			t.Fatalf("%v: %v %v, want %v %v", v, got, err, want, wantErr)
		}
	})
}
