package bigquerysink

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"
	"unicode/utf8"

	"cloud.google.com/go/bigquery/storage/apiv1/storagepb"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/delivery"
)

// attempt brings the rows of one chunk to the table, however many requests that takes.
type attempt[T any] struct {
	sink *sink[T]
	c    *chunk[T]

	conn     *conn
	tally    delivery.Tally
	took     []time.Duration
	failures []flow.Failure
	whole    bool // all went well at once: nobody else holds the chunk's memory
}

func (a *attempt[T]) run(ctx context.Context) error {
	again, err := a.sink.o.Policy.Do(ctx, "append to table "+a.sink.target.name.String(), a.try)
	a.tally.Retried += int64(again)
	if a.conn != nil {
		if err == nil {
			a.sink.target.put(a.conn)
		} else {
			a.conn.abandon()
		}
	}
	return err
}

// try sends what is left of the chunk until all of it is taken or rejected.
func (a *attempt[T]) try(ctx context.Context) error {
	t, c := a.sink.target, a.c
	for len(c.rows) > 0 {
		if a.conn == nil {
			conn, err := t.take(ctx, c.schema, a.sink.o.OwnStreams)
			if err != nil {
				return err
			}
			a.conn = conn
		}
		begun := time.Now()
		r := a.conn.append(ctx, c.body, len(c.rows), replyTime(a.sink.o.Policy))
		a.took = append(a.took, time.Since(begun))
		a.tally.Requests++
		a.tally.Bytes += int64(len(c.body))
		if r.updated != nil {
			// Rows of the old schema are still taken; the next chunk has the new one.
			if err := t.adopt(r.updated); err != nil {
				slog.Warn("bigquerysink: the table changed, and the change cannot be followed", "table", t.name.String(), "error", err)
			}
		}
		if !r.usable {
			a.conn.abandon()
			a.conn, a.whole = nil, false
		}
		switch {
		case len(r.rejected) > 0:
			// Nothing of the request was taken: without the bad rows it goes again.
			if err := a.reject(r.rejected); err != nil {
				return err
			}
			if len(c.rows) > 0 {
				a.tally.Retried++
			}
		case r.err == nil:
			a.tally.New += int64(len(c.rows))
			return nil
		case r.kind == troubleSchema:
			if err := a.encodeAnew(ctx); err != nil {
				return err
			}
			return delivery.Again(r.err, 0)
		default:
			a.whole = false
			return r.err
		}
	}
	return nil
}

// reject makes dead letters of rows and takes them out of the chunk.
func (a *attempt[T]) reject(errs []*storagepb.RowError) error {
	a.whole = false
	bad := map[int]bool{}
	for _, e := range errs {
		i := int(e.GetIndex())
		if i < 0 || i >= len(a.c.rows) {
			return fmt.Errorf("an error of row %d of a request with %d rows: %s", i, len(a.c.rows), e.GetMessage())
		}
		if bad[i] {
			continue
		}
		bad[i] = true
		a.tally.Rejected++
		a.failures = append(a.failures, shorten(a.sink.fail(a.c.rows[i], flow.ReasonRejected, errors.New(e.GetMessage()))))
	}
	a.c.remove(bad)
	return nil
}

// encodeAnew writes the chunk's rows for the columns that the table has now.
func (a *attempt[T]) encodeAnew(ctx context.Context) error {
	t := a.sink.target
	if err := t.refresh(ctx); err != nil {
		return err
	}
	w, err := a.sink.rowWriter(t.now.Load())
	if err != nil {
		return err
	}
	next := chunk[T]{schema: w.schema}
	for _, r := range a.c.rows {
		next.add(&w, r)
	}
	*a.c, a.whole = next, false
	if a.conn != nil && a.conn.schema != w.schema {
		a.conn.abandon()
		a.conn = nil
	}
	return nil
}

// maxData bounds a dead letter's data, so that it fits where the record did not.
const maxData = 1 << 20

// shorten cuts a dead letter's data to its first part.
func shorten(f flow.Failure) flow.Failure {
	if len(f.Data) <= maxData {
		return f
	}
	sum := sha256.Sum256([]byte(f.Data))
	cut := maxData
	for cut > 0 && !utf8.RuneStart(f.Data[cut]) {
		cut--
	}
	f.Data, f.Truncated, f.SHA256 = f.Data[:cut], true, hex.EncodeToString(sum[:])
	return f
}
