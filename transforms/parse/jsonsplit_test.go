package parse

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
)

// splitAll is what the splitter finds in chunks of n bytes.
func splitAll(text string, n int) (units []string) {
	var s jsonSplitter
	unit, inside := "", false
	for text != "" {
		chunk := text[:min(n, len(text))]
		seen, at := s.Scan([]byte(chunk))
		if inside {
			unit += chunk[:seen]
		}
		text = text[seen:]
		switch at {
		case flow.SplitBegin:
			unit, inside = "", true
		case flow.SplitEnd:
			units, inside = append(units, unit), false
		}
	}
	if inside {
		units = append(units, unit)
	}
	return units
}

func TestJSONSplitter(t *testing.T) {
	for text, want := range map[string][]string{
		``:     nil,
		`[]`:   nil,
		`[{}]`: {`{}`},
		`{"records":[{"a":"}\"{["},{"b":[{"c":{}}]}]}`:     {`{"a":"}\"{["}`, `{"b":[{"c":{}}]}`},
		"{\n \"records\" : [\n  {\"a\": 1}\n ,\n {\n}]}\n": {`{"a": 1}`, "{\n}"},
		`{"records":[{"a":1},{"b":`:                        {`{"a":1}`, `{"b":`},
		`{"re[{}]":[{}]}{"records":[{"a":1}]}`:             {`{}`, `{"a":1}`},
	} {
		for _, n := range []int{1, 3, 1000} {
			if d := cmp.Diff(want, splitAll(text, n)); d != "" {
				t.Errorf("%s in chunks of %d: %s", text, n, d)
			}
		}
		if isArray := strings.Contains(text, "["); isArray != (splitJSON([]byte(text)) != nil) {
			t.Errorf("%s: array %v", text, isArray)
		}
	}
	for _, lines := range []string{"{\"a\":1}\n{\"a\":[]}", "x", `{"a`, `{"a":`, `{}`} {
		if splitJSON([]byte(lines)) != nil {
			t.Errorf("%q is taken for an array", lines)
		}
	}
}

// FuzzJSONSplitter holds what the splitter finds to what encoding/json finds in the array.
func FuzzJSONSplitter(f *testing.F) {
	f.Add(`{"records": [{"a":"]"}, {"b":[1,{"c":"\\\""}]}]}`, 3)
	f.Fuzz(func(t *testing.T, text string, n int) {
		if n < 1 {
			return
		}
		units := splitAll(text, n)
		var envelope struct {
			Records []json.RawMessage `json:"records"`
		}
		if json.Unmarshal([]byte(text), &envelope) != nil || strings.Count(text, "[") != strings.Count(text, "]") {
			return
		}
		var keys map[string]json.RawMessage
		if json.Unmarshal([]byte(text), &keys) != nil || len(keys) != 1 || keys["records"] == nil {
			return
		}
		var want []string
		for _, r := range envelope.Records {
			if r[0] != '{' {
				return
			}
			want = append(want, string(r))
		}
		if d := cmp.Diff(want, units); d != "" {
			t.Fatal(d)
		}
	})
}
