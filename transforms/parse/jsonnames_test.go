package parse

import (
	"fmt"
	"strings"
	"testing"
)

func TestJSONNamesArePathsOnce(t *testing.T) {
	n := jsonNames{prefix: "p."}
	n.begin()
	a := n.id(0, "a")
	b, empty := n.id(a, "b"), n.id(a, "")
	for id, want := range map[int32]string{a: "p.a", b: "p.a.b", empty: "p.a.", n.id(b, "c"): "p.a.b.c", n.id(0, "b"): "p.b"} {
		if got := n.path(id); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if n.id(a, "b") != b || n.id(0, "a") != a {
		t.Error("another number the second time")
	}
	if allocs := testing.AllocsPerRun(10, func() { n.path(b) }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func TestJSONNamesHaveFieldsAtTheTop(t *testing.T) {
	n := jsonNames{field: func(name string) int16 { return int16(len(name)) }}
	n.begin()
	if top := n.id(0, "bb"); n.known[top].field != 2 || n.known[n.id(top, "ccc")].field != 0 {
		t.Errorf("%+v", n.known)
	}
}

// A stream of ever new names, or of long ones, does not fill the memory.
func TestJSONNamesAreBounded(t *testing.T) {
	var many, long jsonObject
	for i := range 3 * maxJSONNames {
		if err := many.parse(fmt.Sprintf(`{"a":{"n%d":%d}}`, i, i)); err != nil || many.inner[0].text != fmt.Sprint(i) {
			t.Fatal(err, many.inner)
		}
		if err := long.parse(fmt.Sprintf(`{"%d%s":1}`, i, strings.Repeat("x", 1000))); err != nil {
			t.Fatal(err)
		}
		if len(many.names.known) > maxJSONNames+3 || long.names.bytes > maxJSONNameBytes+2000 {
			t.Fatalf("%d names, %d bytes", len(many.names.known), long.names.bytes)
		}
	}
}
