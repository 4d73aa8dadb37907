package dataset

import (
	"io"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/flowbeam/flowbeam/flow"
)

// plainLoop is what one writes without this package: the library's writer, its rows made
// of the same columns and written 512 at a time, with the same settings.
func plainLoop(out io.Writer, rows []flow.Record) error {
	w := parquet.NewGenericWriter[any](out, parquetSchema(&flow.Records), parquet.Compression(parquetCodec(Snappy)),
		parquet.PageBufferSize(parquetPage), parquet.DictionaryMaxBytes(1<<20))
	cols := flow.Records.Columns
	batch := make([]parquet.Row, 0, 512)
	for i := range rows {
		if len(batch) == cap(batch) {
			if _, err := w.WriteRows(batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
		batch = batch[:len(batch)+1]
		row := batch[len(batch)-1][:0]
		for j := range cols {
			c := &cols[j]
			v := c.Get(&rows[i])
			var p parquet.Value
			switch v.Kind {
			case 0:
				if c.Required {
					p = (&stageColumn{kind: c.Kind}).zero()
				}
			case flow.KindInt:
				p = parquet.Int64Value(v.Int)
			case flow.KindTime:
				p = parquet.Int64Value(micros(flow.Time(v.Int)))
			case flow.KindBool:
				p = parquet.BooleanValue(v.Int != 0)
			case flow.KindFloat:
				p = parquet.DoubleValue(v.Float)
			default:
				p = parquet.ByteArrayValue([]byte(v.Str))
			}
			level := 0
			if !c.Required && v.Kind != 0 {
				level = 1
			}
			row = append(row, p.Level(0, level, j))
		}
		batch[len(batch)-1] = row
	}
	if _, err := w.WriteRows(batch); err != nil {
		return err
	}
	return w.Close()
}

// BenchmarkAgainstThePlainLoop is the sink's work, a set on disk, over the plain loop's, in
// one run: CPU time and allocations of a record, and the ratio of the CPU times.
func BenchmarkAgainstThePlainLoop(b *testing.B) {
	rows := enriched(100_000)
	dir := b.TempDir()
	var plain, ours time.Duration
	var allocs uint64
	for b.Loop() {
		f, err := os.CreateTemp(dir, "")
		if err != nil {
			b.Fatal(err)
		}
		from := cpuTime()
		if err := plainLoop(f, rows); err != nil {
			b.Fatal(err)
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
		plain += cpuTime() - from

		d, err := os.MkdirTemp(dir, "")
		if err != nil {
			b.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		from = cpuTime()
		mustWrite(b, fresh(b, Config{Dir: d, Format: Parquet, Compression: Snappy, Want: WantRecords()}, nil), rows)
		ours += cpuTime() - from
		runtime.ReadMemStats(&after)
		allocs += after.Mallocs - before.Mallocs
	}
	n := float64(b.N) * float64(len(rows))
	b.ReportMetric(float64(plain.Nanoseconds())/n, "plain-cpu-ns/record")
	b.ReportMetric(float64(ours.Nanoseconds())/n, "cpu-ns/record")
	b.ReportMetric(float64(allocs)/n, "allocs/record")
	b.ReportMetric(float64(ours)/float64(plain), "ratio")
}
