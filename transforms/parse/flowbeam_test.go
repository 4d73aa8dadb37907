package parse

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
)

// Extensions are those that flow reads, whatever they are.
func TestFlowbeamExtensionsAreThoseOfFlow(t *testing.T) {
	for _, object := range []string{
		`{}`, `{"a":"x","b":"","c":1,"d":-0,"e":1.5,"f":1e3,"g":true,"h":false,"i":null,"j":{"k":[1, 2]},"l":[ ]}`,
		`{"n":9223372036854775807,"o":9223372036854775808,"p":-9223372036854775808}`, `{"q":"\u00e9\n","\u0061":1}`,
	} {
		line := `{"record_id":"000102030405060708090a0b0c0d0e0f","event_time":"2026-01-15T12:00:00Z","extensions":` + object + `}`
		got, _, err := decodeOne(t, "flowbeam", "", line)
		if err != nil {
			t.Fatal(err)
		}
		want, err := flow.ParseExtensions(object)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got.Extensions); d != "" {
			t.Errorf("%s\n%s", object, d)
		}
	}
}
