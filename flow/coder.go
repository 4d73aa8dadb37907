package flow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"reflect"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
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

// registerCoder binds the coder of T into Beam.
func registerCoder[T any](enc func(*encoder, *T), dec func(*decoder, *T)) {
	beam.RegisterType(reflect.TypeFor[T]())
	beam.RegisterCoder(reflect.TypeFor[T](),
		func(v T) []byte {
			e := encoder{b: []byte{wireVersion}}
			enc(&e, &v)
			return e.b
		},
		func(b []byte) (T, error) {
			var v T
			d := decoder{}
			if len(b) == 0 {
				return v, errGarbage
			}
			if b[0] != wireVersion {
				return v, fmt.Errorf("flow: %T of wire version %d, this build reads %d: %w", v, b[0], wireVersion, ErrNewer)
			}
			d.s = string(b[1:]) // one copy; all strings of the batch are parts of it
			dec(&d, &v)
			if d.err == nil && len(d.s) != 0 {
				d.err = errGarbage
			}
			if d.err != nil {
				var zero T
				return zero, d.err
			}
			return v, nil
		})
}

// EncodeBatch is the batch's wire form, for state that holds batches.
func EncodeBatch(b *Batch) []byte {
	e := encoder{b: []byte{wireVersion}}
	e.batch(b)
	return e.b
}

// DecodeBatch reads what EncodeBatch wrote.
func DecodeBatch(b []byte) (Batch, error) {
	var v Batch
	if len(b) == 0 {
		return v, errGarbage
	}
	if b[0] != wireVersion {
		return v, fmt.Errorf("flow: batch of wire version %d, this build reads %d: %w", b[0], wireVersion, ErrNewer)
	}
	d := decoder{s: string(b[1:])}
	d.batch(&v)
	if d.err == nil && len(d.s) != 0 {
		d.err = errGarbage
	}
	return v, d.err
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

// wire is the record's fields in the order of their numbers: wire[i] has Num i+1.
var wire = func() []func(*Record) any {
	w := make([]func(*Record) any, len(recordColumns))
	n := 0
	for _, c := range recordColumns {
		if c.Ref == nil {
			continue
		}
		if c.Num < 1 || c.Num > len(w) || w[c.Num-1] != nil {
			panic(fmt.Sprintf("flow: field %s has number %d, which is taken or leaves a hole", c.Name, c.Num))
		}
		w[c.Num-1] = c.Ref
		n++
	}
	return w[:n:n]
}()

// bitmap of fields, by Num-1.
type bitmap [2]uint64

func (m *bitmap) set(i int) { m[i>>6] |= 1 << (i & 63) }

func init() {
	if len(wire) > 128 {
		panic("flow: more fields than the bitmap has bits: widen it and raise wireVersion")
	}
}

var zeroRecord Record

func (e *encoder) batch(b *Batch) {
	e.i64(int64(b.Watermark))
	e.u64(uint64(len(b.Records)))
	prev := &zeroRecord
	var prevPresent, prevSame bitmap
	if cap(e.b)-len(e.b) < 96*len(b.Records) {
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
	n := d.count(1)
	if n == 0 {
		return
	}
	// A record of one byte is possible (all as before), so the memory for n of them is not
	// yet paid for: grow with what is there.
	b.Records = make([]Record, 0, min(n, 64+len(d.s)/24))
	prev := &zeroRecord
	var present, same bitmap
	for range n {
		b.Records = append(b.Records, Record{})
		r := &b.Records[len(b.Records)-1]
		if len(b.Records) > 1 {
			prev = &b.Records[len(b.Records)-2]
		}
		d.record(r, prev, &present, &same)
		if d.err != nil {
			b.Records = nil
			return
		}
	}
}

func (e *encoder) record1(r *Record) { e.record(r, &zeroRecord, bitmap{}, bitmap{}) }
func (d *decoder) record1(r *Record) {
	var present, same bitmap
	d.record(r, &zeroRecord, &present, &same)
}

// record writes r, given the record before it and that record's bitmaps.
func (e *encoder) record(r, prev *Record, prevPresent, prevSame bitmap) (present, same bitmap) {
	flags := len(e.b)
	e.b = append(e.b, 0)
	for i, ref := range wire {
		switch p := ref(r).(type) {
		case *string:
			if *p != "" {
				present.set(i)
				if *p == *ref(prev).(*string) {
					same.set(i)
				}
			}
		case *Int:
			if p.OK {
				present.set(i)
				if *p == *ref(prev).(*Int) {
					same.set(i)
				}
			}
		case *int64:
			if *p != 0 {
				present.set(i)
				if *p == *ref(prev).(*int64) {
					same.set(i)
				}
			}
		case *Float:
			if p.OK {
				present.set(i)
			}
		case *bool:
			if *p {
				present.set(i)
			}
		case *Time:
			if *p != 0 {
				present.set(i)
				if *p == *ref(prev).(*Time) {
					same.set(i)
				}
			}
		case *IP:
			if p.Len != 0 {
				present.set(i)
				if *p == *ref(prev).(*IP) {
					same.set(i)
				}
			}
		case *ID:
			if !p.IsZero() {
				present.set(i)
			}
		case *[]Label:
			if len(*p) > 0 {
				present.set(i)
			}
		case *[]Extension:
			if len(*p) > 0 {
				present.set(i)
			}
		}
	}
	if present != prevPresent {
		e.b[flags] |= 1
		e.bitmap(present)
	}
	if same != prevSame {
		e.b[flags] |= 2
		e.bitmap(same)
	}
	for w := range present {
		for m := present[w] &^ same[w]; m != 0; m &= m - 1 {
			ref := wire[w<<6|bits.TrailingZeros64(m)]
			switch p := ref(r).(type) {
			case *string:
				e.str(*p)
			case *Int:
				e.i64(p.V - ref(prev).(*Int).V)
			case *int64:
				e.i64(*p - *ref(prev).(*int64))
			case *Float:
				e.f64(p.V)
			case *bool: // present is true
			case *Time:
				e.i64(int64(*p - *ref(prev).(*Time)))
			case *IP:
				e.b = append(e.b, p.Len)
				e.b = append(e.b, p.B[:p.Len]...)
			case *ID:
				e.b = append(e.b, p[:]...)
			case *[]Label:
				e.u64(uint64(len(*p)))
				for j := range *p {
					e.str((*p)[j].Name)
					e.str((*p)[j].Value)
				}
			case *[]Extension:
				e.u64(uint64(len(*p)))
				for j := range *p {
					e.str((*p)[j].Name)
					e.str((*p)[j].Text)
					e.b = append(e.b, byte((*p)[j].Kind))
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
	for w := range present {
		for m := present[w]; m != 0; m &= m - 1 {
			bit := bits.TrailingZeros64(m)
			ref := wire[w<<6|bit]
			if same[w]>>bit&1 != 0 {
				switch p := ref(r).(type) {
				case *string:
					*p = *ref(prev).(*string)
				case *Int:
					*p = *ref(prev).(*Int)
				case *int64:
					*p = *ref(prev).(*int64)
				case *Time:
					*p = *ref(prev).(*Time)
				case *IP:
					*p = *ref(prev).(*IP)
				default:
					d.fail()
					return
				}
				continue
			}
			switch p := ref(r).(type) {
			case *string:
				*p = d.str()
			case *Int:
				*p = N(d.i64() + ref(prev).(*Int).V)
			case *int64:
				*p = d.i64() + *ref(prev).(*int64)
			case *Float:
				*p = F(d.f64())
			case *bool:
				*p = true
			case *Time:
				*p = Time(d.i64()) + *ref(prev).(*Time)
			case *IP:
				l := d.take(1)
				if l != "\x04" && l != "\x10" {
					d.fail()
					return
				}
				p.Len = l[0]
				copy(p.B[:], d.take(int(p.Len)))
			case *ID:
				copy(p[:], d.take(len(p)))
			case *[]Label:
				*p = make([]Label, d.count(2))
				for j := range *p {
					(*p)[j] = Label{d.str(), d.str()}
				}
			case *[]Extension:
				*p = make([]Extension, d.count(3))
				for j := range *p {
					x := Extension{Name: d.str(), Text: d.str()}
					if k := d.take(1); k != "" {
						x.Kind = ExtensionKind(k[0])
					}
					(*p)[j] = x
				}
			}
			if d.err != nil {
				return
			}
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
	for i := len(wire); i < 128; i++ {
		if m[i>>6]>>(i&63)&1 != 0 {
			if d.err == nil {
				d.err = fmt.Errorf("flow: a record has field %d, this build knows %d: %w", i+1, len(wire), ErrNewer)
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
		e.bool(r.Oversize)
		e.i64(r.Size)
		e.str(r.SHA256)
	}
}

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
		r.Oversize = d.bool()
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
		e.values(r.Group)
		e.values(r.Measures)
	}
}

func (d *decoder) rollups(b *RollupBatch) {
	b.Level = d.str()
	b.Fields = d.strs()
	b.Measures = d.strs()
	n := d.count(5)
	if n == 0 {
		return
	}
	b.Rows = make([]Rollup, n)
	for i := range b.Rows {
		r := &b.Rows[i]
		r.Window = Time(d.i64())
		r.Length = time.Duration(d.i64())
		r.Records = d.i64()
		r.Group = d.values()
		r.Measures = d.values()
		if len(r.Group) != len(b.Fields) || len(r.Measures) != len(b.Measures) {
			d.fail()
		}
	}
}
