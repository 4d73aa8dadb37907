package windowing

import (
	"fmt"
	"slices"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/flowbeam/flowbeam/flow"
)

func init() {
	beam.RegisterDoFn(&markLateFn{})
	register.Emitter1[flow.Batch]()
	register.Emitter1[flow.Count]()
}

// Late says whether a record of event time t came too late: the smallest window that it
// belongs to ended, with the allowed lateness, at or before the watermark. A watermark
// of zero (bounded reads) makes nothing late.
func Late(t, watermark flow.Time, allowed, smallest time.Duration) bool {
	return watermark != 0 && BucketEnd(t, smallest).Add(allowed) <= watermark
}

// MarkLate sets Late on the records of a PCollection<flow.Batch> that came too late for
// the windows: see [Late]. smallest is the length of the smallest window in use. It
// decides by the watermark that the source stamped on the batch, because a Go DoFn can't
// read the runner's and an aggregation would drop the record in silence. Late records
// stay in the batch: they still go to the stores and the backup.
//
// It returns the batches (PCollection<flow.Batch>) and the counts
// (PCollection<flow.Count>: windowing/late). A retried bundle decides the same.
func MarkLate(s beam.Scope, batches beam.PCollection, allowed, smallest time.Duration) (marked, counts beam.PCollection) {
	s = s.Scope("windowing.MarkLate")
	if allowed < 0 || smallest <= 0 {
		panic(fmt.Sprintf("windowing.MarkLate: allowed lateness %v must not be negative, smallest window %v must be positive", allowed, smallest))
	}
	return beam.ParDo2(s, &markLateFn{Allowed: allowed, Smallest: smallest}, batches)
}

type markLateFn struct {
	Allowed, Smallest time.Duration

	late int64
}

func (f *markLateFn) StartBundle(func(flow.Batch), func(flow.Count)) { f.late = 0 }

func (f *markLateFn) ProcessElement(b flow.Batch, emit func(flow.Batch), _ func(flow.Count)) {
	marked, n := markLate(b, f.Allowed, f.Smallest)
	f.late += n
	emit(marked)
}

func (f *markLateFn) FinishBundle(_ func(flow.Batch), count func(flow.Count)) {
	flow.EmitCount(count, "windowing", "late", f.late)
}

// markLate copies the records of b only if one of them changes.
func markLate(b flow.Batch, allowed, smallest time.Duration) (flow.Batch, int64) {
	var n int64
	copied := false
	for i := range b.Records {
		late := Late(b.Records[i].EventTime, b.Watermark, allowed, smallest)
		if late {
			n++
		}
		if late == b.Records[i].Late {
			continue
		}
		if !copied {
			b.Records, copied = slices.Clone(b.Records), true
		}
		b.Records[i].Late = late
	}
	return b, n
}
