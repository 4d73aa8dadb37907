package parse

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
)

type tupleSums struct{ Packets, Bytes int64 }

// compareTuples compares what records say of each directed TCP or UDP tuple with the
// capture's own count, truth-tuples.tsv. layer is how many bytes each packet has in the
// records beyond its IP packet.
func compareTuples(t *testing.T, path string, records []flow.Record, layer int64) {
	t.Helper()
	table, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]tupleSums{}
	for _, line := range strings.Split(strings.TrimSpace(string(table)), "\n")[1:] {
		c := strings.Split(line, "\t")
		if c[1] != "6" && c[1] != "17" {
			continue
		}
		packets, err1 := strconv.ParseInt(c[6], 10, 64)
		bytes, err2 := strconv.ParseInt(c[7], 10, 64)
		if err1 != nil || err2 != nil {
			t.Fatal(line)
		}
		want[strings.Join(c[1:6], " ")] = tupleSums{packets, bytes}
	}
	got := map[string]tupleSums{}
	add := func(protocol int64, from, to *flow.Endpoint) {
		if from.Packets.V == 0 {
			return
		}
		key := fmt.Sprint(protocol, " ", from.IP, " ", from.Port.V, " ", to.IP, " ", to.Port.V)
		s := got[key]
		got[key] = tupleSums{s.Packets + from.Packets.V, s.Bytes + from.Bytes.V - layer*from.Packets.V}
	}
	for i := range records {
		if r := &records[i]; r.Protocol.V == 6 || r.Protocol.V == 17 {
			add(r.Protocol.V, &r.Source, &r.Destination)
			add(r.Protocol.V, &r.Destination, &r.Source)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
