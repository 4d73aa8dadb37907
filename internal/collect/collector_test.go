package collect

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/datagram"
	"github.com/flowbeam/flowbeam/internal/metrics"
	"github.com/flowbeam/flowbeam/internal/netflow"
	"github.com/flowbeam/flowbeam/internal/testenv"
)

// kept is a Sink that keeps what it is given.
type kept struct {
	mu        sync.Mutex
	envelopes []envelope
	hold      chan struct{} // not nil: it waits for it, or for the end of the time
}

type envelope struct {
	from     netip.AddrPort
	received flow.Time
	data     []byte
}

func opened(t testing.TB, b []byte) envelope {
	t.Helper()
	from, received, data, ok := datagram.OpenEnvelope(b)
	if !ok || !from.IsValid() {
		t.Errorf("no envelope: %x", b)
	}
	return envelope{from, received, bytes.Clone(data)}
}

func (k *kept) Write(ctx context.Context, it *Item) {
	if k.hold != nil {
		select {
		case <-k.hold:
		case <-ctx.Done():
			it.Lost()
			return
		}
	}
	from, received, data, _ := datagram.OpenEnvelope(it.Data)
	k.mu.Lock()
	k.envelopes = append(k.envelopes, envelope{from, received, bytes.Clone(data)})
	k.mu.Unlock()
	it.Written()
}

func (*kept) Idle(context.Context)        {}
func (*kept) Close(context.Context) error { return nil }

// running is a Collector that receives.
type running struct {
	testing.TB
	*Collector
	cancel context.CancelFunc
	done   chan struct{}
	sum    Summary
	err    error
}

func testConfig() Config {
	c := Defaults()
	c.Listen, c.ReceiveBuffer, c.Drain = []string{"127.0.0.1:0"}, 8<<20, 20*time.Second
	return c
}

func listening(t testing.TB, c Config) *Collector {
	t.Helper()
	x, problems := Listen(c)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return x
}

func start(t testing.TB, x *Collector, sink Sink) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{TB: t, Collector: x, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.sum, r.err = x.Run(ctx, sink)
	}()
	t.Cleanup(func() { cancel(); <-r.done })
	return r
}

// end stops it and returns what it did, whose numbers add up.
func (r *running) end() Summary {
	r.Helper()
	r.cancel()
	<-r.done
	if r.err != nil {
		r.Error(r.err)
	}
	for _, p := range r.sum.Check() {
		r.Error(p)
	}
	return r.sum
}

// loopbacks are the addresses of this machine by which tests talk: IPv6 may be off.
func loopbacks(t testing.TB) []string {
	t.Helper()
	if c, err := net.ListenPacket("udp", "[::1]:0"); err == nil {
		c.Close()
		return []string{"127.0.0.1:0", "[::1]:0"}
	}
	return []string{"127.0.0.1:0"}
}

// client is an exporter's socket.
func client(t testing.TB, to netip.AddrPort) *net.UDPConn {
	t.Helper()
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// inFlight is how many datagrams the smallest receive buffer that a system gives surely holds.
const inFlight = 50

func send(t testing.TB, c *net.UDPConn, datagrams ...[]byte) {
	t.Helper()
	for _, b := range datagrams {
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
	}
}

// payloads reads a file of datagrams with their lengths in front, 4 bytes each.
func payloads(t testing.TB, path string) (out [][]byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return split(t, b)
}

func split(t testing.TB, b []byte) (out [][]byte) {
	t.Helper()
	for len(b) > 0 {
		n := int(binary.BigEndian.Uint32(b))
		out = append(out, b[4:4+n])
		b = b[4+n:]
	}
	return out
}

func captures(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(testenv.Shared(t, "one-traffic"), "*", "*.lp"))
	if err != nil || len(files) == 0 {
		t.Fatal("no captures", err)
	}
	return files
}

// comparable puts records into the order of their ids, without what is not of the datagram.
func comparable(records []flow.Record) []flow.Record {
	records = slices.Clone(records)
	for i := range records {
		records[i].Position, records[i].Received = flow.Position{}, 0
	}
	slices.SortFunc(records, func(a, b flow.Record) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return records
}

// alone decodes each envelope by a Session that knows nothing.
func alone(t testing.TB, envelopes []envelope) (records []flow.Record, expired int) {
	t.Helper()
	var out netflow.Output
	for _, e := range slices.Backward(envelopes) { // any order
		s := netflow.NewSession(flow.IPOf(e.from.Addr()), netflow.Config{})
		if err := s.Decode(netflow.Datagram{Data: e.data, Received: e.received}, &out); err != nil {
			t.Error(err)
		}
		s.Close(&out)
	}
	return comparable(out.Records), len(out.Expired)
}

// inOrder decodes datagrams one after the other.
func inOrder(from netip.AddrPort, datagrams [][]byte) (records []flow.Record, expired int) {
	var out netflow.Output
	s := netflow.NewSession(flow.IPOf(from.Addr()), netflow.Config{})
	for _, b := range datagrams {
		_ = s.Decode(netflow.Datagram{Data: b, Received: nowTime()}, &out)
	}
	s.Close(&out)
	return comparable(out.Records), len(out.Expired)
}

func nowTime() flow.Time { return flow.TimeOf(time.Now()) }

// Each capture is sent by an exporter of its own, also backwards, data before templates, and all at
// once to several sockets. What comes out gives the records of the captures in order, each
// envelope by itself.
func TestWhatIsCollectedGivesTheRecordsOfItsDatagrams(t *testing.T) {
	for _, backwards := range []bool{false, true} {
		c := testConfig()
		c.Listen, c.Sockets = loopbacks(t), 3
		x, sink := listening(t, c), &kept{}
		r := start(t, x, sink)
		sent := map[netip.AddrPort][][]byte{}
		names := map[netip.AddrPort]string{}
		total := 0
		for i, name := range captures(t) {
			datagrams := payloads(t, name)
			if backwards {
				slices.Reverse(datagrams)
			}
			c := client(t, x.Addrs()[i%len(c.Listen)])
			sent[local(c)], names[local(c)] = datagrams, name
			for chunk := range slices.Chunk(datagrams, inFlight) {
				send(t, c, chunk...)
				total += len(chunk)
				waitFor(t, func() bool { return x.totals.Received.Load() == int64(total) })
			}
		}
		sum := r.end()
		if sum.Received != int64(total) || sum.Written != int64(total) || sum.KernelDrops != 0 || len(sum.Counts.Malformed) != 0 {
			t.Fatalf("sent %d: %+v", total, sum)
		}
		if backwards && (sum.Counts.NetFlow.Parked == 0 || sum.Counts.NetFlow.Recovered == 0) {
			t.Error("nothing waited for its template")
		}
		if int64(len(sink.envelopes)) != sum.Envelopes {
			t.Errorf("%d envelopes, counted %d", len(sink.envelopes), sum.Envelopes)
		}
		by := map[netip.AddrPort][]envelope{}
		for _, e := range sink.envelopes {
			by[e.from] = append(by[e.from], e)
			if d := time.Since(e.received.Std()); d < 0 || d > 10*time.Minute {
				t.Fatalf("received %v ago", d)
			}
		}
		records := 0
		for from, datagrams := range sent {
			name := filepath.Base(filepath.Dir(names[from])) + "/" + filepath.Base(names[from])
			if strings.Contains(name, "sflow") || strings.Contains(name, "netflow5") {
				if len(by[from]) != len(datagrams) {
					t.Errorf("%s: %d envelopes of %d datagrams", name, len(by[from]), len(datagrams))
					continue
				}
				for i, e := range by[from] {
					if !bytes.Equal(e.data, datagrams[i]) {
						t.Errorf("%s: datagram %d is not what was sent", name, i)
					}
				}
				continue
			}
			want, wantExpired := inOrder(from, datagrams)
			got, expired := alone(t, by[from])
			if d := cmp.Diff(want, got); d != "" || expired != wantExpired || len(got) == 0 {
				t.Errorf("%s, backwards %v: %d records, want %d; %d sets expired, want %d\n%.2000s", name, backwards, len(got), len(want), expired, wantExpired, d)
			}
			records += len(got)
		}
		t.Logf("%d datagrams of %d exporters, %d records of NetFlow v9 and IPFIX", total, len(sent), records)
	}
}

// While the receiver is held the kernel's buffer overflows. What it dropped and what was received
// is what was sent.
func TestWhatTheKernelDropsIsCounted(t *testing.T) {
	if !deafens {
		t.Skip("skipped: the kernel's drops are known on Linux alone")
	}
	c := testConfig()
	c.ReceiveBuffer = 64 << 10
	x, sink := listening(t, c), &kept{}
	held := make(chan struct{})
	x.receivers[0].held = held
	r := start(t, x, sink)
	exporter := client(t, x.Addrs()[0])
	const n = 3000
	for i := range n {
		send(t, exporter, fmt.Appendf(make([]byte, 1000), "%d", i))
	}
	close(held)
	sum := r.end()
	if sum.KernelDrops == 0 || sum.Received == 0 || sum.Received+sum.KernelDrops != n || !sum.KernelDropsKnown || sum.AfterStop != 0 {
		t.Errorf("sent %d: received %d, dropped by the kernel %d (known: %v), after the end %d", n, sum.Received, sum.KernelDrops, sum.KernelDropsKnown, sum.AfterStop)
	}
	t.Logf("sent %d: received %d, dropped by the kernel %d", n, sum.Received, sum.KernelDrops)
}

// What was sent before the end is written, though there is more and more, and the end comes.
func TestTheEndComesUnderFireAndLosesNothing(t *testing.T) {
	x, sink := listening(t, testConfig()), &kept{}
	held := make(chan struct{})
	x.receivers[0].held = held
	r := start(t, x, sink)
	exporter := client(t, x.Addrs()[0])
	const n = 100
	for i := range n {
		send(t, exporter, fmt.Appendf([]byte("before "), "%d", i))
	}
	stop := make(chan struct{})
	var fire sync.WaitGroup
	for range 2 {
		c := client(t, x.Addrs()[0])
		fire.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					c.Write([]byte("more"))
				}
			}
		})
	}
	r.cancel()
	waitFor(t, x.receivers[0].stopping.Load)
	send(t, exporter, []byte("late"))
	close(held) // all of it is still in the socket's buffer
	sum := r.end()
	close(stop)
	fire.Wait()
	got := 0
	for _, e := range sink.envelopes {
		if deafens && string(e.data) == "late" {
			t.Error("the socket takes what comes after the end")
		}
		if bytes.HasPrefix(e.data, []byte("before ")) {
			if string(e.data) != fmt.Sprintf("before %d", got) {
				t.Fatalf("%q in place of %d", e.data, got)
			}
			got++
		}
	}
	if got != n {
		t.Errorf("%d of %d are written", got, n)
	}
	if deafens && sum.AfterStop == 0 {
		t.Error("nothing came after the end: the test shows nothing")
	}
	t.Logf("%d written, %d came after the end", sum.Written, sum.AfterStop)
}

// slow is a Sink that takes its time.
type slow struct {
	kept
	each time.Duration
}

func (s *slow) Write(ctx context.Context, it *Item) {
	time.Sleep(s.each)
	s.kept.Write(ctx, it)
}

// At the end the sink's time is waited for, with the queue full and more in the socket's buffer.
func TestAtTheEndTheSinkIsWaitedFor(t *testing.T) {
	c := testConfig()
	c.QueueBytes = 2000
	x, sink := listening(t, c), &slow{each: 3 * quiet}
	held := make(chan struct{})
	x.receivers[0].held = held
	r := start(t, x, sink)
	exporter := client(t, x.Addrs()[0])
	const n = 10
	for range n {
		send(t, exporter, make([]byte, 900))
	}
	r.cancel()
	waitFor(t, x.receivers[0].stopping.Load)
	close(held)
	if sum := r.end(); sum.Written != n || len(sink.envelopes) != n {
		t.Errorf("%d of %d are written: %+v", len(sink.envelopes), n, sum)
	}
}

// The queue is bounded: what does not fit is counted, and the rest is written.
func TestWhatTheQueueCannotHoldIsDroppedAndCounted(t *testing.T) {
	c := testConfig()
	c.QueueBytes = 1 << 20
	x, sink := listening(t, c), &kept{hold: make(chan struct{})}
	r := start(t, x, sink)
	exporter := client(t, x.Addrs()[0])
	const n = 2000
	big := make([]byte, 1400)
	for i := range n {
		send(t, exporter, big)
		if i%inFlight == 0 { // the socket's buffer is not what is to overflow
			waitFor(t, func() bool { return x.totals.Received.Load() >= int64(i) })
		}
	}
	waitFor(t, func() bool { return x.totals.Received.Load() == n })
	if b := x.queue.bytes.Load(); b > 1<<20 || b < 1<<19 {
		t.Errorf("%d bytes in the queue", b)
	}
	close(sink.hold)
	r.cancel()
	<-r.done
	sum := r.sum
	if sum.DroppedQueue == 0 || sum.Written == 0 || sum.Written+sum.DroppedQueue != n || sum.Written != int64(len(sink.envelopes)) {
		t.Errorf("%+v", sum)
	}
	problems := fmt.Sprint(sum.Check())
	if !strings.Contains(problems, fmt.Sprintf("%d datagrams were received and not written", sum.DroppedQueue)) || strings.Contains(problems, "are") && strings.Contains(problems, "but") {
		t.Error(problems)
	}
}

// A sink that stands still does not keep the end from coming; what it did not take is counted.
func TestTheTimeToWriteIsBounded(t *testing.T) {
	c := testConfig()
	c.Drain = 200 * time.Millisecond
	x, sink := listening(t, c), &kept{hold: make(chan struct{})}
	r := start(t, x, sink)
	send(t, client(t, x.Addrs()[0]), []byte("a"), []byte("b"), []byte("c"))
	waitFor(t, func() bool { return x.totals.Received.Load() == 3 })
	r.cancel()
	<-r.done
	if r.sum.DroppedSink != 3 || r.sum.Written != 0 || len(r.sum.Check()) != 1 {
		t.Errorf("%+v", r.sum)
	}
}

func TestExportersThatAreNotAllowedAreRefused(t *testing.T) {
	c := testConfig()
	if c.Listen = loopbacks(t); len(c.Listen) < 2 {
		t.Skip("skipped: no IPv6 on this machine")
	}
	c.Allow = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("::1/128")}
	x, sink := listening(t, c), &kept{}
	r := start(t, x, sink)
	send(t, client(t, x.Addrs()[0]), []byte("a"), []byte("b"))
	send(t, client(t, x.Addrs()[1]), []byte("c"))
	sum := r.end()
	if sum.Received != 3 || sum.Refused != 2 || sum.Written != 1 || len(sink.envelopes) != 1 || string(sink.envelopes[0].data) != "c" {
		t.Errorf("%+v", sum)
	}
}

// One socket for IPv4 and IPv6 gives IPv4 addresses as such.
func TestOneSocketTakesBothFamilies(t *testing.T) {
	if len(loopbacks(t)) < 2 {
		t.Skip("skipped: no IPv6 on this machine")
	}
	c := testConfig()
	c.Listen = []string{":0"}
	x, sink := listening(t, c), &kept{}
	r := start(t, x, sink)
	port := x.Addrs()[0].Port()
	send(t, client(t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)), []byte("4"))
	send(t, client(t, netip.AddrPortFrom(netip.MustParseAddr("::1"), port)), []byte("6"))
	r.end()
	got := map[string]string{}
	for _, e := range sink.envelopes {
		got[string(e.data)] = e.from.Addr().String()
	}
	if d := cmp.Diff(map[string]string{"4": "127.0.0.1", "6": "::1"}, got); d != "" {
		t.Error(d)
	}
}

func TestMetricsAreTheSummary(t *testing.T) {
	x, sink := listening(t, testConfig()), &kept{}
	r := start(t, x, sink)
	defer metrics.Show(x)()
	exporter := client(t, x.Addrs()[0])
	send(t, exporter, []byte{0, 9, 0}, []byte("nothing that is known"), payloads(t, captures(t)[0])[0])
	sum := r.end()
	w := httptest.NewRecorder()
	metrics.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		`flowbeam_collect_datagrams_total{what="received"} 3`,
		`flowbeam_collect_datagrams_total{what="written"} 3`,
		`flowbeam_collect_malformed_total{reason="syntax"} 1`,
		`flowbeam_collect_malformed_total{reason="format"} 1`,
		`flowbeam_collect_formats_total{format="other"} 1`,
		`flowbeam_collect_formats_total{format="netflow9"} 1`,
		`flowbeam_collect_exporters 1`,
		`flowbeam_collect_kernel_drops_total{listen="127.0.0.1:0"} 0`,
		fmt.Sprintf(`flowbeam_collect_flow_records_total %d`, sum.Counts.NetFlow.Records),
	} {
		if !strings.Contains(w.Body.String(), want+"\n") && (deafens || !strings.Contains(want, "kernel")) {
			t.Errorf("%s is not in\n%s", want, w.Body)
		}
	}
	var text strings.Builder
	sum.Print(&text)
	for _, want := range []string{"received 3 datagrams", "written", "syntax", "netflow9", "dropped by the kernel"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, &text)
		}
	}
}

func TestAddressesThatCannotBeListenedOnAreAllTold(t *testing.T) {
	x := listening(t, testConfig())
	defer x.Close()
	taken := x.Addrs()[0].String()
	c := testConfig()
	c.Listen = []string{taken, "192.0.2.1:0", "127.0.0.1:0"}
	if _, problems := Listen(c); len(problems) != 2 {
		t.Errorf("%v", problems)
	}
}

func TestALessThanAskedBufferIsWarnedOf(t *testing.T) {
	if w := bufferWarning(32<<20, 4<<20); !strings.Contains(w, "4194304") || !strings.Contains(w, "rmem_max") {
		t.Error(w)
	}
	if w := bufferWarning(1000, 2304); w != "" {
		t.Error(w)
	}
	c := testConfig()
	c.ReceiveBuffer = 100_000
	x := listening(t, c)
	defer x.Close()
	if given := x.ReceiveBuffer(0); given != 100_000 {
		t.Errorf("given %d", given)
	}
}

// waitFor waits until something is so, which no event tells.
func waitFor(t testing.TB, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not within a minute")
		}
	}
}
