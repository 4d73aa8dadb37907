package job

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/state"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

func init() {
	beam.RegisterDoFn(&countedFn{})
	register.Function1x2(underOneKey)
}

func underOneKey(n int) (string, int) { return "key", n }

// countedFn counts the elements of the key that do not see all of those before it.
type countedFn struct{ Seen state.Bag[int] }

// elements of the key that are done, in whatever bundle, and those with another state
var counted, apart atomic.Int64

func (f *countedFn) ProcessElement(sp state.Provider, _ string, n int) error {
	seen, _, err := f.Seen.Read(sp)
	if err != nil {
		return err
	}
	if int64(len(seen)) != counted.Load() {
		apart.Add(1)
	}
	if len(seen) == 0 {
		time.Sleep(1500 * time.Millisecond) // long enough for a runner to take it for stuck
	}
	counted.Add(1)
	return f.Seen.Add(sp, n)
}

// The elements of one key are processed one after another, whatever their time: a runner
// that splits a bundle within a key lets two bundles change one state.
func TestABundleOfOneKeyIsNotSplit(t *testing.T) {
	counted.Store(0)
	apart.Store(0)
	p, s := beam.NewPipelineWithRoot()
	elements := make([]int, 40)
	for i := range elements {
		elements[i] = i
	}
	keyed := beam.ParDo(s, underOneKey, beam.CreateList(s, elements))
	beam.ParDo0(s, &countedFn{Seen: state.MakeBagState[int]("seen")}, keyed)
	if err := execute(context.Background(), "prism", p); err != nil {
		t.Fatal(short(err))
	}
	if n := apart.Load(); n > 0 {
		t.Errorf("%d of %d elements of one key did not see the state that those before them had left", n, len(elements))
	}
}
