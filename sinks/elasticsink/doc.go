// Package elasticsink writes records, rollups and dead letters to Elasticsearch, as ECS
// documents in indices by time behind an alias.
//
// It is a set sink: the id of a document is the id of its record, and a document is
// created or left alone, so a retried bundle, a replay or two workers at once change
// nothing. Data streams, by option, are so until their next rollover.
//
// No record is shuffled. A bundle cuts its documents into bulk requests, of which a few at
// a time are on their way, and waits for the rest when it ends.
package elasticsink
