package dataset

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"reflect"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/hamba/avro/v2"
	"github.com/hamba/avro/v2/ocf"
)

// newAvroRow returns the encoder of one row in Avro's binary form. It is written out here
// because the library's own goes through a map, at 40 allocations a record.
func newAvroRow[T any](t *flow.Table[T]) func([]byte, *T) []byte {
	return func(b []byte, row *T) []byte {
		present := t.Present(row)
		at := 0
		for {
			i := present.Next()
			end := i
			if i < 0 {
				end = len(t.Columns)
			}
			for ; at < end; at++ {
				b = appendAvroAbsent(b, &t.Columns[at])
			}
			if i < 0 {
				return b
			}
			at = i + 1
			c := &t.Columns[i]
			if c.Derive != nil {
				v := c.Derive(row)
				if v.Kind == 0 {
					b = appendAvroAbsent(b, c)
					continue
				}
				if !c.Required {
					b = append(b, 2)
				}
				switch v.Kind {
				case flow.KindInt:
					b = binary.AppendVarint(b, v.Int)
				case flow.KindTime:
					b = binary.AppendVarint(b, micros(flow.Time(v.Int)))
				case flow.KindFloat:
					b = appendAvroFloat(b, v.Float)
				case flow.KindBool:
					b = append(b, byte(v.Int))
				case flow.KindBytes:
					b = append(binary.AppendVarint(b, int64(len(v.Str))), v.Str...)
				default:
					b = appendAvroString(b, v.Str)
				}
				continue
			}
			if !c.Required {
				b = append(b, 2) // the union's second type
			}
			switch p := c.Ref(row).(type) {
			case *string:
				b = appendAvroString(b, *p)
			case *flow.Int:
				b = binary.AppendVarint(b, p.V)
			case *int64:
				b = binary.AppendVarint(b, *p)
			case *flow.Float:
				b = appendAvroFloat(b, p.V)
			case *bool:
				if *p {
					b = append(b, 1)
				} else {
					b = append(b, 0)
				}
			case *flow.Time:
				b = binary.AppendVarint(b, micros(*p))
			case *flow.IP:
				mark := len(b)
				b = append(b, 0)
				b = p.Append(b)
				b[mark] = byte(2 * (len(b) - mark - 1)) // at most 39 characters
			case *flow.ID:
				b = append(b, 64)
				b = flow.AppendID(b, *p)
			case *[]byte:
				b = append(binary.AppendVarint(b, int64(len(*p))), *p...)
			default:
				b = appendAvroString(b, c.Get(row).Str)
			}
		}
	}
}

// appendAvroAbsent appends null, or the zero of a required column.
func appendAvroAbsent[T any](b []byte, c *flow.Column[T]) []byte {
	if c.Required && c.Kind == flow.KindFloat {
		return appendAvroFloat(b, 0)
	}
	return append(b, 0)
}

func appendAvroString(b []byte, s string) []byte {
	s = validText(s)
	return append(binary.AppendVarint(b, int64(len(s))), s...)
}

func appendAvroFloat(b []byte, f float64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(f))
}

type avroFile struct{ enc *ocf.Encoder }

func openAvro(w io.Writer, schema string, c Compression) (rowFrame, error) {
	codec := map[Compression]ocf.CodecName{None: ocf.Null, Gzip: ocf.Deflate, Zstd: ocf.ZStandard, Snappy: ocf.Snappy}[c]
	enc, err := ocf.NewEncoder(schema, w, ocf.WithCodec(codec), ocf.WithBlockSize(64<<10), ocf.WithBlockLength(1<<20))
	if err != nil {
		return nil, err
	}
	return &avroFile{enc}, nil
}

func (a *avroFile) row(b []byte) error {
	_, err := a.enc.Write(b)
	return err
}

func (a *avroFile) close() error { return a.enc.Close() }

// avroAPI reads strings of any length: a raw record may be longer than a mebibyte.
var avroAPI = avro.Config{MaxByteSliceSize: -1}.Freeze()

// readAvro reads into a struct that has a field for each column asked for, and is made for
// it: the library skips the file's other fields, and a map would cost 190 allocations a
// record.
func readAvro(file File, cols []column, f func([]flow.Value) error) error {
	dec, err := ocf.NewDecoder(file, ocf.WithDecoderConfig(avroAPI))
	if err != nil {
		return err
	}
	schema, ok := dec.Schema().(*avro.RecordSchema)
	if !ok {
		return fmt.Errorf("the schema is no record but %s", dec.Schema().Type())
	}
	nullable := map[string]bool{}
	for _, field := range schema.Fields() {
		nullable[field.Name()] = field.Type().Type() == avro.Union
	}
	fields := make([]reflect.StructField, 0, len(cols))
	index := make([]int, len(cols)) // of a column's field, or -1
	for i, c := range cols {
		index[i] = -1
		null, ok := nullable[c.name]
		if !ok {
			continue
		}
		typ := reflect.TypeFor[string]()
		switch c.kind {
		case flow.KindInt, flow.KindTime:
			typ = reflect.TypeFor[int64]()
		case flow.KindFloat:
			typ = reflect.TypeFor[float64]()
		case flow.KindBool:
			typ = reflect.TypeFor[bool]()
		case flow.KindBytes:
			typ = reflect.TypeFor[[]byte]()
		}
		if null {
			typ = reflect.PointerTo(typ)
		}
		index[i] = len(fields)
		fields = append(fields, reflect.StructField{
			Name: fmt.Sprintf("C%d", i), Type: typ, Tag: reflect.StructTag(fmt.Sprintf("avro:%q", c.name)),
		})
	}
	row := reflect.New(reflect.StructOf(fields))
	into := row.Interface()
	vals := make([]flow.Value, len(cols))
	for n := 1; dec.HasNext(); n++ {
		row.Elem().SetZero()
		if err := dec.Decode(into); err != nil {
			return fmt.Errorf("record %d: %w", n, err)
		}
		clear(vals)
		for i, c := range cols {
			if index[i] < 0 {
				continue
			}
			v := row.Elem().Field(index[i])
			if v.Kind() == reflect.Pointer {
				if v.IsNil() {
					continue
				}
				v = v.Elem()
			}
			vals[i] = avroValue(v, c.kind)
		}
		if err := f(vals); err != nil {
			return err
		}
	}
	return dec.Error()
}

func avroValue(v reflect.Value, kind flow.Kind) flow.Value {
	switch kind {
	case flow.KindInt:
		return flow.IntValue(v.Int())
	case flow.KindTime:
		return microsValue(v.Int())
	case flow.KindFloat:
		return flow.FloatValue(v.Float())
	case flow.KindBool:
		return flow.BoolValue(v.Bool())
	case flow.KindBytes:
		if b := v.Bytes(); len(b) > 0 {
			return flow.Value{Kind: kind, Str: string(b)}
		}
		return flow.Value{}
	}
	if s := v.String(); s != "" {
		return flow.Value{Kind: kind, Str: s}
	}
	return flow.Value{}
}
