package dataset

import (
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/flowtest"
)

// enriched are records as they leave the pipeline, in batches as they come.
func enriched(n int) []flow.Record {
	rows := flowtest.Records(n, 1)
	for i := range rows {
		r := &rows[i]
		r.EventTime = start.Add(time.Duration(i) * time.Millisecond)
		r.Source.GeoStatus = "private"
		r.Destination.GeoStatus = "found"
		r.Destination.Geo = flow.Geo{Continent: "EU", Country: []string{"DE", "FR", "NL"}[i%3], Region: "Hesse", City: []string{"Frankfurt am Main", "Paris", "Amsterdam"}[i%3],
			TimeZone: "Europe/Berlin", Latitude: flow.F(50.1155), Longitude: flow.F(8.6842)}
		r.Destination.ASN, r.Destination.ASOrg = flow.N(int64(64500+i%50)), fmt.Sprint("Network ", i%50)
		r.GeoEdition, r.ASNEdition = start, start
	}
	return rows
}

// BenchmarkEncode is the plain loop: what the format and the compression cost.
func BenchmarkEncode(b *testing.B) {
	rows := enriched(100_000)
	for _, c := range []struct {
		Format
		Compression
	}{{NDJSON, None}, {NDJSON, Gzip}, {NDJSON, Zstd}, {CSV, None}, {Avro, Snappy}, {Parquet, None}, {Parquet, Snappy}, {Parquet, Zstd}} {
		b.Run(string(c.Format)+"/"+string(c.Compression), func(b *testing.B) {
			b.ReportAllocs()
			from := cpuTime()
			var n int64
			for b.Loop() {
				w := &countWriter{w: io.Discard}
				enc, err := NewEncoder(w, &flow.Records, c.Format, c.Compression)
				if err != nil {
					b.Fatal(err)
				}
				for i := range rows {
					if err := enc.Write(&rows[i]); err != nil {
						b.Fatal(err)
					}
				}
				if err := enc.Close(); err != nil {
					b.Fatal(err)
				}
				n = w.n
			}
			perRecord(b, len(rows), from)
			b.ReportMetric(float64(n)/float64(len(rows)), "bytes/record")
		})
	}
}

// BenchmarkWrite is the sink's work over the same rows: the loop above, and what makes
// the directory a set.
func BenchmarkWrite(b *testing.B) {
	rows := enriched(100_000)
	for _, c := range []struct {
		Format
		Compression
	}{{NDJSON, Gzip}, {Parquet, Snappy}} {
		b.Run(string(c.Format)+"/"+string(c.Compression), func(b *testing.B) {
			b.ReportAllocs()
			from := cpuTime()
			for b.Loop() {
				dir, err := os.MkdirTemp(b.TempDir(), "")
				if err != nil {
					b.Fatal(err)
				}
				mustWrite(b, fresh(b, Config{Dir: dir, Format: c.Format, Compression: c.Compression, Want: WantRecords()}, nil), rows)
			}
			perRecord(b, len(rows), from)
		})
	}
}

// BenchmarkRead reads rows and ids back.
func BenchmarkRead(b *testing.B) {
	rows := enriched(20_000)
	for _, f := range Formats {
		file := encode(b, &flow.Records, f, DefaultCompression(f), rows)
		b.Run(string(f)+"/rows", func(b *testing.B) {
			b.ReportAllocs()
			from := cpuTime()
			for b.Loop() {
				if err := ReadRows(memory(file), &flow.Records, f, DefaultCompression(f), func(*flow.Record) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
			perRecord(b, len(rows), from)
		})
		b.Run(string(f)+"/ids", func(b *testing.B) {
			b.ReportAllocs()
			from := cpuTime()
			for b.Loop() {
				if err := readColumns(memory(file), f, DefaultCompression(f), []column{{"record_id", flow.KindID}}, func([]flow.Value) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
			perRecord(b, len(rows), from)
		})
	}
}

// cpuTime is what the process has used, the collector's work too: on a busy machine the
// clock says little.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func perRecord(b *testing.B, n int, from time.Duration) {
	b.ReportMetric(float64((cpuTime()-from).Nanoseconds())/float64(b.N)/float64(n), "cpu-ns/record")
}
