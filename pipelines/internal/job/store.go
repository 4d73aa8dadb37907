package job

import (
	"context"
	"fmt"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/sinks/filesink"
	"github.com/flowbeam/flowbeam/transforms/rollup"
)

// store is a place that records, rollups and dead letters are written to, beside the files
// under --output. Each has a file of its own: store_elasticsearch.go and so on.
type store interface {
	// name is what the store is called in the summary and in problems.
	name() string
	// loadsFiles says whether it is written to by loading what the file sink has written, and
	// so after it; else it is given what the file sink is given.
	loadsFiles() bool
	// validate returns all problems of its options, without an effect outside.
	validate(levels []level) error
	// install makes what the store needs and lacks: templates, tables, topics.
	install(ctx context.Context, levels []level) error
	// records, rollups and failures wire its sinks. files is what the file sink has
	// written of the same, for stores that load files.
	records(s beam.Scope, batches beam.PCollection, files filesink.Result) written
	rollups(s beam.Scope, rows beam.PCollection, l level, files filesink.Result) written
	failures(s beam.Scope, failures beam.PCollection, files filesink.Result) written
	// remove wires the removal of superseded records, of moved and of gone ones, and returns its
	// counts: none for a log, which keeps what it was told.
	remove(s beam.Scope, moved, gone beam.PCollection) []beam.PCollection
}

// level is a level of rollups and its table.
type level struct {
	name  string
	table *flow.Table[flow.Rollup]
}

// written is what a sink gives back.
type written struct {
	rejected []beam.PCollection // none where it refuses nothing
	counts   beam.PCollection
}

func wrote(failures, counts beam.PCollection) written {
	return written{[]beam.PCollection{failures}, counts}
}

// stores are those that the options name.
func (o *Options) stores() (out []store) {
	if len(o.Elasticsearch) > 0 || o.ElasticCloudID != "" {
		out = append(out, elasticStore{o})
	}
	if o.BigQuery != "" {
		out = append(out, bigqueryStore{o})
	}
	if len(o.Kafka) > 0 {
		out = append(out, kafkaStore{o})
	}
	if o.PubSub != "" {
		out = append(out, pubsubStore{o})
	}
	return out
}

// levels are the rollups' levels and their tables.
func (o *Options) levels() (out []level, err error) {
	if !o.rollups() {
		return nil, nil
	}
	for _, w := range o.RollupWindows {
		name := rollup.LevelName(w)
		table, err := rollup.Table(name, o.Rollup, o.measures())
		if err != nil {
			return nil, err
		}
		out = append(out, level{name, table})
	}
	return out, nil
}

// installTime bounds the set-up of one store: a server that never answers is an error too.
const installTime = 5 * time.Minute

// install makes what the stores lack, where --install asks for it.
func (o *Options) install(ctx context.Context) error {
	if !o.Install {
		return nil
	}
	levels, err := o.levels()
	if err != nil {
		return err
	}
	for _, st := range o.stores() {
		err := func() error {
			ctx, cancel := context.WithTimeoutCause(ctx, installTime, fmt.Errorf("not done within %v", installTime))
			defer cancel()
			err := st.install(ctx, levels)
			if cause := context.Cause(ctx); err != nil && cause != nil {
				err = fmt.Errorf("%w: %w", cause, err)
			}
			return err
		}()
		if err != nil {
			return fmt.Errorf("--install: %s: %w", st.name(), err)
		}
	}
	return nil
}

// stage is the stage of a store's counts: that of its records, or of what is named.
func stage(st store, of string) string {
	if of == "" {
		return sinkStage(st.name())
	}
	return sinkStage(st.name() + "_" + of)
}
