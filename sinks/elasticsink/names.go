package elasticsink

import (
	"fmt"
	"regexp"
	"time"

	"github.com/flowbeam/flowbeam/flow"
)

// The name of an index is
//
//	flowbeam-<kind>-<namespace>-<period>
//
// and that of its alias, or of a data stream, the same without the period. The kind is
// flow, dead-letters or rollup-<level>; level and namespace come from the options and
// have no hyphen, so that the pattern of one never takes an index of another. The period
// comes from the event time. Nothing else of a record is ever in a name.
const (
	kindFlow        = "flow"
	kindDeadLetters = "dead-letters"
	kindRollup      = "rollup-"
)

var (
	namespacePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_]{0,62}$`)
	levelPattern     = regexp.MustCompile(`^[a-z0-9]{1,16}$`)
)

func checkNamespace(s string) error {
	if !namespacePattern.MatchString(s) {
		return fmt.Errorf("namespace %q: want %s", s, namespacePattern)
	}
	return nil
}

func rollupKind(level string) (string, error) {
	if !levelPattern.MatchString(level) {
		return "", fmt.Errorf("rollup level %q: want %s", level, levelPattern)
	}
	return kindRollup + level, nil
}

// aliasOf is the alias of a kind's indices, and the name of its data stream.
func aliasOf(kind, namespace string) string { return "flowbeam-" + kind + "-" + namespace }

// The lengths of a period.
const (
	Hour  = "hour"
	Day   = "day"
	Month = "month"
)

// Event times outside of these are refused: each day that a wrong clock invents would
// make an index of its own. Elasticsearch's date_nanos ends in 2262.
var (
	earliest = flow.TimeOf(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC))
	latest   = flow.TimeOf(time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC))
)

// period is the period that t lies in, as its bounds and as it stands in a name. ILM reads
// the date in the name (index.lifecycle.parse_origination_date), and takes digits behind a
// hyphen after it.
//
// Source: https://www.elastic.co/docs/reference/elasticsearch/configuration-reference/index-lifecycle-management-settings
func period(t flow.Time, length string) (from, to flow.Time, name string) {
	const day = 24 * time.Hour
	switch length {
	case Hour:
		from = t.Truncate(time.Hour)
		return from, from.Add(time.Hour), from.Std().Format("2006.01.02-15")
	case Month:
		y, m, _ := t.Std().Date()
		first := time.Date(y, m, 1, 0, 0, 0, 0, time.UTC)
		return flow.TimeOf(first), flow.TimeOf(first.AddDate(0, 1, 0)), first.Format("2006.01.02")
	}
	from = t.Truncate(day)
	return from, from.Add(day), from.Std().Format("2006.01.02")
}

// heads makes the first part of a document's action line, up to its id. It remembers those
// of the periods it has seen.
type heads struct {
	op, alias, period string
	plain             bool // the alias is the name: a data stream

	from, to flow.Time // of head
	head     []byte
	seen     map[flow.Time][]byte // by start of the period
	unknown  []byte
}

// of returns the head for an event time, or nil for one that no index is made for.
func (h *heads) of(t flow.Time) []byte {
	if t >= h.from && t < h.to {
		return h.head
	}
	if t < earliest || t >= latest {
		return nil
	}
	from, to, name := period(t, h.period)
	head := h.seen[from]
	if head == nil {
		if h.plain {
			head = h.line(h.alias)
		} else {
			head = h.line(h.alias + "-" + name)
		}
		if h.seen == nil || len(h.seen) > 10_000 {
			h.seen = map[flow.Time][]byte{}
		}
		h.seen[from] = head
	}
	h.from, h.to, h.head = from, to, head
	return head
}

// ofUnknown returns the head for what has no time.
func (h *heads) ofUnknown() []byte {
	if h.unknown == nil {
		h.unknown = h.line(h.alias + "-unknown")
	}
	return h.unknown
}

// line needs no escapes: see the patterns of the parts of a name.
func (h *heads) line(index string) []byte {
	return []byte(`{"` + h.op + `":{"_index":"` + index + `","_id":"`)
}
