package parse

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
)

// envelopes is what shippers make of a line, and what they say beside it.
var envelopes = map[string]struct {
	text string
	ext  []flow.Extension
}{
	"filebeat": {
		`{"@timestamp":"2026-01-15T12:00:01.000Z","@metadata":{"beat":"filebeat"},"message":LINE,"log":{"offset":7,"file":{"path":"/var/log/x"}},"host":{"name":"h1"},"tags":["a"]}`,
		[]flow.Extension{flow.Ext("envelope.@timestamp", "2026-01-15T12:00:01.000Z"), flow.Ext("envelope.@metadata.beat", "filebeat"), flow.ExtN("envelope.log.offset", 7),
			flow.Ext("envelope.log.file.path", "/var/log/x"), flow.Ext("envelope.host.name", "h1"), flow.Ext("envelope.tags", `["a"]`)},
	},
	"logstash": {
		`{"event":{"original":LINE,"dataset":"x"},"message":LINE,"host":{"name":"h1"},"@version":"1"}`,
		[]flow.Extension{flow.Ext("envelope.event.dataset", "x"), flow.Ext("envelope.host.name", "h1"), flow.Ext("envelope.@version", "1")},
	},
	"fluent bit, docker":   {`{"log":LINE,"stream":"stdout"}`, []flow.Extension{flow.Ext("envelope.stream", "stdout")}},
	"rsyslog, JSON":        {`{"msg":LINE,"hostname":"h1"}`, []flow.Extension{flow.Ext("envelope.hostname", "h1")}},
	"fluentd, file":        {"2026-01-15T12:00:00+00:00\tflows\t{\"message\":LINE}", []flow.Extension{flow.Ext("envelope.timestamp", "2026-01-15T12:00:00+00:00"), flow.Ext("envelope.tag", "flows")}},
	"RFC 5424":             {`<134>1 2026-01-15T12:00:00.5Z h1 app - - [a@1 b="]\""][c] ` + "\ufeffBARE", []flow.Extension{flow.Ext("envelope.priority", "134"), flow.Ext("envelope.timestamp", "2026-01-15T12:00:00.5Z"), flow.Ext("envelope.host", "h1"), flow.Ext("envelope.app", "app"), flow.Ext("envelope.structured_data", `[a@1 b="]\""][c]`)}},
	"RFC 3164":             {`<134>Jan  5 12:00:00 h1 app[7]: BARE`, []flow.Extension{flow.Ext("envelope.priority", "134"), flow.Ext("envelope.timestamp", "Jan  5 12:00:00"), flow.Ext("envelope.host", "h1"), flow.Ext("envelope.tag", "app[7]")}},
	"rsyslog, file":        {`2026-01-15T12:00:00.123456+00:00 h1 app: BARE`, []flow.Extension{flow.Ext("envelope.timestamp", "2026-01-15T12:00:00.123456+00:00"), flow.Ext("envelope.host", "h1"), flow.Ext("envelope.tag", "app")}},
	"syslog in a filebeat": {`{"message":"<134>1 - - - - - - BARE"}`, []flow.Extension{flow.Ext("envelope.priority", "134")}},
}

func wrap(t testing.TB, envelope, line string) string {
	t.Helper()
	text, err := json.Marshal(line)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(envelope, "{") {
		envelope = strings.ReplaceAll(envelope, "BARE", string(text[1:len(text)-1]))
	}
	return strings.NewReplacer("LINE", string(text), "BARE", line).Replace(envelope)
}

func TestLinesInEnvelopesAreTheirLines(t *testing.T) {
	for format, s := range samples {
		if f, _ := formatNamed(format); f.NewUnit != nil || !utf8.ValidString(s.line) || strings.Contains(s.line, "\n") {
			continue // of units, no text, or more than a line
		}
		in := sampleBatch(format)
		want, _ := newFn(t, parseFn{}).parse(&in)
		for name, e := range envelopes {
			in := sampleBatch(format)
			line := wrap(t, e.text, s.line)
			in.Records[0].Data = []byte(line)
			out, bad := newFn(t, parseFn{KeepOriginal: true}).parse(&in)
			if len(out.Records) != 1 {
				t.Errorf("%s, %s: %+v", format, name, bad)
				continue
			}
			r := out.Records[0]
			if r.ID != want.Records[0].ID || r.Source.IP != want.Records[0].Source.IP || r.EventTime != want.Records[0].EventTime || r.Original != line {
				t.Errorf("%s, %s: %+v", format, name, r)
			}
			if format == "canopus" {
				if d := cmp.Diff(e.ext, r.Extensions); d != "" {
					t.Errorf("%s: %s", name, d)
				}
			}
			if needsHeader[format] {
				continue // its lines say nothing without the header
			}
			if got, err := flow.DetectFormat([]byte(line)); got != format {
				t.Errorf("%s, %s: detected as %q, %v", format, name, got, err)
			}
			info, _ := flow.FormatNamed(format)
			if at, ok := info.Timestamp(in.Origin.Header, []byte(line)); !ok || at != r.EventTime {
				t.Errorf("%s, %s: timestamp %v, want %v", format, name, at, r.EventTime)
			}
		}
	}
}

func TestEnvelopesThatAreNotOpened(t *testing.T) {
	in := rawBatch("canopus", canopusLine, "<134>1 2026-01-15T12:00:00Z host app 7 - - "+canopusLine)
	if out, _ := newFn(t, parseFn{}).parse(&in); len(out.Records) != 2 {
		t.Fatalf("%d records", len(out.Records))
	}
	out, bad := newFn(t, parseFn{Bare: true}).parse(&in)
	if len(out.Records) != 1 || len(bad) != 1 || bad[0].Data != string(in.Records[1].Data) {
		t.Errorf("%d records, %v", len(out.Records), bad)
	}
}

func TestDeadLettersOfEnvelopesHoldAllBytes(t *testing.T) {
	broken := strings.Replace(canopusLine, "203.0.113.10", "203.0.113.999", 1)
	lines := []string{
		wrap(t, envelopes["filebeat"].text, broken),
		`{"message":"hello"}`,
		`<134>1 2026-01-15T12:00:00.5Z h1 app - - [a`,
		`<1>` + canopusLine,
		strings.Replace(canopusLine, `"client_ip"`, `"message":"no line","client"`, 1),
	}
	in := rawBatch("canopus", lines...)
	_, bad := newFn(t, parseFn{}).parse(&in)
	var got []string
	for i, b := range bad {
		if b.Data != lines[i] {
			t.Errorf("%q", b.Data)
		}
		got = append(got, string(b.Reason)+" "+b.Error)
	}
	if d := cmp.Diff([]string{
		`field inside of its envelope: server_ip: want an IP address, have "203.0.113.999"`,
		"field timestamp: missing",
		"syntax JSON: invalid character '<' at start of value",
		"syntax JSON: invalid character '<' at start of value",
		"field client_ip: missing",
	}, got); d != "" {
		t.Error(d)
	}
}

func FuzzEnvelope(f *testing.F) {
	for _, e := range envelopes {
		f.Add(wrap(f, e.text, canopusLine))
	}
	f.Fuzz(func(t *testing.T, s string) {
		var w unwrapper
		inner, ok := w.unwrap(s)
		if ok && (inner == "" || len(inner) > 3*len(s)+3) {
			t.Fatalf("%q", inner)
		}
		in := rawBatch("canopus", s, s)
		fn := newFn(t, parseFn{})
		out, bad := fn.parse(&in)
		if int(fn.n.read) != len(out.Records)+len(bad) {
			t.Fatal("a line is lost")
		}
		for i := range out.Records {
			readBack(t, &out.Records[i])
		}
	})
}
