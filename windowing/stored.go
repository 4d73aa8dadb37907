package windowing

import (
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/stored"
)

func init() {
	register.Function1x2(beat)
	beam.RegisterDoFn(&silentFn{})
	beam.RegisterDoFn(&storedFn{})
	register.Emitter2[string, bool]()
	register.Iter1[bool]()
}

// Stored tells the sources of this process how far what they read is stored. raw is the
// PCollection<flow.RawBatch> that was read, and counts are the PCollection<flow.Count> of
// all sinks behind it: a sink counts what it has written when its bundle ends, so where the
// watermark of its counts is, all before it is written.
//
// Sources use it to note a place from which the next run has to read at the most
// (kafkasource.CommitStored), which is of use where the runner keeps no state and runs in
// the process of its sources: on the local runner. There the watermark behind a window waits
// until its late records are not taken any more: its allowed lateness and [RunnerLateness].
func Stored(s beam.Scope, raw beam.PCollection, counts ...beam.PCollection) {
	s = s.Scope("windowing.Stored")
	beats := beam.ParDo(s, beat, raw)
	// Elements come from the reads alone; from the counts comes the watermark.
	silent := beam.ParDo(s, &silentFn{}, beam.Flatten(s, counts...))
	all := beam.WindowInto(s, window.NewFixedWindows(storedStep), beam.Flatten(s, beats, silent))
	beam.ParDo0(s, &storedFn{}, beam.GroupByKey(s, all))
}

// storedStep is how finely the time until which all is stored is told.
const storedStep = time.Second

func beat(flow.RawBatch) (string, bool) { return "all", true }

type silentFn struct{}

func (*silentFn) ProcessElement(flow.Count, func(string, bool)) {}

type storedFn struct{}

func (*storedFn) ProcessElement(end beam.EventTime, _ string, _ func(*bool) bool) {
	stored.Advance(flow.TimeOf(end.ToTime()))
}
