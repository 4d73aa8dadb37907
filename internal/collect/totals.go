package collect

import "sync/atomic"

// Totals counts datagrams as they were received, and what became of them. All may be read
// at any time; at the end Received is the sum of Refused, Written and both Dropped.
type Totals struct {
	Received      atomic.Int64
	ReceivedBytes atomic.Int64 // UDP payloads
	Refused       atomic.Int64 // of exporters that are not allowed
	Written       atomic.Int64 // all of the datagram is where it belongs
	DroppedQueue  atomic.Int64 // the sink was too slow, and the queue full
	DroppedSink   atomic.Int64 // the sink failed

	Envelopes    atomic.Int64 // written: those of data sets that waited are their own
	WrittenBytes atomic.Int64 // of envelopes
}

// Dropped is what was received and is not written.
func (t *Totals) Dropped() int64 { return t.DroppedQueue.Load() + t.DroppedSink.Load() }
