package job

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hamba/avro/v2"
	"github.com/hamba/avro/v2/ocf"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/avrodata"
	"github.com/flowbeam/flowbeam/internal/delivery"
	"github.com/flowbeam/flowbeam/internal/schemaregistry"
	"github.com/flowbeam/flowbeam/internal/schemaregistry/registrytest"
)

const probeSchema = `{"type":"record","name":"Flow","namespace":"net.canopus","fields":[
	{"name":"timestamp","type":{"type":"long","logicalType":"timestamp-millis"}},
	{"name":"user_id","type":["null","string"],"default":null},
	{"name":"client","aliases":["client_ip"],"type":"string"},
	{"name":"server_ip","type":"string"},
	{"name":"upload_bytes","type":["null","long"],"default":null},
	{"name":"internal_rtt","type":"float"},
	{"name":"external_loss","type":"double"},
	{"name":"cell","type":"int"}]}`

type probeRow struct {
	Time   time.Time `avro:"timestamp"`
	User   *string   `avro:"user_id"`
	Client string    `avro:"client"`
	Server string    `avro:"server_ip"`
	Bytes  *int64    `avro:"upload_bytes"`
	RTT    float32   `avro:"internal_rtt"`
	Loss   float64   `avro:"external_loss"`
	Cell   int       `avro:"cell"`
}

// probe is the same records as lines and in Avro: 200, of which one is there twice, and three that
// become dead letters.
func probe(t *testing.T) (lines []string, data []string) {
	t.Helper()
	var cache avro.SchemaCache
	schema, err := avro.ParseWithCache(probeSchema, "", &cache)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 203 {
		user, n := fmt.Sprintf("user%d", i%20), int64(1000+i)
		r := probeRow{time.Date(2026, 1, 15, 12, i/10, i%60, 0, time.UTC), &user, fmt.Sprintf("10.0.0.%d", i%250), "192.0.2.1", &n, float32(i) / 10, float64(i%100) / 100, i}
		if i%7 == 0 {
			r.User, r.Bytes = nil, nil
		}
		switch i {
		case 200:
			r.Client = "10.0.0.256"
		case 201:
			r.Loss = 1.5
		case 202:
			r.Time = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
		}
		member := ""
		if r.User != nil {
			member = fmt.Sprintf(`"user_id":"%s","upload_bytes":%d,`, *r.User, *r.Bytes)
		}
		lines = append(lines, fmt.Sprintf(`{"timestamp":"%s",%s"client_ip":"%s","server_ip":"%s","internal_rtt":%v,"external_loss":%v,"cell":%d}`,
			r.Time.Format(time.RFC3339), member, r.Client, r.Server, r.RTT, r.Loss, r.Cell))
		b, err := avro.Marshal(schema, r)
		if err != nil {
			t.Fatal(err)
		}
		data = append(data, string(b))
	}
	return append(lines, lines[5]), append(data, data[5])
}

// canopusRecords are the stored records without what is of their form and their place.
func canopusRecords(t *testing.T, o *Options) []flow.Record {
	t.Helper()
	out := storedRecords(t, o)
	for i := range out {
		r := &out[i]
		r.ID, r.Position, r.Received, r.DataCenter = flow.ID{}, flow.Position{}, 0, ""
	}
	slices.SortFunc(out, func(a, b flow.Record) int { return int(ext(&a, "cell") - ext(&b, "cell")) })
	return out
}

func expectProbe(t *testing.T, s *Summary, more map[string]int64) {
	t.Helper()
	want := map[string]int64{"field": 1, "value": 1, "time_range": 1}
	total := int64(3)
	for reason, n := range more {
		want[reason] += n
		total += n
	}
	if d := cmp.Diff(want, s.DeadLetters.ByReason); d != "" || s.Read != 201+total || s.Written != 200 || s.Duplicates != 1 {
		t.Errorf("read %d, written %d, duplicates %d, dead letters %s", s.Read, s.Written, s.Duplicates, d)
	}
}

// quickRegistry is a registry of which requests give up soon.
func quickRegistry(t *testing.T) *registrytest.Server {
	old := schemaregistry.Policy
	schemaregistry.Policy = delivery.Policy{Base: time.Millisecond, Cap: 10 * time.Millisecond, Deadline: 2 * time.Second, Auth: 50 * time.Millisecond}
	t.Cleanup(func() { schemaregistry.Policy = old })
	return registrytest.New(t, false)
}

// The records of a probe are the same as lines, in a file of Avro and in messages whose schema a
// registry has, and each is accounted for; the raw backup of each gives them again.
func TestCanopusInAvroIsWhatItsLinesAre(t *testing.T) {
	lines, data := probe(t)
	dir := t.TempDir()
	writeLines(t, filepath.Join(dir, "probe.ndjson"), lines)
	asLines := small(t, filepath.Join(dir, "probe.ndjson"))
	expectProbe(t, run(t, flows(), asLines), nil)
	want := canopusRecords(t, asLines)

	var file bytes.Buffer
	w, err := ocf.NewEncoder(probeSchema, &file, ocf.WithCodec(ocf.ZStandard), ocf.WithSchemaMarshaler(ocf.FullSchemaMarshaler), ocf.WithEncoderSchemaCache(&avro.SchemaCache{}))
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
	if err := os.WriteFile(filepath.Join(dir, "probe.avro"), file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	inFile := small(t, filepath.Join(dir, "probe.avro"))
	inFile.RawBackup = true
	expectProbe(t, run(t, flows(), inFile), nil)

	registry := quickRegistry(t)
	registry.Add(7, "probe", probeSchema)
	inTopic := probeTopic(t, data, string(avrodata.AppendConfluent(nil, 8, data[0])), "\x00\x00\x00\x00\x07"+data[1][:20])
	inTopic.SchemaRegistry, inTopic.RawBackup = registry.URL, true
	if problems := inTopic.Validate(); len(problems) > 0 {
		t.Fatal(problems)
	}
	registry.Down(503) // an outage makes no dead letters
	inTopic.Quiet = true
	if s, err := flows().Run(context.Background(), inTopic, io.Discard); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("%+v, %v", s, err)
	}
	registry.Fail(nil)
	more := map[string]int64{"schema": 1, "syntax": 1}
	expectProbe(t, run(t, flows(), inTopic), more)

	for name, o := range map[string]*Options{"file": inFile, "topic": inTopic} {
		if d := cmp.Diff(want, canopusRecords(t, o)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	ids := func(o *Options) (out []string) {
		for _, r := range storedRecords(t, o) {
			out = append(out, r.ID.String())
		}
		slices.Sort(out)
		return out
	}
	if d := cmp.Diff(ids(inFile), ids(inTopic)); d != "" {
		t.Errorf("ids of a file and of a topic differ: %s", d)
	}

	for name, o := range map[string]*Options{"file": inFile, "topic": inTopic} {
		again := *o
		again.Input, again.KafkaInput, again.KafkaInputTopics, again.SchemaRegistry = nil, nil, nil, ""
		again.Raw, again.Format, again.DataCenter, again.RawBackup, again.Stop = o.dir("raw"), "", "", false, ""
		again.Output = filepath.Join(t.TempDir(), "out")
		s := run(t, Replay(), &again)
		if name == "file" {
			more = nil
		} else {
			more = map[string]int64{"schema": 1, "syntax": 1}
		}
		expectProbe(t, s, more)
		if d := cmp.Diff(want, canopusRecords(t, &again)); d != "" {
			t.Errorf("%s, from its raw backup: %s", name, d)
		}
	}

	// The schema that the registry does not know is declared, and its dead letter is read again.
	letters := *inTopic
	letters.KafkaInput, letters.KafkaInputTopics, letters.SchemaRegistry, letters.Format, letters.DataCenter, letters.RawBackup, letters.Stop = nil, nil, "", "", "", false, ""
	path := filepath.Join(dir, "probe.avsc")
	writeLines(t, path, []string{probeSchema})
	letters.AvroSchema = []string{"8=" + path}
	if problems := slices.Concat(letters.Validate(), letters.checkReplay()); len(problems) > 0 {
		t.Fatal(problems)
	}
	s := run(t, Replay(), &letters)
	if s.Read != 5 || s.Written+s.Duplicates != 1 || s.DeadLetters.Total != 4 || s.DeadLetters.ByReason["schema"] != 0 {
		t.Errorf("dead letters again: %+v", s)
	}
}

// probeTopic is a topic of data in Confluent's wire format, by the schema of id 7, and other messages.
func probeTopic(t *testing.T, data []string, others ...string) *Options {
	t.Helper()
	var messages []*kgo.Record
	for _, d := range data {
		messages = append(messages, kgo.SliceRecord(avrodata.AppendConfluent(nil, 7, d)))
	}
	for _, m := range others {
		messages = append(messages, kgo.StringRecord(m))
	}
	o := kafkaOptions(t, flowsTopic(t, messages...).ListenAddrs())
	o.DataCenter, o.Stop = "", "latest"
	return o
}

// Declared schemas travel with what is kept: a raw backup is read without their files.
func TestDeclaredSchemasAreKeptWithTheMessages(t *testing.T) {
	lines, data := probe(t)
	dir := t.TempDir()
	writeLines(t, filepath.Join(dir, "probe.ndjson"), lines)
	asLines := small(t, filepath.Join(dir, "probe.ndjson"))
	run(t, flows(), asLines)
	path := filepath.Join(dir, "probe.avsc")
	writeLines(t, path, []string{probeSchema})
	o := probeTopic(t, data)
	o.AvroSchema, o.RawBackup = []string{"7=" + path}, true
	expectProbe(t, run(t, flows(), o), nil)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	again := *o
	again.KafkaInput, again.KafkaInputTopics, again.AvroSchema = nil, nil, nil
	again.Raw, again.Format, again.DataCenter, again.RawBackup, again.Stop = o.dir("raw"), "", "", false, ""
	again.Output = filepath.Join(t.TempDir(), "out")
	expectProbe(t, run(t, Replay(), &again), nil)
	if d := cmp.Diff(canopusRecords(t, asLines), canopusRecords(t, &again)); d != "" {
		t.Error(d)
	}
}

func TestWhatSchemasNeedIsSaidBeforeTheRun(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.avsc")
	writeLines(t, bad, []string{`{"type":"record","name":"R","fields":[{"name":"timestamp","type":"string"}]}`})
	expect := func(change func(*Options), parts ...string) {
		t.Helper()
		o := kafkaOptions(t, []string{"localhost:1"})
		o.offline = true
		change(o)
		var text strings.Builder
		o.validateAvro(func(flag string, err error) {
			for _, e := range split(err) {
				fmt.Fprintf(&text, "--%s: %v\n", flag, e)
			}
		})
		for _, part := range parts {
			if !strings.Contains(text.String(), part) {
				t.Errorf("%q is missing in\n%s", part, text.String())
			}
		}
		if len(parts) == 0 && text.Len() > 0 || strings.Contains(text.String(), "hunter2") {
			t.Error(text.String())
		}
	}
	expect(func(o *Options) {})
	expect(func(o *Options) {
		o.SchemaRegistry, o.SchemaRegistryUser, o.SchemaRegistryPassword = "https://r:8081", "u", "env:P"
	})
	expect(func(o *Options) { o.SchemaRegistryPassword = "hunter2" }, "--schema_registry: ", "want http(s)", "password: a secret is given as", "come together")
	expect(func(o *Options) { o.AvroSchema = []string{bad, filepath.Join(dir, "none.avsc"), "0=" + bad} }, "--avro_schema: ", "none.avsc", "0 is no id")
	expect(func(o *Options) { o.AvroSchema = []string{"7=" + bad} }, `--avro_schema: schema "R", fingerprint`, "field client_ip: missing")
	expect(func(o *Options) { o.SchemaRegistry, o.Format = "https://r", "zeek" }, "--schema_registry: is for --format=canopus, not zeek")
	expect(func(o *Options) { o.SchemaRegistry, o.Format, o.Header = "https://r", "", "h" }, "needs --format=canopus", "is a header too")
}
