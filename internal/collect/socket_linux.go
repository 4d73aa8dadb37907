package collect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/flowbeam/flowbeam/flow"
)

// prepare sets a socket's options before it is bound.
func prepare(fd, buffer int, shared bool) error {
	if shared {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			return fmt.Errorf("SO_REUSEPORT: %w", err)
		}
		if err := takeNothing(fd); err != nil {
			return fmt.Errorf("SO_ATTACH_FILTER: %w", err)
		}
	}
	// With CAP_NET_ADMIN net.core.rmem_max does not bound it.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer) != nil {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, buffer); err != nil {
			return fmt.Errorf("SO_RCVBUF: %w", err)
		}
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return fmt.Errorf("SO_TIMESTAMPNS: %w", err)
	}
	return nil
}

// receiveBuffer is what the kernel has given, in bytes: it doubles what is asked for, for its own
// use (socket(7)).
func receiveBuffer(c *net.UDPConn) (n int, err error) {
	err = control(c, func(fd int) (err error) {
		n, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
		return err
	})
	return n / 2, err
}

// deafens says that deafen has an effect.
const deafens = true

// deafen makes a socket drop what comes from now on, by a filter that takes nothing. What it has in its
// buffer stays there, so that there is an end to reading it however much is sent. The kernel
// counts what the filter refuses with its drops.
func deafen(c *net.UDPConn) error {
	return control(c, takeNothing)
}

func takeNothing(fd int) error {
	nothing := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing})
}

// listen makes a socket that shares its port take what comes.
func listen(c *net.UDPConn) error {
	return control(c, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0) })
}

// receivedAt is when the kernel received a datagram, by its control messages; now where they do not
// say. It may have been in the buffer for long.
func receivedAt(oob []byte, now time.Time) flow.Time {
	for len(oob) > 0 {
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			break
		}
		if h.Level == unix.SOL_SOCKET && h.Type == unix.SCM_TIMESTAMPNS && len(data) == 16 {
			sec, nsec := binary.NativeEndian.Uint64(data), binary.NativeEndian.Uint64(data[8:])
			return flow.Time(sec)*flow.Time(time.Second) + flow.Time(nsec)
		}
		oob = rest
	}
	return flow.TimeOf(now)
}

// dropCounter reads how many datagrams the kernel dropped for a socket, its buffer being full. The
// kernel's number is of 32 bits and wraps.
type dropCounter struct {
	last  uint32
	known bool // drops can be read
}

// read returns what was dropped since it was called last.
//
// SO_RXQ_OVFL gives the same number, but with a datagram that is received, as it was when that one
// came: the drops after the last datagram would never be seen.
func (d *dropCounter) read(c *net.UDPConn) int64 {
	var n uint32
	err := control(c, func(fd int) (err error) {
		n, err = memDrops(fd)
		if err != nil {
			n, err = procDrops(fd)
		}
		return err
	})
	if d.known = err == nil; !d.known {
		return 0
	}
	more := n - d.last
	d.last = n
	return int64(more)
}

// memDrops asks by SO_MEMINFO, of Linux 4.12 (include/uapi/linux/sock_diag.h).
func memDrops(fd int) (uint32, error) {
	var info [9]uint32
	const drops = 8 // SK_MEMINFO_DROPS
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	switch {
	case errno != 0:
		return 0, errno
	case size < uint32(unsafe.Sizeof(info)):
		return 0, errors.ErrUnsupported
	}
	return info[drops], nil
}

// procDrops looks the socket up, by its inode, in /proc/net/udp and udp6, whose last column has its
// drops (proc(5)).
func procDrops(fd int) (uint32, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, err
	}
	inode := strconv.FormatUint(st.Ino, 10)
	for _, name := range []string{"/proc/net/udp", "/proc/net/udp6"} {
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) >= 13 && f[9] == inode {
				n, err := strconv.ParseUint(f[len(f)-1], 10, 32)
				return uint32(n), err
			}
		}
	}
	return 0, errors.ErrUnsupported
}
