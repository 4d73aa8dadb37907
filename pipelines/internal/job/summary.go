package job

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Summary is what a run did, as --summary writes it.
type Summary struct {
	Read        int64                `json:"read"`
	Written     int64                `json:"written"`
	Duplicates  int64                `json:"duplicates"`
	Gaps        int64                `json:"gaps"`
	Late        int64                `json:"late"` // counted within written
	DeadLetters DeadLetters          `json:"dead_letters"`
	RollupRows  map[string]int64     `json:"rollup_rows"`
	Sinks       map[string]SinkCount `json:"sinks"`
	BytesRead   int64                `json:"bytes_read"` // of files as stored, compressed; of messages their values
	Seconds     float64              `json:"seconds"`
	Replaced    *Replaced            `json:"replaced,omitempty"`  // of a replacement
	Lateness    map[string]*Lateness `json:"lateness,omitempty"`  // of streams and topics, by data center
	Exporters   map[string]int64     `json:"exporters,omitempty"` // what files of datagrams said beside their records: templates, gaps in sequence numbers

	raw    int64    // lines given to the raw backup
	stores []string // beside the files, that are given all that the files are given
	loads  string   // the store that loads the files, or ""
}

// DeadLetters are the records that could not be used.
type DeadLetters struct {
	Total    int64            `json:"total"`
	ByReason map[string]int64 `json:"by_reason"`
}

// Replaced is what a replacement found of lower revisions in the files.
type Replaced struct {
	InPlace int64 `json:"in_place"` // with the same event time
	Moved   int64 `json:"moved"`    // to another event time
	Gone    int64 `json:"gone"`     // no records any more
	Pruned  int64 `json:"pruned"`   // rows that were taken out of files
}

// SinkCount is what one sink made of what it was given.
type SinkCount struct {
	New          int64 `json:"new"`
	AlreadyThere int64 `json:"already_there"`
	Rejected     int64 `json:"rejected"`
}

// summarize makes a Summary of the run's totals.
func summarize(totals map[string]int64, took time.Duration) Summary {
	s := Summary{
		DeadLetters: DeadLetters{ByReason: map[string]int64{}},
		RollupRows:  map[string]int64{},
		Sinks:       map[string]SinkCount{"files": {}},
		Seconds:     float64(took.Milliseconds()) / 1000,
	}
	for name, n := range totals {
		stage, what, _ := strings.Cut(name, "/")
		switch {
		case stage == "dead_letters":
			s.DeadLetters.Total += n
			s.DeadLetters.ByReason[what] += n
		case stage == "rollup_rows":
			s.RollupRows[what] += n
		case strings.HasPrefix(stage, sinkStage("")):
			sink := s.Sinks[strings.TrimPrefix(stage, sinkStage(""))]
			switch what {
			case "new":
				sink.New += n
			case "already_there":
				sink.AlreadyThere += n
			case "rejected":
				sink.Rejected += n
			}
			s.Sinks[strings.TrimPrefix(stage, sinkStage(""))] = sink
		case stage == latenessStage:
			center, what, class := latenessCount(what)
			if s.Lateness == nil {
				s.Lateness = map[string]*Lateness{}
			}
			if s.Lateness[center] == nil {
				s.Lateness[center] = &Lateness{}
			}
			s.Lateness[center].add(what, class, n)
		case stage == "datagram":
			if s.Exporters == nil {
				s.Exporters = map[string]int64{}
			}
			s.Exporters[what] += n
		case stage == "replace":
			if s.Replaced == nil {
				s.Replaced = &Replaced{}
			}
			switch what {
			case "in_place":
				s.Replaced.InPlace += n
			case "moved":
				s.Replaced.Moved += n
			case "gone":
				s.Replaced.Gone += n
			case "pruned":
				s.Replaced.Pruned += n
			}
		case name == "raw/records":
			s.raw += n
		case what == "read":
			s.Read += n
		case name == "job/written":
			s.Written += n
		case name == "job/late":
			s.Late += n
		case what == "duplicates":
			s.Duplicates += n
		case what == "gaps":
			s.Gaps += n
		case name == "files/bytes", name == "kafka/bytes", name == "pubsub/bytes":
			s.BytesRead += n
		}
	}
	for _, l := range s.Lateness {
		l.finish()
	}
	return s
}

// Check returns every way in which the numbers do not add up.
func (s *Summary) Check() (problems []error) {
	if out := s.Written + s.Duplicates + s.DeadLetters.Total + s.Gaps; s.Read != out {
		problems = append(problems, fmt.Errorf("read %d, but written %d + duplicates %d + dead letters %d + gaps %d = %d: %d records are not accounted for",
			s.Read, s.Written, s.Duplicates, s.DeadLetters.Total, s.Gaps, out, s.Read-out))
	}
	adds := func(sink string, given int64) {
		c := s.Sinks[sink]
		if sum := c.New + c.AlreadyThere + c.Rejected; sum != given {
			problems = append(problems, fmt.Errorf("sink %s was given %d, but new %d + already there %d + rejected %d = %d", sink, given, c.New, c.AlreadyThere, c.Rejected, sum))
		}
	}
	// What a sink refuses is a dead letter for the stores, and what a store refuses of the
	// dead letters is one for the files.
	refused, refusedLetters := int64(0), int64(0)
	for name, c := range s.Sinks {
		switch {
		case name == "files_dead_letters":
		case strings.HasSuffix(name, "_dead_letters"):
			refusedLetters += c.Rejected
		default:
			refused += c.Rejected
		}
	}
	given := map[string]int64{"": s.Written, "_dead_letters": s.DeadLetters.Total + refused}
	for level, rows := range s.RollupRows {
		given["_rollup_"+level] = rows
	}
	for _, of := range sorted(given) {
		for _, store := range s.stores {
			adds(store+of, given[of])
		}
		if of == "_dead_letters" {
			given[of] += refusedLetters
		}
		adds("files"+of, given[of])
		if files := s.Sinks["files"+of].New; s.loads != "" && s.Sinks[s.loads+of].New < files {
			problems = append(problems, fmt.Errorf("sink %s has loaded %d rows, and %d are new in the files", s.loads+of, s.Sinks[s.loads+of].New, files))
		}
	}
	adds("files_raw", s.raw)
	return problems
}

// Print writes the summary for a person.
func (s *Summary) Print(w io.Writer, output string) {
	row := func(name string, n int64, note string) { fmt.Fprintf(w, "  %-28s %14s%s\n", name, thousands(n), note) }
	fmt.Fprintf(w, "\nread %s records, %s bytes, in %.1f s\n", thousands(s.Read), thousands(s.BytesRead), s.Seconds)
	late := ""
	if s.Late > 0 {
		late = fmt.Sprintf("   (%s of them late)", thousands(s.Late))
	}
	row("written", s.Written, late)
	row("duplicates", s.Duplicates, "")
	row("gaps (no-data rows)", s.Gaps, "")
	row("dead letters", s.DeadLetters.Total, "")
	for _, r := range sorted(s.DeadLetters.ByReason) {
		row("  "+r, s.DeadLetters.ByReason[r], "")
	}
	if r := s.Replaced; r != nil {
		fmt.Fprintf(w, "replaced, of lower revisions\n")
		row("in place", r.InPlace, "")
		row("at another time", r.Moved, "")
		row("no records any more", r.Gone, "")
	}
	if len(s.Exporters) > 0 {
		fmt.Fprintf(w, "exporters\n")
		for _, name := range sorted(s.Exporters) {
			row(strings.ReplaceAll(name, "_", " "), s.Exporters[name], "")
		}
	}
	printLateness(w, s.Lateness)
	if len(s.RollupRows) > 0 {
		fmt.Fprintf(w, "rollup rows\n")
		for _, l := range sortedLevels(s.RollupRows) {
			row(l, s.RollupRows[l], "")
		}
	}
	fmt.Fprintf(w, "in %s\n  %-28s %14s %14s %14s\n", output, "", "new", "already there", "rejected")
	for _, name := range sorted(s.Sinks) {
		c := s.Sinks[name]
		if name == "files" || strings.HasPrefix(name, "files_") {
			name = strings.TrimPrefix(strings.TrimPrefix(name, "files"), "_") + "/"
			if name == "/" {
				name = "flows/"
			}
		}
		fmt.Fprintf(w, "  %-28s %14s %14s %14s\n", name, thousands(c.New), thousands(c.AlreadyThere), thousands(c.Rejected))
	}
}

// JSON is the summary as --summary writes it.
func (s *Summary) JSON() ([]byte, error) {
	b, err := json.Marshal(s)
	return append(b, '\n'), err
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// sortedLevels sorts rollup levels by their length.
func sortedLevels(m map[string]int64) []string {
	keys := sorted(m)
	slices.SortStableFunc(keys, func(a, b string) int {
		x, _ := time.ParseDuration(a)
		y, _ := time.ParseDuration(b)
		return int(x.Seconds() - y.Seconds())
	})
	return keys
}

func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
