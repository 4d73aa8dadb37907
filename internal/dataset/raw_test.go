package dataset

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
)

// Two parts of one unit are two rows, and come back as they were; ids of whole units never change.
func TestPartsOfAUnitAreRowsOfTheirOwn(t *testing.T) {
	b := flow.RawBatch{Origin: flow.Origin{Source: "a.pcap"}, Records: []flow.Raw{
		{Data: []byte("whole"), Offset: flow.N(7)},
		{Data: []byte("part"), Offset: flow.N(7), Index: flow.N(20 << 16)},
		{Data: []byte("other"), Offset: flow.N(7), Index: flow.N(40 << 16)},
	}}
	ids := map[flow.ID]bool{}
	for i := range b.Records {
		row := RawRowOf(&b, i)
		ids[row.ID] = true
		if d := cmp.Diff(b.Records[i], row.Raw()); d != "" {
			t.Error(d)
		}
	}
	if len(ids) != 3 {
		t.Errorf("%d ids of 3 parts", len(ids))
	}
	if got := RawRowOf(&b, 0).ID.String(); got != "d83da18b4d1ab0d9adf9abfeab1e4e5d" {
		t.Errorf("id %s", got)
	}
}
