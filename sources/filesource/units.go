package filesource

import (
	"crypto/sha256"
	"encoding/hex"
	"io"

	"github.com/flowbeam/flowbeam/flow"
)

// unit returns the next unit that the splitter finds. What is left of one at the end of the
// stream is a unit too: its parser says what is wrong with it. Of one longer than max the
// first 1 KiB, the length and the hash are kept, as of a line.
func (c *lineCutter) unit() (line, error) {
	scanned, inside := 0, false
	var long *digest // of a unit beyond max
	whole := func(n int) line {
		l := line{data: c.buf[c.lo : c.lo+n : c.lo+n], offset: c.off}
		c.advance(n)
		return l
	}
	var start int64
	for {
		n, at := c.split.Scan(c.buf[c.lo+scanned : c.hi])
		scanned += n
		switch {
		case at == flow.SplitBegin:
			c.advance(scanned)
			scanned, inside, start = 0, true, c.off
			continue
		case at == flow.SplitEnd && long != nil:
			long.add(c.buf[c.lo : c.lo+scanned])
			c.advance(scanned)
			return long.line(start), nil
		case at == flow.SplitEnd && scanned <= c.max:
			return whole(scanned), nil
		case at == flow.SplitEnd:
			long = &digest{hash: sha256.New(), blank: true}
			long.add(c.buf[c.lo : c.lo+scanned])
			c.advance(scanned)
			return long.line(start), nil
		}
		// All that was read is seen.
		switch {
		case !inside:
			c.advance(scanned)
			scanned = 0
		case long != nil || scanned > c.max:
			if long == nil {
				long = &digest{hash: sha256.New(), blank: true}
			}
			long.add(c.buf[c.lo : c.lo+scanned])
			c.advance(scanned)
			c.lo, c.hi, scanned = 0, 0, 0
		}
		switch {
		case c.err == nil:
			c.fill()
		case c.err != io.EOF:
			return line{data: c.buf[c.lo : c.lo+min(scanned, prefixBytes)], offset: c.off}, c.err
		case long != nil:
			return long.line(start), nil
		case inside:
			return whole(scanned), nil
		default:
			return line{}, io.EOF
		}
	}
}

// line is the unit whose bytes d has.
func (d *digest) line(offset int64) line {
	if d.cr {
		d.cr = false
		d.write([]byte{'\r'})
	}
	return line{data: d.prefix, offset: offset, oversize: true, size: d.size, sha256: hex.EncodeToString(d.hash.Sum(nil))}
}
