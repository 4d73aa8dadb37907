package flow

import (
	"reflect"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

func init() {
	beam.RegisterType(reflect.TypeFor[Count]())
	beam.RegisterType(reflect.TypeFor[Batch]())
	beam.RegisterType(reflect.TypeFor[Record]())
	beam.RegisterType(reflect.TypeFor[RawBatch]())
	beam.RegisterType(reflect.TypeFor[FailureBatch]())
	beam.RegisterType(reflect.TypeFor[RollupBatch]())
	beam.RegisterCoder(reflect.TypeFor[Batch](), encodeBatch, DecodeBatch)
	beam.RegisterCoder(reflect.TypeFor[Record](), encodeRecord, decodeRecord)
	beam.RegisterCoder(reflect.TypeFor[RawBatch](), encodeRawBatch, decodeRawBatch)
	beam.RegisterCoder(reflect.TypeFor[FailureBatch](), encodeFailureBatch, decodeFailureBatch)
	beam.RegisterCoder(reflect.TypeFor[RollupBatch](), encodeRollupBatch, decodeRollupBatch)
}

// Beam finds a coder's functions on the worker by their symbol, so each type has two of
// its own by name: closures of one generic function all have the same symbol, and the
// coder of one type would decode another.

func encodeBatch(v Batch) []byte               { return encodeValue(&v, (*encoder).batch) }
func encodeRecord(v Record) []byte             { return encodeValue(&v, (*encoder).record1) }
func encodeRawBatch(v RawBatch) []byte         { return encodeValue(&v, (*encoder).rawBatch) }
func encodeFailureBatch(v FailureBatch) []byte { return encodeValue(&v, (*encoder).failures) }
func encodeRollupBatch(v RollupBatch) []byte   { return encodeValue(&v, (*encoder).rollups) }

func decodeRecord(b []byte) (Record, error)     { return decodeValue(b, (*decoder).record1) }
func decodeRawBatch(b []byte) (RawBatch, error) { return decodeValue(b, (*decoder).rawBatch) }
func decodeFailureBatch(b []byte) (FailureBatch, error) {
	return decodeValue(b, (*decoder).failures)
}
func decodeRollupBatch(b []byte) (RollupBatch, error) {
	return decodeValue(b, (*decoder).rollups)
}
