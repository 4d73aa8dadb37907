package filesource

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
)

// peekBytes is how much of a line tells whether it begins a record.
const peekBytes = 1 << 10

// cutLines returns the lines of the next record as one, for formats whose records span
// lines. Memory is bounded as by cut.
func (c *lineCutter) cutLines() (line, error) {
	whole := 0 // bytes of the record's lines, line ends included, that were looked at
	for {
		rest := c.buf[c.lo+whole : c.hi]
		i := bytes.IndexByte(rest, '\n')
		if whole > 0 && (i >= 0 || len(rest) >= peekBytes || c.err == io.EOF && len(rest) > 0) && c.begins(lineOf(rest, i)) {
			return c.take(whole-1, 1), nil
		}
		switch {
		case i >= 0:
			whole += i + 1
			if whole > c.max+len("\r\n") {
				return c.longLines()
			}
		case c.err == io.EOF && c.lo+whole < c.hi:
			return c.take(c.hi-c.lo, 0), nil
		case c.err == io.EOF && whole > 0:
			return c.take(whole-1, 1), nil
		case c.err != nil:
			return line{data: c.buf[c.lo : c.lo+min(c.hi-c.lo, prefixBytes)], offset: c.off}, c.err
		case c.hi-c.lo > c.max+len("\r\n") && (whole == 0 || len(rest) >= peekBytes):
			return c.longLines()
		default:
			c.fill()
		}
	}
}

// lineOf is the line that rest begins with, its end being at i, or not there where i < 0.
func lineOf(rest []byte, i int) []byte {
	if i < 0 {
		return rest
	}
	return bytes.TrimSuffix(rest[:i], []byte("\r"))
}

// longLines passes over a record longer than max, keeping its first bytes and its hash.
func (c *lineCutter) longLines() (line, error) {
	d := digest{hash: sha256.New(), blank: true}
	l := line{offset: c.off}
	for {
		ended := false
		for !ended && (c.err == nil || c.lo < c.hi) {
			rest := c.buf[c.lo:c.hi]
			i := bytes.IndexByte(rest, '\n')
			if ended = i >= 0; ended {
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
		begins, more := c.peek()
		if !more || begins {
			break
		}
		d.add([]byte("\n"))
	}
	l.data, l.size, l.sha256 = d.prefix, d.size, hex.EncodeToString(d.hash.Sum(nil))
	if c.err != nil && c.err != io.EOF && c.lo == c.hi {
		return l, c.err
	}
	l.oversize = true
	return l, nil
}

// peek says whether the next line begins a record, and whether there is one.
func (c *lineCutter) peek() (begins, more bool) {
	for {
		rest := c.buf[c.lo:c.hi]
		i := bytes.IndexByte(rest, '\n')
		if i >= 0 || len(rest) >= peekBytes || c.err != nil {
			return len(rest) > 0 && c.begins(lineOf(rest, i)), len(rest) > 0
		}
		c.fill()
	}
}

// align steps over lines that belong to a record which began before.
func (c *lineCutter) align() error {
	if c.begins == nil {
		return nil
	}
	for {
		if begins, more := c.peek(); begins || !more {
			return nil
		}
		if err := c.skip(); err != nil {
			return err
		}
	}
}
