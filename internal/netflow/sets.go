package netflow

import (
	"encoding/binary"

	"github.com/flowbeam/flowbeam/flow"
)

// set is one set of a v9 or IPFIX message (v9 calls it FlowSet).
type set struct {
	id     uint16
	offset int    // of its header in the datagram
	bytes  []byte // with its header
}

func (s *set) body() []byte { return s.bytes[4:] }

// isData says whether it holds records of a template.
func (s *set) isData() bool { return s.id >= 256 }

// isTemplates says whether it holds templates, and options whether of options.
func (s *set) isTemplates(version uint16) (yes, options bool) {
	if version == V9 {
		return s.id <= 1, s.id == 1
	}
	return s.id == 2 || s.id == 3, s.id == 3
}

// splitSets walks the message by the lengths of its sets. The count in a v9 header is of no
// use: exporters count records, sets or something else. Zeros behind the last set are
// padding.
func splitSets(b []byte, h *header, sets []set) ([]set, error) {
	for o := h.size; o < h.end; {
		rest := b[o:h.end]
		if len(rest) < 4 || binary.BigEndian.Uint16(rest[2:]) == 0 {
			if allZero(rest) {
				return sets, nil
			}
		}
		if len(rest) < 4 {
			return nil, flow.Reject(flow.ReasonSyntax, "set: %d bytes at %d are too few for its header", len(rest), o)
		}
		s := set{id: binary.BigEndian.Uint16(rest), offset: o}
		n := int(binary.BigEndian.Uint16(rest[2:]))
		if n < 4 || n > len(rest) {
			return nil, flow.Reject(flow.ReasonSyntax, "length of set %d at %d: claims %d bytes, the message has %d more", s.id, o, n, len(rest))
		}
		s.bytes = rest[:n]
		if yes, options := s.isTemplates(h.version); yes {
			if err := eachTemplate(h.version, options, s.body(), func(templateRecord) {}); err != nil {
				return nil, err
			}
		}
		sets = append(sets, s)
		o += n
	}
	return sets, nil
}

func allZero(b []byte) bool {
	for ; len(b) >= 8; b = b[8:] {
		if binary.LittleEndian.Uint64(b) != 0 {
			return false
		}
	}
	if len(b) >= 4 {
		if binary.LittleEndian.Uint32(b) != 0 {
			return false
		}
		b = b[4:]
	}
	for _, v := range b {
		if v != 0 {
			return false
		}
	}
	return true
}
