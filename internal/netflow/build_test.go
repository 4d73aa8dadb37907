package netflow

import (
	"encoding/binary"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flowbeam/flowbeam/flow"
)

// The functions of this file write datagrams by hand.

// flowDay is when they are sent: an hour after the exporter booted, where it has an uptime.
var flowDay = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)

const uptime = 3_600_000 // ms

func be(size int, v uint64) []byte {
	b := binary.BigEndian.AppendUint64(nil, v)
	return b[8-size:]
}

func u8(v ...byte) []byte           { return v }
func u16b(v uint16) []byte          { return be(2, uint64(v)) }
func u32b(v uint32) []byte          { return be(4, uint64(v)) }
func u64b(v uint64) []byte          { return be(8, v) }
func ip(s string) []byte            { return flow.MustIP(s).Addr().AsSlice() }
func filled(s string, n int) []byte { return append([]byte(s), make([]byte, n-len(s))...) }

func cat(parts ...[]byte) (b []byte) {
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// head is what tests say of a header.
type head struct {
	domain, seq, uptime uint32
	at                  time.Duration // after flowDay
}

func (h head) seconds() uint32 { return uint32(flowDay.Add(h.at).Unix()) }

func (h head) up() uint32 {
	if h.uptime != 0 {
		return h.uptime
	}
	return uptime + uint32(h.at.Milliseconds())
}

// v9 and ipfix make a message of sets; the count of a v9 header is as wrong as in the field.
func v9(h head, sets ...[]byte) []byte {
	return cat(u16b(9), u16b(1), u32b(h.up()), u32b(h.seconds()), u32b(h.seq), u32b(h.domain), cat(sets...))
}

func ipfix(h head, sets ...[]byte) []byte {
	b := cat(u16b(10), u16b(0), u32b(h.seconds()), u32b(h.seq), u32b(h.domain), cat(sets...))
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return b
}

func message(version uint16, h head, sets ...[]byte) []byte {
	if version == V9 {
		return v9(h, sets...)
	}
	return ipfix(h, sets...)
}

func setOf(id uint16, bodies ...[]byte) []byte {
	body := cat(bodies...)
	return cat(u16b(id), u16b(uint16(len(body)+4)), body)
}

// fields writes "8:4 29305/1:8 82:v": element or enterprise/element, and length.
func fields(text string) (b []byte, n int) {
	for _, f := range strings.Fields(text) {
		element, length, _ := strings.Cut(f, ":")
		size := uint64(variableLength)
		if length != "v" {
			size, _ = strconv.ParseUint(length, 10, 16)
		}
		pen, id, vendor := strings.Cut(element, "/")
		if !vendor {
			id = pen
		}
		v, err := strconv.ParseUint(id, 10, 16)
		if err != nil {
			panic(err)
		}
		if vendor {
			p, _ := strconv.ParseUint(pen, 10, 32)
			b = cat(b, u16b(uint16(v)|0x8000), u16b(uint16(size)), u32b(uint32(p)))
		} else {
			b = cat(b, u16b(uint16(v)), u16b(uint16(size)))
		}
		n++
	}
	return b, n
}

// templates is a set of one template.
func templates(version, id uint16, text string) []byte {
	b, n := fields(text)
	set := uint16(2)
	if version == V9 {
		set = 0
	}
	return setOf(set, u16b(id), u16b(uint16(n)), b)
}

// optionTemplates is a set of one options template. Scopes of v9 are its scope types.
func optionTemplates(version, id uint16, scopes, text string) []byte {
	s, ns := fields(scopes)
	f, nf := fields(text)
	if version == V9 {
		return setOf(1, u16b(id), u16b(uint16(4*ns)), u16b(uint16(4*nf)), s, f)
	}
	return setOf(3, u16b(id), u16b(uint16(ns+nf)), u16b(uint16(ns)), s, f)
}

// v5 makes a NetFlow v5 datagram of records of 48 bytes.
func v5(h head, count int, sampling uint16, records ...[]byte) []byte {
	return cat(u16b(5), u16b(uint16(count)), u32b(h.up()), u32b(h.seconds()), u32b(250_000_000), u32b(h.seq), u16b(uint16(h.domain)), u16b(sampling), cat(records...))
}

// v5Record is 198.51.100.1:40000 to 203.0.113.1:443.
func v5Record(first, last uint32, protocol byte, sport, dport uint16) []byte {
	return cat(ip("198.51.100.1"), ip("203.0.113.1"), ip("192.0.2.254"), u16b(3), u16b(4), u32b(10), u32b(1500), u32b(first), u32b(last),
		u16b(sport), u16b(dport), u8(0, 0x1b, protocol, 8), u16b(64500), u16b(0), u8(24, 16), u16b(0))
}

// decodeAll decodes datagrams by one session.
func decodeAll(t testing.TB, datagrams ...[]byte) *Output {
	t.Helper()
	return decodeBy(t, NewSession(exporterIP, Config{}), datagrams...)
}

func decodeBy(t testing.TB, s *Session, datagrams ...[]byte) *Output {
	t.Helper()
	out := new(Output)
	for i, b := range datagrams {
		if err := s.Decode(Datagram{Data: b, Received: receivedAt}, out); err != nil {
			t.Fatalf("datagram %d: %v", i, err)
		}
	}
	return out
}

// one decodes one record by a template, of the version given.
func one(t testing.TB, version uint16, text string, values ...[]byte) *flow.Record {
	t.Helper()
	out := decodeAll(t, message(version, head{}, templates(version, 256, text), setOf(256, values...)))
	if len(out.Records) != 1 {
		t.Fatalf("%s: %d records", text, len(out.Records))
	}
	checkRecord(t, text, &out.Records[0])
	return &out.Records[0]
}

func ext(r *flow.Record, name string) string {
	for _, e := range r.Extensions {
		if e.Name == name {
			return e.Text
		}
	}
	return ""
}

func extensions(r *flow.Record) string { return string(flow.AppendExtensions(nil, r.Extensions)) }

func at(d time.Duration) flow.Time { return flow.TimeOf(flowDay.Add(d)) }
