package sample_test

import (
	"bufio"
	"bytes"
	stdgzip "compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/sample"
)

func TestTruthAddsUpToTheFiles(t *testing.T) {
	truth := sample.Truth()
	names, err := fs.Glob(sample.Files(), sample.Pattern)
	if err != nil {
		t.Fatal(err)
	}
	var lines, again, gaps, size int64
	seen := map[string]bool{}
	for _, name := range names {
		f, ok := truth.Files[name]
		if !ok {
			t.Errorf("%s: not in the truth", name)
			continue
		}
		b, err := fs.ReadFile(sample.Files(), name)
		if err != nil {
			t.Fatal(err)
		}
		size += int64(len(b))
		var n int64
		for _, l := range decompress(t, name, b) {
			switch {
			case l == "", strings.HasPrefix(l, "#"), strings.HasPrefix(l, "version "):
				continue
			case strings.HasPrefix(name, "dc=iad/interface-counters"):
				continue
			case strings.HasSuffix(l, "DATA"):
				gaps++
			case seen[l]:
				again++
			}
			seen[l] = true
			n++
		}
		if n != f.Lines {
			t.Errorf("%s: %d lines, the truth says %d", name, n, f.Lines)
		}
		lines += n
	}
	if len(truth.Files) != len(names) {
		t.Errorf("%d files, %d in the truth", len(names), len(truth.Files))
	}
	// Three files have one dead letter of their own beside their lines.
	if lines+3 != truth.Read || truth.Read < 20_000 {
		t.Errorf("%d lines, truth %d", lines, truth.Read)
	}
	if again != truth.Duplicates || gaps != truth.Gaps {
		t.Errorf("%d duplicates and %d gaps, truth %d and %d", again, gaps, truth.Duplicates, truth.Gaps)
	}
	if truth.Read != truth.Unique+truth.Duplicates+truth.Gaps+truth.DeadLetters.Total {
		t.Errorf("%+v does not add up", truth.Totals)
	}
	if size > 1_500_000 {
		t.Errorf("the sample has %d bytes", size)
	}
}

func decompress(t *testing.T, name string, b []byte) []string {
	t.Helper()
	if strings.HasSuffix(name, ".zst") { // the bomb: one line, and one that does not end
		z, err := zstd.NewReader(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		first, err := bufio.NewReader(z).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return []string{first[:len(first)-1]}
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if cut := strings.Contains(name, "-cut."); cut && !errors.Is(err, io.ErrUnexpectedEOF) || !cut && err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	std, err := stdgzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if other, _ := io.ReadAll(std); !bytes.Equal(other, text) {
		t.Errorf("%s: the standard library's decoder reads something else", name)
	}
	return strings.Split(string(text), "\n")
}

func TestTheSampleHasWhatItPromises(t *testing.T) {
	truth := sample.Truth()
	for _, r := range []flow.Reason{flow.ReasonSyntax, flow.ReasonField, flow.ReasonValue, flow.ReasonTimeRange, flow.ReasonOversize, flow.ReasonEncoding, flow.ReasonFormat, flow.ReasonCorrupt, flow.ReasonBomb} {
		if truth.DeadLetters.ByReason[r] == 0 {
			t.Errorf("no dead letter with reason %s", r)
		}
	}
	for _, f := range []string{"canopus", "zeek", "aws_vpc"} {
		if truth.ByFormat[f] == nil || truth.ByFormat[f].Duplicates == 0 {
			t.Errorf("no duplicates of %s", f)
		}
	}
	if truth.Gaps == 0 || truth.ByDataCenter["fra"] == nil || truth.ByDataCenter["iad"] == nil {
		t.Errorf("%+v", truth.Totals)
	}
	days := map[string]bool{}
	for minute := range truth.ByMinute {
		days[minute[:10]] = true
	}
	if len(days) != 2 {
		t.Errorf("%v, want two days", days)
	}
}

func TestExtractIsTheSameEachTime(t *testing.T) {
	dir := t.TempDir()
	snapshot := func() (out []string) {
		if err := sample.Extract(dir); err != nil {
			t.Fatal(err)
		}
		names, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(sample.Pattern)))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			info, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			want := sample.ModTime
			if strings.Contains(filepath.ToSlash(name), "/dc=iad/") {
				want = want.Add(sample.Lag)
			}
			if !info.ModTime().Equal(want) {
				t.Errorf("%s: modified at %v, want %v", name, info.ModTime(), want)
			}
			out = append(out, fmt.Sprint(name, info.Size(), info.Mode(), info.ModTime().UTC()))
		}
		return out
	}
	first := snapshot()
	if len(first) != len(sample.Truth().Files) {
		t.Errorf("%d files, truth %d", len(first), len(sample.Truth().Files))
	}
	if again := snapshot(); !slices.Equal(again, first) {
		t.Errorf("the second time gave\n%v, the first\n%v", again, first)
	}
	if err := sample.Extract(filepath.Join(dir, "dc=fra", "conn.log.gz")); err == nil {
		t.Error("a file in the place of the folder is no error")
	}
}

func ExampleExtract() {
	dir, err := os.MkdirTemp("", "sample")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if err := sample.Extract(dir); err != nil {
		panic(err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "dc=fra", "*"))
	for _, f := range files {
		fmt.Println(filepath.Base(f))
	}
	// Output:
	// canopus-again.ndjson.gz
	// canopus-bomb.ndjson.zst
	// canopus.ndjson.gz
	// conn-again.log.gz
	// conn.log.gz
	// vpcflow-again.log.gz
	// vpcflow.log.gz
}
