package parse

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// What is read without the tokenizer is what the tokenizer reads; and it is the fast way
// that is taken, for records are of this kind.
func TestObjectsInsideAreReadBothWays(t *testing.T) {
	for s, fastReads := range map[string]bool{
		`{"a":{}}`: true,
		`{"a":{"b":1,"c":"x"},"d":{"b":true},"e":null}`:           true,
		`{"a":{"b":{"c":{"d":[1,[2,{"e":-0.5}]]}}},"f":[]}`:       true,
		` { "a" : { "b" : [ ] , "c" : { } } , "d" : [ 1 , 2 ] } `: true,
		`{"a":{"b":"\n"}}`:        false,
		`{"a":[[[[[[[[1]]]]]]]]}`: false,
	} {
		var fast, slow jsonObject
		if got := fast.fast(s); got != fastReads {
			t.Errorf("%s: fast %v", s, got)
			continue
		}
		if err := slow.slow(s); err != nil {
			t.Errorf("%s: %v", s, err)
		}
		if !fastReads {
			continue
		}
		opts := []cmp.Option{cmp.AllowUnexported(jsonMember{}, jsonObject{}), cmpopts.EquateEmpty()}
		if d := cmp.Diff(slow, fast, opts...); d != "" {
			t.Errorf("%s\n%s", s, d)
		}
	}
	for _, s := range []string{
		`{"a":{"b":1,"b":2}}`, `{"a":{"b":{"c":1,"c":2}}}`, `{"a":[{"c":1,"c":2}]}`, `{"a":[1,]}`, `{"a":{"b":1,}}`, `{"a":[1 2]}`,
		`{"a":{"b" 1}}`, `{"a":{b:1}}`, `{"a":{"b":tru}}`, `{"a":{"b":01}}`, `{"a":{"b":1}`, `{"a":[1}`, `{"a":{]}`,
	} {
		var o jsonObject
		if o.fast(s) || o.slow(s) == nil {
			t.Errorf("%s is accepted", s)
		}
	}
}

func TestOnlyString(t *testing.T) {
	for array, want := range map[string]string{`["a"]`: "a", `[ "a" ]`: "a", `[]`: "", `["a","b"]`: "", `[1]`: "", `["\n"]`: "", `["]`: ""} {
		if got, ok := onlyString(array); got != want || ok != (want != "") {
			t.Errorf("%s: %q %v", array, got, ok)
		}
	}
}
