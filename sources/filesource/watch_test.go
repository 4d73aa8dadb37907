package filesource

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/sdf"
	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/filesystem"
)

const minute = flow.Time(time.Minute)

// clocked is n lines of event times from a minute on, a second apart.
func clocked(from flow.Time, n int) []byte {
	var b []byte
	for i := range n {
		b = fmt.Appendf(b, "%d line %d\n", int64(from)/int64(time.Second)+int64(i), i)
	}
	return b
}

func TestWatchReadsEachNewFileOnceInOrder(t *testing.T) {
	dir := t.TempDir()
	now := flow.TimeOf(time.Now()).Truncate(time.Second)
	want := map[string][]byte{
		filepath.Join(dir, "dc=a", "1.log"):    clocked(now-60*minute, 300),
		filepath.Join(dir, "dc=b", "1.log.gz"): clocked(now-90*minute, 300),
		filepath.Join(dir, "dc=a", "2.log"):    clocked(now-50*minute, 300),
	}
	var order []string
	for path, text := range want {
		order = append(order, path)
		if filepath.Ext(path) == ".gz" {
			text = gz(t, text)
		}
		if filepath.Base(path) != "2.log" {
			write(t, filepath.Dir(path), filepath.Base(path), text)
		}
	}
	slices.Sort(order)
	write(t, dir, "dc=a/.hidden", []byte("1 no\n"))
	write(t, dir, "dc=a/3.log.tmp", []byte("1 no\n"))
	late := filepath.Join(dir, "dc=a", "2.log")
	go func() { // while the watch runs
		time.Sleep(500 * time.Millisecond)
		tmp := late + ".part"
		if os.WriteFile(tmp, want[late], 0o644) == nil {
			os.Rename(tmp, late)
		}
	}()
	got := run(t, []string{dir + "/*/*"}, Format("clocked"), DataCenter("dc=([^/]+)/"), BatchRecords(50), Skew(time.Minute), MaxHold(5*time.Minute),
		Watch(100*time.Millisecond), StopAfter(3), StopAt(time.Now().Add(time.Minute)))
	var expect []record
	for _, path := range order {
		expect = append(expect, oracle(path, want[path], 0)...)
	}
	if d := cmp.Diff(expect, got.records(), cmpRecords); d != "" {
		t.Fatal(d)
	}
	var last flow.Time
	for i, b := range got.batches {
		if b.Watermark < last {
			t.Errorf("the watermark fell from %v to %v", last, b.Watermark)
		}
		last = b.Watermark
		if got.stamps[i] < b.Watermark.Truncate(time.Millisecond) {
			t.Errorf("batch %d at %v, before the watermark %v", i, got.stamps[i], b.Watermark)
		}
	}
	// a leads; b, quiet since, holds by MaxHold and no more. The last batch of a's second
	// file bears the mark from before it.
	if want := now - 50*minute + 249*flow.Time(time.Second) - 5*minute - minute; last != want {
		t.Errorf("the last watermark is %v, want %v", last, want)
	}
	var stored int64
	for path := range want {
		st, _ := os.Stat(path)
		stored += st.Size()
	}
	if d := cmp.Diff(map[string]int64{"files/files": 3, "files/bytes": stored}, got.counts); d != "" {
		t.Error(d)
	}
}

func TestAWatchGoesOnFromACheckpointAtAnyStep(t *testing.T) {
	dir := t.TempDir()
	text := clocked(1_000_000*minute, 1000)
	var expect []record
	for _, name := range []string{"1.log", "2.log"} {
		expect = append(expect, oracle(write(t, dir, name, text), text, 0)...)
	}
	zipped := write(t, dir, "3.gz", gz(t, text))
	expect = append(expect, oracle(zipped, text, 0)...)
	write(t, dir, "4.gz", gz(t, text)[:20])
	for every := 1; every < 30; every += 7 {
		c, err := newConfig([]Option{Format("clocked"), BatchRecords(77), Watch(time.Millisecond), StopAfter(4)})
		if err != nil {
			t.Fatal(err)
		}
		f := &watchFn{Config: *c, Globs: []string{dir + "/*"}}
		var got collected
		state := f.CreateInitialRestriction(nil)
		for !state.Done {
			rt := f.CreateTracker(state)
			w := &watch{f: f, we: &sdf.ManualWatermarkEstimator{}, rt: rt,
				emit: func(_ beam.EventTime, b flow.RawBatch) { got.batches = append(got.batches, b) },
				fail: func(_ beam.EventTime, b flow.FailureBatch) { got.failures = append(got.failures, b.Failures...) }}
			for range every {
				wait, done, err := w.step(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if done {
					break
				}
				time.Sleep(wait)
			}
			w.close()
			_, residual, err := rt.TrySplit(0)
			if err != nil {
				t.Fatal(err)
			}
			if residual == nil {
				break // done
			}
			if _, _, err := w.step(t.Context()); err != errTaken {
				t.Fatalf("after a checkpoint the work goes on: %v", err)
			}
			b, err := encodeWatchState(residual.(watchState))
			if err != nil {
				t.Fatal(err)
			}
			if state, err = decodeWatchState(b); err != nil {
				t.Fatal(err)
			}
		}
		if d := cmp.Diff(expect, got.records(), cmpRecords); d != "" {
			t.Fatalf("a checkpoint every %d steps: %s", every, d)
		}
		if f.files != 3 || f.failed != 1 || len(got.failures) != 1 {
			t.Fatalf("files %d, failed %d, %+v", f.files, f.failed, got.failures)
		}
	}
}

func TestAFileIsTakenOnceItStoppedGrowing(t *testing.T) {
	c, _ := newConfig(nil)
	s := newWatchState()
	at := time.Unix(1000, 0)
	poll := func(infos ...filesystem.Info) (taken []string) {
		s.Queue = nil
		s.found(c, 1, [][]filesystem.Info{infos, infos})
		for _, q := range s.Queue {
			taken = append(taken, q.Path)
		}
		return taken
	}
	file := func(path string, size int64, age int) filesystem.Info {
		return filesystem.Info{Path: path, Size: size, ModTime: at.Add(time.Duration(age))}
	}
	for i, step := range []struct{ got, want []string }{
		{poll(file("a", 1, 0), file("d/_SUCCESS", 1, 0)), nil},
		{poll(file("a", 2, 0), file("d/_SUCCESS", 1, 0)), nil},
		{poll(file("a", 2, 1), file("d/.b", 1, 0)), nil},
		{poll(file("a", 2, 1), file("d/.b", 1, 0), file("c", 0, 0)), []string{"a"}},
		{poll(file("a", 2, 1), file("c", 0, 0)), []string{"c"}},
		{poll(file("a", 3, 2), file("c", 0, 0)), nil},
		{poll(file("a", 3, 2), file("c", 0, 0)), nil},
	} {
		if !slices.Equal(step.got, step.want) {
			t.Errorf("poll %d took %v, want %v", i, step.got, step.want)
		}
	}
	if poll(); len(s.Seen) != 0 {
		t.Errorf("files that are gone stay in the state: %v", s.Seen)
	}
}

func TestNextIsTheOldestFileOfWhoIsFurthestBehind(t *testing.T) {
	s := newWatchState()
	s.origin("a").Newest, s.origin("b").Newest = 100, 50
	s.Queue = []queued{
		{file{Path: "a1", ModTime: 1}, "a"}, {file{Path: "b3", ModTime: 3}, "b"},
		{file{Path: "b2", ModTime: 2}, "b"}, {file{Path: "b1", ModTime: 2}, "b"},
	}
	var order []string
	for s.pick() {
		order = append(order, s.Current.Path)
	}
	if !slices.Equal(order, []string{"b1", "b2", "b3", "a1"}) {
		t.Error(order)
	}
}

func TestWatermark(t *testing.T) {
	now := 10_000 * minute
	for _, tc := range []struct {
		name    string
		origins map[string]*progress
		queue   []queued
		opts    []Option
		want    flow.Time
	}{
		{"nothing was ever found", nil, nil, nil, 0},
		{"skew behind the newest record", map[string]*progress{"a": {100 * minute, now}}, nil, nil, 99 * minute},
		{"the least of two", map[string]*progress{"a": {100 * minute, now}, "b": {98 * minute, now}}, nil, nil, 97 * minute},
		{"who lags holds for so long only", map[string]*progress{"a": {100 * minute, now}, "b": {50 * minute, now}}, nil, nil, 94 * minute},
		{"what waits for us holds without limit", map[string]*progress{"a": {100 * minute, now}, "b": {50 * minute, now}}, []queued{{Origin: "b"}}, nil, 49 * minute},
		{"what waits for us and was never read holds all", map[string]*progress{"a": {100 * minute, now}, "b": {}}, []queued{{Origin: "b"}}, nil, 0},
		{"who is idle doesn't hold", map[string]*progress{"a": {100 * minute, now}, "b": {98 * minute, now - 5*minute}}, nil, nil, 99 * minute},
		{"all are idle: by the clock", map[string]*progress{"a": {100 * minute, now - 5*minute}}, nil, nil, now - 6*minute},
		{"idle counts for nothing at 0", map[string]*progress{"a": {100 * minute, 1}}, nil, []Option{IdleTimeout(0)}, 99 * minute},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := newConfig(tc.opts)
			if err != nil {
				t.Fatal(err)
			}
			s := newWatchState()
			s.Queue = tc.queue
			for name, p := range tc.origins {
				s.Origins[name] = p
			}
			if s.advance(c, now); s.Watermark != tc.want {
				t.Errorf("%v, want %v", s.Watermark/minute, tc.want/minute)
			}
			high := s.Watermark
			for _, p := range s.Origins {
				p.Newest = minute
				p.Active = now
			}
			if s.advance(c, now); s.Watermark < high {
				t.Errorf("fell to %v", s.Watermark/minute)
			}
		})
	}
}

func TestAFarFutureRecordDoesNotMoveTheWatermarkBeyondTheFile(t *testing.T) {
	c, _ := newConfig(nil)
	s := newWatchState()
	s.Current = &queued{file{ModTime: 100 * minute}, "a"}
	s.read(200*minute, 1, 9999*minute)
	s.advance(c, 200*minute)
	if s.Watermark != 99*minute {
		t.Error(s.Watermark / minute)
	}
}

// What a format needs of the world may be away: the bundle fails, and the file is not passed over.
func TestAWatchedFileThatCanNotBeReadYet(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "1.log", []byte("a\n"))
	opts := []Option{Format("prepared"), Watch(time.Millisecond), StopAfter(1), StopAt(time.Now().Add(time.Minute))}
	away.Store(true)
	defer away.Store(false)
	if _, err := tryRun(t, []string{dir + "/*"}, opts...); err == nil || !strings.Contains(err.Error(), "nobody answers") {
		t.Fatalf("%v", err)
	}
	away.Store(false)
	if got := run(t, []string{dir + "/*"}, opts...).records(); len(got) != 1 {
		t.Errorf("%v", got)
	}
}
