package datagram

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
)

func TestAppendedRecordsHaveNothingOfOldOnes(t *testing.T) {
	old := []flow.Record{{UserID: "old"}, {UserID: "old"}}
	d := Datagram{Received: 1, Position: flow.Position{Source: "topic", Offset: flow.N(7)}, DataCenter: "fra", Tenant: "t"}
	records := Append(old[:1], 1)
	d.Fill(&records[1], "ipfix", 20)
	want := flow.Record{
		Format: "ipfix", Received: 1, DataCenter: "fra", Tenant: "t",
		Position: flow.Position{Source: "topic", Offset: flow.N(7), Index: flow.N(20)},
	}
	if d := cmp.Diff([]flow.Record{{UserID: "old"}, want}, records); d != "" {
		t.Error(d)
	}
	if more := Append(records, 5); len(more) != 7 || more[0].UserID != "old" {
		t.Errorf("%d records", len(more))
	}
}
