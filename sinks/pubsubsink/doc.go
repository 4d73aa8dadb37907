// Package pubsubsink publishes records, rollups and dead letters to Google Cloud Pub/Sub,
// one message each.
//
// It is a log sink: none is lost, and none is doubled after a distinct by record id, which
// every message carries in the attribute record_id. A bundle ends when the service has
// taken all of it. Pub/Sub has no idempotent publish, so what is sent again, because a reply
// was lost, a bundle failed or a worker died, is there twice.
package pubsubsink
