package rollup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/flowbeam/flowbeam/flow"
)

// A group's key is its fields one after the other in an encoding whose bytes sort as the
// values do, absent first. Each field is a tag and what it needs:
//
//	absent   0x01
//	text     0x02, the bytes with 0x00 as 0x00 0xff, 0x00
//	integer  0x14+n, n bytes for n ≥ 0; 0x14-n, n bytes inverted for less than nought
//	float    0x20, 8 bytes
const (
	tagAbsent = 0x01
	tagText   = 0x02
	tagZero   = 0x14
	tagFloat  = 0x20
)

// field is one group field, bound to its column.
type field struct {
	name   string
	kind   flow.Kind
	append func([]byte, *flow.Record) []byte
}

// newField binds a column. The type of its field is looked up once, here.
func newField(c *flow.Column[flow.Record]) (field, error) {
	f := field{name: c.Name, kind: c.Kind}
	if c.Derive != nil {
		if c.Kind == flow.KindObject || c.Kind == flow.KindBytes {
			return f, fmt.Errorf("%v columns can't be grouped by", c.Kind)
		}
		f.append = func(b []byte, r *flow.Record) []byte { return appendValue(b, c.Derive(r)) }
		return f, nil
	}
	var zero flow.Record
	ref := c.Ref
	switch c.Ref(&zero).(type) {
	case *string:
		f.append = func(b []byte, r *flow.Record) []byte { return appendText(b, *ref(r).(*string)) }
	case *flow.Int:
		f.append = func(b []byte, r *flow.Record) []byte {
			v := ref(r).(*flow.Int)
			if !v.OK {
				return append(b, tagAbsent)
			}
			return appendInt(b, v.V)
		}
	case *int64:
		f.append = func(b []byte, r *flow.Record) []byte { return appendInt(b, *ref(r).(*int64)) }
	case *flow.Time:
		f.append = func(b []byte, r *flow.Record) []byte {
			t := *ref(r).(*flow.Time)
			if t == 0 {
				return append(b, tagAbsent)
			}
			return appendInt(b, int64(t))
		}
	case *flow.IP:
		f.append = func(b []byte, r *flow.Record) []byte {
			ip := ref(r).(*flow.IP)
			if ip.Len == 0 {
				return append(b, tagAbsent)
			}
			return append(appendEscaped(append(b, tagText), ip.B[:ip.Len]), 0)
		}
	case *flow.Float, *bool, *flow.ID:
		f.append = func(b []byte, r *flow.Record) []byte { return appendValue(b, c.Get(r)) }
	default:
		return f, fmt.Errorf("%v columns can't be grouped by", c.Kind)
	}
	return f, nil
}

func appendText(b []byte, s string) []byte {
	if s == "" {
		return append(b, tagAbsent)
	}
	b = append(b, tagText)
	if strings.IndexByte(s, 0) < 0 {
		b = append(b, s...)
	} else {
		b = appendEscaped(b, []byte(s))
	}
	return append(b, 0)
}

func appendEscaped(b, s []byte) []byte {
	for _, c := range s {
		b = append(b, c)
		if c == 0 {
			b = append(b, 0xff)
		}
	}
	return b
}

func appendInt(b []byte, v int64) []byte {
	u, flip := uint64(v), byte(0)
	if v < 0 {
		u, flip = ^uint64(v), 0xff // -1 is 0: one less in size, the same order
	}
	n := 0
	for x := u; x != 0; x >>= 8 {
		n++
	}
	if v < 0 {
		n++ // so that -1 differs from 0
		b = append(b, byte(tagZero-n))
	} else {
		b = append(b, byte(tagZero+n))
	}
	for i := n - 1; i >= 0; i-- {
		b = append(b, byte(u>>(8*i))^flip)
	}
	return b
}

func appendFloat(b []byte, f float64) []byte {
	if math.IsNaN(f) {
		return append(b, tagAbsent)
	}
	u := math.Float64bits(f + 0) // -0 is 0
	if u>>63 != 0 {
		u = ^u
	} else {
		u |= 1 << 63
	}
	return binary.BigEndian.AppendUint64(append(b, tagFloat), u)
}

func appendValue(b []byte, v flow.Value) []byte {
	switch v.Kind {
	case 0:
		return append(b, tagAbsent)
	case flow.KindInt, flow.KindTime, flow.KindBool:
		return appendInt(b, v.Int)
	case flow.KindFloat:
		return appendFloat(b, v.Float)
	}
	return appendText(b, v.Str)
}

var errKey = errors.New("rollup: not a group key")

// decodeKey reads the values of a group key into vs, one for each field.
func decodeKey(key string, fields []field, vs []flow.Value) error {
	for i := range fields {
		if key == "" {
			return errKey
		}
		tag := key[0]
		key = key[1:]
		switch {
		case tag == tagAbsent:
			vs[i] = flow.Value{}
		case tag == tagText:
			s, rest, ok := cutText(key)
			if !ok {
				return errKey
			}
			if fields[i].kind == flow.KindIP && (len(s) == 4 || len(s) == 16) {
				ip := flow.IP{Len: uint8(len(s))}
				copy(ip.B[:], s)
				s = ip.String()
			}
			vs[i], key = flow.Value{Kind: fields[i].kind, Str: s}, rest
		case tag == tagFloat:
			if len(key) < 8 {
				return errKey
			}
			u := binary.BigEndian.Uint64([]byte(key[:8]))
			if u>>63 != 0 {
				u &^= 1 << 63
			} else {
				u = ^u
			}
			vs[i], key = flow.FloatValue(math.Float64frombits(u)), key[8:]
		default:
			n, flip := int(tag)-tagZero, uint64(0)
			if n < 0 {
				n, flip = -n, math.MaxUint64
			}
			if n > 9 || n > len(key) {
				return errKey
			}
			var u uint64
			for _, c := range []byte(key[:n]) {
				u = u<<8 | uint64(c^byte(flip))
			}
			vs[i], key = flow.Value{Kind: fields[i].kind, Int: int64(u ^ flip)}, key[n:]
		}
	}
	if key != "" {
		return errKey
	}
	return nil
}

// cutText cuts an escaped text at its end.
func cutText(s string) (text, rest string, ok bool) {
	end := strings.IndexByte(s, 0)
	if end < 0 {
		return "", "", false
	}
	if end+1 == len(s) || s[end+1] != 0xff {
		return s[:end], s[end+1:], true
	}
	var b []byte
	for i := 0; i < len(s); i++ {
		if s[i] != 0 {
			b = append(b, s[i])
			continue
		}
		if i+1 == len(s) || s[i+1] != 0xff {
			return string(b), s[i+1:], true
		}
		b = append(b, 0)
		i++
	}
	return "", "", false
}
