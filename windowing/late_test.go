package windowing

import (
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"github.com/flowbeam/flowbeam/flow"
)

func TestMain(m *testing.M) { ptest.Main(m) }

var noon = flow.TimeOf(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))

func TestMarkLate(t *testing.T) {
	const allowed, smallest = time.Hour, time.Minute
	for _, tc := range []struct {
		name      string
		event     flow.Time
		watermark flow.Time
		late      bool
	}{
		{"bounded: nothing is late", noon, 0, false},
		{"before the watermark, within lateness", noon, noon.Add(time.Hour), false},
		{"its window ends, with lateness, at the watermark", noon, noon.Add(61 * time.Minute), true},
		{"a nanosecond earlier it does not", noon, noon.Add(61*time.Minute) - 1, false},
		{"the last of its window is as late as the first", noon.Add(time.Minute - 1), noon.Add(61 * time.Minute), true},
		{"ahead of the watermark", noon.Add(time.Hour), noon, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := flow.Batch{Records: []flow.Record{{EventTime: tc.event}, {EventTime: tc.watermark.Add(time.Hour)}}, Watermark: tc.watermark}
			out, n := markLate(in, allowed, smallest)
			if out.Records[0].Late != tc.late || (n == 1) != tc.late || out.Records[1].Late {
				t.Errorf("late = %v and %v, counted %d; want %v", out.Records[0].Late, out.Records[1].Late, n, tc.late)
			}
			if in.Records[0].Late {
				t.Error("the batch that came in was changed")
			}
			if same := &out.Records[0] == &in.Records[0]; same == tc.late {
				t.Errorf("copied = %v; want a copy only where something changes", !same)
			}
			if out.Watermark != in.Watermark || len(out.Records) != 2 {
				t.Errorf("watermark %v and %d records; want %v and 2", out.Watermark, len(out.Records), in.Watermark)
			}
		})
	}
}

func TestMarkLateKeepsAndCounts(t *testing.T) {
	p, s := beam.NewPipelineWithRoot()
	in := beam.Create(s,
		flow.Batch{Records: []flow.Record{{EventTime: noon}, {EventTime: noon.Add(2 * time.Hour)}}, Watermark: noon.Add(2 * time.Hour)},
		flow.Batch{Records: []flow.Record{{EventTime: noon}}})
	marked, counts := MarkLate(s, in, time.Hour, time.Minute)
	passert.Equals(s, marked,
		flow.Batch{Records: []flow.Record{{EventTime: noon, Late: true}, {EventTime: noon.Add(2 * time.Hour)}}, Watermark: noon.Add(2 * time.Hour)},
		flow.Batch{Records: []flow.Record{{EventTime: noon}}})
	passert.Equals(s, counts, flow.Count{Stage: "windowing", Name: "late", N: 1})
	ptest.RunAndValidate(t, p)
}
