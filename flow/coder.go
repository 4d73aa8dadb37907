package flow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// The wire form, version 1: one version byte, then varints, and lengths before bytes.
//
// A record is a bitmap of the fields that are present, a bitmap of those among them that
// equal the record before it (format, source, data center, tenant and the like cost one
// bit a record), then the other values in the order of Column.Num. Times and offsets are
// differences from the record before.
//
// A newer version, or a field that this build does not know, is an error and never a
// guess: an update of a running job must not misread what is in flight.
const wireVersion = 1

// ErrNewer says that bytes were written by a newer flowbeam.
var ErrNewer = errors.New("written by a newer version of flowbeam")

// errGarbage is deliberately short: the bytes are a program's state, not a user's input.
var errGarbage = errors.New("flow: not an encoded batch, or cut short")

// EncodeBatch is the batch's wire form, for state that holds batches.
func EncodeBatch(b *Batch) []byte { return encodeValue(b, (*encoder).batch) }

// DecodeBatch reads what EncodeBatch wrote. It returns ErrNewer for what a newer build
// wrote and another error for garbage, for which it asks no more memory than some hundred
// times the length of b.
func DecodeBatch(b []byte) (Batch, error) { return decodeValue(b, (*decoder).batch) }

// BatchLen is how many records the wire form of a Batch says it has.
func BatchLen(b []byte) (int, error) {
	if len(b) == 0 || b[0] != wireVersion {
		_, err := DecodeBatch(b)
		return 0, err
	}
	d := decoder{s: string(b[1:min(len(b), 1+2*binary.MaxVarintLen64)])}
	d.i64()
	n := d.u64()
	return int(n), d.err
}

func encodeValue[T any](v *T, enc func(*encoder, *T)) []byte {
	e := encoder{b: []byte{wireVersion}}
	enc(&e, v)
	return e.b
}

func decodeValue[T any](b []byte, dec func(*decoder, *T)) (T, error) {
	var v, zero T
	if len(b) == 0 {
		return zero, errGarbage
	}
	if b[0] != wireVersion {
		return zero, fmt.Errorf("flow: %T of wire version %d, this build reads %d: %w", zero, b[0], wireVersion, ErrNewer)
	}
	d := decoder{s: string(b[1:])} // one copy; all strings of the value are parts of it
	dec(&d, &v)
	if d.err == nil && len(d.s) != 0 {
		d.err = errGarbage
	}
	if d.err != nil {
		return zero, d.err
	}
	return v, nil
}

type encoder struct {
	b []byte
}

func (e *encoder) u64(v uint64)  { e.b = binary.AppendUvarint(e.b, v) }
func (e *encoder) i64(v int64)   { e.b = binary.AppendVarint(e.b, v) }
func (e *encoder) f64(v float64) { e.b = binary.LittleEndian.AppendUint64(e.b, math.Float64bits(v)) }
func (e *encoder) str(s string)  { e.u64(uint64(len(s))); e.b = append(e.b, s...) }
func (e *encoder) bool(v bool) {
	if v {
		e.b = append(e.b, 1)
	} else {
		e.b = append(e.b, 0)
	}
}
func (e *encoder) int(v Int) {
	e.bool(v.OK)
	if v.OK {
		e.i64(v.V)
	}
}

type decoder struct {
	s   string
	err error
}

func (d *decoder) fail() {
	if d.err == nil {
		d.err = errGarbage
	}
	d.s = ""
}

func (d *decoder) u64() uint64 {
	if len(d.s) > 0 && d.s[0] < 0x80 {
		x := uint64(d.s[0])
		d.s = d.s[1:]
		return x
	}
	return d.longU64()
}

func (d *decoder) longU64() uint64 {
	var x uint64
	for i, shift := 0, uint(0); i < len(d.s) && i < binary.MaxVarintLen64; i, shift = i+1, shift+7 {
		c := d.s[i]
		if c < 0x80 {
			if i == binary.MaxVarintLen64-1 && c > 1 {
				break
			}
			d.s = d.s[i+1:]
			return x | uint64(c)<<shift
		}
		x |= uint64(c&0x7f) << shift
	}
	d.fail()
	return 0
}

func (d *decoder) i64() int64 {
	u := d.u64()
	return int64(u>>1) ^ -int64(u&1)
}

func (d *decoder) take(n int) string {
	if n < 0 || n > len(d.s) {
		d.fail()
		return ""
	}
	s := d.s[:n]
	d.s = d.s[n:]
	return s
}

func (d *decoder) f64() float64 {
	s := d.take(8)
	if s == "" {
		return 0
	}
	var u uint64
	for i := 7; i >= 0; i-- {
		u = u<<8 | uint64(s[i])
	}
	return math.Float64frombits(u)
}

func (d *decoder) str() string {
	n := d.u64()
	if n > uint64(len(d.s)) {
		d.fail()
		return ""
	}
	return d.take(int(n))
}

func (d *decoder) bool() bool {
	switch d.take(1) {
	case "\x01":
		return true
	case "\x00":
	default:
		d.fail()
	}
	return false
}

func (d *decoder) int() (v Int) {
	if d.bool() {
		v = N(d.i64())
	}
	return v
}

// count reads the length of a list whose items take at least min bytes each, so that
// garbage cannot ask for memory that its own length does not pay for.
func (d *decoder) count(min int) int {
	n := d.u64()
	if n > uint64(len(d.s)/min) {
		d.fail()
		return 0
	}
	return int(n)
}

func (e *encoder) position(p *Position) {
	e.str(p.Source)
	e.int(p.Partition)
	e.int(p.Offset)
	e.int(p.Index)
	e.str(p.Key)
}

func (d *decoder) position(p *Position) {
	p.Source = d.str()
	p.Partition = d.int()
	p.Offset = d.int()
	p.Index = d.int()
	p.Key = d.str()
}

var zeroRecord Record

func (e *encoder) batch(b *Batch) {
	e.i64(int64(b.Watermark))
	e.u64(uint64(len(b.Records)))
	prev := &zeroRecord
	var prevPresent, prevSame bitmap
	if cap(e.b)-len(e.b) < 96*len(b.Records) { // of what a typical record takes
		grown := make([]byte, len(e.b), len(e.b)+96*len(b.Records)+64)
		copy(grown, e.b)
		e.b = grown
	}
	for i := range b.Records {
		prevPresent, prevSame = e.record(&b.Records[i], prev, prevPresent, prevSame)
		prev = &b.Records[i]
	}
}

func (d *decoder) batch(b *Batch) {
	b.Watermark = Time(d.i64())
	n := d.count(minRecord)
	if n == 0 {
		return
	}
	b.Records = make([]Record, n)
	prev := &zeroRecord
	var present, same bitmap
	for i := range b.Records {
		r := &b.Records[i]
		d.record(r, prev, &present, &same)
		if d.err != nil {
			b.Records = nil
			return
		}
		prev = r
	}
}

func (e *encoder) record1(r *Record) { e.record(r, &zeroRecord, bitmap{}, bitmap{}) }
func (d *decoder) record1(r *Record) {
	var present, same bitmap
	d.record(r, &zeroRecord, &present, &same)
}

// minRecord is the least that a record takes on the wire: a byte of flags, and its id or
// its bitmap. So that the memory that decoding asks for stays in proportion to the bytes
// that came.
const minRecord = 1 + 16

// record writes r, given the record before it and that record's bitmaps.
func (e *encoder) record(r, prev *Record, prevPresent, prevSame bitmap) (present, same bitmap) {
	row, before := rowOf(r), rowOf(prev)
	var has bitset
	wire.present(row, &has)
	present = bitmap{has[0], has[1]}
	for w := range present {
		for m := present[w]; m != 0; {
			i := next(&m, w)
			s := wire.slots[i]
			eq := false
			switch s.kind {
			case slotString:
				eq = *field[string](row, s) == *field[string](before, s)
			case slotInt:
				eq = *field[Int](row, s) == *field[Int](before, s)
			case slotInt64:
				eq = *field[int64](row, s) == *field[int64](before, s)
			case slotTime:
				eq = *field[Time](row, s) == *field[Time](before, s)
			case slotIP:
				eq = *field[IP](row, s) == *field[IP](before, s)
			}
			if eq {
				same.set(i)
			}
		}
	}
	flags := len(e.b)
	e.b = append(e.b, 0)
	if present != prevPresent || r.ID.IsZero() {
		e.b[flags] |= 1
		e.bitmap(present)
	}
	if same != prevSame {
		e.b[flags] |= 2
		e.bitmap(same)
	}
	for w := range present {
		for m := present[w] &^ same[w]; m != 0; {
			s := wire.slots[next(&m, w)]
			switch s.kind {
			case slotString:
				e.str(*field[string](row, s))
			case slotInt:
				v := field[Int](row, s).V
				if b := field[Int](before, s); b.OK { // the decoder knows of an absent one nothing
					v -= b.V
				}
				e.i64(v)
			case slotInt64:
				e.i64(*field[int64](row, s) - *field[int64](before, s))
			case slotFloat:
				e.f64(field[Float](row, s).V)
			case slotBool: // present is true
			case slotTime:
				e.i64(int64(*field[Time](row, s) - *field[Time](before, s)))
			case slotIP:
				p := field[IP](row, s)
				e.b = append(e.b, p.Len)
				e.b = append(e.b, p.B[:p.Len]...)
			case slotID:
				e.b = append(e.b, field[ID](row, s)[:]...)
			case slotLabels:
				list := *field[[]Label](row, s)
				e.u64(uint64(len(list)))
				for j := range list {
					e.str(list[j].Name)
					e.str(list[j].Value)
				}
			case slotExtensions:
				list := *field[[]Extension](row, s)
				e.u64(uint64(len(list)))
				for j := range list {
					e.str(list[j].Name)
					e.str(list[j].Text)
					e.b = append(e.b, byte(list[j].Kind))
				}
			}
		}
	}
	return present, same
}

func (d *decoder) record(r, prev *Record, present, same *bitmap) {
	flags := d.take(1)
	if flags == "" || flags[0] > 3 {
		d.fail()
		return
	}
	if flags[0]&1 != 0 {
		*present = d.bitmap()
	}
	if flags[0]&2 != 0 {
		*same = d.bitmap()
	}
	if same[0]&^present[0] != 0 || same[1]&^present[1] != 0 {
		d.fail()
		return
	}
	row, before := rowOf(r), rowOf(prev)
	for w := range present {
		for m := same[w]; m != 0; {
			s := wire.slots[next(&m, w)]
			switch s.kind {
			case slotString:
				*field[string](row, s) = *field[string](before, s)
			case slotInt:
				*field[Int](row, s) = *field[Int](before, s)
			case slotInt64:
				*field[int64](row, s) = *field[int64](before, s)
			case slotTime:
				*field[Time](row, s) = *field[Time](before, s)
			case slotIP:
				*field[IP](row, s) = *field[IP](before, s)
			default:
				d.fail()
				return
			}
		}
		for m := present[w] &^ same[w]; m != 0; {
			s := wire.slots[next(&m, w)]
			switch s.kind {
			case slotString:
				*field[string](row, s) = d.str()
			case slotInt:
				*field[Int](row, s) = N(d.i64() + field[Int](before, s).V)
			case slotInt64:
				*field[int64](row, s) = d.i64() + *field[int64](before, s)
			case slotFloat:
				*field[Float](row, s) = F(d.f64())
			case slotBool:
				*field[bool](row, s) = true
			case slotTime:
				*field[Time](row, s) = Time(d.i64()) + *field[Time](before, s)
			case slotIP:
				p := field[IP](row, s)
				l := d.take(1)
				if l != "\x04" && l != "\x10" {
					d.fail()
					return
				}
				p.Len = l[0]
				copy(p.B[:], d.take(int(p.Len)))
			case slotID:
				p := field[ID](row, s)
				copy(p[:], d.take(len(p)))
			case slotLabels:
				list := make([]Label, d.count(2))
				for j := range list {
					list[j] = Label{d.str(), d.str()}
				}
				*field[[]Label](row, s) = list
			case slotExtensions:
				list := make([]Extension, d.count(3))
				for j := range list {
					x := Extension{Name: d.str(), Text: d.str()}
					if k := d.take(1); k != "" {
						x.Kind = ExtensionKind(k[0])
					}
					list[j] = x
				}
				*field[[]Extension](row, s) = list
			}
		}
		if d.err != nil {
			return
		}
	}
}

func (e *encoder) bitmap(m bitmap) {
	e.b = binary.LittleEndian.AppendUint64(e.b, m[0])
	e.b = binary.LittleEndian.AppendUint64(e.b, m[1])
}

func (d *decoder) bitmap() (m bitmap) {
	s := d.take(16)
	if s == "" {
		return m
	}
	for i := 7; i >= 0; i-- {
		m[0] = m[0]<<8 | uint64(s[i])
		m[1] = m[1]<<8 | uint64(s[8+i])
	}
	for i := len(wire.slots); i < 128; i++ {
		if m[i>>6]>>(i&63)&1 != 0 {
			if d.err == nil {
				d.err = fmt.Errorf("flow: a record has field %d, this build knows %d: %w", i+1, len(wire.slots), ErrNewer)
			}
			d.s = ""
			return bitmap{}
		}
	}
	return m
}

func (e *encoder) origin(o *Origin) {
	e.str(o.Source)
	e.int(o.Partition)
	e.str(o.Format)
	e.str(o.Header)
	e.str(o.DataCenter)
	e.str(o.Tenant)
}

func (d *decoder) origin(o *Origin) {
	o.Source = d.str()
	o.Partition = d.int()
	o.Format = d.str()
	o.Header = d.str()
	o.DataCenter = d.str()
	o.Tenant = d.str()
}

func (e *encoder) rawBatch(b *RawBatch) {
	e.origin(&b.Origin)
	e.i64(int64(b.Watermark))
	e.u64(uint64(len(b.Records)))
	for i := range b.Records {
		r := &b.Records[i]
		e.str(string(r.Data))
		e.int(r.Offset)
		e.str(r.Key)
		e.i64(int64(r.Time))
		e.str(r.DataCenter)
		// One byte of flags: before records had an index it was 0 or 1, for Oversize.
		flags := len(e.b)
		e.bool(r.Oversize)
		if r.Index.OK {
			e.b[flags] |= rawIndexed
			e.i64(r.Index.V)
		}
		e.i64(r.Size)
		e.str(r.SHA256)
	}
}

const rawIndexed = 2

func (d *decoder) rawBatch(b *RawBatch) {
	d.origin(&b.Origin)
	b.Watermark = Time(d.i64())
	n := d.count(8)
	if n == 0 {
		return
	}
	b.Records = make([]Raw, n)
	for i := range b.Records {
		r := &b.Records[i]
		r.Data = []byte(d.str())
		r.Offset = d.int()
		r.Key = d.str()
		r.Time = Time(d.i64())
		r.DataCenter = d.str()
		if flags := d.take(1); flags == "" || flags[0] > 3 {
			d.fail()
		} else {
			r.Oversize = flags[0]&1 != 0
			if flags[0]&rawIndexed != 0 {
				r.Index = N(d.i64())
			}
		}
		r.Size = d.i64()
		r.SHA256 = d.str()
	}
}

func (e *encoder) failures(b *FailureBatch) {
	e.u64(uint64(len(b.Failures)))
	for i := range b.Failures {
		f := &b.Failures[i]
		e.str(f.Stage)
		e.str(string(f.Reason))
		e.str(f.Error)
		e.str(f.Data)
		e.bool(f.Truncated)
		e.i64(f.Size)
		e.str(f.SHA256)
		e.str(f.Format)
		e.str(f.Header)
		e.position(&f.Position)
		e.i64(int64(f.SourceTime))
		e.str(f.DataCenter)
		e.str(f.Tenant)
		e.str(f.Version)
	}
}

func (d *decoder) failures(b *FailureBatch) {
	n := d.count(17)
	if n == 0 {
		return
	}
	b.Failures = make([]Failure, n)
	for i := range b.Failures {
		f := &b.Failures[i]
		f.Stage = d.str()
		f.Reason = Reason(d.str())
		f.Error = d.str()
		f.Data = d.str()
		f.Truncated = d.bool()
		f.Size = d.i64()
		f.SHA256 = d.str()
		f.Format = d.str()
		f.Header = d.str()
		d.position(&f.Position)
		f.SourceTime = Time(d.i64())
		f.DataCenter = d.str()
		f.Tenant = d.str()
		f.Version = d.str()
	}
}

func (e *encoder) value(v *Value) {
	e.b = append(e.b, byte(v.Kind))
	switch v.Kind {
	case 0:
	case KindInt, KindTime, KindBool:
		e.i64(v.Int)
	case KindFloat:
		e.f64(v.Float)
	default:
		e.str(v.Str)
	}
}

func (d *decoder) value() (v Value) {
	k := d.take(1)
	if k == "" {
		return v
	}
	switch v.Kind = Kind(k[0]); v.Kind {
	case 0:
	case KindInt, KindTime, KindBool:
		v.Int = d.i64()
	case KindFloat:
		v.Float = d.f64()
	case KindString, KindIP, KindID, KindObject:
		v.Str = d.str()
	default:
		d.fail()
	}
	return v
}

func (e *encoder) strs(s []string) {
	e.u64(uint64(len(s)))
	for _, v := range s {
		e.str(v)
	}
}

func (d *decoder) strs() []string {
	n := d.count(1)
	if n == 0 {
		return nil
	}
	s := make([]string, n)
	for i := range s {
		s[i] = d.str()
	}
	return s
}

func (e *encoder) values(vs []Value) {
	e.u64(uint64(len(vs)))
	for i := range vs {
		e.value(&vs[i])
	}
}

func (d *decoder) values() []Value {
	n := d.count(1)
	if n == 0 {
		return nil
	}
	vs := make([]Value, n)
	for i := range vs {
		vs[i] = d.value()
	}
	return vs
}

func (e *encoder) rollups(b *RollupBatch) {
	e.str(b.Level)
	e.strs(b.Fields)
	e.strs(b.Measures)
	e.u64(uint64(len(b.Rows)))
	for i := range b.Rows {
		r := &b.Rows[i]
		e.i64(int64(r.Window))
		e.i64(int64(r.Length))
		e.i64(r.Records)
		e.i64(r.Revision)
		e.values(r.Group)
		e.values(r.Measures)
	}
}

func (d *decoder) rollups(b *RollupBatch) {
	b.Level = d.str()
	b.Fields = d.strs()
	b.Measures = d.strs()
	n := d.count(6)
	if n == 0 {
		return
	}
	b.Rows = make([]Rollup, n)
	for i := range b.Rows {
		r := &b.Rows[i]
		r.Window = Time(d.i64())
		r.Length = time.Duration(d.i64())
		r.Records = d.i64()
		r.Revision = d.i64()
		r.Group = d.values()
		r.Measures = d.values()
		if len(r.Group) != len(b.Fields) || len(r.Measures) != len(b.Measures) {
			d.fail()
		}
	}
}
