package dataset

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
)

// micros is a time in microseconds since the epoch, rounded down.
func micros(t flow.Time) int64 {
	n := int64(t) / 1000
	if int64(t)%1000 < 0 {
		n--
	}
	return n
}

func microsValue(us int64) flow.Value {
	if us == 0 {
		return flow.Value{}
	}
	return flow.TimeValue(flow.Time(us * 1000))
}

// validText is s as UTF-8: each byte that is not becomes U+FFFD, as flow.AppendJSON has it.
func validText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s { // a range gives U+FFFD for each such byte
		b.WriteRune(r)
	}
	return b.String()
}

// highCardinality names the string columns for which a dictionary would only cost.
var highCardinality = map[string]bool{
	"community_id": true, "position_key": true, "original": true, "data": true, "data_base64": true,
	"header": true, "sha256": true, "error": true,
}

// tableNode keeps the columns in the table's order; parquet.Group alone sorts them.
type tableNode struct {
	parquet.Group
	fields []parquet.Field
}

func (n tableNode) Fields() []parquet.Field { return n.fields }

func parquetSchema[T any](t *flow.Table[T]) *parquet.Schema {
	g := parquet.Group{}
	for i := range t.Columns {
		c := &t.Columns[i]
		var n parquet.Node
		switch c.Kind {
		case flow.KindInt:
			n = parquet.Int(64)
		case flow.KindFloat:
			n = parquet.Leaf(parquet.DoubleType)
		case flow.KindBool:
			n = parquet.Leaf(parquet.BooleanType)
		case flow.KindTime:
			n = parquet.Timestamp(parquet.Microsecond)
			n = parquet.Encoded(n, &parquet.DeltaBinaryPacked)
		case flow.KindBytes:
			n = parquet.Leaf(parquet.ByteArrayType)
		case flow.KindObject:
			n = parquet.JSON()
		case flow.KindString:
			n = parquet.String()
			if !highCardinality[c.Name] {
				n = parquet.Encoded(n, &parquet.RLEDictionary)
			}
		default:
			n = parquet.String()
		}
		if !c.Required {
			n = parquet.Optional(n)
		}
		g[c.Name] = n
	}
	byName := map[string]parquet.Field{}
	for _, f := range g.Fields() {
		byName[f.Name()] = f
	}
	node := tableNode{Group: g}
	for i := range t.Columns {
		node.fields = append(node.fields, byName[t.Columns[i].Name])
	}
	return parquet.NewSchema(t.Name, node)
}

func parquetCodec(c Compression) compress.Codec {
	switch c {
	case Gzip:
		return &parquet.Gzip
	case Zstd:
		return &parquet.Zstd
	case Snappy:
		return &parquet.Snappy
	}
	return &parquet.Uncompressed
}

// parquetStage holds rows as columns, so that writing them is one run over each column.
type parquetStage[T any] struct {
	table  *flow.Table[T]
	comp   Compression
	cols   []stageColumn
	writer *parquet.GenericWriter[any] // of the last file, whose buffers the next one uses
	n      int
	size   int
	arena  []byte // what strings of the stage point into: none of a row is kept
}

// stageColumn is one column's values, those that are present, and runs that say where.
type stageColumn struct {
	kind     flow.Kind
	optional bool
	covered  int      // rows that the runs speak of; those after it are absent
	runs     []uint32 // rows absent, rows present, by turns
	ints     []int64
	floats   []float64
	strs     []string
	ips      []flow.IP
	ids      []flow.ID
}

// mark says that the row has a value.
func (c *stageColumn) mark(row int) {
	if gap := row - c.covered; gap > 0 || len(c.runs) == 0 {
		c.runs = append(c.runs, uint32(gap), 1)
	} else {
		c.runs[len(c.runs)-1]++
	}
	c.covered = row + 1
}

func newParquetStage[T any](t *flow.Table[T], c Compression) *parquetStage[T] {
	s := &parquetStage[T]{table: t, comp: c, cols: make([]stageColumn, len(t.Columns))}
	for i := range t.Columns {
		s.cols[i].kind, s.cols[i].optional = t.Columns[i].Kind, !t.Columns[i].Required
	}
	return s
}

func (s *parquetStage[T]) rows() int    { return s.n }
func (s *parquetStage[T]) bytes() int   { return s.size }
func (s *parquetStage[T]) flushAt() int { return 64 << 20 }

func (s *parquetStage[T]) reset() {
	for i := range s.cols {
		c := &s.cols[i]
		clear(c.strs)
		c.covered, c.runs = 0, c.runs[:0]
		c.ints, c.floats, c.strs, c.ips, c.ids = c.ints[:0], c.floats[:0], c.strs[:0], c.ips[:0], c.ids[:0]
	}
	s.n, s.size, s.arena = 0, 0, nil
}

// keep copies a string into the stage, unless it is the column's last one again.
func (s *parquetStage[T]) keep(c *stageColumn, v string) {
	s.size += 16
	if n := len(c.strs); n > 0 && c.strs[n-1] == v {
		c.strs = append(c.strs, c.strs[n-1])
		return
	}
	v = validText(v)
	c.strs = append(c.strs, s.copy(v))
}

func (s *parquetStage[T]) copy(v string) string {
	if v == "" {
		return ""
	}
	s.size += len(v)
	if len(v) > cap(s.arena)-len(s.arena) {
		size := 4 << 10
		if s.size > size {
			size = 64 << 10
		}
		s.arena = make([]byte, 0, max(size, len(v)))
	}
	from := len(s.arena)
	s.arena = append(s.arena, v...)
	// The arena is only appended to within its capacity, so these bytes never change.
	return unsafe.String(&s.arena[from], len(v))
}

func (s *parquetStage[T]) add(row *T) {
	n := s.n
	s.n++
	present := s.table.Present(row)
	for i := present.Next(); i >= 0; i = present.Next() {
		tc, c := &s.table.Columns[i], &s.cols[i]
		if tc.Derive != nil {
			v := tc.Derive(row)
			if v.Kind == 0 {
				continue
			}
			c.mark(n)
			switch c.kind {
			case flow.KindInt, flow.KindBool:
				c.ints = append(c.ints, v.Int)
				s.size += 8
			case flow.KindTime:
				c.ints = append(c.ints, micros(flow.Time(v.Int)))
				s.size += 8
			case flow.KindFloat:
				c.floats = append(c.floats, v.Float)
				s.size += 8
			case flow.KindBytes:
				s.size += 16
				c.strs = append(c.strs, s.copy(v.Str))
			default:
				s.keep(c, v.Str)
			}
			continue
		}
		c.mark(n)
		switch p := tc.Ref(row).(type) {
		case *string:
			s.keep(c, *p)
		case *flow.Int:
			c.ints = append(c.ints, p.V)
			s.size += 8
		case *int64:
			c.ints = append(c.ints, *p)
			s.size += 8
		case *flow.Float:
			c.floats = append(c.floats, p.V)
			s.size += 8
		case *bool:
			var v int64
			if *p {
				v = 1
			}
			c.ints = append(c.ints, v)
			s.size += 8
		case *flow.Time:
			c.ints = append(c.ints, micros(*p))
			s.size += 8
		case *flow.IP:
			c.ips = append(c.ips, *p)
			s.size += 17
		case *flow.ID:
			c.ids = append(c.ids, *p)
			s.size += 16
		case *[]byte:
			s.size += 16
			c.strs = append(c.strs, s.copy(string(*p)))
		default:
			s.keep(c, tc.Get(row).Str)
		}
	}
}

type parquetFile struct {
	w    *parquet.GenericWriter[any]
	done func(*parquet.GenericWriter[any])
}

func (f *parquetFile) close() error {
	if err := f.w.Close(); err != nil {
		return err
	}
	f.done(f.w) // only a writer that came to its end is used again
	return nil
}

func (s *parquetStage[T]) begin(out io.Writer) (frame, error) {
	w := s.writer
	s.writer = nil
	if w != nil {
		w.Reset(out)
	} else {
		w = parquet.NewGenericWriter[any](out, parquetSchema(s.table),
			parquet.Compression(parquetCodec(s.comp)),
			parquet.PageBufferSize(parquetPage),
			parquet.DictionaryMaxBytes(1<<20),
			parquet.CreatedBy("flowbeam", flow.Version, ""))
	}
	return &parquetFile{w, func(w *parquet.GenericWriter[any]) { w.Reset(nil); s.writer = w }}, nil
}

const (
	parquetPage  = 256 << 10
	parquetChunk = 1024 // values handed over at once
)

// writeTo writes the rows as one row group.
func (s *parquetStage[T]) writeTo(f frame, skip []bool) error {
	if s.n == 0 {
		return nil
	}
	w := f.(*parquetFile).w
	var scratch columnScratch
	for i, cw := range w.ColumnWriters() {
		if err := s.cols[i].writeTo(cw, &scratch, i, s.n, skip); err != nil {
			return fmt.Errorf("column %s: %w", s.table.Columns[i].Name, err)
		}
	}
	return w.Flush()
}

// absent is a chunk of nulls: their definition level is 0. It is only read.
var absent [parquetChunk]parquet.Value

// columnScratch is memory that columns use one after another.
type columnScratch struct {
	vals [parquetChunk]parquet.Value
	n    int
	text []byte // of IPs and ids of the values; emptied with them
}

func (c *stageColumn) writeTo(w *parquet.ColumnWriter, sc *columnScratch, index, rows int, skip []bool) error {
	flush := func() error {
		if sc.n == 0 {
			return nil
		}
		_, err := w.WriteRowValues(sc.vals[:sc.n])
		sc.n, sc.text = 0, sc.text[:0]
		return err
	}
	if sc.text == nil {
		sc.text = make([]byte, 0, 48*parquetChunk) // an address or an id is at most 39 bytes
	}
	row, value := 0, 0
	span := func(n int, present bool) error {
		// Most columns are absent in most rows: those go over in whole chunks.
		if !present && c.optional && skip == nil && n >= 16 {
			if err := flush(); err != nil {
				return err
			}
			row += n
			for n > 0 {
				m := min(n, len(absent))
				if _, err := w.WriteRowValues(absent[:m]); err != nil {
					return err
				}
				n -= m
			}
			return nil
		}
		// Runs of values, which are nearly all that is left, go without a look at each row.
		if present && skip == nil {
			row += n
			for n > 0 {
				m := min(n, len(sc.vals)-sc.n)
				c.fill(sc.vals[sc.n:sc.n+m], value, sc, index)
				value, n, sc.n = value+m, n-m, sc.n+m
				if sc.n == len(sc.vals) {
					if err := flush(); err != nil {
						return err
					}
				}
			}
			return nil
		}
		for end := row + n; row < end; row++ {
			if skip == nil || !skip[row] {
				v := &sc.vals[sc.n]
				switch {
				case present:
					*v = c.value(value, sc)
					if c.optional {
						*v = v.Level(0, 1, index)
					}
				case c.optional:
					*v = parquet.Value{}
				default:
					*v = c.zero()
				}
				if sc.n++; sc.n == len(sc.vals) {
					if err := flush(); err != nil {
						return err
					}
				}
			}
			if present {
				value++
			}
		}
		return nil
	}
	for i, n := range c.runs {
		if err := span(int(n), i%2 == 1); err != nil {
			return err
		}
	}
	if err := span(rows-row, false); err != nil {
		return err
	}
	return flush()
}

// fill is value for as many as out takes, from the one at i on, with their level.
func (c *stageColumn) fill(out []parquet.Value, i int, sc *columnScratch, index int) {
	level := 0
	if c.optional {
		level = 1
	}
	switch c.kind {
	case flow.KindInt, flow.KindTime:
		for k, v := range c.ints[i : i+len(out)] {
			out[k] = parquet.Int64Value(v).Level(0, level, index)
		}
	case flow.KindBool:
		for k, v := range c.ints[i : i+len(out)] {
			out[k] = parquet.BooleanValue(v != 0).Level(0, level, index)
		}
	case flow.KindFloat:
		for k, v := range c.floats[i : i+len(out)] {
			out[k] = parquet.DoubleValue(v).Level(0, level, index)
		}
	default:
		for k := range out {
			out[k] = c.value(i+k, sc).Level(0, level, index)
		}
	}
}

func (c *stageColumn) value(i int, sc *columnScratch) parquet.Value {
	switch c.kind {
	case flow.KindInt, flow.KindTime:
		return parquet.Int64Value(c.ints[i])
	case flow.KindBool:
		return parquet.BooleanValue(c.ints[i] != 0)
	case flow.KindFloat:
		return parquet.DoubleValue(c.floats[i])
	}
	from := len(sc.text)
	switch {
	case c.ips != nil:
		sc.text = c.ips[i].Append(sc.text)
	case c.ids != nil:
		sc.text = flow.AppendID(sc.text, c.ids[i])
	default:
		s := c.strs[i]
		// The writer copies the bytes and changes none.
		return parquet.ByteArrayValue(unsafe.Slice(unsafe.StringData(s), len(s)))
	}
	return parquet.ByteArrayValue(sc.text[from:len(sc.text):len(sc.text)])
}

// zero is what a required column shows where a row has nothing.
func (c *stageColumn) zero() parquet.Value {
	switch c.kind {
	case flow.KindInt, flow.KindTime:
		return parquet.Int64Value(0)
	case flow.KindBool:
		return parquet.BooleanValue(false)
	case flow.KindFloat:
		return parquet.DoubleValue(0)
	}
	return parquet.ByteArrayValue(nil)
}

func readParquet(file File, cols []column, f func([]flow.Value) error) (err error) {
	pf, err := parquet.OpenFile(file, file.Size(), parquet.SkipBloomFilters(true), parquet.SkipPageIndex(true))
	if err != nil {
		return err
	}
	// Leaf columns are numbered in the order of the file's schema.
	index := map[string]int{}
	for i, path := range pf.Schema().Columns() {
		if len(path) == 1 {
			index[path[0]] = i
		}
	}
	for _, rg := range pf.RowGroups() {
		if err := readRowGroup(rg, index, cols, f); err != nil {
			return err
		}
	}
	return nil
}

// columnReader reads one column of a row group value by value.
type columnReader struct {
	pages  parquet.Pages
	page   parquet.Page
	values parquet.ValueReader
	buf    [256]parquet.Value
	n, at  int
	last   string // the last text, which often comes again
}

func (r *columnReader) next() (parquet.Value, error) {
	for r.at == r.n {
		if r.values == nil {
			p, err := r.pages.ReadPage()
			if err != nil {
				return parquet.Value{}, err
			}
			r.page, r.values = p, p.Values()
		}
		n, err := r.values.ReadValues(r.buf[:])
		r.n, r.at = n, 0
		if n == 0 && err == nil {
			return parquet.Value{}, io.ErrNoProgress
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				return parquet.Value{}, err
			}
			if n == 0 {
				parquet.Release(r.page)
				r.values = nil
			}
		}
	}
	v := r.buf[r.at]
	r.at++
	return v, nil
}

func readRowGroup(rg parquet.RowGroup, index map[string]int, cols []column, f func([]flow.Value) error) error {
	readers := make([]*columnReader, len(cols))
	for i, c := range cols {
		at, ok := index[c.name]
		if !ok {
			continue
		}
		readers[i] = &columnReader{pages: rg.ColumnChunks()[at].Pages()}
		defer readers[i].pages.Close()
	}
	vals := make([]flow.Value, len(cols))
	for n := rg.NumRows(); n > 0; n-- {
		clear(vals)
		for i, r := range readers {
			if r == nil {
				continue
			}
			v, err := r.next()
			if err != nil {
				if err == io.EOF {
					err = io.ErrUnexpectedEOF
				}
				return fmt.Errorf("column %s: %w", cols[i].name, err)
			}
			if v.IsNull() {
				continue
			}
			if vals[i], err = parquetValue(v, cols[i].kind, r); err != nil {
				return fmt.Errorf("column %s: %w", cols[i].name, err)
			}
		}
		if err := f(vals); err != nil {
			return err
		}
	}
	return nil
}

func parquetValue(v parquet.Value, kind flow.Kind, r *columnReader) (flow.Value, error) {
	switch v.Kind() {
	case parquet.Boolean:
		return flow.BoolValue(v.Boolean()), nil
	case parquet.Int64:
		if kind == flow.KindTime {
			return microsValue(v.Int64()), nil
		}
		return flow.IntValue(v.Int64()), nil
	case parquet.Double:
		return flow.FloatValue(v.Double()), nil
	case parquet.ByteArray:
		b := v.ByteArray()
		if len(b) == 0 {
			return flow.Value{}, nil
		}
		if r.last != string(b) {
			r.last = string(b)
		}
		return flow.Value{Kind: kind, Str: r.last}, nil
	}
	return flow.Value{}, fmt.Errorf("has the type %v", v.Kind())
}
