package dataset

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flowbeam/flowbeam/flow"
)

// revised are the records n..m-1 of a revision.
func revised(n, m int, revision int64) []flow.Record {
	out := some(n, m)
	for i := range out {
		out[i].Revision = revision
		out[i].Source.Bytes = flow.N(int64(n+i) + 1000*revision)
	}
	return out
}

// replaceable is a dataset of records of which some have a row of a higher revision beside the
// older one, in another part, and the ids of others that are to go.
func replaceable(t *testing.T, cfg Config) (want []flow.Record, gone map[flow.ID]bool) {
	t.Helper()
	mustWrite(t, fresh(t, cfg, nil), some(0, 80))
	mustWrite(t, fresh(t, cfg, nil), some(80, 200))
	w, err := open(ctx, &localStore{root: cfg.Dir}, RevisedRecords(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.ids = newIDCache(maxIDs)
	b := w.NewBundle()
	again := revised(60, 100, 1)
	for i := range again {
		if err := b.Add(ctx, &again[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if st := b.Stats(); st.New != 40 {
		t.Fatalf("%+v", st)
	}
	gone = map[flow.ID]bool{}
	for _, r := range some(150, 200) {
		gone[r.ID] = true
	}
	return slices.Concat(some(0, 60), again, some(100, 150)), gone
}

// pruneAll prunes the whole dataset through a store of the test's.
func pruneAll(s Store, dir string, gone map[flow.ID]bool) (all Pruned, err error) {
	r, err := OpenReader(ctx, RevisedRecords(), dir)
	if err != nil {
		return all, err
	}
	if s != nil {
		r.store = s
	}
	buckets, err := Buckets(ctx, dir)
	if err != nil {
		return all, err
	}
	for _, b := range buckets {
		shards, err := Shards(ctx, dir, "flows", b)
		if err != nil {
			return all, err
		}
		for _, k := range shards {
			p, err := r.pruneShard(ctx, b, k, func(r *flow.Record) bool { return r.Revision < 1 && gone[r.ID] })
			all.Rows += p.Rows
			all.Parts += p.Parts
			if err != nil {
				return all, err
			}
		}
	}
	return all, nil
}

func TestPruneTakesOutWhatWasReplacedAndWhatItIsTold(t *testing.T) {
	eachCodec(t, func(t *testing.T, f Format, c Compression) {
		cfg := Config{Dir: t.TempDir(), Format: f, Compression: c, Want: WantRecords()}
		cfg.Want.Partition = []string{"tenant"}
		want, gone := replaceable(t, cfg)

		// Readers take the higher revision before, too.
		r, err := OpenReader(ctx, RevisedRecords(), cfg.Dir)
		if err != nil {
			t.Fatal(err)
		}
		n, bytes := 0, int64(0)
		for _, b := range []string{"2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z"} {
			if err := r.Read(ctx, b, 0, func(x *flow.Record) error { n++; bytes += x.Source.Bytes.V; return nil }); err != nil {
				t.Fatal(err)
			}
		}
		if sum := int64(199*200/2 + 40*1000); n != 200 || bytes != sum {
			t.Errorf("%d records of %d bytes, want 200 of %d", n, bytes, sum)
		}

		p, err := pruneAll(nil, cfg.Dir, gone)
		if err != nil || p.Rows != 40+50 {
			t.Errorf("%+v, %v", p, err)
		}
		holds(t, cfg.Dir, want)
		if p, err := pruneAll(nil, cfg.Dir, gone); err != nil || p != (Pruned{}) {
			t.Errorf("again: %+v, %v", p, err)
		}
	})
}

// A number that came free could be given to another part, and be removed for the first.
func TestPruneLeavesTheLastNumberTaken(t *testing.T) {
	eachCodec(t, func(t *testing.T, f Format, c Compression) {
		cfg := Config{Dir: t.TempDir(), Format: f, Compression: c, Want: WantRecords()}
		cfg.Want.Bucket = 24 * time.Hour
		mustWrite(t, fresh(t, cfg, nil), some(0, 10))
		gone := map[flow.ID]bool{}
		for _, r := range some(0, 10) {
			gone[r.ID] = true
		}
		if p, err := pruneAll(nil, cfg.Dir, gone); err != nil || p.Rows != 10 {
			t.Fatalf("%+v, %v", p, err)
		}
		mustWrite(t, fresh(t, cfg, nil), some(10, 20))
		holds(t, cfg.Dir, some(10, 20))
		var parts []string
		for name := range tree(t, cfg.Dir) {
			if i := strings.Index(name, "part-"); i >= 0 {
				parts = append(parts, name[i:i+len("part-000001")])
			}
		}
		if slices.Sort(parts); !slices.Equal(parts, []string{"part-000002", "part-000003"}) {
			t.Errorf("parts %v", parts)
		}
	})
}

func TestAPruneThatIsCutOffAnywhereConverges(t *testing.T) {
	for _, point := range []string{"written", "linked", "replied", "removed"} {
		for n := 1; n <= 2; n++ {
			t.Run(fmt.Sprintf("%s, part %d", point, n), func(t *testing.T) {
				cfg := ndjson(t.TempDir())
				want, gone := replaceable(t, cfg)
				seen := 0
				_, err := pruneAll(&localStore{root: cfg.Dir, fault: func(p string) error {
					if p == point {
						if seen++; seen == n {
							return errCrash
						}
					}
					return nil
				}}, cfg.Dir, gone)
				if !errors.Is(err, errCrash) {
					t.Fatalf("error = %v", err)
				}
				// A reader, and who adds to it, see each id in between.
				if st := mustWrite(t, fresh(t, cfg, nil), some(0, 150)); st.New != 0 {
					t.Errorf("after the crash %d records were missing", st.New)
				}
				if _, err := pruneAll(nil, cfg.Dir, gone); err != nil {
					t.Fatal(err)
				}
				holds(t, cfg.Dir, want)
			})
		}
	}
}

// Two copies of a bundle prune, and a writer adds, at the same time.
func TestPrunesAndWritersAtOnceLeaveASet(t *testing.T) {
	for range 20 {
		cfg := ndjson(t.TempDir())
		want, gone := replaceable(t, cfg)
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() {
				if _, err := pruneAll(nil, cfg.Dir, gone); err != nil {
					t.Error(err)
				}
			})
		}
		all.Go(func() {
			for i := 300; i < 400; i += 20 {
				if _, err := write(fresh(t, cfg, nil), slices.Concat(some(i, i+20), some(100, 120))); err != nil {
					t.Error(err)
				}
			}
		})
		all.Wait()
		if _, err := pruneAll(nil, cfg.Dir, gone); err != nil {
			t.Fatal(err)
		}
		holds(t, cfg.Dir, slices.Concat(want, some(300, 400)))
	}
}

// meanwhile is a store in which something happens between a listing and the first part that is
// opened after it.
type meanwhile struct {
	*localStore
	happen func()
}

func (m *meanwhile) Open(ctx context.Context, name string) (File, error) {
	if m.happen != nil && strings.Contains(name, "part-") {
		happen := m.happen
		m.happen = nil
		happen()
	}
	return m.localStore.Open(ctx, name)
}

func TestAPartThatIsPrunedAfterItWasListedIsLookedForAgain(t *testing.T) {
	cfg := ndjson(t.TempDir())
	want, gone := replaceable(t, cfg)
	w, err := open(ctx, &meanwhile{&localStore{root: cfg.Dir}, func() {
		if p, err := pruneAll(nil, cfg.Dir, gone); err != nil || p.Rows == 0 {
			t.Errorf("%+v, %v", p, err)
		}
	}}, Records(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.ids = newIDCache(maxIDs)
	if st := mustWrite(t, w, some(100, 150)); st.New != 0 {
		t.Errorf("%+v", st)
	}
	holds(t, cfg.Dir, want)
}

func TestTheLastReplacementIsKnown(t *testing.T) {
	dir := t.TempDir()
	expect := func(want Replacement) {
		t.Helper()
		if have, err := LastReplacement(ctx, dir); err != nil || have != want {
			t.Errorf("have %+v, %v, want %+v", have, err, want)
		}
	}
	expect(Replacement{})
	for _, r := range []Replacement{{2, "a", false}, {2, "a", true}, {11, "b", false}, {11, "c", false}} {
		if err := MarkReplacement(ctx, dir, r); err != nil {
			t.Fatal(err)
		}
		if r.About == "c" {
			r.About = "b" // the first mark stays
		}
		expect(r)
	}
}
