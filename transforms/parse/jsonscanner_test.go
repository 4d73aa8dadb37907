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

func TestWholeNumbersOfJSON(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "-0": 0, "17": 17, "-17": -17, "999999999999999999": 999999999999999999} {
		if n, end, ok := wholeAt(text+",", 0); n != want || end != len(text) || !ok {
			t.Errorf("%s: %d %d %v", text, n, end, ok)
		}
	}
	for _, text := range []string{"", "-", "01", "-01", "1.5", "1.", "1e5", "1E5", "1000000000000000000", "00000000000000000001", "x"} {
		if n, _, ok := wholeAt(text, 0); ok {
			t.Errorf("%s: %d", text, n)
		}
	}
}

// A string ends at its quote, wherever that is among eight bytes, and what needs a second look
// before it gets one.
func TestStringsEndAnywhere(t *testing.T) {
	const text = `0123456789abcdefghij`
	for i := range len(text) {
		for _, behind := range []string{"", "x", `,"x":"y\u0061`, "\n\xff\\, and more of it"} {
			if got := stringAt(`"`+text[:i]+`"`+behind, 0); got != i+2 {
				t.Errorf("%d, %q: %d", i, behind, got)
			}
			for c, fine := range map[string]bool{"\x01": false, "\x1f": false, `\`: false, "\xff": false, "é": true, "\x7f": true, "!": true, "#": true} {
				want := -1
				if fine {
					want = len(text) + len(c) + 2
				}
				if got := stringAt(`"`+text[:i]+c+text[i:]+`"`+behind, 0); got != want {
					t.Errorf("%d, %q, %q: %d, want %d", i, c, behind, got, want)
				}
			}
		}
		if stringAt(`"`+text[:i], 0) != -1 {
			t.Errorf("%d: it has no end", i)
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
