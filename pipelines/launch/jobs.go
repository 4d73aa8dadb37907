package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	dataflow "google.golang.org/api/dataflow/v1b3"
	"google.golang.org/api/googleapi"
)

// consoleLog is where the log of the launcher's machine is: nowhere else.
func (o *options) consoleLog(id string) string {
	return strings.TrimRight(o.staging, "/") + "/template_launches/" + id + "/console_logs"
}

// running is the job of that name that runs or is about to; nil where none does.
func (o *options) running(ctx context.Context) (*dataflow.Job, error) {
	if err := o.connect(ctx); err != nil {
		return nil, err
	}
	jobs, err := o.jobs(ctx)
	if err != nil {
		return nil, err
	}
	for _, j := range jobs {
		if !ended(j.CurrentState) {
			return j, nil
		}
	}
	return nil, nil
}

func ended(state string) bool {
	switch state {
	case "JOB_STATE_DONE", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED", "JOB_STATE_UPDATED", "JOB_STATE_DRAINED", "JOB_STATE_STOPPED":
		return true
	}
	return false
}

// jobs are those of the name, the newest first.
func (o *options) jobs(ctx context.Context) (all []*dataflow.Job, err error) {
	err = o.service.Projects.Locations.Jobs.List(o.project, o.region).Name(o.name).Pages(ctx, func(page *dataflow.ListJobsResponse) error {
		for _, j := range page.Jobs {
			if j.Name == o.name {
				all = append(all, j)
			}
		}
		return nil
	})
	// Ids begin with the time of their creation.
	slices.SortFunc(all, func(a, b *dataflow.Job) int { return strings.Compare(b.Id, a.Id) })
	return all, explain(err)
}

func (o *options) status(ctx context.Context) error {
	if err := o.connect(ctx); err != nil {
		return err
	}
	jobs, err := o.jobs(ctx)
	if err != nil {
		return err
	}
	if len(jobs) == 0 {
		return fmt.Errorf("%s: no job of that name in %s", o.name, o.region)
	}
	j := jobs[0]
	fmt.Fprintf(o.out, "%s  %s  since %s  %s\n", j.Id, j.CurrentState, j.CurrentStateTime, j.Name)
	if failed(j.CurrentState) {
		return o.failure(j)
	}
	return nil
}

func failed(state string) bool {
	return state == "JOB_STATE_FAILED" || state == "JOB_STATE_CANCELLED" || state == "JOB_STATE_STOPPED"
}

// failure is the error of a job that has failed or was stopped.
func (o *options) failure(j *dataflow.Job) error {
	if o.staging != "" {
		fmt.Fprintf(o.out, "where its launch failed the log is %s\n", o.consoleLog(j.Id))
	}
	return fmt.Errorf("%s is %s", o.name, j.CurrentState)
}

// end asks for a state in which the job is no more. One that has ended is no error.
func (o *options) end(ctx context.Context, state string) error {
	j, err := o.running(ctx)
	if err != nil {
		return err
	}
	if j == nil {
		fmt.Fprintf(o.out, "no job %s runs\n", o.name)
		return nil
	}
	if _, err := o.service.Projects.Locations.Jobs.Update(o.project, o.region, j.Id, &dataflow.Job{RequestedState: state}).Context(ctx).Do(); err != nil {
		return explain(err)
	}
	fmt.Fprintf(o.out, "%s: %s is asked for\n", j.Id, state)
	return nil
}

// health waits until the job runs, and looks whether it runs on and no worker tells an error. A job
// that has ended without one is healthy.
func (o *options) health(ctx context.Context) error {
	if err := o.connect(ctx); err != nil {
		return err
	}
	const pause = 5 * time.Second
	begun := time.Now()
	var since time.Time // it was first seen to run
	for {
		jobs, err := o.jobs(ctx)
		if err != nil {
			return err
		}
		if len(jobs) == 0 {
			return fmt.Errorf("%s: no job of that name in %s", o.name, o.region)
		}
		j := jobs[0]
		if failed(j.CurrentState) {
			return o.failure(j)
		}
		if err := o.told(ctx, j); err != nil {
			return err
		}
		switch running := j.CurrentState == "JOB_STATE_RUNNING"; {
		case ended(j.CurrentState) || running && !since.IsZero() && time.Since(since) >= o.healthy || running && o.healthy == 0:
			fmt.Fprintf(o.out, "%s is %s and has told no error\n", j.Id, j.CurrentState)
			return nil
		case running && since.IsZero():
			fmt.Fprintf(o.out, "%s runs; looking at it for %s\n", j.Id, o.healthy)
			since = time.Now()
		case !running && time.Since(begun) > o.patience:
			return fmt.Errorf("%s is %s after %s", j.Id, j.CurrentState, o.patience)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(pause, max(o.healthy/4, 10*time.Millisecond))):
		}
	}
}

// told are the errors that the service and the workers of a job have told.
func (o *options) told(ctx context.Context, j *dataflow.Job) error {
	var told []string
	err := o.service.Projects.Locations.Jobs.Messages.List(o.project, o.region, j.Id).MinimumImportance("JOB_MESSAGE_ERROR").
		Pages(ctx, func(page *dataflow.ListJobMessagesResponse) error {
			for _, m := range page.JobMessages {
				told = append(told, m.Time+" "+m.MessageText)
			}
			return nil
		})
	if err != nil {
		return explain(err)
	}
	if len(told) == 0 {
		return nil
	}
	const shown = 5
	return fmt.Errorf("%s has told %d error(s):\n%s", j.Id, len(told), strings.Join(told[:min(len(told), shown)], "\n"))
}

// explain is the service's own text of an error.
func explain(err error) error {
	var e *googleapi.Error
	if errors.As(err, &e) {
		return fmt.Errorf("the service answers %d: %s", e.Code, e.Message)
	}
	return err
}
