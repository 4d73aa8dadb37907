package rollup

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/flowbeam/flowbeam/flow"
)

// slabsOf are the slabs of some records with every measure.
func slabsOf(t testing.TB) (*plan, []slab) {
	t.Helper()
	p, err := newPlan([]string{"user_id"}, AllMeasures())
	if err != nil {
		t.Fatal(err)
	}
	c := newCells(p, time.Minute)
	for _, r := range fuzzRecords(1, 300) {
		c.add(&r)
	}
	var slabs []slab
	c.slabs(time.Hour, 2, func(s slab) { slabs = append(slabs, s) })
	return p, slabs
}

func TestSlabCoder(t *testing.T) {
	_, slabs := slabsOf(t)
	for _, s := range slabs {
		got, err := decodeSlab(encodeSlab(s))
		if err != nil || !reflect.DeepEqual(got, s) {
			t.Fatalf("decodeSlab(encodeSlab(s)) = %v, differs: %v", err, !reflect.DeepEqual(got, s))
		}
	}
}

func TestSlabsOfAnotherVersionOrPlanAreRefused(t *testing.T) {
	p, slabs := slabsOf(t)
	s := slabs[0]
	add := func(p *plan, data []byte) error {
		s := s
		s.Data = data
		return newCells(p, time.Hour).addSlab(&s, newOne(p))
	}
	if err := add(p, s.Data); err != nil {
		t.Errorf("its own: %v", err)
	}
	newer := append([]byte(nil), s.Data...)
	newer[0]++
	if err := add(p, newer); !errors.Is(err, flow.ErrNewer) {
		t.Errorf("a newer version: %v, want %v", err, flow.ErrNewer)
	}
	other, err := newPlan([]string{"user_id"}, AllMeasures()[1:])
	if err != nil {
		t.Fatal(err)
	}
	if add(other, s.Data) == nil {
		t.Error("cells of other measures were taken")
	}
	// Measures of the same shape are the ones that would be read without a sign.
	sum, err := newPlan([]string{"user_id"}, []string{"source_bytes"})
	if err != nil {
		t.Fatal(err)
	}
	alike, err := newPlan([]string{"user_id"}, []string{"destination_bytes"})
	if err != nil {
		t.Fatal(err)
	}
	c := newCells(sum, time.Minute)
	c.add(&flow.Record{EventTime: noon, UserID: "ann", Source: flow.Endpoint{Bytes: flow.N(1)}})
	c.slabs(time.Hour, 1, func(s slab) {
		if err := add(sum, s.Data); err != nil {
			t.Errorf("its own sum: %v", err)
		}
		if add(alike, s.Data) == nil {
			t.Error("bytes of the source were taken for those of the destination")
		}
	})
	for n := range s.Data[:500] {
		_ = add(p, s.Data[:n]) // must not panic
	}
}

// FuzzSlab holds that garbage in state or on the wire is an error and never a panic.
func FuzzSlab(f *testing.F) {
	p, slabs := slabsOf(f)
	f.Add(slabs[0].Data)
	s := newSessions(p, time.Minute)
	one := newCells(p, time.Millisecond)
	for _, r := range fuzzRecords(2, 50) {
		s.addRecord(&r, one)
	}
	open := s.head()
	s.live(func(i int) { open = s.appendSession(open, i) })
	f.Add(open)
	f.Fuzz(func(t *testing.T, data []byte) {
		c := newCells(p, time.Hour)
		if c.addSlab(&slab{Every: time.Hour, Data: data}, newOne(p)) == nil {
			for _, err := range c.rows("1h", maxRows) {
				if err != nil {
					break
				}
			}
		}
		_ = newSessions(p, time.Minute).addEncoded(data, newOne(p))
		_, _ = decodeSlab(data)
		_ = decodeKey(string(data), p.fields, make([]flow.Value, len(p.fields)))
	})
}
