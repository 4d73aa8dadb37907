package flow

import (
	"fmt"
	"math/bits"
	"sync/atomic"
	"unsafe"
)

// This file holds all of the package's unsafe code.
//
// A row has more than a hundred columns of which some twenty are present. To call
// Column.Ref and switch on the type of what it returns, for each column of each row,
// costs several times what encoding the present ones does. So a rowPlan is made once a
// table: it calls every Ref on one zero row and keeps where in the struct the field lies
// and what it is. What makes it safe:
//
//   - Ref must return a pointer into the row itself. newRowPlan panics where one does not,
//     so an offset never leaves the struct.
//   - The type that is read at an offset is the type of the pointer that Ref returned.
//   - unsafe.Add on the row's own pointer keeps the row alive and known to the collector.

// slotKind is the Go type of a field, as Ref has it.
type slotKind uint8

const (
	slotDerived slotKind = iota
	slotString
	slotInt
	slotInt64
	slotFloat
	slotBool
	slotTime
	slotIP
	slotID
	slotBytes
	slotLabels
	slotExtensions
)

// slot is where a field lies in its row and what it is.
type slot struct {
	off  uintptr
	kind slotKind
}

// rowPtr is a row whose type the code that reads it need not know.
type rowPtr unsafe.Pointer

func rowOf[T any](row *T) rowPtr { return rowPtr(unsafe.Pointer(row)) }

// field is the field of type F that s says is there.
func field[F any](row rowPtr, s slot) *F { return (*F)(unsafe.Add(unsafe.Pointer(row), s.off)) }

// maxColumns is what a bitset holds.
const maxColumns = 256

// bitset says which columns of a row are present.
type bitset [maxColumns / 64]uint64

func (m *bitset) set(i int) { m[(i>>6)&3] |= 1 << (i & 63) }

// probe is a place to look at to know whether a field is present.
type probe struct {
	off uintptr
	bit int
}

// rowPlan is what is known of a table's columns before any row is seen.
type rowPlan struct {
	slots []slot // by index of the column
	// A field is present where the eight bytes at its probe are not all zero (the length
	// of a string or a list, a time, an integer), or the one byte (the OK of an Int or a
	// Float, the length of an IP, a bool), or the sixteen of an ID. Three tight loops,
	// because a switch per column costs more than the look.
	words, flags, ids []probe
	fixed             bitset // columns that have to be looked at in any case: derived ones

	// For JSON alone.
	prefix  []string       // ,"name":
	columns unsafe.Pointer // of the first column the plan was made from
	cached  int            // their number
}

// slotOf finds the field that a Ref points to.
func slotOf[T any](name string, ref func(*T) any, zero *T) slot {
	place := func(p unsafe.Pointer, size uintptr, kind slotKind) slot {
		off := uintptr(p) - uintptr(unsafe.Pointer(zero))
		if uintptr(p) < uintptr(unsafe.Pointer(zero)) || off+size > unsafe.Sizeof(*zero) {
			panic(fmt.Sprintf("flow: column %q: Ref must return a pointer to a field of the row itself", name))
		}
		return slot{off, kind}
	}
	switch p := ref(zero).(type) {
	case *string:
		return place(unsafe.Pointer(p), unsafe.Sizeof(*p), slotString)
	case *Int:
		return place(unsafe.Pointer(p), unsafe.Sizeof(*p), slotInt)
	case *int64:
		return place(unsafe.Pointer(p), unsafe.Sizeof(*p), slotInt64)
	case *Float:
		return place(unsafe.Pointer(p), unsafe.Sizeof(*p), slotFloat)
	case *bool:
		return place(unsafe.Pointer(p), unsafe.Sizeof(*p), slotBool)
	case *Time:
		return place(unsafe.Pointer(p), unsafe.Sizeof(*p), slotTime)
	case *IP:
		return place(unsafe.Pointer(p), unsafe.Sizeof(*p), slotIP)
	case *ID:
		return place(unsafe.Pointer(p), unsafe.Sizeof(*p), slotID)
	case *[]byte:
		return place(unsafe.Pointer(p), unsafe.Sizeof(*p), slotBytes)
	case *[]Label:
		return place(unsafe.Pointer(p), unsafe.Sizeof(*p), slotLabels)
	case *[]Extension:
		return place(unsafe.Pointer(p), unsafe.Sizeof(*p), slotExtensions)
	default:
		panic(fmt.Sprintf("flow: column %q has a Ref of unknown type %T", name, p))
	}
}

// newRowPlan makes the plan of some columns, in their order.
func newRowPlan[T any](table string, columns []Column[T]) *rowPlan {
	if len(columns) > maxColumns {
		panic(fmt.Sprintf("flow: table %q has %d columns, more than %d", table, len(columns), maxColumns))
	}
	p := &rowPlan{slots: make([]slot, len(columns)), prefix: make([]string, len(columns))}
	zero := new(T)
	for i := range columns {
		c := &columns[i]
		p.prefix[i] = string(append(AppendJSON([]byte{','}, c.Name), ':'))
		if c.Derive != nil {
			p.fixed.set(i)
			continue
		}
		s := slotOf(c.Name, c.Ref, zero)
		p.slots[i] = s
		switch s.kind {
		case slotString, slotBytes, slotLabels, slotExtensions:
			// A string and a slice begin with their pointer; the length comes next.
			p.words = append(p.words, probe{s.off + unsafe.Sizeof(uintptr(0)), i})
		case slotTime, slotInt64:
			p.words = append(p.words, probe{s.off, i})
		case slotInt:
			p.flags = append(p.flags, probe{s.off + unsafe.Offsetof(Int{}.OK), i})
		case slotFloat:
			p.flags = append(p.flags, probe{s.off + unsafe.Offsetof(Float{}.OK), i})
		case slotIP:
			p.flags = append(p.flags, probe{s.off + unsafe.Offsetof(IP{}.Len), i})
		case slotBool:
			p.flags = append(p.flags, probe{s.off, i})
		case slotID:
			p.ids = append(p.ids, probe{s.off, i})
		}
	}
	if len(columns) > 0 {
		p.columns, p.cached = unsafe.Pointer(&columns[0]), len(columns)
	}
	return p
}

// The length of a string is read as eight bytes.
var _ [8]byte = [unsafe.Sizeof(uintptr(0))]byte{}

// present sets the bits of the columns that the row has, and of the fixed ones.
func (p *rowPlan) present(row rowPtr, m *bitset) {
	*m = p.fixed
	for i := range p.words {
		if *(*uint64)(unsafe.Add(unsafe.Pointer(row), p.words[i].off)) != 0 {
			m.set(p.words[i].bit)
		}
	}
	for i := range p.flags {
		if *(*uint8)(unsafe.Add(unsafe.Pointer(row), p.flags[i].off)) != 0 {
			m.set(p.flags[i].bit)
		}
	}
	for i := range p.ids {
		if id := (*[2]uint64)(unsafe.Add(unsafe.Pointer(row), p.ids[i].off)); id[0]|id[1] != 0 {
			m.set(p.ids[i].bit)
		}
	}
}

// plan returns the table's plan, made at its first use. Its pointer is kept in the table;
// a copy of the table with other columns makes its own.
func (t *Table[T]) plan() *rowPlan {
	p := (*rowPlan)(atomic.LoadPointer(&t.made))
	if p != nil && p.cached == len(t.Columns) && (p.cached == 0 || p.columns == unsafe.Pointer(&t.Columns[0])) {
		return p
	}
	p = newRowPlan(t.Name, t.Columns)
	// An int64 or a bool has no absent state: JSON shows its zero too.
	for i, s := range p.slots {
		if s.kind == slotInt64 || s.kind == slotBool {
			p.fixed.set(i)
		}
	}
	atomic.StorePointer(&t.made, unsafe.Pointer(p))
	return p
}

// wire is the plan of the record's fields in the order of their numbers: wire.slots[i]
// is the field with Num i+1.
var wire = newRowPlan("flows on the wire", wireColumns(recordColumns))

func wireColumns(columns []Column[Record]) []Column[Record] {
	w := make([]Column[Record], len(columns))
	n := 0
	for _, c := range columns {
		if c.Ref == nil {
			continue
		}
		if c.Num < 1 || c.Num > len(w) || w[c.Num-1].Ref != nil {
			panic(fmt.Sprintf("flow: field %s has number %d, which is taken or leaves a hole", c.Name, c.Num))
		}
		w[c.Num-1] = c
		n++
	}
	for _, c := range w[:n] {
		if c.Ref == nil {
			panic(fmt.Sprintf("flow: of %d fields of the record one has no number below %d", n, n+1))
		}
	}
	return w[:n:n]
}

// bitmap of the record's fields on the wire, by Num-1.
type bitmap [2]uint64

func (m *bitmap) set(i int) { m[i>>6] |= 1 << (i & 63) }

// next takes the lowest bit of one word of a bitset away and returns its column.
func next(m *uint64, word int) int {
	i := word<<6 | bits.TrailingZeros64(*m)
	*m &= *m - 1
	return i
}

func init() {
	if len(wire.slots) > 128 {
		panic("flow: more fields than the bitmap has bits: widen it and raise wireVersion")
	}
	// Tables of this package are planned before any goroutine could read one.
	Records.plan()
	Failures.plan()
}
