package parse

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
)

// vnetEntry is an entry with the tuples in one group.
func vnetEntry(tuples ...string) string {
	return `{"time":"2026-01-15T12:01:00.5625085Z","flowLogVersion":4,"flowLogGUID":"g1","macAddress":"002248FD0001","category":"FlowLogFlowEvent",` +
		`"flowLogResourceID":"/SUBSCRIPTIONS/S1/RESOURCEGROUPS/RG1/PROVIDERS/MICROSOFT.NETWORK/NETWORKWATCHERS/NW1/FLOWLOGS/FL1",` +
		`"targetResourceID":"/subscriptions/s1/resourceGroups/rg1/providers/Microsoft.Network/virtualNetworks/vnet1/subnets/sub1","operationName":"FlowLogFlowEvent",` +
		`"flowRecords":{"flows":[{"aclID":"acl1","flowGroups":[{"rule":"DefaultRule_AllowInternetOutBound","flowTuples":[` + quotedList(tuples) + `]}]}]}}`
}

func quotedList(texts []string) (list string) {
	for i, t := range texts {
		if i > 0 {
			list += ","
		}
		list += `"` + t + `"`
	}
	return list
}

// decodeUnit is what one raw unit gives.
func decodeUnitOf(t testing.TB, format, unit string) ([]flow.Record, []flow.Failure, tally) {
	t.Helper()
	in := flow.RawBatch{Origin: flow.Origin{Format: format}, Records: []flow.Raw{{Data: []byte(unit)}}}
	f := newFn(t, parseFn{})
	out, bad := f.parse(&in)
	return out.Records, bad, f.n
}

func TestVNetMapsEveryField(t *testing.T) {
	got, bad, _ := decodeUnitOf(t, "azure_vnet", vnetEntry("1768478459640,10.0.0.6,198.51.100.17,22730,443,6,O,C,NX,30,3705,67,44990"))
	if len(got) != 1 {
		t.Fatal(bad)
	}
	target := "/subscriptions/s1/resourceGroups/rg1/providers/Microsoft.Network/virtualNetworks/vnet1/subnets/sub1"
	want := flow.Record{
		ID: flow.NewID("azure_vnet", []byte("002248FD0001"), []byte(target), []byte("2026-01-15T12:01:00.5625085Z"), []byte("acl1"), []byte("DefaultRule_AllowInternetOutBound"), nil,
			[]byte("1768478459640,10.0.0.6,198.51.100.17,22730,443,6,O,C,NX,30,3705,67,44990")),
		Format: "azure_vnet", Position: flow.Position{Index: flow.N(0)}, EventTime: 1768478459640e6, End: 1768478459640e6, TimeQuality: "no_start",
		Observed: gcpTimeOf(t, "2026-01-15T12:01:00.5625085Z"), Exporter: flow.Exporter{Name: target}, EgressInterface: "00:22:48:fd:00:01", Direction: "egress",
		Cloud:       flow.Cloud{Provider: "azure", Account: "s1", Network: "vnet1", Subnetwork: "sub1"},
		Source:      flow.Endpoint{IP: flow.MustIP("10.0.0.6"), Port: flow.N(22730), MAC: "00:22:48:fd:00:01", Bytes: flow.N(3705), Packets: flow.N(30)},
		Destination: flow.Endpoint{IP: flow.MustIP("198.51.100.17"), Port: flow.N(443), Bytes: flow.N(44990), Packets: flow.N(67)},
		Protocol:    flow.N(6), CounterSemantics: "since_last", ByteLayer: "ip", Action: "accept", Rule: "DefaultRule_AllowInternetOutBound",
		Extensions: []flow.Extension{
			flow.ExtN("flowLogVersion", 4), flow.Ext("flowLogGUID", "g1"), flow.Ext("category", "FlowLogFlowEvent"),
			flow.Ext("flowLogResourceID", "/SUBSCRIPTIONS/S1/RESOURCEGROUPS/RG1/PROVIDERS/MICROSOFT.NETWORK/NETWORKWATCHERS/NW1/FLOWLOGS/FL1"),
			flow.Ext("operationName", "FlowLogFlowEvent"), flow.Ext("flow_state", "C"), flow.Ext("flow_encryption", "NX"), flow.Ext("aclID", "acl1"),
		},
	}
	if d := cmp.Diff(want, got[0]); d != "" {
		t.Error(d)
	}
}

// B and D write zeros that mean that nothing was counted; a zero of C and E is one.
func TestVNetStatesWithoutCounters(t *testing.T) {
	got, bad, _ := decodeUnitOf(t, "azure_vnet", vnetEntry(
		"1768478403599,10.0.0.6,203.0.113.180,23956,443,6,O,B,NX,0,0,0,0",
		"1768478406998,192.0.2.58,10.0.0.6,55496,5555,6,I,D,NX,0,0,0,0",
		"1768478403606,10.0.0.6,203.0.113.180,0,0,1,O,E,NX,3,767,0,0"))
	if len(got) != 3 {
		t.Fatal(bad)
	}
	for i, r := range got[:2] {
		if r.Source.Bytes.OK || r.Source.Packets.OK || r.Destination.Bytes.OK || r.Destination.Packets.OK || r.CounterSemantics != "" || r.End != 0 || r.Start != r.EventTime {
			t.Errorf("%d: %+v", i, r)
		}
	}
	if r := got[1]; r.Action != "drop" || r.Direction != "ingress" || r.Destination.MAC == "" || r.IngressInterface == "" {
		t.Errorf("%+v", r)
	}
	if r := got[2]; r.Destination.Bytes != flow.N(0) || r.Source.Port.OK || r.Destination.Port.OK || r.CounterSemantics != "since_last" {
		t.Errorf("%+v", r)
	}
}
