//go:build unix && !linux

package collect

import (
	"errors"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flowbeam/flowbeam/flow"
)

// prepare sets a socket's options before it is bound.
func prepare(fd, buffer int, shared bool) error {
	if shared {
		return errors.New("several sockets on one port: only on Linux, where the kernel keeps an exporter on one of them")
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, buffer)
}

// receiveBuffer is what the kernel has given, in bytes.
func receiveBuffer(c *net.UDPConn) (n int, err error) {
	err = control(c, func(fd int) (err error) {
		n, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
		return err
	})
	return n, err
}

// deafens says that deafen has an effect.
const deafens = false

func deafen(*net.UDPConn) error { return nil }

func listen(*net.UDPConn) error { return nil }

func receivedAt(_ []byte, now time.Time) flow.Time { return flow.TimeOf(now) }

// dropCounter: what the kernel drops is not known here.
type dropCounter struct{ known bool }

func (*dropCounter) read(*net.UDPConn) int64 { return 0 }
