package elasticsink

import (
	"context"
	"testing"
	"time"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/flowtest"
	"github.com/flowbeam/flowbeam/internal/dataset"
)

func remove(t *testing.T, f *fake, revision int64, records []flow.Record) map[string]int64 {
	t.Helper()
	fn := &removeFn{Cluster: Cluster{Addresses: []string{f.URL}}, Options: defaults("elasticsearch_removed"), Revision: revision}
	fn.Options.Retry.Base, fn.Options.Retry.Deadline = time.Millisecond, 10*time.Second
	ctx := context.Background()
	if err := fn.Setup(ctx); err != nil {
		t.Fatal(err)
	}
	defer fn.Teardown()
	counts := map[string]int64{}
	count := func(c flow.Count) { counts[c.Name] += c.N }
	fn.StartBundle(ctx, count)
	if err := fn.ProcessElement(ctx, flow.Batch{Records: records}, count); err != nil {
		t.Fatal(err)
	}
	if err := fn.FinishBundle(ctx, count); err != nil {
		t.Fatal(err)
	}
	return counts
}

// Documents of a lower revision go, wherever they are; those of the replacement stay, also where
// one is written between the search and the removal.
func TestWhatWasReplacedIsRemoved(t *testing.T) {
	f := newFake(t)
	old := flowtest.Records(2500, 7)
	run(t, sinkTo(f), flow.Batch{Records: old})
	again := flowtest.Records(2500, 7)
	for i := range again {
		again[i].Revision = 3
		again[i].EventTime = again[i].EventTime.Add(40 * 24 * time.Hour)
	}
	run(t, sinkTo(f, func(o *options) { o.Replace = true }), flow.Batch{Records: again[:1500]})
	once := true
	f.found = func() {
		if once {
			once = false
			late := old[0] // at its old time: the document that was just found
			late.Revision = 3
			run(t, sinkTo(f, func(o *options) { o.Replace = true }), flow.Batch{Records: []flow.Record{late}})
		}
	}
	if counts := remove(t, f, 3, old[:2000]); counts["removed"] != 1999 {
		t.Errorf("%v", counts)
	}
	f.found = nil
	have := map[string]int{}
	for _, id := range f.IDs() {
		have[id]++
	}
	for i, r := range old {
		want := 1
		if i >= 1500 && i < 2000 {
			want = 0 // gone
		}
		if i == 0 {
			want = 2 // the one that came in between
		}
		if n := have[r.ID.String()]; n != want {
			t.Fatalf("record %d is there %d times, want %d", i, n, want)
		}
	}
	if counts := remove(t, f, 3, old[:2000]); counts["removed"] != 0 {
		t.Errorf("again: %v", counts)
	}
}

// A group that is no more takes its document away, and comes back with a higher version alone.
func TestARollupRowOfNoRecordsRemovesItsDocument(t *testing.T) {
	table := flow.RollupTable("5m", []string{"user_id"}, []flow.Kind{flow.KindString}, []string{"flows"}, []flow.Kind{flow.KindInt})
	r, err := dataset.RollupTableOf(table)
	if err != nil {
		t.Fatal(err)
	}
	f := newFake(t)
	fn := &rollupsFn{Cluster: Cluster{Addresses: []string{f.URL}}, Options: defaults("elasticsearch_rollup_5m"), Table: r}
	row := func(revision, n int64) flow.Rollup {
		return flow.Rollup{Window: flow.TimeOf(flowtest.Start).Truncate(5 * time.Minute), Length: 5 * time.Minute, Records: n, Revision: revision,
			Group: []flow.Value{flow.StringValue("u")}, Measures: []flow.Value{flow.IntValue(n)}}
	}
	one := row(0, 1)
	id := one.ID([]string{"user_id"}).String()
	for _, c := range []struct {
		revision, n int64
		there       bool
	}{{0, 5, true}, {0, 0, true}, {1, 0, false}, {1, 0, false}, {2, 3, true}, {1, 9, true}} {
		counts, failures := run(t, fn, flow.RollupBatch{Level: "5m", Fields: []string{"user_id"}, Measures: []string{"flows"}, Rows: []flow.Rollup{row(c.revision, c.n)}})
		if counts["new"]+counts["already_there"] != 1 || len(failures) > 0 {
			t.Errorf("%+v: %v, %v", c, counts, failures)
		}
		if _, ok := f.document("flowbeam-rollup-5m-default-2026.01.02", id); ok != c.there {
			t.Errorf("%+v: there: %v", c, ok)
		}
	}
}
