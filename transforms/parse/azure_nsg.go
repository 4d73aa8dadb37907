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

func (nsgLayout) tuple(text string, r *flow.Record, ext *extension.List) error {
	var v [13]string
	n := splitText(text, ',', v[:])
	if n != len(v) && n != 8 {
		return flow.Reject(flow.ReasonSyntax, "flowTuples: %d values, want 8 (version 1) or %d (version 2)", n, len(v))
	}
	at, err := nanoseconds("time", v[0], seconds)
	if err != nil {
		return err
	}
	if err := azureEnds(r, &v, ext, nsgProtocol); err != nil {
		return err
	}
	switch v[7] {
	case "A":
		r.Action = "accept"
	case "D":
		r.Action = "drop"
	default:
		return flow.Reject(flow.ReasonValue, "decision: %s is neither A nor D", quoted(v[7]))
	}
	if v[8] != "" {
		ext.Add(flow.Ext("flow_state", v[8]))
	}
	return azureState(r, v[8], flow.Time(at), v[9:])
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
