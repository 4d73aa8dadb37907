// Program replay reads dead letters back, after a fix or with the right --format, through
// the same pipeline as flows: what can be used now is added to the records and rollups.
package main

import (
	"os"

	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/x/beamx"

	"github.com/flowbeam/flowbeam/pipelines/internal/job"
)

func main() {
	p := job.Replay()
	os.Exit(p.Main(os.Args[1:], os.Stderr))
}
