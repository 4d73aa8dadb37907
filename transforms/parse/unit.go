package parse

import (
	"github.com/flowbeam/flowbeam/flow"
)

// UnitDecoder decodes raw units that hold several records: a datagram, a blob's entry, an
// envelope. As a [Decoder] it is used by one goroutine at a time and is a function of its
// input alone.
type UnitDecoder interface {
	// DecodeUnit gives u the unit's parts in their order. data is immutable: strings of
	// records may be parts of it. A unit without parts (blank, templates alone) counts as
	// skipped.
	//
	// An error makes the whole unit one dead letter, as that of Decode does, and forgets its
	// parts. For one part that can't be read there is [Unit.Refuse].
	DecodeUnit(data string, u *Unit) error
	// Part returns part i (0, 1, 2, …) of the unit that was decoded last, a record, as a
	// unit of the same format which holds it alone: the dead letter of a record that a Step
	// refuses has it, so that it can be replayed without the others. It is asked for
	// rarely, so it may cost.
	Part(i int) string
}

// Unit collects what one raw unit holds. Each record, gap and refused part is a part: it
// counts as one read, and its index is in Position.Index.
type Unit struct {
	format  string
	origin  *flow.Origin
	raw     *flow.Raw
	at      flow.Position // of part 0
	records []flow.Record // of the batch; from base on of this unit
	base    int
	used    int // of the memory of records, from its beginning: the rest is empty
	parts   int
	gaps    int64
	refused []refusedPart
}

type refusedPart struct {
	index int
	data  string
	err   error
}

// Next returns the next record to be filled, with what the source knows (position,
// received time, data center, tenant, format's name), otherwise zero. It is valid until the
// next call. A record left without an ID gets the hash of its part's bytes: set one where
// the format gives it an identity, which must not depend on where in a unit it is.
func (u *Unit) Next() *flow.Record {
	n := len(u.records)
	if n == cap(u.records) {
		grown := make([]flow.Record, n, max(64, 2*n))
		copy(grown, u.records)
		u.records, u.used = grown, n
	}
	u.records = u.records[:n+1]
	r := &u.records[n]
	if n < u.used {
		clear(u.records[n:])
	} else {
		u.used = n + 1
	}
	stamp(r, u.format, u.origin, u.raw, u.at)
	r.Position.Index = flow.N(u.at.Index.V + int64(u.parts))
	u.parts++
	return r
}

// Gap counts a part that says that there is no data.
func (u *Unit) Gap() {
	u.gaps++
	u.parts++
}

// Refuse makes a part that can't be read a dead letter of its own. part is a unit of the
// same format that holds it alone. The error is as that of [Decoder]'s Decode.
func (u *Unit) Refuse(part string, err error) {
	u.refused = append(u.refused, refusedPart{u.parts, part, err})
	u.parts++
}

// RefuseLast is Refuse of the record that the last call of Next returned, which is
// forgotten.
func (u *Unit) RefuseLast(part string, err error) {
	u.forgetLast()
	u.Refuse(part, err)
}

// forgetLast takes back the last call of Next.
func (u *Unit) forgetLast() {
	u.records = u.records[:len(u.records)-1]
	u.parts--
}

// hold gives u the memory of a batch's records, which is empty.
func (u *Unit) hold(records []flow.Record) { u.records, u.used = records, 0 }

// begin makes u ready for a raw unit. The records of those before it stay.
func (u *Unit) begin(format string, in *flow.RawBatch, i int) {
	u.format, u.origin, u.raw = format, &in.Origin, &in.Records[i]
	u.at = in.Position(i)
	u.base, u.parts, u.gaps, u.refused = len(u.records), 0, 0, u.refused[:0]
}

// position is that of part i. A part that was made a unit of its own has the index that it
// had, so that a replay gives the same position.
func (u *Unit) position(i int) flow.Position {
	p := u.at
	p.Index = flow.N(p.Index.V + int64(i))
	return p
}

// decodeUnit decodes raw unit i of a batch into u, its records completed. refuse makes
// dead letters of the unit's parts: position says of which.
func (f *parseFn) decodeUnit(dec UnitDecoder, data string, u *Unit, refuse func(at flow.Position, data, stage string, reason flow.Reason, err error)) error {
	if err := dec.DecodeUnit(data, u); err != nil {
		u.records = u.records[:u.base]
		return err
	}
	if u.parts == 0 {
		f.n.skipped++
		return nil
	}
	f.n.read += int64(u.parts)
	f.n.gaps += u.gaps
	for _, p := range u.refused {
		refuse(u.position(p.index), p.data, "parse", flow.ReasonOf(p.err, flow.ReasonSyntax), p.err)
	}
	n := u.base
	for i := u.base; i < len(u.records); i++ {
		r := &u.records[i]
		at := r.Position
		index := int(at.Index.V - u.at.Index.V)
		if r.EventTime == 0 {
			refuse(at, dec.Part(index), "parse", flow.ReasonField, flow.Reject(flow.ReasonField, "no event time"))
			continue
		}
		part := ""
		if r.ID.IsZero() || f.KeepOriginal {
			part = dec.Part(index)
		}
		if r.ID.IsZero() {
			r.ID = flow.NewIDText(u.format, trim(part))
		}
		keep, stage, err := f.complete(r, part)
		switch {
		case err != nil:
			refuse(at, dec.Part(index), stage, flow.ReasonOf(err, flow.ReasonStep), err)
		case !keep:
			f.n.filtered++
		default:
			if n != i {
				u.records[n] = *r
			}
			n++
		}
	}
	u.records = u.records[:n]
	return nil
}
