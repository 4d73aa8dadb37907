package job

import (
	"context"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/flowbeam/flowbeam/sinks/filesink"
	"github.com/flowbeam/flowbeam/sinks/kafkasink"
)

// kafkaStore writes messages to topics of Kafka.
type kafkaStore struct{ o *Options }

func (kafkaStore) name() string { return "kafka" }

func (kafkaStore) loadsFiles() bool { return false }

// topic is that of the records, or of what is named.
func (k kafkaStore) topic(of string) string {
	if of == "" {
		return k.o.KafkaTopic
	}
	return k.o.KafkaTopic + "_" + of
}

func (k kafkaStore) options(of string) []kafkasink.Option {
	opts := []kafkasink.Option{kafkasink.Name(stage(k, of))}
	if k.o.KafkaTLS || k.o.KafkaCA != "" {
		opts = append(opts, kafkasink.TLS(k.o.KafkaCA))
	}
	if k.o.KafkaUser != "" {
		opts = append(opts, kafkasink.SASL(k.o.KafkaMechanism, k.o.KafkaUser, k.o.KafkaPassword))
	}
	if k.o.Install {
		opts = append(opts, kafkasink.CreateTopic(k.o.KafkaPartitions, -1))
	}
	return opts
}

func (k kafkaStore) validate(levels []level) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	errs := []error{
		kafkasink.Validate(ctx, k.o.Kafka, k.topic(""), k.options("")...),
		kafkasink.ValidateFailures(ctx, k.o.Kafka, k.topic("dead_letters"), k.options("dead_letters")...),
	}
	for _, l := range levels {
		errs = append(errs, kafkasink.ValidateRollups(ctx, k.o.Kafka, k.topic("rollup_"+l.name), l.table, k.options("rollup_"+l.name)...))
	}
	return distinct(errs...)
}

// install has nothing to do: the sinks make their topics when they start.
func (kafkaStore) install(context.Context, []level) error { return nil }

func (k kafkaStore) records(s beam.Scope, batches beam.PCollection, _ filesink.Result) written {
	r := kafkasink.Write(s, batches, k.o.Kafka, k.topic(""), k.options("")...)
	return wrote(r.Failures, r.Counts)
}

func (k kafkaStore) rollups(s beam.Scope, rows beam.PCollection, l level, _ filesink.Result) written {
	r := kafkasink.WriteRollups(s, rows, k.o.Kafka, k.topic("rollup_"+l.name), l.table, k.options("rollup_"+l.name)...)
	return wrote(r.Failures, r.Counts)
}

func (k kafkaStore) failures(s beam.Scope, failures beam.PCollection, _ filesink.Result) written {
	r := kafkasink.WriteFailures(s, failures, k.o.Kafka, k.topic("dead_letters"), k.options("dead_letters")...)
	return wrote(r.Failures, r.Counts)
}

func (kafkaStore) remove(beam.Scope, beam.PCollection, beam.PCollection) []beam.PCollection {
	return nil
}
