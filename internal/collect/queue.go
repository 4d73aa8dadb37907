package collect

import (
	"context"
	"sync/atomic"
)

// queue is between the receivers and the writer, bounded in bytes.
type queue struct {
	items chan *Item
	max   int64
	bytes atomic.Int64
	room  chan struct{} // has something when an Item was taken
}

// A datagram is rarely shorter than this; where all are, the queue is full before its bytes are.
const shortItem = 256

func newQueue(bytes int) *queue {
	return &queue{items: make(chan *Item, max(1, bytes/shortItem)), max: int64(bytes), room: make(chan struct{}, 1)}
}

// offer puts an Item in, and says false where there is no room: it is the caller's then.
func (q *queue) offer(it *Item) bool {
	n := int64(len(it.Data))
	if q.bytes.Add(n) > q.max {
		q.bytes.Add(-n)
		return false
	}
	select {
	case q.items <- it:
		return true
	default:
		q.bytes.Add(-n)
		return false
	}
}

// put waits for room, until the context ends.
func (q *queue) put(ctx context.Context, it *Item) bool {
	for !q.offer(it) {
		select {
		case <-q.room:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// took is called for each Item that was received from items.
func (q *queue) took(it *Item) {
	q.bytes.Add(-int64(len(it.Data)))
	select {
	case q.room <- struct{}{}:
	default:
	}
}
