package elasticsink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/delivery"
)

// spec is what the sink must know of a kind of rows.
type spec[T any] struct {
	kind    string
	ecs     *flow.ECS[T]
	id      func(*T) flow.ID
	time    func(*T) flow.Time
	version func(*T) int64 // with it a row is written over one that has no higher version
	gone    func(*T) bool  // nil, or says that the row takes its document away
	unknown bool           // rows without a time that fits are kept, in an index of their own
	fail    func(row *T, reason flow.Reason, err error) flow.Failure
}

// writer writes the rows of one bundle after the other.
type writer[T any] struct {
	spec  spec[T]
	o     options
	c     *client
	heads heads
	meter *delivery.Meter

	// Of the bundle.
	ctx      context.Context
	cancel   context.CancelFunc
	now      *request[T]      // that is being filled, or nil
	done     chan *request[T] // those that are finished
	under    int              // requests that are on their way or finished, and not taken in
	tally    delivery.Tally
	replaced int64
	failures []flow.Failure
	err      error
}

// request is a bulk and the rows of its documents.
type request[T any] struct {
	*bulk
	rows []*T
	err  error
}

func (w *writer[T]) open(ctx context.Context, c Cluster, o options, s spec[T]) (err error) {
	if w.c, err = open(ctx, c, o.InFlight); err != nil {
		return fmt.Errorf("elasticsink: %w", err)
	}
	op := "create"
	if s.version != nil {
		op = "index"
	}
	w.spec, w.o = s, o
	w.heads = heads{op: op, alias: aliasOf(s.kind, o.Namespace), period: o.Period, plain: o.DataStream}
	w.meter = delivery.NewMeter(o.Stage)
	w.done = make(chan *request[T], 2*o.InFlight+2)
	return nil
}

func (w *writer[T]) close() {
	w.abandon()
	if w.c != nil {
		w.c.close()
		w.c = nil
	}
}

// start begins a bundle. Nothing of one before it, which may have failed anywhere, stays.
func (w *writer[T]) start(ctx context.Context) {
	w.abandon()
	w.ctx, w.cancel = context.WithCancel(ctx)
	w.tally, w.replaced, w.failures, w.err = delivery.Tally{}, 0, nil, nil
}

// abandon ends the requests of a bundle that failed and waits for them.
func (w *writer[T]) abandon() {
	if w.cancel != nil {
		w.cancel()
		w.cancel = nil
	}
	for ; w.under > 0; w.under-- {
		(<-w.done).bulk.free(0)
	}
	w.now = nil
}

var (
	errTime     = errors.New("the event time is missing, or not between 2000 and 2100: no index is made for it")
	errID       = errors.New("no id")
	errVersion  = errors.New("a version below zero")
	errLineFeed = errors.New("the document is more than one line")
)

// add takes one row. It sends the request that is full then, and waits while as many are
// on their way as may be.
func (w *writer[T]) add(row *T) error {
	head := w.heads.of(w.spec.time(row))
	if head == nil {
		if !w.spec.unknown {
			w.reject(row, flow.ReasonRejected, errTime)
			return nil
		}
		head = w.heads.ofUnknown()
	}
	id := w.spec.id(row)
	if id.IsZero() {
		w.reject(row, flow.ReasonRejected, errID)
		return nil
	}
	if w.now == nil {
		w.now = &request[T]{bulk: bulks.Get().(*bulk), rows: make([]*T, 0, min(w.o.RequestRecords, 1024))}
	}
	r := w.now
	begin := len(r.body)
	gone := w.spec.gone != nil && w.spec.gone(row)
	b := r.body
	if gone {
		b = append(append(b, `{"delete"`...), head[len(`{"`+w.heads.op+`"`):]...)
	} else {
		b = append(b, head...)
	}
	b = flow.AppendID(b, id)
	if w.spec.version == nil {
		b = append(b, "\"}}\n"...)
	} else {
		v := w.spec.version(row)
		if v < 0 {
			w.reject(row, flow.ReasonRejected, errVersion)
			return nil
		}
		b = append(b, `","version_type":"external_gte","version":`...)
		b = strconv.AppendInt(b, v, 10)
		b = append(b, "}}\n"...)
	}
	if gone {
		r.body = b // no document
	} else {
		document := len(b)
		b = w.spec.ecs.Append(b, row)
		if err := checkLine(b[document:]); err != nil {
			w.reject(row, flow.ReasonRejected, err)
			return nil
		}
		r.body = append(b, '\n')
	}
	if len(r.body) > w.o.RequestBytes && len(r.rows) > 0 {
		// It is the first of the next request.
		next := &request[T]{bulk: bulks.Get().(*bulk), rows: make([]*T, 0, cap(r.rows))}
		next.body = append(next.body, r.body[begin:]...)
		r.body = r.body[:begin]
		if err := w.dispatch(); err != nil {
			return err
		}
		w.now, r = next, next
	}
	r.rows = append(r.rows, row)
	r.end()
	if len(r.rows) >= w.o.RequestRecords || len(r.body) >= w.o.RequestBytes {
		return w.dispatch()
	}
	return nil
}

// checkLine holds that a document is one line: what comes after a line feed would be an
// action. The encoder writes none, and nothing rests on that alone.
func checkLine(document []byte) error {
	if bytes.IndexByte(document, '\n') >= 0 {
		return errLineFeed
	}
	return nil
}

func (w *writer[T]) reject(row *T, reason flow.Reason, err error) {
	w.tally.Rejected++
	w.failures = append(w.failures, w.spec.fail(row, reason, err))
}

// dispatch sends the request that was being filled on its way.
func (w *writer[T]) dispatch() error {
	r := w.now
	w.now = nil
	if r == nil || len(r.rows) == 0 {
		return w.err
	}
	// What is finished is taken in first, so that its memory is free.
	for w.err == nil {
		select {
		case d := <-w.done:
			w.take(d)
			continue
		default:
		}
		break
	}
	for w.err == nil {
		select {
		case w.c.slots <- struct{}{}:
			w.under++
			go func(ctx context.Context) {
				r.err = w.c.send(ctx, r.bulk, &w.o)
				<-w.c.slots
				w.done <- r
			}(w.ctx)
			return nil
		case d := <-w.done:
			w.take(d)
		case <-w.ctx.Done():
			w.err = fmt.Errorf("elasticsink: %w", context.Cause(w.ctx))
		}
	}
	return w.err
}

// take takes in what became of a request.
func (w *writer[T]) take(r *request[T]) {
	w.under--
	w.tally.Add(r.tally)
	w.replaced += r.replaced
	for _, d := range r.took {
		w.meter.Request(w.ctx, d)
	}
	for _, f := range r.refusals {
		reason := flow.ReasonRejected
		if f.size {
			reason = flow.ReasonOversize
		}
		w.failures = append(w.failures, w.spec.fail(r.rows[f.at], reason, f.err))
	}
	if r.err != nil && w.err == nil {
		w.err = fmt.Errorf("elasticsink: %w", r.err)
		w.cancel() // the others fail with it, at once
	}
	r.bulk.free(w.o.RequestBytes)
}

// emit sends dead letters on.
func (w *writer[T]) emit(fail func(flow.FailureBatch)) {
	if len(w.failures) > 0 {
		fail(flow.FailureBatch{Failures: w.failures})
		w.failures = nil
	}
}

// finish sends the rest and waits for all.
func (w *writer[T]) finish(fail func(flow.FailureBatch), count func(flow.Count)) error {
	w.dispatch()
	for w.under > 0 {
		w.take(<-w.done)
	}
	if w.err != nil {
		return w.err
	}
	w.cancel()
	w.cancel = nil
	w.emit(fail)
	w.tally.Emit(w.o.Stage, count)
	flow.EmitCount(count, w.o.Stage, "replaced", w.replaced)
	return nil
}
