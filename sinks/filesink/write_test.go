package filesink

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/flowtest"
)

func TestMain(m *testing.M) { ptest.Main(m) }

// files are the parts below dir, by path, with their bytes.
func files(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		out[filepath.ToSlash(rel)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestWriteGivesPartsCountsAndTouchedBuckets(t *testing.T) {
	dir := t.TempDir()
	p, s := beam.NewPipelineWithRoot()
	batches := beam.Create(s, flow.Batch{Records: flowtest.Records(100, 1)})
	r := Write(s, batches, dir, Format("ndjson"), Compression("none"))
	passert.Equals(s, r.Touched, "2026-01-02T03:00:00Z")
	passert.Empty(s, r.Failures)
	ptest.RunAndValidate(t, p)
	for name := range files(t, dir) {
		if name != "_layout.json" && !strings.HasPrefix(name, "dt=2026-01-02/hour=03/shard-0/part-000001.ndjson") {
			t.Errorf("file %s", name)
		}
	}
	if len(files(t, dir)) != 2 {
		t.Errorf("%d files", len(files(t, dir)))
	}
}
