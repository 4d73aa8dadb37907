package loadgen

import (
	"strconv"
	"time"

	"github.com/flowbeam/flowbeam/flow"
)

// awsHeader is the first line of a flow log file in S3.
const awsHeader = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status\n"

const awsAccount = "123456789012"

// The columns that [Kinds] break.
const (
	awsInterface = 2
	awsSrcAddr   = 3
	awsSrcPort   = 5
	awsPackets   = 8
	awsBytes     = 9
	awsStart     = 10
	awsEnd       = 11
)

// interfaces is how many network interfaces a data center has.
const interfaces = 40

// appendAWS writes one direction of a flow as its interface saw it within an aggregation
// interval. The event time is its end, in whole seconds.
func appendAWS(b []byte, e *event) ([]byte, sums) {
	svc := e.r.service()
	end := e.time / int64(time.Second)
	clientPort, serverPort := e.r.between(32768, 61000), svc.port
	if svc.proto == "icmp" { // no ports, written as 0
		clientPort = 0
	}
	b = appendInterface(b, e)
	packets := 1 + e.down/1000
	out := e.r.percent(40)
	if out {
		b = appendHosts(b, e.client, e.server, clientPort, serverPort)
	} else {
		b = appendHosts(b, e.server, e.client, serverPort, clientPort)
	}
	for _, v := range [...]uint64{svc.number, packets, e.down, uint64(end) - e.r.n(60), uint64(end)} {
		b = append(b, ' ')
		b = strconv.AppendUint(b, v, 10)
	}
	if svc.state == "S0" {
		b = append(b, " REJECT OK"...)
	} else {
		b = append(b, " ACCEPT OK"...)
	}
	return b, sums{eventTime: end * int64(time.Second), sourceBytes: int64(e.down), sourcePackets: int64(packets)}
}

// appendGap writes a row that says that an interval has no data.
func appendGap(b []byte, e *event) []byte {
	end := uint64(e.time / int64(time.Second))
	b = appendInterface(b, e)
	b = append(b, " - - - - - - - "...)
	b = strconv.AppendUint(b, end-59, 10)
	b = append(b, ' ')
	b = strconv.AppendUint(b, end, 10)
	if e.r.percent(80) {
		return append(b, " - NODATA"...)
	}
	return append(b, " - SKIPDATA"...)
}

func appendInterface(b []byte, e *event) []byte {
	b = append(b, "2 "+awsAccount+" eni-0"...)
	const digits = "0123456789abcdef"
	for v, k := mix(uint64(e.dc)<<32|e.r.n(interfaces)), 0; k < 16; v, k = v>>4, k+1 {
		b = append(b, digits[v&15])
	}
	return b
}

func appendHosts(b []byte, src, dst flow.IP, srcPort, dstPort uint64) []byte {
	b = append(b, ' ')
	b = src.Append(b)
	b = append(b, ' ')
	b = dst.Append(b)
	b = append(b, ' ')
	b = strconv.AppendUint(b, srcPort, 10)
	b = append(b, ' ')
	return strconv.AppendUint(b, dstPort, 10)
}
