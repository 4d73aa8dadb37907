package parse

import (
	"strconv"
	"strings"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/extension"
)

func init() {
	Register(Format{
		FormatInfo: flow.FormatInfo{
			Name:      flow.FormatRecord,
			Detect:    detectFlowbeam,
			Timestamp: flowbeamTimestamp,
		},
		New: func(string) (Decoder, error) {
			d := &flowbeamDecoder{}
			d.object.names.field = func(name string) int16 { return recordColumns[name] }
			return d, nil
		},
	})
}

// flowbeamDecoder reads back what flow.AppendRecordJSON wrote, one record a line: the
// project's own NDJSON output and the dead letters of records that were refused after
// parsing. Any columns may be there; record_id, format, position and all else that the
// line has is kept, and derived columns are computed again. A column that no table of
// this version knows is refused: dropping it in silence would change the record.
type flowbeamDecoder struct {
	object jsonObject
	ext    extension.List
}

func (d *flowbeamDecoder) Decode(data string, r *flow.Record) (Outcome, error) {
	s := trim(data)
	if s == "" {
		return Skip, nil
	}
	if err := d.object.parse(s); err != nil {
		return Parsed, err
	}
	source := r.Position
	for i := range d.object.members {
		m := &d.object.members[i]
		if strings.HasPrefix(m.name, "position_") && r.Position == source {
			r.Position = flow.Position{} // the record's own, and nothing of where it was stored
		}
		if m.field == 0 {
			return Parsed, flow.Reject(flow.ReasonField, "%s: no column of a record", quoted(m.name))
		}
		c := &flow.Records.Columns[m.field-1]
		if c.Name == flow.ExtensionColumn && m.kind == '{' {
			r.Extensions = d.extensions(m)
			continue
		}
		v, err := columnValue(c.Kind, m)
		if err != nil {
			return Parsed, err
		}
		if v.Kind == 0 {
			continue
		}
		if err := c.Set(r, v); err != nil {
			return Parsed, flow.Reject(flow.ReasonField, "%w", err)
		}
	}
	return Parsed, nil
}

// extensions is [flow.ParseExtensions] of a member that was read already.
func (d *flowbeamDecoder) extensions(m *jsonMember) []flow.Extension {
	in := d.object.of(m)
	for i := range in {
		m := &in[i]
		d.ext.Put(m.name, m.text, m.extensionKind()) // null as its text
	}
	return d.ext.Take()
}

// recordColumns are the columns by their names, counted from 1.
var recordColumns = func() map[string]int16 {
	m := make(map[string]int16, len(flow.Records.Columns))
	for i := range flow.Records.Columns {
		m[flow.Records.Columns[i].Name] = int16(i) + 1
	}
	return m
}()

// columnValue makes a column's value of a member; null is absent.
func columnValue(kind flow.Kind, m *jsonMember) (v flow.Value, err error) {
	if m.kind == 'n' {
		return v, nil
	}
	switch kind {
	case flow.KindInt:
		if err := m.wantNumber(); err != nil {
			return v, err
		}
		if m.whole {
			return flow.IntValue(m.n), nil
		}
		n, ok, inRange := parseInt(m.text)
		if !ok {
			return v, wrongType(m.name, "an integer", m.text)
		}
		if !inRange {
			return v, flow.Reject(flow.ReasonValue, "%s: %s is beyond 63 bits", m.name, quoted(m.text))
		}
		return flow.IntValue(n), nil
	case flow.KindFloat:
		if err := m.wantNumber(); err != nil {
			return v, err
		}
		f, err := strconv.ParseFloat(m.text, 64)
		if err != nil {
			return v, flow.Reject(flow.ReasonValue, "%s: %s is too large", m.name, quoted(m.text))
		}
		return flow.FloatValue(f), nil
	case flow.KindBool:
		if m.kind != 't' && m.kind != 'f' {
			return v, m.want('t', "true or false")
		}
		return flow.BoolValue(m.kind == 't'), nil
	case flow.KindTime:
		if err := m.wantString(); err != nil {
			return v, err
		}
		t, err := timestamp(m.name, m.text)
		return flow.TimeValue(t), err
	case flow.KindObject:
		if err := m.want('{', "an object"); err != nil {
			return v, err
		}
		return flow.Value{Kind: kind, Str: m.text}, nil
	}
	if err := m.wantString(); err != nil {
		return v, err
	}
	return flow.Value{Kind: kind, Str: m.text}, nil
}

func detectFlowbeam(head []byte) int {
	if looksLikeJSON(head, "record_id", "event_time") {
		return 95
	}
	return 0
}

func flowbeamTimestamp(_ string, data []byte) (flow.Time, bool) {
	m, ok := findMember(view(data), "event_time")
	if !ok || m.kind != '"' {
		return 0, false
	}
	t, ok, inRange := rfc3339(m.text)
	return t, ok && inRange
}
