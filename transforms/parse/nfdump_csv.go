package parse

import (
	"strings"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/extension"
)

func init() {
	Register(Format{
		FormatInfo: flow.FormatInfo{
			Name:      "nfdump",
			Detect:    detectNfdump,
			Header:    func(head []byte) int { return delimitedHeaderLength(head, nfdumpNames) },
			Timestamp: nfdumpTimestamp,
		},
		New: func(header string) (Decoder, error) {
			l, err := readNfdumpLayout(header)
			if err != nil {
				return nil, err
			}
			return &nfdumpDecoder{layout: l}, nil
		},
	})
}

// nfdumpDecoder reads nfdump's CSV (nfdump -o csv), with the columns that the header line
// names: those of 1.6 and 1.7.1 (ts,te,td,sa,da,sp,dp,pr,flg,…), those of newer versions
// (cnt,af,firstSeen,lastSeen,proto,srcAddr,…) and any choice of them (-o csv:…). What the
// columns mean is said at [nfdumpFirst].
//
// The older columns have whole seconds in ts and te: the end is te, and td, which has
// milliseconds, an extension where it says more. The Summary block at the end and "No matching flows" are
// no records and are skipped. The id is the hash of the line, without the row's number
// cnt, which depends on what else was asked for.
type nfdumpDecoder struct {
	layout *delimited
	cells  cells
	ext    extension.List
}

var nfdumpNames = map[string]int8{
	"ts": nfdumpFirst, "te": nfdumpLast, "td": nfdumpDuration, "sa": nfdumpSource, "da": nfdumpDestination,
	"sp": nfdumpSourcePort, "dp": nfdumpDestinationPort, "pr": nfdumpProtocol, "flg": nfdumpFlags, "stos": nfdumpSourceTOS,
	"ipkt": nfdumpPackets, "ibyt": nfdumpBytes, "opkt": nfdumpOutPackets, "obyt": nfdumpOutBytes, "in": nfdumpInput, "out": nfdumpOutput,
	"sas": nfdumpSourceAS, "das": nfdumpDestinationAS, "smk": nfdumpSourceMask, "dmk": nfdumpDestinationMask, "dir": nfdumpDirection,
	"svln": nfdumpSourceVLAN, "ismc": nfdumpSourceMAC, "idmc": nfdumpDestinationMAC, "ra": nfdumpRouter, "tr": nfdumpReceived,

	"cnt": nfdumpCount, "af": nfdumpFamily, "firstSeen": nfdumpFirst, "lastSeen": nfdumpLast, "duration": nfdumpDuration, "received": nfdumpReceived,
	"proto": nfdumpProtocol, "srcAddr": nfdumpSource, "srcPort": nfdumpSourcePort, "dstAddr": nfdumpDestination, "dstPort": nfdumpDestinationPort,
	"srcAS": nfdumpSourceAS, "dstAS": nfdumpDestinationAS, "input": nfdumpInput, "output": nfdumpOutput, "flags": nfdumpFlags, "srcTos": nfdumpSourceTOS,
	"packets": nfdumpPackets, "bytes": nfdumpBytes, "inPackets": nfdumpPackets, "inBytes": nfdumpBytes,
	"outPackets": nfdumpOutPackets, "outBytes": nfdumpOutBytes, "srcMask": nfdumpSourceMask, "dstMask": nfdumpDestinationMask,
	"srcVlan": nfdumpSourceVLAN, "dir.": nfdumpDirection, "routerIP": nfdumpRouter, "inSrcMac": nfdumpSourceMAC, "inDstMac": nfdumpDestinationMAC,
}

func readNfdumpLayout(header string) (*delimited, error) {
	l, err := readDelimited("nfdump", header, nfdumpNames)
	if err == nil && (!l.has(nfdumpSource) || !l.has(nfdumpDestination) || !l.has(nfdumpFirst) && !l.has(nfdumpLast)) {
		err = flow.Reject(flow.ReasonFormat, "nfdump: the header lacks the addresses or the time: %s", quoted(l.header))
	}
	return l, err
}

func (d *nfdumpDecoder) Decode(data string, r *flow.Record) (Outcome, error) {
	line := trimLine(data)
	if nfdumpNoRecord(line) {
		return Skip, nil
	}
	if header, err := d.layout.isHeader(line, nfdumpNames); header {
		return Skip, err
	}
	if err := d.layout.split(line, &d.cells); err != nil {
		if isNfdumpTotals(line) {
			return Skip, nil
		}
		return Parsed, err
	}
	n := nfdumpRecord{r: r, zone: d.layout.zone}
	if err := d.columns(&n); err != nil {
		d.ext.Drop()
		return Parsed, err
	}
	if err := n.finish(&d.ext); err != nil {
		d.ext.Drop()
		return Parsed, err
	}
	if n.duration.OK && n.duration != r.Duration() {
		for i := range d.layout.columns {
			if c := &d.layout.columns[i]; c.field == nfdumpDuration {
				d.ext.Add(extensionOf(c.name, trimSpaces(d.cells.at(i))))
			}
		}
	}
	r.Extensions = d.ext.Take()
	if d.layout.columns[0].field == nfdumpCount {
		r.ID = flow.NewIDText(r.Format, trim(line[len(d.cells.at(0))+1:]))
	}
	return Parsed, nil
}

func (d *nfdumpDecoder) columns(n *nfdumpRecord) error {
	for i := range d.layout.columns {
		c := &d.layout.columns[i]
		text := trimSpaces(d.cells.at(i))
		if text == "" {
			continue
		}
		keep, err := n.set(c.field, c.name, text)
		if err != nil {
			return err
		}
		if keep {
			d.ext.Add(extensionOf(c.name, text))
		}
	}
	return nil
}

// nfdumpNoRecord knows the lines around the records: blank ones, the empty result's text and
// what the summary says in words.
func nfdumpNoRecord(line string) bool {
	if trim(line) == "" {
		return true
	}
	if c := line[0]; c != 'N' && c != 'S' && c != 'T' && c != 'f' {
		return false
	}
	switch {
	case trim(line) == nfdumpNoFlows, trim(line) == "Summary", strings.HasPrefix(line, "Summary:"), strings.HasPrefix(line, "Time window:"),
		strings.HasPrefix(line, "Total flows processed:"), strings.HasPrefix(line, "Sys:"),
		trim(line) == "flows,bytes,packets,avg_bps,avg_pps,avg_bpp":
		return true
	}
	return false
}

// isNfdumpTotals knows the row of the summary: six numbers and no time.
func isNfdumpTotals(line string) bool {
	commas := 0
	for i := range len(line) {
		if line[i] == ',' {
			commas++
		} else if line[i]-'0' > 9 {
			return false
		}
	}
	return commas == 5
}

func detectNfdump(head []byte) int {
	n := skipZone(head[:min(len(head), 8<<10)])
	line := trimLine(firstLine(view(head[n:])))
	if !strings.Contains(line, "ts,te,td,sa,da") && !(strings.Contains(line, "firstSeen") && strings.Contains(line, "srcAddr")) {
		return 0
	}
	if _, err := readNfdumpLayout(line); err != nil {
		return 0
	}
	return 95
}

var nfdumpLayouts layoutCache

// nfdumpTimestamp is the last packet's time.
func nfdumpTimestamp(header string, data []byte) (flow.Time, bool) {
	l := nfdumpLayouts.of(header, "nfdump", nfdumpNames)
	rest := trimLine(view(data))
	if l == nil || nfdumpNoRecord(rest) {
		return 0, false
	}
	n := nfdumpRecord{zone: l.zone}
	var start, end flow.Time
	var duration int64
	for i := range l.columns {
		text, more, found := strings.Cut(rest, string(l.separator))
		switch l.columns[i].field {
		case nfdumpFirst:
			start, _ = n.time("", trimSpaces(text))
		case nfdumpLast:
			end, _ = n.time("", trimSpaces(text))
		case nfdumpDuration:
			duration, _ = nanoseconds("", trimSpaces(text), seconds)
		}
		if rest = more; !found {
			break
		}
	}
	if end != 0 {
		return end, true
	}
	return start + flow.Time(duration), start != 0
}
