package filesource

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func beginsBlock(line []byte) bool { return len(line) > 0 && line[0] >= '1' && line[0] <= '3' }

// blockOracle cuts text into lines and puts those that begin nothing to what they follow.
func blockOracle(source string, text []byte, body int) []record {
	var out []record
	start := body
	add := func(end int) {
		data := bytes.TrimSuffix(bytes.TrimSuffix(text[start:end], []byte("\n")), []byte("\r"))
		if start < end && !blank(data) {
			out = append(out, record{source, int64(start), string(data)})
		}
		start = end
	}
	for off := body; off < len(text); {
		if off > start && beginsBlock(text[off:]) {
			add(off)
		}
		n := bytes.IndexByte(text[off:], '\n')
		if n < 0 {
			break
		}
		off += n + 1
	}
	add(len(text))
	return out
}

func TestEachBlockIsReadOnceHoweverTheRunnerSplits(t *testing.T) {
	readOnceHoweverSplit(t, "blocks", blockOracle)
}

func TestBlocks(t *testing.T) {
	long := strings.Repeat("x", 3000)
	for name, text := range map[string]string{
		"nothing":                                 "",
		"one line":                                "1",
		"lines before the first block":            "a\nb\n1\nc\n",
		"no block at all":                         "a\nb\n",
		"blocks of one line":                      "1\n2\n3",
		"blocks of several, line ends of both":    "1a\r\n b\r\n2a\n b\n",
		"a block that begins in the last line":    "1a\n b\n2",
		"blank lines within and behind":           "1a\n\n b\n\n\n2\n \n",
		"oversize by many lines":                  "1\n" + strings.Repeat("abc\r\n", 600) + "2\n",
		"oversize by one line":                    "1\n" + long + "\n2\n",
		"oversize at the end, without a line end": "1\n2\n" + long,
		"oversize in its first line":              "1" + long + "\nb\n2\n",
		"a begin that is longer than a peek":      "1\na\n2" + long + "\n3\n",
		"exactly the cap":                         "1" + strings.Repeat("y", 62) + "\ny\n2\n",
	} {
		t.Run(name, func(t *testing.T) {
			want := blockOracle("", []byte(text), 0)
			for i, r := range want {
				if len(r.data) > 64 {
					sum := sha256.Sum256([]byte(r.data))
					want[i].data = fmt.Sprint("oversize ", len(r.data), " ", hex.EncodeToString(sum[:]), " ", r.data[:min(len(r.data), 1024)])
				}
			}
			for how, r := range map[string]io.Reader{
				"at once":          strings.NewReader(text),
				"byte by byte":     iotest.OneByteReader(strings.NewReader(text)),
				"data and the end": iotest.DataErrReader(strings.NewReader(text)),
			} {
				if d := cmp.Diff(want, cutAllWith(t, &lineCutter{r: r, max: 64, begins: beginsBlock}), cmpRecords); d != "" {
					t.Errorf("%s: %s", how, d)
				}
			}
		})
	}
}

func TestBlocksEndWithTheReadersError(t *testing.T) {
	broken := errors.New("broken")
	for _, text := range []string{"1\na\n", "1\na", "1\n" + strings.Repeat("a\n", 3000)} {
		c := lineCutter{r: io.MultiReader(strings.NewReader("1 whole\n"+text), iotest.ErrReader(broken)), max: 64, begins: beginsBlock}
		if l, err := c.next(); err != nil || string(l.data) != "1 whole" {
			t.Errorf("%q: %q %v", text, l.data, err)
		}
		if l, err := c.next(); err != broken || !strings.HasPrefix(string(l.data), "1\na") {
			t.Errorf("%q: %q %v", text, l.data, err)
		}
	}
}
