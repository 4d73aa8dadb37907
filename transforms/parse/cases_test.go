package parse

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
)

var update = flag.Bool("update", false, "write the golden files of testdata/cases anew")

// TestCases walks testdata/cases/<format>/<case>: input is parsed as the format that its
// folder names, and records, dead letters and counts are compared with the golden files.
// A file named detect lets the format be detected; a file named header holds a declared
// header.
func TestCases(t *testing.T) {
	inputs, err := filepath.Glob("testdata/cases/*/*/input")
	if err != nil || len(inputs) == 0 {
		t.Fatal("no cases", err)
	}
	for _, input := range inputs {
		dir := filepath.Dir(input)
		name, _ := filepath.Rel("testdata/cases", dir)
		t.Run(filepath.ToSlash(name), func(t *testing.T) {
			data, err := os.ReadFile(input)
			if err != nil {
				t.Fatal(err)
			}
			header, _ := os.ReadFile(filepath.Join(dir, "header"))
			format := filepath.Base(filepath.Dir(dir))
			if _, err := os.Stat(filepath.Join(dir, "detect")); err == nil {
				format = ""
			}
			in := readAsSource(t, format, string(header), data)
			in.Origin.Source = "input"
			f := newFn(t, parseFn{CommunityID: true})
			out, bad := f.parse(&in)
			golden(t, filepath.Join(dir, "records.golden.ndjson"), lines(&flow.Records, out.Records))
			golden(t, filepath.Join(dir, "failures.golden.ndjson"), lines(&flow.Failures, bad))
			golden(t, filepath.Join(dir, "counts"), []byte(f.n.String()))
		})
	}
}

func (n tally) String() string {
	return fmt.Sprintf("read %d\ngaps %d\nfailed %d\nfiltered %d\n", n.read, n.gaps, n.failed, n.filtered)
}

func lines[T any](table *flow.Table[T], rows []T) []byte {
	var b []byte
	for i := range rows {
		b = append(flow.AppendRow(b, table, &rows[i]), '\n')
	}
	return b
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("%s:\n%s", path, cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")))
	}
}

// readAsSource cuts a file into raw records as a file source does: the header, found by
// the format, then lines, or what a format makes of them, with their offsets.
func readAsSource(t testing.TB, format, header string, data []byte) flow.RawBatch {
	t.Helper()
	name := format
	if name == "" {
		var err error
		if name, err = flow.DetectFormat(data); err != nil {
			t.Fatal(err)
		}
	}
	in := flow.RawBatch{Origin: flow.Origin{Format: name, Header: header}} // as the source finds it
	start := 0
	info, _ := flow.FormatNamed(name)
	if info.Header != nil && header == "" {
		start = info.Header(data)
		in.Origin.Header = string(data[:start])
	}
	if info.Open != nil {
		c, err := info.Open(data, bytes.NewReader(data), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		if c != nil {
			containerAsSource(t, &in, c)
			return in
		}
	}
	if info, ok := flow.FormatNamed(name); ok && info.Split != nil {
		if splitter := info.Split(data[start:]); splitter != nil {
			splitAsSource(&in, splitter, data, start)
			if info.Learn != nil {
				learnAsSource(t, &in, info)
			}
			return in
		}
	}
	for start < len(data) {
		end := len(data)
		if n := bytes.IndexByte(data[start:], '\n'); n >= 0 {
			end = start + n + 1
		}
		in.Records = append(in.Records, flow.Raw{Data: bytes.TrimSuffix(data[start:end], []byte("\n")), Offset: flow.N(int64(start)), Time: 1_700_000_000e9})
		start = end
	}
	return in
}

func containerAsSource(t testing.TB, in *flow.RawBatch, c flow.Container) {
	t.Helper()
	in.Origin.Header = c.Header()
	for {
		b, err := c.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		in.Records = append(in.Records, flow.Raw{Data: bytes.Clone(b), Offset: flow.N(int64(len(in.Records))), Time: 1_700_000_000e9})
	}
}

// learnAsSource shows the units to the format's Learner, and takes what it gives.
func learnAsSource(t testing.TB, in *flow.RawBatch, info flow.FormatInfo) {
	t.Helper()
	l, err := info.Learn(in.Origin.Header)
	if err != nil {
		t.Fatal(err)
	}
	frames := in.Records
	in.Records, in.Origin.Header = nil, ""
	emit := func(r flow.Raw) { in.Records = append(in.Records, r) }
	for _, r := range frames {
		l.Next(r, emit)
	}
	l.End(emit)
}

func splitAsSource(in *flow.RawBatch, splitter flow.Splitter, data []byte, start int) {
	splitAsSourceBy(in, splitter, data[:len(data):len(data)], len(data), start)
}

// splitAsSourceBy shows the splitter so many bytes at a time.
func splitAsSourceBy(in *flow.RawBatch, splitter flow.Splitter, data []byte, cut int, from ...int) {
	start := 0
	if len(from) > 0 {
		start = from[0]
	}
	begin := -1
	add := func(end int) {
		in.Records = append(in.Records, flow.Raw{Data: data[begin:end], Offset: flow.N(int64(begin)), Time: 1_700_000_000e9})
		begin = -1
	}
	for start < len(data) {
		n, at := splitter.Scan(data[start:min(len(data), start+cut)])
		start += n
		switch at {
		case flow.SplitBegin:
			begin = start
		case flow.SplitEnd:
			add(start)
		}
	}
	if begin >= 0 {
		add(len(data))
	}
}
