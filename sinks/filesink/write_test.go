package filesink

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/flowtest"
	"github.com/flowbeam/flowbeam/internal/dataset"
)

func init() { register.Function2x0(printCount) }

// printCount prints a count, except of bytes.
func printCount(c flow.Count, emit func(string)) {
	if c.Name != "bytes" {
		emit(fmt.Sprint(c.Stage, "/", c.Name, " ", c.N))
	}
}

// files are the files below dir, by path, with their bytes.
func files(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		out[filepath.ToSlash(rel)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// lines counts the rows of NDJSON parts, each by its text, and says whether anything else
// was left behind.
func lines(t testing.TB, dir string) map[string]int {
	t.Helper()
	out := map[string]int{}
	for name, b := range files(t, dir) {
		if name == "_layout.json" {
			continue
		}
		if !strings.HasSuffix(name, ".ndjson") {
			t.Errorf("left behind: %s", name)
		}
		for _, l := range strings.Split(strings.TrimSuffix(b, "\n"), "\n") {
			out[l]++
		}
	}
	return out
}

func rowsOf(records []flow.Record) map[string]int {
	out := map[string]int{}
	for i := range records {
		out[string(flow.AppendRecordJSON(nil, &records[i]))] = 1
	}
	return out
}

func ndjson() options {
	return options{Stage: "files", Format: dataset.NDJSON, Compression: dataset.None, Shards: 2, Bucket: 15 * time.Minute}
}

func TestWriteGivesPartsCountsAndTouchedBuckets(t *testing.T) {
	dir := t.TempDir()
	bad := flowtest.Record(func(r *flow.Record) { r.Tenant = "../x" })
	records := append(flowtest.Records(100, 1), bad)
	for i := range records[:100] {
		records[i].Tenant = "acme"
	}
	for run, name := range []string{"new", "already_there"} {
		p, s := beam.NewPipelineWithRoot()
		batches := beam.CreateList(s, []flow.Batch{{Records: records[:40]}, {Records: records[40:]}})
		r := Write(s, batches, dir, Format("ndjson"), Compression("none"), Partition("tenant"))
		passert.Equals(s, r.Touched, "2026-01-02T03:00:00Z")
		flowtest.EqualFailures(s, r.Failures, []flow.Failure{flow.FailRecord(&bad, "files", flow.ReasonRejected,
			fmt.Errorf(`rejected: partition field tenant: "../x" has the character '/': want letters, digits, dot, underscore and hyphen`))})
		counts := beam.ParDo(s, printCount, r.Counts)
		want := []any{"files/" + name + " 100", "files/rejected 1"}
		if run == 0 {
			want = append(want, "files/parts 1")
		}
		passert.Equals(s, counts, want...)
		ptest.RunAndValidate(t, p)
	}
	if have := lines(t, dir); !reflect.DeepEqual(have, rowsOf(records[:100])) {
		t.Errorf("%d rows", len(have))
	}
	if _, ok := files(t, dir)["dt=2026-01-02/hour=03/tenant=acme/shard-0/part-000001.ndjson"]; !ok {
		t.Error("the part is not where it should be")
	}
}

// Counts say what each run of a bundle did, so of two copies one finds rows new and the
// other finds them there: what must be equal is what is on disk. So the ways in which a
// runner may run a bundle are played here one by one.
func TestABundleRunInAnyWayLeavesEachRecordOnce(t *testing.T) {
	records := flowtest.Records(3000, 7)
	var batches []any
	for i := 0; i < len(records); i += 500 {
		batches = append(batches, flow.Batch{Records: records[i : i+500]})
	}
	newFn := func(dir string) *recordsFn {
		o := ndjson()
		o.FlushRecords = 700 // so that a bundle writes before its end, too
		return &recordsFn{Dir: dir, Options: o}
	}
	bundle := func(t *testing.T, dir string, elements ...any) {
		t.Helper()
		if err := flowtest.NewHarness(t, newFn(dir), flowtest.Once).TryBundle(elements...); err != nil {
			t.Error(err)
		}
	}
	for name, run := range map[string]func(t *testing.T, dir string){
		"once":    func(t *testing.T, dir string) { bundle(t, dir, batches...) },
		"retried": func(t *testing.T, dir string) { bundle(t, dir, batches...); bundle(t, dir, batches...) },
		"dropped before its end": func(t *testing.T, dir string) {
			flowtest.NewHarness(t, newFn(dir), flowtest.Dropped).Bundle(batches...)
		},
		"cut in another way": func(t *testing.T, dir string) { bundle(t, dir, batches[3:]...); bundle(t, dir, batches...) },
		"two copies at once": func(t *testing.T, dir string) {
			done := make(chan error)
			for range 2 {
				h := flowtest.NewHarness(t, newFn(dir), flowtest.Once)
				go func() { done <- h.TryBundle(batches...) }()
			}
			for range 2 {
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			run(t, dir)
			if have := lines(t, dir); !reflect.DeepEqual(have, rowsOf(records)) {
				t.Errorf("%d rows, want each of %d once", len(have), len(records))
			}
		})
	}
}

func TestABatchIsNotChanged(t *testing.T) {
	b := flow.Batch{Records: flowtest.Records(50, 3)}
	before := flow.EncodeBatch(&b)
	flowtest.NewHarness(t, &recordsFn{Dir: t.TempDir(), Options: ndjson()}, flowtest.Once).Bundle(b)
	if string(before) != string(flow.EncodeBatch(&b)) {
		t.Error("the batch has changed")
	}
}

func TestFailuresGoByTheDayOfTheirSource(t *testing.T) {
	dir := t.TempDir()
	day := flow.TimeOf(time.Date(2026, 3, 1, 23, 0, 0, 0, time.UTC))
	in := flow.FailureBatch{Failures: []flow.Failure{
		{Stage: "parse", Reason: flow.ReasonSyntax, Error: "cut", Data: "{\"a", Position: flow.Position{Source: "f", Offset: flow.N(7)}, SourceTime: day},
		{Stage: "parse", Reason: flow.ReasonSyntax, Error: "cut", Data: "\xff", Position: flow.Position{Source: "f", Offset: flow.N(9)}},
	}}
	for range 2 { // a replay doubles none
		p, s := beam.NewPipelineWithRoot()
		r := WriteFailures(s, beam.Create(s, in), dir, Compression("none"))
		passert.Empty(s, r.Failures)
		passert.Equals(s, r.Touched, "unknown", "2026-03-01T00:00:00Z")
		ptest.RunAndValidate(t, p)
	}
	have := files(t, dir)
	for name, text := range map[string]string{
		"dt=2026-03-01/shard-0/part-000001.ndjson": `"data":"{\"a"`,
		"dt=unknown/shard-0/part-000001.ndjson":    `"data_base64":"/w=="`,
	} {
		if b := have[name]; !strings.Contains(b, text) || strings.Count(b, "\n") != 1 {
			t.Errorf("%s: %q", name, b)
		}
	}
	if len(have) != 3 {
		t.Errorf("%d files", len(have))
	}
}

func TestRollupsAreWrittenAgainOnlyWithMoreRecords(t *testing.T) {
	table := flow.RollupTable("1m", []string{"user_id"}, []flow.Kind{flow.KindString}, []string{"flows"}, []flow.Kind{flow.KindInt})
	spec, err := dataset.RollupTableOf(table)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	h := flowtest.NewHarness(t, &rollupsFn{Dir: dir, Options: options{Stage: "files_rollup_1m", Format: dataset.NDJSON, Compression: dataset.None}, Table: spec}, flowtest.Once)
	row := func(n int64) flow.Rollup {
		return flow.Rollup{Window: flow.TimeOf(flowtest.Start).Truncate(time.Minute), Length: time.Minute, Records: n,
			Group: []flow.Value{flow.StringValue("u")}, Measures: []flow.Value{flow.IntValue(n)}}
	}
	of := func(rows ...flow.Rollup) flow.RollupBatch {
		return flow.RollupBatch{Level: "1m", Fields: []string{"user_id"}, Measures: []string{"flows"}, Rows: rows}
	}
	for _, b := range []flow.RollupBatch{of(row(2)), of(row(1)), of(row(2)), of(row(3))} {
		if err := h.TryBundle(b); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(lines(t, dir)); n != 2 { // with 2 records, then with 3
		t.Errorf("%d rows", n)
	}
	other := of(row(1))
	other.Fields = []string{"tenant"}
	if err := h.TryBundle(other); err == nil {
		t.Error("rows by another field were taken")
	}
}

func TestValidateReportsEveryProblemAtOnce(t *testing.T) {
	err := Validate("gs://b/x", Bucket(7*time.Minute), Shards(3), Partition("nope", "source_bytes_scaled", "source_latitude"), Format("csv"), Compression("snappy"))
	for _, want := range []string{"bucket 7m0s", "shards 3", `"nope"`, "source_latitude", "snappy", "gs://"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %s", err, want)
		}
	}
	if err := Validate(t.TempDir(), Format("xml"), Compression("lz4"), Name(""), FlushBytes(0)); err == nil || strings.Count(err.Error(), "\n") < 3 {
		t.Errorf("%v", err)
	}
	dir := t.TempDir()
	if err := Validate(dir, Format("avro"), Shards(4)); err != nil {
		t.Error(err)
	}
	if len(files(t, dir)) != 0 {
		t.Error("Validate has written")
	}
	if _, err := dataset.Open(context.Background(), dataset.Records(), ndjsonConfig(dir)); err != nil {
		t.Fatal(err)
	}
	if err := Validate(dir, Shards(4)); err == nil || !strings.Contains(err.Error(), "shards 2") {
		t.Errorf("another layout: %v", err)
	}
	if err := ValidateFailures(dir); err == nil || !strings.Contains(err.Error(), "flows") {
		t.Errorf("another table: %v", err)
	}
}

func ndjsonConfig(dir string) dataset.Config {
	o := ndjson()
	return o.config(dir, dataset.WantRecords())
}

func TestABadOptionPanicsWhileTheGraphIsBuilt(t *testing.T) {
	defer func() {
		if r := fmt.Sprint(recover()); !strings.HasPrefix(r, "filesink.Write: ") {
			t.Errorf("panic: %s", r)
		}
	}()
	_, s := beam.NewPipelineWithRoot()
	Write(s, beam.Create(s, flow.Batch{}), t.TempDir(), Shards(3))
}
