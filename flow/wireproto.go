package flow

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ProtoField is a field of the protobuf message that a [ProtoEncoder] writes. The types
// are those that BigQuery reads into its columns: string for KindString, KindIP, KindID
// and KindObject (JSON text), int64 for KindInt, double for KindFloat, bool for KindBool,
// int64 of microseconds since the epoch for KindTime, bytes for KindBytes.
//
// Source: https://cloud.google.com/bigquery/docs/supported-data-types (Storage Write API)
type ProtoField struct {
	Name     string
	Number   int
	Kind     Kind
	Required bool
}

// ExtensionColumn is the column that keeps what has no column of its own.
const ExtensionColumn = "extensions"

// ProtoEncoder writes rows in protobuf's wire format, without reflection and without a
// message in between. Absent columns are left out, so absent differs from zero. It has
// buffers of its own and is used by one goroutine at a time.
type ProtoEncoder[T any] struct {
	table  *Table[T]
	plan   *rowPlan
	tags   []protoTag
	have   bitset // columns that the store has
	ext    int    // index of ExtensionColumn in the store, or -1
	fields []ProtoField
	derive []func(*T) Value // of derived columns

	scratch []byte
}

// protoTag is the key of a field, in one or two bytes.
type protoTag struct {
	b [2]byte
	n uint8
}

// Wire types: https://protobuf.dev/programming-guides/encoding/
const (
	protoVarint  = 0
	protoFixed64 = 1
	protoLen     = 2
)

func protoTagOf(number, wireType int) protoTag {
	t := protoTag{}
	t.n = uint8(binary.PutUvarint(t.b[:], uint64(number)<<3|uint64(wireType)))
	return t
}

func protoWireType(k Kind) int {
	switch k {
	case KindInt, KindBool, KindTime:
		return protoVarint
	case KindFloat:
		return protoFixed64
	}
	return protoLen
}

// NewProtoEncoder makes the encoder of a table's rows. Fields are numbered by the order of
// the columns, from 1, so the numbers hold for one encoder only: a store matches by name.
//
// has says which columns the store has; nil says all. A value of a column that it lacks
// is kept as a member of the column extensions, by the column's name; derived columns
// follow from others and are left out. The error names the columns that can be put
// nowhere: required ones, and all of a table without extensions.
func NewProtoEncoder[T any](t *Table[T], has func(column string) bool) (*ProtoEncoder[T], error) {
	e := &ProtoEncoder[T]{table: t, plan: t.plan(), tags: make([]protoTag, len(t.Columns)), ext: -1, derive: make([]func(*T) Value, len(t.Columns))}
	var lacking []string
	for i := range t.Columns {
		c := &t.Columns[i]
		if has != nil && !has(c.Name) {
			lacking = append(lacking, c.Name)
			continue
		}
		e.have.set(i)
		e.tags[i] = protoTagOf(i+1, protoWireType(c.Kind))
		e.derive[i] = c.Derive
		e.fields = append(e.fields, ProtoField{c.Name, i + 1, c.Kind, c.Required})
		if s := e.plan.slots[i]; c.Name == ExtensionColumn && s.kind == slotExtensions {
			e.ext = i
		}
	}
	lacking = slices.DeleteFunc(lacking, func(name string) bool {
		c, _ := t.Column(name)
		return e.ext >= 0 && !c.Required
	})
	if len(lacking) > 0 {
		return nil, fmt.Errorf("the table %s has no column %s, and their values can be kept nowhere", t.Name, strings.Join(lacking, ", "))
	}
	return e, nil
}

// Fields are the message's fields, in the order of their numbers.
func (e *ProtoEncoder[T]) Fields() []ProtoField { return e.fields }

// NextNumber is the first number that is free for fields of the caller's own.
func (e *ProtoEncoder[T]) NextNumber() int { return len(e.table.Columns) + 1 }

// Append appends one row's message to b. A string that is not UTF-8 has each such byte
// replaced by U+FFFD, as in JSON; times are rounded down to microseconds.
func (e *ProtoEncoder[T]) Append(b []byte, row *T) []byte {
	ptr := rowOf(row)
	var present bitset
	e.plan.present(ptr, &present)
	folds := false
	for w := range present {
		folds = folds || present[w]&^e.have[w] != 0
		for m := present[w] & e.have[w]; m != 0; {
			i := next(&m, w)
			tag := &e.tags[i]
			switch s := e.plan.slots[i]; s.kind {
			case slotDerived:
				if v := e.derive[i](row); v.Kind == KindInt {
					b = appendUvarint(tag.append(b), uint64(v.Int))
				} else if v.Kind != 0 {
					b = e.appendValue(b, tag, v)
				}
			case slotString:
				if v := *field[string](ptr, s); len(v) < 128 && utf8.ValidString(v) {
					b = append(append(tag.append(b), byte(len(v))), v...)
				} else {
					b = e.appendText(tag.append(b), v)
				}
			case slotInt:
				b = appendUvarint(tag.append(b), uint64(field[Int](ptr, s).V))
			case slotInt64:
				b = appendUvarint(tag.append(b), uint64(*field[int64](ptr, s)))
			case slotFloat:
				b = binary.LittleEndian.AppendUint64(tag.append(b), math.Float64bits(field[Float](ptr, s).V))
			case slotBool:
				b = append(tag.append(b), boolByte(*field[bool](ptr, s)))
			case slotTime:
				b = appendUvarint(tag.append(b), uint64(protoMicros(*field[Time](ptr, s))))
			case slotIP:
				b = append(tag.append(b), 0)
				at := len(b)
				if ip := field[IP](ptr, s); ip.Len == 4 {
					b = appendIPv4(b, [4]byte(ip.B[:4]))
				} else {
					b = ip.Append(b)
				}
				b[at-1] = byte(len(b) - at) // at most 45: one byte
			case slotID:
				b = AppendID(append(tag.append(b), 2*uint8(len(ID{}))), *field[ID](ptr, s))
			case slotBytes:
				p := *field[[]byte](ptr, s)
				b = append(binary.AppendUvarint(tag.append(b), uint64(len(p))), p...)
			case slotLabels:
				e.scratch = AppendLabels(e.scratch[:0], *field[[]Label](ptr, s))
				b = append(binary.AppendUvarint(tag.append(b), uint64(len(e.scratch))), e.scratch...)
			case slotExtensions:
				if i == e.ext {
					continue // last, with what the store has no column for
				}
				e.scratch = AppendExtensions(e.scratch[:0], *field[[]Extension](ptr, s))
				b = append(binary.AppendUvarint(tag.append(b), uint64(len(e.scratch))), e.scratch...)
			}
		}
	}
	if e.ext < 0 {
		return b
	}
	exts := *field[[]Extension](ptr, e.plan.slots[e.ext])
	if folds {
		exts = e.fold(row, &present, exts)
	}
	if len(exts) == 0 {
		return b
	}
	e.scratch = AppendExtensions(e.scratch[:0], exts)
	b = binary.AppendUvarint(e.tags[e.ext].append(b), uint64(len(e.scratch)))
	return append(b, e.scratch...)
}

// fold returns the extensions with the values of the columns that the store lacks.
func (e *ProtoEncoder[T]) fold(row *T, present *bitset, exts []Extension) []Extension {
	exts = slices.Clone(exts)
	for w := range present {
		for m := present[w] &^ e.have[w]; m != 0; {
			c := &e.table.Columns[next(&m, w)]
			v := Value{}
			if c.Derive == nil {
				v = c.Get(row)
			}
			x := Extension{Name: c.Name, Text: v.String()}
			switch v.Kind {
			case 0:
				continue
			case KindInt:
				x.Kind = ExtInt
			case KindFloat:
				if x.Kind = ExtFloat; math.IsNaN(v.Float) || math.IsInf(v.Float, 0) {
					x.Kind = ExtString
				}
			case KindBool:
				x.Kind, x.Text = ExtBool, strconv.FormatBool(v.Int != 0)
			}
			for slices.ContainsFunc(exts, func(o Extension) bool { return o.Name == x.Name }) {
				x.Name += "_column" // the source has a field of that name
			}
			exts = append(exts, x)
		}
	}
	return exts
}

func (t *protoTag) append(b []byte) []byte {
	if t.n == 1 {
		return append(b, t.b[0])
	}
	return append(b, t.b[0], t.b[1])
}

func (e *ProtoEncoder[T]) appendText(b []byte, s string) []byte {
	if !utf8.ValidString(s) {
		e.scratch = e.scratch[:0]
		for _, r := range s { // a range gives U+FFFD for each such byte
			e.scratch = utf8.AppendRune(e.scratch, r)
		}
		return append(binary.AppendUvarint(b, uint64(len(e.scratch))), e.scratch...)
	}
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func (e *ProtoEncoder[T]) appendValue(b []byte, tag *protoTag, v Value) []byte {
	switch v.Kind {
	case 0:
		return b
	case KindInt:
		return appendUvarint(tag.append(b), uint64(v.Int))
	case KindFloat:
		return binary.LittleEndian.AppendUint64(tag.append(b), math.Float64bits(v.Float))
	case KindBool:
		return append(tag.append(b), boolByte(v.Int != 0))
	case KindTime:
		return appendUvarint(tag.append(b), uint64(protoMicros(Time(v.Int))))
	case KindBytes:
		return append(binary.AppendUvarint(tag.append(b), uint64(len(v.Str))), v.Str...)
	}
	return e.appendText(tag.append(b), v.Str)
}

// appendUvarint is binary.AppendUvarint without its loop: a time in microseconds has eight
// bytes, and a record has several. Groups of 7 bits are spread to bytes in three steps.
func appendUvarint(b []byte, v uint64) []byte {
	if v < 0x80 {
		return append(b, byte(v))
	}
	if v >= 1<<56 {
		return binary.AppendUvarint(b, v)
	}
	n := (bits.Len64(v) + 6) / 7
	x := v&0x000000000fffffff | v&0x00fffffff0000000<<4
	x = x&0x00003fff00003fff | x&0x0fffc0000fffc000<<2
	x = x&0x007f007f007f007f | x&0x3f803f803f803f80<<1
	x |= 0x8080808080808080 & (1<<(8*(n-1)) - 1) // all but the last go on
	return binary.LittleEndian.AppendUint64(b, x)[:len(b)+n]
}

// octets are the numbers of an IPv4 address as text with a dot behind, and their lengths.
var octets = func() (t [256]struct {
	text [4]byte
	n    uint8
}) {
	for i := range t {
		t[i].n = uint8(copy(t[i].text[:], strconv.Itoa(i)+"."))
	}
	return t
}()

// appendIPv4 appends the text of an address.
func appendIPv4(b []byte, ip [4]byte) []byte {
	for _, v := range ip {
		o := &octets[v]
		b = append(b, o.text[0], o.text[1], o.text[2], o.text[3])
		b = b[:len(b)-4+int(o.n)]
	}
	return b[:len(b)-1]
}

func boolByte(v bool) byte {
	if v {
		return 1
	}
	return 0
}

// protoMicros is a time in microseconds, rounded down, also before 1970.
func protoMicros(t Time) int64 {
	n := int64(t) / 1000
	if int64(t)%1000 < 0 {
		n--
	}
	return n
}
