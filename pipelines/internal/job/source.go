package job

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/filesystem"
	"github.com/flowbeam/flowbeam/sources/filesource"
	"github.com/flowbeam/flowbeam/sources/kafkasource"
	"github.com/flowbeam/flowbeam/windowing"
)

// Input is where a pipeline's raw records come from.
type Input struct {
	Raw      beam.PCollection // PCollection<flow.RawBatch>
	Failures beam.PCollection // PCollection<flow.FailureBatch>
	Counts   beam.PCollection // PCollection<flow.Count>
}

func (o *Options) readsKafka() bool { return len(o.KafkaInput) > 0 }

// streaming says that the input has no end.
func (o *Options) streaming() bool { return o.Watch > 0 || o.readsKafka() && o.Stop == "" }

// Read reads the input that the options name.
func (o *Options) Read(s beam.Scope) (Input, error) {
	if !o.readsKafka() {
		return o.Files(s), nil
	}
	opts, err := o.kafkaOptions(time.Now())
	if err != nil {
		return Input{}, err
	}
	raw, failures, counts := kafkasource.Read(s, o.KafkaInput, o.KafkaInputTopics, opts...)
	return Input{raw, failures, counts}, nil
}

// Files reads the options' input files.
func (o *Options) Files(s beam.Scope) Input {
	opts := []filesource.Option{
		filesource.Format(o.Format), filesource.DataCenter(o.DataCenter), filesource.Tenant(o.Tenant),
		filesource.Header(o.Header), filesource.MaxLine(o.MaxLine),
	}
	if o.Watch > 0 {
		opts = append(opts, filesource.Watch(o.Watch), filesource.MaxHold(o.MaxHold), filesource.Skew(o.Skew))
	}
	raw, failures, counts := filesource.Read(s, o.Input, opts...)
	return Input{raw, failures, counts}
}

// kafkaOptions are those of the topics that are read. now is the time of the launch.
func (o *Options) kafkaOptions(now time.Time) (opts []kafkasource.Option, err error) {
	opts = []kafkasource.Option{
		kafkasource.Format(o.Format), kafkasource.DataCenter(o.DataCenter), kafkasource.Tenant(o.Tenant),
		kafkasource.Header(o.Header), kafkasource.MaxMessage(o.MaxLine), kafkasource.Pattern(o.KafkaInputPattern),
		kafkasource.OnExpired(o.KafkaExpired), kafkasource.Skew(o.Skew), kafkasource.MaxHold(o.MaxHold),
	}
	if o.KafkaTLS || o.KafkaCA != "" {
		opts = append(opts, kafkasource.TLS(o.KafkaCA))
	}
	if o.KafkaUser != "" {
		opts = append(opts, kafkasource.SASL(o.KafkaMechanism, o.KafkaUser, o.KafkaPassword))
	}
	if o.KafkaIsolation == readCommitted {
		opts = append(opts, kafkasource.ReadCommitted())
	}
	if o.KafkaInputGroup != "" {
		opts = append(opts, o.commit())
	}
	if o.MaxRate > 0 {
		opts = append(opts, kafkasource.MaxRate(float64(o.MaxRate)))
	}
	var errs []error
	switch o.Start {
	case "earliest":
		opts = append(opts, kafkasource.StartEarliest())
	case "latest":
		opts = append(opts, kafkasource.StartLatest())
	case "committed":
		opts = append(opts, kafkasource.StartCommitted(o.KafkaInputGroup))
	default:
		t, err := startTime(o.Start, now)
		errs = append(errs, err)
		opts = append(opts, kafkasource.StartTime(t))
	}
	switch o.Stop {
	case "":
	case "latest":
		opts = append(opts, kafkasource.StopLatest(), kafkasource.Batch())
	default:
		t, err := parseTime(o.Stop)
		errs = append(errs, err)
		if err == nil && t.Std().After(now) {
			errs = append(errs, fmt.Errorf("stop: %s is not in the past", o.Stop))
		}
		opts = append(opts, kafkasource.StopTime(t.Std()), kafkasource.Batch())
	}
	return opts, errors.Join(errs...)
}

// commit is what is committed to the group: on the local runner, whose state dies with it,
// the place from which the next run has to read, and elsewhere what was read a while ago.
func (o *Options) commit() kafkasource.Option {
	if !o.streaming() || !o.local() {
		return kafkasource.Commit(o.KafkaInputGroup, 0)
	}
	grace := time.Duration(0)
	if o.rollups() {
		grace = o.AllowedLateness + slices.Max(o.RollupWindows)
	}
	return kafkasource.CommitStored(o.KafkaInputGroup, grace, o.future())
}

// local says that the runner is the local one, Prism.
func (o *Options) local() bool { return o.Runner == "direct" || o.Runner == "prism" }

// future is how far ahead of its arrival an event time of a stream may be.
func (o *Options) future() time.Duration {
	if o.set["max_event_time"] {
		return 24 * time.Hour
	}
	return windowing.DefaultFuture
}

const readCommitted = "read_committed"

// startTime is a time, or an age before now.
func startTime(s string, now time.Time) (time.Time, error) {
	if age, err := time.ParseDuration(s); err == nil {
		if age < 0 {
			age = -age
		}
		return now.Add(-age), nil
	}
	t, err := parseTime(s)
	if err != nil {
		err = fmt.Errorf("start: %q is none of earliest, latest, committed, a time such as 2026-01-31T00:00:00Z and an age such as 3h", s)
	}
	return t.Std(), err
}

// validateInput says what is wrong with where the records come from.
func (o *Options) validateInput(add func(string, error), one func(string, string, ...string)) {
	if o.readsKafka() {
		o.validateKafka(add, one)
		return
	}
	if o.Watch == 0 && len(o.Input) > 0 {
		add("input", filesource.Check(o.Input))
	}
	for _, in := range o.Input {
		if _, err := filesystem.For(in); err != nil && o.Watch > 0 {
			add("input", err)
		}
	}
	if o.Watch < 0 || o.Watch > 0 && o.Watch < time.Second {
		add("watch", fmt.Errorf("%v is shorter than one second", o.Watch))
	}
	if o.Watch > 0 && len(o.Input) == 0 {
		add("watch", fmt.Errorf("needs --input"))
	}
	if len(o.KafkaInputTopics) > 0 || o.KafkaInputPattern != "" {
		add("kafka_input_topics", fmt.Errorf("needs the brokers, --kafka_input"))
	}
	add("datacenter", filesource.CheckDataCenter(o.DataCenter))
}

func (o *Options) validateKafka(add func(string, error), one func(string, string, ...string)) {
	if len(o.Input) > 0 || o.Watch > 0 {
		add("kafka_input", fmt.Errorf("a run reads either files (--input, --watch) or topics"))
	}
	one("kafka_isolation", o.KafkaIsolation, "read_uncommitted", readCommitted)
	if o.MaxRate < 0 {
		add("max_rate", fmt.Errorf("%d is negative", o.MaxRate))
	}
	opts, err := o.kafkaOptions(time.Now())
	add("kafka_input", err)
	if err == nil {
		add("kafka_input", kafkasource.Validate(context.Background(), o.KafkaInput, o.KafkaInputTopics, opts...))
	}
}

// bounds are the event times that are taken. A stream's are around the time at which each
// record came: it outlives any bound that is fixed when it starts.
func (o *Options) bounds(now time.Time) (flow.Step, error) {
	lo, err := parseTime(o.MinTime)
	if err != nil {
		return nil, err
	}
	hi, err := parseTime(o.MaxTime)
	if err != nil {
		return nil, err
	}
	switch {
	case !o.streaming() || o.set["min_event_time"] || o.set["max_event_time"]:
		if hi == 0 {
			hi = flow.TimeOf(now).Add(24 * time.Hour)
		}
		return windowing.Bounds(lo, hi), nil
	case o.readsKafka():
		return windowing.StreamBounds(windowing.DefaultPast, windowing.DefaultFuture), nil
	default: // files may be older than what they hold by any time
		return windowing.StreamBounds(math.MaxInt64, 24*time.Hour), nil
	}
}
