package filesource

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
)

func init() {
	flow.RegisterFormat(flow.FormatInfo{Name: "boxed", Open: func(head []byte, r io.ReaderAt, size int64) (flow.Container, error) {
		if !bytes.HasPrefix(head, []byte("BOX")) {
			return nil, nil
		}
		end := make([]byte, 1)
		if _, err := r.ReadAt(end, size-1); err != nil {
			return nil, err
		}
		if end[0] != '.' {
			return nil, errors.New("the box is cut")
		}
		return &box{r: r, off: 3}, nil
	}})
}

// box has a record of one letter at each place, and breaks at "!".
type box struct {
	r   io.ReaderAt
	off int64
}

func (*box) Header() string { return "the box" }

func (b *box) Next() ([]byte, error) {
	p := make([]byte, 1)
	if _, err := b.r.ReadAt(p, b.off); err != nil {
		return nil, err
	}
	b.off++
	switch p[0] {
	case '.':
		return nil, io.EOF
	case '!':
		return nil, errors.New("the box is broken")
	}
	return bytes.Repeat(p, 3), nil
}

func TestRecordsOfAContainer(t *testing.T) {
	dir := t.TempDir()
	whole, broken, cut, lines := write(t, dir, "1", []byte("BOXabc.")), write(t, dir, "2", []byte("BOXd!e.")), write(t, dir, "3", []byte("BOXf")), write(t, dir, "4", []byte("g\nh\n"))
	got := run(t, []string{whole, broken, cut, lines}, Format("boxed"), SplitBytes(1), BatchRecords(2))
	want := []record{{whole, 0, "aaa"}, {whole, 1, "bbb"}, {whole, 2, "ccc"}, {broken, 0, "ddd"}, {lines, 0, "g"}, {lines, 2, "h"}}
	if d := cmp.Diff(want, got.records(), cmpRecords); d != "" {
		t.Error(d)
	}
	reasons := map[string]flow.Reason{}
	for _, f := range got.failures {
		reasons[f.Position.Source+" "+f.Error] = f.Reason
	}
	if d := cmp.Diff(map[string]flow.Reason{broken + " the box is broken": flow.ReasonCorrupt, cut + " the box is cut": flow.ReasonCorrupt}, reasons); d != "" {
		t.Error(d)
	}
}

func TestAWatchGoesOnWithinAContainer(t *testing.T) {
	path := write(t, t.TempDir(), "in", []byte("BOXabc."))
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := newConfig([]Option{Format("boxed")})
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.openPart(context.Background(), file{Path: path, Size: info.Size()}, 2, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	b, err := p.next()
	if err != nil || len(b.Records) != 1 || string(b.Records[0].Data) != "ccc" || b.Records[0].Offset != flow.N(2) || b.Origin.Header != "the box" {
		t.Errorf("%+v %v", b, err)
	}
}

// An error of the storage is worth a retry, and is none of the file.
func TestAContainersStorageMayFail(t *testing.T) {
	away := errors.New("away")
	r := &readerAt{size: 10, open: func(int64) (io.ReadCloser, error) { return io.NopCloser(iotest.ErrReader(away)), nil }}
	_, err := r.ReadAt(make([]byte, 3), 0)
	if corrupt(r.cause(errors.New("broken"))) || !errors.Is(err, away) {
		t.Error(err)
	}
	r = &readerAt{size: 10, open: func(at int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader([]byte("0123456789")[at:])), nil
	}}
	p := make([]byte, 4)
	for _, at := range []int64{6, 0, 4, 8} {
		n, err := r.ReadAt(p, at)
		if want := "0123456789"[at:min(at+4, 10)]; string(p[:n]) != want || (err == io.EOF) != (at == 8) || !corrupt(r.cause(errors.New("broken"))) {
			t.Errorf("at %d: %q, %v", at, p[:n], err)
		}
	}
}
