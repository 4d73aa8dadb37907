package datasetsource_test

import (
	"slices"
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
	"github.com/flowbeam/flowbeam/internal/filesystem/fakestore"
	"github.com/flowbeam/flowbeam/sources/datasetsource"
)

var fake *fakestore.Server

func TestMain(m *testing.M) {
	fake = fakestore.Start()
	ptest.Main(m)
}

func init() { register.Function2x0(tooLong) }

func tooLong(b flow.Batch, emit func(int)) {
	if len(b.Records) > 1000 {
		emit(len(b.Records))
	}
}

// write makes a dataset as filesink does.
func write[T any](t *testing.T, dir string, spec dataset.Spec[T], want dataset.Want, f dataset.Format, rows []T) {
	t.Helper()
	w, err := dataset.Open(t.Context(), spec, dataset.Config{Dir: dir, Want: want, Format: f})
	if err != nil {
		t.Fatal(err)
	}
	b := w.NewBundle()
	for i := range rows {
		if err := b.Add(t.Context(), &rows[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// hours are records over three hours, with times that every format keeps.
func hours() []flow.Record {
	records := flowtest.Records(3000, 5)
	for i := range records {
		r := &records[i]
		r.EventTime = flow.TimeOf(flowtest.Start).Add(time.Duration(i) * 3 * time.Second)
		for _, p := range []*flow.Time{&r.Start, &r.End, &r.Received, &r.EventTime} {
			*p = p.Truncate(time.Microsecond)
		}
	}
	return records
}

func TestReadGivesTheNamedBucketsOnce(t *testing.T) {
	readsBuckets(t, t.TempDir())
	for _, scheme := range []string{"gs", "s3"} {
		t.Run(scheme, func(t *testing.T) { readsBuckets(t, scheme+"://"+fake.Bucket().Name+"/a/flows") })
		t.Run(scheme+" server", func(t *testing.T) { readsBuckets(t, scheme+"://"+fakestore.Real(t, scheme)+"/a/flows") })
	}
}

func readsBuckets(t *testing.T, dir string) {
	records := hours()
	want := dataset.WantRecords()
	want.Shards, want.Partition = 2, []string{"data_center"}
	write(t, dir, dataset.Records(), want, dataset.Parquet, records[:2000])
	write(t, dir, dataset.Records(), want, dataset.NDJSON, records[1000:])

	buckets, err := datasetsource.Buckets(dir)
	if err != nil || len(buckets) != 3 || buckets[0] != "2026-01-02T03:00:00Z" {
		t.Fatalf("buckets %v, %v", buckets, err)
	}
	p, s := beam.NewPipelineWithRoot()
	named := []string{buckets[2], buckets[0], buckets[0], buckets[2], "2025-01-01T00:00:00Z"} // the last one has no parts
	batches := datasetsource.Read(s, beam.CreateList(s, named), dir)
	flowtest.Equal(s, batches, slices.DeleteFunc(slices.Clone(records), func(r flow.Record) bool {
		return r.EventTime.Truncate(time.Hour).String() == buckets[1]
	}))
	passert.Empty(s, beam.ParDo(s, tooLong, batches))
	ptest.RunAndValidate(t, p)
}

func TestADirectoryWithoutADatasetIsEmpty(t *testing.T) {
	dir := t.TempDir()
	if b, err := datasetsource.Buckets(dir); len(b) != 0 || err != nil {
		t.Errorf("%v, %v", b, err)
	}
	p, s := beam.NewPipelineWithRoot()
	passert.Empty(s, datasetsource.Read(s, beam.Create(s, "2025-01-01T00:00:00Z"), dir))
	ptest.RunAndValidate(t, p)
}

func TestAnotherTableIsAnError(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, dataset.Records(), dataset.WantRecords(), dataset.Avro, hours())
	p, s := beam.NewPipelineWithRoot()
	datasetsource.ReadRaw(s, beam.Create(s, "2026-01-02T03:00:00Z"), dir)
	if err := ptest.Run(p); err == nil || !strings.Contains(err.Error(), `holds "flows", not "raw"`) {
		t.Errorf("error = %v", err)
	}
}

func TestRawComesBackAsItWas(t *testing.T) {
	day := flow.TimeOf(time.Date(2026, 3, 1, 1, 2, 3, 4000, time.UTC))
	a := flow.RawBatch{Origin: flow.Origin{Source: "a.log", Format: "zeek", Header: "#fields\ta\n", DataCenter: "dc1", Tenant: "acme"}, Records: []flow.Raw{
		{Data: []byte("x\x00\xff\n"), Offset: flow.N(0), Time: day},
		{Data: []byte("y"), Offset: flow.N(4), Time: day, DataCenter: "dc2"},
		{Data: []byte("pre"), Offset: flow.N(5), Time: day, Oversize: true, Size: 1 << 21, SHA256: "abc"},
	}}
	b := flow.RawBatch{Origin: flow.Origin{Source: "topic", Partition: flow.N(3)}, Records: []flow.Raw{{Data: []byte("same"), Time: day}, {Data: []byte("k"), Key: "m1", Time: day}}}
	for _, f := range dataset.Formats {
		t.Run(string(f), func(t *testing.T) {
			dir := t.TempDir()
			var rows []dataset.RawRow
			for _, in := range []flow.RawBatch{a, b, a} {
				for i := range in.Records {
					rows = append(rows, dataset.RawRowOf(&in, i))
				}
			}
			write(t, dir, dataset.Raw(), dataset.WantRaw(), f, rows)
			p, s := beam.NewPipelineWithRoot()
			passert.Equals(s, datasetsource.ReadRaw(s, beam.Create(s, "2026-03-01T01:00:00Z"), dir), a, b)
			ptest.RunAndValidate(t, p)
		})
	}
}

func TestFailuresComeBackAsTheyWere(t *testing.T) {
	want := flow.FailureBatch{Failures: []flow.Failure{
		{Stage: "parse", Reason: flow.ReasonSyntax, Error: "e", Data: "{\"a", Size: 3, Format: "canopus", Header: "h", Version: "v", DataCenter: "dc",
			Position: flow.Position{Source: "f", Offset: flow.N(7), Index: flow.N(1)}},
		{Stage: "parse", Reason: flow.ReasonOversize, Data: "\xff\x00", Truncated: true, Size: 99, SHA256: "abc", Position: flow.Position{Source: "f", Offset: flow.N(9)}},
	}}
	for _, f := range dataset.Formats {
		dir := t.TempDir()
		write(t, dir, dataset.Failures(), dataset.WantFailures(), f, want.Failures)
		p, s := beam.NewPipelineWithRoot()
		passert.Equals(s, datasetsource.ReadFailures(s, beam.Create(s, "unknown"), dir), want)
		ptest.RunAndValidate(t, p)
	}
}
