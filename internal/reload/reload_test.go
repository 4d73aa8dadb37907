package reload

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var errBad = errors.New("not good")

// text parses a file whose content must begin with "good".
func text(data []byte) (string, error) {
	if !strings.HasPrefix(string(data), "good") {
		return "", errBad
	}
	return string(data), nil
}

func write(t *testing.T, path, content string, age time.Duration) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-age)
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

// looks looks n times and returns the outcomes that were not "nothing".
func looks(f *File[string], n int) (changed int, errs []error) {
	for range n {
		c, err := f.look()
		if c {
			changed++
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return changed, errs
}

func TestAFileIsLoadedOnceInAProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	write(t, path, "good", time.Hour)
	var loads atomic.Int32
	var wg sync.WaitGroup
	all := make([]*File[string], 50)
	for i := range all {
		wg.Go(func() {
			f, err := Open("once", path, func(b []byte) (string, error) { loads.Add(1); return text(b) })
			if err != nil {
				t.Error(err)
			}
			all[i] = f
		})
	}
	wg.Wait()
	if n := loads.Load(); n != 1 {
		t.Errorf("loaded %d times, want 1", n)
	}
	for _, f := range all {
		if f != all[0] {
			t.Fatal("two values of one file")
		}
	}
	if _, err := Open("once", path, func([]byte) (int, error) { return 0, nil }); err == nil {
		t.Error("one kind with two types was accepted")
	}
}

func TestABadFileAtTheStartIsAnErrorWithPathAndCauseAndIsTriedAgain(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if _, err := Open("start", path, text); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("absent file: %v", err)
	}
	if _, err := Open("start", dir, text); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("directory: %v", err)
	}
	write(t, path, "bad", time.Hour)
	if _, err := Open("start", path, text); !errors.Is(err, errBad) || !strings.Contains(err.Error(), path) {
		t.Errorf("bad file: %v", err)
	}
	write(t, path, "good", time.Hour)
	if f, err := Open("start", path, text); err != nil || *f.Get() != "good" {
		t.Errorf("after it was mended: %v", err)
	}
}

func TestLook(t *testing.T) {
	type step struct {
		do      func(t *testing.T, path string)
		looks   int
		changed int
		errors  int
		want    string
	}
	put := func(content string, age time.Duration) func(*testing.T, string) {
		return func(t *testing.T, path string) { write(t, path, content, age) }
	}
	rename := func(content string, age time.Duration) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			write(t, path+".new", content, age)
			if err := os.Rename(path+".new", path); err != nil {
				t.Fatal(err)
			}
		}
	}
	nothing := func(*testing.T, string) {}
	for name, steps := range map[string][]step{
		"an unchanged file is left alone":               {{nothing, 5, 0, 0, "good 1"}},
		"overwritten in place, read at the second look": {{put("good 2", time.Minute), 1, 0, 0, "good 1"}, {nothing, 1, 1, 0, "good 2"}, {nothing, 3, 0, 0, "good 2"}},
		"renamed over": {{rename("good 2", time.Minute), 2, 1, 0, "good 2"}},
		"renamed over with the same size and time":      {{rename("good 2", time.Hour), 2, 1, 0, "good 2"}},
		"still being written, waited for":               {{put("good 22", time.Minute), 1, 0, 0, "good 1"}, {put("good 333", time.Second), 1, 0, 0, "good 1"}, {nothing, 1, 1, 0, "good 333"}},
		"a bad file keeps the old one and is said once": {{put("bad", time.Minute), 5, 0, 1, "good 1"}, {put("good 2", time.Second), 2, 1, 0, "good 2"}},
		"truncated keeps the old one":                   {{put("", time.Minute), 5, 0, 1, "good 1"}},
		"removed keeps the old one and is said once": {{func(t *testing.T, path string) { os.Remove(path) }, 5, 0, 1, "good 1"},
			{put("good 2", time.Minute), 2, 1, 0, "good 2"}},
		"touched, the same content is not a new edition": {{put("good 1", time.Minute), 5, 0, 0, "good 1"}},
		"bad and back again":                             {{put("bad", time.Minute), 2, 0, 1, "good 1"}, {put("good 1", 2*time.Minute), 2, 1, 0, "good 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "f")
			when := time.Now().Add(-time.Hour)
			write(t, path, "good 1", 0)
			os.Chtimes(path, when, when)
			f, err := Open("look", path, text)
			if err != nil {
				t.Fatal(err)
			}
			for i, s := range steps {
				s.do(t, path)
				changed, errs := looks(f, s.looks)
				if changed != s.changed || len(errs) != s.errors || *f.Get() != s.want {
					t.Errorf("step %d: changed %d, errors %v, value %q; want %d, %d, %q", i, changed, errs, *f.Get(), s.changed, s.errors, s.want)
				}
			}
		})
	}
}

func TestASecondWriteInOneTickOfTheClockIsSeen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	write(t, path, "good 1", 0)
	at := time.Now()
	os.Chtimes(path, at, at)
	f, err := Open("tick", path, text)
	if err != nil {
		t.Fatal(err)
	}
	if !f.recheck {
		t.Fatal("a file written this moment is trusted")
	}
	// The same size, and the same time: as if both writes came in one tick.
	if err := os.WriteFile(path, []byte("good 2"), 0o644); err != nil {
		t.Fatal(err)
	}
	past := time.Now().Add(-time.Minute) // a minute later
	os.Chtimes(path, past, past)
	f.loaded.modified = past.UnixNano()
	if changed, err := f.look(); !changed || err != nil || *f.Get() != "good 2" {
		t.Errorf("changed %v, %v, value %q", changed, err, *f.Get())
	}
	if f.recheck {
		t.Error("read again for ever")
	}
}

func TestPollLooksOnceInAnInterval(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	write(t, path, "good 1", time.Hour)
	f, err := Open("interval", path, text)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, "good 2", time.Minute)
	for range 5 {
		f.Poll(context.Background(), time.Hour)
	}
	if *f.Get() != "good 1" {
		t.Error("looked before the interval was over")
	}
	for range 5 {
		f.Poll(context.Background(), 0)
	}
	if *f.Get() != "good 2" {
		t.Error("not looked after the interval was over")
	}
}

func BenchmarkPollWithinTheInterval(b *testing.B) {
	path := filepath.Join(b.TempDir(), "f")
	if err := os.WriteFile(path, []byte("good"), 0o644); err != nil {
		b.Fatal(err)
	}
	f, err := Open("bench", path, text)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		f.Poll(context.Background(), time.Hour)
	}
}
