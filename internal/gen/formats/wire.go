package main

import "encoding/binary"

// wire is a part of a datagram of which samples are made: a chunk or what holds chunks. append
// writes it, in the place of one chunk what with says.
type wire interface {
	append(b []byte, of *chunk, with []byte) []byte
	chunks() []*chunk
}

// chunk is one field on the wire.
type chunk struct {
	name   string // "" = it says how to read the rest, and is not tried
	value  []byte
	others [][]byte // other values, where none can be guessed
	all    bool     // each of them counts
}

func (c *chunk) append(b []byte, of *chunk, with []byte) []byte {
	if c == of {
		return append(b, with...)
	}
	return append(b, c.value...)
}

func (c *chunk) chunks() []*chunk { return []*chunk{c} }

// list is parts in a row.
type list []wire

func (l list) append(b []byte, of *chunk, with []byte) []byte {
	for _, w := range l {
		b = w.append(b, of, with)
	}
	return b
}

func (l list) chunks() (out []*chunk) {
	for _, w := range l {
		out = append(out, w.chunks()...)
	}
	return out
}

// field is a chunk of so many bytes.
func field(name string, size int, v uint64) *chunk { return &chunk{name: name, value: number(size, v)} }

func structure(size int, v uint64) *chunk { return field("", size, v) }

// number is v in so many bytes, big-endian.
func number(size int, v uint64) []byte {
	b := make([]byte, max(size, 8))
	binary.BigEndian.PutUint64(b[len(b)-8:], v)
	return b[len(b)-size:]
}

// otherBytes are values that differ from b in one byte, the last first.
func otherBytes(b []byte) (out [][]byte) {
	for i := len(b) - 1; i >= 0; i-- {
		for _, d := range [...]byte{1, 255} {
			o := append([]byte(nil), b...)
			o[i] += d
			out = append(out, o)
		}
	}
	return out
}

// wireTrials tries each named chunk.
func wireTrials(w wire) (out []trial) {
	base := input{data: w.append(nil, nil, nil)}
	for _, c := range w.chunks() {
		if c.name == "" {
			continue
		}
		t := trial{field: c.name, base: base, all: c.all}
		others := c.others
		if others == nil {
			others = otherBytes(c.value)
		}
		for _, o := range others {
			t.changed = append(t.changed, input{data: w.append(nil, c, o)})
		}
		out = append(out, t)
	}
	return out
}
