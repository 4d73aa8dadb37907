package kafkasource

import (
	"context"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/flowbeam/flowbeam/flow"
)

// handedOver is what a partition's reader has given to the pipeline, and until when in event
// time the pipeline may need it.
type handedOver struct {
	marks []handMark
	safe  int64 // before it all is stored, and no window is open
	known bool  // safe is
	told  int64 // the safe that was committed last, plus one
}

// handMark stands for the messages after the mark before it and before next. from and
// latest are the newest event time up to its beginning and up to its end.
type handMark struct {
	next         int64
	from, latest flow.Time
}

// markStep is how much newer the event times are that one mark stands for.
const markStep = time.Second

// begin says that nothing before next is needed.
func (h *handedOver) begin(next int64) { h.safe, h.known = next, true }

// add notes that the messages before next were handed over, the newest with this event time.
func (h *handedOver) add(next int64, latest flow.Time) {
	if n := len(h.marks); n > 0 {
		last := &h.marks[n-1]
		latest = max(latest, last.latest)
		if latest < last.from.Add(markStep) {
			last.next, last.latest = next, latest
			return
		}
	}
	h.marks = append(h.marks, handMark{next: next, from: latest, latest: latest})
}

// backTo forgets what was handed over from next on: it is read again.
func (h *handedOver) backTo(next int64) {
	if h.known {
		h.safe = min(h.safe, next)
	}
	for i := range h.marks {
		if h.marks[i].next >= next {
			h.marks[i].next = next
			h.marks = h.marks[:i+1]
			return
		}
	}
}

// until moves the safe offset to what is not needed any more, where all stores are at a
// watermark and a record is needed for grace after its event time.
func (h *handedOver) until(at flow.Time, grace time.Duration) {
	done := 0
	for done < len(h.marks) && h.marks[done].latest.Add(grace) < at {
		h.begin(h.marks[done].next)
		done++
	}
	h.marks = h.marks[done:]
}

// handOver notes that the messages of a queue before next were given to the pipeline.
func (x *consumer) handOver(q *queue, next int64, latest flow.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	q.handed.add(next, latest)
}

// commitStored commits, for each partition, what is not needed any more where all stores
// are at a watermark.
func (x *consumer) commitStored(at flow.Time) {
	var offsets kadm.Offsets
	x.mu.Lock()
	for _, q := range x.queues {
		q.handed.until(at, x.c.CommitGrace)
		if q.handed.known && q.handed.told != q.handed.safe+1 {
			offsets.AddOffset(q.topic, q.id, q.handed.safe, -1)
		}
	}
	x.mu.Unlock()
	if len(offsets) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), commitTime)
	defer cancel()
	a, err := x.ask(ctx)
	if err == nil {
		err = a.admin.CommitAllOffsets(ctx, x.c.Group, offsets)
	}
	if err != nil {
		// The next time tells it again. Until then a run that begins there reads more.
		slog.Warn("what is stored is not committed", "group", x.c.Group, "error", err)
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	offsets.Each(func(o kadm.Offset) {
		if q := x.queues[topicPartition{o.Topic, o.Partition}]; q != nil {
			q.handed.told = o.At + 1
		}
	})
}

// commitTime bounds a commit: the pipeline waits for it.
const commitTime = 10 * time.Second
