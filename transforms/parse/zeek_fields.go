package parse

import (
	"math"
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
	zeekUID
	zeekTS
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
	zeekFields // how many
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

// isText says whether every text is a value, the empty one, too.
func (f zeekField) isText() bool {
	switch f {
	case zeekOther, zeekUID, zeekProto, zeekService, zeekConnState, zeekHistory, zeekOrigMAC, zeekRespMAC, zeekCommunityID:
		return true
	}
	return false
}

// zeekTexts are texts by field: "" where there is none.
type zeekTexts [zeekFields]string

// zeekRecord makes a record of the values of a row.
type zeekRecord struct {
	r      *flow.Record
	values zeekTexts
	names  *zeekTexts // of the columns, for errors
	err    error      // the first
	// What only together makes sense.
	duration     flow.Int // ns
	origP, respP flow.Int
	ipProto      flow.Int
}

// fill makes the record, in the order of Zeek's own columns: of a row that is shifted the leftmost
// value is what is refused. One value after the other is quicker than a switch for each column.
func (z *zeekRecord) fill(ext *extension.List) error {
	r, v := z.r, &z.values
	z.time(&r.Start, zeekTS)
	z.address(&r.Source.IP, zeekOrigH)
	z.number(&z.origP, zeekOrigP, 65535)
	z.address(&r.Destination.IP, zeekRespH)
	z.number(&z.respP, zeekRespP, 65535)
	z.length(&z.duration, zeekDuration)
	z.number(&r.Source.PayloadBytes, zeekOrigBytes, math.MaxInt64)
	z.number(&r.Destination.PayloadBytes, zeekRespBytes, math.MaxInt64)
	r.Direction = z.direction()
	z.number(&r.MissedBytes, zeekMissedBytes, math.MaxInt64)
	z.number(&r.Source.Packets, zeekOrigPkts, math.MaxInt64)
	z.number(&r.Source.Bytes, zeekOrigIPBytes, math.MaxInt64)
	z.number(&r.Destination.Packets, zeekRespPkts, math.MaxInt64)
	z.number(&r.Destination.Bytes, zeekRespIPBytes, math.MaxInt64)
	z.number(&z.ipProto, zeekIPProto, 255)
	z.number(&r.VLAN, zeekVLAN, 4095)
	r.Application = v[zeekService]
	r.ConnectionState = v[zeekConnState]
	r.History = v[zeekHistory]
	r.Source.MAC = v[zeekOrigMAC]
	r.Destination.MAC = v[zeekRespMAC]
	r.CommunityID = v[zeekCommunityID]
	if z.err != nil {
		return z.err
	}
	return z.finish(ext)
}

// fail keeps the first error.
func (z *zeekRecord) fail(err error) {
	if z.err == nil {
		z.err = err
	}
}

func (z *zeekRecord) number(to *flow.Int, f zeekField, max int64) {
	text := z.values[f]
	if v, ok := shortInt(text); ok && v <= max { // as nearly all are
		to.V, to.OK = v, true
	} else if text != "" {
		if err := setInteger(to, z.names[f], text, max); err != nil {
			z.fail(err)
		}
	}
}

func (z *zeekRecord) address(to *flow.IP, f zeekField) {
	if text := z.values[f]; text != "" {
		if err := setAddress(to, z.names[f], text); err != nil {
			z.fail(err)
		}
	}
}

func (z *zeekRecord) time(to *flow.Time, f zeekField) {
	if text := z.values[f]; text != "" {
		t, err := zeekTime(z.names[f], text)
		if *to = t; err != nil {
			z.fail(err)
		}
	}
}

func (z *zeekRecord) length(to *flow.Int, f zeekField) {
	if text := z.values[f]; text != "" {
		ns, err := nanoseconds(z.names[f], text, seconds)
		if *to = flow.N(ns); err != nil {
			z.fail(err)
		}
	}
}

// direction is that of local_orig and local_resp.
func (z *zeekRecord) direction() string {
	switch [2]byte{z.bool(zeekLocalOrig), z.bool(zeekLocalResp)} {
	case [2]byte{'T', 'F'}:
		return "egress"
	case [2]byte{'F', 'T'}:
		return "ingress"
	case [2]byte{'T', 'T'}:
		return "internal"
	case [2]byte{'F', 'F'}:
		return "external"
	}
	return ""
}

// bool is T, F or 0, which is unset.
func (z *zeekRecord) bool(f zeekField) byte {
	switch text := z.values[f]; text {
	case "":
	case "T", "true":
		return 'T'
	case "F", "false":
		return 'F'
	default:
		z.fail(wrongType(z.names[f], "T or F", text))
	}
	return 0
}

// finish reads what only together makes sense.
func (z *zeekRecord) finish(ext *extension.List) error {
	r, v := z.r, &z.values
	switch {
	case v[zeekTS] == "":
		return missing("ts")
	case !r.Source.IP.OK():
		return missing("id.orig_h")
	case !r.Destination.IP.OK():
		return missing("id.resp_h")
	}
	r.EventTime, r.TimeQuality = r.Start, "no_end"
	if z.duration.OK {
		if r.End = r.Start + flow.Time(z.duration.V); r.End < r.Start {
			return flow.Reject(flow.ReasonValue, "duration: %s ends beyond the year 2261", quoted(v[zeekDuration]))
		}
		r.EventTime, r.TimeQuality = r.End, ""
	}
	z.transport(ext)
	// The counters are of the whole connection: a long one that is logged more than once
	// says more each time.
	r.CounterSemantics = "total"
	if r.Source.Bytes.OK || r.Destination.Bytes.OK {
		r.ByteLayer = "ip"
	}
	// A long connection is logged more than once, with another duration each time.
	if v[zeekUID] != "" {
		r.ID = flow.NewIDText(r.Format, v[zeekUID], v[zeekTS], v[zeekDuration])
	}
	return nil
}

// transport sets protocol and ports. For ICMP Zeek writes the type as the originator's
// port, and as the responder's the code, or the counterpart's type where there is one.
// Where it knows no transport the ports are filler.
func (z *zeekRecord) transport(ext *extension.List) {
	r, proto := z.r, z.values[zeekProto]
	switch proto {
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
	switch proto {
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
	if ns, ok := shortDecimal(text, seconds); ok {
		return flow.Time(ns), nil
	}
	if strings.IndexByte(text, 'T') > 0 {
		return timestamp(name, text)
	}
	ns, err := nanoseconds(name, text, seconds)
	return flow.Time(ns), err
}
