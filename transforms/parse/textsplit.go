package parse

import "math/bits"

// splitText cuts text at every separator into at most as many parts as to holds, and says how
// many there are. It looks at eight bytes at a time for all separators in them: parts are
// short, and looking for each one alone takes longer.
func splitText(text string, separator byte, to []string) (n int) {
	start, i := 0, 0
	all := ones * uint64(separator)
	for ; i+8 <= len(text); i += 8 {
		x := word(text, i) ^ all
		// The highest bit of each byte that is zero, and of no other.
		for x = ^((x&^high + ^uint64(high)) | x | ^uint64(high)); x != 0; x &= x - 1 {
			end := i + bits.TrailingZeros64(x)>>3
			if n < len(to) {
				to[n] = text[start:end]
			}
			n++
			start = end + 1
		}
	}
	for ; i < len(text); i++ {
		if text[i] == separator {
			if n < len(to) {
				to[n] = text[start:i]
			}
			n++
			start = i + 1
		}
	}
	if n < len(to) {
		to[n] = text[start:]
	}
	return n + 1
}
