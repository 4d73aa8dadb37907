package sflow

import (
	"encoding/binary"

	"github.com/flowbeam/flowbeam/flow"
)

// reader reads XDR (RFC 4506) as far as sFlow uses it. After the end it reads zeros and
// cut is set.
type reader struct {
	b   []byte
	cut bool
}

func (x *reader) take(n int) []byte {
	if n < 0 || n > len(x.b) {
		x.cut, x.b = true, nil
		return nil
	}
	out := x.b[:n:n]
	x.b = x.b[n:]
	return out
}

func (x *reader) u32() uint32 {
	if b := x.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// opaque reads a length and so many bytes, filled up to a multiple of four.
func (x *reader) opaque() []byte {
	n := x.u32()
	if uint64(n) > uint64(len(x.b)) {
		x.cut, x.b = true, nil
		return nil
	}
	out := x.take(int(n))
	x.take(min((4-int(n)%4)%4, len(x.b))) // some agents leave out the last filling
	return out
}

// address reads an address of either family, absent where the type is unknown.
func (x *reader) address() (ip flow.IP) {
	switch x.u32() {
	case 1:
		ip.Len = uint8(copy(ip.B[:], x.take(4)))
	case 2:
		ip.Len = uint8(copy(ip.B[:], x.take(16)))
	}
	return ip
}
