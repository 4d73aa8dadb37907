package sflow

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
)

// FuzzSFlow holds for any datagram: no panic; no more records than it has bytes for; one
// that fails gives none; one input, one result; no extension twice; the input is not
// changed.
func FuzzSFlow(f *testing.F) {
	frame := ethernet(0x0800, udp4())
	f.Add(message(1, 1, sample(header(1, 64, frame)), item(2, u32(1, 2, 3))))
	f.Add(message(1, 1, item(3, u32(1, 0, 1<<30, 100, 5000, 0, 0, 1<<30, 0, internal, 1), item(4, u32(100, 6), make([]byte, 32), u32(1000, 443, 0x12, 8)))))
	f.Add(message(1, 1, sample(
		header(1, 64, ethernet(0x8100, cat([]byte{0, 10, 0x88, 0x47, 0, 1, 1, 64}, udp4()))),
		item(1001, u32(10, 3, 20, unknown)), item(1002, u32(1), make([]byte, 4), u32(24, 16)),
		item(1003, u32(1), make([]byte, 4), u32(1, 2, 3), u32(1), u32(2, 2, 4, 5), u32(1, 6), u32(7)),
		item(1004, u32(106), opaque([]byte("ann")), u32(106), opaque([]byte("bob"))), item(1007, u32(1), make([]byte, 4), u32(2), make([]byte, 16)), item(9, u32(1)))))
	f.Add(message(1, 1, sample(item(1001, u32(10, 3, 20, 4)), item(1001, u32(10, 5, 20, 6)), item(1002, u32(1, 1, 24, 16)), item(1002, u32(1, 2, 24, 16)))))
	f.Add(cat(u32(5, 2), make([]byte, 16), u32(0, 1, 2, 1), item(1, u32(1, 3, 100, 1, 1, 1<<30|258, 2<<30|1, 0))))
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		run := func() (*Output, error) {
			out := new(Output)
			return out, NewSession(sender).Decode(Datagram{Data: b, Received: receivedAt}, out)
		}
		out, err := run()
		IsDatagram(b)
		if !bytes.Equal(before, b) {
			t.Fatal("the datagram is changed")
		}
		if err != nil && (len(out.Records) != 0 || out.Counts != (Counts{}) || flow.ReasonOf(err, "") == "") {
			t.Fatalf("error %v, and %d records, %+v", err, len(out.Records), out.Counts)
		}
		if len(out.Records) > len(b)/32 || int64(len(out.Records)) != out.Counts.Records {
			t.Fatalf("%d records of %d bytes, %+v", len(out.Records), len(b), out.Counts)
		}
		again, _ := run()
		if len(out.Records) < 20 {
			if d := cmp.Diff(out, again); d != "" {
				t.Fatal(d)
			}
		}
		for i := range out.Records {
			r := &out.Records[i]
			names := map[string]bool{}
			for _, e := range r.Extensions {
				if names[e.Name] {
					t.Fatalf("the extension %q is there twice", e.Name)
				}
				names[e.Name] = true
			}
			if r.ID.IsZero() || r.EventTime == 0 {
				t.Fatalf("%+v", r)
			}
		}
	})
}
