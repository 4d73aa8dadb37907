package dataset

import (
	"bufio"
	"fmt"
	"io"

	"github.com/flowbeam/flowbeam/flow"
)

// Encoder writes rows to one file, in the form that parts have. It is the same code that
// the sinks use, for a plain loop.
type Encoder[T any] struct {
	stage  stage[T]
	f      frame
	closed bool
}

// NewEncoder makes an encoder of a table's rows. Close ends the file; it leaves w open.
func NewEncoder[T any](w io.Writer, t *flow.Table[T], f Format, c Compression) (*Encoder[T], error) {
	st, err := newStage(t, f, c)
	if err != nil {
		return nil, err
	}
	fr, err := st.begin(w)
	if err != nil {
		return nil, err
	}
	return &Encoder[T]{stage: st, f: fr}, nil
}

// Write appends one row. It keeps nothing of it.
func (e *Encoder[T]) Write(row *T) error {
	e.stage.add(row)
	if e.stage.bytes() >= e.stage.flushAt() {
		return e.flush()
	}
	return nil
}

func (e *Encoder[T]) flush() error {
	err := e.stage.writeTo(e.f, nil)
	e.stage.reset()
	return err
}

// Close writes what is left and the end of the file.
func (e *Encoder[T]) Close() error {
	if e.closed {
		return nil
	}
	e.closed = true
	if err := e.flush(); err != nil {
		return err
	}
	return e.f.close()
}

// stage holds rows in a form that is cheap to keep and to write: text and Avro as the
// bytes of the file, Parquet as columns. Which rows of it are new is known at its end.
type stage[T any] interface {
	add(row *T)
	rows() int
	bytes() int   // held in memory
	flushAt() int // bytes after which an Encoder writes
	// begin starts a file; writeTo writes the rows for which skip is not set (nil: all).
	begin(w io.Writer) (frame, error)
	writeTo(f frame, skip []bool) error
	reset()
}

// frame is a file being written.
type frame interface {
	close() error
}

func newStage[T any](t *flow.Table[T], f Format, c Compression) (stage[T], error) {
	if err := ValidateFormat(f, c); err != nil {
		return nil, err
	}
	switch f {
	case NDJSON:
		return &rowStage[T]{append: func(b []byte, row *T) []byte {
			return append(flow.AppendRow(b, t, row), '\n')
		}, open: func(w io.Writer) (rowFrame, error) { return openText(w, c, nil) }}, nil
	case CSV:
		return &rowStage[T]{append: func(b []byte, row *T) []byte { return appendCSV(b, t, row) },
			open: func(w io.Writer) (rowFrame, error) { return openText(w, c, csvHeader(t)) }}, nil
	case Avro:
		return &rowStage[T]{append: newAvroRow(t),
			open: func(w io.Writer) (rowFrame, error) { return openAvro(w, string(t.AvroSchema()), c) }}, nil
	case Parquet:
		return newParquetStage(t, c), nil
	}
	return nil, fmt.Errorf("format %q", f)
}

// rowFrame is a file of rows, each a run of bytes.
type rowFrame interface {
	frame
	row(b []byte) error
}

// rowStage holds rows as the bytes of the file, in chunks, so that no row is copied when
// the stage grows.
type rowStage[T any] struct {
	append func(b []byte, row *T) []byte
	open   func(io.Writer) (rowFrame, error)

	chunks [][]byte
	free   [][]byte // chunks that a reset has emptied
	ends   []uint32 // of each row in its chunk; a chunk's rows follow each other
	first  []int    // of each chunk: its first row
	size   int
}

// chunkSize of a rowStage: a row longer than this has a chunk of its own.
const chunkSize = 256 << 10

func (s *rowStage[T]) add(row *T) {
	n := len(s.chunks)
	// A chunk is left when it is nearly full; the last row of one may make it grow.
	if n == 0 || len(s.chunks[n-1]) > chunkSize-chunkSize/16 {
		// The first chunk is small: a stage may hold a few rows of a rare bucket only.
		size := chunkSize
		if n == 0 {
			size = 4 << 10
		}
		if f := len(s.free); f > 0 {
			s.chunks, s.free = append(s.chunks, s.free[f-1]), s.free[:f-1]
		} else {
			s.chunks = append(s.chunks, make([]byte, 0, size))
		}
		s.first = append(s.first, len(s.ends))
		n++
	}
	c := s.chunks[n-1]
	before := len(c)
	c = s.append(c, row)
	s.chunks[n-1] = c
	s.ends = append(s.ends, uint32(len(c)))
	s.size += len(c) - before
}

func (s *rowStage[T]) rows() int    { return len(s.ends) }
func (s *rowStage[T]) bytes() int   { return s.size + 4*len(s.ends) }
func (s *rowStage[T]) flushAt() int { return chunkSize / 2 }

func (s *rowStage[T]) begin(w io.Writer) (frame, error) { return s.open(w) }

func (s *rowStage[T]) writeTo(f frame, skip []bool) error {
	rf := f.(rowFrame)
	for i, c := range s.chunks {
		end := len(s.ends)
		if i+1 < len(s.chunks) {
			end = s.first[i+1]
		}
		from := uint32(0)
		for r := s.first[i]; r < end; r++ {
			to := s.ends[r]
			if skip == nil || !skip[r] {
				if err := rf.row(c[from:to]); err != nil {
					return err
				}
			}
			from = to
		}
	}
	return nil
}

func (s *rowStage[T]) reset() {
	for i, c := range s.chunks {
		if cap(c) <= 2*chunkSize { // one long row must not be paid for ever
			s.free = append(s.free, c[:0])
		}
		s.chunks[i] = nil
	}
	s.chunks, s.first, s.ends, s.size = s.chunks[:0], s.first[:0], s.ends[:0], 0
}

// column is what a reader asks for: a name and how its text is to be read.
type column struct {
	name string
	kind flow.Kind
}

// readColumns reads the named columns of a part. f gets one row's values, absent ones
// being zero; the slice is its own only until it returns. A column that the file does not
// have is absent in all rows: a later version may have added it.
func readColumns(file File, format Format, comp Compression, cols []column, f func([]flow.Value) error) error {
	switch format {
	case NDJSON, CSV:
		r, err := decompress(file, comp)
		if err != nil {
			return err
		}
		defer r.Close()
		br := bufio.NewReaderSize(r, 256<<10)
		if format == CSV {
			return readCSV(br, cols, f)
		}
		return readNDJSON(br, cols, f)
	case Avro:
		return readAvro(file, cols, f)
	case Parquet:
		return readParquet(file, cols, f)
	}
	return fmt.Errorf("format %q", format)
}

// ReadRows reads all columns of one file back into rows. f must not keep the row.
// Derived columns are left out: they follow from the others. Parquet and Avro keep
// microseconds, so times come back without what is below.
func ReadRows[T any](file File, t *flow.Table[T], format Format, comp Compression, f func(*T) error) error {
	return readRows(file, Spec[T]{Table: t}, format, comp, f)
}

// ReadSpecRows is ReadRows for a dataset's rows, derived columns that its Spec can take back
// included.
func ReadSpecRows[T any](file File, spec Spec[T], format Format, comp Compression, f func(*T) error) error {
	return readRows(file, spec, format, comp, f)
}

// readRows is ReadRows with setters for derived columns that can be taken back.
func readRows[T any](file File, spec Spec[T], format Format, comp Compression, f func(*T) error) error {
	t, set := spec.Table, spec.SetDerived
	var cols []column
	var setters []func(*T, flow.Value) error
	for i := range t.Columns {
		c := &t.Columns[i]
		if c.Derive == nil {
			cols = append(cols, column{c.Name, c.Kind})
			setters = append(setters, c.Set)
		} else if s := set[c.Name]; s != nil {
			cols = append(cols, column{c.Name, c.Kind})
			setters = append(setters, s)
		}
	}
	var row T
	n := 0
	return readColumns(file, format, comp, cols, func(v []flow.Value) error {
		var zero T
		row = zero
		if spec.Init != nil {
			spec.Init(&row)
		}
		n++
		for i := range v {
			if v[i].Kind == 0 {
				continue
			}
			if err := setters[i](&row, v[i]); err != nil {
				return fmt.Errorf("row %d: %w", n, err)
			}
		}
		return f(&row)
	})
}
