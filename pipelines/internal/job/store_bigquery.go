package job

import (
	"context"
	"fmt"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/flowbeam/flowbeam/sinks/bigquerysink"
	"github.com/flowbeam/flowbeam/sinks/filesink"
)

// bigqueryStore writes rows to BigQuery, by its Storage Write API or by loading the files.
type bigqueryStore struct{ o *Options }

func (bigqueryStore) name() string { return "bigquery" }

const (
	storageWrite = "storage_write"
	fileLoads    = "file_loads"
)

func (b bigqueryStore) loadsFiles() bool { return b.o.BigQueryMethod == fileLoads }

// table is the full name of a table.
func (b bigqueryStore) table(name string) string { return b.o.BigQuery + "." + name }

func (b bigqueryStore) options(of string) []bigquerysink.Option {
	opts := []bigquerysink.Option{bigquerysink.Name(stage(b, of))}
	if rest, grpc, ok := b.endpoint(); ok {
		opts = append(opts, bigquerysink.Endpoint(rest, grpc))
	}
	return opts
}

func (b bigqueryStore) endpoint() (rest, grpc string, ok bool) {
	if b.o.BigQueryEndpoint == "" {
		return "", "", false
	}
	rest, grpc, _ = strings.Cut(b.o.BigQueryEndpoint, ",")
	return rest, grpc, true
}

func (b bigqueryStore) validate(levels []level) error {
	var errs []error
	if project, dataset, ok := strings.Cut(b.o.BigQuery, "."); !ok || project == "" || dataset == "" || strings.Contains(dataset, ".") {
		errs = append(errs, fmt.Errorf("%q is no project.dataset", b.o.BigQuery))
		return distinct(errs...)
	}
	switch b.o.BigQueryMethod {
	case storageWrite:
		errs = append(errs, bigquerysink.Validate(b.table("flows"), b.options("")...),
			bigquerysink.Validate(b.table("dead_letters"), b.options("dead_letters")...))
		for _, l := range levels {
			errs = append(errs, bigquerysink.ValidateRollups(b.table("rollup_"+l.name), l.table, b.options("rollup_"+l.name)...))
		}
	case fileLoads:
		dirs := []string{"flows", "dead_letters"}
		for _, l := range levels {
			dirs = append(dirs, "rollup_"+l.name)
		}
		if !strings.HasPrefix(b.o.Output, "gs://") {
			errs = append(errs, fmt.Errorf("the method %s loads the files under --output, which must be on gs:// for it", fileLoads))
			break
		}
		if b.o.streaming() {
			errs = append(errs, fmt.Errorf("the method %s is for runs that end: for a stream use %s", fileLoads, storageWrite))
		}
		for _, d := range dirs {
			errs = append(errs, bigquerysink.ValidateLoad(b.o.dir(d), b.table(d), b.options("")...))
		}
	default:
		errs = append(errs, fmt.Errorf("the method %q is neither %s nor %s", b.o.BigQueryMethod, storageWrite, fileLoads))
	}
	return distinct(errs...)
}

func (b bigqueryStore) install(ctx context.Context, levels []level) error {
	project, dataset, _ := strings.Cut(b.o.BigQuery, ".")
	c := bigquerysink.Config{Project: project, Dataset: dataset, Location: b.o.BigQueryLocation, AddColumns: b.o.BigQueryAddColumns}
	c.Endpoint, _, _ = b.endpoint()
	c.Tables = []bigquerysink.Table{bigquerysink.FlowsTable("flows"), bigquerysink.FailuresTable("dead_letters")}
	for _, l := range levels {
		t := bigquerysink.RollupTable("rollup_"+l.name, l.table)
		if b.loadsFiles() {
			t.PrimaryKey = "" // loaded rows are appended; the view has the newest of each key
		}
		c.Tables = append(c.Tables, t)
	}
	return bigquerysink.Install(ctx, c)
}

func (b bigqueryStore) records(s beam.Scope, batches beam.PCollection, files filesink.Result) written {
	if b.loadsFiles() {
		return b.load(s, "flows", "", files)
	}
	r := bigquerysink.Write(s, batches, b.table("flows"), b.options("")...)
	return wrote(r.Failures, r.Counts)
}

func (b bigqueryStore) rollups(s beam.Scope, rows beam.PCollection, l level, files filesink.Result) written {
	if b.loadsFiles() {
		return b.load(s, "rollup_"+l.name, "rollup_"+l.name, files)
	}
	opts := b.options("rollup_" + l.name)
	if b.o.BigQueryEndpoint != "" {
		opts = append(opts, bigquerysink.AppendOnly()) // emulators have no upserts
	}
	r := bigquerysink.WriteRollups(s, rows, b.table("rollup_"+l.name), l.table, opts...)
	return wrote(r.Failures, r.Counts)
}

func (b bigqueryStore) failures(s beam.Scope, failures beam.PCollection, files filesink.Result) written {
	if b.loadsFiles() {
		return b.load(s, "dead_letters", "dead_letters", files)
	}
	r := bigquerysink.WriteFailures(s, failures, b.table("dead_letters"), b.options("dead_letters")...)
	return wrote(r.Failures, r.Counts)
}

// load loads what the file sink has written under a name, when all of it is there.
func (b bigqueryStore) load(s beam.Scope, name, of string, files filesink.Result) written {
	return written{counts: bigquerysink.Load(s, files.Touched, b.o.dir(name), b.table(name), b.options(of)...)}
}

func (b bigqueryStore) remove(s beam.Scope, moved, gone beam.PCollection) []beam.PCollection {
	opts := append(b.options(""), bigquerysink.Name("bigquery_removed"))
	return []beam.PCollection{
		bigquerysink.RemoveMoved(s, moved, b.table("flows"), b.o.Revision, opts...),
		bigquerysink.Remove(s, gone, b.table("flows"), b.o.Revision, opts...),
	}
}
