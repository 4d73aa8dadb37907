// Package prefix tells what one's own tables know of an address: the network, the
// customer, the site, the data center.
package prefix

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/reload"
)

// Option changes a Step.
type Option func(*step) error

// Every sets how often the file is looked at for a change. It is done at the start of a
// bundle. Defaults to 10 seconds.
func Every(d time.Duration) Option {
	return func(s *step) error {
		if d <= 0 {
			return fmt.Errorf("Every: %v is not a positive interval", d)
		}
		s.Every = d
		return nil
	}
}

// Step returns a Step that enriches both endpoints from the CSV table at path, on the
// workers: see [Parse] for its columns and [Table.Enrich] for what it fills. Several
// tables are several Steps; a later one's values win.
//
// A table that is absent or wrong when a worker starts fails the bundle with all its
// problems, and the runner tries again. One that turns wrong later leaves the edition in
// force, is logged once and counted. Counters in prefix: found and not_found, of
// endpoints; reload and reload_failed, of tables.
func Step(path string, opts ...Option) flow.Step {
	s := &step{Path: path, Every: reload.DefaultEvery}
	if path == "" {
		panic("prefix.Step: no path")
	}
	for _, opt := range opts {
		if err := opt(s); err != nil {
			panic(fmt.Sprintf("prefix.Step: invalid option: %v", err))
		}
	}
	return s
}

func init() { flow.RegisterStep("prefix", new(step)) }

type step struct {
	Path  string
	Every time.Duration

	file            *reload.File[*Table]
	table           *Table // of this bundle
	found, notFound int64
}

func (s *step) Setup(context.Context) (err error) {
	s.file, err = open(s.Path)
	return err
}

func open(path string) (*reload.File[*Table], error) {
	if path == "" {
		return nil, errors.New("prefix: no path")
	}
	return reload.Open("prefix", path, Parse)
}

// Open reads the table at path, or returns the process's own where it was read before.
func Open(path string) (*Table, error) {
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	return *f.Get(), nil
}

func (s *step) StartBundle(ctx context.Context) error {
	s.found, s.notFound = 0, 0
	s.file.Poll(ctx, s.Every)
	s.table = *s.file.Get()
	return nil
}

func (s *step) Process(r *flow.Record) (bool, error) {
	asked := 0
	if r.Source.IP.OK() {
		asked++
	}
	if r.Destination.IP.OK() {
		asked++
	}
	found := s.table.Enrich(r)
	s.found, s.notFound = s.found+int64(found), s.notFound+int64(asked-found)
	return true, nil
}

func (s *step) FinishBundle(ctx context.Context) error {
	if s.found > 0 {
		beam.NewCounter("prefix", "found").Inc(ctx, s.found)
	}
	if s.notFound > 0 {
		beam.NewCounter("prefix", "not_found").Inc(ctx, s.notFound)
	}
	return nil
}
