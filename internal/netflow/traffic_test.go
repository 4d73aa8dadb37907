package netflow

import (
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/flowbeam/flowbeam/flow"
)

// tuple is a directed 5-tuple, ICMP's type and code as ports.
type tuple struct {
	proto    int64
	src, dst string
	sp, dp   int64
}

type sums struct{ packets, bytes, flags int64 }

func tupleOf(r *flow.Record) tuple {
	k := tuple{r.Protocol.V, r.Source.IP.String(), r.Destination.IP.String(), r.Source.Port.V, r.Destination.Port.V}
	if r.ICMPType.OK {
		k.sp, k.dp = r.ICMPType.V, r.ICMPCode.V
	}
	return k
}

func (k tuple) reversed() tuple { return tuple{k.proto, k.dst, k.src, k.dp, k.sp} }

// withoutICMP leaves type and code out: the answers' are not in a bidirectional record.
func withoutICMP(k tuple) tuple {
	if k.proto == 1 || k.proto == 58 {
		k.sp, k.dp = 0, 0
	}
	return k
}

// decodeFile decodes a file of datagrams in order.
func decodeFile(t testing.TB, path string) *Output {
	t.Helper()
	s := NewSession(exporterIP, Config{})
	out := new(Output)
	for i, b := range payloads(t, path) {
		if err := s.Decode(Datagram{Data: b, Received: receivedAt}, out); err != nil {
			t.Fatalf("%s: datagram %d: %v", path, i, err)
		}
	}
	return out
}

// Each export of one traffic gives the packets and bytes of the traffic, by directed
// 5-tuple.
func TestExportsGiveTheTrafficThatWasThere(t *testing.T) {
	for _, dir := range oneTraffic(t) {
		truth, v4, biflow := map[tuple]sums{}, map[tuple]sums{}, map[tuple]sums{}
		for _, row := range table(t, filepath.Join(dir, "truth-tuples.tsv")) {
			k := tuple{whole(row["protocol"]), row["src_ip"], row["dst_ip"], whole(row["src_port"]), whole(row["dst_port"])}
			if k.proto != 6 && k.proto != 17 && k.proto != 1 && k.proto != 58 {
				k.sp, k.dp = 0, 0
			}
			v := sums{whole(row["packets"]), whole(row["ip_bytes"]), whole(row["tcp_flags_or"])}
			truth[k] = v
			if row["ip_version"] == "4" {
				v4[k] = v
			}
			k = withoutICMP(k)
			b := biflow[k]
			biflow[k] = sums{b.packets + v.packets, b.bytes + v.bytes, 0}
		}
		for _, product := range []string{"netflow5", "netflow9", "ipfix", "ipfix-biflow", "netflow9-pmacct"} {
			t.Run(filepath.Base(dir)+"/"+product, func(t *testing.T) {
				want := truth
				switch product {
				case "netflow5":
					want = v4
				case "ipfix-biflow":
					want = biflow
				}
				out := decodeFile(t, filepath.Join(dir, product+".lp"))
				got := map[tuple]sums{}
				add := func(k tuple, bytes, packets, flags flow.Int) {
					if bytes.V == 0 && packets.V == 0 {
						return
					}
					v := got[k]
					got[k] = sums{v.packets + packets.V, v.bytes + bytes.V, v.flags | flags.V}
				}
				for i := range out.Records {
					r := &out.Records[i]
					checkRecord(t, product, r)
					k := tupleOf(r)
					if product == "ipfix-biflow" {
						k = withoutICMP(k)
					}
					add(k, r.Source.Bytes, r.Source.Packets, r.TCPFlags)
					if r.Destination.Packets.OK {
						add(k.reversed(), r.Destination.Bytes, r.Destination.Packets, flow.Int{})
					}
				}
				bad := 0
				for k, w := range want {
					g := got[k]
					if product == "ipfix-biflow" {
						g.flags, w.flags = 0, 0 // those of both directions are in one field
					}
					if k.proto != 6 {
						w.flags = 0
					}
					if g != w {
						if bad++; bad < 5 {
							t.Errorf("%v: %v, want %v", k, g, w)
						}
					}
				}
				if len(got) != len(want) || bad > 0 {
					t.Errorf("%d tuples, want %d; %d differ", len(got), len(want), bad)
				}
				if out.Counts.Parked != 0 || len(out.Records) == 0 {
					t.Errorf("%+v", out.Counts)
				}
			})
		}
	}
}

// Times are within what the products' clocks can tell.
func TestTimesAreThoseOfTheTraffic(t *testing.T) {
	for _, dir := range oneTraffic(t) {
		type span struct{ first, last float64 }
		truth := map[tuple]span{}
		for _, row := range table(t, filepath.Join(dir, "truth-tuples.tsv")) {
			k := tuple{whole(row["protocol"]), row["src_ip"], row["dst_ip"], whole(row["src_port"]), whole(row["dst_port"])}
			first, _ := strconv.ParseFloat(row["first_epoch"], 64)
			last, _ := strconv.ParseFloat(row["last_epoch"], 64)
			truth[k] = span{first, last}
		}
		for product, slack := range map[string]float64{"netflow5": 0.002, "ipfix": 0.003, "netflow9": 1, "netflow9-pmacct": 0.002} {
			out := decodeFile(t, filepath.Join(dir, product+".lp"))
			seen := 0
			starts, ends := map[tuple]flow.Time{}, map[tuple]flow.Time{}
			for i := range out.Records {
				r := &out.Records[i]
				k := tupleOf(r)
				if k.proto != 6 && k.proto != 17 {
					continue
				}
				if s := starts[k]; s == 0 || r.Start < s {
					starts[k] = r.Start
				}
				ends[k] = max(ends[k], r.End)
				if r.EventTime != r.End || r.TimeQuality != "" {
					t.Errorf("%s: %+v", product, r)
				}
			}
			for k, start := range starts {
				w, ok := truth[k]
				if !ok {
					continue
				}
				// The exporters keep one start and end for both directions: take the wider.
				if o, ok := truth[k.reversed()]; ok {
					w.first, w.last = math.Min(w.first, o.first), math.Max(w.last, o.last)
				}
				if d := float64(start)/1e9 - w.first; math.Abs(d) > slack && !(k.src == k.dst) {
					t.Errorf("%s/%s %v: start is off by %.4f s", filepath.Base(dir), product, k, d)
				}
				if d := float64(ends[k])/1e9 - w.last; math.Abs(d) > slack && !(k.src == k.dst) {
					t.Errorf("%s/%s %v: end is off by %.4f s", filepath.Base(dir), product, k, d)
				}
				seen++
			}
			if seen < 10 {
				t.Errorf("%s/%s: %d tuples compared", filepath.Base(dir), product, seen)
			}
		}
	}
}

// The sampled exports have the rate of their options record, and raw counters.
func TestSampledExportsHaveTheirRate(t *testing.T) {
	for _, dir := range oneTraffic(t) {
		var want string
		for _, row := range table(t, filepath.Join(dir, "truth.tsv")) {
			if row["product"] == "netflow9-sampled10.lp" {
				want = fmt.Sprint(row["records"], " ", row["packets"], " ", row["bytes"])
			}
		}
		out := decodeFile(t, filepath.Join(dir, "netflow9-sampled10.lp"))
		var packets, bytes int64
		for i := range out.Records {
			r := &out.Records[i]
			packets, bytes = packets+r.Source.Packets.V, bytes+r.Source.Bytes.V
			if r.SamplingRate != flow.N(10) || r.SamplingSource != "options" {
				t.Fatalf("%s: rate %v from %q", dir, r.SamplingRate, r.SamplingSource)
			}
		}
		if got := fmt.Sprint(len(out.Records), " ", packets, " ", bytes); got != want {
			t.Errorf("%s: %s, want %s", dir, got, want)
		}
	}
}

// What the exporters say of themselves.
func TestExportsLoseNothing(t *testing.T) {
	for _, dir := range oneTraffic(t) {
		for _, product := range []string{"netflow5", "netflow9", "netflow9-pmacct"} {
			c := decodeFile(t, filepath.Join(dir, product+".lp")).Counts
			if c.Gaps != 0 || c.Restarts != 0 || c.Reordered != 0 || c.TrailingBytes != 0 || c.LeftoverBytes != 0 || c.ReservedSets != 0 {
				t.Errorf("%s/%s: %+v", filepath.Base(dir), product, c)
			}
		}
	}
}
