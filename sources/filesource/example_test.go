package filesource_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/sources/filesource"
)

func init() {
	// Programs import transforms/parse, which registers the formats.
	flow.RegisterFormat(flow.FormatInfo{Name: "example"})
	register.Function2x0(printBatch)
}

func printBatch(_ context.Context, b flow.RawBatch) {
	for _, r := range b.Records {
		fmt.Printf("%s at byte %d: %s\n", b.Origin.DataCenter, r.Offset.V, r.Data)
	}
}

func ExampleRead() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "fra-1.log"), []byte("first\r\n\nsecond\n"), 0o600); err != nil {
		fmt.Println(err)
		return
	}

	p, s := beam.NewPipelineWithRoot()
	raw, _, _ := filesource.Read(s, []string{dir + "/*.log"},
		filesource.Format("example"), filesource.DataCenter(`/([a-z]+)-\d+\.log$`))
	beam.ParDo0(s, printBatch, raw)
	if err := ptest.Run(p); err != nil {
		fmt.Println(err)
	}
	// Output:
	// fra at byte 0: first
	// fra at byte 8: second
}
