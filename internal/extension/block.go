// Package extension makes the extensions of records without an allocation for each.
package extension

import (
	"encoding/binary"
	"math"
	"strconv"
	"unicode/utf8"
	"unsafe"

	"github.com/flowbeam/flowbeam/flow"
)

const textBlock = 16 << 10 // bytes

// Block hands out the extensions of one record after the other, and the strings in them,
// as parts of a few larger allocations. What it gave is never written again. Values that
// come again, as interfaces, next hops and MAC addresses do, have the text that was made
// for them before. The zero Block is ready; one goroutine at a time uses it.
type Block struct {
	List

	text []byte

	numbers [cached]entry[uint64]
	macs    [cached]entry[uint64]
	v4      [cached]entry[uint32]
	v6      [cached]entry[flow.IP]
	hexes   [cached]entry[[2]uint64] // of 8 to 16 bytes: the first and the last eight
}

// cached is how many texts of a kind are remembered, a power of two. A value has one place:
// the one that comes later has it.
const cached = 256

const digits = "0123456789abcdef"

type entry[K comparable] struct {
	key  K
	text string // "" = the place is empty
}

// place is where a value is remembered.
func place(v uint64) uint64 { return v * 0x9e3779b97f4a7c15 >> 56 }

// room makes place for n bytes of text and returns where it begins.
func (b *Block) room(n int) int {
	if cap(b.text)-len(b.text) < n {
		b.text = make([]byte, 0, max(textBlock, n))
	}
	return len(b.text)
}

// since is the text from where room said.
func (b *Block) since(start int) string {
	if start == len(b.text) {
		return ""
	}
	return unsafe.String(&b.text[start], len(b.text)-start)
}

// String copies p.
func (b *Block) String(p []byte) string {
	start := b.room(len(p))
	b.text = append(b.text, p...)
	return b.since(start)
}

// Hex is p in lower-case hexadecimal.
func (b *Block) Hex(p []byte) string {
	n := len(p)
	if n < 8 || n > 16 {
		return b.hex(p)
	}
	key := [2]uint64{binary.LittleEndian.Uint64(p), binary.LittleEndian.Uint64(p[n-8:])}
	e := &b.hexes[place(key[0]^key[1]+uint64(n))]
	if e.key != key || len(e.text) != 2*n {
		e.key, e.text = key, b.hex(p)
	}
	return e.text
}

func (b *Block) hex(p []byte) string {
	start := b.room(2 * len(p))
	b.text = b.text[:start+2*len(p)]
	to := b.text[start:]
	for _, c := range p {
		to[0], to[1] = digits[c>>4], digits[c&15]
		to = to[2:]
	}
	return b.since(start)
}

// Number is v in decimal.
func (b *Block) Number(v uint64) string {
	if v < uint64(len(numbers)) {
		return numbers[v]
	}
	e := &b.numbers[place(v)]
	if e.key != v {
		start := b.room(20)
		b.text = strconv.AppendUint(b.text, v, 10)
		e.key, e.text = v, b.since(start)
	}
	return e.text
}

// numbers are those that most values are.
var numbers = func() (n [256]string) {
	for i := range n {
		n[i] = strconv.Itoa(i)
	}
	return n
}()

// MAC is the text of a 48-bit address, aa:bb:cc:dd:ee:ff. p has six bytes.
func (b *Block) MAC(p []byte) string {
	v := uint64(binary.BigEndian.Uint16(p))<<32 | uint64(binary.BigEndian.Uint32(p[2:6]))
	e := &b.macs[place(v)]
	if e.key != v || e.text == "" {
		start := b.room(17)
		for i, c := range p[:6] {
			if i > 0 {
				b.text = append(b.text, ':')
			}
			b.text = append(b.text, digits[c>>4], digits[c&15])
		}
		e.key, e.text = v, b.since(start)
	}
	return e.text
}

// IP is the text of a present address.
func (b *Block) IP(ip flow.IP) string {
	if ip.Len == 4 {
		return b.IPv4(ip.B[:4])
	}
	le := binary.LittleEndian
	e := &b.v6[place(le.Uint64(ip.B[:8])^le.Uint64(ip.B[8:]))]
	if e.key != ip {
		e.key, e.text = ip, b.address(ip)
	}
	return e.text
}

// IPv4 is the text of an address of four bytes.
func (b *Block) IPv4(p []byte) string {
	v := binary.LittleEndian.Uint32(p)
	e := &b.v4[place(uint64(v))]
	if e.key != v || e.text == "" {
		ip := flow.IP{Len: 4}
		copy(ip.B[:4], p)
		e.key, e.text = v, b.address(ip)
	}
	return e.text
}

func (b *Block) address(ip flow.IP) string {
	start := b.room(48)
	b.text = ip.Append(b.text)
	return b.since(start)
}

// AddNumber adds an unsigned number. One beyond 63 bits, which flow's integers can't hold,
// is added as a string of digits.
func (b *Block) AddNumber(name string, v uint64) {
	e := b.next()
	e.Name, e.Text, e.Kind = name, b.Number(v), flow.ExtInt
	if v > math.MaxInt64 {
		e.Kind = flow.ExtString
	}
}

// AddText adds a string as it is where it is UTF-8 without NUL, which some stores refuse,
// and else in hexadecimal. NULs at its end are padding.
func (b *Block) AddText(name string, p []byte) {
	p = Unpadded(p)
	if !Printable(p) {
		b.Add(flow.Ext(name, b.Hex(p)))
		return
	}
	b.Add(flow.Ext(name, b.String(p)))
}

// Printable says whether p is UTF-8 without NUL.
func Printable(p []byte) bool {
	for _, c := range p {
		if c == 0 {
			return false
		}
	}
	return utf8.Valid(p)
}

// Unpadded is p without the NULs at its end.
func Unpadded(p []byte) []byte {
	for len(p) >= 8 && binary.LittleEndian.Uint64(p[len(p)-8:]) == 0 {
		p = p[:len(p)-8]
	}
	for len(p) > 0 && p[len(p)-1] == 0 {
		p = p[:len(p)-1]
	}
	return p
}

// Float is an extension of a finite number.
func Float(name string, v float64) flow.Extension {
	return flow.Extension{Name: name, Text: strconv.FormatFloat(v, 'g', -1, 64), Kind: flow.ExtFloat}
}
