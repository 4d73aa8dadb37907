package rollup

import (
	"encoding/binary"
	"slices"

	"github.com/axiomhq/hyperloglog"
	"github.com/dgryski/go-metro"
)

// distinct counts distinct values: by their hashes while they are few, so that the many
// groups of a few records stay small and exact, then by HyperLogLog (2^14 registers,
// sparse at first; standard error 0.8 %). Both are sets, and the state of the second
// follows from its set of hashes, so no order of merging changes the result.
type distinct struct {
	few []uint64 // sorted
	hll *hyperloglog.Sketch
}

const fewHashes = 32

// hashBytes is the same in every process, as partials of several workers meet.
func hashBytes(b []byte) uint64 { return metro.Hash64(b, 0x666c6f77) }

func (s *distinct) add(h uint64) {
	if s.hll == nil {
		i, found := slices.BinarySearch(s.few, h)
		if found {
			return
		}
		if len(s.few) < fewHashes {
			s.few = slices.Insert(s.few, i, h)
			return
		}
		s.promote()
	}
	s.hll.InsertHash(h)
}

func (s *distinct) promote() {
	s.hll = hyperloglog.New14()
	for _, h := range s.few {
		s.hll.InsertHash(h)
	}
	s.few = nil
}

func (s *distinct) merge(o *distinct) {
	if o.hll == nil {
		for _, h := range o.few {
			s.add(h)
		}
		return
	}
	if s.hll == nil {
		s.promote()
	}
	if err := s.hll.Merge(o.hll); err != nil {
		panic(err) // all have the same precision
	}
}

func (s *distinct) count() int64 {
	if s.hll == nil {
		return int64(len(s.few))
	}
	return int64(s.hll.Estimate())
}

const isHLL = 0xff

func (s *distinct) append(b []byte) []byte {
	if s.hll == nil {
		b = append(b, byte(len(s.few)))
		for _, h := range s.few {
			b = binary.LittleEndian.AppendUint64(b, h)
		}
		return b
	}
	s.hll.Estimate() // compacts
	raw, err := s.hll.MarshalBinary()
	if err != nil {
		panic(err)
	}
	b = append(b, isHLL)
	return append(binary.AppendUvarint(b, uint64(len(raw))), raw...)
}

func (s *distinct) read(d *reader) {
	tag := d.take(1)
	switch {
	case tag == nil:
	case tag[0] <= fewHashes:
		for range tag[0] {
			h := d.take(8)
			if h == nil {
				return
			}
			s.add(binary.LittleEndian.Uint64(h))
		}
	case tag[0] == isHLL:
		s.hll = new(hyperloglog.Sketch)
		if err := s.hll.UnmarshalBinary(d.bytes()); err != nil {
			s.hll = nil
			d.fail()
		}
	default:
		d.fail()
	}
}
