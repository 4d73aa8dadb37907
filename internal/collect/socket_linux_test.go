package collect

import (
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flowbeam/flowbeam/flow"
)

// Both ways to ask for the kernel's drops say the same, which is what is missing.
func TestBothCountsOfDropsAreTheKernels(t *testing.T) {
	conns, _, err := open("127.0.0.1:0", 1, 16<<10)
	if err != nil {
		t.Fatal(err)
	}
	conn := conns[0]
	defer conn.Close()
	exporter := client(t, local(conn))
	const n = 500
	for range n {
		send(t, exporter, make([]byte, 500))
	}
	got := 0
	buf := make([]byte, 1000)
	for !empty(conn) {
		if _, err := conn.Read(buf); err != nil {
			t.Fatal(err)
		}
		got++
	}
	if err := control(conn, func(fd int) error {
		mem, err := memDrops(fd)
		if err != nil {
			return err
		}
		proc, err := procDrops(fd)
		if int(mem) != n-got || proc != mem || got == 0 || got == n {
			t.Errorf("%d of %d received, drops %d by SO_MEMINFO and %d by /proc/net/udp", got, n, mem, proc)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	d := dropCounter{last: ^uint32(0)} // it wraps
	if more := d.read(conn); more != int64(n-got)+1 {
		t.Errorf("%d more, want %d", more, n-got+1)
	}
}

// The time is that at which the kernel had the datagram, not that at which it was read.
func TestDatagramsHaveTheKernelsTime(t *testing.T) {
	conns, _, err := open("127.0.0.1:0", 1, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	conn := conns[0]
	defer conn.Close()
	before := time.Now()
	send(t, client(t, local(conn)), []byte("a"))
	after := time.Now()
	oob := make([]byte, 256)
	_, n, _, _, err := conn.ReadMsgUDPAddrPort(make([]byte, 10), oob)
	if err != nil {
		t.Fatal(err)
	}
	at := receivedAt(oob[:n], after.Add(time.Hour)).Std()
	if at.Before(before.Add(-time.Millisecond)) || at.After(after.Add(time.Millisecond)) {
		t.Errorf("%v, sent between %v and %v", at, before, after)
	}
	if got := receivedAt(nil, after); got != flow.TimeOf(after) {
		t.Errorf("without the kernel's: %v", got)
	}
}

// Sockets that share a port take nothing before all of them are there, and what they refused is no loss.
func TestSocketsOfOnePortBeginTogether(t *testing.T) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			if err := prepare(int(fd), 1<<20, true); err != nil {
				t.Error(err)
			}
		})
	}}
	c, err := config.ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	conn := c.(*net.UDPConn)
	exporter := client(t, local(conn))
	send(t, exporter, []byte("early"))
	if !empty(conn) {
		t.Error("it takes what comes before the others are there")
	}
	if err := listen(conn); err != nil {
		t.Fatal(err)
	}
	send(t, exporter, []byte("later"))
	if empty(conn) {
		t.Error("it stays deaf")
	}
}

// One exporter's datagrams are all in one socket, and exporters are spread.
func TestTheKernelKeepsAnExporterOnOneSocket(t *testing.T) {
	conns, _, err := open("127.0.0.1:0", 4, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for range 40 {
		exporter := client(t, local(conns[0]))
		for range 5 {
			send(t, exporter, []byte("a"))
		}
	}
	used := 0
	for _, c := range conns {
		defer c.Close()
		by := map[uint16]int{}
		for !empty(c) {
			_, from, err := c.ReadFromUDPAddrPort(make([]byte, 10))
			if err != nil {
				t.Fatal(err)
			}
			by[from.Port()]++
		}
		if len(by) > 0 {
			used++
		}
		for port, n := range by {
			if n != 5 {
				t.Errorf("%d of 5 datagrams of port %d are in one socket", n, port)
			}
		}
	}
	if used < 2 {
		t.Errorf("%d sockets are used", used)
	}
	// One socket alone does not share its port.
	alone, _, err := open("127.0.0.1:0", 1, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer alone[0].Close()
	if more, _, err := open(local(alone[0]).String(), 1, 1<<20); err == nil {
		more[0].Close()
		t.Error("another takes the port of one that is not shared")
	}
	control(alone[0], func(fd int) error {
		if v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT); err != nil || v != 0 {
			t.Errorf("SO_REUSEPORT %d, %v", v, err)
		}
		return nil
	})
}
