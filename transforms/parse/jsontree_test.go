package parse

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/extension"
)

func TestJSONTreeHasEveryValue(t *testing.T) {
	var tree jsonTree
	if err := tree.parse(` {"a": {"b": [1, "x", {"c": null}], "d": true}, "e": "", "f": {}} `); err != nil {
		t.Fatal(err)
	}
	var ext extension.List
	tree.leaves(0, "", &memberPaths{}, &ext)
	want := []flow.Extension{flow.Ext("a.b", `[1, "x", {"c": null}]`), {Name: "a.d", Text: "true", Kind: flow.ExtBool}, flow.Ext("e", "")}
	if d := cmp.Diff(want, ext.Take()); d != "" {
		t.Error(d)
	}
	a := tree.member(0, "a")
	if b := tree.member(a, "b"); tree.nodes[b].kind != '[' || tree.member(a, "c") != 0 || tree.member(0, "f") == 0 {
		t.Errorf("%+v", tree.nodes)
	}
}

// FuzzJSONTree holds the two ways to the same accepted set, which is encoding/json/v2's, and
// to the same values.
func FuzzJSONTree(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"a":{"a":[{"a":1},[],{}]}}`, `{"a":{"b":1,"b":2}}`, `{"a":[1,2}`, `{"a":[1,]}`, `{"a":{}}x`, `{"é":"\u00e9"}`, `{"a":"` + "\xff" + `"}`,
		`[{}]`, `{"a":01}`, `{"a":{"b":nul}}`, ` {"a" : [ "x" , -1.5e3 ] } `, `{"a":"\ud800"}`, `{"a":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}`, `{`, ``, "{\"a\"\n:\t1}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var fast, slow jsonTree
		err, slowErr := fast.parse(s), slow.slow(s)
		if (err == nil) != (slowErr == nil) {
			t.Fatalf("%v, by the tokenizer %v", err, slowErr)
		}
		v := jsontext.Value(s)
		if (err == nil) != (v.IsValid() && v.Kind() == '{') {
			t.Fatalf("%v, encoding/json/v2 %v", err, v.IsValid())
		}
		if err == nil {
			if d := cmp.Diff(slow.nodes, fast.nodes, cmp.AllowUnexported(jsonNode{}, jsonMember{})); d != "" {
				t.Fatal(d)
			}
		}
	})
}
