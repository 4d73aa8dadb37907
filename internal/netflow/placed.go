package netflow

import (
	"encoding/binary"
	"unsafe"

	"github.com/flowbeam/flowbeam/flow"
)

// placed are the fields of a layout that have a place of a plain form, by their forms. They
// are most of all fields, and are set before the others, without a branch or a call that
// depends on the field: a processor guesses these wrong.
type placed struct {
	any                                 bool
	numbers, positives, times, ipv4, ip []field
}

// place sorts the fields of a layout that is not variable.
func (l *layout) place() {
	p := &l.placed
	seen := map[uintptr]bool{}
	for _, f := range l.fields {
		to, key := &l.others, f.set.offset<<1|uintptr(f.set.inRow)
		if f.set.form != formCall && !seen[key] { // of two for one place the order counts
			seen[key], p.any = true, true
			switch f.set.form {
			case formNumber, formPrefix:
				to = &p.numbers
			case formPositive:
				to = &p.positives
			case formTime:
				to = &p.times
			default:
				if to = &p.ip; f.length == 4 {
					to = &p.ipv4
				}
			}
		}
		*to = append(*to, f)
	}
}

// place sets the layout's placed fields. It says false where that can't be done, because a
// number does not fit or the input ends less than eight bytes behind one: then all fields are
// to be read one by one, these again.
func (w *row) place(l *layout, b []byte) bool {
	p := &l.placed
	if !p.any || len(b) < l.size+7 {
		return false
	}
	places := w.places()
	value := func(f *field) uint64 { return binary.BigEndian.Uint64(b[f.offset:]) >> (f.shift & 63) }
	for i := range p.numbers {
		f := &p.numbers[i]
		v := value(f)
		if v > f.set.max {
			return false
		}
		*(*flow.Int)(unsafe.Add(places[f.set.inRow&1], f.set.offset)) = flow.N(int64(v))
	}
	for i := range p.positives {
		f := &p.positives[i]
		switch v := value(f); {
		case v > f.set.max:
			return false
		case v != 0:
			*(*flow.Int)(unsafe.Add(places[f.set.inRow&1], f.set.offset)) = flow.N(int64(v))
		}
	}
	for i := range p.times {
		f := &p.times[i]
		v := value(f)
		if v > f.set.max {
			return false
		}
		*(*flow.Time)(unsafe.Add(places[f.set.inRow&1], f.set.offset)) = flow.Time(v * f.set.unit)
	}
	// Addresses come last, because they can't be set twice.
	for i := range p.ipv4 {
		f := &p.ipv4[i]
		v := binary.LittleEndian.Uint32(b[f.offset:])
		if v == 0 && f.set.form == formNATAddress {
			continue
		}
		to := (*flow.IP)(unsafe.Add(places[f.set.inRow&1], f.set.offset))
		binary.LittleEndian.PutUint32(to.B[:4], v)
		to.Len = 4
	}
	for i := range p.ip {
		f := &p.ip[i]
		f.set.set(w, b[f.offset:f.offset+f.length])
	}
	return true
}
