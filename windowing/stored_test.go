package windowing

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/stored"
)

func init() {
	register.Function2x0(minutes)
	register.Function2x0(slowly)
	register.Emitter2[beam.EventTime, flow.RawBatch]()
}

// minutes gives a batch a minute.
func minutes(n int, emit func(beam.EventTime, flow.RawBatch)) {
	for i := range n {
		emit(mtime.FromTime(noon.Add(time.Duration(i)*time.Minute).Std()), flow.RawBatch{})
	}
}

var toldBefore atomic.Int64 // how far all was said to be stored before the slow sink had written

// slowly is a sink.
func slowly(_ flow.RawBatch, count func(flow.Count)) {
	time.Sleep(300 * time.Millisecond)
	toldBefore.Store(int64(stored.At()))
	count(flow.Count{Stage: "sink", Name: "new", N: 1})
}

func TestStoredIsWhatTheSlowestSinkHasWritten(t *testing.T) {
	stored.Begin()
	t.Cleanup(stored.Begin)
	p, s := beam.NewPipelineWithRoot()
	raw := beam.ParDo(s, minutes, beam.Create(s, 3))
	quick := beam.ParDo(s, slowly, raw)
	slow := beam.ParDo(s, slowly, beam.Reshuffle(s, raw))
	Stored(s, raw, quick, slow)
	ptest.RunAndValidate(t, p)
	if at := flow.Time(toldBefore.Load()); at != 0 {
		t.Errorf("stored until %v was told while a sink still wrote", at)
	}
	if want := noon.Add(2*time.Minute + time.Second - time.Millisecond); stored.At() != want {
		t.Errorf("in the end all is stored until %v, want %v", stored.At(), want)
	}
}
