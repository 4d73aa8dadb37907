package kafkasource

import (
	"context"
	"strconv"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/flowbeam/flowbeam/internal/metrics"
)

// name is how metrics call a partition.
func (tp topicPartition) name() string { return tp.topic + "/" + strconv.Itoa(int(tp.id)) }

// show shows how far a partition is, to Prometheus.
func (x *consumer) show(q *queue) metrics.Place {
	x.mu.Lock()
	defer x.mu.Unlock()
	p := metrics.Place{Lag: -1, Watermark: q.mark.At}
	if !q.fetched.IsZero() {
		p.Lag = max(q.end-q.next, 0)
	}
	if x.queues[q.topicPartition] == q {
		metrics.SetPlace(x.c.Stage, q.name(), p)
	}
	return p
}

// hide ends that.
func (x *consumer) hide(q *queue) { metrics.DropPlace(x.c.Stage, q.name()) }

// gauges shows it to Beam, a bundle at a time: lag in messages and the age of the watermark in
// seconds, by partition, in the namespace of the stage.
func (b *bundle) gauges(ctx context.Context) {
	p := b.consumer.show(b.queue)
	if p.Lag >= 0 {
		beam.NewGauge(b.Config.Stage, "lag "+b.queue.name()).Set(ctx, p.Lag)
	}
	if p.Watermark != 0 {
		beam.NewGauge(b.Config.Stage, "watermark_age_seconds "+b.queue.name()).Set(ctx, int64(time.Since(p.Watermark.Std()).Seconds()))
	}
}
