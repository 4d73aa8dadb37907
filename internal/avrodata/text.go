package avrodata

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/flowbeam/flowbeam/flow"
)

// Text is what the text of a value is.
type Text uint8

// The kinds of text.
const (
	TextNull    Text = iota // nothing
	TextString              // a string
	TextInteger             // a decimal integer
	TextNumber              // a decimal number
	TextBoolean             // true or false
	TextJSON                // an array or object as JSON
)

// AppendText reads a value of a type and appends it as a user reads it: bytes in hexadecimal,
// times in RFC 3339 (local ones without a zone), decimals as decimal numbers, arrays, maps and records
// as JSON. What a string or JSON has of text is UTF-8.
func (r *Reader) AppendText(b []byte, n *Node) ([]byte, Text) { return r.text(b, n, 0) }

func (r *Reader) text(b []byte, n *Node, depth int) ([]byte, Text) {
	if !r.enter(depth) {
		return b, TextNull
	}
	switch n.Kind {
	case Boolean:
		return strconv.AppendBool(b, r.Boolean()), TextBoolean
	case Int, Long:
		return r.number(b, n)
	case Float:
		return appendFloat(b, float64(r.Float()), 32)
	case Double:
		return appendFloat(b, r.Double(), 64)
	case String:
		s := r.Bytes()
		r.checkUTF8(s)
		return append(b, s...), TextString
	case Bytes:
		return r.raw(b, n, r.Bytes())
	case Fixed:
		return r.raw(b, n, r.Take(n.Size))
	case Enum:
		return append(b, r.Symbol(n)...), TextString
	case Union:
		if branch := r.Branch(n); branch != nil {
			return r.text(b, branch, depth+1)
		}
		return b, TextNull
	case Array:
		b = append(b, '[')
		for count, first := r.block(), true; count > 0; count = r.block() {
			for ; count > 0 && r.err == nil; count-- {
				if !first {
					b = append(b, ',')
				}
				first = false
				b = r.json(b, n.Items, depth+1)
			}
		}
		return append(b, ']'), TextJSON
	case Map:
		b = append(b, '{')
		for count, first := r.block(), true; count > 0; count = r.block() {
			for ; count > 0 && r.err == nil; count-- {
				if !first {
					b = append(b, ',')
				}
				first = false
				key := r.Bytes()
				r.checkUTF8(key)
				b = append(appendJSONString(b, key), ':')
				b = r.json(b, n.Items, depth+1)
			}
		}
		return append(b, '}'), TextJSON
	case Record:
		b = append(b, '{')
		for i := range n.Fields {
			if r.err != nil {
				break
			}
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendJSONString(b, n.Fields[i].Name), ':')
			b = r.json(b, n.Fields[i].Node, depth+1)
		}
		return append(b, '}'), TextJSON
	}
	return b, TextNull
}

// json appends a value inside of another.
func (r *Reader) json(b []byte, n *Node, depth int) []byte {
	start := len(b)
	b, text := r.text(b, n, depth)
	switch text {
	case TextNull:
		return append(b, "null"...)
	case TextString:
		return appendJSONString(b[:start], string(b[start:]))
	}
	return b
}

func (r *Reader) checkUTF8(s string) {
	if r.err == nil && !utf8.ValidString(s) {
		r.err = flow.Reject(flow.ReasonEncoding, "not UTF-8")
	}
}

func (r *Reader) number(b []byte, n *Node) ([]byte, Text) {
	v := r.Integer(n)
	const zone, local = time.RFC3339Nano, "2006-01-02T15:04:05.999999999"
	at := func(t time.Time, layout string) ([]byte, Text) {
		if y := t.UTC().Year(); y < 0 || y > 9999 {
			return strconv.AppendInt(b, v, 10), TextInteger // which no date of four digits says
		}
		return t.UTC().AppendFormat(b, layout), TextString
	}
	switch n.Logical {
	case Date:
		return at(time.Unix(v*86400, 0), time.DateOnly)
	case TimeMillis:
		return time.UnixMilli(v).UTC().AppendFormat(b, "15:04:05.999999999"), TextString
	case TimeMicros:
		return time.UnixMicro(v).UTC().AppendFormat(b, "15:04:05.999999999"), TextString
	case TimestampMillis:
		return at(time.UnixMilli(v), zone)
	case TimestampMicros:
		return at(time.UnixMicro(v), zone)
	case TimestampNanos:
		return at(time.Unix(0, v), zone)
	case LocalTimestampMillis:
		return at(time.UnixMilli(v), local)
	case LocalTimestampMicros:
		return at(time.UnixMicro(v), local)
	case LocalTimestampNanos:
		return at(time.Unix(0, v), local)
	}
	return strconv.AppendInt(b, v, 10), TextInteger
}

// appendFloat appends the shortest number that reads as v. What is no number is a string.
func appendFloat(b []byte, v float64, bits int) ([]byte, Text) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return strconv.AppendFloat(b, v, 'g', -1, bits), TextString
	}
	return strconv.AppendFloat(b, v, 'g', -1, bits), TextNumber
}

// maxDecimal is how many bytes a decimal may have: to print one takes the square of them.
const maxDecimal = 1 << 10

func (r *Reader) raw(b []byte, n *Node, s string) ([]byte, Text) {
	switch n.Logical {
	case Decimal:
		if len(s) > maxDecimal {
			r.fail("a decimal of %d bytes", len(s))
			return b, TextNull
		}
		return appendDecimal(b, s, n.Scale)
	case UUID:
		if len(s) == 16 {
			for i := range 16 {
				if i == 4 || i == 6 || i == 8 || i == 10 {
					b = append(b, '-')
				}
				b = hex.AppendEncode(b, []byte{s[i]})
			}
			return b, TextString
		}
	case Duration:
		if len(s) == 12 {
			part := func(i int) uint64 { return uint64(binary.LittleEndian.Uint32([]byte(s[i : i+4]))) }
			b = strconv.AppendUint(append(b, 'P'), part(0), 10)
			b = strconv.AppendUint(append(b, 'M'), part(4), 10)
			b = strconv.AppendFloat(append(b, "DT"...), float64(part(8))/1000, 'f', -1, 64)
			return append(b, 'S'), TextString
		}
	}
	return hex.AppendEncode(b, []byte(s)), TextString
}

// appendDecimal appends a two's-complement number divided by 10^scale.
func appendDecimal(b []byte, s string, scale int) ([]byte, Text) {
	var v big.Int
	v.SetBytes([]byte(s))
	if s != "" && s[0] >= 0x80 {
		v.Sub(&v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(s))))
	}
	if scale == 0 {
		b = v.Append(b, 10)
		if !v.IsInt64() {
			return b, TextNumber
		}
		return b, TextInteger
	}
	if v.Sign() < 0 {
		b = append(b, '-')
	}
	digits := v.Abs(&v).String()
	if len(digits) <= scale {
		digits = strings.Repeat("0", scale+1-len(digits)) + digits
	}
	b = append(append(b, digits[:len(digits)-scale]...), '.')
	return append(b, digits[len(digits)-scale:]...), TextNumber
}

// appendJSONString appends s, which is UTF-8, as JSON.
func appendJSONString(b []byte, s string) []byte {
	const hexDigits = "0123456789abcdef"
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
