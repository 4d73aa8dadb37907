package netflow

import (
	"testing"
	"time"

	"github.com/flowbeam/flowbeam/flow"
)

// What was said holds for its lifetime after it was said last, so that a Session which began
// that long ago knows the same as one that began a day ago.
func TestWhatIsNotSaidAgainIsForgotten(t *testing.T) {
	for _, version := range []uint16{V9, IPFIX} {
		s, out := NewSession(exporterIP, Config{Lifetime: time.Hour}), new(Output)
		said := message(version, head{}, templates(version, 256, "10:4 1:4"), optionTemplates(version, 300, "144:4", "34:4"), setOf(300, u32b(3), u32b(64)))
		if version == V9 {
			said = message(version, head{}, templates(version, 256, "10:4 1:4"), optionTemplates(version, 300, "1:4", "34:4"), setOf(300, u32b(3), u32b(64)))
		}
		data := message(version, head{}, setOf(256, u32b(3), u32b(7)))
		for _, step := range []struct {
			at      time.Duration
			b       []byte
			records int
			rate    flow.Int
		}{
			{0, said, 0, flow.Int{}},
			{time.Hour, data, 1, flow.N(64)},
			{time.Hour, said, 1, flow.Int{}},
			{2 * time.Hour, data, 2, flow.N(64)}, // it was said again
			{2*time.Hour + 1, data, 2, flow.Int{}},
			{2*time.Hour + 2, message(version, head{}, templates(version, 256, "10:4 1:4")), 3, flow.Int{}}, // the rate is not known any more
		} {
			waiting(t, s, out, step.at, step.b)
			if len(out.Records) != step.records {
				t.Fatalf("version %d: after %v %d records, want %d", version, step.at, len(out.Records), step.records)
			}
			if step.rate.OK && out.Records[step.records-1].SamplingRate != step.rate {
				t.Errorf("version %d: after %v the rate is %v", version, step.at, out.Records[step.records-1].SamplingRate)
			}
		}
		if last := out.Records[2]; last.SamplingRate.OK || out.Counts.Parked != 1 || out.Counts.Recovered != 1 {
			t.Errorf("version %d: rate %v, %+v", version, last.SamplingRate, out.Counts)
		}
	}
}
