package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/flowbeam/flowbeam/flow"
)

// Place is how far a source is in one partition or subscription.
type Place struct {
	// Lag is how many records wait there, as far as the source knows; negative: it does not.
	Lag int64
	// Watermark is the event time up to which all is thought to have been read; zero: it is
	// not known.
	Watermark flow.Time
}

// placeSet holds the places of all sources of the process.
type placeSet struct {
	sync.Mutex
	of map[[2]string]Place // by source and partition
}

var places placeSet

// SetPlace notes how far a source is.
func SetPlace(source, partition string, p Place) {
	places.Lock()
	defer places.Unlock()
	if places.of == nil {
		places.of = map[[2]string]Place{}
	}
	places.of[[2]string{source, partition}] = p
}

// DropPlace ends what is told of a partition: this process reads it no more.
func DropPlace(source, partition string) {
	places.Lock()
	defer places.Unlock()
	delete(places.of, [2]string{source, partition})
}

// Behind is the sum of what waits, and the lowest watermark of all that is read; ok is false
// where nothing is.
func Behind() (lag int64, lowest flow.Time, ok bool) {
	places.Lock()
	defer places.Unlock()
	for _, p := range places.of {
		lag += max(p.Lag, 0)
		if p.Watermark != 0 && (lowest == 0 || p.Watermark < lowest) {
			lowest = p.Watermark
		}
	}
	return lag, lowest, len(places.of) > 0
}

var (
	lagDesc = prometheus.NewDesc(namespace+"_source_lag_records", "Records that wait in a partition.", []string{"source", "partition"}, nil)
	ageDesc = prometheus.NewDesc(namespace+"_source_watermark_age_seconds", "How far the watermark of a partition is behind the clock.", []string{"source", "partition"}, nil)
)

// Describe makes it a prometheus.Collector.
func (*placeSet) Describe(d chan<- *prometheus.Desc) { d <- lagDesc; d <- ageDesc }

// Collect tells ages as of now: they grow where nothing happens.
func (s *placeSet) Collect(m chan<- prometheus.Metric) {
	s.Lock()
	defer s.Unlock()
	now := time.Now()
	for k, p := range s.of {
		if p.Lag >= 0 {
			m <- prometheus.MustNewConstMetric(lagDesc, prometheus.GaugeValue, float64(p.Lag), k[0], k[1])
		}
		if p.Watermark != 0 {
			m <- prometheus.MustNewConstMetric(ageDesc, prometheus.GaugeValue, now.Sub(p.Watermark.Std()).Seconds(), k[0], k[1])
		}
	}
}
