package loadgen

import (
	"strconv"
	"time"
)

const zeekHeader = "#separator \\x09\n" +
	"#set_separator\t,\n" +
	"#empty_field\t(empty)\n" +
	"#unset_field\t-\n" +
	"#path\tconn\n" +
	"#open\t2026-01-15-12-00-00\n" +
	"#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\torig_bytes\tresp_bytes\tconn_state\tlocal_orig\tlocal_resp\tmissed_bytes\thistory\torig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes\ttunnel_parents\n" +
	"#types\ttime\tstring\taddr\tport\taddr\tport\tenum\tstring\tinterval\tcount\tcount\tstring\tbool\tbool\tcount\tstring\tcount\tcount\tcount\tcount\tset[string]\n"

const zeekFooter = "#close\t2026-01-15-14-00-00\n"

// The columns that [Kinds] break.
const (
	zeekTS = iota
	zeekUID
	zeekOrigH
	zeekOrigP
	_
	_
	_
	zeekService
	_
	zeekOrigBytes
)

// service is one kind of traffic.
type service struct {
	percent        uint64
	proto          string
	number         uint64 // IANA
	port           uint64
	name           string // Zeek's, - = unknown
	state, history string
	overhead       uint64 // bytes of header behind the IP header
}

// services sum to 100 percent. The last is a connection attempt without an answer.
var services = []service{
	{52, "tcp", 6, 443, "ssl", "SF", "ShADadFf", 20},
	{10, "tcp", 6, 80, "http", "SF", "ShADadfF", 20},
	{3, "tcp", 6, 22, "ssh", "RSTO", "ShAdDaR", 20},
	{15, "udp", 17, 53, "dns", "SF", "Dd", 8},
	{10, "udp", 17, 443, "quic", "SF", "Dd", 8},
	{4, "icmp", 1, 0, "-", "OTH", "-", 8},
	{6, "tcp", 6, 8443, "-", "S0", "S", 20},
}

func (r *random) service() *service {
	p := r.n(100)
	for k := range services {
		if p < services[k].percent {
			return &services[k]
		}
		p -= services[k].percent
	}
	panic("loadgen: the services do not sum to 100 percent")
}

// appendZeek writes a conn.log line. The event time is the connection's end, ts +
// duration, or ts where there is no duration (one packet).
func appendZeek(b []byte, e *event) ([]byte, sums) {
	svc := e.r.service()
	end := e.time / int64(time.Microsecond)
	// Up to two minutes, most of them short.
	duration := int64(e.r.size(10, 28)) // µs
	attempt := svc.state == "S0"
	if attempt {
		duration = 0
	}
	header := uint64(ipHeader4)
	if e.server.Len == 16 {
		header = ipHeader6
	}
	header += svc.overhead
	up, down := e.up, e.down
	if svc.name == "dns" {
		up, down = 30+up%200, 60+down%900
	}
	upPackets, downPackets := 1+up/1000, 1+down/1300
	if attempt {
		up, down, upPackets, downPackets = 0, 0, 1, 0
	}
	upIP, downIP := up+upPackets*header, down+downPackets*header

	b = appendFraction(b, uint64(end-duration), 6)
	b = append(b, '\t')
	b = appendUID(b, e.index, e.r.next())
	b = append(b, '\t')
	b = e.client.Append(b)
	b = append(b, '\t')
	clientPort, serverPort := e.r.between(32768, 61000), svc.port
	if svc.proto == "icmp" { // type and code of an echo request, ICMPv6's is 128
		clientPort, serverPort = 8, 0
		if e.server.Len == 16 {
			clientPort = 128
		}
	}
	b = strconv.AppendUint(b, clientPort, 10)
	b = append(b, '\t')
	b = e.server.Append(b)
	b = append(b, '\t')
	b = strconv.AppendUint(b, serverPort, 10)
	b = append(b, '\t')
	b = append(b, svc.proto...)
	b = append(b, '\t')
	b = append(b, svc.name...)
	b = append(b, '\t')
	if attempt {
		b = append(b, "-\t-\t-"...)
	} else {
		b = appendFraction(b, uint64(duration), 6)
		b = append(b, '\t')
		b = strconv.AppendUint(b, up, 10)
		b = append(b, '\t')
		b = strconv.AppendUint(b, down, 10)
	}
	b = append(b, '\t')
	b = append(b, svc.state...)
	b = append(b, "\tT\tF\t0\t"...)
	b = append(b, svc.history...)
	for _, v := range [...]uint64{upPackets, upIP, downPackets, downIP} {
		b = append(b, '\t')
		b = strconv.AppendUint(b, v, 10)
	}
	b = append(b, "\t-"...)
	return b, sums{
		eventTime:   end * int64(time.Microsecond),
		sourceBytes: int64(upIP), destBytes: int64(downIP),
		sourcePackets: int64(upPackets), destPacks: int64(downPackets),
	}
}

// appendUID appends a Zeek uid, C and 17 of base62: the first 11 are a bijection of the
// index, so that no two records have the same.
func appendUID(b []byte, index, more uint64) []byte {
	const base62 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	b = append(b, 'C')
	for v, k := mix(index), 0; k < 11; v, k = v/62, k+1 {
		b = append(b, base62[v%62])
	}
	for k := 0; k < 6; more, k = more/62, k+1 {
		b = append(b, base62[more%62])
	}
	return b
}
