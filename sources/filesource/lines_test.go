package filesource

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// cutAll returns all lines as records, the data of those beyond max replaced by their size
// and hash.
func cutAll(t testing.TB, r io.Reader, max int) []record {
	t.Helper()
	return cutAllWith(t, &lineCutter{r: r, max: max})
}

func cutAllWith(t testing.TB, c *lineCutter) []record {
	t.Helper()
	var out []record
	for {
		l, err := c.next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		rec := record{offset: l.offset, data: string(l.data)}
		if l.oversize {
			rec.data = fmt.Sprint("oversize ", l.size, " ", l.sha256, " ", string(l.data))
		}
		out = append(out, rec)
	}
}

// expected is what cutAll should give.
func expected(text []byte, max int) []record {
	out := oracle("", text, 0)
	for i, r := range out {
		if len(r.data) > max {
			sum := sha256.Sum256([]byte(r.data))
			out[i].data = fmt.Sprint("oversize ", len(r.data), " ", hex.EncodeToString(sum[:]), " ", r.data[:min(len(r.data), 1024)])
		}
	}
	return out
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", 3000)
	for name, text := range map[string]string{
		"nothing":                              "",
		"one line without an end":              "a",
		"line ends of both kinds":              "a\nb\r\nc\n",
		"only the last \\r goes":               "a\r\r\nb\rc\n",
		"\\r at the end of the file":           "a\r",
		"blank lines":                          "\n\r\n \t\r\na\n\n\n",
		"oversize at the start":                long + "\nb\n",
		"oversize in the middle":               "a\n" + long + "\r\nb\n",
		"oversize at the end":                  "a\n" + long,
		"oversize with \\r within":             long + "\r" + long + "\r\nb",
		"exactly the cap, with \\r\\n":         strings.Repeat("y", 64) + "\r\nb\n",
		"one above the cap":                    strings.Repeat("y", 65) + "\nb\n",
		"oversize of white space is no record": strings.Repeat(" ", 5000) + "\nb\n",
		"NUL bytes and no UTF-8":               "\x00\xff\n\xfe\n",
	} {
		t.Run(name, func(t *testing.T) {
			want := expected([]byte(text), 64)
			if d := cmp.Diff(want, cutAll(t, strings.NewReader(text), 64), cmpRecords); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(want, cutAll(t, iotest.OneByteReader(strings.NewReader(text)), 64), cmpRecords); d != "" {
				t.Error("byte by byte: ", d)
			}
			if d := cmp.Diff(want, cutAll(t, iotest.DataErrReader(strings.NewReader(text)), 64), cmpRecords); d != "" {
				t.Error("with the end in the last read: ", d)
			}
		})
	}
}

func TestLinesKeepWhatThereIsWhenReadingFails(t *testing.T) {
	for _, size := range []int{10, 500, 5000} {
		c := lineCutter{r: io.MultiReader(strings.NewReader("a\n"+strings.Repeat("b", size)), iotest.ErrReader(errors.New("broken"))), max: 64}
		if l, err := c.next(); err != nil || string(l.data) != "a" {
			t.Fatal(l, err)
		}
		l, err := c.next()
		if err == nil || err.Error() != "broken" || l.offset != 2 || len(l.data) != min(size, 1024) || l.oversize {
			t.Errorf("size %d: offset %d, %d bytes, oversize %v, %v", size, l.offset, len(l.data), l.oversize, err)
		}
	}
}

// slowReader gives chunks of the lengths in cuts, over and over.
type slowReader struct {
	b    []byte
	cuts []byte
	i    int
}

func (s *slowReader) Read(p []byte) (int, error) {
	if len(s.b) == 0 {
		return 0, io.EOF
	}
	n := len(s.b)
	if len(s.cuts) > 0 {
		n = min(n, int(s.cuts[s.i%len(s.cuts)]))
		s.i++
	}
	n = copy(p, s.b[:n])
	s.b = s.b[n:]
	return n, nil
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("a\r\n\nb"), []byte{1, 3}, byte(3))
	f.Add(bytes.Repeat([]byte("long\r"), 600), []byte{7}, byte(0))
	f.Fuzz(func(t *testing.T, text, cuts []byte, max byte) {
		for i := range cuts {
			cuts[i] |= 1
		}
		// The oracle's white space is a bit wider.
		if bytes.ContainsAny(text, "\u0085\u00a0") || bytes.ContainsFunc(text, func(r rune) bool { return r > 127 }) {
			t.Skip()
		}
		if d := cmp.Diff(expected(text, int(max)), cutAll(t, &slowReader{b: text, cuts: cuts}, int(max)), cmpRecords); d != "" {
			t.Fatal(d)
		}
	})
}

// pattern is an endless reader of one line's bytes, up to n.
type pattern struct{ n int64 }

func (p *pattern) Read(b []byte) (int, error) {
	if p.n == 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(b)), p.n))
	for i := range b[:n] {
		b[i] = 'z'
	}
	p.n -= int64(n)
	return n, nil
}

func TestOversizeLineLeavesMemoryFlatAndNeighboursAlone(t *testing.T) {
	const size = 64 << 20
	few := strings.Repeat("a record\n", 5000)
	c := lineCutter{r: io.MultiReader(strings.NewReader(few), &pattern{n: size}, strings.NewReader("\n"+few)), max: defaultMaxLine}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n, long := 0, line{}
	for {
		l, err := c.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if l.oversize {
			long = l
		} else if string(l.data) != "a record" {
			t.Fatalf("line %d: %d bytes", n, len(l.data))
		}
		n++
	}
	runtime.ReadMemStats(&after)
	if n != 10001 || long.size != size || len(long.data) != 1024 || long.offset != int64(len(few)) {
		t.Fatalf("%d lines, the long one of %d at %d", n, long.size, long.offset)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 8<<20 {
		t.Fatalf("allocated %d bytes for a line of %d", got, size)
	}
}

func BenchmarkLines(b *testing.B) {
	one := []byte(`{"ts":1767225600.123,"client":"10.1.2.3","server":"192.0.2.1","upload":12345,"download":678901,"user":"subscriber-000123","protocol":6,"client_port":51234,"server_port":443,"rtt":12.5,"loss":0.01}` + "\n")
	text := bytes.Repeat(one, 50_000)
	records := 50_000.0
	scan := func() {
		s := bufio.NewScanner(bytes.NewReader(text))
		s.Buffer(make([]byte, 256<<10), 1<<20)
		var kept [][]byte
		for s.Scan() {
			kept = append(kept, bytes.Clone(s.Bytes()))
			if len(kept) == 1000 {
				kept = nil
			}
		}
	}
	c, _ := newConfig(nil)
	cut := func() {
		p := &part{c: c, end: int64(len(text)), cut: lineCutter{r: bytes.NewReader(text), max: c.MaxLine}}
		n := 0
		for {
			batch, err := p.next()
			if err == io.EOF {
				break
			}
			n += len(batch.Records)
		}
		if n != int(records) {
			b.Fatal(n)
		}
	}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	var ours, theirs time.Duration
	var m0, m1 runtime.MemStats
	var allocs uint64
	for b.Loop() {
		start := time.Now()
		runtime.ReadMemStats(&m0)
		cut()
		runtime.ReadMemStats(&m1)
		allocs += m1.Mallocs - m0.Mallocs
		middle := time.Now()
		scan()
		ours, theirs = ours+middle.Sub(start), theirs+time.Since(middle)
	}
	b.ReportMetric(float64(ours.Nanoseconds())/float64(b.N)/records, "ns/record")
	b.ReportMetric(float64(allocs)/float64(b.N)/records, "allocs/record")
	b.ReportMetric(float64(ours)/float64(theirs), "time/Scanner")
}
