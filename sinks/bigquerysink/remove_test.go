package bigquerysink

import (
	"testing"

	"github.com/flowbeam/flowbeam/flow"
)

func TestTheSpanOfABatchHoldsAllItsTimes(t *testing.T) {
	var b flow.Batch
	for _, at := range []flow.Time{5, 9, 2, 7} {
		b.Records = append(b.Records, flow.Record{EventTime: at})
	}
	first, last := int64(5), int64(5)
	(&spanFn{}).ProcessElement(b, func(_ string, at int64) { first, last = min(first, at), max(last, at) })
	if first != 2 || last != 9 {
		t.Errorf("partitions from %d to %d, want 2 to 9: what lies outside would stay", first, last)
	}
	(&spanFn{}).ProcessElement(flow.Batch{}, func(string, int64) { t.Error("an empty batch has a span") })
}
