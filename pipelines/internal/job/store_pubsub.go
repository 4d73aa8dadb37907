package job

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/flowbeam/flowbeam/sinks/filesink"
	"github.com/flowbeam/flowbeam/sinks/pubsubsink"
)

// pubsubStore publishes messages to topics of Pub/Sub.
type pubsubStore struct{ o *Options }

func (pubsubStore) name() string { return "pubsub" }

func (pubsubStore) loadsFiles() bool { return false }

// split is the project, and the topic of the records or of what is named.
func (p pubsubStore) split(of string) (project, topic string) {
	project, topic, _ = strings.Cut(strings.TrimPrefix(p.o.PubSub, "projects/"), "/topics/")
	if of != "" {
		topic += "_" + of
	}
	return project, topic
}

func (p pubsubStore) options(of string) []pubsubsink.Option {
	opts := []pubsubsink.Option{pubsubsink.Name(stage(p, of))}
	if p.o.PubSubCredentials != "" {
		opts = append(opts, pubsubsink.Credentials(p.o.PubSubCredentials))
	}
	if p.o.PubSubEndpoint != "" {
		opts = append(opts, pubsubsink.Endpoint(p.o.PubSubEndpoint))
	}
	return opts
}

func (p pubsubStore) validate(levels []level) error {
	if project, topic := p.split(""); project == "" || topic == "" {
		return fmt.Errorf("%q is not projects/PROJECT/topics/TOPIC", p.o.PubSub)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var errs []error
	project, topic := p.split("")
	errs = append(errs, pubsubsink.Validate(ctx, project, topic, p.options("")...))
	project, topic = p.split("dead_letters")
	errs = append(errs, pubsubsink.ValidateFailures(ctx, project, topic, p.options("dead_letters")...))
	for _, l := range levels {
		project, topic = p.split("rollup_" + l.name)
		errs = append(errs, pubsubsink.ValidateRollups(ctx, project, topic, l.table, p.options("rollup_"+l.name)...))
	}
	return distinct(errs...)
}

// install has nothing to do: topics of Pub/Sub have owners, quotas and schemas, and are
// made with them.
func (pubsubStore) install(context.Context, []level) error { return nil }

func (p pubsubStore) records(s beam.Scope, batches beam.PCollection, _ filesink.Result) written {
	project, topic := p.split("")
	r := pubsubsink.Write(s, batches, project, topic, p.options("")...)
	return wrote(r.Failures, r.Counts)
}

func (p pubsubStore) rollups(s beam.Scope, rows beam.PCollection, l level, _ filesink.Result) written {
	project, topic := p.split("rollup_" + l.name)
	r := pubsubsink.WriteRollups(s, rows, project, topic, l.table, p.options("rollup_"+l.name)...)
	return wrote(r.Failures, r.Counts)
}

func (p pubsubStore) failures(s beam.Scope, failures beam.PCollection, _ filesink.Result) written {
	project, topic := p.split("dead_letters")
	r := pubsubsink.WriteFailures(s, failures, project, topic, p.options("dead_letters")...)
	return wrote(r.Failures, r.Counts)
}

func (pubsubStore) remove(beam.Scope, beam.PCollection, beam.PCollection) []beam.PCollection {
	return nil
}
