package parse

import (
	"encoding/json"
	"strings"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/extension"
)

func init() {
	Register(Format{
		FormatInfo: flow.FormatInfo{
			Name:      "zeek_json",
			Detect:    detectZeekJSON,
			Timestamp: zeekJSONTimestamp,
		},
		New: func(string) (Decoder, error) {
			d := &zeekJSONDecoder{}
			d.object.names.field = func(name string) int16 { return int16(zeekFieldNamed(name)) }
			return d, nil
		},
	})
}

// zeekJSONDecoder reads Zeek's conn.log as JSON, one object each, with the same meaning
// as the tab-separated log. ts is seconds since the epoch or ISO 8601.
type zeekJSONDecoder struct {
	object jsonObject
	names  zeekTexts // of the record's members
	ext    extension.List
}

func (d *zeekJSONDecoder) Decode(data string, r *flow.Record) (Outcome, error) {
	s := trim(data)
	if s == "" {
		return Skip, nil
	}
	if err := d.object.parse(s); err != nil {
		return Parsed, err
	}
	if err := d.read(r); err != nil {
		d.ext.Drop()
		return Parsed, err
	}
	r.Extensions = d.ext.Take()
	return Parsed, nil
}

func (d *zeekJSONDecoder) read(r *flow.Record) error {
	z := zeekRecord{r: r, names: &d.names}
	conn := false
	for i := range d.object.members {
		m := &d.object.members[i]
		f := zeekField(m.field)
		if f == zeekOther || f == zeekUID {
			if m.kind == '[' {
				m.text = joinedSet(m.text)
			}
			if m.text != "" {
				m.keep(&d.ext)
			}
		}
		if f == zeekOther || m.kind == 'n' {
			continue
		}
		conn = conn || f.isConn()
		if err := f.wantKind(m); err != nil {
			return err
		}
		if m.text != "" {
			z.values[f], z.names[f] = m.text, m.name
		}
	}
	if !conn && z.values[zeekTS] != "" {
		return flow.Reject(flow.ReasonFormat, "a record of another Zeek log: it has none of conn_state, history, orig_pkts, resp_pkts, orig_ip_bytes, missed_bytes")
	}
	return z.fill(&d.ext)
}

// wantKind refuses a member of the wrong JSON type.
func (f zeekField) wantKind(m *jsonMember) error {
	switch f {
	case zeekTS:
		if m.kind == '"' {
			return nil
		}
		return m.wantNumber()
	case zeekUID, zeekOrigH, zeekRespH, zeekProto, zeekService, zeekConnState, zeekHistory, zeekOrigMAC, zeekRespMAC, zeekCommunityID:
		return m.wantString()
	case zeekLocalOrig, zeekLocalResp:
		if m.kind == 't' || m.kind == 'f' {
			return nil
		}
		return m.want('t', "true or false")
	}
	return m.wantNumber()
}

// joinedSet writes a set of strings as the tab-separated log does.
func joinedSet(array string) string {
	var set []string
	if json.Unmarshal([]byte(array), &set) != nil {
		return array
	}
	return strings.Join(set, ",")
}

func detectZeekJSON(head []byte) int {
	switch {
	case looksLikeJSON(head, "id.orig_h", "ts"), looksLikeJSON(head, "id_orig_h", "ts"):
		return 90
	case looksLikeJSON(head, "conn_state"):
		return 80
	}
	return 0
}

func zeekJSONTimestamp(_ string, data []byte) (flow.Time, bool) {
	var start, duration int64
	sc := newJSONScanner(view(data))
	for sc.next() == scanMember {
		switch sc.m.name {
		case "ts":
			t, err := zeekTime("ts", sc.m.text)
			if err != nil {
				return 0, false
			}
			start = int64(t)
		case "duration":
			duration, _ = nanoseconds("duration", sc.m.text, seconds)
		}
		if start != 0 && duration != 0 {
			break
		}
	}
	return flow.Time(start + duration), start != 0
}
