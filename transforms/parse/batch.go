package parse

import (
	"context"
	"errors"
	"fmt"

	"github.com/flowbeam/flowbeam/flow"
)

// Batch parses one batch without a pipeline, as [Records] does: for tools, and for tests of
// formats, whose units may hold several records. Its records and dead letters are those that
// Records gives for the same batch and options; what is counted is not told.
//
// An error is that of a wrong option, or of a Step of [Then].
func Batch(ctx context.Context, in flow.RawBatch, opts ...Option) (records flow.Batch, failures []flow.Failure, err error) {
	o := defaultOptions()
	for _, opt := range opts {
		if err := opt(&o); err != nil {
			return records, nil, fmt.Errorf("parse.Batch: %w", err)
		}
	}
	f := newParseFn(&o)
	if err := f.Setup(ctx); err != nil {
		return records, nil, err
	}
	if err := f.steps.StartBundle(ctx); err != nil {
		return records, nil, errors.Join(err, f.steps.FinishBundle(ctx))
	}
	records, failures = f.parse(&in)
	return records, failures, f.steps.FinishBundle(ctx)
}
