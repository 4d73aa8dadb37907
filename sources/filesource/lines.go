package filesource

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"

	"github.com/flowbeam/flowbeam/flow"
)

// prefixBytes is how much of a line or file that can't be used its dead letter keeps.
const prefixBytes = 1 << 10

// readBytes is the least free room for a read.
const readBytes = 256 << 10

// line is one line without its "\n" or "\r\n".
type line struct {
	data     []byte // valid until the next call; the first 1 KiB where oversize
	offset   int64  // of the first byte
	oversize bool
	size     int64  // whole length, where oversize
	sha256   string // of the whole line in hex, where oversize
}

// lineCutter cuts a stream into lines. Its memory is bounded by max, however long a line
// is. Lines of white space alone are passed over.
type lineCutter struct {
	r      io.Reader
	max    int    // longest line that is returned whole, in bytes
	buf    []byte // unread bytes are buf[lo:hi]
	lo, hi int
	off    int64         // of buf[lo]
	err    error         // from r; sticky
	split  flow.Splitter // nil: lines
	rows   flow.Container
}

// next returns the next line that is not blank. At the end the error is io.EOF. On any
// other error the line is what there is of the line at which reading stopped.
func (c *lineCutter) next() (line, error) {
	switch {
	case c.rows != nil:
		return c.row()
	case c.split != nil:
		return c.unit()
	}
	for {
		l, err := c.cut()
		if err != nil || !blank(l.data) || l.oversize {
			return l, err
		}
	}
}

func (c *lineCutter) cut() (line, error) {
	scanned := 0
	for {
		if i := bytes.IndexByte(c.buf[c.lo+scanned:c.hi], '\n'); i >= 0 {
			return c.take(scanned+i, 1), nil
		}
		scanned = c.hi - c.lo
		if c.err != nil {
			if c.err == io.EOF && scanned > 0 {
				return c.take(scanned, 0), nil
			}
			return line{data: c.buf[c.lo : c.lo+min(scanned, prefixBytes)], offset: c.off}, c.err
		}
		if scanned > c.max+len("\r") {
			return c.long()
		}
		c.fill()
	}
}

// take returns the next n bytes as a line and steps over them and the line end.
func (c *lineCutter) take(n, lineEnd int) line {
	l := line{data: c.buf[c.lo : c.lo+n : c.lo+n], offset: c.off}
	c.advance(n + lineEnd)
	if n > 0 && l.data[n-1] == '\r' {
		l.data = l.data[:n-1]
	}
	if len(l.data) > c.max && !blank(l.data) {
		sum := sha256.Sum256(l.data)
		l.oversize, l.size, l.sha256 = true, int64(len(l.data)), hex.EncodeToString(sum[:])
		l.data = l.data[:min(len(l.data), prefixBytes)]
	}
	return l
}

func (c *lineCutter) advance(n int) {
	c.lo += n
	c.off += int64(n)
}

// fill reads once, after moving what is unread to the front.
func (c *lineCutter) fill() {
	if c.lo > 0 && len(c.buf)-c.hi < readBytes {
		c.hi = copy(c.buf, c.buf[c.lo:c.hi])
		c.lo = 0
	}
	if len(c.buf)-c.hi < readBytes {
		grown := make([]byte, max(2*len(c.buf), c.hi+readBytes))
		copy(grown, c.buf[:c.hi])
		c.buf = grown
	}
	for range 100 { // a reader may return nothing and no error, but not for ever
		n, err := c.r.Read(c.buf[c.hi:])
		c.hi += n
		if c.err = err; n > 0 || err != nil {
			return
		}
	}
	c.err = io.ErrNoProgress
}

// long passes over a line longer than max, keeping its first bytes and its hash.
func (c *lineCutter) long() (line, error) {
	d := digest{hash: sha256.New(), blank: true}
	l, found := line{offset: c.off}, false
	for c.err == nil || c.lo < c.hi {
		rest := c.buf[c.lo:c.hi]
		i := bytes.IndexByte(rest, '\n')
		if found = i >= 0; found {
			d.add(rest[:i])
			c.advance(i + 1)
			break
		}
		d.add(rest)
		c.advance(len(rest))
		c.lo, c.hi = 0, 0
		if c.err == nil {
			c.fill()
		}
	}
	l.data, l.size, l.sha256 = d.prefix, d.size, hex.EncodeToString(d.hash.Sum(nil))
	l.oversize = !d.blank
	if d.blank {
		l.data = nil
	}
	if !found && c.err != io.EOF {
		l.oversize = false
		return l, c.err
	}
	return l, nil
}

// digest is a line's prefix, size and hash, without a "\r" at its end.
type digest struct {
	prefix []byte
	size   int64
	hash   hash.Hash
	blank  bool
	cr     bool // a "\r" that may be the line's end is held back
}

func (d *digest) add(b []byte) {
	if len(b) == 0 {
		return
	}
	if d.cr {
		d.cr = false
		d.write([]byte{'\r'})
	}
	if b[len(b)-1] == '\r' {
		d.cr = true
		b = b[:len(b)-1]
	}
	d.write(b)
}

func (d *digest) write(b []byte) {
	d.hash.Write(b)
	d.size += int64(len(b))
	d.blank = d.blank && blank(b)
	if n := prefixBytes - len(d.prefix); n > 0 {
		d.prefix = append(d.prefix, b[:min(n, len(b))]...)
	}
}

// skip steps over the rest of a line, its line end included.
func (c *lineCutter) skip() error {
	for {
		if i := bytes.IndexByte(c.buf[c.lo:c.hi], '\n'); i >= 0 {
			c.advance(i + 1)
			return nil
		}
		c.advance(c.hi - c.lo)
		if c.err == io.EOF {
			return nil
		}
		if c.err != nil {
			return c.err
		}
		c.lo, c.hi = 0, 0
		c.fill()
	}
}

// blank says whether b has white space alone.
func blank(b []byte) bool {
	for _, x := range b {
		switch x {
		case ' ', '\t', '\r', '\v', '\f':
		default:
			return false
		}
	}
	return true
}
