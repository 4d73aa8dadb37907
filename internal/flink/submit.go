// Package flink submits pipelines to Beam's job server for Flink, runs their workers, and asks
// and steers jobs by Flink's REST API.
//
// Beam Go's own Flink runner sends neither `streaming` nor `checkpointing_interval`. Without
// them the sources of a stream end at once in Flink's eyes: the job looks alive, takes no
// checkpoint that it could go on from, and collects bundles for ten seconds. This submitter
// sends them.
package flink

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/apache/beam/sdks/v2/go/container/tools"
	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/graphx"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/hooks"
	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/universal/runnerlib"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/util/grpcx"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/structpb"
)

// Options are what a job on Flink is started with.
type Options struct {
	Name     string // of the job
	Endpoint string // of Beam's job server, host:port

	Environment Environment // where the workers run
	// WorkerBinary is what a process starts; none: the running program.
	WorkerBinary string

	Bounded        bool // the input ends, and the job with it
	Checkpoint     time.Duration
	BundleTime     time.Duration // the longest that a bundle is collected
	Parallelism    int
	MaxParallelism int
	Savepoint      string // to go on from; none: anew
	Experiments    []string
}

// maxBundleSize bounds the elements of a bundle. A worker sends each timer that a bundle sets as
// a message of its own, and the runner, of Beam 2.62, keeps at most 100 messages of a bundle until
// the bundle has ended: one that sends more stands still for ever, and with it all stages of the
// worker. An element sets one timer at most, and each output of a stage takes two messages.
const maxBundleSize = 50

// runnerOptions are the pipeline options of Beam's Flink runner.
// Source: https://beam.apache.org/documentation/runners/flink/#pipeline-options-for-the-flink-runner
func (o Options) runnerOptions() map[string]any {
	m := map[string]any{
		"streaming":              true,
		"checkpointing_interval": o.Checkpoint.Milliseconds(),
		"max_bundle_time_mills":  o.BundleTime.Milliseconds(),
		"parallelism":            o.Parallelism,
		"max_parallelism":        o.MaxParallelism,
		"max_bundle_size":        maxBundleSize,
		// Or what a bundle gives while a checkpoint is made waits in a buffer that the last watermark
		// overtakes: stages with state then drop it as late, without a word.
		"finish_bundle_before_checkpointing": true,
		// The last checkpoint of a job that was cancelled or has failed is kept: it is a place to go
		// on from.
		"externalized_checkpoints_enabled":                true,
		"retain_externalized_checkpoints_on_cancellation": true,
	}
	if o.Bounded { // Flink keeps the sources of a job that takes checkpoints, unless it is told
		m["shutdown_sources_after_idle_ms"] = 1000
	}
	if o.Savepoint != "" {
		m["savepoint_path"] = o.Savepoint
	}
	return m
}

// pipelineOptions are all options of a job, as the job server takes them.
func (o Options) pipelineOptions() (*structpb.Struct, error) {
	hooks.SerializeHooksToOptions()
	beam.PipelineOptions.LoadOptionsFromFlags(nil)
	s, err := tools.OptionsToProto(runtime.RawOptionsWrapper{
		Options: beam.PipelineOptions.Export(), AppName: o.Name, Parallelism: o.Parallelism,
		Experiments: append(o.Experiments, "beam_fn_api"),
	})
	if err != nil {
		return nil, err
	}
	for name, v := range o.runnerOptions() {
		value, err := structpb.NewValue(v)
		if err != nil {
			return nil, fmt.Errorf("option %s: %w", name, err)
		}
		s.Fields["beam:option:"+name+":v1"] = value
	}
	return s, nil
}

// Job is one that was submitted.
type Job struct {
	ID string // of the job server, which is not Flink's

	conn   *grpc.ClientConn
	client jobpb.JobServiceClient
	stop   func()
}

// Submit starts a pipeline. Close what it returns: workers in this process end with it.
func Submit(ctx context.Context, p *beam.Pipeline, o Options) (j *Job, err error) {
	edges, _, err := p.Build()
	if err != nil {
		return nil, err
	}
	j = &Job{stop: func() {}}
	defer func() {
		if err != nil {
			j.Close()
		}
	}()
	urn, config, stop, err := o.Environment.start(ctx)
	if err != nil {
		return nil, err
	}
	j.stop = stop
	environment, err := graphx.CreateEnvironment(ctx, urn, func(context.Context) string { return config })
	if err != nil {
		return nil, err
	}
	pipeline, err := graphx.Marshal(edges, &graphx.Options{Environment: environment})
	if err != nil {
		return nil, err
	}
	binary, clean, err := o.workerBinary()
	if err != nil {
		return nil, err
	}
	defer clean()
	if err := runnerlib.UpdateGoEnvironmentWorker(binary, pipeline); err != nil {
		return nil, err
	}
	options, err := o.pipelineOptions()
	if err != nil {
		return nil, err
	}
	if j.conn, err = grpcx.Dial(ctx, o.Endpoint, 30*time.Second); err != nil {
		return nil, fmt.Errorf("the job server at %s does not answer: %w", o.Endpoint, err)
	}
	j.client = jobpb.NewJobServiceClient(j.conn)
	prepared, err := j.client.Prepare(ctx, &jobpb.PrepareJobRequest{Pipeline: pipeline, PipelineOptions: options, JobName: o.Name})
	if err != nil {
		return nil, fmt.Errorf("the job server at %s refuses the pipeline: %w", o.Endpoint, err)
	}
	token, err := runnerlib.Stage(ctx, prepared.GetPreparationId(), prepared.GetArtifactStagingEndpoint().GetUrl(), binary, prepared.GetStagingSessionToken())
	if err != nil {
		return nil, fmt.Errorf("staging the worker's binary: %w", err)
	}
	j.ID, err = runnerlib.Submit(ctx, j.client, prepared.GetPreparationId(), token)
	return j, err
}

// workerBinary is what is staged: the program that a process starts, and nothing where the
// workers are there.
func (o Options) workerBinary() (path string, clean func(), err error) {
	if o.Environment.kind == process {
		path := o.WorkerBinary
		if path == "" {
			path, err = os.Executable()
		}
		return path, func() {}, err
	}
	f, err := os.CreateTemp("", "flowbeam-no-binary-")
	if err != nil {
		return "", nil, err
	}
	return f.Name(), func() { os.Remove(f.Name()) }, f.Close()
}

// Wait waits until the job has ended, and tells its failure.
func (j *Job) Wait(ctx context.Context) error {
	return runnerlib.WaitForCompletion(ctx, j.client, j.ID)
}

// Close ends the connection, and the workers that are in this process. It does not end the job.
func (j *Job) Close() {
	if j.conn != nil {
		j.conn.Close()
	}
	j.stop()
}
