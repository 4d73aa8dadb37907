package bigquerysink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"cloud.google.com/go/bigquery"
	"google.golang.org/api/googleapi"

	"github.com/flowbeam/flowbeam/internal/delivery"
)

// jobs asks BigQuery for load jobs into one table.
type jobs struct {
	client   *bigquery.Client
	table    *bigquery.Table
	policy   delivery.Policy
	location string
	schema   bigquery.Schema
	retried  int64
}

var restClients shared[*bigquery.Client]

// openJobs finds the table, where it is, and its columns.
func openJobs(ctx context.Context, e endpoint, name tableName, p delivery.Policy) (*jobs, error) {
	c, err := restClients.get(e.REST+" "+name.Project, func() (*bigquery.Client, error) {
		return bigquery.NewClient(context.Background(), name.Project, restOptions(e.REST)...)
	})
	if err != nil {
		return nil, err
	}
	j := &jobs{client: c, table: c.Dataset(name.Dataset).Table(name.Table), policy: p}
	err = j.do(ctx, "open table "+name.String(), func(ctx context.Context) error {
		m, err := j.table.Metadata(ctx)
		if err == nil {
			// The table's own schema goes with each job: a text in Parquet or Avro is taken for
			// a column of JSON only if the schema says so.
			j.schema, j.location = m.Schema, m.Location
		}
		return err
	})
	return j, err
}

func (j *jobs) do(ctx context.Context, what string, try func(context.Context) error) error {
	again, err := j.policy.Do(ctx, what, func(ctx context.Context) error { return markREST(try(ctx)) })
	j.retried += int64(again)
	return err
}

// markREST marks an error of the REST API as delivery.Policy has it. Quotas come as 403,
// told from a lack of rights by their reason.
//
// Source: https://cloud.google.com/bigquery/docs/error-messages
func markREST(err error) error {
	if err == nil {
		return nil
	}
	var e *googleapi.Error
	if errors.As(err, &e) {
		if e.Code == http.StatusForbidden && slices.ContainsFunc(e.Errors, func(i googleapi.ErrorItem) bool {
			return slices.Contains([]string{"rateLimitExceeded", "quotaExceeded", "jobRateLimitExceeded"}, i.Reason)
		}) {
			return delivery.Again(err, delivery.RetryAfter(e.Header))
		}
		return delivery.Status(e.Code, e.Header, err)
	}
	if n := net.Error(nil); errors.As(err, &n) {
		return delivery.Again(err, 0)
	}
	return err
}

// get is the job of an id, nil where there is none.
func (j *jobs) get(ctx context.Context, id string) (job *bigquery.Job, err error) {
	err = j.do(ctx, "get job "+id, func(ctx context.Context) error {
		job, err = j.client.JobFromIDLocation(ctx, id, j.location)
		if httpStatus(err) == http.StatusNotFound {
			job, err = nil, nil
		}
		return err
	})
	return job, err
}

// insert asks for a load job, or finds the one that has the id.
func (j *jobs) insert(ctx context.Context, id, format string, uris []string) (job *bigquery.Job, err error) {
	ref := bigquery.NewGCSReference(uris...)
	ref.SourceFormat, ref.Schema = loadFormats[format], j.schema
	ref.AvroOptions = nil
	if ref.SourceFormat == bigquery.Avro {
		ref.AvroOptions = &bigquery.AvroOptions{UseAvroLogicalTypes: true}
	}
	l := j.table.LoaderFrom(ref)
	l.JobIDConfig = bigquery.JobIDConfig{JobID: id, Location: j.location}
	l.WriteDisposition, l.CreateDisposition = bigquery.WriteAppend, bigquery.CreateNever
	l.Labels = map[string]string{"made-by": "flowbeam"}
	err = j.do(ctx, "insert job "+id, func(ctx context.Context) error {
		job, err = l.Run(ctx)
		return err
	})
	if httpStatus(err) == http.StatusConflict {
		// Somebody asked before us, or we did and did not hear of it.
		if job, err = j.get(ctx, id); err == nil && job == nil {
			err = fmt.Errorf("job %s: it exists, and cannot be found", id)
		}
	}
	return job, err
}

// wait waits for a job to end and returns its rows. failure says why the job failed: a
// failed job has loaded nothing.
func (j *jobs) wait(ctx context.Context, job *bigquery.Job) (rows int64, failure, err error) {
	pause := 500 * time.Millisecond
	for {
		if s := job.LastStatus(); s != nil && s.Done() {
			if s.Err() != nil {
				return 0, s.Err(), nil
			}
			if s.Statistics != nil {
				if l, ok := s.Statistics.Details.(*bigquery.LoadStatistics); ok {
					rows = l.OutputRows
				}
			}
			return rows, nil, nil
		}
		t := time.NewTimer(min(pause, j.policy.Cap))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return 0, nil, context.Cause(ctx)
		}
		pause = min(2*pause, 10*time.Second)
		if err := j.do(ctx, "get job "+job.ID(), func(ctx context.Context) error {
			_, err := job.Status(ctx)
			return err
		}); err != nil {
			return 0, nil, err
		}
	}
}
