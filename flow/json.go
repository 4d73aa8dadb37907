package flow

import (
	"encoding/base64"
	"math"
	"strconv"
	"time"
)

// AppendRecordJSON appends r as one JSON object, its present columns by name, without a
// newline: the NDJSON form.
func AppendRecordJSON(b []byte, r *Record) []byte { return AppendRow(b, &Records, r) }

// AppendRow appends one row of any table as a JSON object. Absent columns are left out.
// Times are RFC 3339 in UTC, objects are nested. An infinite or NaN number, which JSON
// has not, is left out too.
func AppendRow[T any](b []byte, t *Table[T], row *T) []byte {
	b = append(b, '{')
	first := len(b)
	for i := range t.Columns {
		c := &t.Columns[i]
		mark := len(b)
		if mark > first {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, c.Name...)
		b = append(b, '"', ':')
		value := len(b)
		if c.Derive != nil {
			b = appendValueJSON(b, c.Derive(row))
		} else {
			switch p := c.Ref(row).(type) {
			case *string:
				if *p != "" {
					b = AppendJSON(b, *p)
				}
			case *Int:
				if p.OK {
					b = strconv.AppendInt(b, p.V, 10)
				}
			case *int64:
				b = strconv.AppendInt(b, *p, 10)
			case *Float:
				if p.OK {
					b = appendFloat(b, p.V)
				}
			case *bool:
				b = strconv.AppendBool(b, *p)
			case *Time:
				if *p != 0 {
					b = appendTime(b, *p)
				}
			case *IP:
				if p.Len != 0 {
					b = append(b, '"')
					b = p.Append(b)
					b = append(b, '"')
				}
			case *ID:
				if !p.IsZero() {
					b = append(b, '"')
					b = AppendID(b, *p)
					b = append(b, '"')
				}
			case *[]byte:
				if len(*p) > 0 {
					b = append(b, '"')
					b = base64.StdEncoding.AppendEncode(b, *p)
					b = append(b, '"')
				}
			case *[]Label:
				if len(*p) > 0 {
					b = AppendLabels(b, *p)
				}
			case *[]Extension:
				if len(*p) > 0 {
					b = AppendExtensions(b, *p)
				}
			}
		}
		if len(b) == value {
			b = b[:mark]
		}
	}
	return append(b, '}')
}

func appendValueJSON(b []byte, v Value) []byte {
	switch v.Kind {
	case 0:
		return b
	case KindInt:
		return strconv.AppendInt(b, v.Int, 10)
	case KindFloat:
		return appendFloat(b, v.Float)
	case KindBool:
		return strconv.AppendBool(b, v.Int != 0)
	case KindTime:
		return appendTime(b, Time(v.Int))
	case KindObject:
		return append(b, v.Str...)
	case KindBytes:
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, []byte(v.Str))
		return append(b, '"')
	}
	return AppendJSON(b, v.Str)
}

func appendFloat(b []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return b
	}
	return strconv.AppendFloat(b, f, 'g', -1, 64)
}

// AppendID appends the hexadecimal form of id.
func AppendID(b []byte, id ID) []byte {
	const hex = "0123456789abcdef"
	for _, c := range id {
		b = append(b, hex[c>>4], hex[c&15])
	}
	return b
}

func appendTime(b []byte, t Time) []byte {
	b = append(b, '"')
	b = AppendTime(b, t)
	return append(b, '"')
}

// AppendTime appends t in RFC 3339, UTC, with as many digits of the second as it needs.
func AppendTime(b []byte, t Time) []byte {
	return t.Std().AppendFormat(b, time.RFC3339Nano)
}
