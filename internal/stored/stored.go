// Package stored tells the sources of this process how far what they read has come: what
// is in the stores need not be read again by the next run. It is for the local runner,
// whose state dies with its process; other runners keep the sources' places themselves.
package stored

import (
	"sync"

	"github.com/flowbeam/flowbeam/flow"
)

var now struct {
	sync.Mutex
	at        flow.Time
	ended     bool
	listeners map[int]func(flow.Time)
	next      int
}

// Begin forgets what an earlier job of this process told.
func Begin() {
	now.Lock()
	defer now.Unlock()
	now.at, now.ended = 0, false
}

// End ends what is told: reading is about to end. The watermark then goes to the end of
// time, past the windows that are not whole: the next run has to read all of these.
func End() {
	now.Lock()
	defer now.Unlock()
	now.ended = true
}

// At is the watermark of all stores: no record at or before it, and no window that ended
// by then, is on its way. Zero where nothing was told.
func At() flow.Time {
	now.Lock()
	defer now.Unlock()
	return now.at
}

// Advance tells that the watermark of all stores is at least at.
func Advance(at flow.Time) {
	for _, f := range advance(at) {
		f(at)
	}
}

func advance(at flow.Time) (tell []func(flow.Time)) {
	now.Lock()
	defer now.Unlock()
	if now.ended || at <= now.at {
		return nil
	}
	now.at = at
	for _, f := range now.listeners {
		tell = append(tell, f)
	}
	return tell
}

// Listen calls f at each advance until cancel is called. f returns when it has done what it
// does about it.
func Listen(f func(flow.Time)) (cancel func()) {
	now.Lock()
	defer now.Unlock()
	if now.listeners == nil {
		now.listeners = map[int]func(flow.Time){}
	}
	id := now.next
	now.next++
	now.listeners[id] = f
	return func() {
		now.Lock()
		defer now.Unlock()
		delete(now.listeners, id)
	}
}
