// Package avrodata reads Avro's binary encoding by the schema that it was written with: the
// shape of a datum is compiled once, and the values are parts of the input. It reads object
// container files too.
//
// Schemas are parsed by hamba/avro. Its reader is for data that can be trusted: it copies each string, takes
// memory for lengths that a datum claims, and its reader of containers panics at a block of a negative
// size. What is read here comes from a network, so each length is held against what is there; hamba's reader is the
// oracle of the tests.
//
// Source: https://avro.apache.org/docs/1.12.0/specification/
package avrodata

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hamba/avro/v2"
	"github.com/hamba/avro/v2/pkg/crc64"
)

// Kind is the type of a value as it is encoded.
type Kind uint8

// The kinds.
const (
	Null Kind = iota
	Boolean
	Int
	Long
	Float
	Double
	Bytes
	String
	Fixed
	Enum
	Array
	Map
	Record
	Union
)

var kindNames = [...]string{"null", "boolean", "int", "long", "float", "double", "bytes", "string", "fixed", "enum", "array", "map", "record", "union"}

func (k Kind) String() string { return kindNames[k] }

// Logical says what a value of a kind stands for.
type Logical uint8

// The logical types. A type that is none of these, or that does not fit its kind, is None: the
// specification wants it to be read as if it were not there.
const (
	None Logical = iota
	Date
	TimeMillis
	TimeMicros
	TimestampMillis
	TimestampMicros
	TimestampNanos
	LocalTimestampMillis
	LocalTimestampMicros
	LocalTimestampNanos
	Decimal
	UUID
	Duration
)

var logicals = map[string]struct {
	logical Logical
	kinds   []Kind
}{
	"date":                   {Date, []Kind{Int}},
	"time-millis":            {TimeMillis, []Kind{Int}},
	"time-micros":            {TimeMicros, []Kind{Long}},
	"timestamp-millis":       {TimestampMillis, []Kind{Long}},
	"timestamp-micros":       {TimestampMicros, []Kind{Long}},
	"timestamp-nanos":        {TimestampNanos, []Kind{Long}},
	"local-timestamp-millis": {LocalTimestampMillis, []Kind{Long}},
	"local-timestamp-micros": {LocalTimestampMicros, []Kind{Long}},
	"local-timestamp-nanos":  {LocalTimestampNanos, []Kind{Long}},
	"decimal":                {Decimal, []Kind{Bytes, Fixed}},
	"uuid":                   {UUID, []Kind{String, Fixed}},
	"duration":               {Duration, []Kind{Fixed}},
}

// Node is a type of a schema. Nodes of a recursive schema lead back to themselves.
type Node struct {
	Kind     Kind
	Logical  Logical
	Name     string   // of records, enums and fixed, with its namespace
	Size     int      // bytes of a fixed
	Scale    int      // of a decimal
	Symbols  []string // of an enum
	Items    *Node    // of an array, and the values of a map
	Branches []*Node  // of a union
	Fields   []Field  // of a record
}

// Field is one of a record, in the order in which they are written.
type Field struct {
	Name    string
	Aliases []string
	Node    *Node
}

func (n *Node) String() string {
	switch {
	case n.Kind == Union:
		var names []string
		for _, b := range n.Branches {
			names = append(names, b.String())
		}
		return "union of " + strings.Join(names, ", ")
	case n.Kind == Fixed:
		return fmt.Sprintf("fixed of %d bytes", n.Size)
	case n.Logical != None:
		for name, l := range logicals {
			if l.logical == n.Logical {
				return n.Kind.String() + " (" + name + ")"
			}
		}
	}
	return n.Kind.String()
}

// Schema is a writer's schema, compiled.
type Schema struct {
	Root *Node
	// Fingerprint is the CRC-64-AVRO of the schema's Parsing Canonical Form, as the
	// specification has it: without logical types, with each named type written where it is
	// first used, also one that came from elsewhere.
	Fingerprint uint64
	// Other is the fingerprint that github.com/hamba/avro and what is made with it writes: its
	// canonical form keeps logical types. Mostly equal to Fingerprint.
	Other uint64
}

// The limits of a schema. They bound what a stranger's schema can ask of memory and stack.
const (
	MaxSchemaBytes = 256 << 10 // the library takes the square of it in time
	maxSchemaDepth = 64
	maxFixed       = 1 << 20 // bytes
	maxScale       = 4 << 10
)

// Parse reads a schema as JSON. Types that it refers to and does not define are those of others,
// each of which may refer to those before it.
func Parse(text string, others ...string) (s *Schema, err error) {
	defer func() {
		if p := recover(); p != nil { // the schema is a stranger's, and so is the library
			s, err = nil, fmt.Errorf("the schema can't be read: %v", p)
		}
	}()
	var cache avro.SchemaCache
	var parsed avro.Schema
	for _, t := range append(slices.Clone(others), text) {
		if len(t) > MaxSchemaBytes {
			return nil, fmt.Errorf("a schema of %d bytes: the limit is %d", len(t), MaxSchemaBytes)
		}
		if parsed, err = avro.ParseBytesWithCache(withoutDefaults(t), "", &cache); err != nil {
			return nil, errors.New(strings.TrimPrefix(err.Error(), "avro: "))
		}
	}
	c := compiler{named: map[string]*Node{}}
	root, err := c.node(parsed, 0)
	if err != nil {
		return nil, err
	}
	s = &Schema{Root: root, Fingerprint: checksum(canonical(nil, root, map[*Node]bool{}))}
	s.Other = checksum([]byte(parsed.String()))
	return s, nil
}

// withoutDefaults takes the defaults of fields out of a schema: a reader by the writer's schema has no
// use for them, and the library refuses schemas with wrong ones, such as a null for
// ["string", "null"], which older writers let pass.
func withoutDefaults(text string) []byte {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil || d.More() {
		return []byte(text)
	}
	dropDefaults(v)
	b, err := json.Marshal(v)
	if err != nil {
		return []byte(text)
	}
	return b
}

func dropDefaults(v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			dropDefaults(e)
		}
	case map[string]any:
		if fields, ok := v["fields"].([]any); ok {
			for _, f := range fields {
				if f, ok := f.(map[string]any); ok {
					delete(f, "default")
				}
			}
		}
		for _, e := range v {
			dropDefaults(e)
		}
	}
}

func checksum(text []byte) uint64 {
	h := crc64.New()
	h.Write(text)
	return h.Sum64()
}

type compiler struct{ named map[string]*Node }

func (c *compiler) node(s avro.Schema, depth int) (*Node, error) {
	if depth > maxSchemaDepth {
		return nil, fmt.Errorf("types are nested deeper than %d", maxSchemaDepth)
	}
	if ref, ok := s.(*avro.RefSchema); ok {
		s = ref.Schema()
	}
	n := &Node{}
	if named, ok := s.(avro.NamedSchema); ok {
		if old := c.named[named.FullName()]; old != nil {
			return old, nil
		}
		n.Name = named.FullName()
		c.named[n.Name] = n
	}
	var err error
	switch s := s.(type) {
	case *avro.NullSchema:
	case *avro.PrimitiveSchema:
		n.Kind = Kind(slices.Index(kindNames[:], string(s.Type())))
		n.setLogical(s.Logical(), s.Prop)
	case *avro.FixedSchema:
		n.Kind, n.Size = Fixed, s.Size()
		if n.Size < 0 || n.Size > maxFixed {
			return nil, fmt.Errorf("%s: a fixed of %d bytes", n.Name, n.Size)
		}
		n.setLogical(s.Logical(), s.Prop)
	case *avro.EnumSchema:
		n.Kind, n.Symbols = Enum, s.Symbols()
	case *avro.ArraySchema:
		n.Kind = Array
		n.Items, err = c.node(s.Items(), depth+1)
	case *avro.MapSchema:
		n.Kind = Map
		n.Items, err = c.node(s.Values(), depth+1)
	case *avro.UnionSchema:
		n.Kind = Union
		for _, t := range s.Types() {
			b, err := c.node(t, depth+1)
			if err != nil {
				return nil, err
			}
			n.Branches = append(n.Branches, b)
		}
	case *avro.RecordSchema:
		n.Kind = Record
		for _, f := range s.Fields() {
			t, err := c.node(f.Type(), depth+1)
			if err != nil {
				return nil, err
			}
			n.Fields = append(n.Fields, Field{Name: f.Name(), Aliases: f.Aliases(), Node: t})
		}
	default:
		return nil, fmt.Errorf("unknown type %q", s.Type())
	}
	return n, err
}

// setLogical takes the logical type from the library, or, where that does not know it, from the
// schema's own property.
func (n *Node) setLogical(l avro.LogicalSchema, prop func(string) any) {
	name, _ := prop("logicalType").(string)
	if l != nil {
		name = string(l.Type())
	}
	found, ok := logicals[name]
	if !ok || !slices.Contains(found.kinds, n.Kind) {
		return
	}
	switch d, isDecimal := l.(*avro.DecimalLogicalSchema); {
	case isDecimal && d.Scale() <= maxScale:
		n.Scale = d.Scale()
	case found.logical == Decimal: // with a precision or scale that can't be
		return
	case found.logical == UUID && n.Kind == Fixed && n.Size != 16, found.logical == Duration && n.Size != 12:
		return
	}
	n.Logical = found.logical
}

// canonical appends the Parsing Canonical Form.
//
// Source: https://avro.apache.org/docs/1.12.0/specification/#parsing-canonical-form-for-schemas
func canonical(b []byte, n *Node, seen map[*Node]bool) []byte {
	name := func() {
		b = append(strconv.AppendQuote(append(b, `{"name":`...), n.Name), `,"type":"`+n.Kind.String()+`"`...)
	}
	if n.Name != "" {
		if seen[n] {
			return strconv.AppendQuote(b, n.Name)
		}
		seen[n] = true
	}
	list := func(i int) {
		if i > 0 {
			b = append(b, ',')
		}
	}
	switch n.Kind {
	case Record:
		name()
		b = append(b, `,"fields":[`...)
		for i, f := range n.Fields {
			list(i)
			b = append(strconv.AppendQuote(append(b, `{"name":`...), f.Name), `,"type":`...)
			b = append(canonical(b, f.Node, seen), '}')
		}
		return append(b, "]}"...)
	case Enum:
		name()
		b = append(b, `,"symbols":[`...)
		for i, s := range n.Symbols {
			list(i)
			b = strconv.AppendQuote(b, s)
		}
		return append(b, "]}"...)
	case Fixed:
		name()
		return append(strconv.AppendInt(append(b, `,"size":`...), int64(n.Size), 10), '}')
	case Array:
		return append(canonical(append(b, `{"type":"array","items":`...), n.Items, seen), '}')
	case Map:
		return append(canonical(append(b, `{"type":"map","values":`...), n.Items, seen), '}')
	case Union:
		b = append(b, '[')
		for i, t := range n.Branches {
			list(i)
			b = canonical(b, t, seen)
		}
		return append(b, ']')
	}
	return strconv.AppendQuote(b, n.Kind.String())
}
