package bigquerysink

import (
	"os"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"github.com/flowbeam/flowbeam/flowtest/sinktest"
)

func TestMain(m *testing.M) {
	if os.Getenv(benchServer) != "" {
		serveAnything()
	}
	ptest.Main(m)
}

func conformance(t *testing.T, opts ...Option) {
	sinktest.Run(t, sinktest.Sink{
		Class: sinktest.Log,
		Open: func(t testing.TB, c sinktest.Config) (any, sinktest.Store) {
			opts := append([]Option{Retry(c.Wait, 20*c.Wait, c.Deadline)}, opts...)
			if c.MaxBatch > 0 {
				opts = append(opts, RequestRows(c.MaxBatch))
			}
			fn, fake, table := openFake(t, opts...)
			return fn, fakeStore{fake, table}
		},
	})
}

func TestConformance(t *testing.T)             { conformance(t) }
func TestConformanceOfOwnStreams(t *testing.T) { conformance(t, OwnStreams()) }
