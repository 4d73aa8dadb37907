package netflow

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
)

// The last record of a set is read field by field, as less than eight bytes follow it. One
// before it with the same bytes is read form by form, and has to be the same record: of any
// fields, in any order, twice, of any length that they may have, and with values that do not
// fit.
func TestFieldsSetByTheirFormsAreTheSame(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	known := slices.Sorted(maps.Keys(mappings))
	known = append(known, slices.Sorted(maps.Keys(v9Mappings))...)
	lengths := func(version, id uint16) (all []int) {
		for n := 1; n <= 20; n++ {
			if elementOf(version, id, 0).kind.fits(n) {
				all = append(all, n)
			}
		}
		return all
	}
	placed := 0
	for i := range 4000 {
		version := []uint16{V9, IPFIX}[i%2]
		var fields []string
		var record []byte
		for range 1 + rng.IntN(12) {
			id := known[rng.IntN(len(known))]
			if version == IPFIX && id >= 1<<15 {
				continue
			}
			can := lengths(version, id)
			n := can[rng.IntN(len(can))]
			fields = append(fields, fmt.Sprintf("%d:%d", id, n))
			value := make([]byte, n)
			switch rng.IntN(4) {
			case 0: // zeros
			case 1: // small
				value[n-1] = byte(rng.IntN(256))
			case 2: // large
				for i := range value {
					value[i] = 0xff
				}
			default:
				for i := range value {
					value[i] = byte(rng.Uint32())
				}
			}
			record = append(record, value...)
		}
		if len(record) < 7 {
			continue
		}
		tpl := strings.Join(fields, " ")
		data := setOf(256, record, record)
		var out *Output
		if version == V9 {
			out = decodeAll(t, v9(head{}, templates(V9, 256, tpl), data))
		} else {
			out = decodeAll(t, ipfix(head{}, templates(IPFIX, 256, tpl), data))
		}
		if len(out.Records) != 2 {
			t.Fatalf("%s: %d records", tpl, len(out.Records))
		}
		first, last := out.Records[0], out.Records[1]
		last.ID, last.Position = first.ID, first.Position
		if d := cmp.Diff(last, first); d != "" {
			t.Fatalf("%s, %x\n%s", tpl, record, d)
		}
		if first.Source.Port.OK || first.Source.ASN.OK || first.Destination.NATIP.OK() || first.Start != 0 {
			placed++
		}
	}
	if placed < 500 {
		t.Errorf("%d records with fields that have a place", placed)
	}
}

func TestFieldsHaveTheirForms(t *testing.T) {
	l := &layout{fields: []field{
		{set: mappings[7].set}, {set: mappings[16].set}, {set: mappings[152].set}, {set: mappings[8].set, length: 4},
		{set: mappings[27].set, length: 16}, {set: mappings[61].set}, {}, {set: mappings[7].set},
	}}
	l.place()
	p := &l.placed
	if got := []int{len(p.numbers), len(p.positives), len(p.times), len(p.ipv4), len(p.ip), len(l.others)}; !slices.Equal(got, []int{1, 1, 1, 1, 0, 4}) {
		t.Errorf("%v", got) // the second address is of the same place
	}
	var w row
	w.r = new(flow.Record)
	if w.place(&layout{size: 1, placed: placed{any: true}}, make([]byte, 7)) {
		t.Error("placed beyond the input")
	}
}
