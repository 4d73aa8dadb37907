// Package netflow decodes NetFlow v5, NetFlow v9 and IPFIX datagrams into flow records.
//
// A [Session] holds what one exporter has said so far: templates, sampling rates, names of
// interfaces and applications, its clock, sequence numbers. [Session.Decode] reads one
// datagram, whole or not at all. [Session.Attach], for a collector, makes of each datagram
// one that can be decoded alone.
//
// The record's fields follow the IPFIX meaning of the elements (mapping.go is the table);
// what has no field is an extension: under its IANA name, or ie_ID and ie_PEN_ID.
//
// Sources: RFC 3954 (NetFlow v9), RFC 7011 (IPFIX), RFC 5103 (bidirectional flows), IANA's
// registry of elements, Cisco's documents of NetFlow v5 and of the ASA's events.
package netflow
