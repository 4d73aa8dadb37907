// Package metrics is what Prometheus can ask this process: the job's counts, the delay of
// its records, how far its sources are, and how long its stores take. Beam's own metrics are
// set beside them where a DoFn has its context; both only show, the exact numbers of a run
// are in its summary.
package metrics

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// namespace begins the name of each metric.
const namespace = "flowbeam"

var (
	records = counter("records_total", "Records by what became of them: read, written, duplicates, gaps, late (of those written).", "what")
	letters = counter("dead_letters_total", "Dead letters by reason.", "reason")
	rows    = counter("rollup_rows_total", "Rows of rollups by level; a corrected window gives its rows again.", "level")
	sunk    = counter("sink_records_total", "What sinks made of what they were given: new, already_there, rejected.", "sink", "outcome")
	events  = counter("events_total", "All other counts of the stages.", "stage", "name")

	held = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: namespace, Name: "held_records", Help: "Records that wait in a stage for a timer.",
	}, []string{"stage"})
	requests = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: "sink_request_seconds", Help: "Time of a sink's requests, from their start to their reply.",
		Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
	}, []string{"sink"})
)

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

// Handler answers with all metrics of this process in Prometheus' format.
func Handler() http.Handler {
	return promhttp.HandlerFor(registry(), promhttp.HandlerOpts{})
}

var registry = sync.OnceValue(func() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(records, letters, rows, sunk, events, held, requests, &places, &delays,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
})

// Show answers with the metrics of c as well, until hide is called.
func Show(c prometheus.Collector) (hide func()) {
	registry().MustRegister(c)
	return func() { registry().Unregister(c) }
}

// Record counts records by what became of them.
func Record(what string, n int64) { records.WithLabelValues(what).Add(float64(n)) }

// DeadLetter counts dead letters by reason.
func DeadLetter(reason string, n int64) { letters.WithLabelValues(reason).Add(float64(n)) }

// RollupRows counts a level's rows.
func RollupRows(level string, n int64) { rows.WithLabelValues(level).Add(float64(n)) }

// Sink counts what a sink made of what it was given.
func Sink(sink, outcome string, n int64) { sunk.WithLabelValues(sink, outcome).Add(float64(n)) }

// Held counts records that begin to wait in a stage for a timer, less than none where they go on.
func Held(stage string, n int64) { held.WithLabelValues(stage).Add(float64(n)) }

// Event counts anything else. A number below zero is passed over: Prometheus' counters take
// none, and what only shows a job must not end it.
func Event(stage, name string, n int64) {
	if n > 0 {
		events.WithLabelValues(stage, name).Add(float64(n))
	}
}

// Request notes one request of a sink, from its start to its reply.
func Request(sink string, took time.Duration) { requests.WithLabelValues(sink).Observe(took.Seconds()) }

// Serve answers at host:port/metrics until stop is called. addr is where it listens: with
// port 0 a free one was taken.
func Serve(address string) (addr string, stop func(), err error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", nil, fmt.Errorf("metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", Handler())
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			slog.Warn("metrics are no longer served", "address", address, "error", err)
		}
	}()
	return l.Addr().String(), func() { s.Close() }, nil
}

// Check says whether an address can be listened on.
func Check(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	return l.Close()
}
