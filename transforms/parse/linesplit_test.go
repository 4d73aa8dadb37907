package parse

import (
	"slices"
	"strings"
	"testing"

	"github.com/flowbeam/flowbeam/flow"
)

func TestObjectsOverManyLines(t *testing.T) {
	for text, want := range map[string][]string{
		"[\n{\n \"a\": 1\n},\n {\n \"a\": 2\n}\n]\n": {"{\n \"a\": 1\n},\n ", "{\n \"a\": 2\n}\n]\n"},
		"{\n \"a\": 1\n,{\n \"a\": 2\n}\n":           {"{\n \"a\": 1\n,", "{\n \"a\": 2\n}\n"}, // the first is broken
		"{\n \"a\": \"\n}\n{\n \"b\": \"}\n":         {"{\n \"a\": \"\n}\n", "{\n \"b\": \"}\n"},
		"[\nNo matching flows\n]\n":                  {"No matching flows\n]\n"},
		"[\n]\n":                                     nil,
		"text\n{\n}\n":                               {"text\n", "{\n}\n"},
		"{\n \"a\": {\n }\n}\n":                      {"{\n \"a\": {\n }\n}\n"},
	} {
		s := splitObjects([]byte(text))
		if s == nil {
			t.Errorf("%q: of one line", text)
			continue
		}
		for _, cut := range []int{1, 3, len(text)} { // however the stream is cut
			in := flow.RawBatch{}
			splitAsSourceBy(&in, splitObjects([]byte(text)), []byte(text), cut)
			var got []string
			for _, r := range in.Records {
				got = append(got, string(r.Data))
			}
			if !slices.Equal(got, want) {
				t.Errorf("%q by %d: %q", text, cut, got)
			}
		}
	}
	for _, lines := range []string{"{\"a\":1}\n{\"a\":2}\n", "[\n{\"a\":1},\n{\"a\":2}\n]", "[{\"a\":1}]", strings.Repeat(" ", 9) + "{}"} {
		if splitObjects([]byte(lines)) != nil {
			t.Errorf("%q: an object a line", lines)
		}
	}
}
