package dataset

import (
	"context"
	"fmt"
	"io"

	"github.com/flowbeam/flowbeam/internal/delivery"
)

// WriteNote writes a small object beside the data, such as a mark or the totals of a run, under a
// name whose folder begins with _: no reader takes it for data. The error of a name that is
// taken is ErrExists.
func WriteNote(ctx context.Context, dir, name string, b []byte) error {
	s, err := OpenStore(dir, delivery.Policy{})
	if err != nil {
		return err
	}
	staged, err := s.Stage(ctx, func(w io.Writer) error { _, err := w.Write(b); return err })
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	defer staged.Discard()
	if err := staged.Commit(ctx, name); err != nil {
		return fmt.Errorf("%s/%s: %w", dir, name, err)
	}
	return nil
}

// ReadNote reads one that WriteNote has written. The error of an absent one is fs.ErrNotExist.
func ReadNote(ctx context.Context, dir, name string) ([]byte, error) {
	s, err := OpenStore(dir, delivery.Policy{})
	if err != nil {
		return nil, err
	}
	f, err := s.Open(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("%s/%s: %w", dir, name, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("%s/%s: %w", dir, name, err)
	}
	return b, nil
}
