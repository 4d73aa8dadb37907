package dataset

import (
	"encoding/binary"

	"github.com/flowbeam/flowbeam/flow"
)

// RawRow is one undecoded record with all that a parser needs to know of it: a row of the
// raw backup.
type RawRow struct {
	ID     flow.ID
	Origin flow.Origin
	// The record, as flow.Raw has it.
	Data       []byte
	Offset     flow.Int
	Index      flow.Int // of a part of a unit, see flow.Raw
	Key        string
	Time       flow.Time
	DataCenter string
	Oversize   bool
	Size       int64
	SHA256     string
}

// RawTable is the table of the raw backup.
var RawTable = flow.Table[RawRow]{Name: "raw", Columns: []flow.Column[RawRow]{
	{Num: 1, Name: "raw_id", Kind: flow.KindID, Required: true, Doc: "Hash of the position, or of the data where there is none.", Ref: func(r *RawRow) any { return &r.ID }},
	{Num: 2, Name: "source_time", Kind: flow.KindTime, Doc: "Append, publish, receive or file time.", Ref: func(r *RawRow) any { return &r.Time }},
	{Num: 3, Name: "position_source", Kind: flow.KindString, Doc: "File, topic or subscription.", Ref: func(r *RawRow) any { return &r.Origin.Source }},
	{Num: 4, Name: "position_partition", Kind: flow.KindInt, Doc: "Partition.", Ref: func(r *RawRow) any { return &r.Origin.Partition }},
	{Num: 5, Name: "position_offset", Kind: flow.KindInt, Doc: "Byte offset in the decompressed file, or offset in the partition.", Ref: func(r *RawRow) any { return &r.Offset }},
	{Num: 6, Name: "position_key", Kind: flow.KindString, Doc: "Message id.", Ref: func(r *RawRow) any { return &r.Key }},
	{Num: 7, Name: "format", Kind: flow.KindString, Doc: "Declared format.", Ref: func(r *RawRow) any { return &r.Origin.Format }},
	{Num: 8, Name: "header", Kind: flow.KindString, Doc: "The lines at the file's start that say how to read the rest.", Ref: func(r *RawRow) any { return &r.Origin.Header }},
	{Num: 9, Name: "data_center", Kind: flow.KindString, Doc: "Data center of the source.", Ref: func(r *RawRow) any { return &r.Origin.DataCenter }},
	{Num: 10, Name: "tenant", Kind: flow.KindString, Doc: "Tenant of the source.", Ref: func(r *RawRow) any { return &r.Origin.Tenant }},
	{Num: 11, Name: "record_data_center", Kind: flow.KindString, Doc: "Data center of this record, where its message says it.", Ref: func(r *RawRow) any { return &r.DataCenter }},
	{Num: 12, Name: "oversize", Kind: flow.KindBool, Required: true, Doc: "Data is only the first part.", Ref: func(r *RawRow) any { return &r.Oversize }},
	{Num: 13, Name: "size", Kind: flow.KindInt, Required: true, Unit: "bytes", Doc: "Length of the whole record, where oversize.", Ref: func(r *RawRow) any { return &r.Size }},
	{Num: 14, Name: "sha256", Kind: flow.KindString, Doc: "Hash of the whole record, where oversize.", Ref: func(r *RawRow) any { return &r.SHA256 }},
	{Num: 15, Name: "data", Kind: flow.KindBytes, Doc: "The record's bytes.", Ref: func(r *RawRow) any { return &r.Data }},
	{Num: 16, Name: "position_index", Kind: flow.KindInt, Doc: "Of a part of a raw unit that was read apart from the rest.", Ref: func(r *RawRow) any { return &r.Index }},
}}

// Raw keeps the input's bytes, by source time and keyed by position, so that reading an
// input again stores none of it twice.
func Raw() Spec[RawRow] {
	return Spec[RawRow]{
		Table:       &RawTable,
		ID:          func(r *RawRow) flow.ID { return r.ID },
		Time:        func(r *RawRow) flow.Time { return r.Time },
		KeepUnknown: true,
	}
}

// RawRowOf makes row i of a batch. Its data is the batch's own memory.
func RawRowOf(b *flow.RawBatch, i int) RawRow {
	r := &b.Records[i]
	return RawRow{
		ID: rawID(b, r), Origin: b.Origin,
		Data: r.Data, Offset: r.Offset, Index: r.Index, Key: r.Key, Time: r.Time, DataCenter: r.DataCenter,
		Oversize: r.Oversize, Size: r.Size, SHA256: r.SHA256,
	}
}

// Raw is the record of the row.
func (r *RawRow) Raw() flow.Raw {
	return flow.Raw{
		Data: r.Data, Offset: r.Offset, Index: r.Index, Key: r.Key, Time: r.Time, DataCenter: r.DataCenter,
		Oversize: r.Oversize, Size: r.Size, SHA256: r.SHA256,
	}
}

// rawID is the hash of the position. A source that knows neither offset nor key has the
// data to tell records apart, and identical ones are one.
func rawID(b *flow.RawBatch, r *flow.Raw) flow.ID {
	var stack [64]byte
	p := appendInt(stack[:0], b.Origin.Partition)
	p = appendInt(p, r.Offset)
	if r.Index.OK { // two parts of one unit are two
		p = appendInt(p, r.Index)
	}
	if !r.Offset.OK && r.Key == "" {
		return flow.NewID("raw", []byte(b.Origin.Source), p, r.Data, []byte(r.SHA256))
	}
	return flow.NewID("raw", []byte(b.Origin.Source), p, []byte(r.Key))
}

func appendInt(b []byte, v flow.Int) []byte {
	if !v.OK {
		return append(b, 0)
	}
	return binary.AppendVarint(append(b, 1), v.V)
}
