package filesource

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
)

func init() {
	flow.RegisterFormat(flow.FormatInfo{Name: "angled", Split: func(head []byte) flow.Splitter {
		if bytes.HasPrefix(head, []byte("lines")) {
			return nil
		}
		return &angled{}
	}})
}

// angled finds units between "<" and ">".
type angled struct{ announced, inside bool }

func (a *angled) Scan(b []byte) (int, flow.SplitEvent) {
	for i, c := range b {
		switch {
		case a.inside && c == '>':
			a.inside = false
			return i + 1, flow.SplitEnd
		case !a.inside && c == '<' && !a.announced:
			a.announced = true
			return i, flow.SplitBegin
		case !a.inside && c == '<':
			a.announced, a.inside = false, true
		}
	}
	return len(b), flow.SplitMore
}

func TestUnitsThatAreNoLines(t *testing.T) {
	long := "<" + strings.Repeat("x\r\n", 2000) + ">"
	sum := sha256.Sum256([]byte(long))
	oversize := fmt.Sprint("oversize ", len(long), " ", hex.EncodeToString(sum[:]), " ", long[:1024])
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"nothing":               {"", nil},
		"no unit":               {"a\nb", nil},
		"units over lines":      {"[<a\nb>,\n <c> <>]", []string{"1 <a\nb>", "9 <c>", "13 <>"}},
		"one that never closes": {"<a>,<b\nc", []string{"0 <a>", "4 <b\nc"}},
		"one beyond the cap":    {"<a>" + long + "<b>", []string{"0 <a>", "3 " + oversize, fmt.Sprint(3+len(long), " <b>")}},
		"such a one at the end": {long, []string{"0 " + oversize}},
	} {
		for way, r := range map[string]io.Reader{"at once": strings.NewReader(c.text), "byte by byte": iotest.OneByteReader(strings.NewReader(c.text))} {
			t.Run(name+", "+way, func(t *testing.T) {
				cut := lineCutter{r: r, max: 100, split: &angled{}}
				var got []string
				for {
					l, err := cut.next()
					if err == io.EOF {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
					text := string(l.data)
					if l.oversize {
						text = fmt.Sprint("oversize ", l.size, " ", l.sha256, " ", text)
					}
					got = append(got, fmt.Sprint(l.offset, " ", text))
				}
				if d := cmp.Diff(c.want, got); d != "" {
					t.Error(d)
				}
			})
		}
	}
}

func TestUnitsAreReadOnceHoweverFilesAreStored(t *testing.T) {
	var text bytes.Buffer
	var want []record
	text.WriteString("[")
	for i := range 500 {
		text.WriteString("\n, ")
		want = append(want, record{offset: int64(text.Len()), data: fmt.Sprintf("<%d\n>", i)})
		text.WriteString(want[i].data)
	}
	text.WriteString("]\n")
	for name, data := range map[string][]byte{"plain": text.Bytes(), "gzip": gz(t, text.Bytes())} {
		t.Run(name, func(t *testing.T) {
			path := write(t, t.TempDir(), "in", data)
			for i := range want {
				want[i].source = path
			}
			got := run(t, []string{path}, Format("angled"), SplitBytes(99), BatchRecords(7))
			if d := cmp.Diff(want, got.records(), cmpRecords); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestAWatchGoesOnBetweenUnits(t *testing.T) {
	text := "[<a>, <b\n>, <c>]"
	path := write(t, t.TempDir(), "in", []byte(text))
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := newConfig([]Option{Format("angled")})
	if err != nil {
		t.Fatal(err)
	}
	for start, want := range map[int64]string{0: "<a><b\n><c>", 4: "<b\n><c>", 10: "<c>", 15: ""} {
		p, err := c.openPart(context.Background(), file{Path: path, Size: info.Size()}, start, info.Size())
		if err != nil {
			t.Fatal(err)
		}
		var got string
		for b, err := p.next(); err == nil; b, err = p.next() {
			for _, r := range b.Records {
				got += string(r.Data)
			}
		}
		if got != want {
			t.Errorf("from %d: %q, want %q", start, got, want)
		}
		p.Close()
	}
}

func TestAFormatMayHaveLinesInOneFile(t *testing.T) {
	path := write(t, t.TempDir(), "in", []byte("lines\n<a\n"))
	if got := run(t, []string{path}, Format("angled")).records(); len(got) != 2 || got[1].data != "<a" {
		t.Error(got)
	}
}
