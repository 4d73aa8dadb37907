// Program flows reads network flow records, takes duplicates out, enriches and counts
// them by windows, and writes records, rollups and dead letters.
//
//	go run ./pipelines/flows
//
// runs it on the bundled sample.
package main

import (
	"os"

	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/x/beamx"

	"github.com/flowbeam/flowbeam/pipelines/internal/job"
)

func main() {
	os.Exit(job.Flows().Main(os.Args[1:], os.Stderr))
}
