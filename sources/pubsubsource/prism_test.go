package pubsubsource

import (
	"sync"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/stopping"
)

func init() {
	beam.RegisterDoFn(&collectFn{})
	beam.RegisterDoFn(&countFn{})
}

// collected is what a pipeline's outputs were, in the test's process, where Prism runs it.
var collected struct {
	sync.Mutex
	batches []flow.RawBatch
	counts  map[string]int64
	until   int // so many messages
}

type collectFn struct{}

func (*collectFn) ProcessElement(b flow.RawBatch) {
	collected.Lock()
	defer collected.Unlock()
	collected.batches = append(collected.batches, b)
	if len(count(collected.batches)) == collected.until {
		stopping.Request()
	}
}

type countFn struct{}

func (*countFn) ProcessElement(n flow.Count) {
	collected.Lock()
	defer collected.Unlock()
	collected.counts[n.Stage+"/"+n.Name] += n.N
}

func TestPrismReadsUntilItIsAskedToEnd(t *testing.T) {
	f := newFake(t, "flows", "more")
	all := f.publish(texts(0, 300)...)
	collected.batches, collected.counts, collected.until = nil, map[string]int64{}, 300
	stopping.Arm()
	defer stopping.Disarm()
	p, s := beam.NewPipelineWithRoot()
	raw, _, counts := Read(s, project, []string{"flows"}, Emulator(f.addr), Format("clocked"), Poll(10*time.Millisecond), Checkpoint(50, time.Second), BatchSize(20, 1<<20))
	beam.ParDo0(s, &collectFn{}, raw)
	beam.ParDo0(s, &countFn{}, counts)
	if _, err := ptest.RunWithMetrics(p); err != nil {
		t.Fatal(err)
	}
	if have := count(collected.batches); len(have) != len(all) || collected.counts["pubsub/messages"] < 300 || collected.counts["pubsub/acked"] > 300 {
		t.Errorf("%d messages, counts %v", len(have), collected.counts)
	}
	leased := func() (n int) {
		f.with(func() { n = len(f.subs[fullSubscription("flows")].leased) })
		return n
	}
	waitUntil(t, "what is not acknowledged is given back", func() bool { return leased() == 0 })
}
