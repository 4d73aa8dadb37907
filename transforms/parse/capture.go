package parse

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/datagram"
)

// Files of datagrams: length-prefixed ones (four bytes, big-endian, then the datagram or its envelope),
// packet captures, pcap and pcapng, and a file that is one datagram. Of a capture the UDP
// payloads count, of packets that are whole; what is no UDP is passed over, and counted.

const (
	pcapHeaderSize = 24
	pcapRecordSize = 16
)

// pcapOrder is the byte order of a pcap file, nil for another file, and the length of the
// fraction of its times. Source: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap
func pcapOrder(head []byte) (order binary.ByteOrder, fraction time.Duration) {
	if len(head) < pcapHeaderSize {
		return nil, 0
	}
	for _, o := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		switch o.Uint32(head) {
		case 0xa1b2c3d4:
			return o, time.Microsecond
		case 0xa1b23c4d:
			return o, time.Nanosecond
		}
	}
	return nil, 0
}

const (
	pcapngSection   = 0x0a0d0d0a
	pcapngInterface = 1
	pcapngSimple    = 3
	pcapngEnhanced  = 6
)

func isPcapng(head []byte) bool {
	return len(head) >= 12 && binary.BigEndian.Uint32(head) == pcapngSection
}

// captureHeader is the header of a pcap file.
func captureHeader(head []byte) int {
	if order, _ := pcapOrder(head); order != nil {
		return pcapHeaderSize
	}
	return 0
}

// splitCapture finds the frames of a file of datagrams. head is what follows its header, so a pcap
// file is known by its first record, whose lengths are the same in both byte orders or not.
func splitCapture(head []byte) flow.Splitter {
	switch {
	case isPcapng(head):
		return &frameSplitter{fixed: 12, size: pcapngBlock}
	case isDatagram(head):
		return &frameSplitter{fixed: 1, size: func([]byte) int { return -1 }}
	case len(head) >= pcapRecordSize && pcapRecord(head) > 0:
		return &frameSplitter{fixed: pcapRecordSize, size: pcapRecord}
	}
	return &frameSplitter{fixed: 4, size: func(b []byte) int { return 4 + int(binary.BigEndian.Uint32(b)) }}
}

// pcapRecord is the length of a record of pcap, whatever the byte order: of the two lengths that it
// has, the captured one is not above that of the packet, and neither is above 256 KiB. 0: it is
// none.
func pcapRecord(b []byte) int {
	const longest = 256 << 10
	for _, o := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		captured, whole := o.Uint32(b[8:]), o.Uint32(b[12:])
		if captured > 0 && captured <= whole && whole <= longest {
			return pcapRecordSize + int(captured)
		}
	}
	return 0
}

// pcapngBlock is the length of a block of pcapng: of the two byte orders the one that is short.
func pcapngBlock(b []byte) int {
	little, big := binary.LittleEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[4:])
	return int(min(little, big))
}

// frameSplitter finds frames whose first bytes say how long they are.
type frameSplitter struct {
	fixed int                // bytes that say it
	size  func(b []byte) int // of the whole frame; less than fixed: all that is left is one unit
	begun bool
	head  []byte // of the frame, up to fixed
	left  int    // of the frame, once all of head is there
	all   bool   // what is left of the file is one unit
}

func (s *frameSplitter) Scan(b []byte) (n int, at flow.SplitEvent) {
	if len(b) == 0 {
		return 0, flow.SplitMore
	}
	if !s.begun {
		s.begun = true
		return 0, flow.SplitBegin
	}
	for len(s.head) < s.fixed {
		if n == len(b) {
			return n, flow.SplitMore
		}
		s.head = append(s.head, b[n])
		if n++; len(s.head) == s.fixed {
			// A frame of an impossible length ends the file: all of it becomes a dead letter.
			s.left = s.size(s.head) - s.fixed
			s.all = s.left < 0
		}
	}
	if s.all {
		return len(b), flow.SplitMore
	}
	take := min(s.left, len(b)-n)
	s.left -= take
	if s.left > 0 {
		return n + take, flow.SplitMore
	}
	s.begun, s.head = false, s.head[:0]
	return n + take, flow.SplitEnd
}

// capture is the [flow.Learner] of files of datagrams: it takes frames apart, and gives each datagram,
// in its envelope and with the templates that it needs.
type capture struct {
	header     string
	order      binary.ByteOrder // of pcap, or of the section of pcapng
	fraction   time.Duration    // of pcap
	link       uint32           // of pcap
	interfaces []pcapngLink     // of the section of pcapng
	ng         bool

	exporters
	others int64 // packets that are no UDP, or cut off
}

type pcapngLink struct {
	link uint32
	unit time.Duration // of its times; 0: it is finer than ns, and 10^-power s
}

func newCapture(header string) (*capture, error) {
	c := &capture{header: header}
	if order, fraction := pcapOrder([]byte(header)); order != nil {
		c.order, c.fraction, c.link = order, fraction, order.Uint32([]byte(header[20:]))&0x0fffffff
	}
	return c, nil
}

func (c *capture) Next(unit flow.Raw, emit func(flow.Raw)) {
	b := unit.Data
	switch {
	case c.order != nil && !c.ng:
		c.pcap(b, unit, emit)
	case c.ng || isPcapng(b):
		c.ng = true
		c.pcapng(b, unit, emit)
	case isDatagram(b): // a file that is one
		c.datagram(b, unit, emit)
	case len(b) > 4 && int(binary.BigEndian.Uint32(b))+4 == len(b):
		c.datagram(b[4:], unit, emit)
	default:
		c.pass(unit, b, emit)
	}
}

// pass gives a unit that can't be read, to become a dead letter.
func (c *capture) pass(unit flow.Raw, b []byte, emit func(flow.Raw)) {
	unit.Data = bytes.Clone(b)
	emit(unit)
}

// datagram takes one that is bare or in its envelope.
func (c *capture) datagram(b []byte, unit flow.Raw, emit func(flow.Raw)) {
	from, received, data, ok := datagram.OpenEnvelope(b)
	if !ok {
		c.pass(unit, b, emit)
		return
	}
	c.attach(from, received, data, unit, emit)
}

func (c *capture) Counts(tell func(name string, n int64)) {
	c.exporters.Counts(tell)
	tell("other_packets", c.others)
	c.others = 0
}

func (c *capture) pcap(b []byte, unit flow.Raw, emit func(flow.Raw)) {
	if len(b) < pcapRecordSize || pcapRecordSize+int(c.order.Uint32(b[8:])) != len(b) {
		c.pass(unit, b, emit)
		return
	}
	at := flow.Time(int64(c.order.Uint32(b))*1e9 + int64(c.order.Uint32(b[4:]))*int64(c.fraction))
	c.packet(c.link, at, b[pcapRecordSize:], unit, emit)
}

// pcapng reads a block: sections and interfaces say how to read the packets.
// Source: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng
func (c *capture) pcapng(b []byte, unit flow.Raw, emit func(flow.Raw)) {
	if len(b) < 12 {
		c.pass(unit, b, emit)
		return
	}
	if binary.BigEndian.Uint32(b) == pcapngSection {
		c.interfaces, c.order = nil, binary.LittleEndian
		if binary.BigEndian.Uint32(b[8:]) == 0x1a2b3c4d {
			c.order = binary.BigEndian
		}
		return
	}
	if c.order == nil {
		c.pass(unit, b, emit)
		return
	}
	body := b[8 : len(b)-4]
	switch c.order.Uint32(b) {
	case pcapngInterface:
		if len(body) < 8 {
			c.pass(unit, b, emit)
			return
		}
		c.interfaces = append(c.interfaces, pcapngLink{uint32(c.order.Uint16(body)), c.resolution(body[8:])})
	case pcapngEnhanced:
		if len(body) < 20 || int(c.order.Uint32(body)) >= len(c.interfaces) || int(c.order.Uint32(body[12:])) > len(body)-20 {
			c.pass(unit, b, emit)
			return
		}
		i := c.interfaces[c.order.Uint32(body)]
		ticks := uint64(c.order.Uint32(body[4:]))<<32 | uint64(c.order.Uint32(body[8:]))
		c.packet(i.link, flow.Time(ticks*uint64(i.unit)), body[20:20+c.order.Uint32(body[12:])], unit, emit)
	case pcapngSimple: // without a time
		if len(body) < 4 || len(c.interfaces) == 0 {
			c.pass(unit, b, emit)
			return
		}
		n := min(int(c.order.Uint32(body)), len(body)-4)
		c.packet(c.interfaces[0].link, unit.Time, body[4:4+n], unit, emit)
	}
}

// resolution is the unit of an interface's times: option 9, microseconds where it is not there.
func (c *capture) resolution(options []byte) time.Duration {
	for len(options) >= 4 {
		code, n := c.order.Uint16(options), int(c.order.Uint16(options[2:]))
		if 4+n > len(options) || code == 0 {
			break
		}
		if code == 9 && n == 1 && options[4] <= 9 {
			unit := time.Second
			for range options[4] {
				unit /= 10
			}
			return unit
		}
		options = options[min(len(options), 4+(n+3)/4*4):]
	}
	return time.Microsecond
}

// The link types that are read. Source: https://www.tcpdump.org/linktypes.html
const (
	linkNull     = 0
	linkEthernet = 1
	linkRaw      = 101
	linkLoop     = 108
	linkLinux    = 113
	linkIPv4     = 228
	linkIPv6     = 229
	linkLinux2   = 276
)

// packet gives the datagram of a UDP packet.
func (c *capture) packet(link uint32, at flow.Time, b []byte, unit flow.Raw, emit func(flow.Raw)) {
	from, payload, ok := udp(link, b)
	if !ok {
		c.others++
		return
	}
	c.attach(from, at, payload, unit, emit)
}

// udp finds the payload of a UDP packet that is whole and not a fragment.
func udp(link uint32, b []byte) (from netip.AddrPort, payload []byte, ok bool) {
	skip := map[uint32]int{linkNull: 4, linkLoop: 4, linkRaw: 0, linkIPv4: 0, linkIPv6: 0, linkLinux: 16, linkLinux2: 20, linkEthernet: 14}
	n, known := skip[link]
	if !known || len(b) < n {
		return from, nil, false
	}
	if link == linkEthernet {
		for n+4 <= len(b) && (binary.BigEndian.Uint16(b[n-2:]) == 0x8100 || binary.BigEndian.Uint16(b[n-2:]) == 0x88a8) {
			n += 4 // VLAN
		}
	}
	b = b[n:]
	if len(b) < 20 {
		return from, nil, false
	}
	var address netip.Addr
	switch b[0] >> 4 {
	case 4:
		size, whole := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
		if b[9] != 17 || binary.BigEndian.Uint16(b[6:])&0x3fff != 0 || size < 20 || whole < size || whole > len(b) {
			return from, nil, false
		}
		address = netip.AddrFrom4([4]byte(b[12:16]))
		b = b[size:whole]
	case 6:
		if len(b) < 40 || b[6] != 17 || 40+int(binary.BigEndian.Uint16(b[4:])) > len(b) {
			return from, nil, false
		}
		address = netip.AddrFrom16([16]byte(b[8:24]))
		b = b[40 : 40+int(binary.BigEndian.Uint16(b[4:]))]
	default:
		return from, nil, false
	}
	if len(b) < 8 || int(binary.BigEndian.Uint16(b[4:])) > len(b) || binary.BigEndian.Uint16(b[4:]) < 8 {
		return from, nil, false
	}
	return netip.AddrPortFrom(address, binary.BigEndian.Uint16(b)), b[8:binary.BigEndian.Uint16(b[4:])], true
}
