package windowing

import (
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window"

	"github.com/flowbeam/flowbeam/flow"
)

// strategy is the windowing that wire gives its result.
func strategy(t *testing.T, wire func(beam.Scope, beam.PCollection) beam.PCollection) *window.WindowingStrategy {
	t.Helper()
	p, s := beam.NewPipelineWithRoot()
	wire(s, beam.Create(s, flow.Count{N: 1}))
	edges, _, err := p.Build()
	if err != nil {
		t.Fatal(err)
	}
	last := edges[len(edges)-1]
	return last.Output[0].To.WindowingStrategy()
}

// windowed are the ways to put elements into windows that may be corrected.
var windowed = map[string]func(beam.Scope, beam.PCollection) beam.PCollection{
	"fixed": func(s beam.Scope, c beam.PCollection) beam.PCollection {
		return Fixed(s, c, time.Minute, AllowedLateness(time.Hour))
	},
	"fixed, early": func(s beam.Scope, c beam.PCollection) beam.PCollection {
		return Fixed(s, c, time.Minute, AllowedLateness(time.Hour), EarlyCount(3))
	},
	"sessions": func(s beam.Scope, c beam.PCollection) beam.PCollection {
		return Sessions(s, c, time.Minute, AllowedLateness(time.Hour))
	},
}

// The pipeline decides what is late by the watermark that the source stamped; the runner's
// goes on while a batch is under way.
func TestTheRunnerAllowsMoreLatenessThanThePipeline(t *testing.T) {
	for name, wire := range windowed {
		if got, want := time.Duration(strategy(t, wire).AllowedLateness)*time.Millisecond, time.Hour+10*time.Minute; got != want {
			t.Errorf("%s: the runner allows %v, want %v", name, got, want)
		}
	}
}

// A firing replaces the one before, so it must have the whole window.
func TestPanesAccumulate(t *testing.T) {
	for name, wire := range windowed {
		if got := strategy(t, wire).AccumulationMode; got != window.Accumulating {
			t.Errorf("%s: mode %v, want accumulating", name, got)
		}
	}
}
