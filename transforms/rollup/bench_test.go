//go:build unix

package rollup

import (
	"syscall"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/flowbeam/flowbeam/flow"
)

// cpuTime is what the process has used: wall time says little on a busy machine.
func cpuTime(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkAdd(b *testing.B) {
	for _, bm := range []struct {
		name     string
		fields   []string
		measures []string
		users    int
	}{
		{"hit/user+country", []string{"user_id", "source_country"}, DefaultMeasures(), 5},
		{"reference/user+country", []string{"user_id", "source_country"}, DefaultMeasures(), 2000},
		{"reference/default fields", DefaultFields(), DefaultMeasures(), 2000},
		{"all measures/user+country", []string{"user_id", "source_country"}, AllMeasures(), 5},
	} {
		b.Run(bm.name, func(b *testing.B) {
			records := sample(1, 200_000, bm.users)
			b.ReportAllocs()
			b.ResetTimer()
			n, start := 0, cpuTime(b)
			for b.Loop() {
				acc, err := NewAccumulator(bm.fields, bm.measures, []time.Duration{time.Minute})
				if err != nil {
					b.Fatal(err)
				}
				for i := range records {
					acc.Add(&records[i])
				}
				n += len(records)
			}
			b.ReportMetric(float64(cpuTime(b)-start)/float64(n), "cpu-ns/record")
		})
	}
}

// BenchmarkBundle is partialFn and mergeFn without a runner: a bundle of records to slabs
// of three levels, and these to rows.
func BenchmarkBundle(b *testing.B) {
	records := sample(1, 100_000, 2000)
	p, err := newPlan([]string{"user_id", "source_country"}, DefaultMeasures())
	if err != nil {
		b.Fatal(err)
	}
	every := []time.Duration{time.Minute, 5 * time.Minute, time.Hour}
	var bytes, rows, slabs, n int
	b.ReportAllocs()
	start := cpuTime(b)
	for b.Loop() {
		f := &partialFn{Fields: p.fieldNames, Measures: p.measureNames, Every: every, Shards: defaultShards, Cells: maxCells}
		if err := f.Setup(); err != nil {
			b.Fatal(err)
		}
		merged := map[time.Duration]map[string][]slab{}
		f.StartBundle(nil, nil)
		emit := func(_ beam.EventTime, s slab) {
			if merged[s.Every] == nil {
				merged[s.Every] = map[string][]slab{}
			}
			merged[s.Every][s.key()] = append(merged[s.Every][s.key()], s)
			bytes += len(encodeSlab(s))
			slabs++
		}
		f.ProcessElement(flow.Batch{Records: records}, emit, nil)
		f.FinishBundle(emit, func(flow.Count) {})
		for _, e := range every {
			m := &mergeFn{Level: LevelName(e), Fields: p.fieldNames, Measures: p.measureNames, Every: e}
			if err := m.Setup(); err != nil {
				b.Fatal(err)
			}
			for key, ss := range merged[e] {
				next := func(s *slab) bool {
					if len(ss) == 0 {
						return false
					}
					*s, ss = ss[0], ss[1:]
					return true
				}
				if err := m.ProcessElement(key, next, func(b flow.RollupBatch) { rows += len(b.Rows) }); err != nil {
					b.Fatal(err)
				}
			}
		}
		n += len(records)
	}
	b.ReportMetric(float64(cpuTime(b)-start)/float64(n), "cpu-ns/record")
	b.ReportMetric(float64(bytes)/float64(n), "slab-bytes/record")
	b.ReportMetric(float64(rows)/float64(n), "rows/record")
	b.ReportMetric(float64(slabs)*1000/float64(n), "slabs/1000records")
}
