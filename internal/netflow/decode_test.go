package netflow

import (
	"bytes"
	"testing"

	"github.com/flowbeam/flowbeam/flow"
)

// Ids are for ever.
func TestRecordIDsAreGolden(t *testing.T) {
	v5 := decodeAll(t, v5(head{domain: 1, seq: 2}, 2, 0, v5Record(1, 2, 6, 3, 4), v5Record(1, 2, 6, 3, 4)))
	r := cat(ip("198.51.100.1"), u16b(80))
	v9 := decodeAll(t, v9(head{domain: 1, seq: 2}, templates(V9, 256, "8:4 7:2"), setOf(256, r, r), setOf(256, r)))
	x := decodeAll(t, ipfix(head{domain: 1, seq: 2}, templates(IPFIX, 256, "8:4 7:2"), setOf(256, r, r), setOf(256, r)))
	var got []string
	for _, out := range []*Output{v5, v9, x} {
		for i := range out.Records {
			got = append(got, out.Records[i].ID.String())
		}
	}
	want := []string{
		"fad06d6c1e7b281f13c0b2b3b4c9b5a2", "49a4f4667a3975e175087ccb148b7f6c",
		"547ccd75e04c9bbf987965d5bcc4614c", "c976dc20256476bb9b6a207607b5a01c", "853eb216366bcd3fdd306bac17c110d5",
		"31797a8ed22f40f216417517d0a1505c", "e26e5dea56a41af52c204941c4f62e71", "18ae4579e06a3180f8bb8edf92a501a8",
	}
	if len(got) != len(want) {
		t.Fatalf("%d records", len(got))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("record %d: %s", i, got[i])
		}
	}
}

// What identifies a record changes its id, and nothing else does.
func TestIDsFollowWhatIdentifiesARecord(t *testing.T) {
	r := cat(ip("198.51.100.1"), u16b(80))
	id := func(exporter flow.IP, h head, received flow.Time, sets ...[]byte) flow.ID {
		out := new(Output)
		d := Datagram{Data: v9(h, sets...), Received: received, Position: flow.Position{Offset: flow.N(int64(received))}, Tenant: received.String()}
		if err := NewSession(exporter, Config{}).Decode(d, out); err != nil {
			t.Fatal(err)
		}
		return out.Records[0].ID
	}
	tpl := templates(V9, 256, "8:4 7:2")
	base := id(exporterIP, head{}, 1, tpl, setOf(256, r))
	for what, other := range map[string]flow.ID{
		"another receive time and position": id(exporterIP, head{}, 2, tpl, setOf(256, r)),
		"templates in front":                id(exporterIP, head{}, 1, templates(V9, 300, "1:4"), optionTemplates(V9, 301, "1:4", "34:4"), setOf(301, u32b(0), u32b(9)), tpl, setOf(256, r)),
		"another uptime":                    id(exporterIP, head{uptime: 5}, 1, tpl, setOf(256, r)),
		"another reading of its bytes":      id(exporterIP, head{}, 1, templates(V9, 256, "12:4 11:2"), setOf(256, r)),
	} {
		if other != base {
			t.Errorf("%s changes the id", what)
		}
	}
	for what, other := range map[string]flow.ID{
		"another exporter": id(flow.MustIP("192.0.2.2"), head{}, 1, tpl, setOf(256, r)),
		"another domain":   id(exporterIP, head{domain: 1}, 1, tpl, setOf(256, r)),
		"another time":     id(exporterIP, head{at: 1e9}, 1, tpl, setOf(256, r)),
		"another sequence": id(exporterIP, head{seq: 1}, 1, tpl, setOf(256, r)),
		"other bytes":      id(exporterIP, head{}, 1, tpl, setOf(256, cat(ip("198.51.100.1"), u16b(81)))),
		"another set":      id(exporterIP, head{}, 1, tpl, setOf(256, r), setOf(256, r)),
	} {
		if other == base {
			t.Errorf("%s does not change the id", what)
		}
	}
}

// A malformed datagram gives nothing, whatever stands before the fault, and the next one is
// read as if it had not been.
func TestMalformedDatagramsAreRefusedWhole(t *testing.T) {
	r := cat(ip("198.51.100.1"), u16b(80))
	tpl := func(v uint16) []byte { return templates(v, 256, "8:4 7:2") }
	vtpl := templates(IPFIX, 257, "8:4 82:v")
	for what, b := range map[string][]byte{
		"no bytes":                                   {},
		"one byte":                                   {0},
		"version 8":                                  cat(u16b(8), make([]byte, 40)),
		"a cut v9 header":                            v9(head{})[:19],
		"a cut IPFIX header":                         ipfix(head{})[:15],
		"a length beyond the datagram":               ipfix(head{}, tpl(IPFIX), setOf(256, r))[:40],
		"a length below the header":                  cat(u16b(10), u16b(15), make([]byte, 12)),
		"a set beyond the message":                   v9(head{}, tpl(V9), setOf(256, r), u16b(256), u16b(9), u8(1, 2, 3, 4)),
		"a set shorter than its header":              v9(head{}, tpl(V9), setOf(256, r), u16b(256), u16b(3)),
		"a set of length 0, and more":                v9(head{}, tpl(V9), setOf(256, r), u16b(256), u16b(0), u8(1)),
		"bytes too few for a set":                    v9(head{}, tpl(V9), setOf(256, r), u8(1, 2)),
		"a template that is cut":                     v9(head{}, tpl(V9), setOf(256, r), setOf(0, u16b(300), u16b(2), u16b(1), u16b(4))),
		"a template without fields":                  v9(head{}, tpl(V9), setOf(256, r), setOf(0, u16b(300), u16b(0))),
		"a template with id 255":                     v9(head{}, tpl(V9), setOf(256, r), setOf(0, u16b(255), u16b(1), u16b(1), u16b(4))),
		"a template of no bytes":                     v9(head{}, tpl(V9), setOf(256, r), templates(V9, 300, "1:0 2:0")),
		"an enterprise that is cut":                  ipfix(head{}, tpl(IPFIX), setOf(256, r), setOf(2, u16b(300), u16b(1), u16b(0x8001), u16b(4))),
		"more scopes than fields":                    ipfix(head{}, tpl(IPFIX), setOf(256, r), setOf(3, u16b(300), u16b(1), u16b(2), u16b(1), u16b(4))),
		"an options template that is cut":            v9(head{}, tpl(V9), setOf(256, r), setOf(1, u16b(300), u16b(4))),
		"options of half a field":                    v9(head{}, tpl(V9), setOf(256, r), setOf(1, u16b(300), u16b(2), u16b(4), make([]byte, 8))),
		"a text beyond its set":                      ipfix(head{}, tpl(IPFIX), vtpl, setOf(256, r), setOf(257, ip("192.0.2.1"), u8(5), []byte("eth0"))),
		"a text beyond its set, behind an extension": ipfix(head{}, tpl(IPFIX), templates(IPFIX, 257, "148:4 82:v"), setOf(256, r), setOf(257, u32b(7), u8(5), []byte("eth0"))),
		"a long text beyond its set":                 ipfix(head{}, tpl(IPFIX), vtpl, setOf(256, r), setOf(257, ip("192.0.2.1"), u8(255, 0, 5), []byte("eth0"))),
		"a long text's length that is cut":           ipfix(head{}, tpl(IPFIX), vtpl, setOf(256, r), setOf(257, ip("192.0.2.1"), u8(255))),
		"a field before which the set ends":          ipfix(head{}, tpl(IPFIX), templates(IPFIX, 257, "82:v 8:4"), setOf(256, r), setOf(257, u8(3), []byte("eth"), u8(1))),
	} {
		s, out := NewSession(exporterIP, Config{}), new(Output)
		out.Records = append(out.Records, flow.Record{UserID: "before"})
		err := s.Decode(Datagram{Data: b, Received: receivedAt}, out)
		if err == nil || len(out.Records) != 1 || out.Counts != (Counts{}) || flow.ReasonOf(err, "") == "" {
			t.Errorf("%s: %d records, %+v, error %v", what, len(out.Records), out.Counts, err)
		}
		good := v9(head{}, tpl(V9), setOf(256, r))
		if err := s.Decode(Datagram{Data: good, Received: receivedAt}, out); err != nil || len(out.Records) != 2 {
			t.Errorf("%s: then %d records, %v", what, len(out.Records), err)
			continue
		}
		if got := extensions(&out.Records[1]); got != "{}" {
			t.Errorf("%s: then extensions %s", what, got)
		}
	}
}

// The count of a v9 header says nothing: sets are walked by their lengths.
func TestV9CountIsNoLimit(t *testing.T) {
	r := u32b(1)
	for _, count := range []uint16{0, 1, 2, 60000} {
		b := v9(head{}, templates(V9, 256, "1:4"), setOf(256, r), setOf(256, r, r), setOf(256, r))
		copy(b[2:], u16b(count))
		if out := decodeAll(t, b); len(out.Records) != 4 {
			t.Errorf("count %d: %d records", count, len(out.Records))
		}
	}
}

func TestPaddingIsNoRecord(t *testing.T) {
	for what, c := range map[string]struct {
		b        []byte
		records  int
		leftover int64
		trailing int64
	}{
		"zeros behind the last set":              {v9(head{}, templates(V9, 256, "1:4"), setOf(256, u32b(1)), make([]byte, 1000)), 1, 0, 0},
		"fewer zeros than a header":              {v9(head{}, templates(V9, 256, "1:4"), setOf(256, u32b(1)), make([]byte, 2)), 1, 0, 0},
		"zeros in a data set":                    {v9(head{}, templates(V9, 256, "1:4 5:1"), setOf(256, u32b(1), u8(2), make([]byte, 3))), 1, 0, 0},
		"zeros in a template set":                {v9(head{}, setOf(0, templates(V9, 256, "1:4")[4:], make([]byte, 4)), setOf(256, u32b(1))), 1, 0, 0},
		"zeros after records of variable length": {ipfix(head{}, templates(IPFIX, 256, "82:v 83:v"), setOf(256, u8(1, 'a', 1, 'b'), make([]byte, 3))), 1, 0, 0},
		"a rest that is no padding":              {v9(head{}, templates(V9, 256, "1:4 2:4"), setOf(256, u64b(1), u32b(7))), 1, 4, 0},
		"a second message behind":                {append(ipfix(head{}, templates(IPFIX, 256, "1:4"), setOf(256, u32b(1))), ipfix(head{})...), 1, 0, 16},
	} {
		out := decodeAll(t, c.b)
		if len(out.Records) != c.records || out.Counts.LeftoverBytes != c.leftover || out.Counts.TrailingBytes != c.trailing {
			t.Errorf("%s: %d records, %+v", what, len(out.Records), out.Counts)
		}
	}
}

func TestReservedSetsAreSkippedAndCounted(t *testing.T) {
	out := decodeAll(t, v9(head{}, setOf(2, u32b(1)), setOf(255), templates(V9, 256, "1:4"), setOf(256, u32b(1))),
		ipfix(head{}, setOf(0, u32b(1)), setOf(1)))
	if len(out.Records) != 1 || out.Counts.ReservedSets != 4 {
		t.Errorf("%d records, %+v", len(out.Records), out.Counts)
	}
}

// A template may make many records of few bytes: how many is bounded.
func TestRecordsOfADatagramAreBounded(t *testing.T) {
	s, out := NewSession(exporterIP, Config{}), new(Output)
	b := ipfix(head{}, templates(IPFIX, 256, "4:1"), setOf(256, bytes.Repeat(u8(6), maxRecords+1)))
	if err := s.Decode(Datagram{Data: b}, out); flow.ReasonOf(err, "") != flow.ReasonBomb || len(out.Records) != 0 {
		t.Errorf("one set: %d records, %v", len(out.Records), err)
	}
	half := setOf(256, bytes.Repeat(u8(6), maxRecords/2+1))
	if err := s.Decode(Datagram{Data: ipfix(head{}, half, half)}, out); flow.ReasonOf(err, "") != flow.ReasonBomb || len(out.Records) != 0 {
		t.Errorf("two sets: %d records, %v", len(out.Records), err)
	}
	varied := ipfix(head{}, templates(IPFIX, 257, "4:v"), setOf(257, bytes.Repeat(u8(0), maxRecords+5)))
	if err := s.Decode(Datagram{Data: varied}, out); flow.ReasonOf(err, "") != flow.ReasonBomb || len(out.Records) != 0 {
		t.Errorf("variable: %d records, %v", len(out.Records), err)
	}
}

func TestPositionIsTheDatagramsWithTheRecordsOffset(t *testing.T) {
	b := v9(head{}, templates(V9, 256, "1:4"), setOf(256, u32b(1), u32b(2)))
	out := new(Output)
	d := Datagram{Data: b, Received: 5, Position: flow.Position{Source: "topic", Partition: flow.N(1), Offset: flow.N(9)}, DataCenter: "fra", Tenant: "t"}
	if err := NewSession(exporterIP, Config{}).Decode(d, out); err != nil {
		t.Fatal(err)
	}
	r := &out.Records[1]
	if r.Position != (flow.Position{Source: "topic", Partition: flow.N(1), Offset: flow.N(9), Index: flow.N(int64(len(b) - 4))}) ||
		r.DataCenter != "fra" || r.Tenant != "t" || r.Received != 5 || r.Source.Bytes != flow.N(2) {
		t.Errorf("%+v", r)
	}
}
