package bigquerysink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cloud.google.com/go/bigquery/storage/apiv1/storagepb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/delivery"
)

// conn is a connection that appends to one stream, one request at a time: what is known of
// a request is then known of all that was sent. Several of them work side by side.
type conn struct {
	target *target
	schema *schema
	stream string

	// A stream of our own has offsets: the rows that the service has confirmed. unsure says
	// that a request was sent at this offset and no reply came. The default stream has -1.
	own    bool
	offset int64
	unsure bool

	rpc    grpc.ClientStream // nil where none is open
	cancel context.CancelFunc
	head   []byte
	since  time.Time // idle
}

// replyTime bounds the wait for one reply, so that a connection which is dead without a
// sign leaves time for another try.
func replyTime(p delivery.Policy) time.Duration { return min(time.Minute, p.Deadline/3) }

// answer is what the service said of a request.
type answer struct {
	rejected []*storagepb.RowError  // where there are some, nothing of the request was taken
	updated  *storagepb.TableSchema // the table has columns that we did not know
	kind     trouble                // where err is not nil
	err      error                  // marked for delivery.Policy
	usable   bool                   // the connection may be asked again
}

// append sends rows and waits for the answer. With an error the rows may be there or not,
// unless the stream is our own: then the next append of the same rows on this connection
// finds out.
func (c *conn) append(ctx context.Context, rows []byte, n int, wait time.Duration) answer {
	reply, sent, err := c.roundTrip(ctx, rows, wait)
	if err == nil && reply.GetError() == nil && reply.GetAppendResult() == nil {
		err = status.Error(codes.Unavailable, errNoReply.Error())
	}
	if err != nil {
		c.hangUp()
		c.unsure = c.unsure || sent
		return c.failed(ctx, statusOf(err), n)
	}
	a := answer{updated: reply.GetUpdatedSchema(), usable: true}
	if e := reply.GetError(); e != nil && e.GetCode() != int32(codes.OK) {
		if len(reply.GetRowErrors()) > 0 {
			a.rejected, c.unsure = reply.GetRowErrors(), false
			return a
		}
		f := c.failed(ctx, status.FromProto(e), n)
		f.updated = a.updated
		return f
	}
	c.confirmed(n)
	return a
}

// confirmed says that the service has the n rows of the last request.
func (c *conn) confirmed(n int) {
	c.unsure = false
	if c.own {
		c.offset += int64(n)
	}
}

// failed says what an error is about.
//
//   - Already exists: the rows stand at this offset. They are ours if we sent them to this
//     very stream and offset before and heard nothing; else what we know of the stream is
//     wrong, and it is left.
//   - Out of range, finalized, not found: the stream is left, and what is its own tail is
//     finalized. Its length says whether a request without a reply was taken: nothing is
//     guessed.
func (c *conn) failed(ctx context.Context, s *status.Status, n int) answer {
	a := answer{kind: kindOf(s)}
	if c.own && s.Code() == codes.NotFound {
		a.kind = troubleStream
	}
	a.err = mark(a.kind, s)
	if !c.own {
		return a
	}
	switch {
	case a.kind == troubleThere && c.unsure:
		c.confirmed(n)
		return answer{usable: true}
	case a.kind == troubleThere || a.kind == troubleStream:
		if c.unsure {
			if length, err := c.finalize(ctx); err == nil && length == c.offset+int64(n) {
				c.confirmed(n)
				return answer{} // taken; the stream has ended
			}
			c.unsure = false
		}
	case a.kind == troubleAgain || a.kind == troubleDenied:
		c.hangUp()      // the service may not have read what the first request tells
		a.usable = true // the stream stays, and so does what we know of it
	}
	return a
}

// roundTrip sends one request and reads its reply. sent says whether the service may have
// got it.
func (c *conn) roundTrip(ctx context.Context, rows []byte, wait time.Duration) (reply *storagepb.AppendRowsResponse, sent bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	first := c.rpc == nil
	var stream context.Context
	if first {
		stream, c.cancel = context.WithCancel(context.Background())
	}
	cancel := c.cancel
	defer context.AfterFunc(ctx, cancel)()
	late := time.AfterFunc(wait, cancel)
	defer late.Stop()
	if first {
		if c.rpc, err = c.target.openStream(stream, c.stream); err != nil {
			cancel()
			c.rpc = nil
			return nil, false, err
		}
		c.head = nil // what gRPC may hold of the last connection's is left to it
	}
	c.head = appendHead(c.head[:0], first, c.stream, "flowbeam:"+flow.Version, c.schema.descriptor, c.offset, len(rows))
	if err := c.rpc.SendMsg(&frame{c.head, rows}); err != nil {
		// The reason is what the receiving side says.
		if rerr := c.rpc.RecvMsg(new(storagepb.AppendRowsResponse)); rerr != nil {
			err = rerr
		}
		return nil, true, err
	}
	reply = new(storagepb.AppendRowsResponse)
	if err := c.rpc.RecvMsg(reply); err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w: %w", cause, err)
		}
		return nil, true, err
	}
	return reply, true, nil
}

// hangUp closes the connection; what is known of a stream of our own stays.
func (c *conn) hangUp() {
	if c.rpc != nil {
		c.cancel()
		c.rpc = nil
	}
}

// abandon closes the connection for good.
func (c *conn) abandon() {
	if c.rpc != nil {
		_ = c.rpc.CloseSend() // it may be closed already
	}
	c.hangUp()
	if c.own {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		go func() {
			defer cancel()
			_, _ = c.finalize(ctx) // a stream that stays open does no harm and costs nothing
		}()
	}
}

// finalize ends a stream of our own and returns how many rows it has.
func (c *conn) finalize(ctx context.Context) (int64, error) {
	r, err := c.target.client.write.FinalizeWriteStream(routed(ctx, "name", c.stream), &storagepb.FinalizeWriteStreamRequest{Name: c.stream})
	return r.GetRowCount(), err
}
