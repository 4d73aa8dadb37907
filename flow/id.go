package flow

import (
	"crypto/sha256"
	"encoding/binary"
)

// NewID makes a record id: the first 128 bits of SHA-256 over the format's name and the
// parts, each with its length before it. Parts are raw bytes of the record, never
// interpreted values, so that a corrected parser gives the same id.
//
// A cryptographic hash, because who sends traffic chooses part of these bytes: with a
// weaker one a record could be made to pass for a duplicate of another and vanish.
//
// Changing what goes in, or its order, breaks the dedupe of every store that holds
// records already; golden tests hold it.
func NewID(format string, parts ...[]byte) ID {
	var stack [1024]byte
	b := appendPart(stack[:0], format)
	for _, p := range parts {
		b = binary.AppendUvarint(b, uint64(len(p)))
		b = append(b, p...)
	}
	sum := sha256.Sum256(b)
	return ID(sum[:16])
}

func appendPart(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// NewIDText is [NewID] of parts that are strings: the same id for the same bytes, and no
// copy of them.
func NewIDText(format string, parts ...string) ID {
	size, longest := len(format), len(format)
	for _, p := range parts {
		size, longest = size+len(p), max(longest, len(p))
	}
	// Lengths below 128 are one byte. The memory is made empty first, which for short parts takes
	// longer than all else.
	if n := size + len(parts) + 1; n <= 256 && longest < 128 {
		var stack [256]byte
		stack[0] = byte(len(format))
		at := 1 + copy(stack[1:], format)
		for _, p := range parts {
			stack[at] = byte(len(p))
			at++
			at += copy(stack[at:], p)
		}
		sum := sha256.Sum256(stack[:n])
		return ID(sum[:16])
	}
	var stack [1024]byte
	return idOf(stack[:0], format, parts)
}

func idOf(b []byte, format string, parts []string) ID {
	b = appendPart(b, format)
	for _, p := range parts {
		b = appendPart(b, p)
	}
	sum := sha256.Sum256(b)
	return ID(sum[:16])
}
