package rollup

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/DataDog/sketches-go/ddsketch/mapping"
	"github.com/DataDog/sketches-go/ddsketch/store"
)

// quantiles gathers values for p50, p95 and p99: the values themselves while they are
// few, so that the many groups of a few records stay small and exact, then a DDSketch of
// 1 % relative accuracy. Which of the two it is depends on the number of values alone,
// and a DDSketch adds up counts of bins, so no order of merging changes the result.
type quantiles struct {
	few    []int64
	sketch *ddsketch.DDSketch
}

const (
	fewValues      = 16
	sketchAccuracy = 0.01
)

var sketchMapping = func() mapping.IndexMapping {
	m, err := mapping.NewLogarithmicMapping(sketchAccuracy)
	if err != nil {
		panic(err)
	}
	return m
}()

func (q *quantiles) add(v int64) {
	if q.sketch == nil {
		if len(q.few) < fewValues {
			q.few = append(q.few, v)
			return
		}
		q.promote()
	}
	q.count(float64(v), 1)
}

func (q *quantiles) promote() {
	q.sketch = ddsketch.NewDDSketchFromStoreProvider(sketchMapping, store.BufferedPaginatedStoreConstructor)
	for _, v := range q.few {
		q.count(float64(v), 1)
	}
	q.few = nil
}

func (q *quantiles) count(v, n float64) {
	if err := q.sketch.AddWithCount(v, n); err != nil {
		panic(err) // every int64 is in the range that the mapping can index
	}
}

func (q *quantiles) merge(o *quantiles) {
	if o.sketch == nil {
		for _, v := range o.few {
			q.add(v)
		}
		return
	}
	if q.sketch == nil {
		q.promote()
	}
	if err := q.sketch.MergeWith(o.sketch); err != nil {
		panic(err) // all have the same mapping
	}
}

// at is the value at quantile p of at least one value.
func (q *quantiles) at(p float64) int64 {
	if q.sketch == nil {
		if len(q.few) == 0 {
			return 0
		}
		slices.Sort(q.few)
		return q.few[int(p*float64(len(q.few)-1))] // the rank that DDSketch takes
	}
	v, err := q.sketch.GetValueAtQuantile(p)
	if err != nil {
		return 0
	}
	return int64(math.Round(v))
}

// append writes the number of values and these, or 0x1f and the sketch's bins.
func (q *quantiles) append(b []byte) []byte {
	if q.sketch == nil {
		slices.Sort(q.few)
		b = append(b, byte(len(q.few)))
		for _, v := range q.few {
			b = binary.AppendVarint(b, v)
		}
		return b
	}
	b = append(b, isSketch)
	b = binary.AppendUvarint(b, uint64(q.sketch.GetZeroCount()))
	b = appendBins(b, q.sketch.GetPositiveValueStore())
	return appendBins(b, q.sketch.GetNegativeValueStore())
}

const isSketch = 0x1f

func appendBins(b []byte, s store.Store) []byte {
	type bin struct {
		index int
		n     uint64
	}
	var bins []bin
	s.ForEach(func(index int, count float64) bool {
		bins = append(bins, bin{index, uint64(count)})
		return false
	})
	slices.SortFunc(bins, func(a, b bin) int { return a.index - b.index })
	b = binary.AppendUvarint(b, uint64(len(bins)))
	prev := 0
	for _, x := range bins {
		b = binary.AppendVarint(b, int64(x.index-prev))
		b = binary.AppendUvarint(b, x.n)
		prev = x.index
	}
	return b
}

func (q *quantiles) read(d *reader) {
	tag := d.take(1)
	switch {
	case tag == nil:
	case tag[0] <= fewValues:
		for range tag[0] {
			q.few = append(q.few, d.varint())
		}
	case tag[0] == isSketch:
		q.promote()
		if n := d.uvarint(); n > 0 && !d.failed {
			q.count(0, float64(n))
		}
		readBins(d, q.sketch.GetPositiveValueStore())
		readBins(d, q.sketch.GetNegativeValueStore())
	default:
		d.fail()
	}
}

// maxBin bounds a bin's index: no int64 has one beyond.
var maxBin = int64(sketchMapping.Index(math.MaxInt64) + 1)

func readBins(d *reader, s store.Store) {
	var index int64
	for range d.count() {
		index += d.varint()
		n := d.uvarint()
		if d.failed || index < -maxBin || index > maxBin {
			d.fail()
			return
		}
		s.AddWithCount(int(index), float64(n))
	}
}
