// Package stopping asks the sources of this process to end as if their input had: what was
// read is written, and the job ends with its summary. It is for the local runner, where
// source and program are one process; other runners drain or cancel.
package stopping

import (
	"sync/atomic"
	"time"
)

var armed, requested atomic.Bool

// Arm says that a request may come: a job begins on the local runner.
func Arm() {
	requested.Store(false)
	armed.Store(true)
}

// Disarm takes that and a request back.
func Disarm() {
	armed.Store(false)
	requested.Store(false)
}

// Request asks all streaming sources to end.
func Request() { requested.Store(true) }

// Requested says whether the sources are to end.
func Requested() bool { return requested.Load() }

// Pause is how long a source may pause that has nothing to do for d: where a request may
// come, it looks for one each second.
func Pause(d time.Duration) time.Duration {
	if armed.Load() {
		return min(d, time.Second)
	}
	return d
}
