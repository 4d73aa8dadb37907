package job

import (
	"context"
	"fmt"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/sources/datasetsource"
)

func init() {
	beam.RegisterDoFn(&backupFn{})
}

// Backup reads the raw records of --raw that came from --start on and before --stop, at their
// first positions and with what was known of them then: they give the same records, with the
// same ids, and the same dead letters. --format says of what format they are, where it was
// declared wrongly.
func (o *Options) Backup(s beam.Scope) (Input, error) {
	now := time.Now()
	from, to, err := o.rawRange(now)
	if err != nil {
		return Input{}, err
	}
	buckets, err := o.rawBuckets(now)
	if err != nil {
		return Input{}, err
	}
	s = s.Scope("job.Backup")
	all := datasetsource.ReadRaw(s, beam.CreateList(s, buckets), o.Raw)
	schemas, err := o.schemas()
	if err != nil {
		return Input{}, err
	}
	raw, failures, counts := beam.ParDo3(s, &backupFn{From: from, To: to, Format: o.Format, Schemas: schemas}, all)
	return Input{raw, failures, counts}, nil
}

// rawRange is the time of arrival that is read; a zero to is without end.
func (o *Options) rawRange(now time.Time) (from, to flow.Time, err error) {
	if o.Start != "" && o.Start != "earliest" {
		t, err := startTime(o.Start, now, "earliest")
		if err != nil {
			return 0, 0, err
		}
		from = flow.TimeOf(t)
	}
	if o.Stop != "" && o.Stop != "latest" {
		if to, err = parseTime(o.Stop); err != nil {
			return 0, 0, fmt.Errorf("stop: %w", err)
		}
		if to <= from {
			return 0, 0, fmt.Errorf("stop: %s is not after the start", o.Stop)
		}
	}
	return from, to, nil
}

// rawBuckets are the buckets of the backup that may have records of that time. A bucket of the
// backup is a day at the most.
func (o *Options) rawBuckets(now time.Time) (in []string, err error) {
	from, to, err := o.rawRange(now)
	if err != nil {
		return nil, err
	}
	all, err := datasetsource.Buckets(o.Raw)
	for _, b := range all {
		// What has no time of its own is in a bucket that is no time, and always read.
		if t, err := parseTime(b); err == nil && (t.Add(24*time.Hour) <= from || to != 0 && t >= to) {
			continue
		}
		in = append(in, b)
	}
	return in, err
}

// backupFn keeps the records of a range of time. It has a source's outputs, of which it uses
// one: what the source could not read is no raw record.
type backupFn struct {
	From, To flow.Time
	Format   string // "" = the declared one
	Schemas  string // declared for messages in Avro
}

func (f *backupFn) ProcessElement(_ context.Context, b flow.RawBatch, emit func(flow.RawBatch), _ func(flow.FailureBatch), _ func(flow.Count)) {
	out := flow.RawBatch{Origin: b.Origin, Records: make([]flow.Raw, 0, len(b.Records))}
	if f.Format != "" {
		out.Origin.Format = f.Format
	}
	out.Origin.Header = withSchemas(out.Origin.Header, out.Origin.Format, f.Schemas)
	for _, r := range b.Records {
		if r.Time == 0 || r.Time >= f.From && (f.To == 0 || r.Time < f.To) {
			out.Records = append(out.Records, r)
		}
	}
	if len(out.Records) > 0 {
		emit(out)
	}
}
