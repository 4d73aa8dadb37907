package loadgen

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/flowbeam/flowbeam/flow"
)

// Kind is one way in which a line is broken, and the reason for which it then becomes a
// dead letter.
type Kind struct {
	Name   string
	Reason flow.Reason

	breaks func(line []byte, r *random) []byte
}

// OversizeKind is the kind of a line longer than [OversizeBytes]; it is made on demand
// only ([Config.Oversize]).
var OversizeKind = Kind{Name: "oversize", Reason: flow.ReasonOversize, breaks: oversize}

// OversizeBytes is the length of an oversize line: the usual cap of 1 MiB and a little.
const OversizeBytes = 1<<20 + 1000

// Kinds lists the ways in which a format's lines are broken; each is as frequent as the
// others.
func Kinds(format string) []Kind { return slices.Clone(kinds[format]) }

// Times no source accepts: it would move a watermark, or make partitions of 1970.
const (
	farFuture = "7226582400" // 2199-01-01T00:00:00Z
	year1970  = "86400"
)

var kinds = map[string][]Kind{
	Canopus: {
		{"cut", flow.ReasonSyntax, cut},
		{"text", flow.ReasonSyntax, text},
		{"wrong_type", flow.ReasonField, member("download_bytes", `"many"`)},
		{"missing_field", flow.ReasonField, rename("timestamp", "time")},
		{"bad_ip", flow.ReasonField, member("client_ip", `"10.1.2.300"`)},
		{"negative_bytes", flow.ReasonValue, member("upload_bytes", `-1`)},
		{"loss_above_one", flow.ReasonValue, member("internal_loss", `7`)},
		{"far_future", flow.ReasonTimeRange, member("timestamp", `"2199-01-01T00:00:00Z"`)},
		{"year_1970", flow.ReasonTimeRange, member("timestamp", `"1970-01-02T00:00:00Z"`)},
		{"not_utf8", flow.ReasonEncoding, member("user_id", "\"us\xff\xfeer\"")},
	},
	Zeek: {
		{"cut", flow.ReasonSyntax, cut},
		{"text", flow.ReasonSyntax, text},
		{"wrong_type", flow.ReasonField, column('\t', zeekOrigBytes, "many")},
		{"bad_ip", flow.ReasonField, column('\t', zeekOrigH, "10.1.2.300")},
		{"port_out_of_range", flow.ReasonValue, column('\t', zeekOrigP, "70000")},
		{"negative_bytes", flow.ReasonValue, column('\t', zeekOrigBytes, "-1")},
		{"far_future", flow.ReasonTimeRange, column('\t', zeekTS, farFuture+".000000")},
		{"year_1970", flow.ReasonTimeRange, column('\t', zeekTS, year1970+".000000")},
		{"not_utf8", flow.ReasonEncoding, column('\t', zeekService, "ht\xfftp")},
	},
	AWS: {
		{"cut", flow.ReasonSyntax, cut},
		{"text", flow.ReasonSyntax, text},
		{"wrong_type", flow.ReasonField, column(' ', awsBytes, "many")},
		{"bad_ip", flow.ReasonField, column(' ', awsSrcAddr, "10.1.2.300")},
		{"port_out_of_range", flow.ReasonValue, column(' ', awsSrcPort, "70000")},
		{"negative_packets", flow.ReasonValue, column(' ', awsPackets, "-5")},
		{"end_before_start", flow.ReasonValue, column(' ', awsStart, "1999999999")},
		{"far_future", flow.ReasonTimeRange, column(' ', awsEnd, farFuture)},
		{"year_1970", flow.ReasonTimeRange, both(column(' ', awsStart, year1970), column(' ', awsEnd, year1970))},
		{"not_utf8", flow.ReasonEncoding, column(' ', awsInterface, "eni-\xff\xfe")},
	},
}

// cut leaves between a quarter and three quarters of the line, as a full disk does.
func cut(line []byte, r *random) []byte {
	n := uint64(len(line))
	return line[:r.between(n/4, n*3/4)]
}

// text is what a process leaves that writes its complaints to its data.
func text(line []byte, r *random) []byte {
	return fmt.Appendf(line[:0], "connection-reset-by-peer(errno=104,attempt=%d)", r.n(1_000_000))
}

// member replaces the value of a JSON member.
func member(key, value string) func([]byte, *random) []byte {
	return func(line []byte, _ *random) []byte {
		from := bytes.Index(line, []byte(`"`+key+`":`))
		from += len(key) + 3
		to := from + bytes.IndexAny(line[from:], ",}")
		return slices.Replace(line, from, to, []byte(value)...)
	}
}

// rename gives a JSON member another name.
func rename(key, name string) func([]byte, *random) []byte {
	return func(line []byte, _ *random) []byte {
		from := bytes.Index(line, []byte(`"`+key+`":`)) + 1
		return slices.Replace(line, from, from+len(key), []byte(name)...)
	}
}

// column replaces the k-th column.
func column(separator byte, k int, value string) func([]byte, *random) []byte {
	return func(line []byte, _ *random) []byte {
		from := 0
		for range k {
			from += bytes.IndexByte(line[from:], separator) + 1
		}
		to := from + bytes.IndexByte(line[from:], separator)
		return slices.Replace(line, from, to, []byte(value)...)
	}
}

func both(f, g func([]byte, *random) []byte) func([]byte, *random) []byte {
	return func(line []byte, r *random) []byte { return g(f(line, r), r) }
}

// oversize is the line again and again, which compresses to nothing.
func oversize(line []byte, _ *random) []byte {
	long := make([]byte, 0, OversizeBytes+len(line))
	for len(long) < OversizeBytes {
		long = append(long, line...)
	}
	return long[:OversizeBytes]
}
