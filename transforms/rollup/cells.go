package rollup

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/flowbeam/flowbeam/flow"
)

// cells are the counters of many (window, group): a hash table from key to a row of
// words, see plan. Each window has a table of its own: event time comes nearly sorted, so
// that the table in use is small and stays in the processor's cache.
type cells struct {
	*plan
	every time.Duration // length of the windows
	index map[flow.Time]map[string]int32
	last  flow.Time // the window looked up last
	hot   map[string]int32
	spare []map[string]int32 // emptied tables

	windows []flow.Time // of each cell
	groups  []string    // of each cell, in the encoding of key.go
	pages   [][]int64   // the words of pageCells cells each, so that growing copies none
	qs      []quantiles
	ds      []distinct
	buf     []byte          // scratch for keys
	arena   strings.Builder // where new keys are kept, many to an allocation
	chunk   int             // size of the newest of these
}

const pageCells = 64

func newCells(p *plan, every time.Duration) *cells {
	return &cells{plan: p, every: every, index: map[flow.Time]map[string]int32{}}
}

// newOne is a single cell without a key, to decode into.
func newOne(p *plan) *cells {
	return &cells{plan: p, pages: [][]int64{make([]int64, p.words)}, qs: make([]quantiles, len(p.quantiles)), ds: make([]distinct, len(p.sets))}
}

// cell is the words of the i-th cell.
func (c *cells) cell(i int) []int64 {
	at := i % pageCells * c.words
	return c.pages[i/pageCells][at : at+c.words]
}

func (c *cells) len() int { return len(c.groups) }

// reset empties c and keeps its memory.
func (c *cells) reset() {
	for _, m := range c.index {
		if len(c.spare) < 256 {
			clear(m)
			c.spare = append(c.spare, m)
		}
	}
	clear(c.index)
	c.last, c.hot = 0, nil
	clear(c.groups)
	clear(c.qs)
	clear(c.ds)
	c.windows, c.groups, c.qs, c.ds = c.windows[:0], c.groups[:0], c.qs[:0], c.ds[:0]
	c.arena.Reset()
}

// at is the cell of a window's group, made where it is missing.
func (c *cells) at(window flow.Time, group []byte) int {
	if c.hot == nil || window != c.last {
		c.open(window)
	}
	if i, ok := c.hot[string(group)]; ok { // does not allocate
		return int(i)
	}
	i := c.new(window, group)
	c.hot[c.groups[i]] = int32(i)
	return i
}

// new appends a cell.
func (c *cells) new(window flow.Time, group []byte) int {
	if c.arena.Cap()-c.arena.Len() < len(group) {
		c.chunk = min(max(2*c.chunk, 1<<10), 1<<16)
		c.arena = strings.Builder{} // strings of the one before stay where they are
		c.arena.Grow(max(c.chunk, len(group)))
	}
	c.arena.Write(group)
	k := c.arena.String()[c.arena.Len()-len(group):]
	i := len(c.groups)
	c.windows, c.groups = append(c.windows, window), append(c.groups, k)
	if i/pageCells == len(c.pages) {
		c.pages = append(c.pages, make([]int64, pageCells*c.words))
	} else {
		clear(c.cell(i)) // of a use before reset
	}
	c.qs = append(c.qs, make([]quantiles, len(c.quantiles))...)
	c.ds = append(c.ds, make([]distinct, len(c.sets))...)
	return i
}

// open makes a window's table the one in use.
func (c *cells) open(window flow.Time) {
	m, ok := c.index[window]
	if n := len(c.spare); !ok && n > 0 {
		m, c.spare = c.spare[n-1], c.spare[:n-1]
	} else if !ok {
		m = map[string]int32{}
	}
	c.index[window] = m
	c.last, c.hot = window, m
}

// add counts one record. It allocates for new cells and for sketches only.
func (c *cells) add(r *flow.Record) {
	b := c.buf[:0]
	for i := range c.fields {
		b = c.fields[i].append(b, r)
	}
	c.buf = b
	i := c.at(r.EventTime.Truncate(c.every), b)
	w := c.cell(i)
	w[0]++
	at := 1
	for _, get := range c.sums {
		if v := get(r); v.OK {
			addSum(w[at:at+3], v.V)
		}
		at += sumWords
	}
	for j := range c.stats {
		if v := c.stats[j].get(r); v.OK {
			s := w[at : at+5]
			if s[0] == 0 {
				s[3], s[4] = v.V, v.V
			} else {
				s[3], s[4] = min(s[3], v.V), max(s[4], v.V)
			}
			addSum(s, v.V)
		}
		at += statWords
	}
	for j, k := range c.quantiles {
		if v := c.stats[k].get(r); v.OK {
			c.qs[i*len(c.quantiles)+j].add(v.V)
		}
	}
	for j, app := range c.sets {
		if c.buf = app(c.buf[:0], r); len(c.buf) > 0 {
			c.ds[i*len(c.sets)+j].add(hashBytes(c.buf))
		}
	}
}

// addSum adds v to the words n, low, high.
func addSum(s []int64, v int64) {
	lo, carry := bits.Add64(uint64(s[1]), uint64(v), 0)
	s[0]++
	s[1] = int64(lo)
	s[2] += v>>63 + int64(carry)
}

// merge adds the j-th cell of o, which has the same plan, to the i-th of c.
func (c *cells) merge(i int, o *cells, j int) {
	a, b := c.cell(i), o.cell(j)
	a[0] += b[0]
	at := 1
	for range c.sums {
		mergeSum(a[at:at+3], b[at:at+3])
		at += sumWords
	}
	for range c.stats {
		s, t := a[at:at+5], b[at:at+5]
		switch {
		case t[0] == 0:
		case s[0] == 0:
			copy(s, t)
		default:
			mergeSum(s, t)
			s[3], s[4] = min(s[3], t[3]), max(s[4], t[4])
		}
		at += statWords
	}
	for k, n := 0, len(c.quantiles); k < n; k++ {
		c.qs[i*n+k].merge(&o.qs[j*n+k])
	}
	for k, n := 0, len(c.sets); k < n; k++ {
		c.ds[i*n+k].merge(&o.ds[j*n+k])
	}
}

func mergeSum(a, b []int64) {
	lo, carry := bits.Add64(uint64(a[1]), uint64(b[1]), 0)
	a[0] += b[0]
	a[1] = int64(lo)
	a[2] += b[2] + int64(carry)
}

// appendCell appends the i-th cell, without its window: the group's key, then the words,
// of which those are left out that others tell.
func (c *cells) appendCell(b []byte, i int) []byte {
	group := c.groups[i]
	b = append(binary.AppendUvarint(b, uint64(len(group))), group...)
	w := c.cell(i)
	b = binary.AppendUvarint(b, uint64(w[0]))
	at := 1
	for range c.sums {
		b = appendSum(b, w[at:at+3])
		at += sumWords
	}
	for range c.stats {
		s := w[at : at+5]
		b = appendSum(b, s)
		if s[0] > 1 { // of one value the sum says it all
			b = binary.AppendVarint(b, s[3])
			b = binary.AppendUvarint(b, uint64(s[4]-s[3]))
		}
		at += statWords
	}
	for k, n := 0, len(c.quantiles); k < n; k++ {
		b = c.qs[i*n+k].append(b)
	}
	for k, n := 0, len(c.sets); k < n; k++ {
		b = c.ds[i*n+k].append(b)
	}
	return b
}

// appendSum appends n, with a bit that says whether the sum is wide, and the sum.
func appendSum(b []byte, s []int64) []byte {
	if s[0] == 0 {
		return append(b, 0)
	}
	if s[2] == s[1]>>63 {
		b = binary.AppendUvarint(b, uint64(s[0])<<1)
		return binary.AppendVarint(b, s[1])
	}
	b = binary.AppendUvarint(b, uint64(s[0])<<1|1)
	b = binary.LittleEndian.AppendUint64(b, uint64(s[1]))
	return binary.AppendVarint(b, s[2])
}

var errGarbage = errors.New("rollup: not encoded partials, or cut short")

// mergeEncoded adds a cell that appendCell wrote to a window, and returns what follows
// it. one is a scratch that newOne made.
func (c *cells) mergeEncoded(window flow.Time, b []byte, one *cells) ([]byte, error) {
	group, rest, err := c.decodeCell(b, one)
	if err == nil {
		c.merge(c.at(window, group), one, 0)
	}
	return rest, err
}

// decodeCell reads a cell into one, and returns its group and what follows it.
func (c *cells) decodeCell(b []byte, one *cells) (group, rest []byte, err error) {
	d := reader{b: b}
	group = d.bytes()
	w := one.cell(0)
	clear(w)
	clear(one.qs)
	clear(one.ds)
	w[0] = int64(d.uvarint())
	at := 1
	for range c.sums {
		d.sum(w[at : at+3])
		at += sumWords
	}
	for range c.stats {
		s := w[at : at+5]
		d.sum(s)
		switch {
		case s[0] == 1:
			s[3], s[4] = s[1], s[1]
		case s[0] > 1:
			s[3] = d.varint()
			s[4] = s[3] + int64(d.uvarint())
		}
		at += statWords
	}
	for k := range one.qs {
		one.qs[k].read(&d)
	}
	for k := range one.ds {
		one.ds[k].read(&d)
	}
	if d.failed || w[0] <= 0 {
		return nil, nil, errGarbage
	}
	return group, d.b, nil
}

// reader reads what the append functions wrote; once it fails it stays failed.
type reader struct {
	b      []byte
	failed bool
}

func (d *reader) fail() { d.b, d.failed = nil, true }

func (d *reader) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *reader) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *reader) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	s := d.b[:n]
	d.b = d.b[n:]
	return s
}

func (d *reader) bytes() []byte { return d.take(d.uvarint()) }

// count reads the length of a list whose items take a byte each at least.
func (d *reader) count() int {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *reader) sum(s []int64) {
	n := d.uvarint()
	s[0], s[1], s[2] = int64(n>>1), 0, 0
	switch {
	case n == 0:
	case n&1 == 0:
		s[1] = d.varint()
		s[2] = s[1] >> 63
	default:
		if lo := d.take(8); lo != nil {
			s[1] = int64(binary.LittleEndian.Uint64(lo))
		}
		s[2] = d.varint()
	}
}

// rows are the cells as rows in batches of one window and at most max rows, sorted by
// window and group.
func (c *cells) rows(level string, max int) iter.Seq2[flow.RollupBatch, error] {
	return func(yield func(flow.RollupBatch, error) bool) {
		order := make([]int32, len(c.groups))
		for i := range order {
			order[i] = int32(i)
		}
		slices.SortFunc(order, func(a, b int32) int {
			if c := cmp.Compare(c.windows[a], c.windows[b]); c != 0 {
				return c
			}
			return strings.Compare(c.groups[a], c.groups[b])
		})
		for len(order) > 0 {
			n, w := 1, c.windows[order[0]]
			for n < len(order) && n < max && c.windows[order[n]] == w {
				n++
			}
			b := flow.RollupBatch{Level: level, Fields: c.fieldNames, Measures: c.measureNames, Rows: make([]flow.Rollup, n)}
			width := len(c.fields) + len(c.measures)
			values := make([]flow.Value, n*width)
			for i := range b.Rows {
				vs := values[i*width : (i+1)*width : (i+1)*width]
				if err := c.row(&b.Rows[i], vs, int(order[i])); err != nil {
					yield(flow.RollupBatch{}, err)
					return
				}
			}
			if !yield(b, nil) {
				return
			}
			order = order[n:]
		}
	}
}

// row makes the i-th cell's row, with vs for its values.
func (c *cells) row(r *flow.Rollup, vs []flow.Value, i int) error {
	w := c.cell(i)
	r.Window, r.Length, r.Records = c.windows[i], c.every, w[0]
	n := len(c.fields)
	r.Group, r.Measures = vs[:n:n], vs[n:]
	if err := decodeKey(c.groups[i], c.fields, r.Group); err != nil {
		return fmt.Errorf("%w: %x", err, c.groups[i])
	}
	for j := range c.measures {
		r.Measures[j] = c.value(w, i, j)
	}
	return nil
}

// value is the j-th measure of the i-th cell; absent where no record had it.
func (c *cells) value(w []int64, i, j int) flow.Value {
	m := &c.measures[j]
	slot := c.slot[j]
	switch m.part {
	case partFlows:
		return flow.IntValue(w[0])
	case partSum:
		if w[slot] == 0 {
			return flow.Value{}
		}
		return flow.IntValue(saturated(w[slot:]))
	case partDistinct:
		return flow.IntValue(c.ds[i*len(c.sets)+slot].count())
	}
	scale := int64(1)
	if m.kind == flow.KindFloat {
		scale = ratioScale
	}
	out := func(v int64) flow.Value {
		if scale == 1 {
			return flow.IntValue(v)
		}
		return flow.FloatValue(float64(v) / float64(scale))
	}
	if m.part >= partP50 {
		s := w[c.stat0(c.quantiles[slot]):]
		if s[0] == 0 {
			return flow.Value{}
		}
		q := c.qs[i*len(c.quantiles)+slot].at(m.part.quantile())
		return out(min(max(q, s[3]), s[4]))
	}
	s := w[slot:]
	switch {
	case s[0] == 0:
		return flow.Value{}
	case m.part == partMin:
		return out(s[3])
	case m.part == partMax:
		return out(s[4])
	case scale == 1:
		whole, rest := mean(s)
		if rest >= .5 {
			whole++
		} else if rest <= -.5 {
			whole--
		}
		return flow.IntValue(whole)
	}
	whole, rest := mean(s)
	return flow.FloatValue((float64(whole) + rest) / float64(scale))
}

// mean of the words n, low, high, towards nought, and the fraction that is left.
func mean(s []int64) (whole int64, rest float64) {
	hi, lo, neg := uint64(s[2]), uint64(s[1]), s[2] < 0
	if neg {
		var borrow uint64
		lo, borrow = bits.Sub64(0, lo, 0)
		hi, _ = bits.Sub64(0, hi, borrow)
	}
	q, r := bits.Div64(hi, lo, uint64(s[0])) // |sum| ≤ n·2⁶³, so hi < n
	rest = float64(r) / float64(s[0])
	if neg {
		return -int64(q), -rest
	}
	return int64(q), rest
}

// saturated is the sum in 64 bits, or the nearest that there is.
func saturated(s []int64) int64 {
	switch {
	case s[2] == s[1]>>63:
		return s[1]
	case s[2] < 0:
		return math.MinInt64
	}
	return math.MaxInt64
}
