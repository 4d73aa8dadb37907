package flowtest

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/flowbeam/flowbeam/flow"
)

// Start is the event time of the first of [Records] and that of [Record].
var Start = time.Date(2026, time.January, 2, 3, 4, 5, 0, time.UTC)

// Record builds a record: a TCP conversation of one second that ended at [Start], between
// 10.0.0.1:40000 and 203.0.113.10:443, in the data center "dc1", with all counters, an id
// and a Community ID. Options change it; they run before the id and the Community ID are
// made, which are left alone where an option set them. Records that differ have ids that
// differ.
func Record(opts ...func(*flow.Record)) flow.Record {
	end := flow.TimeOf(Start)
	r := flow.Record{
		Revision: 1, Format: "test",
		Position:  flow.Position{Source: "test.ndjson", Offset: flow.N(0)},
		EventTime: end, Start: end.Add(-time.Second), End: end, Received: end.Add(2 * time.Second),
		DataCenter: "dc1", Tenant: "tenant1", Protocol: flow.N(6), TCPFlags: flow.N(0x1b),
		CounterSemantics: "total", ByteLayer: "ip", Action: "accept", UserID: "user1",
		Source:      flow.Endpoint{IP: flow.MustIP("10.0.0.1"), Port: flow.N(40000), Bytes: flow.N(1000), Packets: flow.N(10)},
		Destination: flow.Endpoint{IP: flow.MustIP("203.0.113.10"), Port: flow.N(443), Bytes: flow.N(20000), Packets: flow.N(20)},
		RTTInternal: flow.N(5e6), RTTExternal: flow.N(40e6), LossInternal: flow.F(0), LossExternal: flow.F(0.01),
	}
	for _, o := range opts {
		o(&r)
	}
	if r.ID.IsZero() {
		r.ID = flow.NewID("test", flow.AppendRecordJSON(nil, &r))
	}
	r.SetCommunityID()
	return r
}

// EventTime makes the flow end, and its event time be, at t.
func EventTime(t time.Time) func(*flow.Record) {
	return func(r *flow.Record) {
		shift := flow.TimeOf(t) - r.EventTime
		r.EventTime, r.Start, r.End, r.Received = r.EventTime+shift, r.Start+shift, r.End+shift, r.Received+shift
	}
}

// Between sets the addresses. It panics on a bad one.
func Between(source, destination string) func(*flow.Record) {
	return func(r *flow.Record) {
		r.Source.IP, r.Destination.IP = flow.MustIP(source), flow.MustIP(destination)
	}
}

// Bytes sets what each side sent.
func Bytes(source, destination int64) func(*flow.Record) {
	return func(r *flow.Record) { r.Source.Bytes, r.Destination.Bytes = flow.N(source), flow.N(destination) }
}

// User sets the subscriber.
func User(id string) func(*flow.Record) { return func(r *flow.Record) { r.UserID = id } }

// Records builds n records, the same ones for the same seed: two data centers, some
// hundred users, IPv4 and now and then IPv6, event times that advance from [Start] by
// about ten milliseconds a record with a little disorder.
func Records(n int, seed uint64) []flow.Record {
	rng := rand.New(rand.NewPCG(seed, 0x666c6f77))
	records := make([]flow.Record, n)
	for i := range records {
		v6, host := rng.IntN(10) == 0, uint16(rng.IntN(65536))
		at := Start.Add(time.Duration(i)*10*time.Millisecond - time.Duration(rng.IntN(2000))*time.Millisecond)
		records[i] = Record(EventTime(at), User(fmt.Sprintf("user%d", rng.IntN(300))), Bytes(rng.Int64N(1e5), rng.Int64N(1e7)), func(r *flow.Record) {
			r.Position.Offset = flow.N(int64(i) * 256)
			r.DataCenter = fmt.Sprintf("dc%d", 1+rng.IntN(2))
			binary.BigEndian.PutUint16(r.Source.IP.B[2:4], host)
			r.Destination.IP.B[3] = byte(rng.IntN(256))
			if v6 {
				r.Source.IP, r.Destination.IP = flow.MustIP("2001:db8::1"), flow.MustIP("2001:db8:ffff::1")
				binary.BigEndian.PutUint16(r.Source.IP.B[14:], host)
			}
			r.Source.Port = flow.N(int64(1024 + rng.IntN(64000)))
			r.RTTExternal = flow.N(rng.Int64N(2e8))
			r.LossExternal = flow.F(float64(rng.IntN(100)) / 1000)
			r.ID = flow.NewID("test", binary.BigEndian.AppendUint64(nil, seed), binary.BigEndian.AppendUint64(nil, uint64(i)))
		})
	}
	return records
}
