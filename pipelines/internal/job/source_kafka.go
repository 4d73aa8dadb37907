package job

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/flowbeam/flowbeam/sources/kafkasource"
)

func (o *Options) readsKafka() bool { return len(o.KafkaInput) > 0 }

// readTopics reads the options' topics. now is the time of the launch.
func (o *Options) readTopics(s beam.Scope, now time.Time, header string) (Input, error) {
	opts, err := o.kafkaOptions(now, header)
	if err != nil {
		return Input{}, err
	}
	raw, failures, counts := kafkasource.Read(s, o.KafkaInput, o.KafkaInputTopics, opts...)
	return Input{raw, failures, counts}, nil
}

// kafkaOptions are those of the topics that are read. now is the time of the launch; header is what
// is declared.
func (o *Options) kafkaOptions(now time.Time, header string) (opts []kafkasource.Option, err error) {
	opts = []kafkasource.Option{
		kafkasource.Format(o.Format), kafkasource.DataCenter(o.DataCenter), kafkasource.Tenant(o.Tenant),
		kafkasource.Header(header), kafkasource.MaxMessage(o.MaxLine), kafkasource.Pattern(o.KafkaInputPattern),
		kafkasource.OnExpired(o.KafkaExpired), kafkasource.Skew(o.Skew), kafkasource.MaxHold(o.MaxHold),
		kafkasource.Exporter(o.KafkaExporter), kafkasource.Rewind(o.TemplateRewind),
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
	if o.local() {
		opts = append(opts, kafkasource.OneProcess())
	}
	if o.MaxRate > 0 {
		opts = append(opts, kafkasource.MaxRate(float64(o.MaxRate)))
	}
	var errs []error
	switch o.Start {
	case "", "earliest":
		opts = append(opts, kafkasource.StartEarliest())
	case "latest":
		opts = append(opts, kafkasource.StartLatest())
	case "committed":
		opts = append(opts, kafkasource.StartCommitted(o.KafkaInputGroup))
	case startSubscription, startResume:
		errs = append(errs, fmt.Errorf("start: %q is for subscriptions (--pubsub_input); topics go on by committed, with --kafka_input_group", o.Start))
	default:
		t, err := startTime(o.Start, now, "earliest, latest, committed")
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

const readCommitted = "read_committed"

func (o *Options) validateKafka(add func(string, error), one func(string, string, ...string)) {
	one("kafka_isolation", o.KafkaIsolation, "read_uncommitted", readCommitted)
	opts, err := o.kafkaOptions(time.Now(), "")
	add("kafka_input", err)
	if err == nil && asks() {
		add("kafka_input", kafkasource.Validate(context.Background(), o.KafkaInput, o.KafkaInputTopics, opts...))
	}
}
