// Package datagram is what the decoders of wire formats are given.
package datagram

import (
	"slices"

	"github.com/flowbeam/flowbeam/flow"
)

// Datagram is one UDP payload and what its source knows of it. The records made of it get
// all but Data.
type Datagram struct {
	Data       []byte // not kept and not changed
	Received   flow.Time
	Position   flow.Position
	DataCenter string
	Tenant     string
}

// Append appends a record of a format to records and fills in what the source knows.
// offset is where in Data the record begins: it becomes Position.Index.
func (d *Datagram) Append(records []flow.Record, format string, offset int) ([]flow.Record, *flow.Record) {
	n := len(records)
	if n == cap(records) {
		records = slices.Grow(records, 1)
	}
	records = records[:n+1]
	r := &records[n]
	*r = flow.Record{} // the memory may be that of an old one
	r.Format, r.Received, r.DataCenter, r.Tenant = format, d.Received, d.DataCenter, d.Tenant
	r.Position = d.Position
	r.Position.Index = flow.N(int64(offset))
	return records, r
}
