package filesource

import (
	"bytes"
	"errors"
	"io"

	"github.com/flowbeam/flowbeam/flow"
)

// learned is next for a format with a Learner: it is shown the units in their order, and what it
// gives is the batch.
func (p *part) learned() (flow.RawBatch, error) {
	out := flow.RawBatch{Origin: p.origin}
	size := 0
	emit := func(r flow.Raw) {
		out.Records = append(out.Records, r)
		size += len(r.Data)
	}
	for !p.ended && len(out.Records) < p.c.BatchRecords && size < p.c.BatchBytes {
		l, err := p.cut.next()
		unit := flow.Raw{Data: l.data, Offset: flow.N(l.offset), Time: p.file.ModTime, Oversize: l.oversize, Size: l.size, SHA256: l.sha256}
		switch {
		case err == nil && l.oversize:
			unit.Data = bytes.Clone(unit.Data)
			emit(unit)
		case err == nil:
			p.learn.Next(unit, emit)
		default:
			// What waits comes out also where the rest of the file can't be read.
			p.learn.End(emit)
			p.ended = true
			if err == io.EOF {
				break
			}
			err = p.fail(err, l.offset, l.data)
			var f *failure
			if !errors.As(err, &f) {
				return flow.RawBatch{}, err
			}
			p.failed = &f.Failure
		}
	}
	switch {
	case len(out.Records) > 0:
		return out, nil
	case p.failed != nil:
		return out, &failure{*p.failed}
	}
	return out, io.EOF
}
