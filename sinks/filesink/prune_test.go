package filesink

import (
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/flowtest"
)

func init() { register.Function1x2(oneShard) }

// oneShard says that all records are superseded, of the one shard that there is.
func oneShard(b flow.Batch) (string, []byte) {
	var ids []byte
	for _, r := range b.Records {
		ids = append(ids, r.ID[:]...)
	}
	return "2026-01-02T00:00:00Z 0", ids
}

func TestPruneLeavesTheReplacement(t *testing.T) {
	dir := t.TempDir()
	records := flowtest.Records(50, 1)
	for i := range records {
		records[i].EventTime, records[i].Revision = flow.TimeOf(flowtest.Start), 0
	}
	again := append([]flow.Record{}, records[:30]...)
	for i := range again {
		again[i].Revision = 1
	}
	opts := []Option{Format("ndjson"), Compression("none"), Bucket(24 * time.Hour)}
	p, s := beam.NewPipelineWithRoot()
	Write(s, beam.Create(s, flow.Batch{Records: records}), dir, opts...)
	ptest.RunAndValidate(t, p)
	p, s = beam.NewPipelineWithRoot()
	w := Write(s, beam.Create(s, flow.Batch{Records: again}), dir, append(opts, Replace())...)
	Prune(s, beam.ParDo(s, oneShard, beam.Create(s, flow.Batch{Records: records})), dir, 1, w.Counts)
	ptest.RunAndValidate(t, p)
	have := lines(t, dir)
	if len(have) != 30 {
		t.Errorf("%d records are left, want the 30 of the replacement", len(have))
	}
	for line, n := range have {
		if n != 1 {
			t.Errorf("%d times: %s", n, line)
		}
	}
}
