package bigquerysink

import "encoding/binary"

// chunk is the rows of one request: what goes over, and what they were.
type chunk[T any] struct {
	schema *schema
	body   []byte // of each row a tag, its length, its message
	ends   []int  // where each ends in body
	rows   []*T
}

func (c *chunk[T]) reset(s *schema) {
	clear(c.rows)
	c.schema, c.body, c.ends, c.rows = s, c.body[:0], c.ends[:0], c.rows[:0]
}

// add appends a row. Lengths of two bytes, as
// nearly all are, need no move of the message.
func (c *chunk[T]) add(w *rowWriter[T], row *T) {
	b := append(c.body, rowsRow, 0, 0)
	at := len(b)
	b = w.e.Append(b, row)
	if w.tail != nil {
		b = w.tail(b, row)
	}
	n := len(b) - at
	switch size := uvarintLen(uint64(n)); {
	case size == 1:
		copy(b[at-1:], b[at:])
		b = b[:len(b)-1]
	case size > 2:
		b = append(b, make([]byte, size-2)...)
		copy(b[at+size-2:], b[at:at+n])
	}
	binary.PutUvarint(b[at-2:], uint64(n))
	c.body, c.ends, c.rows = b, append(c.ends, len(b)), append(c.rows, row)
}

// pop takes the last row out and returns its bytes, which stand until the next add.
func (c *chunk[T]) pop() (body []byte, row *T) {
	i := len(c.rows) - 1
	from := c.start(i)
	body, row = c.body[from:], c.rows[i]
	c.body, c.ends, c.rows = c.body[:from], c.ends[:i], c.rows[:i]
	return body, row
}

func (c *chunk[T]) push(body []byte, row *T) {
	c.body = append(c.body, body...)
	c.ends, c.rows = append(c.ends, len(c.body)), append(c.rows, row)
}

func (c *chunk[T]) start(i int) int {
	if i == 0 {
		return 0
	}
	return c.ends[i-1]
}

// remove takes rows out by their index. The body is a new one: the transport may still
// look at the old one.
func (c *chunk[T]) remove(bad map[int]bool) {
	next := chunk[T]{schema: c.schema, body: make([]byte, 0, len(c.body))}
	for i := range c.rows {
		if !bad[i] {
			next.push(c.body[c.start(i):c.ends[i]], c.rows[i])
		}
	}
	*c = next
}
