package flow

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"time"
)

// Int is an integer that may be absent. Zero and absent differ: many formats lack a
// counter, and a missing counter is not a counter of nought.
type Int struct {
	V  int64
	OK bool
}

// N returns a present Int.
func N(v int64) Int { return Int{V: v, OK: true} }

// Or returns the value, or def where it is absent.
func (i Int) Or(def int64) int64 {
	if i.OK {
		return i.V
	}
	return def
}

// Float is a floating-point number that may be absent.
type Float struct {
	V  float64
	OK bool
}

// F returns a present Float.
func F(v float64) Float { return Float{V: v, OK: true} }

// Time is an instant in nanoseconds since the Unix epoch, UTC. Zero means absent: the
// epoch itself lies outside of every bound on event time that flowbeam accepts.
type Time int64

// TimeOf converts a time.Time; the zero time.Time gives an absent Time.
func TimeOf(t time.Time) Time {
	if t.IsZero() {
		return 0
	}
	return Time(t.UnixNano())
}

// Std returns the time.Time in UTC, or the zero time.Time where t is absent.
func (t Time) Std() time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(t)).UTC()
}

// Truncate rounds t down to a multiple of d since the Unix epoch, also before 1970.
func (t Time) Truncate(d time.Duration) Time {
	n := int64(t) % int64(d)
	if n < 0 {
		n += int64(d)
	}
	return t - Time(n)
}

// Add returns t+d. It does not guard against absence.
func (t Time) Add(d time.Duration) Time { return t + Time(d) }

// String prints RFC 3339 with nanoseconds, or "" where t is absent.
func (t Time) String() string {
	if t == 0 {
		return ""
	}
	return t.Std().Format(time.RFC3339Nano)
}

// IP is an IPv4 or IPv6 address with exported fields only, so that no coder can lose it
// in silence. The zero IP is absent; 0.0.0.0 and :: are present. An IPv4 address mapped
// into IPv6 is kept as the IPv4 address.
type IP struct {
	B   [16]byte // the first Len bytes, in network order
	Len uint8    // 0 (absent), 4 or 16
}

// IPOf converts a netip.Addr, unmapping IPv4 in IPv6 and dropping a zone.
func IPOf(a netip.Addr) IP {
	switch a = a.Unmap(); {
	case a.Is4():
		b := a.As4()
		var ip IP
		copy(ip.B[:], b[:])
		ip.Len = 4
		return ip
	case a.Is6():
		return IP{B: a.As16(), Len: 16}
	}
	return IP{}
}

// ParseIP reads the text form of an address.
func ParseIP(s string) (IP, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return IP{}, err
	}
	if a.Zone() != "" {
		return IP{}, fmt.Errorf("address %q has a zone", s)
	}
	return IPOf(a), nil
}

// MustIP is ParseIP for constants in tests and examples; it panics on a bad address.
func MustIP(s string) IP {
	ip, err := ParseIP(s)
	if err != nil {
		panic("flow.MustIP: " + err.Error())
	}
	return ip
}

// Addr returns the netip.Addr, invalid where ip is absent.
func (ip IP) Addr() netip.Addr {
	switch ip.Len {
	case 4:
		return netip.AddrFrom4([4]byte(ip.B[:4]))
	case 16:
		return netip.AddrFrom16(ip.B)
	}
	return netip.Addr{}
}

// OK says whether the address is present.
func (ip IP) OK() bool { return ip.Len != 0 }

// Version is 4 or 6, or absent.
func (ip IP) Version() Int {
	switch ip.Len {
	case 4:
		return N(4)
	case 16:
		return N(6)
	}
	return Int{}
}

// Append appends the text form of ip to b.
func (ip IP) Append(b []byte) []byte {
	if ip.Len == 4 { // the common case, without netip's detour
		for i, v := range ip.B[:4] {
			if i > 0 {
				b = append(b, '.')
			}
			b = strconv.AppendUint(b, uint64(v), 10)
		}
		return b
	}
	if ip.Len == 0 {
		return b
	}
	return ip.Addr().AppendTo(b)
}

// String is the text form, "" where ip is absent.
func (ip IP) String() string { return string(ip.Append(nil)) }

// ID is the 128-bit identity of a record: see [NewID].
type ID [16]byte

// IsZero says whether the id is absent.
func (id ID) IsZero() bool { return id == ID{} }

// String is the id in 32 lower-case hexadecimal digits, the form that every store keeps.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// ParseID reads the form that String writes.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 2*len(id) {
		return ID{}, fmt.Errorf("record id %q: want %d hexadecimal digits", s, 2*len(id))
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return ID{}, fmt.Errorf("record id %q: %w", s, err)
	}
	return id, nil
}

// Label is one name and value that enrichment attached to an endpoint.
type Label struct {
	Name, Value string
}

// ExtensionKind says how an extension's text is to be read.
type ExtensionKind int8

// The kinds of an extension.
const (
	ExtString ExtensionKind = iota
	ExtInt
	ExtFloat
	ExtBool
)

// Extension keeps a source field for which the record has none, so that nothing of the
// source is lost. Text is the canonical text: a decimal number for ExtInt and ExtFloat,
// true or false for ExtBool.
type Extension struct {
	Name string
	Text string
	Kind ExtensionKind
}

// Ext returns a string extension.
func Ext(name, text string) Extension { return Extension{Name: name, Text: text} }

// ExtN returns an integer extension.
func ExtN(name string, v int64) Extension {
	return Extension{Name: name, Text: strconv.FormatInt(v, 10), Kind: ExtInt}
}
