package job

import (
	"context"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/metrics"
)

func init() {
	beam.RegisterDoFn(&countFn{})
}

const (
	metricsNamespace   = "flowbeam"
	deadLettersCounter = "dead_letters_" // and the reason
)

// countFn names counts for their sums, and tells them while the job runs: to what bounds what is
// in flight, as Beam's metrics, in the namespace flowbeam, and in this process to Prometheus. Counts travel as data, so what
// runs again is shown once wherever the runner keeps what went before.
type countFn struct{ counters map[string]beam.Counter }

func (f *countFn) Setup() { f.counters = map[string]beam.Counter{} }

func (f *countFn) ProcessElement(ctx context.Context, c flow.Count) (string, int64) {
	tellInFlight(c)
	show(c, func(name string) {
		counter, ok := f.counters[name]
		if !ok {
			counter = beam.NewCounter(metricsNamespace, name)
			f.counters[name] = counter
		}
		counter.Inc(ctx, c.N)
	})
	return c.Stage + "/" + c.Name, c.N
}

// show sorts a count into the metrics. Beam's names are few: values of the input, such as data
// centers, are in none of them.
func show(c flow.Count, beamCounter func(name string)) {
	record := func(what string) { metrics.Record(what, c.N); beamCounter(what) }
	switch {
	case c.Stage == latenessStage:
		center, what, class := latenessCount(c.Name)
		switch {
		case class >= 0:
			metrics.Delay(center, class, c.N)
		case what == "millis":
			metrics.DelaySum(center, c.N)
		default:
			metrics.Event(latenessStage, what, c.N)
			beamCounter(what)
		}
	case c.Stage == "dead_letters":
		metrics.DeadLetter(c.Name, c.N)
		beamCounter(deadLettersCounter + c.Name)
	case c.Stage == "rollup_rows":
		metrics.RollupRows(c.Name, c.N)
		beamCounter("rollup_rows_" + c.Name)
	case strings.HasPrefix(c.Stage, sinkStage("")):
		switch c.Name {
		case "new", "already_there", "rejected":
			metrics.Sink(strings.TrimPrefix(c.Stage, sinkStage("")), c.Name, c.N)
		default:
			metrics.Event(c.Stage, c.Name, c.N)
		}
	case c.Name == "held":
		metrics.Held(c.Stage, c.N)
	case c.Name == "read", c.Name == "duplicates", c.Name == "gaps":
		record(c.Name)
	case c.Stage == "job" && c.Name == "runs":
	case c.Stage == "job":
		record(c.Name)
	default:
		metrics.Event(c.Stage, c.Name, c.N)
	}
}
