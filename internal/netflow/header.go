package netflow

import (
	"encoding/binary"
	"time"

	"github.com/flowbeam/flowbeam/flow"
)

// The versions, as the first two bytes of a datagram have them.
const (
	V5    = 5
	V9    = 9
	IPFIX = 10
)

const (
	v5HeaderSize    = 24
	v9HeaderSize    = 20
	ipfixHeaderSize = 16
)

// header is what the first bytes of a datagram say.
type header struct {
	version uint16
	size    int       // of the header
	end     int       // of the message in the datagram
	uptime  uint32    // ms since the exporter booted: v5, v9
	export  flow.Time // when it sent the datagram: whole seconds but in v5
	seq     uint32
	domain  uint32
	count   int // as claimed: v5, v9
}

// formatName is the Record.Format of a version.
func formatName(version uint16) string {
	switch version {
	case V5:
		return "netflow5"
	case V9:
		return "netflow9"
	}
	return "ipfix"
}

// Version is the version that a datagram claims, 0 where it is too short to say. Only 5, 9
// and 10 can be decoded.
func Version(datagram []byte) int {
	if len(datagram) < 2 {
		return 0
	}
	return int(binary.BigEndian.Uint16(datagram))
}

func readHeader(b []byte) (h header, err error) {
	if len(b) < 2 {
		return h, flow.Reject(flow.ReasonSyntax, "version: the datagram has %d bytes", len(b))
	}
	h.version, h.end = binary.BigEndian.Uint16(b), len(b)
	switch h.version {
	case V5:
		h.size = v5HeaderSize
	case V9:
		h.size = v9HeaderSize
	case IPFIX:
		h.size = ipfixHeaderSize
	default:
		return h, flow.Reject(flow.ReasonFormat, "version: %d is none of 5, 9 and 10 (IPFIX)", h.version)
	}
	if len(b) < h.size {
		return h, flow.Reject(flow.ReasonSyntax, "header: %d bytes, version %d has %d", len(b), h.version, h.size)
	}
	be := binary.BigEndian
	switch h.version {
	case V5:
		h.count, h.uptime = int(be.Uint16(b[2:])), be.Uint32(b[4:])
		h.export = seconds(be.Uint32(b[8:])) + flow.Time(be.Uint32(b[12:])%1e9)
		h.seq, h.domain = be.Uint32(b[16:]), uint32(be.Uint16(b[20:]))
	case V9:
		h.count, h.uptime = int(be.Uint16(b[2:])), be.Uint32(b[4:])
		h.export = seconds(be.Uint32(b[8:]))
		h.seq, h.domain = be.Uint32(b[12:]), be.Uint32(b[16:])
	case IPFIX:
		h.end = int(be.Uint16(b[2:]))
		h.export = seconds(be.Uint32(b[4:]))
		h.seq, h.domain = be.Uint32(b[8:]), be.Uint32(b[12:])
		if h.end < ipfixHeaderSize || h.end > len(b) {
			return h, flow.Reject(flow.ReasonSyntax, "length: the header claims %d bytes, the datagram has %d", h.end, len(b))
		}
	}
	return h, nil
}

func seconds(s uint32) flow.Time { return flow.Time(s) * flow.Time(time.Second) }
