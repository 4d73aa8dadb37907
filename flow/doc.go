// Package flow holds the network flow record and what travels with it through a
// pipeline: batches of raw and of parsed records, failures (dead letters), rollup rows
// and counts, each with a registered coder.
//
// The package is the centre that every source, transform and sink speaks. It imports
// the standard library and Beam alone, and opens nothing: no files, no connections.
//
// # Batches
//
// Beam's cost is per element, not per byte, so PCollections carry [Batch] (many parsed
// records) and [RawBatch] (many undecoded ones). A DoFn never changes a batch that it
// received, because a fused sibling sees the same value; it emits a new one.
//
// # One field table
//
// [Records] is the table of every field of a [Record]. The coder, the BigQuery, Avro and
// Parquet schemas, the Elasticsearch mapping and the field reference page come from it,
// so that they cannot drift apart. A field is added by one new line there.
package flow
