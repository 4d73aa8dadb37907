package collect

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/datagram"
)

// Item is an envelope on its way to a sink, which settles it once: by Written or Lost.
type Item struct {
	Data     []byte // the envelope
	From     netip.AddrPort
	Received flow.Time
	receipt
}

// receipt is what is left to settle of an Item whose bytes are no longer needed.
type receipt struct {
	totals *Totals
	parts  *parts // nil: the Item is all of its datagram
}

// parts is what the Items of one datagram share: data sets that waited for their template
// come in Items of their own.
type parts struct {
	left atomic.Int32
	lost atomic.Int32 // the first fate but written
}

type fate int32

const (
	written fate = iota
	lostQueue
	lostSink
)

var items = sync.Pool{New: func() any { return new(Item) }}

func newItem(t *Totals, from netip.AddrPort, received flow.Time, data []byte) *Item {
	it := items.Get().(*Item)
	it.Data = datagram.AppendEnvelope(it.Data[:0], from, received, data)
	it.From, it.Received, it.receipt = from, received, receipt{totals: t}
	return it
}

// Written says that the envelope is where it belongs. The Item is not used after it.
func (it *Item) Written() {
	it.settle(written, int64(len(it.Data)))
	it.recycle()
}

// Lost says that the sink could not write it. The bytes may still be in use.
func (it *Item) Lost() { it.settle(lostSink, 0) }

// recycle gives the memory to another Item.
func (it *Item) recycle() {
	it.receipt = receipt{}
	items.Put(it)
}

// settle counts the envelope, and its datagram with the last of its parts: one of which
// something was lost is dropped.
func (r receipt) settle(f fate, bytes int64) {
	t := r.totals
	if f == written {
		t.Envelopes.Add(1)
		t.WrittenBytes.Add(bytes)
	}
	if p := r.parts; p != nil {
		p.lost.CompareAndSwap(int32(written), int32(f))
		if p.left.Add(-1) > 0 {
			return
		}
		f = fate(p.lost.Load())
	}
	switch f {
	case written:
		t.Written.Add(1)
	case lostQueue:
		t.DroppedQueue.Add(1)
	default:
		t.DroppedSink.Add(1)
	}
}

// receipts are those of many Items, which a sink settles together.
type receipts struct {
	totals *Totals
	whole  int64 // Items that were all of their datagram
	bytes  int64
	parts  []*parts
}

// add takes the Item's receipt. The Item is not used after it.
func (r *receipts) add(it *Item) {
	r.totals = it.totals
	r.bytes += int64(len(it.Data))
	if it.parts == nil {
		r.whole++
	} else {
		r.parts = append(r.parts, it.parts)
	}
	it.recycle()
}

func (r *receipts) settle(f fate) {
	if n := r.whole; n > 0 {
		if f == written {
			r.totals.Envelopes.Add(n)
			r.totals.Written.Add(n)
		} else {
			r.totals.DroppedSink.Add(n)
		}
	}
	if f == written && r.totals != nil {
		r.totals.WrittenBytes.Add(r.bytes)
	}
	for _, p := range r.parts {
		receipt{r.totals, p}.settle(f, 0)
	}
	*r = receipts{parts: r.parts[:0]}
}
