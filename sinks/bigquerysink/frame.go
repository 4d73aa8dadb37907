package bigquerysink

import (
	"encoding/binary"

	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // the codec that replies are read with
	"google.golang.org/grpc/mem"
)

// frame is a marshalled AppendRowsRequest in parts, which gRPC sends as they are: the rows
// are written into their buffer once and are copied by nobody.
//
// The parts must not change before the reply is there. gRPC may hold on to them until
// then, and for good where the stream breaks.
type frame struct {
	head, rows []byte
}

// frameCodec is the protobuf codec, with frames taken for what they are.
type frameCodec struct{ encoding.CodecV2 }

var codec = frameCodec{encoding.GetCodecV2("proto")}

func (c frameCodec) Marshal(v any) (mem.BufferSlice, error) {
	if f, ok := v.(*frame); ok {
		return mem.BufferSlice{mem.SliceBuffer(f.head), mem.SliceBuffer(f.rows)}, nil
	}
	return c.CodecV2.Marshal(v)
}

// Numbers of the fields of AppendRowsRequest, ProtoData and ProtoRows, with the wire type
// of a length and bytes.
//
// Source: google/cloud/bigquery/storage/v1/storage.proto
const (
	requestStream  = 1<<3 | 2
	requestOffset  = 2<<3 | 2
	requestRows    = 4<<3 | 2
	requestTraceID = 6<<3 | 2
	dataSchema     = 1<<3 | 2
	dataRows       = 2<<3 | 2
	schemaMessage  = 1<<3 | 2
	offsetValue    = 1 << 3
	rowsRow        = 1<<3 | 2
)

func appendBytes(b []byte, tag byte, v []byte) []byte {
	b = binary.AppendUvarint(append(b, tag), uint64(len(v)))
	return append(b, v...)
}

// appendHead writes what stands before the rows. The first request of a connection names
// the stream, the trace and the descriptor of the rows; those after it need not. An offset
// below zero is none.
func appendHead(b []byte, first bool, stream, trace string, descriptor []byte, offset int64, rows int) []byte {
	if first {
		b = appendBytes(b, requestStream, []byte(stream))
	}
	if offset >= 0 {
		var v [1 + binary.MaxVarintLen64]byte
		value := v[:0]
		if offset > 0 {
			value = binary.AppendUvarint(append(value, offsetValue), uint64(offset))
		}
		b = appendBytes(b, requestOffset, value)
	}
	if first {
		b = appendBytes(b, requestTraceID, []byte(trace))
	}
	size := uvarintLen(uint64(rows)) + 1 + rows
	if first {
		inner := 1 + uvarintLen(uint64(len(descriptor))) + len(descriptor)
		size += 1 + uvarintLen(uint64(inner)) + inner
		b = binary.AppendUvarint(append(b, requestRows), uint64(size))
		b = binary.AppendUvarint(append(b, dataSchema), uint64(inner))
		b = appendBytes(b, schemaMessage, descriptor)
	} else {
		b = binary.AppendUvarint(append(b, requestRows), uint64(size))
	}
	return binary.AppendUvarint(append(b, dataRows), uint64(rows))
}

func uvarintLen(v uint64) int {
	n := 1
	for v >= 0x80 {
		v >>= 7
		n++
	}
	return n
}
