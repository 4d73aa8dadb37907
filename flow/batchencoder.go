package flow

import "encoding/binary"

// BatchEncoder writes the wire form of a Batch record by record, so that a DoFn which
// gathers records by key need not hold the records themselves. The zero value is ready.
type BatchEncoder struct {
	// Watermark of the batch: the smallest of those whose records went in.
	Watermark Time

	body          encoder
	n             int
	prev          Record
	present, same bitmap
}

// Add appends a record.
func (b *BatchEncoder) Add(r *Record) {
	b.present, b.same = b.body.record(r, &b.prev, b.present, b.same)
	b.prev = *r
	b.n++
}

// Len is the number of records, Size about that of their bytes.
func (b *BatchEncoder) Len() int  { return b.n }
func (b *BatchEncoder) Size() int { return len(b.body.b) }

// Bytes returns the wire form, which DecodeBatch reads, and empties the encoder.
func (b *BatchEncoder) Bytes() []byte {
	e := encoder{b: make([]byte, 0, len(b.body.b)+2*binary.MaxVarintLen64+1)}
	e.b = append(e.b, wireVersion)
	e.i64(int64(b.Watermark))
	e.u64(uint64(b.n))
	e.b = append(e.b, b.body.b...)
	*b = BatchEncoder{body: encoder{b: b.body.b[:0]}}
	return e.b
}
