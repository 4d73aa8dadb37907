package dataset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/delivery"
)

var ctx = context.Background()

var start = flow.TimeOf(time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC))

// some are records n..m-1, over two hours.
func some(n, m int) []flow.Record {
	var out []flow.Record
	for i := n; i < m; i++ {
		r := flow.Record{ID: flow.NewID("test", fmt.Append(nil, i)), Format: "test", Tenant: []string{"acme", "", "wile"}[i%3]}
		r.EventTime = start.Add(time.Duration(i%120) * time.Minute)
		r.Source.Bytes = flow.N(int64(i))
		out = append(out, r)
	}
	return out
}

func ndjson(dir string) Config {
	return Config{Dir: dir, Format: NDJSON, Compression: None, Want: WantRecords()}
}

// fresh opens a dataset as a new process would: it remembers nothing.
func fresh(t testing.TB, c Config, fault func(string) error) *Writer[flow.Record] {
	t.Helper()
	w, err := open(ctx, &localStore{root: c.Dir, fault: fault}, Records(), c)
	if err != nil {
		t.Fatal(err)
	}
	w.ids = newIDCache(maxIDs)
	return w
}

func write(w *Writer[flow.Record], rows []flow.Record) (Stats, error) {
	b := w.NewBundle()
	for i := range rows {
		if err := b.Add(ctx, &rows[i]); err != nil {
			return Stats{}, err
		}
	}
	err := b.Flush(ctx)
	return b.Stats(), err
}

func mustWrite(t testing.TB, w *Writer[flow.Record], rows []flow.Record) Stats {
	t.Helper()
	st, err := write(w, rows)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// tree is what is on disk: path and content of each file.
func tree(t testing.TB, dir string) map[string]string {
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

// holds asserts that the parts, read one by one, have each record once, and that no
// temporary file stays.
func holds(t testing.TB, dir string, want []flow.Record) {
	t.Helper()
	n := map[flow.ID]int{}
	for name := range tree(t, dir) {
		if strings.HasPrefix(name, tmpDir) {
			t.Errorf("left behind: %s", name)
		}
		format, comp, err := formatOf(extensionOf(name))
		if err != nil {
			continue
		}
		f, err := (&localStore{root: dir}).Open(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		if err := ReadRows(f, &flow.Records, format, comp, func(r *flow.Record) error { n[r.ID]++; return nil }); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		f.Close()
	}
	for i := range want {
		if n[want[i].ID] != 1 {
			t.Errorf("record %d is there %d times", want[i].Source.Bytes.V, n[want[i].ID])
		}
		delete(n, want[i].ID)
	}
	if len(n) > 0 {
		t.Errorf("%d records that nobody wrote", len(n))
	}
}

func TestTheSameJobOverItsOwnOutputChangesNothing(t *testing.T) {
	eachCodec(t, func(t *testing.T, f Format, c Compression) {
		cfg := Config{Dir: t.TempDir(), Format: f, Compression: c, Want: WantRecords()}
		cfg.Want.Shards, cfg.Want.Partition = 2, []string{"tenant"}
		if st := mustWrite(t, fresh(t, cfg, nil), some(0, 300)); st.New != 300 || st.AlreadyThere != 0 {
			t.Errorf("first: %+v", st)
		}
		before := tree(t, cfg.Dir)
		if len(before) != 1+2*2*3 { // layout; hours, shards, tenants
			t.Errorf("%d files", len(before))
		}
		if st := mustWrite(t, fresh(t, cfg, nil), some(0, 300)); st.New != 0 || st.AlreadyThere != 300 || st.Parts != 0 {
			t.Errorf("again: %+v", st)
		}
		if !reflect.DeepEqual(before, tree(t, cfg.Dir)) {
			t.Error("the bytes on disk have changed")
		}
		holds(t, cfg.Dir, some(0, 300))
	})
}

func TestASupersetAddsOnlyWhatIsNew(t *testing.T) {
	cfg := ndjson(t.TempDir())
	mustWrite(t, fresh(t, cfg, nil), some(0, 100))
	before := tree(t, cfg.Dir)
	// In another format: the set does not depend on it.
	cfg.Format, cfg.Compression = Parquet, Zstd
	w := fresh(t, cfg, nil)
	if st := mustWrite(t, w, some(50, 160)); st.New != 60 || st.AlreadyThere != 50 {
		t.Errorf("%+v", st)
	}
	if st := mustWrite(t, w, some(0, 160)); st.New != 0 || st.AlreadyThere != 160 {
		t.Errorf("again, by the same process: %+v", st)
	}
	after := tree(t, cfg.Dir)
	for name, b := range before {
		if after[name] != b {
			t.Errorf("%s has changed", name)
		}
	}
	holds(t, cfg.Dir, some(0, 160))
}

func TestADuplicateWithinABundleIsWrittenOnce(t *testing.T) {
	cfg := ndjson(t.TempDir())
	if st := mustWrite(t, fresh(t, cfg, nil), append(some(0, 50), some(0, 50)...)); st.New != 50 || st.AlreadyThere != 50 {
		t.Errorf("%+v", st)
	}
	holds(t, cfg.Dir, some(0, 50))
}

func TestOtherLayoutOptionsAreRefusedWithBothValues(t *testing.T) {
	cfg := ndjson(t.TempDir())
	cfg.Want.Shards, cfg.Want.Partition = 4, []string{"tenant"}
	mustWrite(t, fresh(t, cfg, nil), some(0, 10))
	for name, c := range map[string]struct {
		change func(*Want)
		say    []string
	}{
		"bucket":    {func(w *Want) { w.Bucket = 15 * time.Minute }, []string{"bucket", "1h", "15m"}},
		"shards":    {func(w *Want) { w.Shards = 8 }, []string{"shards", "4", "8"}},
		"partition": {func(w *Want) { w.Partition = []string{} }, []string{"partition", "tenant", "(none)"}},
		"time":      {func(w *Want) { w.Time = "flow_start" }, []string{"time", "event_time", "flow_start"}},
	} {
		t.Run(name, func(t *testing.T) {
			other := cfg
			c.change(&other.Want)
			_, err := open(ctx, &localStore{root: cfg.Dir}, Records(), other)
			for _, s := range c.say {
				if err == nil || !strings.Contains(err.Error(), s) {
					t.Errorf("error %v does not say %q", err, s)
				}
			}
		})
	}
	if _, err := Open(ctx, Failures(), cfg); err == nil || !strings.Contains(err.Error(), "dead_letters") {
		t.Errorf("another table: %v", err)
	}
	adopt := ndjson(cfg.Dir) // asks for nothing
	if w := fresh(t, adopt, nil); w.layout.Shards != 4 || len(w.fields) != 1 {
		t.Errorf("the layout was not adopted: %+v", w.layout)
	}
}

// meet makes n writers arrive at the same next part before any of them takes it. A writer
// that failed before is not waited for longer than a few seconds.
func meet(n int) func(dir string, part int) {
	var mu sync.Mutex
	here := map[string]int{}
	all := map[string]chan struct{}{}
	return func(dir string, part int) {
		if part != 1 {
			return
		}
		mu.Lock()
		if all[dir] == nil {
			all[dir] = make(chan struct{})
		}
		if here[dir]++; here[dir] == n {
			close(all[dir])
		}
		c := all[dir]
		mu.Unlock()
		select {
		case <-c:
		case <-time.After(5 * time.Second):
		}
	}
}

func TestTwoWritersAtOnceLeaveASet(t *testing.T) {
	for name, sharedCache := range map[string]bool{"two processes": false, "one process": true} {
		t.Run(name, func(t *testing.T) {
			cfg := ndjson(t.TempDir())
			rows := [2][]flow.Record{some(0, 200), some(100, 300)}
			together := meet(2)
			var stats [2]Stats
			var errs [2]error
			var wg sync.WaitGroup
			cache := newIDCache(maxIDs)
			for i := range rows {
				w := fresh(t, cfg, nil)
				w.newPart = together
				if sharedCache {
					w.ids = cache
				}
				wg.Go(func() { stats[i], errs[i] = write(w, rows[i]) })
			}
			wg.Wait()
			if err := errors.Join(errs[:]...); err != nil {
				t.Fatal(err)
			}
			holds(t, cfg.Dir, some(0, 300))
			if n := stats[0].New + stats[1].New; n != 300 {
				t.Errorf("%d new in all, want 300", n)
			}
		})
	}
}

func TestAZombieCopyOfABundleAddsNothing(t *testing.T) {
	cfg := ndjson(t.TempDir())
	together := meet(3)
	var wg sync.WaitGroup
	for range 3 {
		w := fresh(t, cfg, nil)
		w.newPart = together
		wg.Go(func() {
			if _, err := write(w, some(0, 200)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	holds(t, cfg.Dir, some(0, 200))
	if n := len(tree(t, cfg.Dir)); n != 3 {
		t.Errorf("%d files, want the layout and a part for each hour", n)
	}
}

// errCrash is what a fault returns where the process dies: nothing after it runs.
var errCrash = errors.New("crash")

func TestACrashAtAnyPointConverges(t *testing.T) {
	for _, point := range []string{"written", "linked", "replied"} {
		for n := 1; n <= 2; n++ {
			t.Run(fmt.Sprintf("%s, part %d", point, n), func(t *testing.T) {
				cfg := ndjson(t.TempDir())
				fresh(t, cfg, nil) // the layout
				seen := 0
				_, err := write(fresh(t, cfg, func(p string) error {
					if p == point {
						if seen++; seen == n {
							return errCrash
						}
					}
					return nil
				}), some(0, 100))
				if !errors.Is(err, errCrash) {
					t.Fatalf("error = %v", err)
				}
				st := mustWrite(t, fresh(t, cfg, nil), some(0, 100))
				if st.New+st.AlreadyThere != 100 {
					t.Errorf("%+v", st)
				}
				holds(t, cfg.Dir, some(0, 100))
			})
		}
	}
}

func TestALostReplyIsComparedAndNotWrittenTwice(t *testing.T) {
	for _, point := range []string{"linked", "replied"} {
		t.Run(point, func(t *testing.T) {
			cfg := ndjson(t.TempDir())
			fresh(t, cfg, nil)
			lost := 0
			st := mustWrite(t, fresh(t, cfg, func(p string) error {
				if p == point && lost == 0 {
					lost++
					return ErrLostReply
				}
				return nil
			}), some(0, 100))
			if lost != 1 || st.New != 100 || st.AlreadyThere != 0 || st.Parts != 2 {
				t.Errorf("%d lost, %+v", lost, st)
			}
			holds(t, cfg.Dir, some(0, 100))
		})
	}
}

func TestABundleDroppedAfterAFlushIsRetriedWithoutDoubles(t *testing.T) {
	cfg := ndjson(t.TempDir())
	cfg.FlushRecords = 30
	b := fresh(t, cfg, nil).NewBundle()
	rows := some(0, 100)
	for i := range rows[:70] {
		if err := b.Add(ctx, &rows[i]); err != nil {
			t.Fatal(err)
		}
	}
	// The worker dies here: 60 rows are written, 10 are not.
	if st := mustWrite(t, fresh(t, cfg, nil), rows); st.New != 40 || st.AlreadyThere != 60 {
		t.Errorf("%+v", st)
	}
	holds(t, cfg.Dir, rows)
}

// fullStore has room for so many bytes.
type fullStore struct {
	Store
	room int
}

type fullWriter struct {
	w io.Writer
	s *fullStore
}

func (f fullWriter) Write(p []byte) (int, error) {
	if len(p) > f.s.room {
		n, _ := f.w.Write(p[:f.s.room])
		return n, syscall.ENOSPC
	}
	f.s.room -= len(p)
	return f.w.Write(p)
}

func (f *fullStore) Stage(ctx context.Context, write func(io.Writer) error) (Staged, error) {
	return f.Store.Stage(ctx, func(w io.Writer) error { return write(fullWriter{w, f}) })
}

func TestAFullDiskIsAnErrorWithoutATornFile(t *testing.T) {
	eachCodec(t, func(t *testing.T, f Format, c Compression) {
		cfg := Config{Dir: t.TempDir(), Format: f, Compression: c, Want: WantRecords()}
		fresh(t, cfg, nil)
		w := fresh(t, cfg, nil)
		w.store = &fullStore{w.store, 1000}
		_, err := write(w, some(0, 1200))
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), cfg.Dir+"/dt=2026-03-01/hour=10/shard-0") {
			t.Errorf("error = %v", err)
		}
		holds(t, cfg.Dir, nil)
		mustWrite(t, fresh(t, cfg, nil), some(0, 1200))
		holds(t, cfg.Dir, some(0, 1200))
	})
}

// TestFileSizeLimit runs itself as a process that may write 20 KB a file, so that the
// error comes from the kernel.
func TestFileSizeLimit(t *testing.T) {
	if dir := os.Getenv("DATASET_LIMITED"); dir != "" {
		signal.Ignore(syscall.SIGXFSZ)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 20_000, Max: 20_000}); err != nil {
			t.Skip(err)
		}
		_, err := write(fresh(t, ndjson(dir), nil), some(0, 1000))
		fmt.Println("write:", err)
		return
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestFileSizeLimit$")
	cmd.Env = append(os.Environ(), "DATASET_LIMITED="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "file too large") {
		t.Fatalf("%v: %s", err, out)
	}
	holds(t, dir, nil)
	mustWrite(t, fresh(t, ndjson(dir), nil), some(0, 1000))
	holds(t, dir, some(0, 1000))
}

func TestAPartitionValueThatDoesNotFitIsRejected(t *testing.T) {
	cfg := ndjson(t.TempDir())
	cfg.Want.Partition = []string{"tenant"}
	w := fresh(t, cfg, nil)
	b := w.NewBundle()
	for _, v := range []string{"../x", "..", ".", "a/b", "a b", "a\x00", "ü", "a=b", strings.Repeat("x", 65), "-\n"} {
		r := some(0, 1)[0]
		r.Tenant = v
		if err := b.Add(ctx, &r); !errors.Is(err, ErrRejected) {
			t.Errorf("tenant %q: %v", v, err)
		}
	}
	good := some(0, 3)
	for i := range good {
		if err := b.Add(ctx, &good[i]); err != nil {
			t.Error(err)
		}
	}
	noTime := flow.Record{ID: flow.ID{9}, Tenant: "acme"}
	if err := b.Add(ctx, &noTime); !errors.Is(err, ErrRejected) {
		t.Errorf("without event time: %v", err)
	}
	if err := b.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	holds(t, cfg.Dir, good)
	if _, ok := tree(t, cfg.Dir)["dt=2026-03-01/hour=10/tenant=__none__/shard-0/part-000001.ndjson"]; !ok {
		t.Error("no partition for the record without a tenant")
	}
}

func FuzzPartitionStaysInside(f *testing.F) {
	for _, s := range []string{"", "a", "..", "../x", "/etc", "a/../../b", "\x00", "C:\\x", "%2e%2e", "․․"} {
		f.Add(s)
	}
	cfg := ndjson("/dataset")
	l := cfg.Want
	l.Partition = []string{"tenant", "user_id"}
	w := &Writer[flow.Record]{spec: Records(), cfg: cfg, layout: l.layout(), length: time.Hour}
	for _, name := range l.Partition {
		c, _ := flow.Records.Column(name)
		w.fields = append(w.fields, c)
	}
	f.Fuzz(func(t *testing.T, v string) {
		r := flow.Record{ID: flow.ID{1}, EventTime: start, Tenant: v, UserID: "u"}
		g, err := w.NewBundle().group(&r)
		if err != nil {
			if !errors.Is(err, ErrRejected) {
				t.Error(err)
			}
			return
		}
		if v == "" {
			v = NoValue
		}
		want := "dt=2026-03-01/hour=10/tenant=" + v + "/user_id=u/shard-0"
		if g.dir != want || filepath.ToSlash(filepath.Clean(g.dir)) != want || strings.Count(g.dir, "/") != 4 {
			t.Errorf("%q goes to %q", v, g.dir)
		}
	})
}

func TestOfARollupRowTheOneWithMostRecordsCounts(t *testing.T) {
	table := RollupTable{Level: "1m", Fields: []string{"user_id", "protocol"}, FieldKinds: []flow.Kind{flow.KindString, flow.KindInt},
		Measures: []string{"flows", "rtt_mean"}, MeasureKinds: []flow.Kind{flow.KindInt, flow.KindFloat}}
	row := func(user string, records int64) flow.Rollup {
		return flow.Rollup{Window: start, Length: time.Minute, Records: records, Group: []flow.Value{flow.StringValue(user), {}},
			Measures: []flow.Value{flow.IntValue(records), flow.FloatValue(0.5)}}
	}
	eachCodec(t, func(t *testing.T, f Format, c Compression) {
		cfg := Config{Dir: t.TempDir(), Format: f, Compression: c, Want: WantRollups(table)}
		for _, step := range []struct {
			rows []flow.Rollup
			new  int64
		}{
			{[]flow.Rollup{row("a", 5), row("b", 1), row("b", 3), row("b", 2)}, 2},
			{[]flow.Rollup{row("a", 5), row("b", 2)}, 0},
			{[]flow.Rollup{row("a", 6), row("b", 3), row("c", 1)}, 2},
			{[]flow.Rollup{row("a", 5)}, 0},
		} {
			w, err := Open(ctx, Rollups(table), cfg)
			if err != nil {
				t.Fatal(err)
			}
			w.ids = newIDCache(maxIDs)
			b := w.NewBundle()
			for i := range step.rows {
				if err := b.Add(ctx, &step.rows[i]); err != nil {
					t.Fatal(err)
				}
			}
			if err := b.Flush(ctx); err != nil {
				t.Fatal(err)
			}
			if st := b.Stats(); st.New != step.new || st.New+st.AlreadyThere != int64(len(step.rows)) {
				t.Errorf("%+v, want %d new", st, step.new)
			}
		}
		r, err := OpenReader(ctx, Rollups(table), cfg.Dir)
		if err != nil {
			t.Fatal(err)
		}
		have := map[string]flow.Rollup{}
		if err := r.Read(ctx, "2026-03-01T10:00:00Z", 0, func(x *flow.Rollup) error {
			have[x.Group[0].Str] = *x
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if want := map[string]flow.Rollup{"a": row("a", 6), "b": row("b", 3), "c": row("c", 1)}; !reflect.DeepEqual(have, want) {
			t.Errorf("have %+v\nwant %+v", have, want)
		}
	})
	// Rows of another grouping are other rows.
	cfg := ndjson(t.TempDir())
	cfg.Want = WantRollups(table)
	if _, err := Open(ctx, Rollups(table), cfg); err != nil {
		t.Fatal(err)
	}
	other := table
	other.Fields, other.FieldKinds = table.Fields[:1], table.FieldKinds[:1]
	cfg.Want = WantRollups(other)
	if _, err := Open(ctx, Rollups(other), cfg); err == nil || !strings.Contains(err.Error(), "user_id,protocol") {
		t.Errorf("another grouping: %v", err)
	}
}

func TestPartsThatWereTakenAwayAreWrittenAgain(t *testing.T) {
	cfg := ndjson(t.TempDir())
	w := fresh(t, cfg, nil)
	mustWrite(t, w, some(0, 100))
	if err := os.RemoveAll(filepath.Join(cfg.Dir, "dt=2026-03-01", "hour=10")); err != nil {
		t.Fatal(err)
	}
	if st := mustWrite(t, w, some(0, 100)); st.New != 60 || st.AlreadyThere != 40 {
		t.Errorf("%+v", st)
	}
	holds(t, cfg.Dir, some(0, 100))
}

func TestTheProcessForgetsIDsBeyondTheBound(t *testing.T) {
	cfg := ndjson(t.TempDir())
	cfg.Want.Bucket = time.Minute
	w := fresh(t, cfg, nil)
	w.ids = newIDCache(50)
	for range 3 {
		mustWrite(t, w, some(0, 240))
		if w.ids.total > 50 || len(w.ids.byDir) != w.ids.order.Len() {
			t.Errorf("remembers %d ids in %d directories", w.ids.total, len(w.ids.byDir))
		}
	}
	holds(t, cfg.Dir, some(0, 240))
}

func TestOnlyOldTemporaryFilesAreRemoved(t *testing.T) {
	cfg := ndjson(t.TempDir())
	fresh(t, cfg, nil)
	old, young := filepath.Join(cfg.Dir, tmpDir, "old"), filepath.Join(cfg.Dir, tmpDir, "young")
	for _, p := range []string{old, young} {
		if err := os.WriteFile(p, nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	past := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(old, past, past); err != nil {
		t.Fatal(err)
	}
	fresh(t, cfg, nil)
	if _, err := os.Stat(old); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("old: %v", err)
	}
	if _, err := os.Stat(young); err != nil {
		t.Errorf("young: %v", err)
	}
}

func TestReaderGivesEachRecordOfABucketOnce(t *testing.T) {
	cfg := ndjson(t.TempDir())
	cfg.Want.Shards, cfg.Want.Partition = 4, []string{"tenant"}
	rows := some(0, 240)
	mustWrite(t, fresh(t, cfg, nil), rows)
	cfg.Format, cfg.Compression = Avro, Snappy
	moved := slices.Clone(rows[:30]) // the same ids in another partition
	for i := range moved {
		moved[i].Tenant = "other"
	}
	mustWrite(t, fresh(t, cfg, nil), append(some(200, 300), moved...))

	buckets, err := Buckets(ctx, cfg.Dir)
	if want := []string{"2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z"}; err != nil || !slices.Equal(buckets, want) {
		t.Fatalf("buckets %v, %v", buckets, err)
	}
	r, err := OpenReader(ctx, Records(), cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[flow.ID]int{}
	for _, b := range buckets {
		shards, err := Shards(ctx, cfg.Dir, "flows", b)
		if err != nil || !slices.Equal(shards, []int{0, 1, 2, 3}) {
			t.Fatalf("shards %v, %v", shards, err)
		}
		for _, k := range shards {
			if err := r.Read(ctx, b, k, func(x *flow.Record) error {
				if bucketName(x.EventTime.Truncate(time.Hour)) != b {
					t.Errorf("%v in %s", x.EventTime, b)
				}
				seen[x.ID]++
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, x := range some(0, 300) {
		if seen[x.ID] != 1 {
			t.Errorf("record %d came %d times", x.Source.Bytes.V, seen[x.ID])
		}
	}
	for _, bad := range []string{"2026-03-01T10:30:00Z", "../x", ""} {
		if _, err := Shards(ctx, cfg.Dir, "flows", bad); err == nil {
			t.Errorf("bucket %q was taken", bad)
		}
	}
}

func TestPathsOfBuckets(t *testing.T) {
	at := flow.TimeOf(time.Date(2026, 3, 1, 9, 45, 0, 0, time.UTC))
	for length, want := range map[time.Duration]string{
		15 * time.Minute: "dt=2026-03-01/hour=09/minute=45",
		time.Hour:        "dt=2026-03-01/hour=09",
		6 * time.Hour:    "dt=2026-03-01/hour=06",
		24 * time.Hour:   "dt=2026-03-01",
	} {
		if have := bucketPath(at.Truncate(length), length); have != want {
			t.Errorf("%v: %s, want %s", length, have, want)
		}
	}
	for _, d := range []time.Duration{0, time.Second, 7 * time.Minute, 90 * time.Minute, 5 * time.Hour, 48 * time.Hour} {
		if validBucket(d) {
			t.Errorf("%v was taken", d)
		}
	}
}

func TestDirectoriesThatCannotBeStoresAreRefusedWithoutTheirSecrets(t *testing.T) {
	for _, dir := range []string{"", "hdfs://x/y", "gs://", "gs://B/x", "s3://user:canary@bucket/x", "gs://bucket:canary/x", "s3://bucket/a/../b", "gs://bucket//x", "gs://bucket/a\x00b"} {
		_, err := OpenStore(dir, delivery.Policy{})
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v", dir, err)
		}
	}
}
