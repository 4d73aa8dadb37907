// Package collect receives the datagrams of NetFlow, IPFIX and sFlow exporters over UDP and
// writes them to Kafka, Pub/Sub or files: each in an envelope (package datagram), with the
// templates that it needs (package netflow), so that whoever reads it needs nothing else.
//
// A socket is read by one goroutine, which also has the Sessions of its exporters. What it
// makes goes through a bounded queue to one writer. Between the kernel's buffer and the sink
// nothing is lost without a count:
//
//	received = written + dropped + refused
//
// beside which stands what the kernel dropped before it could be received.
package collect
