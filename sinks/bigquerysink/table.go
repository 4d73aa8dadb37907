package bigquerysink

import (
	"embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/template"
	"time"

	"cloud.google.com/go/bigquery"

	"github.com/flowbeam/flowbeam/flow"
)

// Table is a table that Install makes, with its views. FlowsTable, RollupTable and
// FailuresTable give one with defaults; change its exported fields to have it otherwise.
type Table struct {
	// Name in the dataset. The views are called after it.
	Name string
	// Partition is the length of a partition: hour, day or month. Default: hour for flows,
	// day for the others. A table may have 10,000 partitions.
	Partition string
	// Expiry is how long a partition is kept after its time. Zero keeps it for ever.
	Expiry time.Duration
	// RequireFilter has BigQuery refuse queries that do not filter by the partitions' time;
	// through the view <name>_latest that is a filter on partition_time, in a rollup's on
	// window_start.
	RequireFilter bool
	// Cluster are the columns that a partition is sorted by, at most four. Default:
	// user_id, source_ip, destination_ip for flows, rollup_id for rollups, stage and reason
	// for dead letters.
	Cluster []string
	// PrimaryKey is the column that upserts go by: rollup_id for rollups. "" has none, which
	// goes with the option AppendOnly.
	PrimaryKey string
	// MaxStaleness bounds how old the upserts may be that a query does not see yet; zero
	// has every query apply them all, which costs more. Whole minutes.
	MaxStaleness time.Duration

	time       string // the partition column
	fields     []byte // the schema, as flow gives it
	extensible bool   // has the column extensions
	views      []view
	err        error
}

// view is a view that goes with a table.
type view struct {
	suffix, file string
	on           string // suffix of the view that it reads as .Latest
}

//go:embed views/*.sql
var viewFiles embed.FS

var viewTemplates = template.Must(template.ParseFS(viewFiles, "views/*.sql"))

// FlowsTable is a table of records, partitioned by the hour of the event time. Its views
// are <name>_latest, which has each record once, and <name>_features, which has the
// features of each user in each five minutes.
func FlowsTable(name string) Table {
	return Table{
		Name: name, Partition: "hour", Cluster: []string{"user_id", "source_ip", "destination_ip"},
		time: "event_time", fields: flow.Records.BigQuerySchema(), extensible: true,
		views: []view{{suffix: "_latest", file: "records_latest.sql"}, {suffix: "_features", file: "features.sql", on: "_latest"}},
	}
}

// FailuresTable is a table of dead letters, partitioned by the day of their source's time.
// Its view is <name>_latest.
func FailuresTable(name string) Table {
	return Table{
		Name: name, Partition: "day", Cluster: []string{"stage", "reason"},
		time: "source_time", fields: flow.Failures.BigQuerySchema(),
		views: []view{{suffix: "_latest", file: "failures_latest.sql"}},
	}
}

// RollupTable is a table of one level's rows, partitioned by the day of their windows and
// with rollup_id as primary key. Its view is <name>_latest, which matters where rows are
// appended or loaded.
func RollupTable(name string, rollup *flow.Table[flow.Rollup]) Table {
	t := Table{
		Name: name, Partition: "day", Cluster: []string{"rollup_id"}, PrimaryKey: "rollup_id", time: "window_start",
		views: []view{{suffix: "_latest", file: "rollup_latest.sql"}},
	}
	if rollup == nil || !strings.HasPrefix(rollup.Name, "rollup_") {
		t.err = errors.New("its rows' table was not made by flow.RollupTable")
		return t
	}
	t.fields = rollup.BigQuerySchema()
	return t
}

var partitionTypes = map[string]bigquery.TimePartitioningType{
	"hour": bigquery.HourPartitioningType, "day": bigquery.DayPartitioningType, "month": bigquery.MonthPartitioningType,
}

// check reports every problem of a table.
func (t *Table) check() error {
	errs := []error{t.err}
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !tablePattern.MatchString(t.Name) {
		add("not the name of a table")
	}
	if _, ok := partitionTypes[t.Partition]; !ok {
		add("Partition %q: want hour, day or month", t.Partition)
	}
	if t.Expiry < 0 || t.MaxStaleness < 0 || t.MaxStaleness%time.Minute != 0 {
		add("Expiry %v, MaxStaleness %v: want no negative time, and whole minutes", t.Expiry, t.MaxStaleness)
	}
	if len(t.Cluster) > 4 {
		add("Cluster has %d columns: BigQuery takes four", len(t.Cluster))
	}
	if t.time == "" {
		add("want a table made by FlowsTable, RollupTable or FailuresTable")
	} else if t.err == nil {
		schema, err := t.schema()
		errs = append(errs, err)
		for _, c := range append(slices.Clone(t.Cluster), t.PrimaryKey) {
			if c != "" && !slices.ContainsFunc(schema, func(f *bigquery.FieldSchema) bool { return f.Name == c }) {
				add("it has no column %q", c)
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("table %q: %w", t.Name, err)
	}
	return nil
}

func (t *Table) schema() (bigquery.Schema, error) { return bigquery.SchemaFromJSON(t.fields) }

// metadata is the table as Install makes it.
func (t *Table) metadata() (*bigquery.TableMetadata, error) {
	schema, err := t.schema()
	if err != nil {
		return nil, err
	}
	m := &bigquery.TableMetadata{
		Schema:                 schema,
		TimePartitioning:       &bigquery.TimePartitioning{Field: t.time, Type: partitionTypes[t.Partition], Expiration: t.Expiry},
		RequirePartitionFilter: t.RequireFilter,
		Labels:                 map[string]string{"made-by": "flowbeam"},
	}
	if len(t.Cluster) > 0 {
		m.Clustering = &bigquery.Clustering{Fields: t.Cluster}
	}
	if t.PrimaryKey != "" {
		m.TableConstraints = &bigquery.TableConstraints{PrimaryKey: &bigquery.PrimaryKey{Columns: []string{t.PrimaryKey}}}
		if t.MaxStaleness > 0 {
			m.MaxStaleness = &bigquery.IntervalValue{Minutes: int32(t.MaxStaleness / time.Minute)}
		}
	}
	return m, nil
}

// sql is the text of one of the table's views.
func (t *Table) sql(v view, project, dataset string) (string, error) {
	full := project + "." + dataset + "." + t.Name
	var b strings.Builder
	err := viewTemplates.ExecuteTemplate(&b, v.file, struct{ Table, Latest, Partition string }{full, full + v.on, strings.ToUpper(t.Partition)})
	return b.String(), err
}
