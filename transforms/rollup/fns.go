package rollup

import (
	"slices"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/flowbeam/flowbeam/flow"
)

func init() {
	beam.RegisterDoFn(&partialFn{})
	register.Emitter2[beam.EventTime, slab]()
	register.Emitter1[flow.Count]()
	beam.RegisterDoFn(&levelFn{})
	register.Emitter2[string, slab]()
	beam.RegisterDoFn(&mergeFn{})
	register.Iter1[slab]()
	register.Emitter1[flow.RollupBatch]()
}

// partialFn counts a bundle's records by (smallest window, group), and hands the cells on
// as slabs, for each level its own, at the start of the slab's window.
type partialFn struct {
	Fields, Measures []string
	Every            []time.Duration
	Shards, Cells    int

	cells                *cells
	records, late, undue int64
}

func (f *partialFn) Setup() error {
	p, err := newPlan(f.Fields, f.Measures)
	if err != nil {
		return err
	}
	f.cells = newCells(p, slices.Min(f.Every))
	return nil
}

func (f *partialFn) StartBundle(func(beam.EventTime, slab), func(flow.Count)) {
	f.cells.reset()
	f.records, f.late, f.undue = 0, 0, 0
}

func (f *partialFn) ProcessElement(b flow.Batch, emit func(beam.EventTime, slab), _ func(flow.Count)) {
	for i := range b.Records {
		r := &b.Records[i]
		switch {
		case r.Late:
			f.late++
			continue
		case r.EventTime == 0:
			f.undue++
			continue
		}
		f.records++
		f.cells.add(r)
		if f.cells.len() >= f.Cells {
			f.flush(emit)
		}
	}
}

func (f *partialFn) FinishBundle(emit func(beam.EventTime, slab), count func(flow.Count)) {
	f.flush(emit)
	flow.EmitCount(count, "rollup", "records", f.records)
	flow.EmitCount(count, "rollup", "late_excluded", f.late)
	flow.EmitCount(count, "rollup", "no_event_time", f.undue)
}

func (f *partialFn) flush(emit func(beam.EventTime, slab)) {
	for _, every := range f.Every {
		f.cells.slabs(every, f.Shards, func(s slab) {
			emit(beam.EventTime(int64(s.Window)/int64(time.Millisecond)), s)
		})
	}
	f.cells.reset()
}

// levelFn takes the slabs of one level. It runs in the stage of partialFn, so that what
// it passes over costs a call.
type levelFn struct {
	Every time.Duration
}

func (f *levelFn) ProcessElement(s slab, emit func(string, slab)) {
	if s.Every == f.Every {
		emit(s.key(), s)
	}
}

// mergeFn makes the rows of one window and shard of all its slabs.
//
// It is a ParDo after a GroupByKey rather than a combiner: the slabs are combined by
// bundle already, and neither Prism nor Flink combines ahead in a window with triggers,
// so a combiner would only encode its accumulators once more.
type mergeFn struct {
	Level            string
	Fields, Measures []string
	Every            time.Duration

	cells, one *cells
}

func (f *mergeFn) Setup() error {
	p, err := newPlan(f.Fields, f.Measures)
	if err != nil {
		return err
	}
	f.cells, f.one = newCells(p, f.Every), newOne(p)
	return nil
}

func (f *mergeFn) ProcessElement(_ string, slabs func(*slab) bool, emit func(flow.RollupBatch)) error {
	f.cells.reset()
	for s := (slab{}); slabs(&s); {
		if err := f.cells.addSlab(&s, f.one); err != nil {
			return err
		}
	}
	for b, err := range f.cells.rows(f.Level, maxRows) {
		if err != nil {
			return err
		}
		emit(b)
	}
	return nil
}
