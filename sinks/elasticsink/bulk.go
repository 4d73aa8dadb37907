package elasticsink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/flowbeam/flowbeam/internal/delivery"
)

// bulk is one bulk request: its body, and where each document's two lines end in it. What
// was settled is taken out of it, so that a repetition holds the rest alone.
type bulk struct {
	body []byte
	ends []int // of each document that is not settled
	at   []int // its position among the documents that the bulk was made of

	tally    delivery.Tally
	replaced int64
	refusals []refusal
	took     []time.Duration // of each try

	packed  []byte // the body, compressed
	reply   []byte
	results []result
}

// refusal is a document that the store will never take.
type refusal struct {
	at   int
	err  error
	size bool // for its size
}

// bulks are used again, with their buffers: those of a request are as large as it is.
var bulks = sync.Pool{New: func() any { return new(bulk) }}

// free gives the bulk back; keep bounds the buffers that are kept, by the size of the largest usual request.
func (b *bulk) free(keep int) {
	if cap(b.body) > 2*keep+1<<16 {
		return
	}
	*b = bulk{body: b.body[:0], ends: b.ends[:0], at: b.at[:0], packed: b.packed[:0], reply: b.reply[:0], results: b.results[:0],
		refusals: nil, took: b.took[:0]}
	bulks.Put(b)
}

// end says that the body holds one document more.
func (b *bulk) end() {
	b.at = append(b.at, len(b.ends))
	b.ends = append(b.ends, len(b.body))
}

// begin is where a document begins in the body.
func (b *bulk) begin(i int) int {
	if i == 0 {
		return 0
	}
	return b.ends[i-1]
}

// retain keeps the documents that have to be sent again, and takes the others out.
func (b *bulk) retain(again func(i int) bool) {
	n, size, begin := 0, 0, 0
	for i, end := range b.ends {
		if again(i) {
			size += copy(b.body[size:], b.body[begin:end])
			b.ends[n], b.at[n] = size, b.at[i]
			n++
		}
		begin = end
	}
	b.body, b.ends, b.at = b.body[:size], b.ends[:n], b.at[:n]
}

// bulkPath asks for what is needed of a reply, which is a tenth of it.
const bulkPath = "/_bulk?filter_path=items.*.status,items.*.result,items.*.error.type,items.*.error.reason,items.*.error.caused_by.type,items.*.error.caused_by.reason"

// errTooLarge is a request that the server takes only in parts.
var errTooLarge = errors.New("the request is too large for the server")

// send sends the bulk's documents until each is settled. An error leaves open which ones
// are in the store; it is safe to send all of them again.
func (c *client) send(ctx context.Context, b *bulk, o *options) error {
	var last error
	n, err := o.Retry.Do(ctx, fmt.Sprintf("bulk request of %d documents", len(b.ends)), func(ctx context.Context) error {
		err := c.try(ctx, b, o)
		if ctx.Err() != nil && last != nil {
			return last // the time was up while it was on its way: this says more
		}
		last = err
		return err
	})
	b.tally.Retried += int64(n)
	if !errors.Is(err, errTooLarge) {
		return err
	}
	if len(b.ends) == 1 {
		b.tally.Rejected++
		b.refusals = append(b.refusals, refusal{b.at[0], fmt.Errorf("%d bytes: %w", len(b.body), err), true})
		return nil
	}
	// In two halves, which share the buffers and are sent one after the other.
	half := len(b.ends) / 2
	cut := b.begin(half)
	first := bulk{body: b.body[:cut:cut], ends: b.ends[:half], at: b.at[:half]}
	second := bulk{body: b.body[cut:], ends: make([]int, len(b.ends)-half), at: b.at[half:]}
	for i, e := range b.ends[half:] {
		second.ends[i] = e - cut
	}
	for _, part := range []*bulk{&first, &second} {
		part.tally.Retried++
		err := c.send(ctx, part, o)
		b.tally.Add(part.tally)
		b.replaced += part.replaced
		b.refusals = append(b.refusals, part.refusals...)
		b.took = append(b.took, part.took...)
		if err != nil {
			return err
		}
	}
	return nil
}

// try sends what is not settled once.
func (c *client) try(ctx context.Context, b *bulk, o *options) error {
	r := call{method: http.MethodPost, path: bulkPath, body: b.body, contentType: "application/x-ndjson", reply: b.reply,
		maxReply: 1<<20 + int64(len(b.ends))*8<<10}
	if !o.Plain {
		b.pack()
		r.body, r.gzip = b.packed, true
	}
	b.tally.Requests++
	b.tally.Bytes += int64(len(b.body))
	begun := time.Now()
	tctx, cancel := context.WithTimeout(ctx, o.Timeout)
	err := c.do(tctx, &r)
	cancel()
	b.took = append(b.took, time.Since(begun))
	b.reply = r.reply
	switch {
	case err != nil:
		return err
	case r.status == http.StatusRequestEntityTooLarge:
		return errTooLarge
	case r.status != http.StatusOK:
		return c.refused(ctx, &r)
	}
	if b.results, err = readReply(r.reply, len(b.ends), b.results); err != nil {
		return delivery.Again(fmt.Errorf("the reply is broken: %w", err), 0)
	}
	return c.settle(ctx, b, &r)
}

// settle counts what is done and keeps what is to be sent again.
func (c *client) settle(ctx context.Context, b *bulk, r *call) error {
	open, denials, worst := 0, false, -1
	for i := range b.results {
		switch judge(b.results[i]) {
		case created:
			b.tally.New++
		case there:
			b.tally.AlreadyThere++
		case replaced:
			b.tally.AlreadyThere++
			b.replaced++
		case rejected:
			b.tally.Rejected++
			b.refusals = append(b.refusals, refusal{at: b.at[i], err: errorOf(b.results[i], r.auth)})
		case denied:
			open, worst, denials = open+1, i, true
		case again:
			if open++; worst < 0 {
				worst = i
			}
		}
	}
	if open == 0 {
		return nil
	}
	err := fmt.Errorf("%d of %d documents: status %d: %s", open, len(b.results), b.results[worst].status, errorOf(b.results[worst], r.auth))
	if denials {
		err = c.auth.Renew(ctx, r.auth, err)
	}
	b.retain(func(i int) bool {
		v := judge(b.results[i])
		return v == again || v == denied
	})
	return mark(err, denials, r.header)
}

// sliceWriter is an io.Writer that appends.
type sliceWriter struct{ b []byte }

func (w *sliceWriter) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	return len(p), nil
}

var packers = sync.Pool{New: func() any {
	z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	return z
}}

// pack compresses the body.
func (b *bulk) pack() {
	w := sliceWriter{b.packed[:0]}
	z := packers.Get().(*gzip.Writer)
	z.Reset(&w)
	z.Write(b.body)
	z.Close()
	z.Reset(&bytes.Buffer{})
	packers.Put(z)
	b.packed = w.b
}
