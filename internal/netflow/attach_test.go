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
