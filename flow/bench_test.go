package flow

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// probeBatch makes n records with the fields that a subscriber probe fills: the shape that
// the benchmarks measure.
func probeBatch(n int) Batch {
	rng := rand.New(rand.NewPCG(1, 2))
	b := Batch{Records: make([]Record, n), Watermark: TimeOf(time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC))}
	for i := range b.Records {
		r := &b.Records[i]
		r.ID = NewID("canopus", binary.BigEndian.AppendUint64(nil, uint64(i)))
		r.Revision = 1
		r.Format = "canopus"
		r.Position = Position{Source: "probe.ndjson", Offset: N(int64(i) * 248)}
		r.EventTime = b.Watermark.Add(time.Duration(rng.IntN(7200)) * time.Second)
		r.DataCenter = "ams1"
		r.ByteLayer = "ip"
		r.Source.IP = IP{B: [16]byte{10, 0, byte(rng.IntN(256)), byte(rng.IntN(256))}, Len: 4}
		r.Destination.IP = IP{B: [16]byte{203, 0, 113, byte(rng.IntN(256))}, Len: 4}
		r.Source.Bytes = N(int64(rng.IntN(1e6)))
		r.Destination.Bytes = N(int64(rng.IntN(1e7)))
		r.UserID = fmt.Sprintf("user%05d", rng.IntN(50000))
		r.RTTInternal = N(int64(rng.IntN(1e8)))
		r.RTTExternal = N(int64(rng.IntN(1e8)))
		r.LossInternal = F(float64(rng.IntN(100)) / 1000)
		r.LossExternal = F(float64(rng.IntN(100)) / 1000)
	}
	return b
}

const benchRecords = 1000

// perRecord reports what one record costs, of b.N batches of benchRecords each.
func perRecord(b *testing.B, run func()) {
	b.ReportAllocs()
	allocs := testing.AllocsPerRun(3, run)
	for b.Loop() {
		run()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRecords, "ns/record")
	b.ReportMetric(allocs/benchRecords, "allocs/record")
}

func BenchmarkEncodeBatch(b *testing.B) {
	batch := probeBatch(benchRecords)
	b.SetBytes(int64(len(EncodeBatch(&batch))))
	perRecord(b, func() { EncodeBatch(&batch) })
}

func BenchmarkDecodeBatch(b *testing.B) {
	batch := probeBatch(benchRecords)
	wire := EncodeBatch(&batch)
	b.SetBytes(int64(len(wire)))
	perRecord(b, func() {
		if _, err := DecodeBatch(wire); err != nil {
			b.Fatal(err)
		}
	})
}

func BenchmarkAppendRecordJSON(b *testing.B) {
	batch := probeBatch(benchRecords)
	var buf []byte
	perRecord(b, func() {
		buf = buf[:0]
		for i := range batch.Records {
			buf = append(AppendRecordJSON(buf, &batch.Records[i]), '\n')
		}
	})
	b.SetBytes(int64(len(buf)))
}

func BenchmarkApply(b *testing.B) {
	batch := probeBatch(benchRecords)
	fn := &applyFn{Specs: EncodeSteps([]Step{&dropStep{Country: "XX"}, &dropStep{Country: "YY"}})}
	if err := fn.Setup(context.Background()); err != nil {
		b.Fatal(err)
	}
	perRecord(b, func() {
		err := fn.ProcessElement(context.Background(), batch, func(Batch) {}, func(FailureBatch) {}, nil)
		if err != nil {
			b.Fatal(err)
		}
	})
}

// dropStep drops what goes to a country.
type dropStep struct{ Country string }

func init() { RegisterStep("test.drop", new(dropStep)) }

func (s *dropStep) Setup(context.Context) error { return nil }
func (s *dropStep) Process(r *Record) (bool, error) {
	return r.Destination.Geo.Country != s.Country, nil
}
