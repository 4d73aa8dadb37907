package parse

import (
	"fmt"
	"strings"
	"sync"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/extension"
)

// Shippers put something around the line that they read: Filebeat, Logstash, Fluent Bit,
// Fluentd and Docker a JSON object, rsyslog and syslog-ng a prefix. A record that its format
// can't read is tried once more as what is inside, so that nothing has to be declared and a
// bare line costs nothing. The record has the id of the bare line, and what the shipper said
// about it is kept as extensions "envelope.…". The dead letter of a line that can't be read
// either way holds all of its bytes.
//
// What is inside is, of a JSON object, the first of these that is there and a string:
// event.original (Elastic's), message, log, msg. Of text, what follows the prefix:
//
//	<134>1 2026-01-15T12:00:00Z host app 7 id [sd] …    RFC 5424
//	<134>Jan 15 12:00:00 host app[7]: …                 RFC 3164, with or without the number
//	2026-01-15T12:00:00.5+00:00 host app[7]: …          rsyslog's own files
//	2026-01-15T12:00:00+00:00<TAB>tag<TAB>…             Fluentd's files
//
// One may be in another, as a syslog line in a Filebeat event.
//
// Source: https://www.elastic.co/guide/en/ecs/current/ecs-event.html,
// https://docs.fluentbit.io, https://docs.fluentd.org/output/file, RFC 5424, RFC 3164.

// unwrapper takes lines out of their envelopes.
type unwrapper struct {
	object jsonObject
	ext    extension.List
}

// maxEnvelopes is how many envelopes may be in one another.
const maxEnvelopes = 3

// unwrap returns what is in the innermost envelope of s. ok is false where s has none. What
// the envelopes say waits in ext.
func (w *unwrapper) unwrap(s string) (inner string, ok bool) {
	w.ext.Drop()
	w.object.names.prefix = "envelope."
	for range maxEnvelopes {
		next, found := w.once(trim(s))
		if !found || trim(next) == "" {
			break
		}
		s, ok = trim(next), true
	}
	return s, ok
}

func (w *unwrapper) once(s string) (inner string, ok bool) {
	switch {
	case s == "":
		return "", false
	case s[0] == '{':
		return w.member(s)
	case s[0] == '<' || s[0] >= '0' && s[0] <= '9' || s[0] >= 'A' && s[0] <= 'S':
		return w.syslog(s)
	}
	return "", false
}

// innerMembers are those that hold the line.
var innerMembers = [...]string{"message", "log", "msg"}

func (w *unwrapper) member(s string) (inner string, ok bool) {
	if !strings.Contains(s, `"original"`) && !strings.Contains(s, `"message"`) && !strings.Contains(s, `"log"`) && !strings.Contains(s, `"msg"`) {
		return "", false
	}
	o := &w.object
	if o.parse(s) != nil {
		return "", false
	}
	var at *jsonMember
	event := present(o.members, "event")
	if event != nil {
		at = present(o.of(event), "original")
	}
	inEvent := at != nil && at.kind == '"'
	for _, name := range innerMembers {
		if at == nil || at.kind != '"' {
			at = present(o.members, name)
		}
	}
	if at == nil || at.kind != '"' {
		return "", false
	}
	inner = at.text
	for i := range o.members {
		switch m := &o.members[i]; {
		case m == at:
		case m == event && inEvent: // the rest of it is kept
			in := o.of(m)
			for i := range in {
				if &in[i] != at {
					o.keep(&in[i], 0, &w.ext)
				}
			}
		case m.kind == '"' && m.text == inner: // the line once more
		default:
			o.keep(m, 0, &w.ext)
		}
	}
	return inner, true
}

// syslog takes the prefix of a syslog line, or of Fluentd's, away.
func (w *unwrapper) syslog(s string) (inner string, ok bool) {
	add := func(name, text string) {
		if text != "" && text != "-" {
			w.ext.Add(flow.Ext(name, text))
		}
	}
	mark := w.ext.Len()
	defer func() {
		if !ok {
			w.ext.Cut(mark)
		}
	}()
	if s[0] == '<' {
		priority, rest, found := strings.Cut(s[1:], ">")
		if !found || len(priority) > 3 || !isInteger(priority) {
			return "", false
		}
		add("envelope.priority", priority)
		if s = rest; strings.HasPrefix(s, "1 ") {
			return rfc5424(s[2:], add)
		}
	}
	var rest string
	if month, _, _ := strings.Cut(s, " "); len(month) == 3 && strings.Contains("JanFebMarAprMayJunJulAugSepOctNovDec", month) {
		const length = len("Jan 15 12:00:00")
		if len(s) <= length || s[length] != ' ' || s[9] != ':' || s[12] != ':' {
			return "", false
		}
		add("envelope.timestamp", s[:length])
		rest = s[length+1:]
	} else {
		end := strings.IndexAny(s[:min(len(s), 48)], " \t")
		if end < 0 {
			return "", false
		}
		if _, ok, _ := rfc3339(s[:end]); !ok {
			return "", false
		}
		add("envelope.timestamp", s[:end])
		rest = s[end+1:]
		if s[end] == '\t' {
			tag, inner, ok := strings.Cut(rest, "\t")
			add("envelope.tag", tag)
			return inner, ok
		}
	}
	host, rest, found := strings.Cut(rest, " ")
	tag, inner, found2 := strings.Cut(rest, ": ")
	if !found || !found2 || strings.ContainsAny(tag, " {\t") {
		return "", false
	}
	add("envelope.host", host)
	add("envelope.tag", tag)
	return inner, true
}

// rfc5424 reads what follows the version.
func rfc5424(s string, add func(name, text string)) (inner string, ok bool) {
	for _, name := range [...]string{"timestamp", "host", "app", "process", "message_id"} {
		var value string
		if value, s, ok = strings.Cut(s, " "); !ok {
			return "", false
		}
		add("envelope."+name, value)
	}
	end := 0
	if strings.HasPrefix(s, "-") {
		end = 1
	}
	for end < len(s) && s[end] == '[' {
		quote := false
		for end++; end < len(s) && (quote || s[end] != ']'); end++ {
			switch {
			case s[end] == '\\':
				end++
			case s[end] == '"':
				quote = !quote
			}
		}
		end++
	}
	if end == 0 || end >= len(s) || s[end] != ' ' {
		return "", false
	}
	add("envelope.structured_data", s[:end])
	return strings.TrimPrefix(s[end+1:], "\ufeff"), true
}

// decodeInside decodes what a shipper put around a line, after the decoder refused the whole
// with err. It returns the text that the record's id is made of.
func (f *parseFn) decodeInside(dec Decoder, data string, r *flow.Record, bare flow.Record, err error) (Outcome, string, error) {
	inner, ok := f.envelope.unwrap(data)
	if !ok {
		return Parsed, data, err
	}
	format := bare.Format
	*r = bare
	outcome, inside := dec.Decode(inner, r)
	if inside != nil {
		// Which of the two errors helps: the line's, if it looks like one.
		if info, _ := flow.FormatNamed(format); info.Detect != nil && info.Detect([]byte(inner)) > 0 {
			return Parsed, data, fmt.Errorf("inside of its envelope: %w", inside)
		}
		return Parsed, data, err
	}
	if outcome == Parsed {
		r.Extensions = append(r.Extensions, f.envelope.ext.Current()...)
	}
	return outcome, inner, nil
}

var unwrappers = sync.Pool{New: func() any { return new(unwrapper) }}

// withEnvelopes makes a format's detection and timestamp see through envelopes as well.
func withEnvelopes(info flow.FormatInfo) flow.FormatInfo {
	if detect := info.Detect; detect != nil {
		info.Detect = func(head []byte) int {
			if score := detect(head); score > 0 {
				return score
			}
			w := unwrappers.Get().(*unwrapper)
			defer unwrappers.Put(w)
			if inner, ok := w.unwrap(firstLine(trim(string(head)))); ok {
				return detect([]byte(inner))
			}
			return 0
		}
	}
	if timestamp := info.Timestamp; timestamp != nil {
		info.Timestamp = func(header string, data []byte) (flow.Time, bool) {
			if t, ok := timestamp(header, data); ok {
				return t, ok
			}
			w := unwrappers.Get().(*unwrapper)
			defer unwrappers.Put(w)
			if inner, ok := w.unwrap(string(data)); ok {
				return timestamp(header, []byte(inner))
			}
			return 0, false
		}
	}
	return info
}
