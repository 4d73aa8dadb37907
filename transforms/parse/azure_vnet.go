package parse

import (
	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/extension"
)

func init() {
	Register(Format{
		FormatInfo: flow.FormatInfo{
			Name: "azure_vnet",
			Detect: func(head []byte) int {
				if looksLikeAzure(head, `"flowRecords"`) || looksLikeAzure(head, `"FlowLogFlowEvent"`) {
					return 93
				}
				return 0
			},
			Split:     splitJSON,
			Timestamp: func(_ string, data []byte) (flow.Time, bool) { return azureTimestamp(data, milliseconds) },
		},
		NewUnit: func(string) (UnitDecoder, error) { return &azureDecoder{layout: vnetLayout{}}, nil },
	})
}

// vnetLayout is that of Azure virtual network flow logs, version 4.
//
// A tuple is milliseconds, addresses, ports, IANA protocol, direction at the interface (I or
// O), state, encryption and four counters, each of the sender of the first packet and back:
// records are of both directions. Denied flows (state D) have the action drop. Bytes count
// "packet header and payload": they are taken for IP bytes. The interface's MAC address is
// the ingress or egress interface, and the MAC address of that end; the resource that the log
// is of is the exporter. State and encryption are extensions (flow_state, flow_encryption),
// as are aclID and the entry's other members.
//
// Source: https://learn.microsoft.com/azure/network-watcher/vnet-flow-logs-overview#log-format
type vnetLayout struct{}

func (vnetLayout) resource() string { return "targetResourceID" }

func (vnetLayout) taken(name string) bool { return name == "flowRecords" }

func (vnetLayout) flows(o *jsonObject, entry []jsonMember) (*jsonMember, error) {
	records, err := needed(entry, "flowRecords", "flowRecords", '{', "an object")
	if err != nil {
		return nil, err
	}
	return needed(o.of(records), "flows", "flowRecords.flows", '[', "an array")
}

func (vnetLayout) group(element []jsonMember) (*jsonMember, azureGroup, error) {
	groups, err := needed(element, "flowGroups", "flowGroups", '[', "an array")
	return groups, azureGroup{list: textOf(element, "aclID")}, err
}

func (vnetLayout) within(object []jsonMember, g azureGroup) azureGroup {
	g.rule = textOf(object, "rule")
	return g
}

func (vnetLayout) tuple(v *cells, r *flow.Record, ext *extension.List) error {
	if v.n != azureValues {
		return flow.Reject(flow.ReasonSyntax, "flowTuples: %d values, want %d", v.n, azureValues)
	}
	at, err := nanoseconds("time", v.at(0), milliseconds)
	if err != nil {
		return err
	}
	if err := azureEnds(r, v, ext, vnetProtocol); err != nil {
		return err
	}
	state := v.at(7)
	if state == "" {
		return flow.Reject(flow.ReasonValue, "flow state: empty")
	}
	if err := azureState(r, state, flow.Time(at), v); err != nil {
		return err
	}
	if r.Action = "accept"; state == "D" {
		r.Action = "drop"
	}
	ext.Add(flow.Ext("flow_state", state))
	if encryption := v.at(8); encryption != "" {
		ext.Add(flow.Ext("flow_encryption", encryption))
	}
	return nil
}

func vnetProtocol(text string) (flow.Int, error) { return integer("protocol", text, 255) }
