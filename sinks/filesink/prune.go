package filesink

import (
	"context"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/dataset"
)

// Prune takes what a replacement of the given revision superseded out of the dataset of records
// in dir: old is a PCollection<KV<string, []byte>> of shards and ids, as datasetsource.Superseded
// finds them; rows of these ids that are of a lower revision go. It begins when all of after, a
// PCollection<flow.Count> of a bounded run, is there: what has the replacements, and what reads
// the old rows to compute anew what was made of them, must be done by then, because a run that is
// cut off and run again finds its work by the rows that are left.
//
// Parts that hold such rows are written anew without them, under new names, and then removed. Who
// reads in between sees a row in both. It returns a PCollection<flow.Count> of the stage replace:
// pruned (rows) and parts.
func Prune(s beam.Scope, old beam.PCollection, dir string, revision int64, after beam.PCollection) beam.PCollection {
	s = s.Scope("filesink.Prune")
	grouped := beam.GroupByKey(s, old)
	return beam.ParDo(s, &pruneFn{Dir: dir, Revision: revision}, grouped, beam.SideInput{Input: after})
}

// Replacement is one that was begun in the dataset of a directory: records of its revision stand
// beside older ones of the same ids until these are pruned.
type Replacement = dataset.Replacement

// MarkReplacement notes a replacement in the dataset in dir, before its first effect and, Done,
// after its last one. It may be run again.
func MarkReplacement(ctx context.Context, dir string, r Replacement) error {
	return dataset.MarkReplacement(ctx, dir, r)
}

// LastReplacement is the one of the highest revision; the zero one where there was none.
func LastReplacement(ctx context.Context, dir string) (Replacement, error) {
	return dataset.LastReplacement(ctx, dir)
}

// LoadedByParts says whether load jobs know the dataset's parts one by one.
func LoadedByParts(ctx context.Context, dir string) (bool, error) {
	return dataset.LoadedByParts(ctx, dir)
}

func init() {
	beam.RegisterDoFn(&pruneFn{})
	register.Iter1[[]byte]()
	register.Iter1[flow.Count]()
}

type pruneFn struct {
	Dir      string
	Revision int64
}

func (f *pruneFn) ProcessElement(ctx context.Context, key string, old func(*[]byte) bool, _ func(*flow.Count) bool, count func(flow.Count)) error {
	bucket, shard, err := dataset.ParseShardKey(key)
	if err != nil {
		return fmt.Errorf("filesink: %w", err)
	}
	ids := dataset.IDSet(old)
	p, err := dataset.Prune(ctx, dataset.RevisedRecords(), f.Dir, bucket, shard, func(r *flow.Record) bool {
		return r.Revision < f.Revision && ids[r.ID]
	})
	if err != nil {
		return fmt.Errorf("filesink: prune: %w", err)
	}
	flow.EmitCount(count, "replace", "pruned", p.Rows)
	flow.EmitCount(count, "replace", "parts", p.Parts)
	return nil
}
