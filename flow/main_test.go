package flow_test

import (
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/coder"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
)

func TestMain(m *testing.M) {
	// A struct with a field that Beam's row coder would drop in silence fails instead.
	coder.RequireAllFieldsExported(true)
	ptest.Main(m)
}
