package main

import (
	"testing"

	"github.com/flowbeam/flowbeam/internal/netflow"
)

// TestNoElementIsLostBesideAnother tries all pairs of elements that have a field, in both orders: two
// for one field, or one on which another depends, may not hide what a record says.
func TestNoElementIsLostBesideAnother(t *testing.T) {
	sections, err := tried()
	if err != nil {
		t.Fatal(err)
	}
	effects := map[string]*effect{}
	for _, s := range sections {
		if s.bothVersions {
			effects = s.effects
		}
	}
	values := func(e netflow.Element) [][]byte {
		if e.Enterprise == 0 && e.Number != 312 && sampledPacket(e.Number) {
			return packets(e.Number == 313)[:2]
		}
		return valuesOf(e)
	}
	for _, version := range []int{netflow.V9, netflow.IPFIX} {
		s := &section{title: "pairs", parse: "datagram"}
		var elements []netflow.Element
		for _, e := range netflow.Elements() {
			if version == netflow.V9 && e.Enterprise != 0 || version != netflow.V9 && e.V9 {
				continue
			}
			for _, name := range []string{label(e), label(e) + " in v9", label(e) + " in IPFIX"} {
				if effects[name] != nil && len(effects[name].columns) > 0 {
					elements = append(elements, e)
					break
				}
			}
		}
		if len(elements) < 80 {
			t.Fatalf("version %d: %d elements have a field", version, len(elements))
		}
		read := func(first, second element) outcome {
			o, err := s.decode(&input{data: message(version, nil, []element{first, second}).append(nil, nil, nil)})
			if err != nil || o.record == nil {
				t.Fatalf("version %d: %d beside %d: %v %s", version, first.number, second.number, err, o.err)
			}
			return o
		}
		for _, a := range elements {
			for _, b := range elements {
				if a.Number == b.Number && a.Enterprise == b.Enterprise {
					continue
				}
				one, other := values(a)[0], values(a)[len(values(a))-1]
				beside := element{b.Enterprise, b.Number, values(b)[1]}
				if !s.differs(read(element{a.Enterprise, a.Number, one}, beside).record, read(element{a.Enterprise, a.Number, other}, beside).record) {
					t.Errorf("version %d: %s is lost before %s", version, label(a), label(b))
				}
				if !s.differs(read(beside, element{a.Enterprise, a.Number, one}).record, read(beside, element{a.Enterprise, a.Number, other}).record) {
					t.Errorf("version %d: %s is lost after %s", version, label(a), label(b))
				}
			}
		}
	}
}
