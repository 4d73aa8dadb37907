package collect

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// Config says what is received.
type Config struct {
	Listen        []string       // addresses, such as :2055
	Sockets       int            // of each address
	ReceiveBuffer int            // bytes that are asked for a socket
	Allow         []netip.Prefix // of exporters; none: all
	QueueBytes    int            // envelopes between receivers and sink
	MaxExporters  int            // that a socket remembers
	Forget        time.Duration  // an exporter that is silent for so long
	Drain         time.Duration  // at the end, until what is not written is lost
	Report        time.Duration  // between lines of the log, where something is dropped
}

// Defaults are what most need.
func Defaults() Config {
	return Config{
		Listen: []string{":2055", ":4739", ":6343"}, Sockets: 1, ReceiveBuffer: 32 << 20, QueueBytes: 64 << 20,
		MaxExporters: 4096, Forget: 24 * time.Hour, Drain: 30 * time.Second, Report: 10 * time.Second,
	}
}

// maxParked bounds the bytes that wait for templates in a socket's Sessions.
const maxParked = 64 << 20

// Check returns every problem of the configuration.
func (c *Config) Check() (problems []error) {
	add := func(flag, format string, args ...any) {
		problems = append(problems, fmt.Errorf("--"+flag+": "+format, args...))
	}
	if len(c.Listen) == 0 {
		add("listen", "want an address such as :2055")
	}
	seen := map[string]bool{}
	for _, l := range c.Listen {
		if err := checkListen(l); err != nil {
			add("listen", "%w", err)
		} else if seen[l] {
			add("listen", "%q is there twice", l)
		}
		seen[l] = true
	}
	if c.Sockets < 1 || c.Sockets > 64 {
		add("sockets", "%d is not within 1 and 64", c.Sockets)
	}
	if c.ReceiveBuffer < 1 || c.ReceiveBuffer > 1<<30 {
		add("receive_buffer", "%d is not within 1 and 1,073,741,824 bytes", c.ReceiveBuffer)
	}
	if c.QueueBytes < 1<<20 {
		add("queue", "%d: want 1,048,576 bytes at least", c.QueueBytes)
	}
	if c.MaxExporters < 1 {
		add("max_exporters", "%d is not positive", c.MaxExporters)
	}
	for flag, d := range map[string]time.Duration{"forget": c.Forget, "drain": c.Drain, "report": c.Report} {
		if d <= 0 {
			add(flag, "%v is not positive", d)
		}
	}
	return problems
}

// Collector has sockets, and runs once.
type Collector struct {
	config    Config
	totals    Totals
	queue     *queue
	receivers []*receiver
	begun     time.Time
	life      context.Context
	die       context.CancelFunc
}

// Listen opens the sockets. The errors are of all addresses that cannot be listened on.
func Listen(c Config) (*Collector, []error) {
	x := &Collector{config: c, queue: newQueue(c.QueueBytes), begun: time.Now()}
	x.life, x.die = context.WithCancel(context.Background())
	var problems []error
	for _, l := range c.Listen {
		conns, given, err := open(l, c.Sockets, c.ReceiveBuffer)
		if err != nil {
			problems = append(problems, fmt.Errorf("--listen: %w", err))
			continue
		}
		for _, conn := range conns {
			r := &receiver{conn: conn, listen: l, given: given, queue: x.queue, life: x.life, trouble: trouble{what: "collect: receiving failed, it goes on"}}
			r.intake = intake{
				totals: &x.totals, allow: c.Allow, maxExporters: c.MaxExporters, forget: c.Forget, maxParked: maxParked, emit: r.pass,
			}
			r.drops.read(conn) // what it refused while the others were opened
			x.receivers = append(x.receivers, r)
		}
	}
	if len(problems) > 0 {
		x.Close()
	}
	return x, problems
}

// Addrs are the addresses that are listened on, of each of Config.Listen.
func (x *Collector) Addrs() (addrs []netip.AddrPort) {
	for i := 0; i < len(x.receivers); i += x.config.Sockets {
		addrs = append(addrs, local(x.receivers[i].conn))
	}
	return addrs
}

// ReceiveBuffer is what the kernel gave a socket of the i-th address, in bytes.
func (x *Collector) ReceiveBuffer(i int) int { return x.receivers[i*x.config.Sockets].given }

// Warnings are what does not keep the Collector from running.
func (x *Collector) Warnings() (warnings []string) {
	for i := 0; i < len(x.receivers); i += x.config.Sockets {
		r := x.receivers[i]
		if w := bufferWarning(x.config.ReceiveBuffer, r.given); w != "" {
			warnings = append(warnings, r.listen+": "+w)
		}
	}
	return warnings
}

func bufferWarning(asked, given int) string {
	if given >= asked {
		return ""
	}
	return fmt.Sprintf("the kernel gave a receive buffer of %d bytes, asked were %d: raise net.core.rmem_max (sysctl), or give the program CAP_NET_ADMIN", given, asked)
}

// Close closes the sockets.
func (x *Collector) Close() {
	for _, r := range x.receivers {
		r.conn.Close()
	}
}

// Run receives until ctx ends. Then the sockets take nothing more, what is in their buffers is
// read, what waits for templates is passed on, and all is written, within Config.Drain. The
// error is the sink's.
func (x *Collector) Run(ctx context.Context, sink Sink) (Summary, error) {
	defer x.Close()
	defer x.die()
	var readers sync.WaitGroup
	for _, r := range x.receivers {
		readers.Go(r.run)
	}
	over := make(chan struct{})
	written := make(chan error, 1)
	go func() { written <- x.write(sink) }()
	reported := make(chan struct{})
	go func() { defer close(reported); x.report(over) }()

	<-ctx.Done()
	timer := time.AfterFunc(x.config.Drain, x.die)
	defer timer.Stop()
	for _, r := range x.receivers {
		r.stop()
	}
	readers.Wait()
	close(over)
	<-reported
	for _, r := range x.receivers {
		r.countDrops()
	}
	close(x.queue.items)
	err := <-written
	return x.summary(), err
}

// idleEvery is how often a sink may look at the clock.
const idleEvery = 200 * time.Millisecond

// write takes from the queue to its end.
func (x *Collector) write(sink Sink) error {
	tick := time.NewTicker(idleEvery)
	defer tick.Stop()
	for {
		select {
		case it, ok := <-x.queue.items:
			if !ok {
				return sink.Close(x.life)
			}
			x.queue.took(it)
			sink.Write(x.life, it)
		case <-tick.C:
			sink.Idle(x.life)
		}
	}
}

// report asks the kernel for its drops, and logs what was lost, until over is closed.
func (x *Collector) report(over chan struct{}) {
	ask, tell := time.NewTicker(min(time.Second, x.config.Report)), time.NewTicker(x.config.Report)
	defer ask.Stop()
	defer tell.Stop()
	kernel := map[string]int64{}
	var queue, failed int64
	for {
		ended := false
		select {
		case <-over:
			ended = true
		case <-ask.C:
			for _, r := range x.receivers {
				kernel[r.listen] += r.countDrops()
			}
			continue
		case <-tell.C:
		}
		for _, l := range x.config.Listen {
			if n := kernel[l]; n > 0 {
				slog.Warn("collect: the kernel dropped datagrams, the receive buffer being full", "listen", l, "datagrams", n)
			}
		}
		clear(kernel)
		if n := x.totals.DroppedQueue.Load(); n > queue {
			slog.Warn("collect: datagrams were dropped, the sink being too slow and the queue full", "datagrams", n-queue, "queue_bytes", x.queue.bytes.Load())
			queue = n
		}
		if n := x.totals.DroppedSink.Load(); n > failed {
			slog.Warn("collect: datagrams were dropped, the sink having failed", "datagrams", n-failed)
			failed = n
		}
		if ended {
			return
		}
	}
}
