package parse

import (
	"context"
	"encoding/binary"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/datagram"
	"github.com/flowbeam/flowbeam/internal/testenv"
)

// v5Datagram has n records between addresses of documentation, a second after one another.
func v5Datagram(n int) []byte {
	be := binary.BigEndian
	b := be.AppendUint16(nil, 5)
	b = be.AppendUint16(b, uint16(n))
	b = be.AppendUint32(b, 100_000)       // uptime
	b = be.AppendUint32(b, 1_768_478_400) // 2026-01-15T12:00:00Z
	b = append(b, make([]byte, 4)...)
	b = be.AppendUint32(b, 7) // sequence
	b = append(b, 0, 0, 0, 0)
	for i := range n {
		r := make([]byte, 48)
		copy(r, []byte{10, 0, 0, byte(i + 1), 192, 0, 2, 1})
		be.PutUint32(r[16:], 10)
		be.PutUint32(r[20:], 4000)
		be.PutUint32(r[24:], 50_000)
		be.PutUint32(r[28:], uint32(60_000+1000*i))
		be.PutUint16(r[32:], uint16(50000+i))
		be.PutUint16(r[34:], 443)
		r[38] = 6
		b = append(b, r...)
	}
	return b
}

// v9 makes a datagram of sets.
func v9(sequence uint32, sets ...[]byte) []byte {
	be := binary.BigEndian
	b := be.AppendUint16(nil, 9)
	b = be.AppendUint16(b, uint16(len(sets)))
	b = be.AppendUint32(b, 100_000)
	b = be.AppendUint32(b, 1_768_478_400)
	b = be.AppendUint32(b, sequence)
	b = be.AppendUint32(b, 1)
	for _, s := range sets {
		b = append(b, s...)
	}
	return b
}

func set(id uint16, body ...byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, id)
	b = binary.BigEndian.AppendUint16(b, uint16(4+len(body)))
	return append(b, body...)
}

var (
	// Template 300: source and destination address, bytes, protocol, last switched.
	v9Template = set(0, 1, 44, 0, 5, 0, 8, 0, 4, 0, 12, 0, 4, 0, 1, 0, 4, 0, 4, 0, 1, 0, 21, 0, 4)
	v9Data     = set(300, 10, 0, 0, 1, 192, 0, 2, 1, 0, 0, 1, 0, 17, 0, 0, 0x20, 0)
)

func lengthPrefixed(datagrams ...[]byte) []byte {
	var b []byte
	for _, d := range datagrams {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(d))), d...)
	}
	return b
}

func TestDatagramsOfAFile(t *testing.T) {
	exporter := netip.MustParseAddrPort("192.0.2.250:2055")
	enveloped := func(d []byte) []byte { return datagram.AppendEnvelope(nil, exporter, 1_768_478_401e9, d) }
	for name, c := range map[string]struct {
		file    []byte
		records int
		letters int
	}{
		"one datagram is the file":                {v5Datagram(3), 3, 0},
		"bare ones":                               {lengthPrefixed(v5Datagram(3), v5Datagram(1)), 4, 0},
		"in envelopes":                            {lengthPrefixed(enveloped(v5Datagram(3)), enveloped(v5Datagram(1))), 4, 0},
		"a template before its data":              {lengthPrefixed(enveloped(v9(1, v9Template)), enveloped(v9(2, v9Data))), 1, 0},
		"a template after its data":               {lengthPrefixed(enveloped(v9(1, v9Data)), enveloped(v9(2, v9Template))), 1, 0},
		"data without a template":                 {lengthPrefixed(enveloped(v9(1, v9Data)), enveloped(v5Datagram(2))), 2, 1},
		"a header that claims more than there is": {lengthPrefixed(enveloped(v5Datagram(2)[:24+48]), enveloped(v5Datagram(1))), 1, 1},
		"a frame that is cut off":                 {lengthPrefixed(v5Datagram(2), v5Datagram(3))[:4+24+96+4+100], 2, 1},
		"an envelope that is cut off":             {lengthPrefixed(enveloped(v5Datagram(2)), enveloped(nil)[:9]), 2, 1},
	} {
		in := readAsSource(t, "datagram", "", c.file)
		f := newFn(t, parseFn{})
		out, bad := f.parse(&in)
		if len(out.Records) != c.records || len(bad) != c.letters || int(f.n.read) != c.records+c.letters {
			t.Errorf("%s: %d records, %d dead letters, %+v: %v", name, len(out.Records), len(bad), f.n, bad)
		}
		if got := detectDatagrams(c.file); got < 80 {
			t.Errorf("%s: detected with %d", name, got)
		}
		for i := range bad { // a dead letter is parsed again as it is
			again := flow.RawBatch{Origin: flow.Origin{Format: bad[i].Format}, Records: []flow.Raw{{Data: []byte(bad[i].Data)}}}
			if _, b := newFn(t, parseFn{}).parse(&again); len(b) != 1 || b[0].Reason != bad[i].Reason {
				t.Errorf("%s: again it is %v", name, b)
			}
		}
	}
}

// A data set that waited has positions of its own, not those of its datagram's other records: dead
// letters and the raw backup are keyed by them.
func TestWhatWaitedHasPositionsOfItsOwn(t *testing.T) {
	other := set(0, 1, 45, 0, 3, 0, 8, 0, 4, 0, 4, 0, 1, 0, 21, 0, 4) // template 301
	many := []byte{}
	for i := range byte(30) {
		many = append(many, 10, 0, 1, i, 17, 0, 0, 0x20, 0)
	}
	in := readAsSource(t, "datagram", "", lengthPrefixed(v9(1, other), v9(2, v9Data, set(301, many...)), v9(3, v9Template)))
	raws := map[flow.Position]bool{}
	for i := range in.Records {
		raws[in.Position(i)] = true
	}
	if len(raws) != len(in.Records) {
		t.Errorf("%d raw records at %d positions", len(in.Records), len(raws))
	}
	out, bad := newFn(t, parseFn{}).parse(&in)
	positions := map[flow.Position]bool{}
	for i := range out.Records {
		positions[out.Records[i].Position] = true
	}
	if len(out.Records) != 31 || len(positions) != 31 || len(bad) != 0 {
		t.Errorf("%d records at %d positions, dead letters %v", len(out.Records), len(positions), bad)
	}
}

// What a Step refuses of a datagram is a dead letter that gives just that record when it is replayed,
// with the id that it had.
func TestARecordOfADatagramIsReplayedAlone(t *testing.T) {
	in := rawBatch("datagram", string(v5Datagram(3)))
	want, _ := newFn(t, parseFn{}).parse(&in)
	f := newFn(t, parseFn{Steps: flow.EncodeSteps([]flow.Step{&refuseStep{Port: 50001}})})
	out, bad := f.parse(&in)
	if len(out.Records) != 2 || len(bad) != 1 {
		t.Fatalf("%d records, %v", len(out.Records), bad)
	}
	again := flow.RawBatch{Origin: flow.Origin{Source: bad[0].Position.Source, Format: bad[0].Format, DataCenter: bad[0].DataCenter, Tenant: bad[0].Tenant}, Records: []flow.Raw{{
		Data: []byte(bad[0].Data), Offset: bad[0].Position.Offset, Index: bad[0].Position.Index, Time: bad[0].SourceTime,
	}}}
	got, bad := newFn(t, parseFn{}).parse(&again)
	if len(bad) != 0 || len(got.Records) != 1 {
		t.Fatalf("replayed: %d records, %v", len(got.Records), bad)
	}
	if d := cmp.Diff(want.Records[1], got.Records[0]); d != "" {
		t.Error(d)
	}
}

type refuseStep struct{ Port int64 }

func init() { flow.RegisterStep("refuse_port", &refuseStep{}) }

func (s *refuseStep) Setup(context.Context) error { return nil }

func (s *refuseStep) Process(r *flow.Record) (bool, error) {
	if r.Source.Port.V == s.Port {
		return false, flow.Reject(flow.ReasonValue, "that port")
	}
	return true, nil
}

// The same traffic in captures and length-prefixed files of five exporters: the same packets and
// bytes, and the same records whether a capture or the exported bytes are read.
func TestCapturesGiveTheTruth(t *testing.T) {
	root := testenv.Shared(t, "one-traffic")
	for _, traffic := range []string{"mixed-lan", "tls-browsing", "zeek-wikipedia"} {
		for _, product := range []string{"netflow9", "ipfix", "ipfix-biflow", "netflow9-pmacct", "netflow5", "sflow"} {
			sums := map[string][2]int64{}
			for _, suffix := range []string{".lp", ".export.pcap"} {
				file, err := os.ReadFile(filepath.Join(root, traffic, product+suffix))
				if os.IsNotExist(err) {
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				in := readAsSource(t, "datagram", "", file)
				out, bad := newFn(t, parseFn{CommunityID: true}).parse(&in)
				if len(bad) > 0 || len(out.Records) == 0 {
					t.Errorf("%s/%s%s: %d records, dead letters %v", traffic, product, suffix, len(out.Records), bad)
				}
				var s [2]int64
				for i := range out.Records {
					r := &out.Records[i]
					s[0] += r.Source.Packets.V + r.Destination.Packets.V
					s[1] += r.Source.Bytes.V + r.Destination.Bytes.V
				}
				sums[suffix] = s
				if product != "netflow5" && product != "sflow" { // of IPv4 alone; without the last datagram
					compareTuples(t, filepath.Join(root, traffic, "truth-tuples.tsv"), out.Records, 0)
				}
				if n := detectDatagrams(file[:min(len(file), 64<<10)]); n < 80 {
					t.Errorf("%s/%s%s is detected with %d", traffic, product, suffix, n)
				}
			}
			t.Logf("%-15s %-16s packets and bytes %v", traffic, product, sums)
			if pcap, ok := sums[".export.pcap"]; ok && pcap != sums[".lp"] {
				t.Errorf("%s/%s: %v", traffic, product, sums)
			}
		}
	}
}
