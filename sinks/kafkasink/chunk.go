package kafkasink

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/message"
)

// The headers of every message.
const (
	headerID          = "flowbeam-record-id" // 32 hexadecimal digits
	headerContentType = "content-type"
	headerSchema      = "flowbeam-schema-version"
	headerTable       = "flowbeam-table"
)

// entry is one message. It is its record's Context, so that a promise, which is given the
// record alone, finds it without a closure or a map.
type entry[T any] struct {
	record  kgo.Record
	headers [4]kgo.RecordHeader
	row     *T // of the input, for its dead letter
	size    int
	done    bool // acknowledged or rejected
	err     error
}

// An entry's context never ends. The client may look at it after its promise, when the
// memory is another message's, so these methods read no field.
func (*entry[T]) Deadline() (t time.Time, ok bool) { return t, false }
func (*entry[T]) Done() <-chan struct{}            { return nil }
func (*entry[T]) Err() error                       { return nil }
func (*entry[T]) Value(any) any                    { return nil }

// chunk is some messages that a bundle hands to the client at once, in memory that is used
// again.
type chunk[T any] struct {
	entries []entry[T] // never grown: the client holds pointers to them
	buf     []byte     // keys and values
	todo    []*entry[T]
	left    atomic.Int64
	acked   chan struct{}
	promise func(*kgo.Record, error)
}

func newChunk[T any](records, bytes int) *chunk[T] {
	c := &chunk[T]{entries: make([]entry[T], 0, records), buf: make([]byte, 0, bytes+bytes/8)}
	c.promise = func(r *kgo.Record, err error) {
		r.Context.(*entry[T]).err = err
		if c.left.Add(-1) == 0 {
			close(c.acked)
		}
	}
	return c
}

func (c *chunk[T]) reset() {
	clear(c.entries) // lets go of the input
	c.entries, c.buf = c.entries[:0], c.buf[:0]
}

// encoder makes messages of rows.
type encoder[T any] struct {
	kind        message.Kind[T]
	topic       string
	key         func([]byte, *T) []byte // nil = the id
	limit       int
	contentType []byte
	schema      []byte
	table       []byte
}

func newEncoder[T any](kind message.Kind[T], topic, key string) (*encoder[T], error) {
	e := &encoder[T]{kind: kind, topic: topic, contentType: []byte(message.ContentType), schema: []byte(message.SchemaVersion), table: []byte(kind.Table.Name)}
	var err error
	if key != "" {
		e.key, err = message.Text(kind.Table, key)
	}
	return e, err
}

// add puts a row's message into the chunk, which has room for it. Its error says why no
// broker would take the row.
func (e *encoder[T]) add(c *chunk[T], row *T) error {
	id := e.kind.ID(row)
	if id.IsZero() {
		return errors.New("no id: copies of the message could not be told from it")
	}
	start := len(c.buf)
	b := flow.AppendID(c.buf, id)
	idEnd := len(b)
	keyStart := start
	if e.key != nil {
		if b = e.key(b, row); len(b) > idEnd {
			keyStart = idEnd
		}
	}
	keyEnd := len(b)
	b = flow.AppendRow(b, e.kind.Table, row)
	value := b[keyEnd:len(b):len(b)]
	if keyStart == start {
		keyEnd = idEnd
	}
	key := b[keyStart:keyEnd:keyEnd]
	size := len(key) + len(value) + e.overhead()
	if size > e.limit {
		return fmt.Errorf("%d bytes as a message, and topic %s takes %d (max.message.bytes, before compression)", size, e.topic, e.limit)
	}
	c.buf = b
	c.entries = c.entries[:len(c.entries)+1]
	x := &c.entries[len(c.entries)-1]
	x.row, x.size, x.done = row, len(key)+len(value), false
	x.headers = [4]kgo.RecordHeader{
		{Key: headerID, Value: b[start:idEnd:idEnd]},
		{Key: headerContentType, Value: e.contentType},
		{Key: headerSchema, Value: e.schema},
		{Key: headerTable, Value: e.table},
	}
	x.record = kgo.Record{Topic: e.topic, Key: key, Value: value}
	if t := e.kind.Time(row); t > 0 {
		x.record.Timestamp = t.Std()
	}
	return nil
}

// overhead bounds what a batch of one message is larger than key and value.
func (e *encoder[T]) overhead() int {
	const batch, record, perHeader = 61 + 12, 5 + 1 + 10 + 5 + 5 + 5 + 1, 2
	return batch + record + len(headerID) + 32 + len(headerContentType) + len(e.contentType) +
		len(headerSchema) + len(e.schema) + len(headerTable) + len(e.table) + 4*perHeader
}
