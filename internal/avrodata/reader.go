package avrodata

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/flowbeam/flowbeam/flow"
)

// Reader reads one datum. Strings and bytes that it gives are parts of the datum. After the
// first error, which stays in Err, it reads zeros.
type Reader struct {
	s string
	i int
	// work is how many more values may be read. Types without bytes, such as null, would else let
	// a few bytes stand for any number of them.
	work int
	err  error
}

// The limits of a datum.
const (
	maxDepth = 64 // values inside of values
	freeWork = 1 << 16
)

// NewReader returns a Reader of a datum.
func NewReader(datum string) Reader { return Reader{s: datum, work: freeWork + 16*len(datum)} }

// Err is the first error.
func (r *Reader) Err() error { return r.err }

// Left is how many bytes were not read.
func (r *Reader) Left() int { return len(r.s) - r.i }

// Offset is how many bytes were read.
func (r *Reader) Offset() int { return r.i }

func (r *Reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = flow.Reject(flow.ReasonSyntax, "byte %d: "+format, append([]any{r.i}, args...)...)
	}
	r.s = r.s[:r.i] // nothing is left
}

// Long reads a long.
func (r *Reader) Long() int64 {
	if r.i < len(r.s) {
		if b := r.s[r.i]; b < 0x80 {
			r.i++
			return int64(b>>1) ^ -int64(b&1)
		}
	}
	return r.longer()
}

func (r *Reader) longer() int64 {
	var u uint64
	for n, shift := r.i, 0; ; n, shift = n+1, shift+7 {
		if n >= len(r.s) {
			r.fail("a number is cut off")
			return 0
		}
		b := r.s[n]
		if shift == 63 && b > 1 {
			r.fail("a number has more than 64 bits")
			return 0
		}
		u |= uint64(b&0x7f) << shift
		if b < 0x80 {
			r.i = n + 1
			return int64(u>>1) ^ -int64(u&1)
		}
	}
}

// Int reads an int, which has at most five bytes: a longer form of the same number is none, as for
// Java's reader.
func (r *Reader) Int() int64 {
	at := r.i
	v := r.Long()
	if v != int64(int32(v)) || r.i-at > 5 {
		r.fail("an int has more than 32 bits")
		return 0
	}
	return v
}

// Integer reads an int or a long, as the type says.
func (r *Reader) Integer(n *Node) int64 {
	if n.Kind == Int {
		return r.Int()
	}
	return r.Long()
}

// Take reads n bytes as they are.
func (r *Reader) Take(n int) string {
	if n > len(r.s)-r.i {
		r.fail("%d bytes are wanted and %d are left", n, len(r.s)-r.i)
		return ""
	}
	s := r.s[r.i : r.i+n]
	r.i += n
	return s
}

// Bytes reads bytes or a string with their length. That a string is UTF-8 is for the caller to
// see.
func (r *Reader) Bytes() string {
	n := r.Long()
	if n < 0 || n > int64(len(r.s)-r.i) {
		if r.err == nil {
			r.fail("a length of %d, and %d bytes are left", n, len(r.s)-r.i)
		}
		return ""
	}
	s := r.s[r.i : r.i+int(n)]
	r.i += int(n)
	return s
}

// Float reads a float.
func (r *Reader) Float() float32 {
	b := r.Take(4)
	if b == "" {
		return 0
	}
	return math.Float32frombits(uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24)
}

// Double reads a double.
func (r *Reader) Double() float64 {
	b := r.Take(8)
	if b == "" {
		return 0
	}
	return math.Float64frombits(uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56)
}

// Boolean reads a boolean.
func (r *Reader) Boolean() bool {
	b := r.Take(1)
	if b != "" && b[0] > 1 {
		r.fail("a boolean of %d", b[0])
		return false
	}
	return b == "\x01"
}

// Branch reads which branch of a union follows; nil after an error.
func (r *Reader) Branch(n *Node) *Node {
	i := r.Int()
	if r.err == nil && (i < 0 || i >= int64(len(n.Branches))) {
		r.fail("branch %d of a union of %d", i, len(n.Branches))
	}
	if r.err != nil {
		return nil
	}
	return n.Branches[i]
}

// Symbol reads a value of an enum.
func (r *Reader) Symbol(n *Node) string {
	i := r.Int()
	if r.err == nil && (i < 0 || i >= int64(len(n.Symbols))) {
		r.fail("symbol %d of an enum of %d", i, len(n.Symbols))
	}
	if r.err != nil {
		return ""
	}
	return n.Symbols[i]
}

// block reads the head of a block of an array or map: how many items follow, 0 at the end.
func (r *Reader) block() int64 {
	n := r.Long()
	if n < 0 {
		if n == math.MinInt64 {
			r.fail("a block of %d items", n)
			return 0
		}
		n = -n
		if size := r.Long(); r.err == nil && (size < 0 || size > int64(r.Left())) {
			r.fail("a block of %d bytes, and %d are left", size, r.Left())
		}
	}
	if r.err != nil {
		return 0
	}
	if n > int64(r.work) {
		r.fail("a block of %d items, and %d bytes are left", n, r.Left())
		return 0
	}
	return n
}

// enter counts a value, and says whether it may be read.
func (r *Reader) enter(depth int) bool {
	if r.work--; r.work < 0 {
		r.fail("more values than its bytes can hold")
	}
	if depth > maxDepth {
		r.fail("values are nested deeper than %d", maxDepth)
	}
	return r.err == nil
}

// Skip passes over a value of a type.
func (r *Reader) Skip(n *Node) { r.skip(n, 0) }

func (r *Reader) skip(n *Node, depth int) {
	if !r.enter(depth) {
		return
	}
	switch n.Kind {
	case Null:
	case Boolean:
		r.Boolean()
	case Int, Long:
		r.Integer(n)
	case Float:
		r.Take(4)
	case Double:
		r.Take(8)
	case Bytes, String:
		r.Bytes()
	case Fixed:
		r.Take(n.Size)
	case Enum:
		r.Symbol(n)
	case Union:
		if b := r.Branch(n); b != nil {
			r.skip(b, depth+1)
		}
	case Record:
		for i := range n.Fields {
			if r.err != nil {
				return
			}
			r.skip(n.Fields[i].Node, depth+1)
		}
	case Array, Map:
		for count := r.block(); count > 0; count = r.block() {
			for ; count > 0 && r.err == nil; count-- {
				if n.Kind == Map {
					r.Bytes()
				}
				r.skip(n.Items, depth+1)
			}
		}
	}
}

// The framings of a single datum.
const singleObject = "\xc3\x01"

// AppendSingleObject appends a datum in single-object encoding: a marker, the fingerprint of its
// schema in little-endian order, and its bytes.
//
// Source: https://avro.apache.org/docs/1.12.0/specification/#single-object-encoding
func AppendSingleObject(b []byte, fingerprint uint64, datum string) []byte {
	return append(binary.LittleEndian.AppendUint64(append(b, singleObject...), fingerprint), datum...)
}

// IsSingleObject says whether data begins as a datum in single-object encoding.
func IsSingleObject(data string) bool { return len(data) >= 2 && data[:2] == singleObject }

// SingleObject takes a datum out of single-object encoding.
func SingleObject(data string) (fingerprint uint64, datum string, err error) {
	if !IsSingleObject(data) || len(data) < 10 {
		return 0, "", flow.Reject(flow.ReasonSyntax, "single-object encoding: %d bytes, its head is of 10", len(data))
	}
	for i := 9; i >= 2; i-- {
		fingerprint = fingerprint<<8 | uint64(data[i])
	}
	return fingerprint, data[10:], nil
}

// AppendConfluent appends a datum in the wire format of Confluent's serializers: a zero, the
// registry's id of its schema in big-endian order, and its bytes.
//
// Source: https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format
func AppendConfluent(b []byte, id int32, datum string) []byte {
	return append(binary.BigEndian.AppendUint32(append(b, 0), uint32(id)), datum...)
}

// IsConfluent says whether data begins as a datum in Confluent's wire format: with a zero, which
// much else does too.
func IsConfluent(data string) bool { return data != "" && data[0] == 0 }

// Confluent takes a datum out of Confluent's wire format.
func Confluent(data string) (id int32, datum string, err error) {
	if !IsConfluent(data) || len(data) < 5 {
		return 0, "", flow.Reject(flow.ReasonSyntax, "Confluent's wire format: %d bytes, its head is of 5", len(data))
	}
	id = int32(uint32(data[1])<<24 | uint32(data[2])<<16 | uint32(data[3])<<8 | uint32(data[4]))
	return id, data[5:], nil
}

// FingerprintText is a fingerprint as errors show it.
func FingerprintText(f uint64) string { return fmt.Sprintf("%016x", f) }
