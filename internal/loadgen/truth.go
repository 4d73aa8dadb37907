package loadgen

import (
	"time"

	"github.com/flowbeam/flowbeam/flow"
)

// Truth is what a run over the made records must find. The sums are over the unique good
// records, each once: Zeek's bytes are those of the IP layer, AWS rows are the source's.
type Truth struct {
	Totals
	ByFormat     map[string]*Totals `json:"by_format"`
	ByDataCenter map[string]*Totals `json:"by_data_center"`
	ByKind       map[string]int64   `json:"dead_letters_by_kind"` // how lines were broken: finer than the reasons
	// ByMinute is by the minute of event time, RFC 3339.
	ByMinute map[string]*Minute `json:"by_minute"`
	Files    map[string]File    `json:"files,omitempty"` // by path below the output directory
}

// Totals are numbers of records: Read = Unique + Duplicates + DeadLetters.Total + Gaps.
type Totals struct {
	Read               int64       `json:"read"`
	Unique             int64       `json:"unique"`
	Duplicates         int64       `json:"duplicates"`
	Gaps               int64       `json:"gaps"`
	DeadLetters        DeadLetters `json:"dead_letters"`
	SourceBytes        int64       `json:"source_bytes"`
	DestinationBytes   int64       `json:"destination_bytes"`
	SourcePackets      int64       `json:"source_packets"`
	DestinationPackets int64       `json:"destination_packets"`
}

// DeadLetters are the lines that can't be used.
type DeadLetters struct {
	Total    int64                 `json:"total"`
	ByReason map[flow.Reason]int64 `json:"by_reason"`
}

// Minute is the sum of a minute's unique good records.
type Minute struct {
	Flows            int64 `json:"flows"`
	SourceBytes      int64 `json:"source_bytes"`
	DestinationBytes int64 `json:"destination_bytes"`
}

// File is one file that was written.
type File struct {
	Lines int64 `json:"lines"` // records; headers are none
	Bytes int64 `json:"bytes"` // before compression, with headers
}

// DeadLetter counts one line that can't be used, of no kind in [Kinds] where kind is "".
func (t *Truth) DeadLetter(dataCenter, format, kind string, reason flow.Reason) {
	for _, n := range t.Of(dataCenter, format) {
		n.Read++
		n.DeadLetters.Total++
		if n.DeadLetters.ByReason == nil {
			n.DeadLetters.ByReason = map[flow.Reason]int64{}
		}
		n.DeadLetters.ByReason[reason]++
	}
	if kind != "" {
		t.ByKind[kind]++
	}
}

// NewTruth returns an empty one.
func NewTruth() Truth {
	return Truth{
		Totals:       Totals{DeadLetters: DeadLetters{ByReason: map[flow.Reason]int64{}}},
		ByFormat:     map[string]*Totals{},
		ByDataCenter: map[string]*Totals{},
		ByKind:       map[string]int64{},
		ByMinute:     map[string]*Minute{},
	}
}

// Of returns the totals that a line counts to: all, its format's and its data center's.
func (t *Truth) Of(dataCenter, format string) [3]*Totals {
	get := func(m map[string]*Totals, k string) *Totals {
		if m[k] == nil {
			m[k] = &Totals{DeadLetters: DeadLetters{ByReason: map[flow.Reason]int64{}}}
		}
		return m[k]
	}
	return [3]*Totals{&t.Totals, get(t.ByFormat, format), get(t.ByDataCenter, dataCenter)}
}

// good counts a unique good record.
func (t *Truth) good(totals [3]*Totals, minute *Minute, s sums) {
	for _, n := range totals {
		n.Read++
		n.Unique++
		n.SourceBytes += s.sourceBytes
		n.DestinationBytes += s.destBytes
		n.SourcePackets += s.sourcePackets
		n.DestinationPackets += s.destPacks
	}
	minute.Flows++
	minute.SourceBytes += s.sourceBytes
	minute.DestinationBytes += s.destBytes
}

func minuteName(minute int64) string {
	return time.Unix(minute*60, 0).UTC().Format(time.RFC3339)
}
