package collect

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkLoopback sends NetFlow v9 of 25 records a datagram over loopback, as fast as one sender can, or
// 20,000 a second, and tells how many came through and what the kernel dropped.
//
//	go test -run=- -bench=Loopback ./internal/collect
func BenchmarkLoopback(b *testing.B) {
	for _, to := range []string{"discard", "files", "files-zstd"} {
		for _, rate := range []int{0, 20_000} {
			b.Run(fmt.Sprintf("%s/rate=%d", to, rate), func(b *testing.B) {
				var sink Sink = Discard{}
				if to != "discard" {
					sink = testFiles(b, func(c *FilesConfig) { c.Bytes, c.Zstd = 64<<20, to == "files-zstd" })
				}
				c := testConfig()
				c.ReceiveBuffer = Defaults().ReceiveBuffer
				x := listening(b, c)
				r := start(b, x, sink)
				exporter := client(b, x.Addrs()[0])
				data := v9(1, template(256))
				records := make([]uint16, 0, 50)
				for i := range 25 {
					records = append(records, 0, uint16(i))
				}
				send(b, exporter, data)
				begun := time.Now()
				n := 0
				for b.Loop() {
					n++
					if rate > 0 && n%20 == 0 {
						time.Sleep(time.Until(begun.Add(time.Duration(n) * time.Second / time.Duration(rate))))
					}
					send(b, exporter, v9(n, set(256, records...)))
				}
				sum := r.endOf()
				took := time.Since(begun).Seconds()
				b.ReportMetric(float64(n)/took, "sent/s")
				b.ReportMetric(float64(sum.Written)/took, "written/s")
				b.ReportMetric(100*float64(sum.KernelDrops)/float64(n), "kernel-drops-%")
				b.ReportMetric(100*float64(sum.DroppedQueue)/float64(n), "queue-drops-%")
			})
		}
	}
}

// endOf stops it; what was dropped is no error.
func (r *running) endOf() Summary {
	r.cancel()
	<-r.done
	return r.sum
}
