// Package netfault stands between a client and a server in tests: it cuts, stalls and slows
// connections, and tells when a request is under way and when its reply comes.
package netfault

import (
	"io"
	"net"
	"sync"
	"time"
)

// Proxy passes TCP connections on to one server.
type Proxy struct {
	Addr string // where it listens, host:port

	to       string
	listener net.Listener

	mu      sync.Mutex
	change  *sync.Cond
	pairs   map[*pair]struct{}
	refuse  bool
	stalled bool
	rate    int // bytes a second and direction, 0: unbounded
	onReply func() (hold bool)
}

// pair is a connection and that to the server.
type pair struct {
	client, server net.Conn
	asked          int // bytes of the request since the last reply
}

// LargeRequest is how many bytes a request has that carries rows.
const LargeRequest = 1 << 10

// New begins to pass connections on to a server's host:port.
func New(to string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{Addr: l.Addr().String(), to: to, listener: l, pairs: map[*pair]struct{}{}}
	p.change = sync.NewCond(&p.mu)
	go p.accept()
	return p, nil
}

// Close ends all connections.
func (p *Proxy) Close() {
	p.listener.Close()
	p.Cut()
}

// Cut ends all connections and refuses new ones, as a server that is stopped does.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = true
	p.drop()
}

// drop ends all connections. The caller holds the lock.
func (p *Proxy) drop() {
	for c := range p.pairs {
		c.client.Close()
		c.server.Close()
	}
	p.change.Broadcast()
}

// Stall passes nothing on and closes nothing, as a host does that is gone without a word.
func (p *Proxy) Stall() { p.set(func() { p.stalled = true }) }

// Slow passes so many bytes a second on, in each direction of each connection.
func (p *Proxy) Slow(rate int) { p.set(func() { p.rate = rate }) }

// Heal ends what [Cut], [Stall] and [Slow] began. Connections that were stalled are ended:
// the other side has forgotten them.
func (p *Proxy) Heal() {
	p.set(func() {
		if p.stalled {
			p.drop()
		}
		p.refuse, p.stalled, p.rate = false, false, 0
	})
}

// OnReply calls f when a reply to a large request comes, before the client has it. Where f
// returns true the reply is held for good.
func (p *Proxy) OnReply(f func() (hold bool)) { p.set(func() { p.onReply = f }) }

func (p *Proxy) set(do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	do()
	p.change.Broadcast()
}

// Busy is how many large requests are under way.
func (p *Proxy) Busy() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		if c.asked >= LargeRequest {
			n++
		}
	}
	return n
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		go p.serve(client)
	}
}

func (p *Proxy) serve(client net.Conn) {
	defer client.Close()
	p.mu.Lock()
	refuse := p.refuse
	p.mu.Unlock()
	if refuse {
		return
	}
	server, err := net.DialTimeout("tcp", p.to, 5*time.Second)
	if err != nil {
		return
	}
	defer server.Close()
	c := &pair{client: client, server: server}
	p.mu.Lock()
	p.pairs[c] = struct{}{}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.pairs, c)
		p.mu.Unlock()
	}()
	var both sync.WaitGroup
	both.Go(func() { p.pass(c, server, client, p.request) })
	both.Go(func() { p.pass(c, client, server, p.reply) })
	both.Wait()
}

// pass copies one direction; see says whether what comes is passed on.
func (p *Proxy) pass(c *pair, to, from net.Conn, see func(*pair, []byte) bool) {
	defer to.Close() // the other direction ends, too
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if !see(c, buf[:n]) {
				io.Copy(io.Discard, from)
				return
			}
			p.wait(n)
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// wait is as long as a fault asks for.
func (p *Proxy) wait(n int) {
	p.mu.Lock()
	for p.stalled {
		p.change.Wait()
	}
	rate := p.rate
	p.mu.Unlock()
	if rate > 0 {
		time.Sleep(time.Duration(n) * time.Second / time.Duration(rate))
	}
}

func (p *Proxy) request(c *pair, b []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.asked += len(b)
	return true
}

func (p *Proxy) reply(c *pair, b []byte) bool {
	if !answers(b) {
		return true
	}
	p.mu.Lock()
	large, f := c.asked >= LargeRequest, p.onReply
	c.asked = 0
	p.mu.Unlock()
	return !large || f == nil || !f()
}

// answers says whether what a server sent has something of a reply: all of HTTP/1.1 has; of
// HTTP/2, where servers also grant windows and answer pings, frames of type DATA.
//
// Source: RFC 9113, section 4.1
func answers(b []byte) bool {
	if len(b) >= 5 && string(b[:5]) == "HTTP/" {
		return true
	}
	for len(b) >= 9 {
		length, kind := int(b[0])<<16|int(b[1])<<8|int(b[2]), b[3]
		if kind == 0 {
			return true
		}
		if kind > 9 || length > 1<<20 {
			return false // the midst of a frame, or no HTTP/2
		}
		b = b[min(9+length, len(b)):]
	}
	return false
}
