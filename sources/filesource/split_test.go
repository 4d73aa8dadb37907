package filesource

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/rtrackers/offsetrange"
	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
)

// Whatever the runner splits and when, and wherever the source pauses, each line is read
// once.
func TestEachLineIsReadOnceHoweverTheRunnerSplits(t *testing.T) {
	readOnceHoweverSplit(t, "", oracle)
}

// readOnceHoweverSplit reads files of a format in random ranges and compares with what want
// cuts them into.
func readOnceHoweverSplit(t *testing.T, format string, want func(source string, text []byte, body int) []record) {
	dir := t.TempDir()
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 7))
		header := "#headed\n"
		if r.IntN(2) == 0 {
			header = "\ufeff#headed\r\n# two\r\n"
		}
		text := append([]byte(header), randomText(r, r.IntN(300))...)
		data, name := text, "plain"
		if r.IntN(4) == 0 {
			data, name = gz(t, text), "gzip"
		}
		t.Run(fmt.Sprintf("seed %d, %s", seed, name), func(t *testing.T) {
			path := write(t, dir, fmt.Sprintf("%d.log", seed), data)
			c, err := newConfig([]Option{Format(format), BatchRecords(1 + r.IntN(20)), BatchBytes(1 + r.IntN(2000)), SplitBytes(int64(1 + r.IntN(len(text))))})
			if err != nil {
				t.Fatal(err)
			}
			f := file{Path: path, Size: int64(len(data)), ModTime: 1}
			fn := ranges{Config: *c}
			todo, err := fn.SplitRestriction(context.Background(), f, fn.CreateInitialRestriction(f))
			if err != nil {
				t.Fatal(err)
			}
			var got collected
			for len(todo) > 0 {
				rest := todo[len(todo)-1]
				todo = todo[:len(todo)-1]
				rt := fn.CreateTracker(rest)
				split := func(fraction float64) bool {
					_, residual, err := rt.TrySplit(fraction)
					if err != nil {
						t.Fatal(err)
					}
					if residual != nil {
						todo = append(todo, residual.(offsetrange.Restriction))
					}
					return residual != nil
				}
				pauses := 0
				done, err := fn.read(context.Background(), rt, f, func() bool {
					// The runner splits between two claims, and at times before the first.
					if r.IntN(3) == 0 {
						split(r.Float64())
					}
					pauses++
					return pauses > 1 && r.IntN(3) == 0
				}, func(b flow.RawBatch) { got.batches = append(got.batches, b) }, func(b flow.FailureBatch) {
					got.failures = append(got.failures, b.Failures...)
				})
				if err != nil {
					t.Fatal(err)
				}
				if !done && !rt.IsDone() && !split(0) {
					t.Fatal("nothing to resume after a pause")
				}
				if !rt.IsDone() || rt.GetError() != nil {
					t.Fatalf("range %v is not done: %v, %v", rest, rt.Rt, rt.GetError())
				}
			}
			if d := cmp.Diff(want(path, text, len(header)), got.records(), cmpRecords); d != "" {
				t.Fatal(d)
			}
			if fn.files != 1 || fn.stored != f.Size || len(got.failures) > 0 {
				t.Fatalf("files %d, bytes %d of %d, failures %v", fn.files, fn.stored, f.Size, got.failures)
			}
		})
	}
}
