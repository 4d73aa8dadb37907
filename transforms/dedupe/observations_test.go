package dedupe

import (
	"slices"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/teststream"

	"github.com/flowbeam/flowbeam/flow"
)

// seen is what one exporter saw of a conversation.
func seen(name, exporter, conversation string, start time.Duration, bytes int64) flow.Record {
	r := rec(name, start)
	r.Start, r.Exporter.Name, r.CommunityID = r.EventTime, exporter, conversation
	r.Source = flow.Endpoint{IP: flow.MustIP("10.0.0.1"), Port: flow.N(1024), Bytes: flow.N(bytes)}
	return r
}

func TestObservationsKeepsOneObserverByPolicy(t *testing.T) {
	records := []flow.Record{
		seen("edge", "r-edge", "1:x", 2*time.Second, 90),
		seen("core", "r-core", "1:x", 1*time.Second, 80),
		seen("core2", "r-core", "1:x", 30*time.Second, 5),
		seen("other", "r-edge", "1:y", 5*time.Second, 1),
		{ID: flow.NewID("test", []byte("alone")), UserID: "alone", EventTime: noon},
	}
	reverse := seen("reply", "r-edge", "1:x", 2*time.Second, 7)
	reverse.Source.IP = flow.MustIP("192.0.2.9") // the other direction of 1:x is no copy
	records = append(records, reverse)
	for _, c := range []struct {
		name   string
		policy Policy
		opts   []ObservationOption
		want   []any
	}{
		{"first: the one that saw it first, with all its records", First, nil,
			[]any{"corewinner", "core2winner", "otherwinner", "replywinner", "alone"}},
		{"max: the one that counted most bytes", Max, nil,
			[]any{"edgewinner", "otherwinner", "replywinner", "alone"}},
		{"priority: the one that stands first in the list", Priority, []ObservationOption{Exporters("r-edge", "r-core")},
			[]any{"edgewinner", "otherwinner", "replywinner", "alone"}},
		{"mark: all pass, copies are marked", MarkOnly, nil,
			[]any{"corewinner", "core2winner", "edgeduplicate", "otherwinner", "replywinner", "alone"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, s := beam.NewPipelineWithRoot()
			in := beam.Create(s, flow.Batch{Records: records[:2]}, flow.Batch{Records: records[2:]})
			kept, _ := Observations(s, in, c.policy, c.opts...)
			passert.Equals(s, beam.ParDo(s, listIDs, kept), c.want...)
			ptest.RunAndValidate(t, p)
		})
	}
}

func TestObservationsCountsWhatItDrops(t *testing.T) {
	p, s := beam.NewPipelineWithRoot()
	in := beam.Create(s, flow.Batch{Records: []flow.Record{
		seen("a", "one", "1:x", 0, 1), seen("b", "two", "1:x", 1, 1), seen("c", "three", "1:x", 2, 1)}})
	_, counts := Observations(s, in, First)
	passert.Sum(s, beam.ParDo(s, &countOf{Name: "duplicates"}, counts), "duplicates", 1, 2)
	ptest.RunAndValidate(t, p)
}

func TestObservationsMarksACopyThatComesAfterTheDecision(t *testing.T) {
	c := newStream()
	add(t, c, seen("a", "one", "1:x", 0, 1))
	c.AdvanceWatermark(millis(noon.Add(3 * time.Minute)))
	add(t, c, seen("late", "two", "1:x", 0, 99), seen("new", "two", "1:z", 0, 1))
	c.AdvanceWatermarkToInfinity()
	p, s := beam.NewPipelineWithRoot()
	kept, _ := Observations(s, teststream.Create(s, *c), Max)
	passert.Equals(s, beam.ParDo(s, listIDs, kept), "awinner", "lateduplicate", "newwinner")
	ptest.RunAndValidate(t, p)
}

func TestTheChoiceDoesNotDependOnTheOrderOfRecords(t *testing.T) {
	var records []flow.Record
	for i, e := range []string{"a", "b", "c", "d"} {
		for j := range 5 {
			records = append(records, seen(e+string(rune('0'+j)), e, "1:"+string(rune('p'+j)), 0, int64(i%2)))
		}
	}
	for _, policy := range Policies() {
		want := chooseObservers(records, policy, []string{"q"})
		for range 20 {
			slices.SortFunc(records, func(a, b flow.Record) int { return slices.Compare(a.ID[3:], b.ID[3:]) })
			records = append(records[7:], records[:7]...)
			got := chooseObservers(records, policy, []string{"q"})
			for c, o := range want {
				if got[c] != o {
					t.Fatalf("policy %s: another order chose another observer", policy)
				}
			}
		}
	}
}
