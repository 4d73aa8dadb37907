package netflow

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/flowbeam/flowbeam/flow"
)

// setID is what the ids of a set's records are made of: 128 bits of the SHA-256 of the set's
// bytes, into which is folded what else identifies the set.
//
// One hash serves all records of a set, as one for each record would be half of the whole
// cost of decoding. What is folded in is not hashed, and need not be: for each value it is a
// permutation of the hash, and two values give one hash two ids. So ids are as hard to
// forge, and as evenly spread, as hashes are.
type setID struct{ a, b uint64 }

// setID makes the id of a v9 or IPFIX set: of the exporter's address, the header's domain,
// export time and sequence number, how many sets follow in the datagram, and the set's
// bytes without its header.
//
// The sets behind are counted rather than those in front, because templates are put in
// front of a datagram to make it self-contained: the ids stay.
func (s *Session) setID(h *header, after int, body []byte) setID {
	id := s.hashed(h.version, body)
	id.fold(uint64(h.domain)<<32 | uint64(uint32(int64(h.export)/1e9)))
	id.fold(uint64(h.seq)<<32 | uint64(uint32(after)))
	return id
}

// hashed begins a set's id, with the version and the exporter's address.
func (s *Session) hashed(version uint16, body []byte) setID {
	sum := sha256.Sum256(body)
	be := binary.BigEndian
	id := setID{be.Uint64(sum[:]), be.Uint64(sum[8:])}
	id.fold(uint64(version)<<8 | uint64(s.exporter.Len))
	id.fold(be.Uint64(s.exporter.B[:]))
	id.fold(be.Uint64(s.exporter.B[8:]))
	return id
}

// fold mixes in a value.
func (s *setID) fold(v uint64) {
	a := s.a ^ mix(v+0x9e3779b97f4a7c15)
	s.a, s.b = s.b^mix(a), a
}

// record sets the id of the set's record with the index.
func (s setID) record(id *flow.ID, index int) {
	s.fold(uint64(index))
	binary.BigEndian.PutUint64(id[:8], s.a)
	binary.BigEndian.PutUint64(id[8:], s.b^mix(s.a))
}

// mix is a permutation of 64 bits in which each bit depends on all: the finalizer of
// SplitMix64, https://doi.org/10.1145/2660193.2660195.
func mix(v uint64) uint64 {
	v = (v ^ v>>30) * 0xbf58476d1ce4e5b9
	v = (v ^ v>>27) * 0x94d049bb133111eb
	return v ^ v>>31
}
