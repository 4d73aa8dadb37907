package flow

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
)

// CommunityID computes the Community ID v1 of a 5-tuple: the same for both directions
// and for every observer, so that observations of one conversation can be stitched. For
// ICMP and ICMPv6 the ports are type and code. Protocols without ports leave them out;
// TCP, UDP, SCTP and ICMP without ports have no id, and neither has a tuple of mixed
// address families: it returns "".
//
// Ports are used again and tenants share addresses, so it is a stitching key together
// with time, never the identity of a record.
//
// Source: https://github.com/corelight/community-id-spec
func CommunityID(seed uint16, protocol Int, source, destination IP, sourcePort, destinationPort Int) string {
	sum, ok := communityHash(seed, protocol, source, destination, sourcePort, destinationPort)
	if !ok {
		return ""
	}
	var text [2 + 28]byte
	text[0], text[1] = '1', ':'
	base64.StdEncoding.Encode(text[2:], sum[:])
	return string(text[:])
}

// CommunityIDHex is CommunityID with the hash in hexadecimal, the specification's form
// without base64.
func CommunityIDHex(seed uint16, protocol Int, source, destination IP, sourcePort, destinationPort Int) string {
	sum, ok := communityHash(seed, protocol, source, destination, sourcePort, destinationPort)
	if !ok {
		return ""
	}
	return "1:" + hex.EncodeToString(sum[:])
}

// SetCommunityID computes r.CommunityID from the 5-tuple, where it is absent.
func (r *Record) SetCommunityID() {
	if r.CommunityID != "" {
		return
	}
	sport, dport := r.Source.Port, r.Destination.Port
	if r.ICMPType.OK {
		sport, dport = r.ICMPType, r.ICMPCode
	}
	r.CommunityID = CommunityID(0, r.Protocol, r.Source.IP, r.Destination.IP, sport, dport)
}

func communityHash(seed uint16, protocol Int, src, dst IP, sp, dp Int) (sum [sha1.Size]byte, ok bool) {
	if !protocol.OK || protocol.V < 0 || protocol.V > 255 || src.Len == 0 || src.Len != dst.Len {
		return sum, false
	}
	ports, oneWay := false, false
	switch protocol.V {
	case 6, 17, 132: // TCP, UDP, SCTP
		ports = true
	case 1, 58: // ICMP, ICMPv6: type and code take the place of ports
		ports = true
		dp, oneWay = icmpPorts(protocol.V == 58, sp, dp)
	}
	if ports && (!sp.OK || !dp.OK || uint64(sp.V) > 65535 || uint64(dp.V) > 65535) {
		return sum, false
	}
	a, b := src.B[:src.Len], dst.B[:dst.Len]
	pa, pb := sp.V, dp.V
	if c := bytes.Compare(a, b); !oneWay && (c > 0 || c == 0 && ports && pa > pb) {
		a, b, pa, pb = b, a, pb, pa
	}
	var buf [2 + 16 + 16 + 2 + 4]byte
	in := binary.BigEndian.AppendUint16(buf[:0], seed)
	in = append(in, a...)
	in = append(in, b...)
	in = append(in, byte(protocol.V), 0)
	if ports {
		in = binary.BigEndian.AppendUint16(in, uint16(pa))
		in = binary.BigEndian.AppendUint16(in, uint16(pb))
	}
	return sha1.Sum(in), true
}

// icmpPorts maps an ICMP type to its counterpart's, so that request and reply get one
// id. A type without counterpart is one-way: its code stays and it is never flipped.
func icmpPorts(v6 bool, typ, code Int) (port Int, oneWay bool) {
	if !typ.OK {
		return Int{}, false
	}
	pairs := icmp4Pairs
	if v6 {
		pairs = icmp6Pairs
	}
	if reply, ok := pairs[typ.V]; ok {
		return N(reply), false
	}
	return code, true
}

var (
	icmp4Pairs = bothWays(map[int64]int64{8: 0, 13: 14, 15: 16, 10: 9, 17: 18})
	icmp6Pairs = bothWays(map[int64]int64{128: 129, 133: 134, 135: 136, 130: 131, 144: 145, 139: 140})
)

func bothWays(m map[int64]int64) map[int64]int64 {
	out := make(map[int64]int64, 2*len(m))
	for k, v := range m {
		out[k], out[v] = v, k
	}
	return out
}
