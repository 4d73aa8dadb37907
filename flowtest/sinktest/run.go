package sinktest

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/flowtest"
)

var (
	seeds     = flag.Int("sinktest.seeds", envInt("SINKTEST_SEEDS", 0), "seeds of the sink conformance suite (0: 25; also SINKTEST_SEEDS)")
	firstSeed = flag.Int("sinktest.seed", envInt("SINKTEST_SEED", 1), "first seed of the sink conformance suite (also SINKTEST_SEED)")
)

func envInt(name string, def int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return def
}

var quick = Config{Wait: 2 * time.Millisecond, Deadline: 10 * time.Second}

// Run runs the suite, each case as a subtest.
func Run(t *testing.T, s Sink) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, Sink)
	}{
		{"empty bundle", emptyBundle},
		{"each way of running a bundle", eachWay},
		{"each fault passes", eachFault},
		{"a fault that stays fails the bundle", lastingFault},
		{"credentials expired for a while", expired},
		{"records of any text", anyText},
		{"a record that is too large", tooLarge},
		{"cancelled", cancelled},
		{"a slow store does not fill the memory", slowStore},
		{"seeds", randomRuns},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, s) })
	}
}

// result is what the bundles of a sink committed.
type result struct {
	failures []flow.Failure
	counts   map[string]int64
}

func resultOf(e *flowtest.Effects) result {
	r := result{counts: map[string]int64{}}
	for _, b := range flowtest.Emitted[flow.FailureBatch](e, 0) {
		r.failures = append(r.failures, b.Failures...)
	}
	for _, c := range flowtest.Emitted[flow.Count](e, 1) {
		r.counts[c.Name] += c.N
	}
	return r
}

// write runs one bundle on a worker of its own and returns what it committed.
func write(t testing.TB, fn any, elements []any) result {
	t.Helper()
	h := flowtest.NewHarness(t, fn, flowtest.Once)
	if err := h.TryBundle(elements...); err != nil {
		t.Fatalf("the bundle failed: %v", err)
	}
	return resultOf(h.Effects())
}

// bundle cuts records into batches as elements of a bundle.
func bundle(records []flow.Record, size int) (elements []any) {
	for part := range slices.Chunk(records, max(size, 1)) {
		elements = append(elements, flow.Batch{Records: part})
	}
	return elements
}

func idsOf(records ...flow.Record) map[string]bool {
	out := map[string]bool{}
	for i := range records {
		out[records[i].ID.String()] = true
	}
	return out
}

// check compares the store with what it should have; of a log sink, after a distinct.
func check(t testing.TB, s Sink, store Store, want map[string]bool) {
	t.Helper()
	have := map[string]int{}
	for _, id := range store.IDs() {
		have[id]++
	}
	var lost, doubled, strange []string
	for id := range want {
		if have[id] == 0 {
			lost = append(lost, id)
		}
	}
	for id, n := range have {
		if !want[id] {
			strange = append(strange, id)
		}
		if n > 1 && s.Class == Set {
			doubled = append(doubled, id)
		}
	}
	if len(lost)+len(doubled)+len(strange) > 0 {
		t.Errorf("of %d records %d are lost, %d are doubled, and %d should not be there%s", len(want), len(lost), len(doubled), len(strange), some(lost, doubled, strange))
	}
}

func some(lists ...[]string) string {
	all := slices.Sorted(slices.Values(slices.Concat(lists...)))
	if len(all) > 3 {
		return ": " + strings.Join(all[:3], ", ") + ", …"
	}
	return ": " + strings.Join(all, ", ")
}

// adds fails where what a sink counted is not what it was given.
func adds(t testing.TB, r result, given int) {
	t.Helper()
	if n := r.counts["new"] + r.counts["already_there"] + r.counts["rejected"]; n != int64(given) {
		t.Errorf("given %d records, counted %d: %v", given, n, r.counts)
	}
	if n := r.counts["rejected"]; n != int64(len(r.failures)) {
		t.Errorf("%d rejected, %d dead letters", n, len(r.failures))
	}
}

func emptyBundle(t *testing.T, s Sink) {
	fn, store := s.Open(t, quick)
	if r := write(t, fn, nil); len(r.counts) > 0 || len(r.failures) > 0 {
		t.Errorf("a bundle of nothing counted %v and made %d dead letters", r.counts, len(r.failures))
	}
	write(t, fn, []any{flow.Batch{}})
	if n := store.Writes(); n != 0 {
		t.Errorf("%d requests for nothing", n)
	}
	check(t, s, store, nil)
}

func eachWay(t *testing.T, s Sink) {
	for _, way := range flowtest.Ways {
		t.Run(way.String(), func(t *testing.T) {
			fn, store := s.Open(t, quick)
			records := records(2000, 3)
			runWay(t, fn, way, bundle(records, 300))
			check(t, s, store, idsOf(records...))
		})
	}
}

// runWay runs a bundle in a way. Counts say what each run did, so they differ between two
// runs of one bundle, which the harness's own Retried and Twins would not have: what must
// be equal is what is in the store.
func runWay(t testing.TB, fn any, way flowtest.Way, elements []any) {
	t.Helper()
	switch way {
	case flowtest.Retried:
		h := flowtest.NewHarness(t, fn, flowtest.Once)
		for range 2 {
			if err := h.TryBundle(elements...); err != nil {
				t.Fatalf("the bundle failed: %v", err)
			}
		}
	case flowtest.Twins:
		var wg sync.WaitGroup
		errs := make([]error, 2)
		for i := range errs {
			h := flowtest.NewHarness(t, fn, flowtest.Once)
			wg.Go(func() { errs[i] = h.TryBundle(elements...) })
		}
		wg.Wait()
		if errs[0] != nil && errs[1] != nil {
			t.Fatalf("both copies of the bundle failed: %v", errs[0])
		}
		// The runner commits one of them, and retries where that one failed.
		if errs[0] != nil || errs[1] != nil {
			write(t, fn, elements)
		}
	default:
		flowtest.NewHarness(t, fn, way).Bundle(elements...)
	}
}

func eachFault(t *testing.T, s Sink) {
	for _, f := range Faults {
		t.Run(f.String(), func(t *testing.T) {
			fn, store := s.Open(t, Config{Wait: quick.Wait, Deadline: quick.Deadline, MaxBatch: 100})
			if !store.Fail(f, 2) {
				t.Skipf("skipped: this store has no fault %q", f)
			}
			records := records(1000, 5)
			r := write(t, fn, bundle(records, 250))
			adds(t, r, len(records))
			if len(r.failures) > 0 {
				t.Errorf("%d dead letters of good records: %+v", len(r.failures), r.failures[0])
			}
			check(t, s, store, idsOf(records...))
			if f != Slow && r.counts["retried"] == 0 {
				t.Errorf("nothing was counted as sent again: %v", r.counts)
			}
		})
	}
}

// lastingFault shows that a sink gives up with an error, and never drops: after the store
// is well again the runner's retry leaves all records there.
func lastingFault(t *testing.T, s Sink) {
	for _, f := range []Fault{Unavailable, Partial, Expired, Broken} {
		t.Run(f.String(), func(t *testing.T) {
			fn, store := s.Open(t, Config{Wait: quick.Wait, Deadline: time.Second})
			if !store.Fail(f, -1) {
				t.Skipf("skipped: this store has no fault %q", f)
			}
			records := records(300, 6)
			h := flowtest.NewHarness(t, fn, flowtest.Once)
			if err := h.TryBundle(bundle(records, 100)...); err == nil {
				t.Fatal("the bundle succeeded, and the store took nothing")
			}
			store.Fail(f, 0)
			r := write(t, fn, bundle(records, 100))
			adds(t, r, len(records))
			check(t, s, store, idsOf(records...))
		})
	}
}

// expired is credentials that are refused for a while: the sink waits, and no record is at
// fault. The while is 300 ms here, with pauses to match.
func expired(t *testing.T, s Sink) {
	fn, store := s.Open(t, quick)
	if !store.Fail(Expired, -1) {
		t.Skip("skipped: this store has no credentials")
	}
	time.AfterFunc(300*time.Millisecond, func() { store.Fail(Expired, 0) })
	records := records(200, 7)
	r := write(t, fn, bundle(records, 50))
	adds(t, r, len(records))
	if len(r.failures) > 0 {
		t.Errorf("%d dead letters: %+v", len(r.failures), r.failures[0])
	}
	check(t, s, store, idsOf(records...))
}

// anyText writes what breaks a sink that glues text together.
func anyText(t *testing.T, s Sink) {
	fn, store := s.Open(t, quick)
	var all []flow.Record
	for _, text := range []string{
		"Zürich", "東京", "🜁", "a\nb", "a\r\n{\"create\":{\"_index\":\"x\"}}\n{}", `"quoted"`, `back\slash`, "tab\tand\x01control",
		"comma,semicolon;", "=1+1", "../../x", "%2e%2e%2f", "\u2028\u2029", "a\x00b", "\ufeffbom", strings.Repeat("ü", 300),
	} {
		all = append(all, flowtest.Record(flowtest.User(text), func(r *flow.Record) { r.Tenant, r.DataCenter = text, text }))
	}
	r := write(t, fn, bundle(all, 5))
	adds(t, r, len(all))
	want := idsOf(all...)
	for i := range r.failures { // a sink may refuse one with a reason; it may not lose it
		for j := range all {
			if strings.Contains(r.failures[i].Data, all[j].ID.String()) {
				delete(want, all[j].ID.String())
			}
		}
	}
	if len(want) < len(all)*3/4 {
		t.Errorf("%d of %d records were refused: %+v", len(all)-len(want), len(all), r.failures[0])
	}
	check(t, s, store, want)
}

// tooLarge writes one record that the store does not take among others that it does.
func tooLarge(t *testing.T, s Sink) {
	fn, store := s.Open(t, quick)
	limit := store.MaxRecord()
	if limit == 0 {
		t.Skip("skipped: this store takes records of any size")
	}
	all := records(50, 8)
	big := flowtest.Record(func(r *flow.Record) { r.Original = strings.Repeat("x", limit+1) })
	r := write(t, fn, bundle(append(slices.Clone(all), big), 20))
	adds(t, r, len(all)+1)
	if len(r.failures) != 1 || r.failures[0].Reason != flow.ReasonRejected && r.failures[0].Reason != flow.ReasonOversize {
		t.Errorf("want one dead letter of reason %s or %s, have %d", flow.ReasonRejected, flow.ReasonOversize, len(r.failures))
	}
	check(t, s, store, idsOf(all...))
}

// cancelled shows that a job that is cancelled ends soon, and that what it left behind is
// no hindrance to the next one.
func cancelled(t *testing.T, s Sink) {
	fn, store := s.Open(t, Config{Wait: quick.Wait, Deadline: time.Minute})
	records := records(500, 9)
	if store.Fail(Unavailable, -1) {
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(50*time.Millisecond, cancel)
		begun := time.Now()
		err := flowtest.NewHarness(t, fn, flowtest.Once).WithContext(ctx).TryBundle(bundle(records, 100)...)
		if err == nil {
			t.Error("the bundle succeeded in spite of it")
		}
		if took := time.Since(begun); took > 20*time.Second {
			t.Errorf("it ended %v after it was cancelled", took)
		}
		store.Fail(Unavailable, 0)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := flowtest.NewHarness(t, fn, flowtest.Once).WithContext(ctx).TryBundle(bundle(records, 100)...); err == nil {
		check(t, s, store, idsOf(records...)) // then it must be true
	}
	write(t, fn, bundle(records, 100))
	check(t, s, store, idsOf(records...))
}

// slowStore shows that what a bundle holds is bounded: records go out while it goes on, and
// it waits for a store that is slow. Of a bundle that is dropped before its end a sink that
// holds everything until FinishBundle would write nothing.
func slowStore(t *testing.T, s Sink) {
	fn, store := s.Open(t, Config{Wait: quick.Wait, Deadline: quick.Deadline, MaxBatch: 200})
	if !store.Fail(Slow, -1) {
		t.Skip("skipped: this store is never slow")
	}
	all := records(4000, 10)
	if err := flowtest.NewHarness(t, fn, flowtest.Once).Drop(bundle(all, 250)...); err != nil {
		t.Fatalf("the bundle failed: %v", err)
	}
	if store.Writes() == 0 {
		t.Error("nothing goes out before the end of a bundle")
	}
	adds(t, write(t, fn, bundle(all, 250)), len(all))
	check(t, s, store, idsOf(all...))
}

// records are flowtest's, spread over three hours so that they have several buckets.
func records(n int, seed uint64) []flow.Record {
	out := flowtest.Records(n, seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	for i := range out {
		shift := time.Duration(rng.IntN(3)) * time.Hour
		out[i].EventTime, out[i].Start, out[i].End = out[i].EventTime.Add(shift), out[i].Start.Add(shift), out[i].End.Add(shift)
	}
	return out
}

// randomRuns plays random histories: bundles of 1 to 5,000 records over several buckets in
// disorder, with repeats of older records, on two workers, in any way a runner may run
// them, while the store fails at random.
func randomRuns(t *testing.T, s Sink) {
	n := *seeds
	if n == 0 {
		n = 25
		if testing.Short() {
			n = 4
		}
	}
	begun, total := time.Now(), 0
	for seed := *firstSeed; seed < *firstSeed+n; seed++ {
		// In a test of its own, so that the store of each is gone before the next.
		if !t.Run(strconv.Itoa(seed), func(t *testing.T) { total += randomRun(t, s, uint64(seed)) }) {
			t.Fatalf("seed %d failed: repeat it with -sinktest.seed=%d -sinktest.seeds=1", seed, seed)
		}
	}
	t.Logf("seeds %d to %d, %d records: 0 lost, 0 doubled%s, in %v", *firstSeed, *firstSeed+n-1, total,
		map[Class]string{Set: "", Log: " after distinct by id"}[s.Class], time.Since(begun).Round(time.Millisecond))
}

func randomRun(t *testing.T, s Sink, seed uint64) int {
	rng := rand.New(rand.NewPCG(seed, 0x73696e6b))
	size := 1 + rng.IntN(200)
	if rng.IntN(10) == 0 {
		size = 1 + rng.IntN(5000)
	}
	fn, store := s.Open(t, Config{Wait: quick.Wait, Deadline: 20 * time.Second, MaxBatch: 1 + rng.IntN(500)})
	pool := records(size, seed)
	rng.Shuffle(len(pool), func(i, j int) { pool[i], pool[j] = pool[j], pool[i] })
	done := idsOf()
	bundles := 1 + rng.IntN(4)
	for b := range bundles {
		from, to := b*size/bundles, (b+1)*size/bundles
		part := slices.Clone(pool[from:to])
		for range rng.IntN(1 + size/10) { // delivered again
			part = append(part, pool[rng.IntN(to)])
		}
		if len(part) == 0 {
			continue
		}
		if rng.IntN(3) > 0 {
			store.Fail(Faults[rng.IntN(len(Faults))], 1+rng.IntN(2))
		}
		elements := bundle(part, 1+rng.IntN(len(part)))
		half := len(elements) / 2
		if rng.IntN(3) == 0 && half > 0 { // two workers with a part each
			var wg sync.WaitGroup
			errs := make([]error, 2)
			for i, e := range [][]any{elements[:half], elements[half:]} {
				h := flowtest.NewHarness(t, fn, flowtest.Once)
				wg.Go(func() { errs[i] = h.TryBundle(e...) })
			}
			wg.Wait()
			for i, e := range [][]any{elements[:half], elements[half:]} {
				if errs[i] != nil {
					write(t, fn, e) // the runner's retry
				}
			}
		} else {
			runWay(t, fn, flowtest.Ways[rng.IntN(len(flowtest.Ways))], elements)
		}
		store.Fail(Slow, 0)
		maps.Copy(done, idsOf(part...))
		check(t, s, store, done)
		if t.Failed() {
			t.Log(fmt.Sprintf("seed %d: after bundle %d of %d, %d records", seed, b+1, bundles, len(part)))
			break
		}
	}
	return len(done)
}
