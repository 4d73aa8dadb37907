package pubsubsink

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/message"
)

// The attributes of every message.
const (
	attributeID          = "record_id"  // 32 hexadecimal digits
	attributeTime        = "event_time" // RFC 3339, UTC; absent where it isn't known
	attributeTable       = "table"
	attributeContentType = "content_type"
	attributeSchema      = "schema_version"
)

// request is some messages in the form in which they are sent, in memory that is used
// again.
type request[T any] struct {
	wire []byte // fields "messages" of a PublishRequest, one after the other
	ends []int  // where each message ends in wire
	rows []*T   // of the input, for their dead letters
}

func (r *request[T]) reset() {
	clear(r.rows) // lets go of the input
	r.wire, r.ends, r.rows = r.wire[:0], r.ends[:0], r.rows[:0]
}

// part is the wire form of messages i to j.
func (r *request[T]) part(i, j int) []byte {
	from := 0
	if i > 0 {
		from = r.ends[i-1]
	}
	return r.wire[from:r.ends[j-1]]
}

// encoder makes messages of rows. They are written in Protocol Buffers' wire form at once:
// by way of pubsubpb.PubsubMessage each would cost a message, a map and its strings.
type encoder[T any] struct {
	kind   message.Kind[T]
	key    func([]byte, *T) []byte // the ordering key, nil = none
	static []byte                  // the attributes that all messages share
	limit  int

	buf []byte // data, attributes and ordering key of one row
}

func newEncoder[T any](kind message.Kind[T], topic, key string) (*encoder[T], error) {
	e := &encoder[T]{kind: kind, limit: maxRequestBytes - len(topic) - 16}
	e.static = appendAttribute(e.static, attributeTable, []byte(kind.Table.Name))
	e.static = appendAttribute(e.static, attributeContentType, []byte(message.ContentType))
	e.static = appendAttribute(e.static, attributeSchema, []byte(message.SchemaVersion))
	var err error
	if key != "" {
		e.key, err = message.Text(kind.Table, key)
	}
	return e, err
}

// The numbers of the fields.
//
// Source: https://github.com/googleapis/googleapis/blob/master/google/pubsub/v1/pubsub.proto
const (
	fieldMessages    = 2 // of PublishRequest
	fieldData        = 1 // of PubsubMessage
	fieldAttributes  = 2
	fieldOrderingKey = 5
	fieldMapKey      = 1
	fieldMapValue    = 2
)

func appendAttribute(b []byte, name string, value []byte) []byte {
	size := protowire.SizeTag(fieldMapKey) + protowire.SizeBytes(len(name)) + protowire.SizeTag(fieldMapValue) + protowire.SizeBytes(len(value))
	b = protowire.AppendTag(b, fieldAttributes, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	b = protowire.AppendTag(b, fieldMapKey, protowire.BytesType)
	b = protowire.AppendString(b, name)
	b = protowire.AppendTag(b, fieldMapValue, protowire.BytesType)
	return protowire.AppendBytes(b, value)
}

// encode makes the message of a row, and returns it with its ordering key, both valid until
// the next call. Its error says why the service would not take it.
func (e *encoder[T]) encode(row *T) (wire, key []byte, err error) {
	id := e.kind.ID(row)
	if id.IsZero() {
		return nil, nil, errors.New("no id: copies of the message could not be told from it")
	}
	// The parts whose length must be known before they are written, then the message.
	b := flow.AppendRow(e.buf[:0], e.kind.Table, row)
	dataEnd := len(b)
	b = flow.AppendID(b, id)
	idEnd := len(b)
	if t := e.kind.Time(row); t != 0 {
		b = flow.AppendTime(b, t)
	}
	timeEnd := len(b)
	if e.key != nil {
		b = e.key(b, row)
	}
	keyEnd := len(b)
	e.buf = b
	if n := keyEnd - timeEnd; n > maxOrderingKey {
		return nil, nil, fmt.Errorf("an ordering key of %d bytes, and the service takes %d", n, maxOrderingKey)
	}
	if !utf8.Valid(b[timeEnd:keyEnd]) {
		return nil, nil, errors.New("an ordering key that is not UTF-8")
	}
	b = protowire.AppendTag(b, fieldData, protowire.BytesType)
	b = protowire.AppendBytes(b, b[:dataEnd])
	b = appendAttribute(b, attributeID, b[dataEnd:idEnd])
	if timeEnd > idEnd {
		b = appendAttribute(b, attributeTime, b[idEnd:timeEnd])
	}
	b = append(b, e.static...)
	if keyEnd > timeEnd {
		b = protowire.AppendTag(b, fieldOrderingKey, protowire.BytesType)
		b = protowire.AppendBytes(b, b[timeEnd:keyEnd])
	}
	e.buf = b
	if n := len(b) - keyEnd; n > e.limit {
		return nil, nil, fmt.Errorf("%d bytes as a message, and the service takes %d a request", n, maxRequestBytes)
	}
	return b[keyEnd:], b[timeEnd:keyEnd], nil
}

// add puts a message into the request.
func (r *request[T]) add(wire []byte, row *T) {
	r.wire = protowire.AppendTag(r.wire, fieldMessages, protowire.BytesType)
	r.wire = protowire.AppendBytes(r.wire, wire)
	r.ends = append(r.ends, len(r.wire))
	r.rows = append(r.rows, row)
}
