package dataset

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/flowbeam/flowbeam/flow"
)

// layoutFile names the layout in a dataset's directory.
const layoutFile = "_layout.json"

const layoutVersion = 1

// Layout says where a dataset's rows stand. It does not depend on the format: a dataset
// may hold parts of several. It is made once and never changed.
type Layout struct {
	Version   int      `json:"version"`
	Table     string   `json:"table"`     // flows, rollup_1m, dead_letters, raw
	Time      string   `json:"time"`      // the column that gives a row's bucket
	Bucket    string   `json:"bucket"`    // length, as time.Duration prints it without zeros: 1h, 15m
	Shards    int      `json:"shards"`    // a power of two; the shard follows from the id
	Partition []string `json:"partition"` // columns that give directories below the bucket
	// Group and Measures are a rollup's columns: rows of another grouping are other rows.
	Group    []string `json:"group,omitempty"`
	Measures []string `json:"measures,omitempty"`
}

// Want is the layout that a run asks for. Zero values ask for nothing: the dataset's own
// layout is adopted, or the default where there is none yet.
type Want struct {
	Table, Time     string
	Bucket          time.Duration
	Shards          int
	Partition       []string // nil asks for nothing; empty asks for none
	Group, Measures []string
	DefaultBucket   time.Duration // of a new dataset; one hour where zero
}

// maxShards bounds the directories of a bucket.
const maxShards = 4096

// Validate reports every problem of what is asked for.
func (w *Want) Validate() error {
	var errs []error
	if b := w.Bucket; b != 0 && !validBucket(b) {
		errs = append(errs, fmt.Errorf("bucket %s: want a whole number of minutes that divides the hour, a whole number of hours that divides the day, or 24h", b))
	}
	if w.Shards < 0 || w.Shards > maxShards || w.Shards != 0 && bits.OnesCount(uint(w.Shards)) != 1 {
		errs = append(errs, fmt.Errorf("shards %d: want a power of two from 1 to %d", w.Shards, maxShards))
	}
	for i, f := range w.Partition {
		if slices.Contains(w.Partition[:i], f) {
			errs = append(errs, fmt.Errorf("partition field %q is named twice", f))
		}
		if f == "dt" || f == "hour" || f == "minute" {
			errs = append(errs, fmt.Errorf("partition field %q is a name of the time's own", f))
		}
	}
	return errors.Join(errs...)
}

func validBucket(b time.Duration) bool {
	const day = 24 * time.Hour
	switch {
	case b < time.Minute || b > day:
		return false
	case b < time.Hour:
		return b%time.Minute == 0 && time.Hour%b == 0
	}
	return b%time.Hour == 0 && day%b == 0
}

// partitionKinds are the kinds of columns whose text is short and plain enough.
var partitionKinds = []flow.Kind{flow.KindString, flow.KindInt, flow.KindBool, flow.KindIP}

// ValidatePartition says which fields cannot be partition fields of a table.
func ValidatePartition[T any](t *flow.Table[T], fields []string) error {
	var errs []error
	for _, f := range fields {
		c, ok := t.Column(f)
		if !ok {
			errs = append(errs, fmt.Errorf("partition field %q is no column of %s", f, t.Name))
		} else if !slices.Contains(partitionKinds, c.Kind) {
			errs = append(errs, fmt.Errorf("partition field %q is of kind %v: want a string, integer, bool or IPv4 address", f, c.Kind))
		}
	}
	return errors.Join(errs...)
}

// ReadLayout reads a dataset's layout. The error of a directory that has none is
// fs.ErrNotExist.
func ReadLayout(ctx context.Context, s Store) (*Layout, error) {
	f, err := s.Open(ctx, layoutFile)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return nil, err
	}
	var l Layout
	if err := json.Unmarshal(b, &l); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", layoutFile, err)
	}
	if l.Version > layoutVersion {
		return nil, fmt.Errorf("%s has version %d, this build reads %d: %w", layoutFile, l.Version, layoutVersion, flow.ErrNewer)
	}
	if d, err := time.ParseDuration(l.Bucket); err != nil || !validBucket(d) || l.Shards < 1 || l.Shards > maxShards || bits.OnesCount(uint(l.Shards)) != 1 {
		return nil, fmt.Errorf("%s is damaged: bucket %q, shards %d", layoutFile, l.Bucket, l.Shards)
	}
	return &l, nil
}

// CheckLayout returns the layout that a run would get, and writes nothing.
func CheckLayout(ctx context.Context, s Store, w Want) (*Layout, error) {
	if err := w.Validate(); err != nil {
		return nil, err
	}
	have, err := ReadLayout(ctx, s)
	if errors.Is(err, fs.ErrNotExist) {
		return w.layout(), nil
	}
	if err != nil {
		return nil, err
	}
	return have, w.fits(have)
}

// OpenLayout adopts the dataset's layout, or makes it if there is none.
func OpenLayout(ctx context.Context, s Store, w Want) (*Layout, error) {
	for range 3 {
		l, err := CheckLayout(ctx, s, w)
		if err != nil {
			return nil, err
		}
		if _, err := ReadLayout(ctx, s); err == nil {
			return l, nil
		}
		b, err := json.MarshalIndent(l, "", "  ")
		if err != nil {
			return nil, err
		}
		staged, err := s.Stage(ctx, func(w io.Writer) error {
			_, err := io.Copy(w, bytes.NewReader(append(b, '\n')))
			return err
		})
		if err != nil {
			return nil, err
		}
		err = staged.Commit(ctx, layoutFile)
		staged.Discard()
		if err == nil {
			return l, nil
		}
		if !errors.Is(err, ErrExists) && !errors.Is(err, ErrLostReply) {
			return nil, err
		}
		// Another worker made it first: adopt that one.
	}
	return nil, fmt.Errorf("%s can neither be made nor read", layoutFile)
}

func (w *Want) layout() *Layout {
	l := &Layout{Version: layoutVersion, Table: w.Table, Time: w.Time, Shards: w.Shards, Partition: w.Partition, Group: w.Group, Measures: w.Measures}
	b := w.Bucket
	if b == 0 {
		b = w.DefaultBucket
	}
	if b == 0 {
		b = time.Hour
	}
	l.Bucket = shortDuration(b)
	if l.Shards == 0 {
		l.Shards = 1
	}
	if l.Partition == nil {
		l.Partition = []string{}
	}
	return l
}

// fits says how what is asked for differs from the layout that the dataset has.
func (w *Want) fits(have *Layout) error {
	var errs []error
	differ := func(option, asked, has string) {
		if asked != has {
			errs = append(errs, fmt.Errorf("the dataset was made with %s %s, this run asks for %s: give %s, leave the option out, or write to another directory", option, quote(has), quote(asked), quote(has)))
		}
	}
	if w.Table != have.Table {
		errs = append(errs, fmt.Errorf("the dataset holds %q, not %q: write to another directory", have.Table, w.Table))
	}
	differ("time", w.Time, have.Time)
	if w.Bucket != 0 {
		differ("bucket", shortDuration(w.Bucket), have.Bucket)
	}
	if w.Shards != 0 {
		differ("shards", fmt.Sprint(w.Shards), fmt.Sprint(have.Shards))
	}
	if w.Partition != nil {
		differ("partition", strings.Join(w.Partition, ","), strings.Join(have.Partition, ","))
	}
	if w.Group != nil || have.Group != nil {
		differ("group fields", strings.Join(w.Group, ","), strings.Join(have.Group, ","))
	}
	if w.Measures != nil || have.Measures != nil {
		differ("measures", strings.Join(w.Measures, ","), strings.Join(have.Measures, ","))
	}
	return errors.Join(errs...)
}

func quote(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}

// shortDuration prints 1h0m0s as 1h.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
