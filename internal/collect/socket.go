package collect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// open opens n sockets on an address, host:port, where the host may be left out: then it is
// IPv4 and IPv6. Several share the port, and the kernel gives all that comes from one
// address and port to one of them: which one changes with their number, so they are deaf until
// all are there.
func open(address string, n, buffer int) (conns []*net.UDPConn, given int, err error) {
	defer func() {
		if err != nil {
			for _, c := range conns {
				c.Close()
			}
			conns = nil
		}
	}()
	for range n {
		config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
			var inner error
			err := c.Control(func(fd uintptr) { inner = prepare(int(fd), buffer, n > 1) })
			return errors.Join(err, inner)
		}}
		c, err := config.ListenPacket(context.Background(), "udp", address)
		if err != nil {
			return conns, 0, err
		}
		conn := c.(*net.UDPConn)
		conns = append(conns, conn)
		if given, err = receiveBuffer(conn); err != nil {
			return conns, 0, err
		}
		// Where the port was left to the kernel the others take the same.
		host, _, _ := net.SplitHostPort(address)
		address = net.JoinHostPort(host, strconv.Itoa(int(local(conn).Port())))
	}
	if n > 1 {
		for _, conn := range conns {
			if err := listen(conn); err != nil {
				return conns, 0, err
			}
		}
	}
	return conns, given, nil
}

// control runs f with the connection's file descriptor.
func control(c *net.UDPConn, f func(fd int) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// empty says whether a socket's buffer has nothing to read. A read with a deadline does not tell:
// where the deadline is over before it begins, it does not look.
func empty(c *net.UDPConn) bool {
	err := control(c, func(fd int) error {
		var one [1]byte
		_, _, err := unix.Recvfrom(fd, one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return err
	})
	return err != nil
}

func local(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

// checkListen says what is wrong with an address to listen on.
func checkListen(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q: want an address such as :2055, 192.0.2.1:2055 or [2001:db8::1]:2055", address)
	}
	if _, err := netip.ParseAddr(host); host != "" && err != nil {
		return fmt.Errorf("%q: want an IP address of this machine or none in front of the port", address)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q: %q is no port", address, port)
	}
	return nil
}
