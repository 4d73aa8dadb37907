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

// Append appends n empty records. The memory may be that of old ones, and many are cleared
// at once in half the time that each alone takes.
func Append(records []flow.Record, n int) []flow.Record {
	records = slices.Grow(records, n)
	l := len(records)
	records = records[:l+n]
	clear(records[l:])
	return records
}

// Fill sets what the source knows of a record. offset is where in Data it begins: it
// becomes Position.Index.
func (d *Datagram) Fill(r *flow.Record, format string, offset int) {
	r.Format, r.Received, r.Position = format, d.Received, d.Position
	r.Position.Index = flow.N(int64(offset))
	if d.DataCenter != "" {
		r.DataCenter = d.DataCenter
	}
	if d.Tenant != "" {
		r.Tenant = d.Tenant
	}
}
