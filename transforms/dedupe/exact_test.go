package dedupe

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/teststream"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/shard"
	"github.com/flowbeam/flowbeam/windowing"
)

func TestMain(m *testing.M) { ptest.Main(m) }

func init() {
	register.Function2x0(listIDs)
	register.Emitter1[string]()
}

// listIDs makes a batch comparable: one line a record.
func listIDs(b flow.Batch, emit func(string)) {
	for _, r := range b.Records {
		emit(r.UserID + r.Observation)
	}
}

var noon = flow.TimeOf(time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC))

// rec is a record whose id follows from its name alone.
func rec(name string, at time.Duration) flow.Record {
	return flow.Record{ID: flow.NewID("test", []byte(name)), UserID: name, EventTime: noon.Add(at), Format: "test"}
}

func millis(t flow.Time) int64 { return int64(mtime.FromTime(t.Std())) }

func TestExactDropsAllButTheFirstOfOneID(t *testing.T) {
	p, s := beam.NewPipelineWithRoot()
	in := beam.Create(s,
		flow.Batch{Records: []flow.Record{rec("a", 0), rec("b", 0), rec("a", 0)}},
		flow.Batch{Records: []flow.Record{rec("c", 3*time.Hour), rec("b", 0)}},
		flow.Batch{Records: []flow.Record{rec("a", 0)}},
	)
	unique, counts := Exact(s, in)
	passert.Equals(s, beam.ParDo(s, listIDs, unique), "a", "b", "c")
	passert.Sum(s, beam.ParDo(s, &countOf{Name: "duplicates"}, counts), "duplicates", 1, 3)
	ptest.RunAndValidate(t, p)
}

func init() {
	beam.RegisterDoFn(&countOf{})
	register.Emitter1[int]()
}

// countOf sums a bundle's counts of one name, so that passert.Sum sees one element.
type countOf struct {
	Name string
	n    int
}

func (f *countOf) StartBundle(func(int)) { f.n = 0 }
func (f *countOf) ProcessElement(c flow.Count, _ func(int)) {
	if c.Name == f.Name {
		f.n += int(c.N)
	}
}
func (f *countOf) FinishBundle(emit func(int)) {
	if f.n > 0 {
		emit(f.n)
	}
}

// streamExact feeds elements and watermarks through Exact on a test stream.
func streamExact(t *testing.T, config *teststream.Config, want []any, opts ...Option) {
	t.Helper()
	p, s := beam.NewPipelineWithRoot()
	unique, _ := Exact(s, teststream.Create(s, *config), opts...)
	passert.Equals(s, beam.ParDo(s, listIDs, unique), want...)
	ptest.RunAndValidate(t, p)
}

func newStream() *teststream.Config { c := teststream.NewConfig(); return &c }

func add(t *testing.T, c *teststream.Config, records ...flow.Record) {
	t.Helper()
	if err := c.AddElements(millis(records[0].EventTime), flow.Batch{Records: records}); err != nil {
		t.Fatal(err)
	}
}

func TestExactCatchesADuplicateThatComesNinetyMinutesLate(t *testing.T) {
	c := newStream()
	add(t, c, rec("a", 0))
	c.AdvanceWatermark(millis(noon.Add(90 * time.Minute)))
	add(t, c, rec("a", 0), rec("b", 0))
	c.AdvanceWatermarkToInfinity()
	streamExact(t, c, []any{"a", "b"})
}

func TestExactForgetsAfterTheHorizon(t *testing.T) {
	c := newStream()
	add(t, c, rec("a", 0))
	c.AdvanceWatermark(millis(noon.Add(time.Minute + 10*time.Minute + time.Second)))
	add(t, c, rec("a", 0))
	c.AdvanceWatermarkToInfinity()
	streamExact(t, c, []any{"a", "a"}, Horizon(10*time.Minute))
}

func TestExactRefusesAHorizonBelowTheLateness(t *testing.T) {
	defer func() {
		if r := fmt.Sprint(recover()); !strings.Contains(r, "horizon 1h0m0s is shorter than the allowed lateness 2h0m0s") {
			t.Errorf("panic %q does not say why", r)
		}
	}()
	_, s := beam.NewPipelineWithRoot()
	Exact(s, beam.Create(s, flow.Batch{}), Horizon(time.Hour), Lateness(2*time.Hour))
}

// shardBundle runs one bundle of shardFn and returns what it emits, by key.
func shardBundle(t testing.TB, f *shardFn, batches ...flow.Batch) (keys []string, out map[string][]flow.Record) {
	t.Helper()
	out = map[string][]flow.Record{}
	emit := func(k string, slab []byte) {
		b, err := flow.DecodeBatch(slab)
		if err != nil {
			t.Fatal(err)
		}
		keys, out[k] = append(keys, k), append(out[k], b.Records...)
	}
	f.StartBundle(emit)
	for _, b := range batches {
		if err := f.ProcessElement(b, emit); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.FinishBundle(emit); err != nil {
		t.Fatal(err)
	}
	return keys, out
}

func TestShardingKeepsEveryRecordUnderTheKeyOfItsMinuteAndShard(t *testing.T) {
	var b flow.Batch
	want := 0
	for i := range 20000 {
		b.Records = append(b.Records, rec(fmt.Sprint(i), time.Duration(i%7)*30*time.Second))
		want++
	}
	keys, out := shardBundle(t, &shardFn{Shards: 2}, b, flow.Batch{Records: b.Records[:10]})
	got := 0
	for k, records := range out {
		start, sh, err := windowing.ParseKey(k)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			got++
			if windowing.Bucket(r.EventTime, time.Minute) != start || shard.Of(r.ID, 2) != sh {
				t.Fatalf("record %s is under key (%v, %d)", r.UserID, start, sh)
			}
		}
	}
	if got != want+10 {
		t.Errorf("%d records came out, want %d", got, want+10)
	}
	again, _ := shardBundle(t, &shardFn{Shards: 2}, b, flow.Batch{Records: b.Records[:10]})
	if !slices.Equal(keys, again) {
		t.Error("the same bundle emitted its keys in another order")
	}
}

func BenchmarkExact(b *testing.B) {
	var batches []flow.Batch
	const n = 100_000
	for i := 0; i < n; i += 1000 {
		var batch flow.Batch
		for j := range 1000 {
			r := rec(fmt.Sprint((i+j)%(n*9/10)), time.Duration(i/1000)*time.Second)
			r.Source = flow.Endpoint{IP: flow.MustIP("10.0.0.1"), Bytes: flow.N(int64(j))}
			r.Destination = flow.Endpoint{IP: flow.MustIP("192.0.2.1"), Bytes: flow.N(int64(j))}
			batch.Records = append(batch.Records, r)
		}
		batches = append(batches, batch)
	}
	b.Run("shard", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			f := &shardFn{Shards: 4}
			emit := func(string, []byte) {}
			f.StartBundle(emit)
			for _, in := range batches {
				_ = f.ProcessElement(in, emit)
			}
			_ = f.FinishBundle(emit)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/record")
	})
	b.Run("plain-map", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			seen := map[flow.ID]struct{}{}
			for _, in := range batches {
				for i := range in.Records {
					seen[in.Records[i].ID] = struct{}{}
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/record")
	})
}
