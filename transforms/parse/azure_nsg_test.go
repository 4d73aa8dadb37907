package parse

import (
	"testing"

	"github.com/flowbeam/flowbeam/flow"
)

// nsgEntry is an entry of version 2 with the tuples in one group.
func nsgEntry(tuples ...string) string {
	return `{"time":"2026-01-15T12:01:00.1Z","systemId":"y1","macAddress":"000D3AF80001","category":"NetworkSecurityGroupFlowEvent",` +
		`"resourceId":"/SUBSCRIPTIONS/S1/RESOURCEGROUPS/RG1/PROVIDERS/MICROSOFT.NETWORK/NETWORKSECURITYGROUPS/NSG1","operationName":"NetworkSecurityGroupFlowEvents",` +
		`"properties":{"Version":2,"flows":[{"rule":"UserRule_ssh","flows":[{"mac":"000D3AF80001","flowTuples":[` + quotedList(tuples) + `]}]}]}}`
}

func TestNSGVersions(t *testing.T) {
	got, bad, _ := decodeUnitOf(t, "azure_nsg", nsgEntry(
		"1768478340,192.0.2.190,10.5.16.4,28746,443,U,I,D",
		"1768478407,10.5.16.4,198.51.100.204,59831,443,T,O,A,B,,,,",
		"1768478457,10.5.16.4,198.51.100.204,59831,443,T,O,A,C,1021,588096,8005,4610880"))
	if len(got) != 3 {
		t.Fatal(bad)
	}
	if r := got[0]; r.EventTime != 1768478340e9 || r.Protocol != flow.N(17) || r.Action != "drop" || r.Source.Bytes.OK || r.Direction != "ingress" || r.Start != r.EventTime {
		t.Errorf("version 1: %+v", r)
	}
	if r := got[1]; r.Source.Bytes.OK || r.Destination.Packets.OK || r.CounterSemantics != "" || r.Action != "accept" || r.Rule != "UserRule_ssh" {
		t.Errorf("begin: %+v", r)
	}
	if r := got[2]; r.Source.Packets != flow.N(1021) || r.Source.Bytes != flow.N(588096) || r.Destination.Packets != flow.N(8005) || r.Destination.Bytes != flow.N(4610880) ||
		r.Exporter.Name != "/SUBSCRIPTIONS/S1/RESOURCEGROUPS/RG1/PROVIDERS/MICROSOFT.NETWORK/NETWORKSECURITYGROUPS/NSG1" || r.Cloud.Account != "S1" ||
		r.EgressInterface != "00:0d:3a:f8:00:01" || r.End != 1768478457e9 {
		t.Errorf("continuing: %+v", r)
	}
}
