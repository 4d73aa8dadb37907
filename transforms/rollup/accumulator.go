package rollup

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/flowbeam/flowbeam/flow"
)

// Accumulator makes rollups in a plain loop, without a pipeline: what By does, from the
// same parts. It is not safe for concurrent use.
type Accumulator struct {
	cells *cells // in windows of the smallest length
	every []time.Duration
}

// NewAccumulator returns an accumulator for the named fields and measures, and windows
// of the given lengths. The error is that of [Validate].
func NewAccumulator(fields, measures []string, every []time.Duration) (*Accumulator, error) {
	p, err := newPlan(slices.Clone(fields), slices.Clone(measures))
	if err := errors.Join(err, validateEvery(every)); err != nil {
		return nil, err
	}
	return &Accumulator{cells: newCells(p, slices.Min(every)), every: slices.Clone(every)}, nil
}

// Add counts a record; one that is marked late is left out and not counted. It keeps
// nothing of r.
func (a *Accumulator) Add(r *flow.Record) (counted bool) {
	if r.Late {
		return false
	}
	a.cells.add(r)
	return true
}

// Rows returns the rows of the windows of length every, one of those that the
// accumulator was made for, sorted by window and group; each batch is of one window.
func (a *Accumulator) Rows(every time.Duration) iter.Seq[flow.RollupBatch] {
	if !slices.Contains(a.every, every) {
		panic(fmt.Sprintf("rollup.Accumulator.Rows: %v is none of %v", every, a.every))
	}
	return func(yield func(flow.RollupBatch) bool) {
		for b, err := range a.cells.level(every).rows(LevelName(every), maxRows) {
			if err != nil {
				panic(err) // keys are our own
			}
			if !yield(b) {
				return
			}
		}
	}
}

// level is the cells in windows of length every, a multiple of c's: c itself where that
// is its own.
func (c *cells) level(every time.Duration) *cells {
	if every == c.every {
		return c
	}
	l := newCells(c.plan, every)
	for i, group := range c.groups {
		l.buf = append(l.buf[:0], group...)
		l.merge(l.at(c.windows[i].Truncate(every), l.buf), c, i)
	}
	return l
}
