package house

import (
	"bytes"
	"strings"
	"testing"
)

// One register.DoFn5x0 compiles to 7,185 functions, in nine seconds, where beam.RegisterDoFn takes none
// and calls by reflection: once a batch.
func TestNoGenericRegistrationOfDoFns(t *testing.T) {
	name := []byte("register." + "DoFn")
	walk(t, func(file string) {
		if strings.HasSuffix(file, ".go") && file != "internal/house/register_test.go" && bytes.Contains(read(t, file), name) {
			t.Errorf("%s: register the DoFn by beam.RegisterDoFn", file)
		}
	})
}
