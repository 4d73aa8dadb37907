// Package windowing holds what the pipelines know of event time: buckets and their keys,
// bounds on event time, lateness, and the windows around the aggregations.
//
// Records travel in the global window. Where a transform needs the records of one time
// together, the event-time bucket is part of its key ([Bucket], [Key]). [Fixed] and
// [Sessions] stand around aggregations only, and their results go back to the global
// window by [Global]: a batch of records put into fixed windows would go as a whole, and
// in silence, into the window of its earliest record.
package windowing
