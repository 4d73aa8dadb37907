package parse

import (
	"strings"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/extension"
)

// zeekField is a column of Zeek's conn.log that the record has a place for.
//
// Source: https://docs.zeek.org/en/master/scripts/base/protocols/conn/main.zeek.html
type zeekField int8

const (
	zeekOther zeekField = iota // kept as an extension
	zeekTS
	zeekUID
	zeekOrigH
	zeekOrigP
	zeekRespH
	zeekRespP
	zeekProto
	zeekService
	zeekDuration
	zeekOrigBytes
	zeekRespBytes
	zeekConnState
	zeekLocalOrig
	zeekLocalResp
	zeekMissedBytes
	zeekHistory
	zeekOrigPkts
	zeekOrigIPBytes
	zeekRespPkts
	zeekRespIPBytes
	zeekIPProto
	zeekOrigMAC
	zeekRespMAC
	zeekVLAN
	zeekCommunityID
)

// zeekNames has the scope separator as '.', whatever the log has.
var zeekNames = map[string]zeekField{
	"ts": zeekTS, "uid": zeekUID, "proto": zeekProto, "service": zeekService, "duration": zeekDuration,
	"id.orig_h": zeekOrigH, "id.orig_p": zeekOrigP, "id.resp_h": zeekRespH, "id.resp_p": zeekRespP,
	"src": zeekOrigH, "src_port": zeekOrigP, "dst": zeekRespH, "dst_port": zeekRespP, // the manual's example of a field name map
	"orig_bytes": zeekOrigBytes, "resp_bytes": zeekRespBytes, "conn_state": zeekConnState,
	"local_orig": zeekLocalOrig, "local_resp": zeekLocalResp, "missed_bytes": zeekMissedBytes, "history": zeekHistory,
	"orig_pkts": zeekOrigPkts, "orig_ip_bytes": zeekOrigIPBytes, "resp_pkts": zeekRespPkts, "resp_ip_bytes": zeekRespIPBytes,
	"ip_proto": zeekIPProto, "orig_l2_addr": zeekOrigMAC, "resp_l2_addr": zeekRespMAC, "vlan": zeekVLAN,
	"community_id": zeekCommunityID,
}

// zeekFieldNamed finds a column. The four of the id record may be joined by any scope
// separator of one byte.
func zeekFieldNamed(name string) zeekField {
	if f := zeekNames[name]; f != zeekOther {
		return f
	}
	if len(name) == len("id.orig_h") && strings.HasPrefix(name, "id") {
		return zeekNames["id."+name[3:]]
	}
	return zeekOther
}

// isConn says whether a column is one that only conn.log has: other Zeek logs have times,
// uids and addresses too, and would pass for flows without counters.
func (f zeekField) isConn() bool {
	switch f {
	case zeekConnState, zeekHistory, zeekOrigPkts, zeekRespPkts, zeekOrigIPBytes, zeekMissedBytes:
		return true
	}
	return false
}

// zeekRecord collects what only together makes sense.
type zeekRecord struct {
	r            *flow.Record
	duration     flow.Int // ns
	proto        string
	origP, respP flow.Int
	ipProto      flow.Int
	local        [2]byte // T, F or 0 (unset)
	// The texts of which the id is made.
	uid, tsText, durationText string
}

// set fills one field. text is a value, not the mark of an unset one.
func (z *zeekRecord) set(f zeekField, name, text string) (err error) {
	r := z.r
	switch f {
	case zeekTS:
		z.tsText = text
		r.Start, err = zeekTime(name, text)
	case zeekUID:
		z.uid = text
	case zeekOrigH:
		err = setAddress(&r.Source.IP, name, text)
	case zeekRespH:
		err = setAddress(&r.Destination.IP, name, text)
	case zeekOrigP:
		err = setPort(&z.origP, name, text)
	case zeekRespP:
		err = setPort(&z.respP, name, text)
	case zeekProto:
		z.proto = text
	case zeekService:
		r.Application = text
	case zeekDuration:
		z.durationText = text
		var ns int64
		if ns, err = nanoseconds(name, text, seconds); err == nil {
			z.duration = flow.N(ns)
		}
	case zeekOrigBytes:
		err = setCount(&r.Source.PayloadBytes, name, text)
	case zeekRespBytes:
		err = setCount(&r.Destination.PayloadBytes, name, text)
	case zeekConnState:
		r.ConnectionState = text
	case zeekLocalOrig:
		z.local[0], err = zeekBool(name, text)
	case zeekLocalResp:
		z.local[1], err = zeekBool(name, text)
	case zeekMissedBytes:
		err = setCount(&r.MissedBytes, name, text)
	case zeekHistory:
		r.History = text
	case zeekOrigPkts:
		err = setCount(&r.Source.Packets, name, text)
	case zeekRespPkts:
		err = setCount(&r.Destination.Packets, name, text)
	case zeekOrigIPBytes:
		err = setCount(&r.Source.Bytes, name, text)
	case zeekRespIPBytes:
		err = setCount(&r.Destination.Bytes, name, text)
	case zeekIPProto:
		z.ipProto, err = integer(name, text, 255)
	case zeekOrigMAC:
		r.Source.MAC = text
	case zeekRespMAC:
		r.Destination.MAC = text
	case zeekVLAN:
		r.VLAN, err = integer(name, text, 4095)
	case zeekCommunityID:
		r.CommunityID = text
	}
	return err
}

// finish makes the record of what was set.
func (z *zeekRecord) finish(ext *extension.List) error {
	r := z.r
	switch {
	case z.tsText == "":
		return missing("ts")
	case !r.Source.IP.OK():
		return missing("id.orig_h")
	case !r.Destination.IP.OK():
		return missing("id.resp_h")
	}
	r.EventTime, r.TimeQuality = r.Start, "no_end"
	if z.duration.OK {
		if r.End = r.Start + flow.Time(z.duration.V); r.End < r.Start {
			return flow.Reject(flow.ReasonValue, "duration: %s ends beyond the year 2261", quoted(z.durationText))
		}
		r.EventTime, r.TimeQuality = r.End, ""
	}
	z.transport(ext)
	switch z.local {
	case [2]byte{'T', 'F'}:
		r.Direction = "egress"
	case [2]byte{'F', 'T'}:
		r.Direction = "ingress"
	case [2]byte{'T', 'T'}:
		r.Direction = "internal"
	case [2]byte{'F', 'F'}:
		r.Direction = "external"
	}
	// The counters are of the whole connection: a long one that is logged more than once
	// says more each time.
	r.CounterSemantics = "total"
	if r.Source.Bytes.OK || r.Destination.Bytes.OK {
		r.ByteLayer = "ip"
	}
	// A long connection is logged more than once, with another duration each time.
	if z.uid != "" {
		r.ID = flow.NewIDText(r.Format, z.uid, z.tsText, z.durationText)
	}
	return nil
}

// transport sets protocol and ports. For ICMP Zeek writes the type as the originator's
// port, and as the responder's the code, or the counterpart's type where there is one.
// Where it knows no transport the ports are filler.
func (z *zeekRecord) transport(ext *extension.List) {
	r := z.r
	switch z.proto {
	case "tcp":
		r.Protocol = flow.N(6)
	case "udp":
		r.Protocol = flow.N(17)
	case "sctp":
		r.Protocol = flow.N(132)
	case "icmp":
		r.Protocol = flow.N(1)
		if r.Source.IP.Len == 16 {
			r.Protocol = flow.N(58)
		}
	}
	if z.ipProto.OK {
		r.Protocol = z.ipProto
	}
	switch z.proto {
	case "icmp":
		r.ICMPType = z.origP
		if z.origP.OK && z.respP.OK && icmpCounterpart(r.Protocol.V, z.origP.V) != z.respP.V {
			r.ICMPCode = z.respP
		}
	case "unknown_transport":
		portless(ext, "id.orig_p", &z.origP)
		portless(ext, "id.resp_p", &z.respP)
	default:
		r.Source.Port, r.Destination.Port = z.origP, z.respP
	}
}

// icmpCounterpart is the type that answers an ICMP type, or -1.
func icmpCounterpart(protocol, typ int64) int64 {
	pairs := [...][2]int64{{8, 0}, {13, 14}, {15, 16}, {10, 9}, {17, 18}, {-1, -1}}
	if protocol == 58 {
		pairs = [...][2]int64{{128, 129}, {130, 131}, {133, 134}, {135, 136}, {139, 140}, {144, 145}}
	}
	for _, p := range pairs {
		switch typ {
		case p[0]:
			return p[1]
		case p[1]:
			return p[0]
		}
	}
	return -1
}

// zeekTime reads seconds since the epoch, or ISO 8601 as JSON logs may have it.
func zeekTime(name, text string) (flow.Time, error) {
	if strings.IndexByte(text, 'T') > 0 {
		return timestamp(name, text)
	}
	ns, err := nanoseconds(name, text, seconds)
	return flow.Time(ns), err
}

func zeekBool(name, text string) (byte, error) {
	switch text {
	case "T", "true":
		return 'T', nil
	case "F", "false":
		return 'F', nil
	}
	return 0, wrongType(name, "T or F", text)
}
