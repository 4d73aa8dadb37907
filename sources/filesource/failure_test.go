package filesource

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/flowbeam/flowbeam/flow"
)

func TestWhatStaysBrokenBecomesADeadLetterAfterTheRecordsBeforeIt(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var text []byte
	for i := range 20_000 {
		text = fmt.Appendf(text, "%06d %016x\n", i, r.Uint64())
	}
	whole := gz(t, text)
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/2] ^= 0x55
	wrongSum := bytes.Clone(whole)
	wrongSum[len(wrongSum)-8] ^= 1
	zwhole := zst(t, text)
	for _, tc := range []struct {
		name     string
		data     []byte
		opts     []Option
		reason   flow.Reason
		error    string
		min, max int // records
	}{
		{"cut gzip", whole[:len(whole)/2], nil, flow.ReasonCorrupt, "EOF", 5_000, 15_000},
		{"flipped byte in gzip", flipped, nil, flow.ReasonCorrupt, "", 1, 40_000},
		{"wrong checksum at the end", wrongSum, nil, flow.ReasonCorrupt, "checksum", 20_000, 20_000},
		{"rubbish behind gzip", append(bytes.Clone(whole), "rubbish behind the end"...), nil, flow.ReasonCorrupt, "header", 20_000, 20_000},
		{"a gzip header alone", whole[:5], nil, flow.ReasonCorrupt, "EOF", 0, 0},
		{"cut zstd", zwhole[:len(zwhole)/2], nil, flow.ReasonCorrupt, "EOF", 1, 15_000},
		{"more than MaxDecompressed", whole, []Option{MaxDecompressed(100_000)}, flow.ReasonBomb, "more than 100000 bytes", 3_000, 4_167},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			path := write(t, dir, "bad", tc.data)
			good := write(t, dir, "good", []byte("a\n"))
			got := run(t, []string{dir + "/*"}, append(tc.opts, Format("plain"), DataCenter("fra"), Tenant("t"))...)
			var n, next int64
			for _, rec := range got.records() {
				if rec.source == good {
					continue
				}
				// What a flipped byte does shows only at the checksum.
				if want := fmt.Sprintf("%06d ", n); tc.name != "flipped byte in gzip" && (!strings.HasPrefix(rec.data, want) || len(rec.data) != 23) {
					t.Fatalf("record %d is %q", n, rec.data)
				}
				n, next = n+1, rec.offset+int64(len(rec.data))+1
			}
			if n < int64(tc.min) || n > int64(tc.max) || len(got.records()) != int(n)+1 {
				t.Fatalf("%d records of %d, want %d to %d", n, len(got.records()), tc.min, tc.max)
			}
			if len(got.failures) != 1 {
				t.Fatalf("%d failures: %+v", len(got.failures), got.failures)
			}
			f := got.failures[0]
			if f.Reason != tc.reason || !strings.Contains(f.Error, tc.error) || f.Stage != "files" || len(f.Data) > 1024 {
				t.Errorf("failure %+v", f)
			}
			if want := (flow.Position{Source: path, Offset: flow.N(next)}); f.Position != want && tc.name != "flipped byte in gzip" {
				t.Errorf("position %+v, want %+v", f.Position, want)
			}
			if f.DataCenter != "fra" || f.Tenant != "t" || f.Format != "plain" || f.SourceTime == 0 || f.Version == "" {
				t.Errorf("failure %+v", f)
			}
			if got.counts["files/read"] != 1 {
				t.Errorf("counts %v", got.counts)
			}
		})
	}
}

func TestReadPassesNearMissesOfABomb(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "small", gz(t, bytes.Repeat([]byte("the same line\n"), 1<<16))) // 900 kB at hundreds to one
	got := run(t, []string{dir + "/*"}, Format("plain"))
	if len(got.records()) != 1<<16 || len(got.failures) > 0 {
		t.Fatalf("%d records, %v", len(got.records()), got.failures)
	}
}

func TestABombIsStoppedWithMemoryFlat(t *testing.T) {
	for name, compress := range map[string]func(io.Writer) io.WriteCloser{
		"gzip": func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
		"zstd": func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z },
	} {
		t.Run(name, func(t *testing.T) {
			// One line of 1 GiB would be the same; 256 MiB shows it in less time.
			var b bytes.Buffer
			w := compress(&b)
			if _, err := io.WriteString(w, "a record\n"); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(w, &pattern{n: 256 << 20}); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			path := write(t, t.TempDir(), "bomb", b.Bytes())
			b = bytes.Buffer{}
			c, err := newConfig([]Option{Format("plain")})
			if err != nil {
				t.Fatal(err)
			}
			runtime.GC()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			st, _ := os.Stat(path)
			p, err := c.openPart(t.Context(), file{Path: path, Size: st.Size()}, 0, st.Size())
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if batch, err := p.next(); err != nil || len(batch.Records) != 1 {
				t.Fatal(len(batch.Records), err)
			}
			_, err = p.next()
			bad, ok := err.(*failure)
			if !ok || bad.Reason != flow.ReasonBomb || bad.Position.Offset != flow.N(9) || len(bad.Data) != 1024 {
				t.Fatal(err)
			}
			runtime.ReadMemStats(&after)
			if grown := int64(after.TotalAlloc - before.TotalAlloc); grown > 32<<20 {
				t.Errorf("allocated %d bytes", grown)
			}
			if p.cut.off > ratioFrom+1<<20 {
				t.Errorf("stopped only after %d bytes", p.cut.off)
			}
		})
	}
}

func TestAFileThatNoFormatFitsIsOneDeadLetter(t *testing.T) {
	for name, tc := range map[string]struct{ data, looks string }{
		"parquet":     {"PAR1\x15\x04" + strings.Repeat("\x00", 5000), "a Parquet file"},
		"avro":        {"Obj\x01\x04", "an Avro file"},
		"utf-16":      {"\xff\xfea\x00", "UTF-16"},
		"binary":      {"a\x00b", "binary"},
		"json array":  {"[\n{}]", "a JSON array"},
		"json":        {`{"a":1}`, "JSON of an unknown shape"},
		"csv":         {"a,b,c,d\n1,2,3,4\n", "comma-separated"},
		"zip":         {"PK\x03\x04", "a zip"},
		"other text":  {"hello\n", "text"},
		"split text":  {strings.Repeat("hello\n", 1000), "text"},
		"cut in rune": {strings.Repeat("é", headBytes), "text"},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, []string{write(t, t.TempDir(), "in", []byte(tc.data))}, SplitBytes(1000))
			if len(got.batches) > 0 || len(got.failures) != 1 {
				t.Fatalf("%d batches, failures %+v", len(got.batches), got.failures)
			}
			f := got.failures[0]
			if f.Reason != flow.ReasonFormat || !strings.Contains(f.Error, "looks like "+tc.looks) || f.Size != int64(len(tc.data)) || f.Data == "" {
				t.Errorf("failure %+v", f)
			}
		})
	}
	for _, empty := range []string{"", " \n\r\n", "\ufeff\n"} {
		got := run(t, []string{write(t, t.TempDir(), "in", []byte(empty))})
		if len(got.batches)+len(got.failures) > 0 || got.counts["files/files"] != 1 {
			t.Errorf("%q: %+v", empty, got)
		}
	}
}

func TestAFileThatCannotBeOpenedIsADeadLetter(t *testing.T) {
	dir := t.TempDir()
	gone := file{Path: filepath.Join(dir, "gone"), Size: 100, ModTime: 5}
	c, _ := newConfig([]Option{Format("plain")})
	for name, f := range map[string]file{"gone since it was matched": gone, "a directory": {Path: dir, Size: 4096}} {
		_, err := c.openPart(t.Context(), f, 0, f.Size)
		if bad, ok := err.(*failure); !ok || bad.Reason != flow.ReasonCorrupt || bad.Position.Source != f.Path {
			t.Errorf("%s: %v", name, err)
		}
	}
	// One that shrank says so after what there is.
	path := write(t, dir, "short", []byte("a\nb"))
	p, err := c.openPart(t.Context(), file{Path: path, Size: 10}, 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	b, err := p.next()
	if err != nil || len(b.Records) != 1 {
		t.Fatal(b, err)
	}
	if _, err := p.next(); err == nil || !strings.Contains(err.Error(), "shorter than when it was matched") {
		t.Error(err)
	}
}
