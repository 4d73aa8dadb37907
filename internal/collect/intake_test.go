package collect

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/netflow"
)

// v9 makes a NetFlow v9 datagram of sets.
func v9(seq int, sets ...[]byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, 9)
	b = binary.BigEndian.AppendUint16(b, uint16(len(sets)))
	for _, v := range []int{1000, 1_768_478_400, seq, 0} { // uptime, seconds, sequence, domain
		b = binary.BigEndian.AppendUint32(b, uint32(v))
	}
	for _, s := range sets {
		b = append(b, s...)
	}
	return b
}

func set(id int, body ...uint16) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(id))
	b = binary.BigEndian.AppendUint16(b, uint16(4+2*len(body)))
	for _, v := range body {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	return b
}

// template has one field: bytes (1), in 4 bytes.
func template(id int) []byte { return set(0, uint16(id), 1, 1, 4) }

type taken struct {
	*intake
	totals Totals
	items  []envelope
}

func newTaken(t *testing.T) *taken {
	x := &taken{}
	x.intake = &intake{totals: &x.totals, maxExporters: 100, forget: time.Hour, maxParked: maxParked}
	x.emit = func(it *Item) {
		x.items = append(x.items, opened(t, it.Data))
		it.Written()
	}
	return x
}

func (x *taken) expect(t *testing.T, what string, envelopes int, written int64) {
	t.Helper()
	if len(x.items) != envelopes || x.totals.Written.Load() != written {
		t.Errorf("%s: %d envelopes and %d datagrams written, want %d and %d", what, len(x.items), x.totals.Written.Load(), envelopes, written)
	}
}

func exporterAt(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 2055)
}

// A datagram counts as written when the last of its data sets is, however they come out.
func TestADatagramOfWhichSetsWaitIsWrittenWithTheLast(t *testing.T) {
	x := newTaken(t)
	a := exporterAt(1)
	x.take(a, 1, v9(1, template(256)))
	x.expect(t, "a template", 1, 1)
	x.take(a, 2, v9(2, set(256, 0, 5), set(300, 0, 6), set(301, 0, 7))) // two of three wait
	x.expect(t, "a part", 2, 1)
	x.take(a, 3, v9(3, set(300, 0, 8))) // all of it waits
	x.expect(t, "nothing", 2, 1)
	x.take(a, 4, v9(4, template(300)))
	x.expect(t, "one template", 5, 3) // the third datagram and the template's
	x.take(a, 5, v9(5, set(302, 0, 9), template(302)))
	x.expect(t, "a template behind its data", 7, 4)
	x.end()
	x.expect(t, "the end", 8, 5)
	if len(x.waiting) != 0 || x.parked != 0 || x.totals.Received.Load() != 5 {
		t.Errorf("%d wait, %d bytes", len(x.waiting), x.parked)
	}
	c := x.counted().NetFlow
	if c.Parked != 4 || c.Recovered != 3 || c.Expired != 1 || c.Records != 4 {
		t.Errorf("%+v", c)
	}
}

// Templates are of an address and a port.
func TestExportersOnOneAddressHaveTheirOwnTemplates(t *testing.T) {
	x := newTaken(t)
	a := exporterAt(1)
	b := netip.AddrPortFrom(a.Addr(), 2056)
	x.take(a, 1, v9(1, template(256)))
	x.take(b, 1, v9(1, set(256, 0, 5)))
	x.expect(t, "data of another port", 1, 1)
	x.take(a, 1, v9(2, set(256, 0, 5)))
	x.expect(t, "data of the port", 2, 2)
}

// What of exporters is remembered is bounded: who is silent is forgotten, and who was heard
// longest ago where there are too many. What waits of theirs is passed on.
func TestExportersAreForgotten(t *testing.T) {
	x := newTaken(t)
	x.maxExporters = 3
	for i := range 3 {
		x.take(exporterAt(i), flow.Time(i+1), v9(1, set(256, 0, 5)))
	}
	x.expect(t, "all wait", 0, 0)
	x.take(exporterAt(0), 9, v9(2, set(256, 0, 6))) // 1 is the oldest now
	x.take(exporterAt(3), 10, v9(1, template(256)))
	x.expect(t, "one too many", 2, 2)
	if x.items[0].from != exporterAt(1) || x.exporters.by[exporterAt(1)] != nil || len(x.exporters.by) != 3 {
		t.Errorf("%v was forgotten, %d left", x.items[0].from, len(x.exporters.by))
	}
	// It knows nothing any more, and others do.
	x.take(exporterAt(0), 11, v9(3, template(256)))
	x.expect(t, "a template that came", 5, 5)
	late := flow.Time(x.forget) + 10
	x.tick(late) // 2 was heard at 3, 3 at 10 and 0 at 11
	x.expect(t, "silence", 6, 6)
	if c := x.counted(); c.Forgotten != 2 || c.Exporters != 2 || c.Waiting != 0 {
		t.Errorf("%+v", c)
	}
	x.tick(late + 2)
	if c := x.counted(); c.Forgotten != 4 || c.Exporters != 0 {
		t.Errorf("%+v", c)
	}
}

// A set whose template does not come is passed on after its time, also where its exporter says no more.
func TestWhatWaitsTooLongIsPassedOn(t *testing.T) {
	x := newTaken(t)
	a := exporterAt(1)
	x.forget = 100 * time.Hour
	x.take(a, 1, v9(1, set(256, 0, 5)))
	x.tick(flow.Time(29 * time.Minute))
	x.expect(t, "before", 0, 0)
	if c := x.counted(); c.Waiting != 1 {
		t.Errorf("%+v", c)
	}
	x.tick(flow.Time(31 * time.Minute))
	x.expect(t, "after", 1, 1)
	if x.items[0].received != 1 || netflow.Version(x.items[0].data) != 9 {
		t.Errorf("%+v", x.items[0])
	}
}

// What waits is bounded over all exporters.
func TestWhatWaitsIsBounded(t *testing.T) {
	x := newTaken(t)
	x.maxParked = 1000
	for i := range 100 {
		x.take(exporterAt(i), 1, v9(1, set(256, 0, 5)))
		if x.parked > x.maxParked {
			t.Fatalf("%d bytes wait", x.parked)
		}
	}
	if n := len(x.items); n == 0 || n >= 100 || int(x.totals.Written.Load()) != n {
		t.Errorf("%d were passed on", n)
	}
	x.end()
	x.expect(t, "the end", 100, 100)
}

// Malformed datagrams are passed on as they are.
func TestMalformedDatagramsArePassedOnAndCounted(t *testing.T) {
	x := newTaken(t)
	bad := [][]byte{nil, {9}, {0, 9}, {0, 5, 0, 99}, {0, 10, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, []byte("GET / HTTP/1.1"), append([]byte{0, 0, 0, 5, 0, 0, 0, 1}, make([]byte, 30)...)}
	bad[6][27] = 9 // samples
	for i, b := range bad {
		x.take(exporterAt(i), 1, b)
		if string(x.items[i].data) != string(b) {
			t.Errorf("%x became %x", b, x.items[i].data)
		}
	}
	x.tick(2)
	c := x.counted()
	if c.Malformed["format"] != 3 || c.Malformed["syntax"] != 4 || c.Formats["other"] != 3 || c.Exporters != 4 {
		t.Errorf("%+v", c)
	}
	x.expect(t, "all", len(bad), int64(len(bad)))
}

func BenchmarkIntake(b *testing.B) {
	for _, name := range []string{"netflow5", "netflow9", "ipfix", "sflow"} {
		b.Run(name, func(b *testing.B) {
			var data [][]byte
			for _, c := range captures(b) {
				if base := c[len(c)-len(name)-3:]; base == name+".lp" {
					data = append(data, payloads(b, c)...)
				}
			}
			var totals Totals
			x := &intake{totals: &totals, maxExporters: 10, forget: time.Hour, maxParked: maxParked, emit: (*Item).Written}
			for _, d := range data {
				x.take(someone, 1, d)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				x.take(someone, 1, data[i%len(data)])
			}
		})
	}
}
