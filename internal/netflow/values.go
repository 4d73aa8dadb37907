package netflow

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/extension"
)

// fits says whether a value of an element's kind may have n bytes. Numbers may be sent in
// fewer bytes than they have (RFC 7011, section 6.2).
func (k kind) fits(n int) bool {
	switch k {
	case kindUnsigned, kindSigned, kindBool:
		return n >= 1 && n <= 8
	case kindFloat:
		return n == 4 || n == 8
	case kindMAC:
		return n == 6
	case kindIPv4:
		return n == 4
	case kindIPv6:
		return n == 16
	case kindSeconds, kindMilliseconds:
		return n >= 4 && n <= 8
	case kindMicroseconds, kindNanoseconds:
		return n == 8
	}
	return true
}

// number reads 0 to 8 bytes.
func number(b []byte) uint64 {
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(b))
	case 4:
		return uint64(binary.BigEndian.Uint32(b))
	case 8:
		return binary.BigEndian.Uint64(b)
	}
	var v uint64
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v
}

// small sets a number that is at most max.
func small(to *flow.Int, b []byte, max uint64) bool {
	v := number(b)
	if v > max {
		return false
	}
	*to = flow.N(int64(v))
	return true
}

// instant sets a time in units of so many ns since 1970. Zero is absent.
func instant(to *flow.Time, b []byte, unit uint64) bool {
	v := number(b)
	if v > math.MaxInt64/unit {
		return false
	}
	*to = flow.Time(v * unit)
	return true
}

// ntpEpoch is 1970 in NTP's seconds, which begin in 1900.
const ntpEpoch = 2208988800

// ntp sets a time in NTP's form: 32 bits of seconds, 32 of their fraction, rounded to units
// of so many ns. Of microseconds the lowest 11 bits mean nothing (RFC 7011, section 6.1.9).
// Seconds before 1970 are those of the era that begins in 2036.
func ntp(to *flow.Time, b []byte, unit uint64) bool {
	v := number(b)
	if v == 0 {
		return true
	}
	fraction := v & math.MaxUint32
	if unit == 1e3 {
		fraction &^= 1<<11 - 1
	}
	ns := (fraction*1e9>>31 + 1) >> 1
	*to = seconds(uint32(v>>32)-ntpEpoch) + flow.Time((ns+unit/2)/unit*unit)
	return true
}

// before sets a time that is so many microseconds before the export.
func before(to *flow.Time, w *row, b []byte) bool {
	v := number(b)
	if v > math.MaxUint32 {
		return false
	}
	*to = w.h.export - flow.Time(v)*flow.Time(time.Microsecond)
	return true
}

func duration(w *row, b []byte, unit uint64) bool {
	v := number(b)
	if v > math.MaxInt64/unit/2 {
		return false
	}
	w.duration, w.haveDuration = flow.Time(v*unit), true
	return true
}

// text sets a string without the NULs that fill it up, where it is not empty. It is false where
// another is there.
func text(w *row, to *string, b []byte) bool {
	b = extension.Unpadded(b)
	if !extension.Printable(b) {
		return false
	}
	switch {
	case len(b) == 0:
	case *to == "":
		*to = w.x.String(b)
	default:
		return *to == string(b)
	}
	return true
}

// addExtension keeps a value for which the record has no field. It has a length that its
// kind allows.
func addExtension(x *extension.Block, name string, k kind, b []byte) {
	switch k {
	case kindUnsigned:
		x.AddNumber(name, number(b))
	case kindSigned:
		shift := 64 - 8*len(b)
		x.Add(flow.ExtN(name, int64(number(b))<<shift>>shift))
	case kindFloat:
		v := float64(math.Float32frombits(uint32(number(b))))
		if len(b) == 8 {
			v = math.Float64frombits(number(b))
		}
		if math.IsNaN(v) || math.IsInf(v, 0) {
			x.Add(flow.Ext(name, x.Hex(b)))
			return
		}
		x.Add(extension.Float(name, v))
	case kindBool: // 1 true, 2 false, RFC 7011, section 6.1.5
		switch number(b) {
		case 1:
			x.Add(flow.Extension{Name: name, Text: "true", Kind: flow.ExtBool})
		case 2:
			x.Add(flow.Extension{Name: name, Text: "false", Kind: flow.ExtBool})
		default:
			x.AddNumber(name, number(b))
		}
	case kindMAC:
		x.Add(flow.Ext(name, x.MAC(b)))
	case kindIPv4, kindIPv6:
		var ip flow.IP
		address(&ip, b)
		x.Add(flow.Ext(name, x.IP(ip)))
	case kindString:
		if len(extension.Unpadded(b)) > 0 {
			x.AddText(name, b)
		}
	case kindSeconds, kindMilliseconds, kindMicroseconds, kindNanoseconds:
		var t flow.Time
		ok := false
		switch k {
		case kindSeconds:
			ok = instant(&t, b, 1e9)
		case kindMilliseconds:
			ok = instant(&t, b, 1e6)
		case kindMicroseconds:
			ok = ntp(&t, b, 1e3)
		default:
			ok = ntp(&t, b, 1)
		}
		switch {
		case !ok:
			x.AddNumber(name, number(b))
		case t != 0:
			x.Add(flow.Ext(name, t.String()))
		}
	default:
		x.Add(flow.Ext(name, x.Hex(b)))
	}
}
