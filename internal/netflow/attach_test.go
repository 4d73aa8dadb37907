package netflow

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/testenv"
)

// inOrder decodes datagrams one after the other, and what waited to the end.
func inOrder(t testing.TB, datagrams [][]byte) *Output {
	t.Helper()
	s, out := NewSession(exporterIP, Config{}), new(Output)
	for _, b := range datagrams {
		_ = s.Decode(Datagram{Data: b, Received: receivedAt}, out)
	}
	s.Close(out)
	return out
}

// alone attaches each datagram and decodes it by a Session of its own.
func alone(t testing.TB, datagrams [][]byte) *Output {
	t.Helper()
	s, out := NewSession(exporterIP, Config{}), new(Output)
	var attached []Datagram
	var counts Counts
	for _, b := range datagrams {
		before := slices.Clone(b)
		got, _ := s.Attach(Datagram{Data: b, Received: receivedAt}, &counts)
		attached = append(attached, got...)
		if !bytes.Equal(before, b) {
			t.Fatal("Attach changed the datagram")
		}
	}
	attached = append(attached, s.Release(&counts)...)
	slices.Reverse(attached) // any order
	for _, d := range attached {
		one := NewSession(exporterIP, Config{})
		if err := one.Decode(d, out); err != nil {
			t.Errorf("an attached datagram: %v", err)
		}
		one.Close(out)
	}
	return out
}

// byID puts records into the order of their ids, without the place in the datagram, which
// attached templates move.
func byID(records []flow.Record) []flow.Record {
	records = slices.Clone(records)
	for i := range records {
		records[i].Position.Index = flow.Int{}
	}
	slices.SortFunc(records, func(a, b flow.Record) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return records
}

func sameAttached(t *testing.T, name string, datagrams [][]byte) {
	t.Helper()
	var sound [][]byte
	for _, b := range datagrams {
		var out Output
		if NewSession(exporterIP, Config{}).Decode(Datagram{Data: b}, &out) == nil {
			sound = append(sound, b)
		}
	}
	want, got := inOrder(t, sound), alone(t, sound)
	if d := cmp.Diff(byID(want.Records), byID(got.Records)); d != "" {
		t.Errorf("%s: %s", name, d)
	}
	if len(got.Expired) != len(want.Expired) {
		t.Errorf("%s: %d data sets expired, in order %d", name, len(got.Expired), len(want.Expired))
	}
	sorted := byID(got.Records)
	for i := range sorted {
		if i > 0 && sorted[i].ID == sorted[i-1].ID {
			t.Errorf("%s: two records have one id", name)
			break
		}
	}
}

func TestAttachedDatagramsGiveTheSameRecordsAlone(t *testing.T) {
	for _, row := range table(t, testenv.Shared(t, "netflow-datagrams/sequences.tsv")) {
		var datagrams [][]byte
		for _, name := range strings.Fields(row["files_in_order"]) {
			datagrams = append(datagrams, capture(t, name))
		}
		sameAttached(t, row["spec_context"], datagrams)
		slices.Reverse(datagrams) // data before templates
		sameAttached(t, row["spec_context"]+", backwards", datagrams)
	}
	for _, dir := range oneTraffic(t) {
		files, err := filepath.Glob(filepath.Join(dir, "*.lp"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if strings.Contains(f, "sflow") || strings.Contains(f, "echo") && testing.Short() {
				continue
			}
			sameAttached(t, f, payloads(t, f))
		}
	}
}

func attachAll(t *testing.T, s *Session, counts *Counts, b []byte) []Datagram {
	t.Helper()
	out, err := s.Attach(Datagram{Data: b, Received: receivedAt}, counts)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A datagram gets what its records need and nothing else.
func TestAttachedIsWhatIsNeeded(t *testing.T) {
	for _, version := range []uint16{V9, IPFIX} {
		scope := "144:4"
		if version == V9 {
			scope = "1:4"
		}
		s := NewSession(exporterIP, Config{})
		var counts Counts
		attachAll(t, s, &counts, message(version, head{}, templates(version, 256, "10:4 95:4 48:1 1:4"), templates(version, 257, "2:4")))
		attachAll(t, s, &counts, message(version, head{}, optionTemplates(version, 300, scope, "10:4 82:5"), setOf(300, u32b(0), u32b(3), []byte("eth03"), u32b(0), u32b(4), []byte("eth04"))))
		attachAll(t, s, &counts, message(version, head{}, optionTemplates(version, 301, scope, "95:4 96:6"), setOf(301, u32b(0), u8(3, 0, 0, 80), []byte("http\x00\x00"), u32b(0), u8(3, 0, 0, 53), []byte("dns\x00\x00\x00"))))
		attachAll(t, s, &counts, message(version, head{}, optionTemplates(version, 302, scope, "48:1 50:4"), setOf(302, u32b(0), u8(1), u32b(100), u32b(0), u8(2), u32b(200))))
		// Where nothing is needed the datagram's own bytes are passed on.
		own := message(version, head{}, templates(version, 257, "2:4"), setOf(257, u32b(1)))
		if got := attachAll(t, s, &counts, own); len(got) != 1 || &got[0].Data[0] != &own[0] {
			t.Errorf("version %d: %d datagrams", version, len(got))
		}
		data := message(version, head{seq: 77}, setOf(256, u32b(3), u8(3, 0, 0, 53), u8(2), u32b(9)))
		got := attachAll(t, s, &counts, data)
		if len(got) != 1 {
			t.Fatalf("%d datagrams", len(got))
		}
		b := got[0].Data
		for text, there := range map[string]bool{"eth03": true, "eth04": false, "dns": true, "http": false} {
			if bytes.Contains(b, []byte(text)) != there {
				t.Errorf("version %d: %q is there: %v", version, text, !there)
			}
		}
		var out Output
		if err := NewSession(exporterIP, Config{}).Decode(got[0], &out); err != nil {
			t.Fatal(err)
		}
		r := out.Records[0]
		if r.IngressInterface != "eth03" || r.Application != "dns" || r.SamplingRate != flow.N(200) || out.Counts.Templates != 4 || out.Counts.OptionRecords != 3 {
			t.Errorf("version %d: %+v %+v", version, r, out.Counts)
		}
		h, err := readHeader(b)
		if err != nil || h.seq != 77 || h.end != len(b) || version == V9 && h.count != 1+2*3+1 {
			t.Errorf("version %d: %+v, %v", version, h, err)
		}
		// Attached once more it stays as it is.
		again := attachAll(t, NewSession(exporterIP, Config{}), &counts, b)
		if len(again) != 1 || !bytes.Equal(again[0].Data, b) {
			t.Errorf("version %d: a second time it changes", version)
		}
	}
}

// What has no template yet is held back and comes later, in a datagram of its own.
func TestAttachHoldsBackWhatItCanNotRead(t *testing.T) {
	for _, version := range []uint16{V9, IPFIX} {
		tpl, other := templates(version, 256, "1:4"), templates(version, 257, "2:4")
		datagrams := [][]byte{
			message(version, head{}, other),
			message(version, head{seq: 1}, setOf(256, u32b(1)), setOf(257, u32b(2)), setOf(256, u32b(1))),
			message(version, head{seq: 2}, setOf(256, u32b(4))),
			message(version, head{seq: 3}, tpl),
		}
		s := NewSession(exporterIP, Config{})
		var counts Counts
		var all []Datagram
		for i, want := range []int{1, 1, 0, 4} {
			got := attachAll(t, s, &counts, datagrams[i])
			if len(got) != want {
				t.Errorf("version %d: datagram %d: %d come out, want %d", version, i, len(got), want)
			}
			all = append(all, got...)
		}
		if len(s.Release(&counts)) != 0 || counts.Parked != 3 || counts.Recovered != 3 || counts.Records != 4 {
			t.Errorf("%+v", counts)
		}
		sameAttached(t, "by hand", datagrams)
		out := new(Output)
		for _, d := range all {
			one := NewSession(exporterIP, Config{})
			if err := one.Decode(d, out); err != nil {
				t.Fatal(err)
			}
		}
		if len(out.Records) != 4 || out.Counts.Parked != 0 {
			t.Errorf("version %d: %d records, %+v", version, len(out.Records), out.Counts)
		}
	}
}

func TestAttachPassesOnWhatItDoesNotKnow(t *testing.T) {
	s := NewSession(exporterIP, Config{})
	var counts Counts
	v5 := v5(head{}, 1, 0, v5Record(1, 2, 6, 3, 4))
	if got := attachAll(t, s, &counts, v5); len(got) != 1 || !bytes.Equal(got[0].Data, v5) {
		t.Error("v5 is changed")
	}
	if out, err := s.Attach(Datagram{Data: []byte{0, 9}}, &counts); err == nil || len(out) != 0 {
		t.Errorf("%d datagrams, %v", len(out), err)
	}
	attachAll(t, s, &counts, v9(head{}, setOf(256, u32b(1))))
	released := s.Release(&counts)
	if len(released) != 1 || counts.Expired != 1 {
		t.Fatalf("%d released, %+v", len(released), counts)
	}
	out := decodeAll(t, released[0].Data, v9(head{}, templates(V9, 256, "1:4")))
	if len(out.Records) != 1 {
		t.Error("what was released can't be read")
	}
}

// A message of IPFIX has at most 65,535 bytes: what is too much is left out.
func TestAttachedMessagesAreNotTooLong(t *testing.T) {
	s := NewSession(exporterIP, Config{})
	var counts Counts
	attachAll(t, s, &counts, ipfix(head{}, templates(IPFIX, 256, "10:4 1:4"), optionTemplates(IPFIX, 300, "10:4", "82:200"), setOf(300, u32b(3), filled("eth0", 200))))
	for _, size := range []int{65535 - 100, 65535} {
		records := make([]byte, (size-20)/8*8)
		for i := 0; i < len(records); i += 8 {
			records[i+3] = 3
		}
		got := attachAll(t, s, &counts, ipfix(head{}, setOf(256, records)))
		h, err := readHeader(got[0].Data)
		if err != nil || h.end != len(got[0].Data) {
			t.Errorf("%d bytes: %+v, %v", size, h, err)
		}
	}
}

// What options records said outlives the datagrams that they came in, also as what is
// attached.
func TestKeptOptionsAreOurs(t *testing.T) {
	s := NewSession(exporterIP, Config{})
	var counts Counts
	said := ipfix(head{}, templates(IPFIX, 256, "10:4 1:4"), optionTemplates(IPFIX, 300, "10:4", "82:5 34:4"), setOf(300, u32b(3), []byte("eth03"), u32b(64)))
	attachAll(t, s, &counts, said)
	clear(said)
	got := attachAll(t, s, &counts, ipfix(head{}, setOf(256, u32b(3), u32b(1))))
	r := decodeAll(t, got[0].Data).Records[0]
	if r.IngressInterface != "eth03" || r.SamplingRate != flow.N(64) {
		t.Errorf("%+v", r)
	}
}

// Sessions may decode into one place, one after the other.
func TestSessionsShareWhatAttachDecodesInto(t *testing.T) {
	var shared Output
	var counts Counts
	a, b := NewSession(exporterIP, Config{Scratch: &shared}), NewSession(exporterIP, Config{Scratch: &shared})
	attachAll(t, a, &counts, v9(head{}, templates(V9, 256, "1:4")))
	attachAll(t, b, &counts, v9(head{}, setOf(256, u32b(1)), setOf(257, u32b(2))))
	if sets, bytes := b.Waiting(); sets != 2 || bytes != 2*(v9HeaderSize+8) {
		t.Errorf("%d data sets of %d bytes wait", sets, bytes)
	}
	if sets, bytes := a.Waiting(); sets != 0 || bytes != 0 {
		t.Errorf("%d data sets of %d bytes wait", sets, bytes)
	}
	if got := attachAll(t, a, &counts, v9(head{seq: 1}, setOf(256, u32b(1)))); len(got) != 1 || counts.Records != 1 {
		t.Errorf("%d datagrams, %+v", len(got), counts)
	}
	if cap(shared.Records) == 0 {
		t.Error("it is not used")
	}
	b.Release(&counts)
	if sets, bytes := b.Waiting(); sets != 0 || bytes != 0 || counts.Expired != 2 {
		t.Errorf("%d data sets of %d bytes wait after the end", sets, bytes)
	}
}
