package collect

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/flowbeam/flowbeam/internal/datagram"
)

var someone = netip.MustParseAddrPort("192.0.2.1:2055")

func testFiles(t testing.TB, change func(*FilesConfig)) *Files {
	t.Helper()
	c := FilesConfig{Dir: t.TempDir(), Host: "host-1.example", Every: time.Minute, Bytes: 1 << 20}
	if change != nil {
		change(&c)
	}
	if problems := c.Check(); len(problems) > 0 {
		t.Fatal(problems)
	}
	return NewFiles(c)
}

// whole reads the files that are whole, in the order of their names.
func whole(t testing.TB, dir string) (files []string, envelopes []envelope) {
	t.Helper()
	found, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range found {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		files = append(files, e.Name())
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(e.Name(), ".zst") {
			d, err := zstd.NewReader(nil)
			if err != nil {
				t.Fatal(err)
			}
			if b, err = d.DecodeAll(b, nil); err != nil {
				t.Fatal(e.Name(), err)
			}
			d.Close()
		}
		for _, p := range split(t, b) {
			envelopes = append(envelopes, opened(t, p))
		}
	}
	return files, envelopes
}

func payload(i int) []byte { return fmt.Appendf(nil, "datagram %d", i) }

func checkOrder(t testing.TB, envelopes []envelope, n int) {
	t.Helper()
	if len(envelopes) != n {
		t.Fatalf("%d envelopes, want %d", len(envelopes), n)
	}
	for i, e := range envelopes {
		if string(e.data) != string(payload(i)) || e.from != someone || e.received != 7 {
			t.Fatalf("envelope %d: %v %q", i, e.from, e.data)
		}
	}
}

func TestAFileEndsByAgeOrSizeAndIsThereWhenItIsWhole(t *testing.T) {
	for _, compressed := range []bool{false, true} {
		f := testFiles(t, func(c *FilesConfig) { c.Zstd, c.Bytes = compressed, 10*(4+13+4+10) })
		now := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
		f.now = func() time.Time { return now }
		var totals Totals
		ctx := t.Context()
		for i := range 10 { // by size
			f.Write(ctx, newItem(&totals, someone, 7, payload(i)))
		}
		if files, _ := whole(t, f.c.Dir); len(files) != 1 || totals.Written.Load() != 10 {
			t.Fatalf("%d files, %d written", len(files), totals.Written.Load())
		}
		f.Idle(ctx)
		f.Write(ctx, newItem(&totals, someone, 7, payload(10)))
		now = now.Add(59 * time.Second)
		f.Idle(ctx)
		if files, _ := whole(t, f.c.Dir); len(files) != 1 || totals.Written.Load() != 10 || len(f.Leftovers()) != 1 {
			t.Fatalf("before its time: %d files, %d written, %d under temporary names", len(files), totals.Written.Load(), len(f.Leftovers()))
		}
		now = now.Add(time.Second) // by age
		f.Idle(ctx)
		if totals.Written.Load() != 11 {
			t.Fatal("the age did not end the file")
		}
		f.Write(ctx, newItem(&totals, someone, 7, payload(11))) // by the end
		if err := f.Close(ctx); err != nil {
			t.Fatal(err)
		}
		files, envelopes := whole(t, f.c.Dir)
		checkOrder(t, envelopes, 12)
		ending := map[bool]string{false: ".lp", true: ".lp.zst"}[compressed]
		want := []string{"host-1.example-20260115T120000Z-000001" + ending, "host-1.example-20260115T120000Z-000002" + ending, "host-1.example-20260115T120100Z-000003" + ending}
		if !slices.Equal(files, want) || len(f.Leftovers()) != 0 {
			t.Errorf("%v, left %v", files, f.Leftovers())
		}
		if totals.Written.Load() != 12 || totals.Envelopes.Load() != 12 {
			t.Errorf("%d written", totals.Written.Load())
		}
	}
}

// What a process that is killed had for longer than a second is on the disk.
func TestWhatIsOfAKilledProcessCanBeRead(t *testing.T) {
	for _, compressed := range []bool{false, true} {
		f := testFiles(t, func(c *FilesConfig) { c.Zstd = compressed })
		now := time.Now()
		f.now = func() time.Time { return now }
		var totals Totals
		f.Write(t.Context(), newItem(&totals, someone, 7, payload(0)))
		now = now.Add(flushEvery)
		f.Idle(t.Context())
		b, err := os.ReadFile(f.Leftovers()[0])
		if err != nil {
			t.Fatal(err)
		}
		if compressed {
			d, err := zstd.NewReader(strings.NewReader(string(b)))
			if err != nil {
				t.Fatal(err)
			}
			b = make([]byte, 4+13+4+10)
			if n, err := d.Read(b); n != len(b) {
				t.Fatal(n, err)
			}
		}
		checkOrder(t, []envelope{opened(t, split(t, b)[0])}, 1)
	}
}

// Two processes of one host, that begin in the same second, have names of their own.
func TestNamesAreTakenOnce(t *testing.T) {
	a := testFiles(t, nil)
	b := NewFiles(a.c)
	now := time.Now()
	a.now, b.now = func() time.Time { return now }, func() time.Time { return now }
	var totals Totals
	for i := range 6 {
		f := []*Files{a, b}[i%2]
		f.Write(t.Context(), newItem(&totals, someone, 7, payload(i)))
		if i > 1 {
			f.Close(t.Context())
		}
	}
	a.Close(t.Context())
	b.Close(t.Context())
	if files, envelopes := whole(t, a.c.Dir); len(envelopes) != 6 || totals.Written.Load() != 6 {
		t.Errorf("%d envelopes in %v", len(envelopes), files)
	}
}

var errDisk = errors.New("no space left on device")

// A disk that is full for a while costs nothing.
func TestADiskThatIsFullIsTriedAgain(t *testing.T) {
	for _, step := range []string{"create", "write", "rename"} {
		f := testFiles(t, nil)
		failures := 0
		f.fault = func(at string) error {
			if at == step && failures < 2 {
				failures++
				return errDisk
			}
			return nil
		}
		var totals Totals
		for i := range 3 {
			f.Write(t.Context(), newItem(&totals, someone, 7, payload(i)))
		}
		if err := f.Close(t.Context()); err != nil || failures != 2 {
			t.Errorf("%s: %v after %d failures", step, err, failures)
		}
		_, envelopes := whole(t, f.c.Dir)
		checkOrder(t, envelopes, 3)
		if totals.Written.Load() != 3 {
			t.Errorf("%s: %d written", step, totals.Written.Load())
		}
	}
}

// What is not on the disk when the time is over is not counted as written, and has no name that
// readers see.
func TestWhatADiskDoesNotTakeIsLostAndCounted(t *testing.T) {
	for _, step := range []string{"create", "write", "sync", "rename"} {
		f := testFiles(t, func(c *FilesConfig) { c.Zstd = true })
		f.fault = func(at string) error {
			if at == step {
				return errDisk
			}
			return nil
		}
		var totals Totals
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		for i := range 3 {
			f.Write(ctx, newItem(&totals, someone, 7, payload(i)))
		}
		err := f.Close(ctx)
		cancel()
		if step != "create" && !errors.Is(err, errDisk) {
			t.Errorf("%s: %v", step, err)
		}
		if files, _ := whole(t, f.c.Dir); len(files) != 0 || totals.DroppedSink.Load() != 3 || totals.Written.Load() != 0 {
			t.Errorf("%s: files %v, %d lost, %d written", step, files, totals.DroppedSink.Load(), totals.Written.Load())
		}
	}
}

func TestProblemsOfFilesAreAllTold(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	c := FilesConfig{Dir: file, Host: "a/b"}
	problems := fmt.Sprint(c.Check())
	for _, flag := range []string{"host", "file_every", "file_bytes", "output"} {
		if !regexp.MustCompile("--" + flag + ":").MatchString(problems) {
			t.Errorf("%s is not in %s", flag, problems)
		}
	}
}

func BenchmarkFiles(b *testing.B) {
	for _, compressed := range []bool{false, true} {
		b.Run(fmt.Sprintf("zstd=%v", compressed), func(b *testing.B) {
			f := testFiles(b, func(c *FilesConfig) { c.Zstd, c.Bytes = compressed, 64<<20 })
			data := payloads(b, captures(b)[0])
			var totals Totals
			size := int64(0)
			for i := 0; b.Loop(); i++ {
				d := data[i%len(data)]
				size += int64(len(d))
				f.Write(b.Context(), newItem(&totals, someone, 7, d))
			}
			f.Close(b.Context())
			b.SetBytes(size / int64(b.N))
		})
	}
}

// The memory of an Item that is written serves another one.
func TestAnItemIsNotMixedWithAnother(t *testing.T) {
	var totals Totals
	a := newItem(&totals, someone, 7, payload(0))
	a.parts = &parts{}
	a.parts.left.Store(2)
	a.Written()
	b := newItem(&totals, someone, 7, payload(1))
	if b.parts != nil {
		t.Error("an Item has the parts of one before")
	}
	if _, _, data, ok := datagram.OpenEnvelope(b.Data); !ok || string(data) != string(payload(1)) {
		t.Errorf("%q", data)
	}
}
