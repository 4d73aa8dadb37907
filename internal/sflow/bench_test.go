package sflow

import (
	"bytes"
	"testing"

	goflow "github.com/netsampler/goflow2/v2/decoders/sflow"

	"github.com/flowbeam/flowbeam/flow"
)

// BenchmarkDecode measures a datagram of 7 samples through a Session, which makes records
// of them with ids and the packets' headers, and beside it by goflow2's decoder, which
// leaves the headers as bytes.
func BenchmarkDecode(b *testing.B) {
	var samples [][]byte
	for range 7 {
		samples = append(samples, sample(header(1, 1500, ethernet(0x0800, cat(udp4(), make([]byte, 80))))))
	}
	data := message(1, 1000, samples...)
	b.Run("flowbeam", func(b *testing.B) {
		s, out := NewSession(flow.MustIP("192.0.2.1")), new(Output)
		b.ReportAllocs()
		for range b.N {
			out.Records = out.Records[:0]
			if err := s.Decode(Datagram{Data: data}, out); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/7, "ns/record")
	})
	b.Run("goflow2", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			var p goflow.Packet
			if err := goflow.DecodeMessageVersion(bytes.NewBuffer(data), &p); err != nil || len(p.Samples) != 7 {
				b.Fatal(err, len(p.Samples))
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/7, "ns/record")
	})
}
