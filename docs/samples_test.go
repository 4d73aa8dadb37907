package docs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/flowtest"
	"github.com/flowbeam/flowbeam/sinks/filesink"
	"github.com/flowbeam/flowbeam/sources/filesource"
	"github.com/flowbeam/flowbeam/transforms/dedupe"
	"github.com/flowbeam/flowbeam/transforms/parse"
	"github.com/flowbeam/flowbeam/transforms/rollup"
)

// A Step: one thing done to every record.

// guests labels the clients of one network, and refuses records without a client.
type guests struct {
	Network string // exported fields travel to the workers

	prefix netip.Prefix // the rest is opened there
}

func init() { flow.RegisterStep("guests", new(guests)) }

func (g *guests) Setup(context.Context) (err error) {
	g.prefix, err = netip.ParsePrefix(g.Network)
	return err
}

func (g *guests) Process(r *flow.Record) (keep bool, err error) {
	if !r.Source.IP.OK() {
		return false, flow.Reject(flow.ReasonField, "no client address") // a dead letter
	}
	if g.prefix.Contains(r.Source.IP.Addr()) {
		r.Source.Network = "guests"
	}
	return true, nil
}

// A transform: a DoFn over batches, and a function that puts it into a pipeline.

// top keeps of each batch the record that carried most bytes.
func top(s beam.Scope, batches beam.PCollection) beam.PCollection {
	return beam.ParDo(s.Scope("top"), &topFn{}, batches)
}

type topFn struct{}

func init() {
	beam.RegisterDoFn(&topFn{})
	register.Emitter1[flow.Batch]()
}

func (*topFn) ProcessElement(in flow.Batch, emit func(flow.Batch)) {
	if len(in.Records) == 0 {
		return
	}
	best := 0
	for i := range in.Records {
		if in.Records[i].Source.Bytes.Or(0) > in.Records[best].Source.Bytes.Or(0) {
			best = i
		}
	}
	// A new batch: the one that came in may be seen by others.
	emit(flow.Batch{Records: in.Records[best : best+1 : best+1], Watermark: in.Watermark})
}

// A pipeline: a function, so that a test can feed it.

func perUser(s beam.Scope, raw beam.PCollection) (rows, deadLetters beam.PCollection) {
	records, unread, _ := parse.Records(s, raw)
	records, _ = dedupe.Exact(s, records)
	records, refused, _ := flow.Apply(s, records, &guests{Network: "10.1.0.0/16"})
	levels, _ := rollup.By(s, records,
		rollup.Fields("user_id"), rollup.Measures("flows", "source_bytes"), rollup.Every(time.Hour), rollup.Bounded())
	return levels[0].Rows, beam.Flatten(s, unread, refused)
}

// A sink: a DoFn that writes when the bundle ends, in such a way that the same bundle
// again changes nothing. Here the file's name follows from its content.

type lastSeenFn struct {
	Dir string

	seen map[string]string
}

func init() { beam.RegisterDoFn(&lastSeenFn{}) }

func (f *lastSeenFn) StartBundle(context.Context) { f.seen = map[string]string{} }

func (f *lastSeenFn) ProcessElement(in flow.Batch) {
	for i := range in.Records {
		r := &in.Records[i]
		f.seen[r.UserID] = max(f.seen[r.UserID], r.EventTime.String())
	}
}

func (f *lastSeenFn) FinishBundle(context.Context) error {
	b, err := json.Marshal(f.seen)
	if err != nil {
		return err
	}
	name := filepath.Join(f.Dir, flow.NewID("last_seen", b).String()+".json")
	return os.WriteFile(name, b, 0o644) // an error fails the bundle, and the runner retries
}

// And the tests.

func TestMain(m *testing.M) { ptest.Main(m) }

func TestGuests(t *testing.T) {
	guest := flowtest.Record(flowtest.Between("10.1.2.3", "192.0.2.1"))
	other := flowtest.Record(flowtest.Between("10.2.2.3", "192.0.2.1"))
	want := guest
	want.Source.Network = "guests"

	p, s := beam.NewPipelineWithRoot()
	batches := beam.Create(s, flow.Batch{Records: []flow.Record{guest, other}})
	kept, _, _ := flow.Apply(s, batches, &guests{Network: "10.1.0.0/16"})
	flowtest.Equal(s, kept, []flow.Record{want, other}) // however the batches were cut
	ptest.RunAndValidate(t, p)
}

func TestTopEveryWay(t *testing.T) { // once, retried, dropped and begun anew, two copies
	flowtest.EveryWay(t, func(t *testing.T, way flowtest.Way) *flowtest.Effects {
		h := flowtest.NewHarness(t, &topFn{}, way)
		h.Bundle(flow.Batch{Records: flowtest.Records(10, 1)}, flow.Batch{})
		return h.Effects()
	})
}

// What follows is not in the README: the samples in use.

func TestTop(t *testing.T) {
	small, large := flowtest.Record(flowtest.Bytes(10, 0)), flowtest.Record(flowtest.Bytes(20, 0))
	p, s := beam.NewPipelineWithRoot()
	flowtest.Equal(s, top(s, beam.Create(s, flow.Batch{Records: []flow.Record{small, large}})), []flow.Record{large})
	ptest.RunAndValidate(t, p)
}

func TestPerUserFromAFile(t *testing.T) {
	dir := t.TempDir()
	line := `{"timestamp":"2026-01-15T12:00:00Z","protocol":6,"client_ip":"10.1.2.3","client_port":50000,"server_ip":"192.0.2.1","server_port":443,"user_id":"ann","upload_bytes":100}`
	input := filepath.Join(dir, "canopus.ndjson")
	if err := os.WriteFile(input, []byte(line+"\n"+line+"\nbroken\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, s := beam.NewPipelineWithRoot()
	raw, _, _ := filesource.Read(s, []string{input}, filesource.Format("canopus"))
	rows, deadLetters := perUser(s, raw)
	table, err := rollup.Table("1h", []string{"user_id"}, []string{"flows", "source_bytes"})
	if err != nil {
		t.Fatal(err)
	}
	filesink.WriteRollups(s, rows, filepath.Join(dir, "rollup"), table, filesink.Format("ndjson"), filesink.Compression("none"))
	filesink.WriteFailures(s, deadLetters, filepath.Join(dir, "dead"))
	ptest.RunAndValidate(t, p)
	parts, _ := filepath.Glob(filepath.Join(dir, "rollup", "dt=*", "hour=*", "shard-*", "part-*"))
	dead, _ := filepath.Glob(filepath.Join(dir, "dead", "dt=*", "shard-*", "part-*"))
	if len(parts) != 1 || len(dead) != 1 {
		t.Fatalf("parts %v, dead letters %v", parts, dead)
	}
	row, err := os.ReadFile(parts[0])
	if err != nil || !bytes.Contains(row, []byte(`"flows":1,"source_bytes":100`)) || bytes.Count(row, []byte("\n")) != 1 {
		t.Errorf("row %s, %v", row, err)
	}
}

func TestLastSeenEveryWay(t *testing.T) {
	for _, way := range flowtest.Ways {
		t.Run(fmt.Sprint(way), func(t *testing.T) {
			dir := t.TempDir()
			flowtest.NewHarness(t, &lastSeenFn{Dir: dir}, way).Bundle(flow.Batch{Records: flowtest.Records(10, 1)})
			if files, _ := filepath.Glob(filepath.Join(dir, "*.json")); len(files) != 1 {
				t.Errorf("files %v, want one", files)
			}
		})
	}
}

// TestREADMEShowsTheseSamples holds the README's Go to this file, which compiles and runs.
func TestREADMEShowsTheseSamples(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	source := map[string]string{}
	for _, name := range []string{"samples_test.go", "parquet_test.go"} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		source[name] = string(b)
	}
	blocks := strings.Split(string(readme), "```go\n")[1:]
	if len(blocks) < 5 {
		t.Errorf("the README has %d blocks of Go, want at least 5", len(blocks))
	}
	for _, b := range blocks {
		code, _, _ := strings.Cut(b, "```")
		found := false
		for _, text := range source {
			found = found || strings.Contains(text, code)
		}
		if !found {
			t.Errorf("no file here has this code of the README:\n%s", code)
		}
	}
}
