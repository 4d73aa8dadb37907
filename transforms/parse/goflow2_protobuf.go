package parse

import (
	"encoding/hex"
	"math"
	"strconv"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/extension"
)

func init() {
	Register(Format{
		FormatInfo: flow.FormatInfo{
			Name:      "goflow2_protobuf",
			Detect:    detectGoflow2Protobuf,
			Timestamp: goflow2ProtobufTimestamp,
		},
		New: func(string) (Decoder, error) { return &goflow2ProtobufDecoder{}, nil },
	})
}

// goflow2ProtobufDecoder reads goflow2's flowpb.FlowMessage (-format=bin), one message each:
// the value of a Kafka record or the payload of a Pub/Sub message, with its length as a
// varint before it, as goflow2 writes it, or without. What the fields mean is said at
// [goflow2Type]. Repeated fields are extensions with a JSON array as their text; of fields that
// flow.proto has not, numbers are kept as they are and bytes in hexadecimal. The id is the
// hash of the message without the length.
//
// Files of such messages can't be read: sources cut files into lines.
//
// Source: https://protobuf.dev/programming-guides/encoding/
type goflow2ProtobufDecoder struct {
	ext  extension.List
	kept []goflow2Kept
	text []byte // scratch
}

// goflow2Kept is a value that becomes an extension, or a part of one.
type goflow2Kept struct {
	field  int
	value  uint64
	text   string // of what is no number
	number bool
}

func (d *goflow2ProtobufDecoder) Decode(data string, r *flow.Record) (Outcome, error) {
	if data == "" {
		return Skip, nil
	}
	g := goflow2Record{r: r}
	message := goflow2Messages(data)[0]
	err := d.message(message, &g)
	if err != nil && len(message) < len(data) {
		source := *r
		*r = flow.Record{Format: source.Format, Position: source.Position, Received: source.Received, DataCenter: source.DataCenter, Tenant: source.Tenant}
		bare := goflow2Record{r: r}
		if d.message(data, &bare) == nil {
			message, err = data, nil
		}
	}
	if err != nil {
		d.ext.Drop()
		return Parsed, err
	}
	r.Extensions = d.ext.Take()
	r.ID = flow.NewIDText(r.Format, message)
	return Parsed, nil
}

// goflow2Messages are what data may be as a message, in the order in which to try: where it
// begins with the length of what follows, that; and data as it is, for a message may begin
// with what looks like its length.
func goflow2Messages(data string) [2]string {
	if n, size := uvarint(data); size > 0 && n > 0 && n == uint64(len(data)-size) {
		return [2]string{data[size:], data}
	}
	return [2]string{data, data}
}

func (d *goflow2ProtobufDecoder) message(s string, g *goflow2Record) error {
	d.ext.Drop()
	d.kept = d.kept[:0]
	for s != "" {
		f, rest, err := nextProtoField(s)
		if err != nil {
			return err
		}
		s = rest
		if err := d.field(&f, g); err != nil {
			return err
		}
	}
	d.keepAll()
	return g.finish(&d.ext)
}

func (d *goflow2ProtobufDecoder) field(f *protoField, g *goflow2Record) error {
	known := goflow2Field{}
	if f.number < len(goflow2Fields) {
		known = goflow2Fields[f.number]
	}
	switch known.kind {
	case goflow2Number:
		if f.wire != protoVarint {
			return f.wrongWire(known.name)
		}
		if f.value == 0 {
			return nil
		}
		keep, err := g.number(f.number, f.value)
		if keep {
			d.keepLast(goflow2Kept{field: f.number, value: f.value, number: true})
		}
		return err
	case goflow2Address:
		if f.wire != protoLen {
			return f.wrongWire(known.name)
		}
		ip, err := rawAddress(known.name, f.bytes)
		if err != nil || !ip.OK() {
			return err
		}
		if g.address(f.number, ip) {
			d.keepLast(goflow2Kept{field: f.number, text: d.addressText(ip)})
		}
		return nil
	case goflow2Numbers:
		if f.wire == protoVarint {
			d.kept = append(d.kept, goflow2Kept{field: f.number, value: f.value, number: true})
			return nil
		}
		if f.wire != protoLen {
			return f.wrongWire(known.name)
		}
		for b := f.bytes; b != ""; {
			v, n := uvarint(b)
			if n <= 0 {
				return flow.Reject(flow.ReasonSyntax, "%s: a number is cut off", known.name)
			}
			b = b[n:]
			d.kept = append(d.kept, goflow2Kept{field: f.number, value: v, number: true})
		}
		return nil
	case goflow2Addresses:
		if f.wire != protoLen {
			return f.wrongWire(known.name)
		}
		ip, err := rawAddress(known.name, f.bytes)
		d.kept = append(d.kept, goflow2Kept{field: f.number, text: d.addressText(ip)})
		return err
	}
	k := goflow2Kept{field: f.number, value: f.value, number: true}
	if f.wire == protoLen {
		k.text, k.number = hex.EncodeToString([]byte(f.bytes)), false
	}
	d.kept = append(d.kept, k)
	return nil
}

func (d *goflow2ProtobufDecoder) addressText(ip flow.IP) string {
	d.text = ip.Append(d.text[:0])
	return string(d.text)
}

// keepLast keeps a value of a field that is there once; of two the last counts.
func (d *goflow2ProtobufDecoder) keepLast(k goflow2Kept) {
	for i := range d.kept {
		if d.kept[i].field == k.field {
			d.kept[i] = k
			return
		}
	}
	d.kept = append(d.kept, k)
}

// keepAll makes one extension of each field's values.
func (d *goflow2ProtobufDecoder) keepAll() {
	for i := range d.kept {
		k := &d.kept[i]
		if k.field < 0 {
			continue // it was put to the first of its field
		}
		field := k.field
		known := goflow2Field{}
		if field < len(goflow2Fields) {
			known = goflow2Fields[field]
		}
		if known.name == "" {
			known.name = "field_" + strconv.Itoa(field)
		}
		list := known.kind == goflow2Numbers || known.kind == goflow2Addresses
		d.text = append(d.text[:0], '[')
		for j := i; j < len(d.kept); j++ {
			o := &d.kept[j]
			if o.field != field {
				continue
			}
			if j > i {
				list = true
				o.field = -1
				d.text = append(d.text, ',')
			}
			if o.number {
				d.text = strconv.AppendUint(d.text, o.value, 10)
			} else {
				d.text = flow.AppendJSON(d.text, o.text)
			}
		}
		e := flow.Extension{Name: known.name, Text: k.text}
		if list {
			e.Text = string(append(d.text, ']'))
		} else if k.number {
			e.Text, e.Kind = strconv.FormatUint(k.value, 10), flow.ExtInt
			if k.value > math.MaxInt64 {
				e.Kind = flow.ExtFloat
			}
		}
		d.ext.Add(e)
	}
}

// rawAddress reads an address of 4 or 16 bytes, or none.
func rawAddress(name, b string) (ip flow.IP, err error) {
	switch len(b) {
	case 0:
	case 4, 16:
		copy(ip.B[:], b)
		ip.Len = uint8(len(b))
	default:
		return ip, flow.Reject(flow.ReasonField, "%s: an address of %d bytes, want 4 or 16", name, len(b))
	}
	return flow.IPOf(ip.Addr()), nil
}

// protoField is one field of a message on the wire.
type protoField struct {
	number int
	wire   uint8
	value  uint64 // of wire types varint, fixed64 and fixed32
	bytes  string // of wire type len
}

// The wire types: https://protobuf.dev/programming-guides/encoding/#structure
const (
	protoVarint  = 0
	protoFixed64 = 1
	protoLen     = 2
	protoFixed32 = 5
)

func (f *protoField) wrongWire(name string) error {
	return flow.Reject(flow.ReasonField, "%s: wire type %d is not that of this field", name, f.wire)
}

// nextProtoField reads the field that s begins with.
func nextProtoField(s string) (f protoField, rest string, err error) {
	key, n := uvarint(s)
	if n <= 0 || key>>3 == 0 || key>>3 > math.MaxInt32>>2 {
		return f, "", flow.Reject(flow.ReasonSyntax, "protobuf: no field's key")
	}
	s = s[n:]
	f.number, f.wire = int(key>>3), uint8(key&7)
	size := 0
	switch f.wire {
	case protoVarint:
		if f.value, n = uvarint(s); n <= 0 {
			return f, "", flow.Reject(flow.ReasonSyntax, "protobuf: field %d is cut off", f.number)
		}
		return f, s[n:], nil
	case protoFixed64:
		size = 8
	case protoFixed32:
		size = 4
	case protoLen:
		length, n := uvarint(s)
		if n <= 0 || length > uint64(len(s)-n) {
			return f, "", flow.Reject(flow.ReasonSyntax, "protobuf: field %d is cut off", f.number)
		}
		f.bytes = s[n : n+int(length)]
		return f, s[n+int(length):], nil
	default:
		return f, "", flow.Reject(flow.ReasonSyntax, "protobuf: field %d has wire type %d", f.number, f.wire)
	}
	if len(s) < size {
		return f, "", flow.Reject(flow.ReasonSyntax, "protobuf: field %d is cut off", f.number)
	}
	for i := size - 1; i >= 0; i-- {
		f.value = f.value<<8 | uint64(s[i])
	}
	return f, s[size:], nil
}

// uvarint is binary.Uvarint of a string: n is 0 where it is cut off, negative where it is
// longer than 64 bits.
func uvarint(s string) (v uint64, n int) {
	for i := range len(s) {
		c := s[i]
		if i == 9 && c > 1 {
			return 0, -1
		}
		if c < 0x80 {
			return v | uint64(c)<<(7*i), i + 1
		}
		v |= uint64(c&0x7f) << (7 * i)
	}
	return 0, 0
}

// detectGoflow2Protobuf takes head for one message: its fields are those of flow.proto with
// their wire types, and it has a time of this century.
func detectGoflow2Protobuf(head []byte) int {
	const from, to = 946684800_000_000_000, 4102444800_000_000_000 // the years 2000 to 2099
	for _, s := range goflow2Messages(view(head)) {
		timed := false
		rest, ok := s, s != ""
		for ok && rest != "" {
			f, more, err := nextProtoField(rest)
			if rest = more; err != nil {
				ok = false
				break
			}
			if f.number >= len(goflow2Fields) {
				continue // mapped by configuration
			}
			switch goflow2Fields[f.number].kind {
			case goflow2Number:
				ok = f.wire == protoVarint
				timed = timed || f.number >= goflow2Received && f.value >= from && f.value < to
			case goflow2Address, goflow2Addresses:
				ok = f.wire == protoLen && (len(f.bytes) == 0 || len(f.bytes) == 4 || len(f.bytes) == 16)
			}
		}
		if ok && timed {
			return 86
		}
	}
	return 0
}

func goflow2ProtobufTimestamp(_ string, data []byte) (flow.Time, bool) {
	for _, s := range goflow2Messages(view(data)) {
		var times [3]flow.Time
		rest := s
		ok := s != ""
		for ok && rest != "" {
			f, more, err := nextProtoField(rest)
			if rest = more; err != nil {
				ok = false
			} else if f.number >= goflow2Received && f.number <= goflow2End && f.wire == protoVarint && f.value <= math.MaxInt64 {
				times[f.number-goflow2Received] = flow.Time(f.value)
			}
		}
		for _, i := range [...]int{2, 1, 0} { // end, start, received
			if ok && times[i] != 0 {
				return times[i], true
			}
		}
	}
	return 0, false
}
