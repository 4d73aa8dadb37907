package job

import (
	"context"
	"errors"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/flowbeam/flowbeam/sinks/elasticsink"
	"github.com/flowbeam/flowbeam/sinks/filesink"
)

// elasticStore writes documents to Elasticsearch.
type elasticStore struct{ o *Options }

func (elasticStore) name() string { return "elasticsearch" }

func (elasticStore) loadsFiles() bool { return false }

func (e elasticStore) cluster() elasticsink.Cluster {
	return elasticsink.Cluster{
		Addresses: e.o.Elasticsearch, CloudID: e.o.ElasticCloudID,
		User: e.o.ElasticUser, Password: e.o.ElasticPassword, APIKey: e.o.ElasticAPIKey, CA: e.o.ElasticCA,
	}
}

func (e elasticStore) options(of string) []elasticsink.Option {
	opts := []elasticsink.Option{elasticsink.Name(stage(e, of)), elasticsink.Namespace(e.o.ElasticNamespace)}
	if of == "" {
		opts = append(opts, elasticsink.IndexPer(e.o.ElasticIndexPer))
		if e.o.ElasticReplace || e.o.Replace {
			opts = append(opts, elasticsink.Replace())
		}
	}
	return opts
}

func (e elasticStore) validate(levels []level) error {
	errs := []error{
		elasticsink.Validate(e.cluster(), e.options("")...),
		elasticsink.ValidateFailures(e.cluster(), e.options("dead_letters")...),
	}
	for _, l := range levels {
		errs = append(errs, elasticsink.ValidateRollups(e.cluster(), l.table, e.options("rollup_"+l.name)...))
	}
	return distinct(errs...)
}

func (e elasticStore) install(ctx context.Context, levels []level) error {
	t := elasticsink.Templates{Namespace: e.o.ElasticNamespace, Keep: e.o.ElasticKeep, WithoutILM: !e.o.ElasticILM}
	for _, l := range levels {
		t.Rollups = append(t.Rollups, l.table)
	}
	_, err := elasticsink.Install(ctx, e.cluster(), t)
	return err
}

func (e elasticStore) records(s beam.Scope, batches beam.PCollection, _ filesink.Result) written {
	r := elasticsink.Write(s, batches, e.cluster(), e.options("")...)
	return wrote(r.Failures, r.Counts)
}

func (e elasticStore) rollups(s beam.Scope, rows beam.PCollection, l level, _ filesink.Result) written {
	r := elasticsink.WriteRollups(s, rows, e.cluster(), l.table, e.options("rollup_"+l.name)...)
	return wrote(r.Failures, r.Counts)
}

func (e elasticStore) failures(s beam.Scope, failures beam.PCollection, _ filesink.Result) written {
	r := elasticsink.WriteFailures(s, failures, e.cluster(), e.options("dead_letters")...)
	return wrote(r.Failures, r.Counts)
}

func (e elasticStore) remove(s beam.Scope, moved, gone beam.PCollection) []beam.PCollection {
	return []beam.PCollection{elasticsink.Remove(s, gather(s, "Removed", moved, gone), e.cluster(), e.o.Revision,
		elasticsink.Namespace(e.o.ElasticNamespace))}
}

// distinct joins errors, each text once: the sinks of one store have the same problems.
func distinct(errs ...error) error {
	var out []error
	seen := map[string]bool{}
	for _, err := range errs {
		for _, e := range split(err) {
			if !seen[e.Error()] {
				seen[e.Error()] = true
				out = append(out, e)
			}
		}
	}
	return errors.Join(out...)
}
