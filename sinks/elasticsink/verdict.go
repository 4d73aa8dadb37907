package elasticsink

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/flowbeam/flowbeam/internal/delivery"
	"github.com/flowbeam/flowbeam/internal/httpauth"
)

// verdict is what to do about one document.
type verdict uint8

const (
	created  verdict = iota // it was not there
	there                   // it was there, and stays
	replaced                // it was there, and was written over or taken away
	rejected                // the store will never take it: a dead letter
	again                   // the store cannot take it now
	denied                  // these credentials may not write it
)

// judge says what a result means. A rejection is about the document alone. What is about
// the cluster or the index is tried again, and fails the bundle in the end, whatever
// status it has: to make dead letters of a whole stream because a cluster is full or a
// template is missing would help nobody.
//
// Source: https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk
func judge(r result) verdict {
	switch s := r.status; {
	case s == http.StatusOK, s == http.StatusCreated:
		if w := string(r.word); w == `"updated"` || w == `"deleted"` {
			return replaced
		}
		return created
	case s == http.StatusConflict:
		return there
	case s == http.StatusRequestTimeout, s == http.StatusTooManyRequests, s >= 500:
		return again
	case s == http.StatusUnauthorized:
		return denied
	case s == http.StatusForbidden:
		if typeOf(r.err) == "cluster_block_exception" { // read-only: by hand, or the disk is full
			return again
		}
		return denied
	case s == http.StatusNotFound && string(r.word) == `"not_found"`: // what was to go is gone
		return there
	case s == http.StatusNotFound: // no such index, and none may be made
		return again
	case s < 300:
		return again // no result of a write has it
	}
	if typeOf(r.err) == "validation_exception" { // the cluster has all the shards it may have
		return again
	}
	return rejected
}

// cause is the error object of a result.
type cause struct {
	Type     string `json:"type"`
	Reason   string `json:"reason"`
	CausedBy *cause `json:"caused_by"`
}

func causeOf(b []byte) (c cause) {
	if json.Unmarshal(b, &c) != nil { // a text, in old versions
		json.Unmarshal(b, &c.Reason)
	}
	return c
}

func typeOf(b []byte) string { return causeOf(b).Type }

// errorOf is a result's error as a dead letter shows it, without secrets.
func errorOf(r result, auth *httpauth.Credentials) error {
	var parts []string
	c := causeOf(r.err)
	for p := &c; p != nil; p = p.CausedBy {
		if t := strings.Trim(p.Type+": "+p.Reason, ": "); t != "" {
			parts = append(parts, auth.OneLine(t, 240)) // the first one may quote the value at length
		}
	}
	if len(parts) == 0 {
		parts = []string{http.StatusText(r.status)}
	}
	return errors.New(auth.OneLine(strings.Join(parts, ", by "), 500))
}

// mark marks the error of documents that are to be sent again.
func mark(err error, denials bool, h http.Header) error {
	if denials {
		return delivery.Denied(err)
	}
	return delivery.Again(err, delivery.RetryAfter(h))
}
