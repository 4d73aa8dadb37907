package rollup

import (
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/teststream"
	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/windowing"
)

// A stream under test: batches and the watermark, as a source would give them.
type stream struct {
	t         *testing.T
	cfg       teststream.Config
	watermark flow.Time
}

func newStream(t *testing.T) *stream { return &stream{t: t, cfg: teststream.NewConfig()} }

// read is a batch, stamped with the watermark that the source has reached.
func (s *stream) read(records ...flow.Record) *stream {
	b := flow.Batch{Records: records, Watermark: s.watermark}
	first, _ := b.Bounds()
	if err := s.cfg.AddElements(int64(first)/int64(time.Millisecond), b); err != nil {
		s.t.Fatal(err)
	}
	return s
}

// to moves the watermark to d after noon.
func (s *stream) to(d time.Duration) *stream {
	s.watermark = noon.Add(d)
	if err := s.cfg.AdvanceWatermark(int64(s.watermark) / int64(time.Millisecond)); err != nil {
		s.t.Fatal(err)
	}
	return s
}

const testLateness = time.Hour

// run marks what is late and rolls up.
func (s *stream) run(opts ...Option) *results {
	s.t.Helper()
	return s.runWith(func(_ beam.Scope, batches beam.PCollection) beam.PCollection { return batches }, opts...)
}

// runWith does something with the batches before.
func (s *stream) runWith(before func(beam.Scope, beam.PCollection) beam.PCollection, opts ...Option) *results {
	s.t.Helper()
	if err := s.cfg.AdvanceWatermarkToInfinity(); err != nil {
		s.t.Fatal(err)
	}
	return collect(s.t, func(sc beam.Scope) ([]Level, []beam.PCollection) {
		marked, late := windowing.MarkLate(sc, before(sc, teststream.Create(sc, s.cfg)), testLateness, time.Minute)
		opts = append([]Option{Fields("user_id"), Measures("flows", "source_bytes"), Lateness(testLateness)}, opts...)
		levels, counts := By(sc, marked, opts...)
		return levels, []beam.PCollection{late, counts}
	})
}

func TestStream(t *testing.T) {
	const m = time.Minute
	for _, tc := range []struct {
		name                    string
		stream                  func(*stream)
		minute, five, hour      []string
		records, late, excluded int64
	}{{
		name: "on time",
		stream: func(s *stream) {
			s.read(at(10*time.Second, "ann", 1), at(20*time.Second, "bob", 2)).to(m).
				read(at(m+1, "ann", 4), at(m+2, "ann", 8)).to(2 * time.Hour)
		},
		minute:  []string{"12:00:00 n=1 ann 1 1", "12:00:00 n=1 bob 1 2", "12:01:00 n=2 ann 2 12"},
		five:    []string{"12:00:00 n=3 ann 3 13", "12:00:00 n=1 bob 1 2"},
		hour:    []string{"12:00:00 n=3 ann 3 13", "12:00:00 n=1 bob 1 2"},
		records: 4,
	}, {
		name: "late within lateness corrects all three levels",
		stream: func(s *stream) {
			s.read(at(10*time.Second, "ann", 1)).to(90*m).
				read(at(59*m+20*time.Second, "ann", 10), at(90*m, "ann", 100)).to(3 * time.Hour)
		},
		minute:  []string{"12:00:00 n=1 ann 1 1", "12:59:00 n=1 ann 1 10", "13:30:00 n=1 ann 1 100"},
		five:    []string{"12:00:00 n=1 ann 1 1", "12:55:00 n=1 ann 1 10", "13:30:00 n=1 ann 1 100"},
		hour:    []string{"12:00:00 n=2 ann 2 11", "13:00:00 n=1 ann 1 100"},
		records: 3,
	}, {
		name: "late in a window with a result corrects it: 11 stays 11",
		stream: func(s *stream) {
			s.read(at(10*time.Second, "ann", 1)).to(60 * m).read(at(20*time.Second, "ann", 10)).to(62 * m)
		},
		minute:  []string{"12:00:00 n=2 ann 2 11"},
		five:    []string{"12:00:00 n=2 ann 2 11"},
		hour:    []string{"12:00:00 n=2 ann 2 11"},
		records: 2,
	}, {
		name: "too late is marked and left out",
		stream: func(s *stream) {
			s.read(at(10*time.Second, "ann", 1)).to(61*m).read(at(0, "ann", 10), at(m, "ann", 100)).to(62 * m)
		},
		minute:  []string{"12:00:00 n=1 ann 1 1", "12:01:00 n=1 ann 1 100"},
		five:    []string{"12:00:00 n=2 ann 2 101"},
		hour:    []string{"12:00:00 n=2 ann 2 101"},
		records: 2, late: 1, excluded: 1,
	}, {
		name: "watermark held back makes nothing late",
		stream: func(s *stream) {
			s.to(-time.Hour).read(at(3*time.Hour, "ann", 1)).read(at(0, "ann", 10)).to(-time.Minute).read(at(0, "ann", 100))
		},
		minute:  []string{"12:00:00 n=2 ann 2 110", "15:00:00 n=1 ann 1 1"},
		five:    []string{"12:00:00 n=2 ann 2 110", "15:00:00 n=1 ann 1 1"},
		hour:    []string{"12:00:00 n=2 ann 2 110", "15:00:00 n=1 ann 1 1"},
		records: 3,
	}} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStream(t)
			tc.stream(s)
			got := s.run()
			for level, want := range map[string][]string{"1m": tc.minute, "5m": tc.five, "1h": tc.hour} {
				if diff := cmp.Diff(want, brief(got.rows(level))); diff != "" {
					t.Errorf("%s (-want +got):\n%s", level, diff)
				}
				// The runner dropped nothing that was let through.
				var n int64
				for _, r := range got.rows(level) {
					n += r.Records
				}
				if n != tc.records {
					t.Errorf("%s: %d records in rows, %d went in", level, n, tc.records)
				}
			}
			for name, want := range map[string]int64{"rollup/records": tc.records, "rollup/late_excluded": tc.excluded, "windowing/late": tc.late} {
				if got.counts[name] != want {
					t.Errorf("count %s = %d, want %d", name, got.counts[name], want)
				}
			}
		})
	}
}
