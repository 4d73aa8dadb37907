package elasticsink

import (
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"github.com/flowbeam/flowbeam/flowtest/sinktest"
	"github.com/flowbeam/flowbeam/internal/delivery"
)

func TestMain(m *testing.M) { ptest.Main(m) }

// quick retries at once.
func quick(wait, deadline time.Duration) delivery.Policy {
	return delivery.Policy{Base: wait, Cap: 20 * wait, Deadline: deadline, Auth: deadline}
}

func conform(t *testing.T, change func(*options)) {
	sinktest.Run(t, sinktest.Sink{
		Class: sinktest.Set,
		Open: func(t testing.TB, c sinktest.Config) (any, sinktest.Store) {
			f := newFake(t)
			o := defaults("elasticsearch")
			o.Retry = quick(c.Wait, c.Deadline)
			if c.MaxBatch > 0 {
				o.RequestRecords = c.MaxBatch
			}
			change(&o)
			return &recordsFn{Cluster: Cluster{Addresses: []string{f.URL}}, Options: o}, f
		},
	})
}

func TestConformance(t *testing.T) { conform(t, func(*options) {}) }

func TestConformanceByHourInReplaceMode(t *testing.T) {
	conform(t, func(o *options) { o.Replace, o.Period, o.Plain = true, Hour, true })
}
