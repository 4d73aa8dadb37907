// Package filesink writes records, rollups, dead letters and raw input to files: Parquet,
// Avro, NDJSON or CSV, in Hive-style directories by time.
//
// It is a set sink: a retried bundle, a replay or two workers at once change nothing, and
// a run over more input adds only what is new. internal/dataset says how.
//
// The directory is a local path, gs://bucket/prefix or s3://bucket/prefix.
//
// No record is shuffled. Each bundle collects its rows by bucket, partition and shard and
// writes them as new parts when it ends, or before, when it holds FlushRecords rows or
// FlushBytes bytes.
package filesink
