package parse

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/datagram"
)

var partitionStart = flow.TimeOf(time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC))

// exported is a message of a partition and who sent it.
type exported struct {
	flow.Raw
	from netip.Addr
}

func message9(n int, at time.Duration, from string, sets ...[]byte) exported {
	a, _ := netip.ParseAddr(from)
	return exported{flow.Raw{Data: v9(uint32(n), sets...), Offset: flow.N(int64(n)), Time: partitionStart.Add(at)}, a}
}

// partitionOf is hours of messages of three exporters, which send templates that change, options and data.
func partitionOf(seed uint64) (out []exported) {
	r := rand.New(rand.NewPCG(seed, 1))
	at := time.Duration(0)
	for n := range 600 {
		at += time.Duration(r.IntN(60)) * time.Second
		from := fmt.Sprintf("192.0.2.%d", 1+r.IntN(3))
		var sets [][]byte
		switch k := r.IntN(40); {
		case k == 0:
			sets = append(sets, v9Template)
		case k == 1: // the same id, bytes before addresses
			sets = append(sets, set(0, 1, 44, 0, 5, 0, 1, 0, 4, 0, 8, 0, 4, 0, 12, 0, 4, 0, 4, 0, 1, 0, 21, 0, 4))
		case k == 2: // options: one in 10 to 13 is sampled
			sets = append(sets, set(1, 1, 45, 0, 4, 0, 4, 0, 1, 0, 4, 0, 34, 0, 4, 0, 0), set(301, 0, 0, 0, 1, 0, 0, 0, byte(10+r.IntN(4))))
		case k == 3:
			out = append(out, exported{flow.Raw{Data: v5Datagram(2), Offset: flow.N(int64(n)), Time: partitionStart.Add(at)}, netip.MustParseAddr(from)})
			continue
		default:
			data := slices.Clone(v9Data)
			binary.BigEndian.PutUint16(data[10:], uint16(n))
			sets = append(sets, data)
		}
		out = append(out, message9(n, at, from, sets...))
	}
	return out
}

// given is what a follower gives of messages, by position, parsed.
func given(t *testing.T, messages []exported, rewind time.Duration, from int, end bool) map[string]string {
	t.Helper()
	f := newFollower(rewind)
	var in flow.RawBatch
	var newest flow.Time
	for i := range from {
		newest = max(newest, messages[i].Time)
	}
	for i := range messages {
		m := messages[i]
		if i < from && m.Time < newest.Add(-rewind) {
			continue
		}
		f.Next(m.Raw, m.from, func(r flow.Raw) {
			if i >= from {
				in.Records = append(in.Records, r)
			}
		})
	}
	if end {
		f.End(func(r flow.Raw) { in.Records = append(in.Records, r) })
	}
	in.Origin = flow.Origin{Source: "flows", Partition: flow.N(0), Format: "datagram"}
	out := map[string]string{}
	fn := newFn(t, parseFn{})
	parsed, bad := fn.parse(&in)
	for i := range parsed.Records {
		r := &parsed.Records[i]
		key := fmt.Sprintf("%d/%d", r.Position.Offset.V, r.Position.Index.V)
		if _, there := out[key]; there {
			t.Errorf("%s is there twice", key)
		}
		out[key] = fmt.Sprint(r.ID, r.Exporter.IP, r.Source.Bytes, r.SamplingRate, r.SamplingSource, r.Received)
	}
	for i := range bad {
		out[fmt.Sprintf("%d/%d", bad[i].Position.Offset.V, bad[i].Position.Index.V)] = string(bad[i].Reason)
	}
	return out
}

// Whoever goes on at a message with what a rewind before it said gives what one gives that read all.
func TestWhatAPartitionSaysFollowsFromARewind(t *testing.T) {
	const rewind = 40 * time.Minute
	for seed := range uint64(4) {
		messages := partitionOf(seed)
		all := given(t, messages, rewind, 0, true)
		reasons := map[string]int{}
		for _, v := range all {
			if v == "template" {
				reasons[v]++
			}
		}
		if len(all) < 500 || reasons["template"] < 20 || reasons["template"] > 400 {
			t.Fatalf("%d given, %v", len(all), reasons)
		}
		for from := 1; from < len(messages); from += 7 {
			before, after := given(t, messages[:from], rewind, 0, false), given(t, messages, rewind, from, true)
			for k, v := range after {
				if w, there := before[k]; there {
					t.Errorf("seed %d, from %d: %s is %s, and was %s before", seed, from, k, v, w)
				}
				before[k] = v
			}
			if d := cmp.Diff(all, before); d != "" {
				t.Fatalf("seed %d, from %d (-all +gone on):\n%s", seed, from, d)
			}
		}
	}
}

// What a collector has made readable alone is left as it is, and so is what is no datagram.
func TestAFollowerLeavesAlone(t *testing.T) {
	f := newFollower(time.Hour)
	from := netip.MustParseAddr("192.0.2.1")
	enveloped := datagram.AppendEnvelope(nil, netip.MustParseAddrPort("192.0.2.9:1"), partitionStart, v9(1, v9Data))
	for _, data := range [][]byte{enveloped, enveloped[:5], []byte("selection"[:0]), []byte("no datagram"), v5Datagram(1)} {
		m := flow.Raw{Data: data, Time: partitionStart, DataCenter: "fra"}
		if !f.Alone(m) {
			t.Errorf("%q needs others", data)
		}
		var got []flow.Raw
		f.Next(m, netip.Addr{}, func(r flow.Raw) { got = append(got, r) })
		if d := cmp.Diff([]flow.Raw{m}, got); d != "" {
			t.Error(d)
		}
	}
	var got []flow.Raw
	emit := func(r flow.Raw) { got = append(got, r) }
	f.Next(flow.Raw{Data: v5Datagram(1), Time: partitionStart}, from, emit) // who sent it is not in it
	if e, received, _, ok := datagram.OpenEnvelope(got[0].Data); !ok || e.Addr() != from || received != partitionStart {
		t.Errorf("%v, %v", e, received)
	}
	got = nil
	f.Next(flow.Raw{Data: v9(1, v9Data), Time: partitionStart, Offset: flow.N(7), DataCenter: "fra"}, from, emit)
	f.Next(flow.Raw{Data: v9(2, v9Template), Time: partitionStart.Add(time.Minute), Offset: flow.N(8), DataCenter: "ams"}, from, emit)
	if len(got) != 2 || got[0].Offset != flow.N(8) || got[1].Offset != flow.N(7) || got[1].DataCenter != "fra" || got[1].Time != partitionStart {
		t.Errorf("%+v", got)
	}
	counts := map[string]int64{}
	tell := func(name string, n int64) { counts[name] += n }
	f.Counts(tell)
	f.Counts(tell)
	if counts["templates"] != 1 || counts["parked"] != 1 || counts["recovered"] != 1 {
		t.Errorf("%v", counts)
	}
}

// Who sends under ever new addresses makes nothing grow.
func TestExportersAreBounded(t *testing.T) {
	f := newFollower(time.Hour)
	n := 0
	for i := range maxExporters + 10 {
		from := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		f.Next(flow.Raw{Data: v9(1, v9Data), Time: partitionStart, Offset: flow.N(int64(i))}, from, func(flow.Raw) { n++ })
	}
	if len(f.by) != maxExporters || n != 10 {
		t.Errorf("%d exporters, %d sets were given up", len(f.by), n)
	}
}
