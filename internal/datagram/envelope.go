package datagram

import (
	"encoding/binary"
	"net/netip"

	"github.com/flowbeam/flowbeam/flow"
)

// An envelope is a datagram with what only its receiver knows: when it came and from where. What
// collectors write is envelopes, in Kafka, Pub/Sub and files alike.
//
//	2 bytes  0xFB 0x01: no datagram of NetFlow, IPFIX or sFlow begins so
//	8 bytes  when it was received, ns since the epoch
//	2 bytes  the exporter's port
//	1 byte   length of its address: 4 or 16, 0 where it is not known
//	n bytes  its address
//	         the datagram
//
// Numbers are big-endian. The layout is for ever: raw backups hold it.
const (
	envelopeMagic   = 0xFB
	envelopeVersion = 1
	envelopeFixed   = 13
)

// AppendEnvelope appends the datagram in its envelope.
func AppendEnvelope(b []byte, from netip.AddrPort, received flow.Time, data []byte) []byte {
	b = append(b, envelopeMagic, envelopeVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(received))
	b = binary.BigEndian.AppendUint16(b, from.Port())
	address := from.Addr().Unmap().AsSlice()
	b = append(b, byte(len(address)))
	b = append(b, address...)
	return append(b, data...)
}

// OpenEnvelope reads one. What does not begin as an envelope is a bare datagram: ok is true, and
// nothing is known of it. ok is false for an envelope that is cut off, or of another version. data
// is part of b.
func OpenEnvelope(b []byte) (from netip.AddrPort, received flow.Time, data []byte, ok bool) {
	if len(b) == 0 || b[0] != envelopeMagic {
		return from, 0, b, true
	}
	if len(b) < envelopeFixed || b[1] != envelopeVersion {
		return from, 0, nil, false
	}
	n := int(b[envelopeFixed-1])
	if n != 0 && n != 4 && n != 16 || len(b) < envelopeFixed+n {
		return from, 0, nil, false
	}
	received = flow.Time(binary.BigEndian.Uint64(b[2:]))
	address, _ := netip.AddrFromSlice(b[envelopeFixed : envelopeFixed+n])
	return netip.AddrPortFrom(address, binary.BigEndian.Uint16(b[10:])), received, b[envelopeFixed+n:], true
}
