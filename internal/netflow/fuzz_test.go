package netflow

import (
	"bytes"
	"path/filepath"
	"testing"
	"time"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/testenv"
)

// fuzzSeeds are datagrams in pairs: what the second means may depend on the first.
func fuzzSeeds() (out [][2][]byte) {
	for _, version := range []uint16{V9, IPFIX} {
		scope := "144:4"
		if version == V9 {
			scope = "1:4"
		}
		tpl := message(version, head{}, templates(version, 256, "8:4 12:4 7:2 11:2 4:1 6:1 1:4 2:4 22:4 21:4 10:4 14:4 95:4 48:1"), optionTemplates(version, 300, scope, "160:8 48:1 50:4"),
			setOf(300, u32b(0), u64b(uint64(flowDay.UnixMilli())), u8(1), u32b(100)))
		data := message(version, head{seq: 1}, setOf(256, ip("198.51.100.1"), ip("203.0.113.1"), u16b(1000), u16b(443), u8(6, 2), u32b(10), u32b(1), u32b(5), u32b(6), u32b(3), u32b(4), u8(3, 0, 0, 80, 1)), setOf(257, u32b(1)))
		out = append(out, [2][]byte{tpl, data}, [2][]byte{data, tpl})
	}
	out = append(out,
		[2][]byte{v5(head{}, 1, 100, v5Record(1, 2, 6, 40000, 443)), v5(head{seq: 1}, 2, 0, v5Record(1, 2, 1, 0, 769))},
		[2][]byte{ipfix(head{}, templates(IPFIX, 256, "82:v 29305/1:8 10704/5:v 8:4"), setOf(256, u8(4), []byte("eth0"), u64b(5), u8(255, 0, 1, 7), ip("192.0.2.1"))), ipfix(head{}, setOf(2, u16b(256), u16b(0)), setOf(256, u32b(0)))},
		[2][]byte{v9(head{}, setOf(0, u16b(256), u16b(2), u16b(1), u16b(0), u16b(4), u16b(1))), v9(head{}, setOf(256, u8(6, 17, 1)), make([]byte, 40))})
	return out
}

// FuzzNetFlow holds for any two datagrams: no panic; no more records than bytes; a datagram
// that fails gives none; what is counted is given; and what is attached gives the same
// records alone.
func FuzzNetFlow(f *testing.F) {
	for _, s := range fuzzSeeds() {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		if len(first)+len(second) > 1<<17 {
			return
		}
		s, out := NewSession(exporterIP, Config{ParkedFor: time.Minute}), new(Output)
		var counts Counts
		collector := NewSession(exporterIP, Config{ParkedFor: time.Minute})
		var attached []Datagram
		whole := true
		for i, b := range [][]byte{first, second, first, second} {
			before, was := len(out.Records), out.Counts
			copied := bytes.Clone(b)
			d := Datagram{Data: b, Received: at(time.Duration(i) * time.Second)}
			err := s.Decode(d, out)
			if err != nil && (len(out.Records) != before || flow.ReasonOf(err, "") == "" || out.Counts.Records != was.Records) {
				t.Fatalf("error %v, and %d records, %+v", err, len(out.Records)-before, out.Counts)
			}
			whole = whole && err == nil
			got, _ := collector.Attach(d, &counts)
			attached = append(attached, got...)
			if !bytes.Equal(copied, b) {
				t.Fatal("the datagram is changed")
			}
		}
		s.Close(out)
		attached = append(attached, collector.Release(&counts)...)
		if n := len(out.Records); n > 2*(len(first)+len(second)) || int64(n) != out.Counts.Records {
			t.Fatalf("%d records of %d bytes, %+v", n, 2*(len(first)+len(second)), out.Counts)
		}
		if out.Counts.Parked != out.Counts.Recovered+out.Counts.Expired || out.Counts.Expired != int64(len(out.Expired)) {
			t.Fatalf("%+v, %d expired", out.Counts, len(out.Expired))
		}
		if s.parked.bytes != 0 || s.kept.templates > s.config.Templates {
			t.Fatalf("%d bytes are parked, %d templates", s.parked.bytes, s.kept.templates)
		}
		for i := range out.Records {
			if i < 10 && out.Records[i].EventTime != 0 { // none where the header's clock is at zero: parse refuses it
				checkRecord(t, "fuzz", &out.Records[i])
			}
		}
		if !whole {
			return // an error may come of what an earlier datagram said
		}
		alone := new(Output)
		for _, d := range attached {
			one := NewSession(exporterIP, Config{ParkedFor: time.Minute})
			if err := one.Decode(d, alone); err != nil {
				t.Fatalf("attached: %v", err)
			}
			one.Close(alone)
		}
		want, got := byID(out.Records), byID(alone.Records)
		if len(want) != len(got) {
			t.Fatalf("%d records, attached %d", len(want), len(got))
		}
		for i := range want {
			if want[i].ID != got[i].ID {
				t.Fatalf("record %d: the ids differ", i)
			}
		}
	})
}

// Real datagrams, whole and cut, by one Session: templates of other exporters read the wrong
// data then, and break nothing.
func TestCapturesByWrongTemplates(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(testenv.Shared(t, "netflow-datagrams/datagrams"), "*.dat"))
	if err != nil || len(files) < 90 {
		t.Fatal(len(files), err)
	}
	s, out := NewSession(exporterIP, Config{}), new(Output)
	for _, f := range files {
		b := capture(t, filepath.Base(f))
		for n := len(b); n > 0; n -= 1 + n/7 {
			out.Records = out.Records[:0]
			_ = s.Decode(Datagram{Data: b[:n], Received: receivedAt}, out)
			if len(out.Records) > maxRecords {
				t.Fatalf("%s: %d records", f, len(out.Records))
			}
		}
	}
}
