package delivery

import (
	"context"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/metrics"
)

// Tally is what one bundle of a sink did. New, AlreadyThere and Rejected add up to what it
// was given.
type Tally struct {
	New          int64 // the store had not seen it (log sinks: it was taken)
	AlreadyThere int64 // the store has it, from a bundle before or a lost reply
	Rejected     int64 // the store refused it for good: a dead letter
	Retried      int64 // requests, or parts of them, that were sent again
	Requests     int64
	Bytes        int64 // sent, before compression
}

// Add adds what another part of the bundle did.
func (t *Tally) Add(o Tally) {
	t.New += o.New
	t.AlreadyThere += o.AlreadyThere
	t.Rejected += o.Rejected
	t.Retried += o.Retried
	t.Requests += o.Requests
	t.Bytes += o.Bytes
}

// Emit emits the tally as counts of the stage: new, already_there, rejected, retried,
// requests, bytes.
func (t *Tally) Emit(stage string, emit func(flow.Count)) {
	flow.EmitCount(emit, stage, "new", t.New)
	flow.EmitCount(emit, stage, "already_there", t.AlreadyThere)
	flow.EmitCount(emit, stage, "rejected", t.Rejected)
	flow.EmitCount(emit, stage, "retried", t.Retried)
	flow.EmitCount(emit, stage, "requests", t.Requests)
	flow.EmitCount(emit, stage, "bytes", t.Bytes)
}

// Meter is a sink's Beam metrics, in the namespace of its stage: counters written,
// duplicates, rejected, retried and bytes, and the distribution latency_ms of requests, which
// Prometheus can ask for too.
// They count attempts, as all of Beam's metrics do; the exact numbers are the counts.
type Meter struct {
	stage                                         string
	written, duplicates, rejected, retried, bytes beam.Counter
	latency                                       beam.Distribution
}

// NewMeter makes the metrics of a stage.
func NewMeter(stage string) *Meter {
	return &Meter{
		stage:   stage,
		written: beam.NewCounter(stage, "written"), duplicates: beam.NewCounter(stage, "duplicates"),
		rejected: beam.NewCounter(stage, "rejected"), retried: beam.NewCounter(stage, "retried"),
		bytes: beam.NewCounter(stage, "bytes"), latency: beam.NewDistribution(stage, "latency_ms"),
	}
}

// Add adds a bundle's tally.
func (m *Meter) Add(ctx context.Context, t Tally) {
	m.written.Inc(ctx, t.New)
	m.duplicates.Inc(ctx, t.AlreadyThere)
	m.rejected.Inc(ctx, t.Rejected)
	m.retried.Inc(ctx, t.Retried)
	m.bytes.Inc(ctx, t.Bytes)
}

// Request measures one request, from its start to its reply.
func (m *Meter) Request(ctx context.Context, took time.Duration) {
	m.latency.Update(ctx, took.Milliseconds())
	metrics.Request(m.stage, took)
}
