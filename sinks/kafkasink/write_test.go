package kafkasink

import (
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"github.com/flowbeam/flowbeam/flowtest/sinktest"
)

func TestMain(m *testing.M) { ptest.Main(m) }

func TestConformance(t *testing.T) {
	sinktest.Run(t, sinktest.Sink{
		Class: sinktest.Log,
		Open: func(t testing.TB, c sinktest.Config) (any, sinktest.Store) {
			f := newFake(t)
			return &recordsFn{Options: f.options(t, c)}, f
		},
	})
}
