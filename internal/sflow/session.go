// Package sflow decodes sFlow version 5 datagrams into flow records: one for each sampled
// packet.
//
// Source: https://sflow.org/sflow_version_5.txt
package sflow

import (
	"encoding/binary"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/datagram"
	"github.com/flowbeam/flowbeam/internal/extension"
)

// Datagram is one UDP payload and what its source knows of it.
type Datagram = datagram.Datagram

// Output is what a Session gives, appended to and added to: the caller empties it.
type Output struct {
	Records []flow.Record
	Counts  Counts
}

// Counts is what a Session counted.
type Counts struct {
	Datagrams      int64 // decoded
	Records        int64 // flow samples: the flow records given
	CounterSamples int64 // of interfaces and the like: no flow records
	OtherSamples   int64 // of other kinds, which are not read
	Gaps           int64 // places where sequence numbers of datagrams are missing
	Missing        int64 // how many datagrams
	Reordered      int64 // datagrams older than the one before
	Restarts       int64 // of agents
	TrailingBytes  int64 // behind the samples that the header claims: not read
}

// Session reads the datagrams of one sender. sFlow needs no state to be decoded; what is
// kept are the sequence numbers of agents. One goroutine at a time uses it.
type Session struct {
	sender flow.IP
	agents map[agentKey]*agent
	x      extension.Block
}

type agentKey struct {
	ip  flow.IP
	sub uint32
}

type agent struct {
	next, uptime uint32
}

// maxAgents bounds the agents whose sequence numbers are kept.
const maxAgents = 1024

// NewSession makes a Session. The sender's address is the exporter of records where the
// datagram has no agent address; it may be absent.
func NewSession(sender flow.IP) *Session {
	return &Session{sender: sender, agents: map[agentKey]*agent{}}
}

// IsDatagram says whether b begins like an sFlow version 5 datagram.
func IsDatagram(b []byte) bool {
	return len(b) >= 28 && binary.BigEndian.Uint32(b) == 5 && b[4] == 0 && b[5] == 0 && b[6] == 0 && (b[7] == 1 || b[7] == 2)
}

// Decode reads a datagram and appends a record for each flow sample, with Position.Index as
// the sample's byte offset in it. The format has no time: the event time is d.Received.
//
// A record is one packet of frame_length bytes, in layer 2, one of sampling_rate. Its id is
// made of the agent's address, the datagram's sub-agent, sequence number and uptime, the
// sample's index and its bytes.
//
// An error is that of the whole datagram, by flow.Reject: it gave no records and is a dead
// letter.
func (s *Session) Decode(d Datagram, out *Output) error {
	before, counts := len(out.Records), out.Counts
	if err := s.decode(&d, out); err != nil {
		clear(out.Records[before:])
		out.Records, out.Counts = out.Records[:before], counts
		s.x.Drop()
		return err
	}
	out.Counts.Datagrams++
	return nil
}

func (s *Session) decode(d *Datagram, out *Output) error {
	in := reader{b: d.Data}
	if v := in.u32(); in.cut || v != 5 {
		return flow.Reject(flow.ReasonFormat, "version: %d is not 5", v)
	}
	ip := in.address()
	sub, sequence, uptime, samples := in.u32(), in.u32(), in.u32(), in.u32()
	if in.cut || !ip.OK() {
		return flow.Reject(flow.ReasonSyntax, "header: the datagram has %d bytes, or the agent's address is of no known family", len(d.Data))
	}
	header := d.Data[4 : len(d.Data)-len(in.b)-4]
	if uint64(samples)*8 > uint64(len(in.b)) {
		return flow.Reject(flow.ReasonSyntax, "samples: the header claims %d, there are %d bytes", samples, len(in.b))
	}
	exporter := ip
	if ip == (flow.IP{Len: ip.Len}) {
		exporter = s.sender // the agent does not know its address
	}
	for i := range samples {
		offset := len(d.Data) - len(in.b)
		kind := in.u32()
		body := in.opaque()
		if in.cut {
			return flow.Reject(flow.ReasonSyntax, "sample %d: it ends beyond the datagram", i)
		}
		switch kind {
		case 1, 3:
			out.Records = datagram.Append(out.Records, 1)
			r := &out.Records[len(out.Records)-1]
			d.Fill(r, "sflow", offset)
			r.EventTime, r.TimeQuality = d.Received, "no_end"
			r.Exporter.IP, r.Exporter.ObservationDomain = exporter, flow.N(int64(sub))
			if err := s.flowSample(r, body, kind == 3); err != nil {
				return err
			}
			var place [4]byte
			binary.BigEndian.PutUint32(place[:], i)
			r.ID = flow.NewID("sflow", header, place[:], body)
			out.Counts.Records++
		case 2, 4:
			out.Counts.CounterSamples++
		default:
			out.Counts.OtherSamples++
		}
	}
	out.Counts.TrailingBytes += int64(len(in.b))
	s.sequence(agentKey{ip, sub}, sequence, uptime, &out.Counts)
	return nil
}

// sequence compares a datagram's number with what should have come.
func (s *Session) sequence(key agentKey, sequence, uptime uint32, c *Counts) {
	a := s.agents[key]
	if a == nil {
		if len(s.agents) >= maxAgents {
			clear(s.agents)
		}
		a = &agent{next: sequence, uptime: uptime}
		s.agents[key] = a
	}
	n, later := int32(sequence-a.next), int32(uptime-a.uptime)
	switch {
	case n > 0 && later >= 0:
		c.Gaps++
		c.Missing += int64(n)
	case n < 0 && n > -reorder && later <= 0 && later > -reorder*1000:
		c.Reordered++
		return
	case n < 0 || later < 0:
		c.Restarts++
	}
	a.next, a.uptime = sequence+1, uptime
}

// reorder is how many datagrams, or seconds, one may come late. What is further back is of
// an agent that began anew.
const reorder = 60

// Reset forgets the agents and takes another sender.
func (s *Session) Reset(sender flow.IP) {
	s.sender = sender
	clear(s.agents)
}
