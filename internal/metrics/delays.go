package metrics

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// DelayBounds are the upper bounds, in seconds, of the classes that delays are counted in;
// what is above the last is in a class of its own.
var DelayBounds = []int64{1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200, 86400, 604800}

// delaySet counts records by data center and delay. It is counted by class elsewhere, where
// the numbers travel as data, so a histogram that is fed value by value does not serve.
type delaySet struct {
	sync.Mutex
	of map[string]*delay
}

type delay struct {
	classes []uint64 // as long as DelayBounds and one more
	millis  int64
}

var delays delaySet

func (s *delaySet) get(center string) *delay {
	if s.of == nil {
		s.of = map[string]*delay{}
	}
	d := s.of[center]
	if d == nil {
		d = &delay{classes: make([]uint64, len(DelayBounds)+1)}
		s.of[center] = d
	}
	return d
}

// Delay counts n records of a data center in a class of [DelayBounds].
func Delay(center string, class int, n int64) {
	delays.Lock()
	defer delays.Unlock()
	delays.get(center).classes[class] += uint64(n)
}

// DelaySum adds what the delays of records sum to, in milliseconds.
func DelaySum(center string, millis int64) {
	delays.Lock()
	defer delays.Unlock()
	delays.get(center).millis += millis
}

var delayDesc = prometheus.NewDesc(namespace+"_delay_seconds", "From a record's event to its arrival at the source.", []string{"data_center"}, nil)

// Describe makes it a prometheus.Collector.
func (*delaySet) Describe(d chan<- *prometheus.Desc) { d <- delayDesc }

// Collect makes a histogram of each data center.
func (s *delaySet) Collect(m chan<- prometheus.Metric) {
	s.Lock()
	defer s.Unlock()
	for center, d := range s.of {
		below, buckets := uint64(0), map[float64]uint64{}
		for i, bound := range DelayBounds {
			below += d.classes[i]
			buckets[float64(bound)] = below
		}
		m <- prometheus.MustNewConstHistogram(delayDesc, below+d.classes[len(DelayBounds)], float64(d.millis)/1000, buckets, center)
	}
}
