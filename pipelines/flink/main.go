// Program flink shows and steers jobs on a Flink cluster, by its REST API. Jobs are submitted, and
// restored, by the pipelines' own programs with --runner=flink.
//
//	go run ./pipelines/flink --rest=localhost:8081 jobs
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/flowbeam/flowbeam/internal/flink"
)

const usage = `flink: shows and steers jobs on Flink

  flink [--rest=HOST:PORT] COMMAND [JOB]

  jobs                   all jobs that the cluster knows
  status JOB             its state, checkpoints and last failure; exit status 1 unless it runs or has finished
  metrics JOB            its counters, since its last start or restart
  savepoint JOB [DIR]    make a savepoint; the job goes on
  stop JOB [DIR]         end it with a savepoint, from which flows --flink_savepoint=... goes on
  cancel JOB             end it at once; its last checkpoint stays

JOB is Flink's id, or how the job's name begins; of several the newest that runs.
`

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) }

func run(ctx context.Context, args []string, out, problems io.Writer) int {
	flags := flag.NewFlagSet("flink", flag.ContinueOnError)
	flags.SetOutput(problems)
	flags.Usage = func() { fmt.Fprint(problems, usage) }
	rest := flags.String("rest", "localhost:8081", "")
	timeout := flags.Duration("timeout", 10*time.Minute, "")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	cluster, err := flink.OpenCluster(*rest)
	command, known := commands[flags.Arg(0)]
	if err == nil && !known {
		err = fmt.Errorf("there is no command %q", flags.Arg(0))
	}
	if err == nil && (flags.NArg() < command.least || flags.NArg() > command.most) {
		err = fmt.Errorf("%s wants %s", flags.Arg(0), command.wants)
	}
	if err != nil {
		fmt.Fprintf(problems, "flink: %v\n\n%s", err, usage)
		return 2
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	if err := command.do(ctx, cluster, flags.Args()[1:], out); err != nil {
		fmt.Fprintf(problems, "flink: %v\n", err)
		return 1
	}
	return 0
}

type command struct {
	least, most int // arguments with its name
	wants       string
	do          func(ctx context.Context, c *flink.Cluster, args []string, out io.Writer) error
}

var commands = map[string]command{
	"jobs":    {1, 1, "no more", jobs},
	"status":  {2, 2, "a job", ofJob(status)},
	"metrics": {2, 2, "a job", ofJob(metrics)},
	"cancel": {2, 2, "a job", ofJob(func(ctx context.Context, c *flink.Cluster, j flink.Status, _ []string, _ io.Writer) error {
		return c.Cancel(ctx, j.ID)
	})},
	"savepoint": {2, 3, "a job, and may have a directory", ofJob(savepoint((*flink.Cluster).Savepoint))},
	"stop":      {2, 3, "a job, and may have a directory", ofJob(savepoint((*flink.Cluster).Stop))},
}

type jobCommand func(ctx context.Context, c *flink.Cluster, j flink.Status, rest []string, out io.Writer) error

// ofJob finds the job that is named first.
func ofJob(do jobCommand) func(context.Context, *flink.Cluster, []string, io.Writer) error {
	return func(ctx context.Context, c *flink.Cluster, args []string, out io.Writer) error {
		j, err := c.Find(ctx, args[0])
		if err != nil {
			return err
		}
		return do(ctx, c, j, args[1:], out)
	}
}

func jobs(ctx context.Context, c *flink.Cluster, _ []string, out io.Writer) error {
	all, err := c.Jobs(ctx)
	for _, j := range all {
		fmt.Fprintln(out, line(j))
	}
	return err
}

func line(j flink.Status) string {
	return fmt.Sprintf("%s  %-10s  since %s, %v  %s", j.ID, j.State, at(j.Start), (time.Duration(j.Took) * time.Millisecond).Round(time.Second), j.Name)
}

func at(millis int64) string { return time.UnixMilli(millis).UTC().Format(time.RFC3339) }

func status(ctx context.Context, c *flink.Cluster, j flink.Status, _ []string, out io.Writer) error {
	fmt.Fprintln(out, line(j))
	p, err := c.Checkpoints(ctx, j.ID)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "checkpoints: %d done, %d failed; restored %d times\n", p.Counts.Completed, p.Counts.Failed, p.Counts.Restored)
	if last := p.Latest.Completed; last.ID > 0 {
		fmt.Fprintf(out, "the last one: %s, %d bytes, took %d ms, %s\n", at(last.At), last.Bytes, last.Duration, last.Path)
	}
	failure, err := c.Failure(ctx, j.ID)
	if err != nil {
		return err
	}
	if failure != "" {
		lines := strings.SplitN(failure, "\n", 12)
		fmt.Fprintf(out, "the last failure:\n  %s\n", strings.Join(lines[:min(len(lines), 11)], "\n  "))
	}
	if j.State != "RUNNING" && j.State != "FINISHED" {
		return fmt.Errorf("the job is %s", j.State)
	}
	return nil
}

func metrics(ctx context.Context, c *flink.Cluster, j flink.Status, _ []string, out io.Writer) error {
	// The first question makes Flink fetch them from its TaskManagers, and is answered before they come.
	var counters map[string]int64
	var err error
	for try := 0; try < 10 && len(counters) == 0 && err == nil; try++ {
		if try > 0 {
			time.Sleep(500 * time.Millisecond)
		}
		counters, err = c.Counters(ctx, j.ID, "flowbeam")
	}
	for _, name := range slices.Sorted(maps.Keys(counters)) {
		fmt.Fprintf(out, "%-40s %d\n", name, counters[name])
	}
	return err
}

func savepoint(make func(c *flink.Cluster, ctx context.Context, id, dir string) (string, error)) jobCommand {
	return func(ctx context.Context, c *flink.Cluster, j flink.Status, rest []string, out io.Writer) error {
		at, err := make(c, ctx, j.ID, append(rest, "")[0])
		if err == nil {
			fmt.Fprintln(out, at)
		}
		return err
	}
}
