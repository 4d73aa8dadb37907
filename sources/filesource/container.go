package filesource

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math"

	"github.com/flowbeam/flowbeam/internal/filesystem"
)

// container opens the file as one from which its format takes records. rows is nil where it
// is none.
func (p *part) container(ctx context.Context, head []byte) error {
	fsys, err := filesystem.For(p.file.Path)
	if err != nil {
		return err
	}
	at := &readerAt{size: p.file.Size, open: func(offset int64) (io.ReadCloser, error) { return fsys.Open(ctx, p.file.Path, offset) }}
	rows, err := p.info.Open(head, at, p.file.Size)
	if err != nil {
		at.Close()
		return p.fail(at.cause(err), 0, head)
	}
	if rows == nil {
		at.Close()
		return nil
	}
	p.close = append(p.close, at.Close)
	p.origin.Header = rows.Header()
	p.whole, p.end, p.at = true, math.MaxInt64, at
	p.cut = lineCutter{max: p.c.MaxLine, rows: rows}
	return nil
}

// row returns the next record of a container. Its offset is its number.
func (c *lineCutter) row() (line, error) {
	data, err := c.rows.Next()
	l := line{data: data, offset: c.off}
	if err != nil {
		return line{offset: c.off}, err
	}
	c.off++
	if len(data) > c.max {
		sum := sha256.Sum256(data)
		l.oversize, l.size, l.sha256, l.data = true, int64(len(data)), hex.EncodeToString(sum[:]), data[:min(len(data), prefixBytes)]
	}
	return l, nil
}

// readerAt reads a file of any storage at any place. A read that follows the one before goes
// on with the same stream.
type readerAt struct {
	open func(offset int64) (io.ReadCloser, error)
	size int64
	r    io.ReadCloser
	off  int64 // of r
	err  error // of the storage: the container's own error may hide it
}

func (r *readerAt) ReadAt(p []byte, off int64) (n int, err error) {
	if off >= r.size {
		return 0, io.EOF
	}
	want := p[:min(int64(len(p)), r.size-off)]
	if r.r == nil || r.off != off {
		r.Close()
		if r.r, r.err = r.open(off); r.err != nil {
			return 0, r.err
		}
		r.off = off
	}
	n, err = io.ReadFull(r.r, want)
	r.off += int64(n)
	switch {
	case err != nil:
		if r.err = err; err == io.EOF || err == io.ErrUnexpectedEOF {
			r.err = errShrunk
		}
		return n, r.err
	case len(want) < len(p):
		return n, io.EOF
	}
	return n, nil
}

// cause is the storage's error where there was one: trying again may help. All else is the
// file's.
func (r *readerAt) cause(err error) error {
	if r.err != nil {
		return &sourceError{r.err}
	}
	return err
}

// Close closes the stream.
func (r *readerAt) Close() {
	if r.r != nil {
		r.r.Close()
		r.r = nil
	}
}
