package rollup

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/flowbeam/flowbeam/flow"
)

// A plan is what fields and measures mean for the memory of a cell: the counters of one
// group in one window. A cell is a row of words:
//
//	records, then for each sum n, low, high; for each stat n, low, high, least, greatest
//
// low and high are one sum of 128 bits, so that no order of adding overflows.
type plan struct {
	fields       []field
	measures     []measure
	fieldNames   []string
	measureNames []string

	sums      []func(*flow.Record) flow.Int
	stats     []stat
	quantiles []int // the stats that have a sketch
	sets      []func([]byte, *flow.Record) []byte

	slot  []int  // of each measure: its first word, its sketch or its set
	words int    // of a cell
	hash  uint64 // of the names: bytes of one plan are never read with another
}

const (
	sumWords  = 3
	statWords = 5
)

// newPlan compiles names that Validate accepts.
func newPlan(fields, measures []string) (*plan, error) {
	p := &plan{fieldNames: fields, measureNames: measures}
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for i, name := range fields {
		c, ok := flow.Records.Column(name)
		if !ok {
			bad("rollup field %q is no column of flow records", name)
			continue
		}
		if name == "revision" {
			bad("rollup field %q: rollups have a column of that name, their own revision", name)
		}
		if slices.Contains(fields[:i], name) {
			bad("rollup field %q is named twice", name)
		}
		f, err := newField(c)
		if err != nil {
			bad("rollup field %q: %w", name, err)
		}
		p.fields = append(p.fields, f)
	}
	sumAt, statAt, sketchAt, setAt := map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}
	for i, name := range measures {
		m, ok := catalog[name]
		if !ok {
			bad("rollup measure %q is unknown: want some of %s", name, strings.Join(AllMeasures(), ", "))
			continue
		}
		if slices.Contains(measures[:i], name) {
			bad("rollup measure %q is named twice", name)
		}
		if slices.Contains(fields, name) {
			bad("rollup measure %q is a field too", name)
		}
		p.measures = append(p.measures, m)
		switch m.part {
		case partFlows:
		case partSum:
			if _, ok := sumAt[name]; !ok {
				sumAt[name] = len(p.sums)
				p.sums = append(p.sums, sums[name])
			}
		case partDistinct:
			if _, ok := setAt[name]; !ok {
				setAt[name] = len(p.sets)
				p.sets = append(p.sets, sets[name])
			}
		default:
			if _, ok := statAt[m.source]; !ok {
				statAt[m.source] = len(p.stats)
				p.stats = append(p.stats, stats[m.source])
			}
			if _, ok := sketchAt[m.source]; !ok && m.part >= partP50 {
				sketchAt[m.source] = len(p.quantiles)
				p.quantiles = append(p.quantiles, statAt[m.source])
			}
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	stats0 := 1 + sumWords*len(p.sums)
	p.words = stats0 + statWords*len(p.stats)
	for _, m := range p.measures {
		switch m.part {
		case partFlows:
			p.slot = append(p.slot, 0)
		case partSum:
			p.slot = append(p.slot, 1+sumWords*sumAt[m.source])
		case partDistinct:
			p.slot = append(p.slot, setAt[m.source])
		case partP50, partP95, partP99:
			p.slot = append(p.slot, sketchAt[m.source])
		default:
			p.slot = append(p.slot, stats0+statWords*statAt[m.source])
		}
	}
	h := fnv.New64a()
	for _, n := range slices.Concat(fields, []string{""}, measures) {
		h.Write(append([]byte(n), 0))
	}
	p.hash = h.Sum64()
	return p, nil
}

// stat0 is the first word of the i-th stat.
func (p *plan) stat0(i int) int { return 1 + sumWords*len(p.sums) + statWords*i }

// validateEvery reports what is wrong of window lengths.
func validateEvery(every []time.Duration) error {
	var errs []error
	if len(every) == 0 {
		errs = append(errs, errors.New("rollup windows: none given"))
	}
	for i, d := range every {
		switch {
		case d < time.Millisecond || d%time.Millisecond != 0:
			errs = append(errs, fmt.Errorf("rollup window %v: want a positive number of milliseconds", d))
		case slices.Contains(every[:i], d):
			errs = append(errs, fmt.Errorf("rollup window %v is named twice", d))
		case slices.Min(every) > 0 && d%slices.Min(every) != 0:
			errs = append(errs, fmt.Errorf("rollup window %v is no multiple of the smallest, %v", d, slices.Min(every)))
		}
	}
	return errors.Join(errs...)
}

// Validate reports every problem of a rollup's fields, measures and window lengths at
// once. The windows must be multiples of the smallest, as all are fed from its partials.
func Validate(fields, measures []string, every []time.Duration) error {
	_, err := newPlan(fields, measures)
	return errors.Join(err, validateEvery(every))
}

// Table is the table of a level's rows, with the kinds of the named fields and measures.
func Table(level string, fields, measures []string) (*flow.Table[flow.Rollup], error) {
	p, err := newPlan(fields, measures)
	if err != nil {
		return nil, err
	}
	var fieldKinds, measureKinds []flow.Kind
	for _, f := range p.fields {
		fieldKinds = append(fieldKinds, f.kind)
	}
	for _, m := range p.measures {
		measureKinds = append(measureKinds, m.kind)
	}
	return flow.RollupTable(level, fields, fieldKinds, measures, measureKinds), nil
}

// LevelName is a window length as levels are named: 1m, 5m, 1h, 1h30m.
func LevelName(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}
