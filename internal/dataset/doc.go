// Package dataset keeps rows in a directory as immutable files, so that the directory is
// a set: whatever is written again, by a replay, a retried bundle or two workers at once,
// is in it once.
//
// # Layout
//
//	<dir>/_layout.json
//	<dir>/dt=2026-11-22/hour=06[/minute=30][/tenant=acme]/shard-0/part-000001.parquet
//	<dir>/_tmp/                      what is being written; never read
//
// A row's bucket follows from its time, its shard from its id, its partition from its
// fields, so a row that comes again comes to the same shard directory. The layout is made
// once, by the first run; later runs adopt it or are refused, because under another one a
// row would come to another place and be stored twice.
//
// # Writing
//
// To write rows into a shard directory: list its parts, read the ids of those that are not
// known yet, drop the rows that are there already, write the rest to a temporary file, and
// give it the next part's name by an operation that fails if the name is taken. Who loses
// that race lists again. A crash at any point leaves either nothing or a whole part, and
// on a local disk a file under _tmp that a later run removes.
//
// On gs:// and s3:// the temporary file is on the worker, and what gives the part its name
// is its upload, with the precondition that no object has it.
package dataset
