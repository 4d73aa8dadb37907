package rollup

import (
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"github.com/flowbeam/flowbeam/flow"
)

func init() {
	register.Function3x0(ungroup)
	register.Iter1[flow.Batch]()
	register.Emitter1[flow.Batch]()
}

// Grouping moves elements to the end of time; what is counted behind it must not be late.
func TestBoundedRollupsCountWhatComesFromBehindAGrouping(t *testing.T) {
	p, s := beam.NewPipelineWithRoot()
	in := beam.Create(s, flow.Batch{Records: []flow.Record{{ID: flow.ID{1}, EventTime: flow.TimeOf(time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)), UserID: "u"}}})
	grouped := beam.GroupByKey(s, beam.AddFixedKey(s, in))
	behind := flow.Collect(s, flow.Explode(s, beam.ParDo(s, ungroup, grouped)))
	levels, _ := By(s, behind, Bounded(), Fields("user_id"))
	for _, l := range levels {
		passert.Count(s, l.Rows, l.Name, 1)
	}
	ptest.RunAndValidate(t, p)
}

func ungroup(_ int, next func(*flow.Batch) bool, emit func(flow.Batch)) {
	for b := (flow.Batch{}); next(&b); {
		emit(b)
	}
}
