package filesource

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// oracle cuts text into records in the plainest way.
func oracle(source string, text []byte, body int) []record {
	var out []record
	for off := body; off < len(text); {
		l := text[off:]
		n := bytes.IndexByte(l, '\n')
		next := off + n + 1
		if n < 0 {
			n, next = len(l), len(text)
		}
		l = bytes.TrimSuffix(l[:n], []byte("\r"))
		if len(bytes.TrimSpace(l)) > 0 {
			out = append(out, record{source, int64(off), string(l)})
		}
		off = next
	}
	return out
}

var cmpRecords = cmp.AllowUnexported(record{})

// randomText is lines of many lengths, with CRLF, blank lines and perhaps no last line end.
func randomText(r *rand.Rand, lines int) []byte {
	var b bytes.Buffer
	for i := range lines {
		switch r.IntN(10) {
		case 0:
			b.WriteString("  \t ")
		case 1: // longer than a range
			fmt.Fprintf(&b, "%d %s", i, bytes.Repeat([]byte("long "), r.IntN(400)))
		case 2:
		default:
			fmt.Fprintf(&b, "%d %x", i, r.Uint64())
		}
		if i == lines-1 && r.IntN(2) == 0 {
			break
		}
		if r.IntN(3) == 0 {
			b.WriteByte('\r')
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

func TestReadGivesEachLineOnceHoweverFilesAreStored(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	header := "#headed\r\n#fields a b\n"
	text := append([]byte(header), randomText(r, 2000)...)
	half := len(text) / 2
	for _, tc := range []struct {
		name string
		data []byte
	}{
		{"plain", text},
		{"byte order mark", append([]byte("\ufeff"), text...)},
		{"gzip", gz(t, text)},
		{"gzip of two members cut within a line", gz(t, text[:half], text[half:])},
		{"zstd", zst(t, text)},
		{"zstd of two frames", zst(t, text[:half], text[half:])},
	} {
		for _, batch := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, batch %v", tc.name, batch), func(t *testing.T) {
				path := write(t, t.TempDir(), "in.log", tc.data)
				opts := []Option{SplitBytes(777), BatchRecords(7), BatchBytes(500)}
				if batch {
					opts = append(opts, Batch())
				}
				got := run(t, []string{path}, opts...)
				stored := tc.data
				if tc.name != "plain" && tc.name != "byte order mark" {
					stored = text
				}
				body := bytes.Index(stored, []byte("#fields a b\n")) + len("#fields a b\n")
				if d := cmp.Diff(oracle(path, stored, body), got.records(), cmpRecords); d != "" {
					t.Fatal(d)
				}
				for _, b := range got.batches {
					if b.Origin.Header != header || b.Origin.Format != "headed" {
						t.Fatalf("origin %+v", b.Origin)
					}
					if len(b.Records) > 7 || b.Watermark != 0 {
						t.Fatalf("a batch of %d records, watermark %v", len(b.Records), b.Watermark)
					}
				}
				want := map[string]int64{"files/files": 1, "files/bytes": int64(len(tc.data))}
				if d := cmp.Diff(want, got.counts); d != "" || len(got.failures) > 0 {
					t.Fatal(d, got.failures)
				}
			})
		}
	}
}
