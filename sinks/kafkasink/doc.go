// Package kafkasink writes records, rollups and dead letters to Kafka, one message each.
//
// It is a log sink: none is lost, and none is doubled after a distinct by record id, which
// every message carries in the header flowbeam-record-id. A bundle ends when the brokers
// have acknowledged all of it. What the client sends again after a lost reply is not
// doubled, because it is an idempotent producer; what the runner sends again, because a
// bundle failed or a worker died, is.
package kafkasink
