package flow

import (
	"fmt"
	"strconv"
	"time"
	"unsafe"
)

// Kind is the type of a column in storage.
type Kind int8

// The kinds of a column. Each store maps them in its own way; the schema functions of
// this package are the maps.
const (
	KindString Kind = iota + 1
	KindInt         // 64-bit signed
	KindFloat       // 64-bit
	KindBool
	KindTime   // UTC; microseconds in Parquet, Avro and BigQuery, nanoseconds in JSON and CSV
	KindIP     // text form
	KindID     // 32 hexadecimal digits
	KindObject // a JSON object: labels or extensions
	KindBytes  // base64 in JSON and CSV
)

// String is the kind's name in the field reference.
func (k Kind) String() string {
	return [...]string{"", "string", "int64", "float64", "bool", "timestamp", "ip", "id", "object", "bytes"}[k]
}

// Value is one value of a dynamic column. The zero Value is absent.
type Value struct {
	Kind  Kind // 0 where absent
	Int   int64
	Float float64
	Str   string
}

// The constructors of a present Value.
func StringValue(s string) Value { return Value{Kind: KindString, Str: s} }
func IntValue(v int64) Value     { return Value{Kind: KindInt, Int: v} }
func FloatValue(v float64) Value { return Value{Kind: KindFloat, Float: v} }
func TimeValue(t Time) Value     { return Value{Kind: KindTime, Int: int64(t)} }
func BoolValue(b bool) Value {
	v := Value{Kind: KindBool}
	if b {
		v.Int = 1
	}
	return v
}

// String is the value's text: what CSV and partition paths show. "" where absent.
func (v Value) String() string {
	switch v.Kind {
	case KindInt:
		return strconv.FormatInt(v.Int, 10)
	case KindFloat:
		return strconv.FormatFloat(v.Float, 'g', -1, 64)
	case KindBool:
		return strconv.FormatBool(v.Int != 0)
	case KindTime:
		return Time(v.Int).String()
	}
	return v.Str
}

// Column is one column of a stored table, and for [Records] one field of the record.
type Column[T any] struct {
	// Num numbers the field on the wire. It is never changed and never used again.
	Num int
	// Name is the snake_case name in Parquet, Avro, BigQuery, CSV and NDJSON.
	Name string
	Kind Kind
	// Ref returns a pointer to the field: *string, *Int, *int64, *Float, *bool, *Time,
	// *IP, *ID, *[]byte, *[]Label or *[]Extension, as Kind has it. It is nil for a derived column.
	Ref func(*T) any
	// Derive computes the value of a column that has no field of its own.
	Derive func(*T) Value
	// Required columns are never absent.
	Required bool
	// IPFIX and ECS name the field there; Unit is its unit; Doc says what it is.
	IPFIX, ECS, Unit, Doc string
}

// Table is a named, ordered list of columns. Rows are written by a plan made at the first
// use, so columns are not changed after that: copy the table with a new slice of columns.
type Table[T any] struct {
	Name    string
	Columns []Column[T]

	made unsafe.Pointer // *rowPlan, see plan
}

// Column finds a column by name.
func (t *Table[T]) Column(name string) (*Column[T], bool) {
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return &t.Columns[i], true
		}
	}
	return nil, false
}

// Get reads the column of one row. It allocates for IPs, ids and objects: hot paths
// switch on Ref's type instead.
func (c *Column[T]) Get(row *T) Value {
	if c.Derive != nil {
		return c.Derive(row)
	}
	switch p := c.Ref(row).(type) {
	case *string:
		if *p == "" {
			return Value{}
		}
		return Value{Kind: c.Kind, Str: *p}
	case *Int:
		if !p.OK {
			return Value{}
		}
		return IntValue(p.V)
	case *int64:
		return IntValue(*p)
	case *Float:
		if !p.OK {
			return Value{}
		}
		return FloatValue(p.V)
	case *bool:
		return BoolValue(*p)
	case *Time:
		if *p == 0 {
			return Value{}
		}
		return TimeValue(*p)
	case *IP:
		if !p.OK() {
			return Value{}
		}
		return Value{Kind: KindIP, Str: p.String()}
	case *ID:
		if p.IsZero() {
			return Value{}
		}
		return Value{Kind: KindID, Str: p.String()}
	case *[]byte:
		if len(*p) == 0 {
			return Value{}
		}
		return Value{Kind: KindBytes, Str: string(*p)}
	case *[]Label:
		if len(*p) == 0 {
			return Value{}
		}
		return Value{Kind: KindObject, Str: string(AppendLabels(nil, *p))}
	case *[]Extension:
		if len(*p) == 0 {
			return Value{}
		}
		return Value{Kind: KindObject, Str: string(AppendExtensions(nil, *p))}
	default:
		panic(fmt.Sprintf("flow: column %q has a Ref of unknown type %T", c.Name, p))
	}
}

// Set writes the column of one row, the reverse of Get. An absent value clears the
// field. Derived columns are ignored: they follow from others.
func (c *Column[T]) Set(row *T, v Value) error {
	if c.Ref == nil {
		return nil
	}
	var err error
	bad := func(want Kind) error {
		return fmt.Errorf("column %s: want %v, have %v %q", c.Name, want, v.Kind, v.String())
	}
	switch p := c.Ref(row).(type) {
	case *string:
		*p = v.Str
	case *Int:
		if *p = (Int{}); v.Kind == KindInt {
			*p = N(v.Int)
		} else if v.Kind != 0 {
			return bad(KindInt)
		}
	case *int64:
		if v.Kind != KindInt && v.Kind != 0 {
			return bad(KindInt)
		}
		*p = v.Int
	case *Float:
		switch *p = (Float{}); v.Kind {
		case KindFloat:
			*p = F(v.Float)
		case KindInt:
			*p = F(float64(v.Int))
		case 0:
		default:
			return bad(KindFloat)
		}
	case *bool:
		if v.Kind != KindBool && v.Kind != 0 {
			return bad(KindBool)
		}
		*p = v.Int != 0
	case *Time:
		switch *p = 0; v.Kind {
		case KindTime:
			*p = Time(v.Int)
		case KindString:
			t, perr := time.Parse(time.RFC3339Nano, v.Str)
			*p, err = TimeOf(t), perr
		case 0:
		default:
			return bad(KindTime)
		}
	case *IP:
		if *p = (IP{}); v.Str != "" {
			*p, err = ParseIP(v.Str)
		}
	case *ID:
		if *p = (ID{}); v.Str != "" {
			*p, err = ParseID(v.Str)
		}
	case *[]byte:
		*p = []byte(v.Str)
	case *[]Label:
		*p, err = ParseLabels(v.Str)
	case *[]Extension:
		*p, err = ParseExtensions(v.Str)
	default:
		panic(fmt.Sprintf("flow: column %q has a Ref of unknown type %T", c.Name, p))
	}
	if err != nil {
		return fmt.Errorf("column %s: %w", c.Name, err)
	}
	return nil
}
