package parse

import (
	"math/bits"
	"slices"
)

// cells is a text cut at every separator. Of each part it keeps the place: keeping strings takes
// longer, as the garbage collector wants to know of each.
type cells struct {
	text  string
	ends  []int32 // that of cell i is at i+1; -1 before the first
	n     int     // how many there are, kept or not
	ascii bool    // all of text is
}

// cut cuts text at every separator and keeps the first most cells. It looks at eight bytes at a
// time for all separators in them: cells are short, and looking for each one alone takes longer.
func (c *cells) cut(text string, separator byte, most int) {
	c.text, c.ends = text, slices.Grow(c.ends[:0], most+1)[:most+1]
	c.ends[0] = -1
	to := c.ends[1:]
	all, bytes := ones*uint64(separator), uint64(0)
	n, i := 0, 0
	for ; i+8 <= len(text); i += 8 {
		w := word(text, i)
		bytes |= w
		x := w ^ all
		// The highest bit of each byte that is zero, and of no other.
		for x = ^((x&^high + ^uint64(high)) | x | ^uint64(high)); x != 0; x &= x - 1 {
			if n < len(to) {
				to[n] = int32(i + bits.TrailingZeros64(x)>>3)
			}
			n++
		}
	}
	for ; i < len(text); i++ {
		bytes |= uint64(text[i])
		if text[i] == separator {
			if n < len(to) {
				to[n] = int32(i)
			}
			n++
		}
	}
	if n < len(to) {
		to[n] = int32(len(text))
	}
	c.n, c.ascii = n+1, bytes&high == 0
}

// at is cell i, which has to be one of those that are kept.
func (c *cells) at(i int) string { return c.text[c.ends[i]+1 : c.ends[i+1]] }
