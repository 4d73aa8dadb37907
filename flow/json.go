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
	p, ptr := t.plan(), rowOf(row)
	var present bitset
	p.present(ptr, &present)
	b = append(b, '{')
	first := len(b)
	for w := range present {
		for m := present[w]; m != 0; {
			i := next(&m, w)
			mark := len(b)
			if mark > first {
				b = append(b, p.prefix[i]...)
			} else {
				b = append(b, p.prefix[i][1:]...) // without the comma
			}
			value := len(b)
			switch s := p.slots[i]; s.kind {
			case slotDerived:
				b = appendValueJSON(b, t.Columns[i].Derive(row))
			case slotString:
				b = AppendJSON(b, *field[string](ptr, s))
			case slotInt:
				b = strconv.AppendInt(b, field[Int](ptr, s).V, 10)
			case slotInt64:
				b = strconv.AppendInt(b, *field[int64](ptr, s), 10)
			case slotFloat:
				b = appendFloat(b, field[Float](ptr, s).V)
			case slotBool:
				b = strconv.AppendBool(b, *field[bool](ptr, s))
			case slotTime:
				b = appendTime(b, *field[Time](ptr, s))
			case slotIP:
				b = append(b, '"')
				b = field[IP](ptr, s).Append(b)
				b = append(b, '"')
			case slotID:
				b = append(b, '"')
				b = AppendID(b, *field[ID](ptr, s))
				b = append(b, '"')
			case slotBytes:
				b = append(b, '"')
				b = base64.StdEncoding.AppendEncode(b, *field[[]byte](ptr, s))
				b = append(b, '"')
			case slotLabels:
				b = AppendLabels(b, *field[[]Label](ptr, s))
			case slotExtensions:
				b = AppendExtensions(b, *field[[]Extension](ptr, s))
			}
			if len(b) == value { // NaN, or a derived value that is absent
				b = b[:mark]
			}
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
	const day = 24 * time.Hour
	midnight := t.Truncate(day)
	b = appendDate(b, int(midnight/Time(day)))
	ns := uint64(t - midnight)
	sec := ns / 1e9
	b = append(b, 'T')
	b = append2(b, sec/3600)
	b = append(b, ':')
	b = append2(b, sec/60%60)
	b = append(b, ':')
	b = append2(b, sec%60)
	if ns %= 1e9; ns != 0 {
		b = append(b, '.')
		for scale := uint64(1e8); ns != 0; scale /= 10 {
			b = append(b, byte('0'+ns/scale))
			ns %= scale
		}
	}
	return append(b, 'Z')
}

func append2(b []byte, v uint64) []byte { return append(b, byte('0'+v/10), byte('0'+v%10)) }

// appendDate appends the date that lies so many days after 1970-01-01, by the proleptic
// Gregorian calendar, counted in years that begin in March: the leap day is their last.
// A Time holds the years 1677 to 2262, so every number here is positive.
func appendDate(b []byte, days int) []byte {
	const daysTo1970 = 719468 // from 1 March of year 0
	const century4 = 146097   // days of 400 years
	d := days + daysTo1970
	era, d := d/century4, d%century4
	year := (d - d/1460 + d/36524 - d/146096) / 365
	d -= 365*year + year/4 - year/100
	month := (5*d + 2) / 153 // 0 is March
	d -= (153*month + 2) / 5
	year += 400 * era
	if month += 3; month > 12 {
		month -= 12
		year++
	}
	b = append2(append2(b, uint64(year/100)), uint64(year%100))
	b = append(b, '-')
	b = append2(b, uint64(month))
	b = append(b, '-')
	return append2(b, uint64(d+1))
}
