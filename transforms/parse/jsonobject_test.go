package parse

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/extension"
)

// sameObject compares what two readers read.
func sameObject(t *testing.T, s string, want, got *jsonObject) {
	t.Helper()
	opts := []cmp.Option{cmp.AllowUnexported(jsonMember{}), cmpopts.EquateEmpty()}
	if d := cmp.Diff([][]jsonMember{want.members, want.inner}, [][]jsonMember{got.members, got.inner}, opts...); d != "" {
		t.Fatalf("%s\n%s", s, d)
	}
}

// What is read without the tokenizer is what the tokenizer reads; and it is the fast way
// that is taken, for records are of this kind.
func TestObjectsInsideAreReadBothWays(t *testing.T) {
	deep := strings.Repeat("[", maxJSONDepth) + strings.Repeat("]", maxJSONDepth)
	for s, fastReads := range map[string]bool{
		`{"a":{}}`: true,
		`{"a":{"b":1,"c":"x"},"d":{"b":true},"e":null}`:           true,
		`{"a":{"b":{"c":{"d":[1,[2,{"e":-0.5}]]}}},"f":[]}`:       true,
		` { "a" : { "b" : [ ] , "c" : { } } , "d" : [ 1 , 2 ] } `: true,
		`{"a":[{"b":1},{"b":2}],"b":{"a":{"b":3}}}`:               true,
		`{"a":{"b":"\n"}}`:   false,
		`{"a":` + deep + `}`: false,
	} {
		var fast, slow jsonObject
		if got := fast.fast(s); got != fastReads {
			t.Errorf("%s: fast %v", s, got)
			continue
		}
		if err := slow.slow(s); err != nil {
			t.Errorf("%s: %v", s, err)
		}
		if fastReads {
			sameObject(t, s, &slow, &fast)
		}
	}
	for _, s := range []string{
		`{"a":{"b":1,"b":2}}`, `{"a":{"b":{"c":1,"c":2}}}`, `{"a":[{"c":1,"c":2}]}`, `{"a":[1,]}`, `{"a":{"b":1,}}`, `{"a":[1 2]}`,
		`{"a":{"b" 1}}`, `{"a":{b:1}}`, `{"a":{"b":tru}}`, `{"a":{"b":01}}`, `{"a":{"b":1}`, `{"a":[1}`, `{"a":{]}`, `{"a":[1,`, `{"a":[`, `{"a":1`, `{"a":1,`, `{"a"`,
	} {
		var o jsonObject
		for range 2 { // the second time with the names of the first
			if o.fast(s) || o.slow(s) == nil {
				t.Errorf("%s is accepted", s)
			}
		}
	}
}

func TestJSONObjectHasEveryValue(t *testing.T) {
	var o jsonObject
	if err := o.parse(` {"a": {"b": [1, "x", {"c": null}], "d": true}, "e": "", "f": {}} `); err != nil {
		t.Fatal(err)
	}
	var ext extension.List
	for i := range o.members {
		o.keep(&o.members[i], 0, &ext)
	}
	want := []flow.Extension{flow.Ext("a.b", `[1, "x", {"c": null}]`), {Name: "a.d", Text: "true", Kind: flow.ExtBool}, flow.Ext("e", "")}
	if d := cmp.Diff(want, ext.Take()); d != "" {
		t.Error(d)
	}
	a := present(o.members, "a")
	if b := present(o.of(a), "b"); b.kind != '[' || present(o.of(a), "c") != nil || present(o.members, "f") == nil {
		t.Errorf("%+v", o)
	}
}

// What was read before changes nothing: members that are not there, in another order, twice,
// or that only look like those before.
func TestWhatWasReadBeforeChangesNothing(t *testing.T) {
	var o jsonObject
	for _, s := range []string{
		`{"a":1,"b":{"c":1,"d":2},"e":[{"f":1,"g":2},{"f":3,"g":4}]}`,
		`{"a":1,"b":{"c":1,"d":2},"e":[{"f":1,"g":2},{"g":3,"f":4}]}`,
		`{"b":{"d":2},"a":1}`, `{"e":[{"g":1}],"b":1,"a":{"c":1}}`, `{}`, `{"a":{}}`, `{"":1}`, `{"":{"":2},"a":1}`,
		`{"a":1,"b":{"c":1,"c":2}}`, `{"b":1,"a":1,"b":1}`, `{"a":1,"a":1}`, `{"e":[{"f":1,"f":2}]}`,
		`{"a":1,"bb":2}`, `{"a":1,"b`, `{"a":1,"b"`, `{"a":1,"b":`, `{"aa":1}`,
		`{"x\":1,\"y":1}`, `{"x":1,"y":2}`, `{"\u0061":1,"b":2}`, `{"a":1,"b":2}`,
		"{\"a\xff\":1}", `{"é":1}`, `{"é":2,"a":1}`,
	} {
		for range 2 {
			var fresh jsonObject
			if err, want := o.parse(s), fresh.slow(s); fmt.Sprint(err) != fmt.Sprint(want) {
				t.Fatalf("%s: %v, want %v", s, err, want)
			} else if err == nil {
				withoutIDs(&o)
				withoutIDs(&fresh)
				sameObject(t, s, &fresh, &o)
			}
		}
	}
}

// withoutIDs leaves out the numbers of names, which follow from what was read before.
func withoutIDs(o *jsonObject) {
	for _, list := range [][]jsonMember{o.members, o.inner} {
		for i := range list {
			list[i].id = 0
		}
	}
}

func TestOnlyOneElement(t *testing.T) {
	var o jsonObject
	if err := o.parse(`{"a":[1,{"b":["x","y\n"],"c":[2]}],"d":[3,4],"e":{"f":[5]}}`); err != nil {
		t.Fatal(err)
	}
	for i := range o.inner {
		switch o.inner[i].text {
		case "y\n":
			if got, want := string(o.only(nil, i)), `{"a":[{"b":["y\n"],"c":[2]}],"d":[3,4],"e":{"f":[5]}}`; got != want {
				t.Errorf("%s, want %s", got, want)
			}
		case "2":
			if got, want := string(o.only(nil, i)), `{"a":[{"b":["x","y\n"],"c":[2]}],"d":[3,4],"e":{"f":[5]}}`; got != want {
				t.Errorf("%s, want %s", got, want)
			}
		case "1":
			if got, want := string(o.only(nil, i)), `{"a":[1],"d":[3,4],"e":{"f":[5]}}`; got != want {
				t.Errorf("%s, want %s", got, want)
			}
		case "5":
			if got, want := string(o.only(nil, i)), `{"a":[1,{"b":["x","y\n"],"c":[2]}],"d":[3,4],"e":{"f":[5]}}`; got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
	}
}

// FuzzJSONObject holds the two ways to the same accepted set, which is encoding/json/v2's, and
// to the same values, also of a reader that has read something else before.
func FuzzJSONObject(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"a":{"a":[{"a":1},[],{}]}}`, `{"a":{"b":1,"b":2}}`, `{"a":[1,2}`, `{"a":[1,]}`, `{"a":{}}x`, `{"é":"\u00e9"}`, `{"a":"` + "\xff" + `"}`,
		`[{}]`, `{"a":01}`, `{"a":{"b":nul}}`, ` {"a" : [ "x" , -1.5e3 ] } `, `{"a":"\ud800"}`, `{"a":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}`, `{`, ``, "{\"a\"\n:\t1}",
	} {
		f.Add(s, `{"a":{"b":1}}`)
		f.Add(`{"a":1,"b":2}`, s)
	}
	f.Fuzz(func(t *testing.T, s, before string) {
		var fast, slow, used jsonObject
		err, slowErr := fast.parse(s), slow.slow(s)
		if (err == nil) != (slowErr == nil) {
			t.Fatalf("%v, by the tokenizer %v", err, slowErr)
		}
		v := jsontext.Value(s)
		if (err == nil) != (v.IsValid() && v.Kind() == '{') {
			t.Fatalf("%v, encoding/json/v2 %v", err, v.IsValid())
		}
		_ = used.parse(before)
		if usedErr := used.parse(s); fmt.Sprint(usedErr) != fmt.Sprint(err) {
			t.Fatalf("%v, with names known %v", err, usedErr)
		}
		if err == nil {
			sameObject(t, s, &slow, &fast)
			withoutIDs(&slow)
			withoutIDs(&used)
			sameObject(t, s, &slow, &used)
		}
	})
}

func TestOnlyString(t *testing.T) {
	for array, want := range map[string]string{`["a"]`: "a", `[ "a" ]`: "a", `[]`: "", `["a","b"]`: "", `[1]`: "", `["\u0061"]`: "a", `"x"`: ""} {
		var o jsonObject
		if err := o.parse(`{"m":` + array + `}`); err != nil {
			t.Fatal(err)
		}
		if got, ok := o.onlyString(&o.members[0]); got != want || ok != (want != "") {
			t.Errorf("%s: %q %v", array, got, ok)
		}
	}
}
