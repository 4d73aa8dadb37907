package parse

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/testenv"
)

// azureFile is what a file of the shared data set gives: its records by id.
func azureFile(t *testing.T, name string) (flow.Batch, map[flow.ID]bool, sums) {
	t.Helper()
	data, err := os.ReadFile(testenv.Shared(t, "cloud/azure/"+name))
	if err != nil {
		t.Fatal(err)
	}
	in := readAsSource(t, "", "", data)
	f := newFn(t, parseFn{CommunityID: true})
	out, bad := f.parse(&in)
	s := sums{records: int64(len(out.Records)), gaps: f.n.gaps, failed: int64(len(bad))}
	ids := map[flow.ID]bool{}
	for i := range out.Records {
		r := &out.Records[i]
		ids[r.ID] = true
		s.packets += r.Source.Packets.V + r.Destination.Packets.V
		s.bytes += r.Source.Bytes.V + r.Destination.Bytes.V
	}
	if len(ids) != len(out.Records) {
		t.Errorf("%d ids of %d records", len(ids), len(out.Records))
	}
	return out, ids, s
}

func TestAzureLogs(t *testing.T) {
	for name, want := range map[string]sums{
		"vnet-v4-PT1H.json":      {records: 15, packets: 163, bytes: 74480},
		"vnet-v4-records.jsonl":  {records: 15, packets: 163, bytes: 74480},
		"nsg-v2-PT1H.json":       {records: 7, packets: 9172, bytes: 5268850},
		"nsg-v2-PT1H-grown.json": {records: 8, packets: 9250, bytes: 5283150},
		"nsg-v1-PT1H.json":       {records: 1},
	} {
		if _, _, got := azureFile(t, name); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

func TestAzureBlobsReadAgainGiveTheSameIDs(t *testing.T) {
	_, blob, _ := azureFile(t, "vnet-v4-PT1H.json")
	_, lines, _ := azureFile(t, "vnet-v4-records.jsonl")
	if d := cmp.Diff(blob, lines); d != "" {
		t.Error(d)
	}
	_, before, _ := azureFile(t, "nsg-v2-PT1H.json")
	_, grown, _ := azureFile(t, "nsg-v2-PT1H-grown.json")
	fresh := 0
	for id := range grown {
		if !before[id] {
			fresh++
		}
	}
	if fresh != 1 || len(grown) != len(before)+1 {
		t.Errorf("%d new ids, want 1", fresh)
	}
}

// An event hub's message holds entries as a blob does, and is one raw unit.
func TestAzureMessagesOfSeveralEntries(t *testing.T) {
	entry := vnetEntry("1768478403606,10.0.0.6,203.0.113.180,23956,443,6,O,E,NX,3,767,2,1580")
	alone, _, _ := decodeUnitOf(t, "azure_vnet", entry)
	message := `{"records":[` + vnetEntry() + `,{"time":"x"},` + strings.Replace(entry, ":01:00", ":02:00", 1) + `, 5 ,` + entry + `]}`
	got, bad, n := decodeUnitOf(t, "azure_vnet", message)
	if len(got) != 2 || n != (tally{read: 5, gaps: 1, failed: 2}) {
		t.Fatalf("%d records, %+v, %v", len(got), n, bad)
	}
	if got[1].ID != alone[0].ID || got[0].ID == got[1].ID || got[1].Position.Index != flow.N(4) {
		t.Errorf("%+v", got[1])
	}
	if bad[0].Data != `{"time":"x"}` || bad[0].Position.Index != flow.N(1) || bad[1].Data != "5" || bad[1].Position.Index != flow.N(3) {
		t.Errorf("%+v", bad)
	}
}

// What is wrong with one tuple is a dead letter of that tuple, which holds it alone.
func TestABrokenTupleIsOneDeadLetter(t *testing.T) {
	good := "1768478403606,10.0.0.6,203.0.113.180,23956,443,6,O,E,NX,3,767,2,1580"
	for broken, text := range map[string]string{
		"1768478403606,10.0.0.6":                 "flowTuples: 2 values",
		good + ",":                               "flowTuples: 14 values",
		strings.Replace(good, "10.0.0.6", "", 1): "source IP",
		strings.Replace(good, "443", "70000", 1): "destination port",
		strings.Replace(good, ",6,", ",256,", 1): "protocol",
		strings.Replace(good, ",O,", ",X,", 1):   "direction",
		strings.Replace(good, ",E,", ",,", 1):    "flow state",
		strings.Replace(good, ",E,", ",F,", 1):   "flow state",
		strings.Replace(good, "767", "-767", 1):  "bytes sent",
		strings.Replace(good, "1768", "x", 1):    "time",
	} {
		got, bad, _ := decodeUnitOf(t, "azure_vnet", vnetEntry(good, broken, good))
		if len(got) != 2 || len(bad) != 1 || !strings.Contains(bad[0].Error, text) || bad[0].Position.Index != flow.N(1) {
			t.Fatalf("%s: %d records, %+v", broken, len(got), bad)
		}
		if bad[0].Data != vnetEntry(broken) {
			t.Errorf("%s", bad[0].Data)
		}
	}
}
