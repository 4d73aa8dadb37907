package parse

import (
	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/extension"
)

func init() {
	Register(Format{
		FormatInfo: flow.FormatInfo{
			Name: "azure_nsg",
			Detect: func(head []byte) int {
				if looksLikeAzure(head, `"NetworkSecurityGroupFlowEvent"`) || looksLikeAzure(head, `"flowTuples"`, `"properties"`) {
					return 93
				}
				return 0
			},
			Split:     splitJSON,
			Timestamp: func(_ string, data []byte) (flow.Time, bool) { return azureTimestamp(data, seconds) },
		},
		NewUnit: func(string) (UnitDecoder, error) { return &azureDecoder{layout: nsgLayout{}}, nil },
	})
}

// nsgLayout is that of Azure network security group flow logs, versions 1 and 2.
//
// A tuple is seconds, addresses, ports, protocol (T or U), direction at the interface (I or
// O) and whether the rule allowed it (A or D). Version 2 adds the state (B, C or E) and four
// counters, as [vnetLayout] has them; version 1 counts nothing. Denied flows have the action
// drop. The security group is the exporter: a flow that two groups judge, the subnet's and
// the interface's, is two observations.
//
// Source: https://learn.microsoft.com/azure/network-watcher/nsg-flow-logs-overview#log-format
type nsgLayout struct{}

func (nsgLayout) resource() string { return "resourceId" }

func (nsgLayout) taken(name string) bool { return name == "properties" }

func (nsgLayout) flows(o *jsonObject, entry []jsonMember) (*jsonMember, error) {
	properties, err := needed(entry, "properties", "properties", '{', "an object")
	if err != nil {
		return nil, err
	}
	return needed(o.of(properties), "flows", "properties.flows", '[', "an array")
}

func (nsgLayout) group(element []jsonMember) (*jsonMember, azureGroup, error) {
	macs, err := needed(element, "flows", "properties.flows.flows", '[', "an array")
	return macs, azureGroup{rule: textOf(element, "rule")}, err
}

func (nsgLayout) within(object []jsonMember, g azureGroup) azureGroup {
	g.mac = textOf(object, "mac")
	return g
}

func (nsgLayout) tuple(v *cells, r *flow.Record, ext *extension.List) error {
	if v.n != azureValues && v.n != 8 {
		return flow.Reject(flow.ReasonSyntax, "flowTuples: %d values, want 8 (version 1) or %d (version 2)", v.n, azureValues)
	}
	at, err := nanoseconds("time", v.at(0), seconds)
	if err != nil {
		return err
	}
	if err := azureEnds(r, v, ext, nsgProtocol); err != nil {
		return err
	}
	switch decision := v.at(7); decision {
	case "A":
		r.Action = "accept"
	case "D":
		r.Action = "drop"
	default:
		return flow.Reject(flow.ReasonValue, "decision: %s is neither A nor D", quoted(decision))
	}
	state := "" // which version 1 has not
	if v.n > 8 {
		state = v.at(8)
	}
	if state != "" {
		ext.Add(flow.Ext("flow_state", state))
	}
	return azureState(r, state, flow.Time(at), v)
}

func nsgProtocol(text string) (flow.Int, error) {
	switch text {
	case "T":
		return flow.N(6), nil
	case "U":
		return flow.N(17), nil
	}
	return flow.Int{}, flow.Reject(flow.ReasonValue, "protocol: %s is neither T nor U", quoted(text))
}
