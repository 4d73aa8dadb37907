package bigquerysink

import (
	"context"
	"fmt"
	"time"

	"cloud.google.com/go/bigquery"
	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/flowbeam/flowbeam/flow"
)

// RemoveMoved removes from a table of flow records, after a replacement of the given revision
// was written to it, the rows of lower revisions whose records the replacement put to other
// event times. moved is the PCollection<flow.Batch> of the old ones, of a bounded run; their
// times bound the partitions that one DML statement works on, which finds the rows by the ids of
// the table itself. Rows of a lower revision whose time did not change need not go: the view …_latest passes
// over them.
//
// It returns a PCollection<flow.Count> of the stage (see Name; default bigquery_removed):
// removed, requests, retried. Run again it finds nothing.
//
// Source: https://cloud.google.com/bigquery/docs/data-manipulation-language
func RemoveMoved(s beam.Scope, moved beam.PCollection, table string, revision int64, opts ...Option) beam.PCollection {
	o, name := mustSetup("RemoveMoved", defaults("bigquery_removed"), table, false, opts)
	s = s.Scope("bigquerysink.RemoveMoved")
	spans := beam.GroupByKey(s, beam.ParDo(s, &spanFn{}, moved))
	return beam.ParDo(s, &removeMovedFn{remover: remover{Table: name, Options: o, Revision: revision}}, spans)
}

// Remove removes the rows of a PCollection<flow.Batch> whose revision is below the one given, by
// their ids and event times: those of records that a replacement does not have any more. The
// counts are those of [RemoveMoved].
func Remove(s beam.Scope, gone beam.PCollection, table string, revision int64, opts ...Option) beam.PCollection {
	o, name := mustSetup("Remove", defaults("bigquery_removed"), table, false, opts)
	return beam.ParDo(s.Scope("bigquerysink.Remove"), &removeFn{remover: remover{Table: name, Options: o, Revision: revision}}, gone)
}

func init() {
	beam.RegisterDoFn(&spanFn{})
	beam.RegisterDoFn(&removeMovedFn{})
	beam.RegisterDoFn(&removeFn{})
	register.Emitter2[string, int64]()
	register.Iter1[int64]()
}

// spanFn gives the first and the last event time of each batch, all under one key.
type spanFn struct{}

func (*spanFn) ProcessElement(b flow.Batch, emit func(string, int64)) {
	if len(b.Records) > 0 {
		first, last := b.Bounds()
		emit("", int64(first))
		emit("", int64(last))
	}
}

type removeMovedFn struct{ remover }

func (f *removeMovedFn) ProcessElement(ctx context.Context, _ string, times func(*int64) bool, count func(flow.Count)) error {
	var first, last, t int64
	for any := false; times(&t); any = true {
		if !any {
			first, last = t, t
		}
		first, last = min(first, t), max(last, t)
	}
	return f.run(ctx, removeMoved, flow.Time(first), flow.Time(last), nil, count)
}

type removeFn struct{ remover }

func (f *removeFn) ProcessElement(ctx context.Context, b flow.Batch, count func(flow.Count)) error {
	if len(b.Records) == 0 {
		return nil
	}
	first, last := b.Bounds()
	ids := make([]string, len(b.Records))
	for i := range b.Records {
		ids[i] = b.Records[i].ID.String()
	}
	return f.run(ctx, removeGone, first, last, ids, count)
}

// The partitions are bounded by the event time, to the microsecond that the table keeps.
const (
	removeMoved = `DELETE FROM %[1]s AS old
WHERE old.event_time BETWEEN @first AND @last AND old.revision < @revision
  AND old.record_id IN (SELECT new.record_id FROM %[1]s AS new WHERE new.event_time >= TIMESTAMP '1970-01-01' AND new.revision >= @revision)`
	removeGone = `DELETE FROM %[1]s AS old
WHERE old.event_time BETWEEN @first AND @last AND old.revision < @revision AND old.record_id IN UNNEST(@ids)`
)

// remover runs statements that remove rows of one table.
type remover struct {
	Table    tableName
	Options  options
	Revision int64
}

// run runs one statement until it has succeeded. It is its own guard: what a lost reply's one
// has removed is not found by the next.
func (r *remover) run(ctx context.Context, statement string, first, last flow.Time, ids []string, count func(flow.Count)) error {
	j, err := openJobs(ctx, r.Options.Endpoint, r.Table, r.Options.Policy)
	if err != nil {
		return fmt.Errorf("bigquerysink: %w", err)
	}
	var removed, requests int64
	err = j.do(ctx, "remove rows of "+r.Table.String(), func(ctx context.Context) error {
		requests++
		q := j.client.Query(fmt.Sprintf(statement, "`"+r.Table.String()+"`"))
		q.Location = j.location
		q.Labels = map[string]string{"made-by": "flowbeam"}
		q.Parameters = []bigquery.QueryParameter{
			{Name: "first", Value: first.Std().Truncate(time.Microsecond)}, {Name: "last", Value: last.Std()},
			{Name: "revision", Value: r.Revision},
		}
		if ids != nil {
			q.Parameters = append(q.Parameters, bigquery.QueryParameter{Name: "ids", Value: ids})
		}
		job, err := q.Run(ctx)
		if err != nil {
			return err
		}
		status, err := job.Wait(ctx)
		if err == nil {
			err = status.Err()
		}
		if err != nil {
			return err
		}
		if s, ok := status.Statistics.Details.(*bigquery.QueryStatistics); ok {
			removed += s.NumDMLAffectedRows
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("bigquerysink: %w", err)
	}
	flow.EmitCount(count, r.Options.Stage, "removed", removed)
	flow.EmitCount(count, r.Options.Stage, "requests", requests)
	flow.EmitCount(count, r.Options.Stage, "retried", j.retried)
	return nil
}
