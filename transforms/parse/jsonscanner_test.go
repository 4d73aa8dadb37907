package parse

import "testing"

func TestNumbersOfJSON(t *testing.T) {
	for text, want := range map[string]bool{
		"0": true, "-0": true, "10": true, "1.5": true, "1e5": true, "1E+05": true, "-1.5e-3": true,
		"": false, "-": false, "01": false, "-01": false, "1.": false, ".5": false, "1e": false, "1e+": false, "+1": false, "1x": false, "0x1": false,
	} {
		if got := isJSONNumber(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestQuotesAreFoundAnywhere(t *testing.T) {
	const text = `0123456789abcdefghij`
	for i := range len(text) {
		s := text[:i] + `"` + text[i:] + `"!#`
		if got := quoteAt(s, 0); got != i {
			t.Errorf("%s: %d", s, got)
		}
		if got := quoteAt(s, i+1); got != len(text)+1 {
			t.Errorf("%s: %d", s, got)
		}
		if quoteAt(text, i) != -1 {
			t.Errorf("%s from %d", text, i)
		}
	}
}

// Members are found behind objects and arrays that hold brackets in texts and names like theirs.
func TestFindMember(t *testing.T) {
	const s = ` {"a":{"z":"}]"},"b":[[{"z":1}],"]"], "c":null,"d":-1.5e3,"z":"x"}`
	for name, want := range map[string]string{"a": `{"z":"}]"}`, "b": `[[{"z":1}],"]"]`, "c": "null", "d": "-1.5e3", "z": "x"} {
		if m, ok := findMember(s, name); !ok || m.text != want {
			t.Errorf("%s: %+v", name, m)
		}
	}
	for _, s := range []string{`{"a":{"b":1,"z":2}`, `{"a":["z`, `{"a" "z":1}`, `{"a":tru,"z":1}`, `["z"]`, `{"a":01,"z":1}`, ``} {
		if m, ok := findMember(s, "z"); ok {
			t.Errorf("%s: %+v", s, m)
		}
	}
}
