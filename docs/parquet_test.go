package docs_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/parquet-go/parquet-go"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/flowtest"
	"github.com/flowbeam/flowbeam/sinks/filesink"
)

// A first look with a few lines of Go: name the columns that are wanted.

type row struct {
	EventTime time.Time `parquet:"event_time"`
	UserID    *string   `parquet:"user_id"`
	Bytes     *int64    `parquet:"source_bytes"` // nil = absent, which is not zero
}

func bytesByUser(dir string) map[string]int64 {
	parts, err := filepath.Glob(filepath.Join(dir, "dt=*", "hour=*", "shard-*", "*.parquet"))
	if err != nil {
		log.Fatal(err)
	}
	sum := map[string]int64{}
	for _, part := range parts {
		rows, err := parquet.ReadFile[row](part)
		if err != nil {
			log.Fatal(err)
		}
		for _, r := range rows {
			if r.UserID != nil && r.Bytes != nil {
				sum[*r.UserID] += *r.Bytes
			}
		}
	}
	return sum
}

func TestBytesByUser(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "flows")
	p, s := beam.NewPipelineWithRoot()
	filesink.Write(s, beam.Create(s, flow.Batch{Records: []flow.Record{
		flowtest.Record(flowtest.User("ann"), flowtest.Bytes(10, 1)),
		flowtest.Record(flowtest.User("ann"), flowtest.Bytes(20, 2)),
		flowtest.Record(flowtest.User("bob"), flowtest.Bytes(40, 3)),
	}}), dir)
	ptest.RunAndValidate(t, p)
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(bytesByUser(dir)); got != "map[ann:30 bob:40]" {
		t.Errorf("bytes by user %s", got)
	}
}
