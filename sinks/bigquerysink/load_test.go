package bigquerysink

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/flowtest"
)

func (f *fakeJobs) options(t testing.TB, opts ...Option) (string, options, tableName) {
	t.Helper()
	dir := filepath.Join(f.root, "flows")
	opts = append([]Option{Endpoint(f.url, ""), SourceURI("gs://bucket/flows"), Retry(time.Millisecond, 5*time.Millisecond, 20*time.Second)}, opts...)
	o, name, err := setupLoad(dir, flowsTable, opts)
	if err != nil {
		t.Fatal(err)
	}
	return dir, o, name
}

func (f *fakeJobs) open(t testing.TB) *loader {
	t.Helper()
	dir, o, name := f.options(t)
	l, err := openLoader(t.Context(), dir, name, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (f *fakeJobs) run(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // a plan too many, and it would never end
	defer cancel()
	if err := f.open(t).run(ctx); err != nil {
		t.Fatal(err)
	}
}

func hourPart(hour, n int, ext string) string {
	return fmt.Sprintf("dt=2026-01-02/hour=%02d/shard-0/part-%06d.%s", hour, n, ext)
}

func TestEachPartIsLoadedOnce(t *testing.T) {
	f := newFakeJobs(t)
	f.part("_layout.json")
	f.part("_tmp/part-000001.parquet", "torn")
	f.part(hourPart(3, 1, "parquet"), "r0", "r1")
	f.part(hourPart(4, 1, "parquet"), "r2")
	f.run(t)
	f.run(t) // nothing is left
	f.part(hourPart(3, 2, "parquet"), "r3")
	f.part(hourPart(3, 3, "avro"), "r4")
	f.run(t)
	f.loaded(5)
	if len(f.jobs) != 3 {
		t.Errorf("%d jobs, want one for two parts, and two for two formats", len(f.jobs))
	}
	for id := range f.jobs {
		if !strings.HasPrefix(id, "flowbeam_load_") || !strings.HasSuffix(id, "_1") || len(id) > 1024 {
			t.Errorf("job id %q", id)
		}
	}
}

func TestAJobIDFollowsFromTableAndParts(t *testing.T) {
	p := plan{Table: "p1.net.flows", Dir: "gs://bucket/flows", Parts: []part{{"a", 1}, {"b", 2}}}
	if id, want := p.jobID(1), "flowbeam_load_a0bf6c3aa891c8f41cfd511a4290089f_1"; id != want {
		t.Errorf("job id %s, want %s: parts that older versions have loaded would be loaded again", id, want)
	}
	seen := map[string]bool{p.jobID(1): true}
	for _, o := range []plan{
		{Table: "p1.net.flow", Dir: "gs://bucket/flows", Parts: p.Parts}, {Table: p.Table, Dir: "gs://bucket/flow", Parts: p.Parts},
		{Table: p.Table, Dir: p.Dir, Parts: p.Parts[:1]}, {Table: p.Table, Dir: p.Dir, Parts: []part{{"a", 1}, {"b", 3}}},
	} {
		if seen[o.jobID(1)] {
			t.Errorf("%+v has the id of another", o)
		}
		seen[o.jobID(1)] = true
	}
	if p.jobID(2) == p.jobID(1) {
		t.Error("two attempts with one id")
	}
}

// errDied is a worker that dies.
var errDied = errors.New("died")

func TestALoadThatDiesAnywhereIsFinishedByTheNextOne(t *testing.T) {
	for _, point := range []string{"planned", "inserted", "loaded", "noted"} {
		for _, outcome := range []string{"", "running", "fail"} {
			t.Run(point+" "+outcome, func(t *testing.T) {
				f := newFakeJobs(t)
				f.outcomes = []string{outcome}
				f.part(hourPart(3, 1, "parquet"), "r0", "r1")
				l := f.open(t)
				l.at = func(p string) error {
					if p == point {
						return errDied
					}
					return nil
				}
				if err := l.run(t.Context()); !errors.Is(err, errDied) {
					t.Fatalf("it did not die: %v", err)
				}
				f.part(hourPart(3, 2, "parquet"), "r2") // meanwhile
				f.run(t)
				f.run(t)
				f.loaded(3)
			})
		}
	}
}

func TestAFailedJobIsNotTakenForDone(t *testing.T) {
	f := newFakeJobs(t)
	f.part(hourPart(3, 1, "parquet"), "r0")
	f.outcomes = []string{"fail", "fail"}
	f.run(t)
	f.loaded(1)
	if len(f.order) != 3 || !strings.HasSuffix(f.order[2], "_3") || f.order[2][:40] != f.order[0][:40] {
		t.Errorf("jobs %v", f.order)
	}
	f.part(hourPart(3, 2, "parquet"), "r1")
	f.outcomes = []string{"fail", "fail", "fail", "fail"}
	if err := f.open(t).run(t.Context()); err == nil || !strings.Contains(err.Error(), "the job failed") {
		t.Errorf("three jobs failed: %v", err)
	}
	f.loaded(1)
	f.run(t) // the runner's retry goes on where that one gave up
	f.loaded(2)
	if last := f.order[len(f.order)-1]; !strings.HasSuffix(last, "_5") {
		t.Errorf("the last job is %s", last)
	}
}

func TestALostReplyAndAFullQuota(t *testing.T) {
	for _, answer := range []string{"lost", "quota", "busy"} {
		t.Run(answer, func(t *testing.T) {
			t.Parallel()
			f := newFakeJobs(t)
			f.part(hourPart(3, 1, "parquet"), "r0")
			f.answers = []string{answer}
			f.run(t)
			f.loaded(1)
			if f.inserts < 2 || len(f.jobs) != 1 {
				t.Errorf("%d inserts, %d jobs", f.inserts, len(f.jobs))
			}
		})
	}
}

func TestManyCommittersAtOnce(t *testing.T) {
	f := newFakeJobs(t)
	n := 0
	for round := range 5 {
		for i := range 4 {
			f.part(hourPart(round, i+1, "parquet"), fmt.Sprint("r", n))
			n++
		}
		var wg sync.WaitGroup
		for range 4 {
			l := f.open(t)
			wg.Go(func() {
				if err := l.run(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		f.loaded(n)
	}
}

// Random histories of workers that die, jobs that fail, replies that are lost and parts
// that come at any time.
func TestRandomLoads(t *testing.T) {
	seeds := 150
	if testing.Short() {
		seeds = 20
	}
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(uint64(seed), 1))
		f := newFakeJobs(t)
		rows := 0
		for step := range 2 + rng.IntN(6) {
			for i := range rng.IntN(3) {
				f.part(hourPart(step, i+1, []string{"parquet", "avro", "ndjson.gz"}[rng.IntN(3)]), fmt.Sprint("r", rows), fmt.Sprint("r", rows+1))
				rows += 2
			}
			for range rng.IntN(3) {
				f.outcomes = append(f.outcomes, []string{"", "running", "fail"}[rng.IntN(3)])
			}
			var wg sync.WaitGroup
			for range 1 + rng.IntN(2) {
				l, dies := f.open(t), rng.IntN(6)
				l.at = func(string) error {
					if dies--; dies == 0 {
						return errDied
					}
					return nil
				}
				wg.Go(func() { _ = l.run(t.Context()) }) // it may die
			}
			wg.Wait()
		}
		for range 5 {
			if err := f.open(t).run(t.Context()); err == nil {
				break
			}
		}
		f.loaded(rows)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func TestJobsKeepWithinTheirBounds(t *testing.T) {
	var parts []part
	for i := range 25_000 {
		parts = append(parts, part{hourPart(0, i+1, "parquet"), 1})
	}
	parts = append(parts, part{"x/part-000001.avro", maxJobBytes}, part{"x/part-000002.avro", maxJobBytes}, part{"x/part-000003.ndjson", 1})
	seen := map[string]int{}
	for _, g := range groups(parts) {
		var size int64
		for _, p := range g {
			seen[p.Name]++
			size += p.Size
			if p.format() != g[0].format() {
				t.Errorf("%s and %s in one job", p.Name, g[0].Name)
			}
		}
		if len(g) > maxJobParts || size > maxJobBytes {
			t.Errorf("a job of %d parts and %d bytes", len(g), size)
		}
	}
	if len(seen) != len(parts) || len(groups(parts)) != 6 {
		t.Errorf("%d of %d parts in %d jobs", len(seen), len(parts), len(groups(parts)))
	}
}

func TestTicksKeepTheInterval(t *testing.T) {
	f := newFakeJobs(t)
	l := f.open(t)
	counts := map[string]int64{}
	now := time.Now()
	for i, after := range []time.Duration{0, time.Second, time.Minute, 2 * time.Minute, 3 * time.Minute} {
		f.part(hourPart(i, 1, "parquet"), fmt.Sprint("r", i))
		if err := l.tick(t.Context(), now.Add(after), minInterval, func(c flow.Count) { counts[c.Name] += c.N }); err != nil {
			t.Fatal(err)
		}
	}
	if want := map[string]int64{"new": 4, "parts": 4, "jobs": 2}; !maps.Equal(counts, want) {
		t.Errorf("counts %v, want %v", counts, want)
	}
}

func TestLoadRefusesWhatCannotBeLoaded(t *testing.T) {
	f := newFakeJobs(t)
	f.part(hourPart(1, 1, "csv"), "r0")
	if err := f.open(t).run(t.Context()); err == nil || !strings.Contains(err.Error(), "csv") {
		t.Errorf("csv: %v", err)
	}
	if err := os.Remove(filepath.Join(f.root, "flows", filepath.FromSlash(hourPart(1, 1, "csv")))); err != nil {
		t.Fatal(err)
	}
	f.part(hourPart(1, 1, "parquet"), "r0")
	f.answers = []string{"denied", "denied", "denied"}
	dir, o, name := f.options(t, Retry(time.Millisecond, 2*time.Millisecond, 5*time.Millisecond))
	l, err := openLoader(t.Context(), dir, name, o)
	if err == nil {
		f.answers = append(f.answers, make([]string, 100)...)
		for i := range f.answers {
			f.answers[i] = "denied"
		}
		err = l.run(t.Context())
	}
	if err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("without rights: %v", err)
	}
	for _, c := range []struct{ dir, table, want string }{
		{"/tmp/flows", flowsTable, "gs://"}, {"gs://b/flows", "net.flows", "project.dataset.table"}, {"gs://b/flows", "p1.net.fl`ows", "name of a table"},
	} {
		if err := ValidateLoad(c.dir, c.table); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if err := ValidateLoad("gs://b/flows", flowsTable, Every(time.Minute)); err == nil {
		t.Error("every minute is more often than the service takes")
	}
}

func TestALoadRunInAnyWay(t *testing.T) {
	for _, way := range []flowtest.Way{flowtest.Once, flowtest.Dropped} {
		f := newFakeJobs(t)
		f.part(hourPart(3, 1, "parquet"), "r0", "r1")
		dir, o, name := f.options(t)
		e := flowtest.NewHarness(t, &loadFn{Dir: dir, Table: name, Options: o}, way).Bundle(flowtest.KV("load", []string{"2026-01-02T03:00:00Z"}))
		f.loaded(2)
		if way == flowtest.Once {
			counts := map[string]int64{}
			for _, c := range flowtest.Emitted[flow.Count](e, 0) {
				counts[c.Stage+"/"+c.Name] = c.N
			}
			if want := map[string]int64{"bigquery_load/new": 1, "bigquery_load/parts": 1, "bigquery_load/jobs": 1}; !maps.Equal(counts, want) {
				t.Errorf("counts %v, want %v", counts, want)
			}
		}
	}
}
