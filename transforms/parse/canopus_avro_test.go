package parse

import (
	"errors"
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
