package job

import (
	"fmt"
	"math"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/filesystem"
	"github.com/flowbeam/flowbeam/sources/filesource"
	"github.com/flowbeam/flowbeam/windowing"
)

// Input is where a pipeline's raw records come from.
type Input struct {
	Raw      beam.PCollection // PCollection<flow.RawBatch>
	Failures beam.PCollection // PCollection<flow.FailureBatch>
	Counts   beam.PCollection // PCollection<flow.Count>
}

// streaming says that the input has no end.
func (o *Options) streaming() bool {
	return o.Watch > 0 || o.readsKafka() && o.Stop == "" || o.readsPubSub()
}

// Read reads the input that the options name.
func (o *Options) Read(s beam.Scope) (Input, error) {
	header, err := o.header()
	switch {
	case err != nil:
		return Input{}, err
	case o.readsKafka():
		return o.readTopics(s, time.Now(), header)
	case o.readsPubSub():
		return o.readSubscriptions(s, time.Now(), header)
	default:
		return o.Files(s, header), nil
	}
}

// Files reads the options' input files, with what is declared as the header of those without one.
func (o *Options) Files(s beam.Scope, header string) Input {
	opts := []filesource.Option{
		filesource.Format(o.Format), filesource.DataCenter(o.DataCenter), filesource.Tenant(o.Tenant),
		filesource.Header(header), filesource.MaxLine(o.MaxLine),
	}
	if o.Watch > 0 {
		opts = append(opts, filesource.Watch(o.Watch), filesource.MaxHold(o.MaxHold), filesource.Skew(o.Skew))
	} else if o.Runner == dataflowRunner { // which takes a source that pauses for a stream
		opts = append(opts, filesource.Batch())
	}
	raw, failures, counts := filesource.Read(s, o.Input, opts...)
	return Input{raw, failures, counts}
}

// local says that the runner is the local one, Prism.
func (o *Options) local() bool { return o.Runner == "direct" || o.Runner == "prism" }

// future is how far ahead of its arrival an event time of a stream may be.
func (o *Options) future() time.Duration {
	if o.set["max_event_time"] {
		return 24 * time.Hour
	}
	return o.ahead
}

// startTime is a time, or an age before now; words are what may stand in its place.
func startTime(s string, now time.Time, words string) (time.Time, error) {
	if age, err := time.ParseDuration(s); err == nil {
		if age < 0 {
			age = -age
		}
		return now.Add(-age), nil
	}
	t, err := parseTime(s)
	if err != nil {
		err = fmt.Errorf("start: %q is none of %s, a time such as 2026-01-31T00:00:00Z and an age such as 3h", s, words)
	}
	return t.Std(), err
}

// validateInput says what is wrong with where the records come from.
func (o *Options) validateInput(add func(string, error), one func(string, string, ...string)) {
	files := len(o.Input) > 0 || o.Watch > 0
	if files && (o.readsKafka() || o.readsPubSub()) || o.readsKafka() && o.readsPubSub() {
		add("input", fmt.Errorf("a run reads either files (--input, --watch) or topics (--kafka_input) or subscriptions (--pubsub_input)"))
	}
	if o.MaxRate < 0 {
		add("max_rate", fmt.Errorf("%d is negative", o.MaxRate))
	}
	if !o.readsKafka() && (len(o.KafkaInputTopics) > 0 || o.KafkaInputPattern != "") {
		add("kafka_input_topics", fmt.Errorf("needs the brokers, --kafka_input"))
	}
	if o.readsKafka() {
		o.validateKafka(add, one)
	}
	if o.readsPubSub() {
		o.validatePubSub(add)
	}
	if files || !o.readsKafka() && !o.readsPubSub() {
		o.validateFiles(add)
	}
	o.validateAvro(add)
}

func (o *Options) validateFiles(add func(string, error)) {
	if o.Watch == 0 && len(o.Input) > 0 {
		var opts []filesource.Option
		if _, ok := flow.FormatNamed(o.Format); ok {
			opts = append(opts, filesource.Format(o.Format), filesource.Header(o.Header))
		}
		add("input", filesource.Check(o.Input, opts...))
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
	if !o.readsKafka() && !o.readsPubSub() { // which name it by more
		add("datacenter", filesource.CheckDataCenter(o.DataCenter))
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
	case o.readsKafka(), o.readsPubSub():
		return windowing.StreamBounds(windowing.DefaultPast, windowing.DefaultFuture), nil
	default: // files may be older than what they hold by any time
		return windowing.StreamBounds(math.MaxInt64, 24*time.Hour), nil
	}
}
