package collect

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/flowbeam/flowbeam/flow"
)

// FuzzIntake takes datagrams, each with its length in two bytes and an exporter in one in front. Whatever they
// are, each is accounted for once.
func FuzzIntake(f *testing.F) {
	join := func(datagrams ...[]byte) (b []byte) {
		for i, d := range datagrams {
			b = binary.BigEndian.AppendUint16(b, uint16(len(d)))
			b = append(append(b, byte(i%2)), d...)
		}
		return b
	}
	f.Add(join(v9(1, template(256)), v9(1, set(256, 0, 5)), v9(2, set(256, 0, 5), set(300, 0, 6), set(301, 0, 7)), v9(2, template(256)), v9(4, template(300))))
	f.Add(join(v9(1, set(256, 0, 5), template(256), set(256, 0, 6)), nil, []byte{0, 9}, []byte("GET /")))
	f.Add(join([]byte{0, 10, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, []byte{0, 5, 0, 1}, append([]byte{0, 0, 0, 5, 0, 0, 0, 1}, make([]byte, 30)...)))
	f.Fuzz(func(t *testing.T, b []byte) {
		var totals Totals
		made := int64(0)
		x := &intake{totals: &totals, maxExporters: 3, forget: time.Minute, maxParked: 500, emit: func(it *Item) {
			opened(t, it.Data)
			made++
			it.Written()
		}}
		taken := int64(0)
		for len(b) >= 3 {
			n := min(int(binary.BigEndian.Uint16(b)), len(b)-3)
			at := flow.Time(taken) * flow.Time(10*time.Second)
			x.take(exporterAt(int(b[2])), at, b[3:3+n])
			b = b[3+n:]
			if taken++; taken%7 == 0 {
				x.tick(at)
			}
			if x.parked > x.maxParked || len(x.exporters.by) > x.maxExporters {
				t.Fatalf("%d bytes wait of %d exporters", x.parked, len(x.exporters.by))
			}
		}
		x.end()
		if totals.Received.Load() != taken || totals.Written.Load() != taken || totals.Envelopes.Load() != made || len(x.waiting) != 0 || x.parked != 0 {
			t.Fatalf("%d taken, %d written, %d envelopes of %d, %d wait", taken, totals.Written.Load(), totals.Envelopes.Load(), made, len(x.waiting))
		}
	})
}
