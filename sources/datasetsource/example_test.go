package datasetsource_test

import (
	"context"
	"fmt"
	"os"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/flowbeam/flowbeam/flowtest"
	"github.com/flowbeam/flowbeam/internal/dataset"
	"github.com/flowbeam/flowbeam/sources/datasetsource"
)

// Read back what is stored, each record once, though its bucket is named twice.
func ExampleRead() {
	dir, _ := os.MkdirTemp("", "flows")
	defer os.RemoveAll(dir)
	records := flowtest.Records(100, 1)
	// In a pipeline filesink.Write does this.
	w, _ := dataset.Open(context.Background(), dataset.Records(), dataset.Config{Dir: dir, Want: dataset.WantRecords(), Format: dataset.NDJSON})
	b := w.NewBundle()
	for i := range records {
		b.Add(context.Background(), &records[i])
	}
	b.Flush(context.Background())

	names, err := datasetsource.Buckets(dir)
	fmt.Println(names, err)
	p, s := beam.NewPipelineWithRoot()
	batches := datasetsource.Read(s, beam.CreateList(s, append(names, names...)), dir)
	flowtest.Equal(s, batches, records)
	fmt.Println(ptest.Run(p))
	// Output:
	// [2026-01-02T03:00:00Z] <nil>
	// <nil>
}
