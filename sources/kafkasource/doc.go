// Package kafkasource reads topics of Kafka natively, on every runner: records of any format
// that is registered in flow, one splittable restriction a partition, without end or up to
// an offset or time.
//
// It keeps its place in the restriction, which the runner checkpoints with everything else,
// so no consumer group is needed and nothing is acknowledged. Committing to a group is an
// option, for who watches lags; it is never what a restart begins from, unless asked for.
package kafkasource
