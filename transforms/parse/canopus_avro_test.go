package parse

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hamba/avro/v2"
	"github.com/hamba/avro/v2/ocf"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/avrodata"
	"github.com/flowbeam/flowbeam/internal/delivery"
	"github.com/flowbeam/flowbeam/internal/schemaregistry"
	"github.com/flowbeam/flowbeam/internal/schemaregistry/registrytest"
)

// canopusSchema is that of the line of canopusLine.
const canopusSchema = `{"type":"record","name":"Flow","namespace":"net.canopus","fields":[` +
	`{"name":"timestamp","type":{"type":"long","logicalType":"timestamp-millis"}},` +
	`{"name":"user_id","type":["null","string"],"default":null},` +
	`{"name":"client_ip","type":"string"},{"name":"server_ip","type":"string"},` +
	`{"name":"download_bytes","type":["null","long"],"default":null},{"name":"upload_bytes","type":["null","long"],"default":null},` +
	`{"name":"internal_rtt","type":["null","double"],"default":null},{"name":"external_rtt","type":["null","double"],"default":null},` +
	`{"name":"internal_loss","type":["null","double"],"default":null},{"name":"external_loss","type":["null","double"],"default":null}]}`

// canopusRow is a record of canopusSchema as a writer has it.
type canopusRow struct {
	Timestamp    time.Time `avro:"timestamp"`
	UserID       *string   `avro:"user_id"`
	Client       string    `avro:"client_ip"`
	Server       string    `avro:"server_ip"`
	Download     *int64    `avro:"download_bytes"`
	Upload       *int64    `avro:"upload_bytes"`
	InternalRTT  *float64  `avro:"internal_rtt"`
	ExternalRTT  *float64  `avro:"external_rtt"`
	InternalLoss *float64  `avro:"internal_loss"`
	ExternalLoss *float64  `avro:"external_loss"`
}

func canopusRowOf(user string) canopusRow {
	p := func(v float64) *float64 { return &v }
	n := func(v int64) *int64 { return &v }
	return canopusRow{time.Date(2024, 9, 5, 10, 15, 0, 0, time.UTC), &user, "192.168.1.5", "203.0.113.10", n(1256789), n(456789), p(15.6), p(75.2), p(0.01), p(0.05)}
}

// datumOf is v as a writer of the schema encodes it.
func datumOf(t testing.TB, schema string, v any) string {
	t.Helper()
	var cache avro.SchemaCache
	s, err := avro.ParseWithCache(schema, "", &cache)
	if err != nil {
		t.Fatal(err)
	}
	b, err := avro.Marshal(s, v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// canopusDatum is canopusLine in Avro.
func canopusDatum(t testing.TB) string { return datumOf(t, canopusSchema, canopusRowOf("user12345")) }

func fingerprintOf(t testing.TB, schema string) uint64 {
	t.Helper()
	s, err := avrodata.Parse(schema)
	if err != nil {
		t.Fatal(err)
	}
	return s.Fingerprint
}

func singleObject(t testing.TB, schema, datum string) string {
	return string(avrodata.AppendSingleObject(nil, fingerprintOf(t, schema), datum))
}

func confluent(id int32, datum string) string {
	return string(avrodata.AppendConfluent(nil, id, datum))
}

// containerOf is an object container file of data that are encoded already.
func containerOf(t testing.TB, schema string, codec ocf.CodecName, data ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := ocf.NewEncoder(schema, &b, ocf.WithCodec(codec), ocf.WithBlockLength(2), ocf.WithSchemaMarshaler(ocf.FullSchemaMarshaler),
		ocf.WithSyncBlock([16]byte([]byte("flowbeam-testing"))), ocf.WithEncoderSchemaCache(&avro.SchemaCache{}))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range data {
		if _, err := w.Write([]byte(d)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// parseAvro parses a batch of messages as the transform does.
func parseAvro(t testing.TB, header string, messages ...string) (flow.Batch, []flow.Failure, error) {
	t.Helper()
	in := rawBatch("canopus", messages...)
	in.Origin.Header = header
	f := newFn(t, parseFn{})
	if err := prepare(t.Context(), &in); err != nil {
		return flow.Batch{}, nil, err
	}
	out, bad := f.parse(&in)
	if f.unprepared != nil {
		return flow.Batch{}, nil, f.unprepared
	}
	if int(f.n.read) != len(messages) || len(out.Records)+len(bad) != len(messages) {
		t.Errorf("%d messages: %d records, %d dead letters, %+v", len(messages), len(out.Records), len(bad), f.n)
	}
	return out, bad, nil
}

// oneAvro is the one record of a datum, or why there is none.
func oneAvro(t testing.TB, schema, datum string) (flow.Record, error) {
	t.Helper()
	out, bad, err := parseAvro(t, schema, singleObject(t, schema, datum))
	if err != nil {
		t.Fatal(err)
	}
	if len(bad) > 0 {
		return flow.Record{}, flow.Reject(bad[0].Reason, "%s", bad[0].Error)
	}
	return out.Records[0], nil
}

// of leaves out what is of a record's form: its id and its place.
func of(r flow.Record) flow.Record {
	r.ID, r.Position = flow.ID{}, flow.Position{}
	return r
}

func TestCanopusInAvroIsTheRecordOfItsLine(t *testing.T) {
	line := rawBatch("canopus", canopusLine)
	want, _ := newFn(t, parseFn{}).parse(&line)
	datum := canopusDatum(t)
	schema := declared(t, AvroSchema{JSON: canopusSchema, ID: 7})
	ids := map[flow.ID]bool{}
	for name, message := range map[string]string{"single-object": singleObject(t, canopusSchema, datum), "Confluent": confluent(7, datum)} {
		got, bad, err := parseAvro(t, schema, message)
		if err != nil || len(bad) > 0 {
			t.Fatal(name, bad, err)
		}
		if d := cmp.Diff(of(want.Records[0]), of(got.Records[0])); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		ids[got.Records[0].ID] = true
	}
	for _, codec := range []ocf.CodecName{ocf.Null, ocf.Deflate, ocf.Snappy, ocf.ZStandard} {
		in := parquetBatch(t, containerOf(t, canopusSchema, codec, datum, datum, datum))
		got, bad := newFn(t, parseFn{}).parse(&in)
		if len(got.Records) != 3 || len(bad) > 0 || in.Origin.Format != "canopus" {
			t.Fatal(codec, in.Origin, bad)
		}
		for _, r := range got.Records {
			r.DataCenter, r.Tenant, r.Received = "dc1", "t1", 1000
			if d := cmp.Diff(of(want.Records[0]), of(r)); d != "" {
				t.Errorf("%s: %s", codec, d)
			}
			ids[r.ID] = true
		}
	}
	if len(ids) != 1 || ids[want.Records[0].ID] {
		t.Errorf("one datum has the ids %v", ids)
	}
}

// Ids are in every store: a change here doubles each record that is read again.
func TestCanopusAvroIDsAreGolden(t *testing.T) {
	r, err := oneAvro(t, canopusSchema, canopusDatum(t))
	if err != nil || r.ID.String() != "dc9dfb6a151187af3bedc2acc849b9a0" {
		t.Errorf("%v, %v", r.ID, err)
	}
	// The same bytes by another schema are another record.
	other := strings.Replace(strings.Replace(canopusSchema, `"download_bytes"`, `"x"`, 1), `"upload_bytes"`, `"download_bytes"`, 1)
	other = strings.Replace(other, `"x"`, `"upload_bytes"`, 1)
	turned, err := oneAvro(t, other, canopusDatum(t))
	if err != nil || turned.ID.String() != "951b129ec3e9a37bbdc109b3220064a3" || turned.Source.Bytes != r.Destination.Bytes {
		t.Errorf("%v, %v", turned.ID, err)
	}
	// What a schema says beside the bytes changes nothing.
	said := strings.Replace(canopusSchema, `"name":"Flow"`, `"doc":"A flow.","name":"Flow"`, 1)
	if same, err := oneAvro(t, said, canopusDatum(t)); err != nil || same.ID != r.ID {
		t.Errorf("%v, %v", same.ID, err)
	}
}

// schemaWith is a schema of the three fields that have to be there, and others.
func schemaWith(fields string) string {
	return `{"type":"record","name":"R","fields":[{"name":"timestamp","type":"string"},{"name":"client_ip","type":"string"},{"name":"server_ip","type":"string"}` + fields + `]}`
}

func must() map[string]any {
	return map[string]any{"timestamp": "2024-09-05T10:15:00Z", "client_ip": "192.168.1.5", "server_ip": "203.0.113.10"}
}

func TestCanopusAvroEvolvesByName(t *testing.T) {
	base, err := oneAvro(t, canopusSchema, canopusDatum(t))
	if err != nil {
		t.Fatal(err)
	}
	user, at := "user12345", time.Date(2024, 9, 5, 10, 15, 0, 0, time.UTC)
	full := func() map[string]any {
		return map[string]any{"timestamp": at, "user_id": user, "client_ip": "192.168.1.5", "server_ip": "203.0.113.10", "download_bytes": int64(1256789), "upload_bytes": int64(456789),
			"internal_rtt": 15.6, "external_rtt": 75.2, "internal_loss": 0.01, "external_loss": 0.05}
	}
	required := strings.NewReplacer(`["null","string"],"default":null`, `"string"`, `["null","long"],"default":null`, `"long"`, `["null","double"],"default":null`, `"double"`).Replace(canopusSchema)
	replace := func(pairs ...string) string {
		t.Helper()
		s := required
		for i := 0; i < len(pairs); i += 2 {
			if !strings.Contains(s, pairs[i]) {
				t.Fatalf("%s is not in the schema", pairs[i])
			}
			s = strings.Replace(s, pairs[i], pairs[i+1], 1)
		}
		return s
	}
	with := func(change func(map[string]any)) map[string]any {
		m := full()
		change(m)
		return m
	}
	for _, c := range []struct {
		name, schema string
		value        map[string]any
		change       func(*flow.Record)
	}{
		{"required", required, full(), nil},
		{"a field added", replace(`{"name":"user_id"`, `{"name":"cell","type":"int"},{"name":"user_id"`), with(func(m map[string]any) { m["cell"] = 7 }),
			func(r *flow.Record) { r.Extensions = []flow.Extension{flow.ExtN("cell", 7)} }},
		{"a field removed", replace(`{"name":"user_id","type":"string"},`, ``), full(), func(r *flow.Record) { r.UserID = "" }},
		{"fields in another order", replace(`{"name":"user_id","type":"string"},`, ``, `{"name":"external_loss","type":"double"}]`, `{"name":"external_loss","type":"double"},{"name":"user_id","type":"string"}]`), full(), nil},
		{"narrower numbers", replace(`"download_bytes","type":"long"`, `"download_bytes","type":"int"`, `"internal_rtt","type":"double"`, `"internal_rtt","type":"float"`, `"internal_loss","type":"double"`, `"internal_loss","type":"float"`),
			with(func(m map[string]any) {
				m["download_bytes"], m["internal_rtt"], m["internal_loss"] = 1256789, float32(15.6), float32(0.01)
			}), nil},
		{"counts widened to double", replace(`"download_bytes","type":"long"`, `"download_bytes","type":"double"`), with(func(m map[string]any) { m["download_bytes"] = float64(1256789) }), nil},
		{"renamed, with an alias", replace(`"name":"user_id"`, `"aliases":["subscriber","user_id"],"name":"uid"`), with(func(m map[string]any) { m["uid"] = user }), nil},
		{"an alias of a name that another field has", replace(`{"name":"user_id"`, `{"name":"imsi","aliases":["user_id"],"type":"string"},{"name":"user_id"`), with(func(m map[string]any) { m["imsi"] = "i" }),
			func(r *flow.Record) { r.Extensions = []flow.Extension{flow.Ext("imsi", "i")} }},
		{"nullable, null first", canopusSchema, with(func(m map[string]any) { m["user_id"], m["download_bytes"] = nil, nil }),
			func(r *flow.Record) { r.UserID, r.Destination.Bytes = "", flow.Int{} }},
		{"nullable, null last", replace(`"user_id","type":"string"`, `"user_id","type":["string","null"]`), with(func(m map[string]any) { m["user_id"] = map[string]any{"string": user} }), nil},
		{"a union of many", replace(`"upload_bytes","type":"long"`, `"upload_bytes","type":["string","null","long","double"]`), with(func(m map[string]any) { m["upload_bytes"] = map[string]any{"string": "456789"} }), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := base
			if c.change != nil {
				c.change(&want)
			}
			value := c.value
			if strings.Contains(c.schema, `["null","string"],"default"`) {
				for _, k := range []string{"upload_bytes"} {
					value[k] = map[string]any{"long": value[k]}
				}
				for _, k := range []string{"internal_rtt", "external_rtt", "internal_loss", "external_loss"} {
					value[k] = map[string]any{"double": value[k]}
				}
			}
			got, err := oneAvro(t, c.schema, datumOf(t, c.schema, value))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(of(want), of(got)); d != "" {
				t.Error(d)
			}
		})
	}
}

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

func TestSchemasThatHaveNoCanopusRecord(t *testing.T) {
	for _, c := range []struct{ name, schema, says string }{
		{"no timestamp", strings.Replace(schemaWith(""), "timestamp", "time", 1), "field timestamp: missing"},
		{"no client", strings.Replace(schemaWith(""), "client_ip", "client", 1), "field client_ip: missing"},
		{"no server", strings.Replace(schemaWith(""), "server_ip", "server", 1), "field server_ip: missing"},
		{"a time without zone", strings.Replace(schemaWith(""), `"string"`, `{"type":"long","logicalType":"local-timestamp-millis"}`, 1), "field timestamp: it is long (local-timestamp-millis): want a string, a timestamp"},
		{"an address of a number", strings.Replace(schemaWith(""), `"client_ip","type":"string"`, `"client_ip","type":["null","int"]`, 1), "field client_ip: it is union of null, int: want"},
		{"an address of 5 bytes", strings.Replace(schemaWith(""), `"client_ip","type":"string"`, `"client_ip","type":{"type":"fixed","name":"F","size":5}`, 1), "field client_ip: it is fixed of 5 bytes"},
		{"bytes of a list", schemaWith(`,{"name":"upload_bytes","type":{"type":"array","items":"int"}}`), "field upload_bytes: it is array: want a number"},
		{"a null timestamp", strings.Replace(schemaWith(""), `"string"`, `"null"`, 1), "field timestamp: it is null"},
		{"no record", `"long"`, `schema "of a long", fingerprint`},
	} {
		_, err := oneAvro(t, c.schema, "\x00")
		if err == nil || flow.ReasonOf(err, "") != flow.ReasonSchema || !strings.Contains(err.Error(), c.says) ||
			!strings.Contains(err.Error(), avrodata.FingerprintText(fingerprintOf(t, c.schema))) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestTruncatedAndLongerDataAreDeadLetters(t *testing.T) {
	datum := canopusDatum(t)
	for cut := range len(datum) {
		_, err := oneAvro(t, canopusSchema, datum[:cut])
		if err == nil || flow.ReasonOf(err, "") != flow.ReasonSyntax {
			t.Errorf("cut to %d of %d bytes: %v", cut, len(datum), err)
		}
	}
	if _, err := oneAvro(t, canopusSchema, datum+"\x00"); err == nil || !strings.Contains(err.Error(), "1 bytes follow the record") {
		t.Errorf("a byte too many: %v", err)
	}
	if _, err := oneAvro(t, canopusSchema, datum[:len(datum)-1]); err == nil || !strings.Contains(err.Error(), "external_loss: byte") {
		t.Errorf("which field is cut: %v", err)
	}
	negative := strings.Replace(datum, "\x12user12345", "\x11user12345", 1)
	if _, err := oneAvro(t, canopusSchema, negative); err == nil || !strings.Contains(err.Error(), "user_id: byte") || !strings.Contains(err.Error(), "a length of -9") {
		t.Errorf("a negative length: %v", err)
	}
}

func TestAMessageLeavesNothingInTheNext(t *testing.T) {
	schema := schemaWith(`,{"name":"extra","type":"string"},{"name":"internal_loss","type":"double"}`)
	bad, good := must(), must()
	bad["extra"], bad["internal_loss"] = "left", 2.0
	good["extra"], good["internal_loss"] = "own", 0.5
	frame := func(m map[string]any) string { return singleObject(t, schema, datumOf(t, schema, m)) }
	for _, broken := range []string{frame(bad), frame(good)[:len(frame(good))-1], frame(good) + "\x00"} {
		out, failed, err := parseAvro(t, schema, broken, frame(good))
		if err != nil || len(failed) != 1 || len(out.Records) != 1 || len(out.Records[0].Extensions) != 1 || out.Records[0].Extensions[0].Text != "own" {
			t.Errorf("%+v, %v, %v", out.Records, failed, err)
		}
	}
}

func TestLinesAndMessagesOfOneTopic(t *testing.T) {
	header := declared(t, AvroSchema{JSON: canopusSchema, ID: 7})
	out, bad, err := parseAvro(t, header, canopusLine, confluent(7, canopusDatum(t)), confluent(8, canopusDatum(t)), "\x00\x00", "\xc3\x01", singleObject(t, `"long"`, "\x00"))
	if err != nil || len(out.Records) != 2 || len(bad) != 4 {
		t.Fatal(out, bad, err)
	}
	for i, want := range []struct {
		reason flow.Reason
		says   string
	}{
		{flow.ReasonSchema, "no schema of id 8 is declared, and there is no registry"}, {flow.ReasonSyntax, "Confluent's wire format: 2 bytes"},
		{flow.ReasonSyntax, "single-object encoding: 2 bytes"}, {flow.ReasonSchema, "no schema of fingerprint " + avrodata.FingerprintText(fingerprintOf(t, `"long"`))},
	} {
		if bad[i].Reason != want.reason || !strings.Contains(bad[i].Error, want.says) || bad[i].Header != header {
			t.Errorf("%+v, want %+v", bad[i], want)
		}
	}
	if out, bad, _ := parseAvro(t, "no schema", canopusLine, confluent(7, "")); len(out.Records) != 1 || len(bad) != 1 || bad[0].Reason != flow.ReasonFormat {
		t.Errorf("a header that is something else: %v", bad)
	}
}

// What the library frames, whose fingerprint has logical types in it, is found too.
func TestTheLibrarysFingerprintIsKnown(t *testing.T) {
	b, err := avro.MustParse(canopusSchema).(*avro.RecordSchema).FingerprintUsing(avro.CRC64AvroLE)
	if err != nil {
		t.Fatal(err)
	}
	out, bad, err := parseAvro(t, canopusSchema, "\xc3\x01"+string(b)+canopusDatum(t))
	if err != nil || len(out.Records) != 1 || strings.HasPrefix(singleObject(t, canopusSchema, ""), "\xc3\x01"+string(b)) {
		t.Error(bad, err)
	}
}

// quickRegistry is a registry of which requests give up soon.
func quickRegistry(t testing.TB) (*registrytest.Server, string) {
	t.Helper()
	old := schemaregistry.Policy
	schemaregistry.Policy = delivery.Policy{Base: time.Millisecond, Cap: 2 * time.Millisecond, Deadline: 2 * time.Second, Auth: 20 * time.Millisecond}
	t.Cleanup(func() { schemaregistry.Policy = old })
	s := registrytest.New(t, false)
	header, err := AvroHeader{Registry: s.URL}.Text()
	if err != nil {
		t.Fatal(err)
	}
	return s, header
}

// What the registry does not know is a dead letter, and what it does not say is none.
func TestAnUnknownSchemaIsADeadLetterAndAnOutageIsNot(t *testing.T) {
	s, header := quickRegistry(t)
	s.Add(7, "flows", canopusSchema)
	s.AddType(9, "proto", "message Flow {}", "PROTOBUF")
	s.Add(10, "broken", "{")
	s.Add(11, "other", `"long"`)
	messages := []string{canopusLine, confluent(7, canopusDatum(t)), confluent(8, "x"), confluent(9, "x"), confluent(10, "x"), confluent(11, "\x00"), confluent(-1, "x"), "\x00\x01"}
	for _, status := range []int{503, 401, 404} {
		s.Down(status)
		out, bad, err := parseAvro(t, header, messages...)
		if err == nil || !strings.Contains(err.Error(), strconv.Itoa(status)) {
			t.Errorf("status %d: %d records, %v, %v", status, len(out.Records), bad, err)
		}
	}
	if _, ok := canopusTimestamp(header, []byte(messages[1])); ok {
		t.Error("a time of a message whose schema is not there yet")
	}
	s.Fail(nil)
	out, bad, err := parseAvro(t, header, messages...)
	if err != nil || len(out.Records) != 2 || len(bad) != 6 {
		t.Fatal(out, bad, err)
	}
	for i, says := range []string{"schema id 8: the registry has none", "schema id 9: it is a schema of type PROTOBUF", "schema id 10: ", "schema id 11: schema \"of a long\"", "schema id -1: -1 is no id", "2 bytes"} {
		if want := flow.ReasonSchema; i < 5 && bad[i].Reason != want || !strings.Contains(bad[i].Error, says) {
			t.Errorf("%s %s, want %s", bad[i].Reason, bad[i].Error, says)
		}
	}
	asked := s.Asked("/schemas/ids/7")
	if d := cmp.Diff(of(out.Records[0]), of(out.Records[1])); d != "" {
		t.Error(d)
	}
	if got, ok := canopusTimestamp(header, []byte(messages[1])); !ok || got != out.Records[1].EventTime {
		t.Errorf("timestamp %v %v", got, ok)
	}
	s.Down(500) // and what is known stays so
	if _, bad, err := parseAvro(t, header, messages[:3]...); err != nil || len(bad) != 1 || s.Asked("/schemas/ids/7") != asked {
		t.Errorf("%v, %v", bad, err)
	}
	single, _, err := parseAvro(t, header, confluent(7, canopusDatum(t)))
	whole, err2 := oneAvro(t, canopusSchema, canopusDatum(t))
	if err != nil || err2 != nil || single.Records[0].ID != whole.ID {
		t.Error("the id is that of the registry's")
	}
}

// Without Prepare nothing becomes a dead letter for want of a schema.
func TestWhatWasNotPreparedIsNoDeadLetter(t *testing.T) {
	s, header := quickRegistry(t)
	s.Add(7, "flows", canopusSchema)
	in := rawBatch("canopus", canopusLine, confluent(7, canopusDatum(t)))
	in.Origin.Header = header
	f := newFn(t, parseFn{})
	if out, bad := f.parse(&in); !errors.Is(f.unprepared, ErrNotPrepared) || len(out.Records)+len(bad) != 0 {
		t.Errorf("%v, %v, %v", out, bad, f.unprepared)
	}
	s.Down(500)
	none := func(any) { t.Error("something is given") }
	err := f.ProcessElement(t.Context(), in, func(flow.Batch) { none(nil) }, func(flow.FailureBatch) { none(nil) }, nil)
	if err == nil || !strings.Contains(err.Error(), "canopus: schema registry") {
		t.Errorf("%v", err)
	}
}

func TestTypesOfAnotherSubject(t *testing.T) {
	s, header := quickRegistry(t)
	s.Add(1, "address", `{"type":"fixed","name":"net.canopus.Address","size":4}`)
	using := strings.Replace(strings.Replace(canopusSchema, `"client_ip","type":"string"`, `"client_ip","type":"Address"`, 1), `"server_ip","type":"string"`, `"server_ip","type":"Address"`, 1)
	s.Add(2, "flows", using, registrytest.Reference{Name: "net.canopus.Address", Subject: "address", Version: 1})
	whole := strings.Replace(using, `"Address"`, `{"type":"fixed","name":"Address","size":4}`, 1)
	datum := strings.Replace(strings.Replace(canopusDatum(t), "\x16192.168.1.5", "\xc0\xa8\x01\x05", 1), "\x18203.0.113.10", "\xcb\x00\x71\x0a", 1)
	out, bad, err := parseAvro(t, header, confluent(2, datum))
	if err != nil || len(bad) > 0 {
		t.Fatal(bad, err)
	}
	want, err := oneAvro(t, whole, datum)
	if err != nil || want.ID != out.Records[0].ID || want.Source.IP != flow.MustIP("192.168.1.5") {
		t.Errorf("%+v, %v", want, err)
	}
}

// The event time is read without what follows it.
func TestTheTimestampIsReadAlone(t *testing.T) {
	schema := `{"type":"record","name":"R","fields":[{"name":"tags","type":{"type":"map","values":"string"}},{"name":"timestamp","type":["null","string"]},{"name":"client_ip","type":"string"},{"name":"server_ip","type":"string"}]}`
	datum := "\x02\x02k\x02v\x00" + "\x02" + datumOf(t, `"string"`, "2024-09-05T10:15:00Z")
	if got, ok := canopusTimestamp(schema, []byte(singleObject(t, schema, datum))); !ok || got.String() != "2024-09-05T10:15:00Z" {
		t.Errorf("%v %v", got, ok)
	}
	message := []byte(singleObject(t, schema, datum))
	if n := testing.AllocsPerRun(100, func() { canopusTimestamp(schema, message) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	for _, none := range []string{datum[:8], "\x02\x02k\x02v\x00\x00", "\x02\x02k\x02v\x00\x06", ""} {
		if got, ok := canopusTimestamp(schema, []byte(singleObject(t, schema, none))); ok {
			t.Errorf("%q has the time %v", none, got)
		}
	}
}

func TestFilesInAvroAreKnownByTheirSchema(t *testing.T) {
	file := containerOf(t, canopusSchema, ocf.Deflate, canopusDatum(t))
	if got, err := flow.DetectFormat(file); got != "canopus" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := flow.DetectFormat([]byte(singleObject(t, canopusSchema, canopusDatum(t)))); got != "canopus" {
		t.Errorf("%q, %v", got, err)
	}
	other := containerOf(t, `{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}`, ocf.Null, "\x02", "\x04")
	if got, err := flow.DetectFormat(other); err == nil {
		t.Errorf("another Avro file is %s", got)
	}
	// Declared to be Canopus, each of its records is accounted for.
	c, err := openCanopusAvro(other, bytes.NewReader(other), int64(len(other)))
	if err != nil {
		t.Fatal(err)
	}
	var messages []string
	for m, err := c.Next(); err == nil; m, err = c.Next() {
		messages = append(messages, string(m))
	}
	if _, bad, err := parseAvro(t, c.Header(), messages...); err != nil || len(bad) != 2 || bad[0].Reason != flow.ReasonSchema {
		t.Errorf("%v, %v", bad, err)
	}
	if c, err := openCanopusAvro([]byte(canopusLine), nil, 0); c != nil || err != nil {
		t.Error("a line is opened as a container")
	}
	if _, err := openCanopusAvro(file[:30], bytes.NewReader(file[:30]), 30); err == nil {
		t.Error("a cut file is opened")
	}
	in := rawBatch("zeek_json", singleObject(t, canopusSchema, canopusDatum(t)))
	if _, bad := newFn(t, parseFn{}).parse(&in); len(bad) != 1 || !strings.Contains(bad[0].Error, "looks like canopus") {
		t.Errorf("%v", bad)
	}
}

// FuzzCanopusAvro holds for messages of every framing what fuzzFormat holds for lines, and that
// what is accepted the library reads as the same values.
func FuzzCanopusAvro(f *testing.F) {
	datum := canopusDatum(f)
	header, err := AvroHeader{Schemas: []AvroSchema{{ID: 7, JSON: canopusSchema}, {ID: 8, JSON: schemaWith(`,{"name":"m","type":{"type":"map","values":["null","double"]}}`)}}}.Text()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(header, singleObject(f, canopusSchema, datum))
	f.Add(header, confluent(7, datum))
	in := parquetBatch(f, containerOf(f, canopusSchema, ocf.Null, datum, strings.Replace(datum, "user", "\xff\xfe\xfd\xfc", 1)))
	for _, r := range in.Records {
		f.Add(in.Origin.Header, string(r.Data))
	}
	f.Add(header, confluent(8, datumOf(f, schemaWith(""), must())+"\x02\x02k\x02"+datumOf(f, `"double"`, 1.5)+"\x00"))
	f.Add("#registry {}", confluent(7, datum))
	f.Add("7 "+schemaWith(`,{"name":"r","aliases":["upload_bytes"],"type":{"type":"bytes","logicalType":"decimal","precision":3}}`), confluent(7, datumOf(f, schemaWith(""), must())+"\x02\x05"))
	var cache avro.SchemaCache
	theirs, err := avro.ParseWithCache(canopusSchema, "", &cache)
	if err != nil {
		f.Fatal(err)
	}
	fingerprint := singleObject(f, canopusSchema, "")
	f.Fuzz(func(t *testing.T, header, message string) {
		if strings.Contains(header, "http") || trim(message) == "" {
			return // it asks nobody, and counts no blank lines
		}
		out, bad, err := parseAvro(t, header, message, message)
		if err != nil || len(out.Records) == 1 {
			t.Fatalf("%d records, %v, %v", len(out.Records), bad, err)
		}
		at, ok := canopusTimestamp(header, []byte(message))
		for i := range bad {
			if bad[i].Data != message || bad[i].Reason == "" || bad[i].Error == "" {
				t.Fatalf("%+v", bad[i])
			}
		}
		if len(out.Records) == 0 || !isAvroMessage(message) {
			return
		}
		r := out.Records[0]
		out.Records[1].Position = r.Position
		if d := cmp.Diff(r, out.Records[1]); d != "" {
			t.Fatal(d)
		}
		if !ok || at != r.EventTime || r.ID.IsZero() {
			t.Fatalf("timestamp %v %v, %+v", at, ok, r)
		}
		readBack(t, &r)
		if datum, ours := strings.CutPrefix(message, fingerprint); ours && strings.Contains(header, canopusSchema) {
			var row canopusRow
			if err := avro.Unmarshal(theirs, []byte(datum), &row); err != nil {
				t.Fatalf("the library refuses what is accepted: %v", err)
			}
			if flow.TimeOf(row.Timestamp) != r.EventTime || (row.Upload != nil) != r.Source.Bytes.OK || row.Upload != nil && *row.Upload != r.Source.Bytes.V {
				t.Fatalf("%+v, the library has %+v", r, row)
			}
		}
	})
}

func declared(t testing.TB, schemas ...AvroSchema) string {
	t.Helper()
	text, err := AvroHeader{Schemas: schemas}.Text()
	if err != nil {
		t.Fatal(err)
	}
	return text
}
