package collect

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flowbeam/flowbeam/flow"
)

// receiver reads one socket.
type receiver struct {
	intake
	conn   *net.UDPConn
	listen string // as it was asked for
	given  int    // bytes of the receive buffer
	queue  *queue

	trouble  trouble
	held     chan struct{} // not nil, in tests: nothing is read until it is closed
	stopping atomic.Bool
	deaf     atomic.Bool     // the kernel takes nothing more
	life     context.Context // ends when what is not written is lost

	asking sync.Mutex
	drops  dropCounter
	lost   atomic.Int64 // by the kernel, before the end
	after  atomic.Int64 // came after the end
}

const (
	maxDatagram = 1 << 16
	tickEvery   = time.Second
	// quiet is how long a socket must be silent to be drained: what the kernel had under way
	// is in its buffer by then.
	quiet = 20 * time.Millisecond
	// drainFor bounds that where the kernel still takes what comes.
	drainFor = 2 * time.Second
)

// run reads until stop, then what is in the socket's buffer, and passes on all that waits.
func (r *receiver) run() {
	if r.held != nil {
		<-r.held
	}
	buf, oob := make([]byte, maxDatagram), make([]byte, 256)
	next := time.Now().Add(tickEvery)
	r.conn.SetReadDeadline(next)
	draining := false
	var end time.Time // of draining
	for {
		n, oobn, _, from, err := r.conn.ReadMsgUDPAddrPort(buf, oob)
		now := time.Now()
		switch {
		case err == nil:
			r.take(from, receivedAt(oob[:oobn], now), buf[:n])
		case errors.Is(err, os.ErrDeadlineExceeded):
			// The time may have been over before the buffer was looked at.
			if draining && empty(r.conn) {
				r.end()
				return
			}
		case errors.Is(err, net.ErrClosed):
			r.end()
			return
		default:
			r.trouble.tell(err)
			time.Sleep(10 * time.Millisecond)
		}
		if draining && (r.deaf.Load() || now.Before(end)) {
			r.conn.SetReadDeadline(now.Add(quiet))
			continue
		}
		if draining {
			r.end()
			return
		}
		if !now.Before(next) {
			r.tick(flow.TimeOf(now))
			next = now.Add(tickEvery)
			r.conn.SetReadDeadline(next)
		}
		// After the deadline was set: stop sets it the other way round.
		if r.stopping.Load() {
			draining, end = true, now.Add(drainFor)
			r.conn.SetReadDeadline(now.Add(quiet))
		}
	}
}

// pass puts an Item into the queue. While datagrams come there is no waiting: the kernel's
// buffer would overflow, and that it drops is known later and less well.
func (r *receiver) pass(it *Item) {
	ok := r.queue.offer(it)
	if !ok && r.stopping.Load() {
		ok = r.queue.put(r.life, it)
	}
	if !ok {
		it.settle(lostQueue, 0)
		it.recycle()
	}
}

// stop makes the socket deaf and has its buffer read to the end.
func (r *receiver) stop() {
	r.asking.Lock()
	r.askKernel() // what it refuses from here on came after the end
	err := deafen(r.conn)
	if err != nil {
		slog.Warn("collect: the socket takes datagrams while it is drained", "listen", r.listen, "error", err)
	}
	r.deaf.Store(deafens && err == nil)
	r.asking.Unlock()
	r.stopping.Store(true)
	r.conn.SetReadDeadline(time.Now())
}

// countDrops asks the kernel. It returns what is new.
func (r *receiver) countDrops() int64 {
	r.asking.Lock()
	defer r.asking.Unlock()
	return r.askKernel()
}

// askKernel is countDrops, for who asks alone.
func (r *receiver) askKernel() int64 {
	n := r.drops.read(r.conn)
	if r.deaf.Load() {
		r.after.Add(n)
		return 0
	}
	r.lost.Add(n)
	return n
}
