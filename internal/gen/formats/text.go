package main

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/flowbeam/flowbeam/flow"
)

// samples are made by us: between them they have each field that a format's decoder knows. A file's
// name is the format, and a number where there is more than one.
//
//go:embed samples
var samples embed.FS

// textFormat is what has to be said of a format that is text.
type textFormat struct {
	name  string
	about string
	// values of fields for which none can be guessed, or of which each decides of other things.
	values  map[string][]string
	inside  map[string]parts
	reasons map[string]string
	partly  map[string]string
	other   string // where a member that nobody knows may be, "-" where none may
	// Of columns.
	separator, blank string
}

func sampleFiles(format string) (out [][]byte, err error) {
	names, err := fs.Glob(samples, "samples/"+format+"*")
	if err != nil {
		return nil, err
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	for _, name := range names {
		base := strings.TrimPrefix(name, "samples/"+format)
		if base[0] != '.' && base[0] != '-' {
			continue // of another format
		}
		b, err := samples.ReadFile(name)
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	if out == nil {
		err = fmt.Errorf("%s: no samples", format)
	}
	return out, err
}

func (f *textFormat) section() (*section, error) {
	s := &section{title: f.name, formats: []string{f.name}, parse: f.name, about: f.about, reasons: f.reasons, partly: f.partly, below: f.other}
	files, err := sampleFiles(f.name)
	if err != nil {
		return nil, err
	}
	for i, file := range files {
		var trials []trial
		if f.separator == "" {
			lines := bytes.Split(bytes.TrimSpace(file), []byte("\n"))
			if trials, err = jsonTrials(lines, f.values, f.inside); err == nil && i == 0 && f.other != "-" {
				s.other, err = otherMember(lines[0], f.other)
			}
		} else {
			c := f.file(file)
			if trials, err = columnTrials(c, f.values); err == nil && i == 0 {
				s.other = otherColumn(c)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		s.trials = append(s.trials, trials...)
	}
	return s, nil
}

// file takes a file of columns apart: its header is what the format says is one.
func (f *textFormat) file(data []byte) columnFile {
	info, _ := flow.FormatNamed(f.name)
	n := info.Header(data)
	c := columnFile{header: string(data[:n]), separator: f.separator, blank: f.blank}
	c.lines = strings.Split(strings.TrimSpace(string(data[n:])), "\n")
	for line := range strings.Lines(c.header) {
		line = strings.TrimSuffix(line, "\n")
		if names, ok := strings.CutPrefix(line, "#fields\t"); ok {
			c.names = names
		} else if types, ok := strings.CutPrefix(line, "#types\t"); ok {
			c.types = types
		} else if line[0] != '#' {
			c.names = line
		}
	}
	return c
}

var awsColumns = strings.Fields("version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status")

var textFormats = []textFormat{
	{
		name: "canopus",
		about: "Members are named as in JSON. In Avro the same names in the writer's schema, or its aliases, do the same: each was tried. A member beyond these becomes " +
			"an extension there too, one with members of its own as JSON.",
	},
	{
		name: "zeek", separator: "\t", blank: "-",
		values: map[string][]string{"proto": {"udp"}, "local_orig": {"F"}, "local_resp": {"T"}},
		partly: map[string]string{"proto": "where `ip_proto` is there, that counts"},
	},
	{
		name:   "zeek_json",
		partly: map[string]string{"proto": "where `ip_proto` is there, that counts"},
		values: map[string][]string{"proto": {"udp"}},
	},
	{
		name: "aws_vpc", separator: " ", blank: "-",
		about: "Columns are named as in text. In Parquet they have underscores in the place of dashes, as extensions have, and do the same: each was tried. " +
			"What Firehose delivers has the line in its member `message`.",
		values: map[string][]string{
			"protocol": {"17"}, "action": {"REJECT"}, "flow-direction": {"ingress", "egress"}, "type": {"IPv6", "EFA"},
			"log-status": {"NODATA", "OTHER"},
		},
		reasons: map[string]string{
			"version": "it says which columns there may be, and nothing of the flow",
		},
	},
	{
		name: "aws_cloudwatch", other: "",
		values: map[string][]string{"messageType": {"CONTROL_MESSAGE"}, "protocol": {"17"}, "action": {"REJECT"}, "log-status": {"NODATA", "OTHER"}},
		inside: map[string]parts{"logEvents[].message": {" ", "-", awsColumns}},
	},
	{
		name:   "azure_vnet",
		inside: map[string]parts{"flowRecords.flows[].flowGroups[].flowTuples[]": {",", "", vnetTuple}},
		values: map[string][]string{
			"direction": {"I"}, "state": {"E", "B", "D"}, "protocol": {"17"},
			"targetResourceID": {
				"/subscriptions/s2/resourceGroups/rg1/providers/Microsoft.Network/virtualNetworks/vnet1",
				"/subscriptions/s1/resourceGroups/rg1/providers/Microsoft.Network/virtualNetworks/vnet2/subnets/subnet1",
			},
		},
	},
	{
		name:   "azure_nsg",
		inside: map[string]parts{"properties.flows[].flows[].flowTuples[]": {",", "", nsgTuple}},
		values: map[string][]string{
			"direction": {"I"}, "state": {"E", "B"}, "protocol": {"U"}, "decision": {"D"},
			"resourceId": {"/SUBSCRIPTIONS/S2/RESOURCEGROUPS/RG1/PROVIDERS/MICROSOFT.NETWORK/NETWORKSECURITYGROUPS/NSG2"},
		},
		reasons: map[string]string{"properties.Version": "the version of the tuples, which have another length in each"},
	},
	{
		name: "gcp_vpc", other: "jsonPayload",
		values: map[string][]string{"jsonPayload.reporter": {"SRC", "DEST", "OTHER"}, "jsonPayload.connection.protocol": {"17"}},
	},
	{
		name: "suricata",
		values: map[string][]string{
			"proto": {"UDP"}, "event_type": {"dns"}, "flow.state": {"established", "closed"}, "flow.reason": {"forced"}, "flow.action": {"drop"},
		},
	},
	{
		name: "argus", separator: ",",
		values: map[string][]string{"Proto": {"udp"}},
	},
	{
		name: "nfdump", separator: ",",
		values:  map[string][]string{"pr": {"UDP"}, "flg": {"...AP..F"}, "proto": {"17"}, "flags": {"...AP..F"}, "dir": {"0"}, "dir.": {"0"}},
		reasons: map[string]string{"cnt": "the row's number in what was asked for", "af": "the addresses say it"},
	},
	{
		name:   "nfdump_json",
		values: map[string][]string{"tcp_flags": {"...AP..F"}, "proto": {"17"}, "direction": {"0"}},
	},
	{
		name:   "pmacct",
		values: map[string][]string{"ip_proto": {"tcp", "udp"}},
	},
	{
		name:   "goflow2",
		values: map[string][]string{"type": {"SFLOW_5"}, "proto": {"TCP"}, "etype": {"IPv4", "ARP"}, "src_net": {"10.0.0.0/25"}, "dst_net": {"192.0.2.0/24"}},
	},
}

var (
	vnetTuple = []string{
		"time", "source IP", "destination IP", "source port", "destination port", "protocol", "direction", "state", "encryption",
		"packets sent", "bytes sent", "packets received", "bytes received",
	}
	nsgTuple = []string{
		"time", "source IP", "destination IP", "source port", "destination port", "protocol", "direction", "decision", "state",
		"packets sent", "bytes sent", "packets received", "bytes received",
	}
)
