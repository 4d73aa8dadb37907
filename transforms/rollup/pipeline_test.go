package rollup

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/windowing"
)

// smallBundles hands cells on after n of them, as a large bundle does.
func smallBundles(n int) Option {
	return func(o *options) error {
		o.cells = n
		return nil
	}
}

// However the records are ordered, cut into batches and bundles, and sharded, the rows
// are those of the plain loop.
func TestCutsAndOrderChangeNothing(t *testing.T) {
	fields := []string{"user_id", "protocol"}
	for seed := range uint64(4) {
		records := fuzzRecords(seed, 1500)
		want := plain(t, fields, AllMeasures(), records)
		rnd := rand.New(rand.NewPCG(seed, 5))
		rnd.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
		var batches []flow.Batch
		for rest := records; len(rest) > 0; {
			n := min(1+rnd.IntN(400), len(rest))
			batches = append(batches, flow.Batch{Records: rest[:n:n]})
			rest = rest[n:]
		}
		opts := []Option{Fields(fields...), Measures(AllMeasures()...), Shards(1 + rnd.IntN(5)), smallBundles(1 + rnd.IntN(200))}
		if seed%2 == 0 {
			opts = append(opts, Bounded())
		}
		got := collect(t, func(s beam.Scope) ([]Level, []beam.PCollection) {
			levels, counts := By(s, beam.Reshuffle(s, beam.CreateList(s, batches)), opts...)
			return levels, []beam.PCollection{counts}
		})
		for level := range want {
			if got, want := got.rows(level), newest(want[level]); !reflect.DeepEqual(got, want) {
				t.Fatalf("seed %d, %s: rows differ (-plain +pipeline):\n%s", seed, level, cmp.Diff(want, got))
			}
		}
		if n := got.counts["rollup/records"]; n != int64(len(records)) {
			t.Errorf("seed %d: counted %d records, want %d", seed, n, len(records))
		}
	}
}

// A user with half of the records makes no more partials, and no longer ones, than when
// all have the same share.
func TestHotGroupCostsNoMore(t *testing.T) {
	cost := func(records []flow.Record) (cells, bytes int) {
		f := &partialFn{Fields: []string{"user_id"}, Measures: DefaultMeasures(), Every: allLevels, Shards: 4, Cells: maxCells}
		if err := f.Setup(); err != nil {
			t.Fatal(err)
		}
		emit := func(_ beam.EventTime, s slab) { bytes += len(s.Data) }
		f.StartBundle(emit, nil)
		f.ProcessElement(flow.Batch{Records: records}, emit, nil)
		cells = f.cells.len()
		f.FinishBundle(emit, func(flow.Count) {})
		return cells, bytes
	}
	even := sample(1, 20_000, 50)
	hot := sample(1, 20_000, 50)
	for i := range hot {
		if i%2 == 0 {
			hot[i].UserID = "user-000000"
		}
	}
	evenCells, evenBytes := cost(even)
	hotCells, hotBytes := cost(hot)
	if hotCells > evenCells || hotBytes > evenBytes {
		t.Errorf("hot: %d cells, %d bytes; even: %d cells, %d bytes", hotCells, hotBytes, evenCells, evenBytes)
	}
}

// A far-future record never gets here: the bounds refuse it, and the windows of the
// others fire as if it had not been.
func TestFarFutureIsRefusedBeforeTheRollup(t *testing.T) {
	s := newStream(t)
	s.read(at(0, "ann", 1), at(1e6*time.Hour, "ann", 99)).to(2 * time.Hour).read(at(2*time.Hour, "ann", 10))
	got := s.runWith(func(sc beam.Scope, batches beam.PCollection) beam.PCollection {
		kept, _, _ := flow.Apply(sc, batches, windowing.FileBounds(noon))
		return kept
	})
	want := []string{"12:00:00 n=1 ann 1 1", "14:00:00 n=1 ann 1 10"}
	if diff := cmp.Diff(want, brief(got.rows("1m"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEarlyRowsGrowIntoTheWhole(t *testing.T) {
	got := newStream(t).
		read(at(0, "ann", 1)).to(time.Second).
		read(at(2*time.Second, "ann", 10)).to(3*time.Second).
		read(at(4*time.Second, "ann", 100)).to(2*time.Hour).
		run(Early(1), Shards(1))
	var seen []string
	for _, b := range got.batches["1m"] {
		if rows := brief(b.Rows); len(seen) == 0 || seen[len(seen)-1] != rows[0] { // a firing may change nothing
			seen = append(seen, rows[0])
		}
	}
	want := []string{"12:00:00 n=1 ann 1 1", "12:00:00 n=2 ann 2 11", "12:00:00 n=3 ann 3 111"}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("firings (-want +got):\n%s", diff)
	}
}

func TestWrongWiringPanics(t *testing.T) {
	for name, opt := range map[string]Option{
		"unknown field":     Fields("color"),
		"object field":      Fields("extensions"),
		"unknown measure":   Measures("loss"),
		"no windows":        Every(),
		"odd windows":       Every(2*time.Minute, 5*time.Minute),
		"no shards":         Shards(0),
		"negative lateness": Lateness(-1),
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			_, s := beam.NewPipelineWithRoot()
			By(s, beam.Create(s, flow.Batch{}), opt)
		})
	}
}
