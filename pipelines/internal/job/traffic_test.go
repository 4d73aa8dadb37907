package job

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/testenv"
)

// carried is what went from one side of a conversation to the other.
type carried struct{ Packets, Bytes int64 }

// One traffic, exported and logged by several devices, is the same through the whole pipeline: the packets
// and bytes of each directed tuple of TCP and UDP, less what each packet has around its IP packet.
func TestOneTrafficIsTheSameInEachFormat(t *testing.T) {
	root := testenv.Shared(t, "one-traffic")
	const (
		tuples = iota
		ofIPv4 // NetFlow v5 has no other
		totals // the tuples are cut differently
		almost // the exporter keeps its last datagram
	)
	products := []struct {
		file    string
		layer   int64 // bytes around an IP packet
		compare int
	}{
		{"netflow5.lp", 0, ofIPv4}, {"netflow9.lp", 0, tuples}, {"ipfix.lp", 0, tuples}, {"ipfix-biflow.lp", 0, tuples}, {"netflow9-pmacct.lp", 0, tuples},
		{"sflow.lp", 18, almost}, {"argus.csv", 14, totals}, {"argus.binetflow", 14, totals}, {"nfdump.csv", 0, tuples}, {"nfdump.json", 0, tuples}, {"zeek-conn.log", 0, tuples},
	}
	for _, traffic := range []string{"mixed-lan", "tls-browsing", "zeek-wikipedia"} {
		for _, p := range products {
			file := filepath.Join(root, traffic, p.file)
			if _, err := os.Stat(file); os.IsNotExist(err) {
				continue
			}
			o := small(t, file)
			o.Rollup, o.MinTime = []string{"off"}, "1970-01-01T00:00:00Z"
			s := run(t, flows(), o)
			got := map[string]carried{}
			var sum carried
			for _, r := range storedRecords(t, o) {
				if r.Protocol.V != 6 && r.Protocol.V != 17 {
					continue
				}
				if n := ext(&r, "TotPkts"); n > 0 { // of both directions: it is not said of which
					sum = carried{sum.Packets + n, sum.Bytes + r.Source.Bytes.V + r.Destination.Bytes.V - p.layer*n}
					continue
				}
				for _, side := range [][2]*flow.Endpoint{{&r.Source, &r.Destination}, {&r.Destination, &r.Source}} {
					from, to := side[0], side[1]
					if from.Packets.V == 0 {
						continue
					}
					key := fmt.Sprint(r.Protocol.V, " ", from.IP, " ", from.Port.V, " ", to.IP, " ", to.Port.V)
					bytes := from.Bytes.V - p.layer*from.Packets.V
					got[key] = carried{got[key].Packets + from.Packets.V, got[key].Bytes + bytes}
					sum = carried{sum.Packets + from.Packets.V, sum.Bytes + bytes}
				}
			}
			want, wantSum := tuplesOf(t, filepath.Join(root, traffic, "truth-tuples.tsv"), p.compare == ofIPv4)
			t.Logf("%-15s %-19s %5d records, %3d duplicates, %3d dead letters; TCP and UDP: %5d packets, %7d bytes", traffic, p.file, s.Written, s.Duplicates, s.DeadLetters.Total, sum.Packets, sum.Bytes)
			switch {
			case p.compare == almost:
				if missing := wantSum.Packets - sum.Packets; missing < 0 || missing > 5 {
					t.Errorf("%s/%s: %d packets, the truth is %d", traffic, p.file, sum.Packets, wantSum.Packets)
				}
			case sum != wantSum:
				t.Errorf("%s/%s: %+v, the truth is %+v", traffic, p.file, sum, wantSum)
			case p.compare != totals:
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("%s/%s: %s", traffic, p.file, d)
				}
			}
		}
	}
}

// ext is an extension that is a number, 0 where there is none.
func ext(r *flow.Record, name string) int64 {
	for _, e := range r.Extensions {
		if e.Name == name {
			n, _ := strconv.ParseInt(e.Text, 10, 64)
			return n
		}
	}
	return 0
}

// tuplesOf reads the truth: packets and bytes of each directed tuple of TCP and UDP.
func tuplesOf(t *testing.T, file string, onlyIPv4 bool) (map[string]carried, carried) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	table := csv.NewReader(f)
	table.Comma = '\t'
	rows, err := table.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	tuples, sum := map[string]carried{}, carried{}
	for _, c := range rows[1:] {
		if c[1] != "6" && c[1] != "17" || onlyIPv4 && c[0] != "4" {
			continue
		}
		packets, err := strconv.ParseInt(c[6], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		bytes, err := strconv.ParseInt(c[7], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		tuples[c[1]+" "+c[2]+" "+c[3]+" "+c[4]+" "+c[5]] = carried{packets, bytes}
		sum = carried{sum.Packets + packets, sum.Bytes + bytes}
	}
	return tuples, sum
}
