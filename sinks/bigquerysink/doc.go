// Package bigquerysink writes records, rollups and dead letters to BigQuery, in two ways.
//
// [Write], [WriteRollups] and [WriteFailures] append by the Storage Write API: rows are there
// within a second or so. Records and dead letters are a log: none is lost, a bundle that
// runs again appends its rows again, and the view <table>_latest has each once. Rollups are
// a set: an upsert by primary key, in which the row of the highest flow.Rollup.Version wins.
//
// [Load] loads the immutable Parquet or Avro parts that filesink wrote to Cloud Storage by
// load jobs, each part once, whatever is run again: a set.
//
// [Install] makes the dataset, the tables and the views.
package bigquerysink
