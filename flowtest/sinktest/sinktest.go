// Package sinktest is the conformance suite of sinks: it runs a sink's DoFn in the ways a
// runner may run it, against a store that fails in the ways stores do, and then looks at
// what the store has. flowbeam's own sinks run it, and so can yours:
//
//	func TestConformance(t *testing.T) {
//		sinktest.Run(t, sinktest.Sink{
//			Class: sinktest.Set,
//			Open: func(t testing.TB, c sinktest.Config) (any, sinktest.Store) {
//				fake := newFakeStore(t)
//				return &writeFn{URL: fake.URL, Deadline: c.Deadline}, fake
//			},
//		})
//	}
package sinktest

import (
	"testing"
	"time"
)

// Class says what a sink promises when a bundle is run again.
type Class int

const (
	// Set is a sink whose store has each record once, whatever the runner did.
	Set Class = iota
	// Log is a sink whose store may have a record more than once after a retry: none is
	// lost, and none is doubled after a distinct by record id.
	Log
)

// Sink is what is tested.
type Sink struct {
	Class Class
	// Open makes an empty store, and the DoFn that writes a flow.Batch into it. The DoFn's
	// first output is its dead letters (func(flow.FailureBatch)), its second its counts
	// (func(flow.Count)); it may have more. It is called once a test, in parallel too.
	Open func(t testing.TB, c Config) (fn any, store Store)
}

// Config is how the suite wants a sink to be set up. A sink without such a setting ignores
// it.
type Config struct {
	// Wait is the bound of the first pause before a repetition; pauses grow to 20 times it.
	Wait time.Duration
	// Deadline is how long a request is repeated, for refused credentials too.
	Deadline time.Duration
	// MaxBatch, where it isn't zero, bounds the records of a request.
	MaxBatch int
}

// Store is the fake behind the sink, as the suite sees it.
type Store interface {
	// IDs returns the record id of each record that is visible in the store, in
	// hexadecimal, once for each copy of it.
	IDs() []string
	// Fail makes requests that write fail as f says, the next n of them, or all of them
	// where n is negative, until Fail is called again. n 0 ends it. It returns false where
	// the store cannot fail so: the suite leaves the case out and says so.
	Fail(f Fault, n int) bool
	// Writes returns how many requests that write records there were, failed ones too.
	Writes() int
	// MaxRecord is the size in bytes of the largest record that the store takes, 0 where
	// there is no bound that a test could reach.
	MaxRecord() int
}

// Fault is a way in which a store fails.
type Fault int

const (
	// Unavailable is a whole request that is refused for now, as by 503 or 429. Nothing of
	// it is done.
	Unavailable Fault = iota
	// LostReply is a request that is done, and whose reply never arrives.
	LostReply
	// Partial is a reply that accepts some records of a request and refuses others for now.
	Partial
	// Expired is a request whose credentials are refused.
	Expired
	// Broken is a reply that is cut, or is not what it says it is. What it was about may
	// have been done.
	Broken
	// Slow is a request that takes a hundred times as long as it should, and succeeds.
	Slow
)

// Faults are all of them.
var Faults = []Fault{Unavailable, LostReply, Partial, Expired, Broken, Slow}

func (f Fault) String() string {
	return [...]string{"unavailable", "reply lost after the write", "partial reply", "credentials expired", "broken reply", "slow"}[f]
}
