package job

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"

	"github.com/flowbeam/flowbeam/internal/flink"
	"github.com/flowbeam/flowbeam/internal/metrics"
)

const flinkRunner = "flink"

func (o *Options) validateFlink(add func(string, error)) {
	if *jobopts.Endpoint == "" {
		add("endpoint", errors.New("flink needs the host:port of Beam's job server"))
	}
	if _, err := flink.ParseEnvironment(*jobopts.EnvironmentType, *jobopts.EnvironmentConfig); err != nil {
		name, text, _ := strings.Cut(err.Error(), ": ")
		add(name, errors.New(text))
	}
	if o.FlinkCheckpoint <= 0 {
		add("flink_checkpoint_interval", fmt.Errorf("%v is not positive: without checkpoints a stream cannot go on after a failure", o.FlinkCheckpoint))
	}
	if o.FlinkBundle < time.Millisecond {
		add("flink_bundle_time", fmt.Errorf("%v is less than 1ms", o.FlinkBundle))
	}
	if o.FlinkMaxParallelism < max(*jobopts.Parallelism, 1) {
		add("flink_max_parallelism", fmt.Errorf("%d is less than --parallelism", o.FlinkMaxParallelism))
	}
	if o.FlinkREST != "" {
		_, err := flink.OpenCluster(o.FlinkREST)
		add("flink_rest", err)
	}
}

// flinkOptions are what a job is submitted with.
func (o *Options) flinkOptions(program string) (flink.Options, error) {
	e, err := flink.ParseEnvironment(*jobopts.EnvironmentType, *jobopts.EnvironmentConfig)
	name := *jobopts.JobName
	if name == "" {
		name = "flowbeam-" + program
	}
	return flink.Options{
		Name: name, Endpoint: *jobopts.Endpoint, Environment: e, WorkerBinary: *jobopts.WorkerBinary,
		Bounded: !o.streaming(), Checkpoint: o.FlinkCheckpoint, BundleTime: o.FlinkBundle,
		Parallelism: max(*jobopts.Parallelism, 1), MaxParallelism: o.FlinkMaxParallelism,
		Savepoint: o.FlinkSavepoint, Experiments: jobopts.GetExperiments(),
	}, err
}

// runOnFlink submits the pipeline and, unless --async, waits until the job ends.
func (o *Options) runOnFlink(ctx context.Context, program string, pipeline *beam.Pipeline, out io.Writer) error {
	f, err := o.flinkOptions(program)
	if err != nil {
		return err
	}
	j, err := flink.Submit(ctx, pipeline, f)
	if err != nil {
		return err
	}
	defer j.Close()
	fmt.Fprintf(out, "%s: job %s runs on Flink\n", program, f.Name)
	if *jobopts.Async && !f.Environment.InThisProcess() {
		return nil
	}
	if o.FlinkREST != "" {
		cluster, err := flink.OpenCluster(o.FlinkREST)
		if err != nil {
			return err
		}
		defer stopFlinkOnRequest(ctx, cluster, f, out)()
		if !f.Environment.InThisProcess() {
			defer followFlink(ctx, cluster, f.Name)()
		}
	}
	return j.Wait(ctx)
}

// followFlink brings what the workers of a job have counted, elsewhere, to the progress of this
// program. After a restart of the job it counts anew.
func followFlink(ctx context.Context, cluster *flink.Cluster, name string) (stop func()) {
	ctx, stop = context.WithCancel(ctx)
	go func() {
		tick := time.NewTicker(3 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			job, err := cluster.Find(ctx, name)
			if err != nil {
				continue // it is being submitted, or Flink is away for a while
			}
			counters, err := cluster.Counters(ctx, job.ID, metricsNamespace)
			if err != nil {
				continue
			}
			var dead int64
			for name, n := range counters {
				if strings.HasPrefix(name, deadLettersCounter) {
					dead += n
				}
			}
			live.written.Store(counters["written"])
			live.deadLetters.Store(dead)
		}
	}()
	return stop
}

// stopFlinkOnRequest makes an interrupt end this program in good order: a job whose workers are
// here is stopped with a savepoint, any other goes on.
func stopFlinkOnRequest(ctx context.Context, cluster *flink.Cluster, f flink.Options, out io.Writer) (done func()) {
	signals, ended := make(chan os.Signal, 2), make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-ended:
			return
		case <-signals:
		}
		if !f.Environment.InThisProcess() {
			fmt.Fprintf(out, "the job %s goes on\n", f.Name)
			os.Exit(0)
		}
		job, err := cluster.Find(ctx, f.Name)
		if err == nil {
			var at string
			if at, err = cluster.Stop(ctx, job.ID, ""); err == nil {
				fmt.Fprintf(out, "the job is stopped; a run that goes on begins with --flink_savepoint=%s\n", at)
				return
			}
		}
		fmt.Fprintf(out, "the job could not be stopped with a savepoint: %v\n", err)
		os.Exit(1)
	}()
	return func() { signal.Stop(signals); close(ended) }
}

// serveWorkers runs a pool of workers until it is told to end.
func (o *Options) serveWorkers(program string, out io.Writer) int {
	pool, err := flink.StartPool(context.Background(), o.FlinkWorkers)
	if err != nil {
		fmt.Fprintf(out, "%s: %v\n", program, err)
		return 1
	}
	defer pool.Stop()
	fmt.Fprintf(out, "%s: workers at %s\n", program, pool.Address())
	if o.Metrics != "" {
		at, end, err := metrics.Serve(o.Metrics)
		if err != nil {
			fmt.Fprintf(out, "%s: --metrics: %v\n", program, err)
			return 1
		}
		defer end()
		fmt.Fprintf(out, "%s: metrics are at http://%s/metrics\n", program, at)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	<-signals
	return 0
}

// worker runs as the worker that a TaskManager has started with --environment_type=process, if the
// arguments say so.
func worker(args []string, out io.Writer) (done bool, status int) {
	given := map[string]string{}
	for _, a := range args {
		name, value, _ := strings.Cut(strings.TrimLeft(a, "-"), "=")
		given[name] = value
	}
	if given["id"] == "" || given["provision_endpoint"] == "" {
		return false, 0
	}
	beam.Init()
	tuneMemory()
	if err := flink.RunWorker(context.Background(), given["id"], given["provision_endpoint"]); err != nil {
		fmt.Fprintln(out, err)
		return true, 1
	}
	return true, 0
}
