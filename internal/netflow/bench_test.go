package netflow

import (
	"bytes"
	"encoding/binary"
	"path/filepath"
	"testing"
	"time"

	goflow "github.com/netsampler/goflow2/v2/decoders/netflow"
	"github.com/netsampler/goflow2/v2/decoders/netflowlegacy"

	"github.com/flowbeam/flowbeam/internal/testenv"
)

// BenchmarkDecode measures records of real captures and of datagrams made here, through a
// Session ("flowbeam": ids, times and fields of a flow.Record) and by the decoder of
// goflow2 v2.2.6 ("goflow2": its fields as bytes, no record is made), which is another
// implementation to compare with. "ratio" runs both in turns and gives, by the
// best run of each, how many times the records per second ours are: what else the machine
// does slows single runs.
func BenchmarkDecode(b *testing.B) {
	var made5, made9 [][]byte
	for i := range 30 {
		made5 = append(made5, v5Record(uptime-uint32(i), uptime, 6, 40000, 443))
		made9 = append(made9, cat(ip("198.51.100.1"), ip("203.0.113.1"), u16b(uint16(1000+i)), u16b(443), u8(6, 2, 8), u32b(1500), u32b(10), u32b(uptime-5), u32b(uptime), u32b(3), u32b(4), u8(24, 16)))
	}
	tpl := v9(head{}, templates(V9, 256, "8:4 12:4 7:2 11:2 4:1 6:1 5:1 1:4 2:4 22:4 21:4 10:4 14:4 9:1 13:1"))
	v9Data := v9(head{}, setOf(256, made9...))
	copy(v9Data[2:], u16b(30))
	b.Run("v5 made", func(b *testing.B) { compare(b, nil, [][]byte{v5(head{}, 30, 100, made5...)}) })
	b.Run("v9 made", func(b *testing.B) { compare(b, [][]byte{tpl}, [][]byte{v9Data}) })
	for _, c := range []struct{ name, template, data string }{
		{"v5 juniper", "", "netflow5_test_juniper_mx80.dat"},
		{"v9 asa", "netflow9_test_cisco_asa_1_tpl.dat", "netflow9_test_cisco_asa_1_data.dat"},
		{"v9 asr9k", "netflow9_test_cisco_asr9k_tpl260.dat", "netflow9_test_cisco_asr9k_data260.dat"},
		{"ipfix openbsd", "ipfix_test_openbsd_pflow_tpl.dat", "ipfix_test_openbsd_pflow_data.dat"},
	} {
		b.Run(c.name, func(b *testing.B) {
			var first [][]byte
			if c.template != "" {
				first = [][]byte{capture(b, c.template)}
			}
			compare(b, first, [][]byte{capture(b, c.data)})
		})
	}
	b.Run("v9 softflowd", func(b *testing.B) {
		all := payloads(b, filepath.Join(testenv.Shared(b, "one-traffic"), "echo-1000-connections", "netflow9.lp"))
		compare(b, nil, all)
	})
}

// compare measures the datagrams, after those that say how to read them.
func compare(b *testing.B, first, datagrams [][]byte) {
	ours, theirs := flowbeam(b, first, datagrams), goflow2(b, first, datagrams)
	for _, c := range []struct {
		name string
		run  func() int
	}{{"flowbeam", ours}, {"goflow2", theirs}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			records := 0
			for range b.N {
				records += c.run()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(records), "ns/record")
			b.ReportMetric(float64(records)/b.Elapsed().Seconds(), "records/s")
		})
	}
	b.Run("ratio", func(b *testing.B) {
		best := func(old, d time.Duration) time.Duration {
			if old == 0 || d < old {
				return d
			}
			return old
		}
		const turn = 20
		var mine, other time.Duration
		var records, otherRecords int
		for range b.N {
			t0 := time.Now()
			for range turn {
				records = ours()
			}
			t1 := time.Now()
			for range turn {
				otherRecords = theirs()
			}
			mine, other = best(mine, t1.Sub(t0)/turn), best(other, time.Since(t1)/turn)
		}
		b.ReportMetric(float64(records)/mine.Seconds()/(float64(otherRecords)/other.Seconds()), "ratio")
		b.ReportMetric(float64(mine.Nanoseconds())/float64(records), "best-ns/record")
		b.ReportMetric(float64(other.Nanoseconds())/float64(otherRecords), "goflow2-best-ns/record")
	})
}

func flowbeam(b *testing.B, first, datagrams [][]byte) func() int {
	s, out := NewSession(exporterIP, Config{}), new(Output)
	for _, d := range first {
		if err := s.Decode(Datagram{Data: d}, out); err != nil {
			b.Fatal(err)
		}
	}
	return func() int {
		n := 0
		for _, d := range datagrams {
			out.Records = out.Records[:0]
			if err := s.Decode(Datagram{Data: d}, out); err != nil {
				b.Fatal(err)
			}
			n += len(out.Records)
		}
		return n
	}
}

func goflow2(b *testing.B, first, datagrams [][]byte) func() int {
	system := goflow.CreateTemplateSystem()
	decode := func(d []byte) int {
		n := 0
		if binary.BigEndian.Uint16(d) == V5 {
			var p netflowlegacy.PacketNetFlowV5
			if err := netflowlegacy.DecodeMessageVersion(bytes.NewBuffer(d), &p); err != nil {
				b.Fatal(err)
			}
			return len(p.Records)
		}
		var v9 goflow.NFv9Packet
		var ipfix goflow.IPFIXPacket
		if err := goflow.DecodeMessageVersion(bytes.NewBuffer(d), system, &v9, &ipfix); err != nil {
			b.Fatal(err)
		}
		for _, sets := range [][]any{v9.FlowSets, ipfix.FlowSets} {
			for _, set := range sets {
				if data, ok := set.(goflow.DataFlowSet); ok {
					n += len(data.Records)
				}
			}
		}
		return n
	}
	for _, d := range first {
		decode(d)
	}
	return func() int {
		n := 0
		for _, d := range datagrams {
			n += decode(d)
		}
		return n
	}
}
