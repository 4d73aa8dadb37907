package netflow

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
)

// waiting decodes a data set whose template is not known.
func waiting(t *testing.T, s *Session, out *Output, received time.Duration, b []byte) {
	t.Helper()
	if err := s.Decode(Datagram{Data: b, Received: at(received), Position: flow.Position{Offset: flow.N(int64(received))}}, out); err != nil {
		t.Fatal(err)
	}
}

func TestDataThatComesBeforeItsTemplateWaits(t *testing.T) {
	for _, version := range []uint16{V9, IPFIX} {
		data := message(version, head{seq: 1}, setOf(256, u32b(1), u32b(2)), setOf(257, u32b(9)))
		tpl := message(version, head{seq: 2, at: time.Second}, templates(version, 256, "1:4"))
		inOrder := decodeAll(t, message(version, head{}, templates(version, 256, "1:4")), data)

		s, out := NewSession(exporterIP, Config{}), new(Output)
		waiting(t, s, out, time.Minute, data)
		if len(out.Records) != 0 || out.Counts.Parked != 2 {
			t.Fatalf("%d records, %+v", len(out.Records), out.Counts)
		}
		clear(data) // the caller's memory is the caller's
		waiting(t, s, out, 2*time.Minute, tpl)
		if out.Counts.Recovered != 1 || out.Counts.Records != 2 || len(out.Expired) != 0 {
			t.Fatalf("%+v", out.Counts)
		}
		for i, r := range out.Records {
			if r.ID != inOrder.Records[i].ID || r.Received != at(time.Minute) || r.Position.Offset != flow.N(int64(time.Minute)) || r.Source.Bytes.V != int64(i+1) {
				t.Errorf("version %d: %+v", version, r)
			}
		}
		if s.parked.bytes == 0 || len(s.parked.sets) != 1 {
			t.Errorf("%d bytes, %d sets", s.parked.bytes, len(s.parked.sets))
		}
		s.Close(out)
		if len(out.Expired) != 1 || s.parked.bytes != 0 {
			t.Errorf("%d expired, %d bytes are left", len(out.Expired), s.parked.bytes)
		}
	}
}

// A template may come behind the data, in one datagram.
func TestATemplateBehindItsData(t *testing.T) {
	out := decodeAll(t, v9(head{}, setOf(256, u32b(7)), templates(V9, 256, "1:4")))
	if len(out.Records) != 1 || out.Counts.Parked != 1 || out.Counts.Recovered != 1 {
		t.Errorf("%d records, %+v", len(out.Records), out.Counts)
	}
}

// What waited too long is a datagram of its own, which gives the same records and ids when
// it is replayed with the template.
func TestExpiredDataSetsCanBeReplayed(t *testing.T) {
	for _, version := range []uint16{V9, IPFIX} {
		tpl := templates(version, 256, "1:4 22:4 21:4")
		record := func(n uint32) []byte { return cat(u32b(n), u32b(uptime-2000), u32b(uptime-1000)) }
		data := message(version, head{seq: 3, domain: 4}, setOf(256, record(1), record(1)), setOf(300, u32b(5)), setOf(256, record(1)))
		want := decodeAll(t, message(version, head{seq: 2, domain: 4}, tpl), data)

		s, out := NewSession(exporterIP, Config{ParkedFor: time.Minute}), new(Output)
		waiting(t, s, out, 0, data)
		waiting(t, s, out, time.Minute, message(version, head{seq: 4, domain: 4}))
		if len(out.Expired) != 0 {
			t.Fatal("expired before its time")
		}
		waiting(t, s, out, time.Minute+1, message(version, head{seq: 5, domain: 4}))
		if len(out.Expired) != 3 || out.Counts.Expired != 3 || len(out.Records) != 0 {
			t.Fatalf("%d expired, %+v", len(out.Expired), out.Counts)
		}
		got := new(Output)
		positions := map[flow.Position]bool{}
		for _, e := range out.Expired {
			if flow.ReasonOf(e.Err, "") != ReasonTemplate || e.Received != at(0) {
				t.Errorf("%+v", e)
			}
			positions[e.Position] = true
			replay := NewSession(exporterIP, Config{})
			decodeBy(t, replay, message(version, head{domain: 4}, tpl))
			e.Position = flow.Position{}
			e.Received = receivedAt
			if err := replay.Decode(e.Datagram, got); err != nil {
				t.Fatal(err)
			}
		}
		if len(positions) != 3 {
			t.Errorf("the dead letters of one datagram have %d positions", len(positions))
		}
		if d := cmp.Diff(byID(want.Records), byID(got.Records)); d != "" {
			t.Errorf("version %d: %s", version, d)
		}
		if len(byID(got.Records)) != 3 || byID(got.Records)[0].ID == byID(got.Records)[1].ID {
			t.Error("not three records")
		}
	}
}

func TestWhatWaitsIsBounded(t *testing.T) {
	s, out := NewSession(exporterIP, Config{ParkedSets: 3, ParkedBytes: 300}), new(Output)
	for i := range uint32(10) {
		waiting(t, s, out, 0, v9(head{seq: i}, setOf(256, u32b(i))))
	}
	if len(out.Expired) != 7 || len(s.parked.sets) != 3 || out.Expired[0].Data[15] != 0 || out.Expired[6].Data[15] != 6 {
		t.Errorf("%d expired, %d wait", len(out.Expired), len(s.parked.sets))
	}
	waiting(t, s, out, 0, v9(head{seq: 10}, setOf(256, make([]byte, 250))))
	if len(s.parked.sets) != 1 || s.parked.bytes > 300 {
		t.Errorf("%d wait, %d bytes", len(s.parked.sets), s.parked.bytes)
	}
	waiting(t, s, out, 0, v9(head{seq: 11}, setOf(256, make([]byte, 350))))
	if len(s.parked.sets) != 0 || s.parked.bytes != 0 || out.Counts.Expired != 12 || out.Counts.Parked != 12 {
		t.Errorf("a set larger than all room: %d wait, %+v", len(s.parked.sets), out.Counts)
	}
}

// Records of what waited come in portions, so that one template does not make gigabytes.
func TestRecoveryIsBounded(t *testing.T) {
	s, out := NewSession(exporterIP, Config{}), new(Output)
	set := setOf(256, bytes.Repeat(u8(6), maxRecords/2))
	for i := range uint32(8) {
		waiting(t, s, out, 0, ipfix(head{seq: i}, set))
	}
	waiting(t, s, out, 0, ipfix(head{}, templates(IPFIX, 256, "4:1")))
	if n := len(out.Records); n == 0 || n > maxRecords+maxRecords/2 {
		t.Errorf("%d records at once", n)
	}
	for range 8 {
		waiting(t, s, out, 0, ipfix(head{}))
	}
	if out.Counts.Recovered != 8 || len(out.Records) != 4*maxRecords {
		t.Errorf("%d records, %+v", len(out.Records), out.Counts)
	}
}

// A parked set that its template can't read is a dead letter, and no other is.
func TestAParkedSetThatIsBroken(t *testing.T) {
	s, out := NewSession(exporterIP, Config{}), new(Output)
	waiting(t, s, out, 0, ipfix(head{}, setOf(256, u8(4), []byte("wifi"), u8(9, 1))))
	waiting(t, s, out, 0, ipfix(head{}, setOf(256, u8(4), []byte("wifi"))))
	waiting(t, s, out, 0, ipfix(head{}, templates(IPFIX, 256, "147:v")))
	if len(out.Records) != 1 || len(out.Expired) != 1 || flow.ReasonOf(out.Expired[0].Err, "") != flow.ReasonSyntax ||
		out.Counts.Recovered != 1 || out.Counts.Expired != 1 || out.Counts.Records != 1 {
		t.Errorf("%d records, %d expired, %+v", len(out.Records), len(out.Expired), out.Counts)
	}
	if got := extensions(&out.Records[0]); got != `{"wlanSSID":"wifi"}` {
		t.Error(got)
	}
}

// A malformed datagram does not lose what waits for the templates in front of its fault.
func TestAFaultDoesNotLoseWhatWaits(t *testing.T) {
	s, out := NewSession(exporterIP, Config{}), new(Output)
	waiting(t, s, out, 0, ipfix(head{}, setOf(256, u8(4), []byte("wifi"))))
	bad := ipfix(head{}, templates(IPFIX, 256, "147:v"), setOf(256, u8(9)))
	if err := s.Decode(Datagram{Data: bad, Received: at(0)}, out); err == nil || len(out.Records) != 0 {
		t.Fatalf("%d records, %v", len(out.Records), err)
	}
	waiting(t, s, out, 0, ipfix(head{}))
	s.Close(out)
	if len(out.Records) != 1 || len(out.Expired) != 0 {
		t.Errorf("%d records, %d expired", len(out.Records), len(out.Expired))
	}
}

func TestOptionsThatWaitedCount(t *testing.T) {
	data := ipfix(head{}, templates(IPFIX, 256, "1:4"), setOf(256, u32b(1)))
	s, out := NewSession(exporterIP, Config{}), new(Output)
	waiting(t, s, out, 0, ipfix(head{}, setOf(300, u32b(0), u32b(64))))
	waiting(t, s, out, 0, ipfix(head{}, optionTemplates(IPFIX, 300, "144:4", "34:4")))
	waiting(t, s, out, 0, slices.Clone(data))
	if out.Records[0].SamplingRate != flow.N(64) || out.Counts.OptionRecords != 1 {
		t.Errorf("%+v", out.Counts)
	}
}
