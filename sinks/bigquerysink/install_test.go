package bigquerysink

import (
	"slices"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/bigquery"

	"github.com/flowbeam/flowbeam/flow"
)

func metadataOf(t *testing.T, table Table) *bigquery.TableMetadata {
	t.Helper()
	m, err := table.metadata()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func without(s bigquery.Schema, name string) bigquery.Schema {
	return slices.DeleteFunc(slices.Clone(s), func(f *bigquery.FieldSchema) bool { return f.Name == name })
}

func TestInstallOfATableThatIsThere(t *testing.T) {
	flows, letters, rollup := FlowsTable("flows"), FailuresTable("dead_letters"), RollupTable("rollup_1m", rollup1m)
	for name, c := range map[string]struct {
		table  Table
		change func(*bigquery.TableMetadata)
		allow  bool
		want   func(*bigquery.TableMetadataToUpdate) bool // nil: an error
		err    string
	}{
		"as it should be": {table: flows, change: func(*bigquery.TableMetadata) {}, want: func(u *bigquery.TableMetadataToUpdate) bool { return u == nil }},
		"a column of somebody else": {table: flows, change: func(m *bigquery.TableMetadata) {
			m.Schema = append(bigquery.Schema{{Name: "comment", Type: bigquery.StringFieldType}}, m.Schema...)
		}, want: func(u *bigquery.TableMetadataToUpdate) bool { return u == nil }},
		"a column is added where that is allowed": {table: flows, allow: true, change: func(m *bigquery.TableMetadata) { m.Schema = without(m.Schema, "user_id") },
			want: func(u *bigquery.TableMetadataToUpdate) bool {
				last := u.Schema[len(u.Schema)-1]
				return len(u.Schema) == len(flow.Records.Columns) && last.Name == "user_id" && !last.Required
			}},
		"a column is kept in extensions where it is not": {table: flows, change: func(m *bigquery.TableMetadata) { m.Schema = without(m.Schema, "user_id") },
			want: func(u *bigquery.TableMetadataToUpdate) bool { return u == nil }},
		"no extensions to keep columns in":  {table: flows, change: func(m *bigquery.TableMetadata) { m.Schema = without(m.Schema, "extensions") }, err: "extensions"},
		"a column that can be kept nowhere": {table: letters, change: func(m *bigquery.TableMetadata) { m.Schema = without(m.Schema, "error") }, err: "lacks the columns error"},
		"a required column":                 {table: flows, allow: true, change: func(m *bigquery.TableMetadata) { m.Schema = without(m.Schema, "record_id") }, err: "record_id"},
		"another type": {table: flows, allow: true, change: func(m *bigquery.TableMetadata) {
			m.Schema = append(without(m.Schema, "source_bytes"), &bigquery.FieldSchema{Name: "source_bytes", Type: bigquery.StringFieldType})
		}, err: "source_bytes is STRING, want INTEGER"},
		"a required column of somebody else": {table: flows, allow: true, change: func(m *bigquery.TableMetadata) {
			m.Schema = append(m.Schema, &bigquery.FieldSchema{Name: "ticket", Type: bigquery.StringFieldType, Required: true})
		}, err: "ticket is required"},
		"another partitioning": {table: flows, allow: true, change: func(m *bigquery.TableMetadata) { m.TimePartitioning.Field = "received_time" }, err: "hour of received_time"},
		"no partitioning":      {table: flows, allow: true, change: func(m *bigquery.TableMetadata) { m.TimePartitioning = nil }, err: "not partitioned"},
		"a view of the name":   {table: flows, change: func(m *bigquery.TableMetadata) { m.Type = bigquery.ViewTable }, err: "VIEW"},
		"another expiry": {table: flows, change: func(m *bigquery.TableMetadata) { m.TimePartitioning.Expiration = time.Hour },
			want: func(u *bigquery.TableMetadataToUpdate) bool {
				return u.TimePartitioning.Expiration == 0 && u.Schema == nil
			}},
		"filter and clustering": {table: flows, change: func(m *bigquery.TableMetadata) { m.RequirePartitionFilter, m.Clustering = true, nil },
			want: func(u *bigquery.TableMetadataToUpdate) bool {
				return u.RequirePartitionFilter == false && len(u.Clustering.Fields) == 3
			}},
		"no primary key": {table: rollup, change: func(m *bigquery.TableMetadata) { m.TableConstraints = nil },
			want: func(u *bigquery.TableMetadataToUpdate) bool {
				return slices.Equal(u.TableConstraints.PrimaryKey.Columns, []string{"rollup_id"})
			}},
		"another primary key": {table: rollup, change: func(m *bigquery.TableMetadata) { m.TableConstraints.PrimaryKey.Columns = []string{"user_id"} }, err: "primary key is user_id"},
	} {
		have, want := metadataOf(t, c.table), metadataOf(t, c.table)
		have.Type = bigquery.RegularTable
		c.change(have)
		u, err := c.table.changes(have, want, c.allow)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) || u != nil {
				t.Errorf("%s: %v", name, err)
			}
		} else if err != nil || !c.want(u) {
			t.Errorf("%s: %+v, %v", name, u, err)
		}
	}
}

func TestConfigValidateReportsAllProblems(t *testing.T) {
	bad := FlowsTable("fl ows")
	bad.Partition, bad.Cluster, bad.MaxStaleness = "minute", []string{"nope"}, time.Second
	c := Config{Project: "P", Dataset: "d", Tables: []Table{bad, {Name: "x"}, RollupTable("r", nil)}}
	err := c.Validate()
	for _, want := range []string{`project "P"`, "name of a table", "minute", "nope", "MaxStaleness", "FlowsTable", "RollupTable"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not among the problems: %v", want, err)
		}
	}
}

func TestTablesTakeTheOptions(t *testing.T) {
	r := RollupTable("r", rollup1m)
	r.MaxStaleness, r.Expiry, r.RequireFilter, r.Partition = 5*time.Minute, 24*time.Hour, true, "hour"
	m := metadataOf(t, r)
	if m.MaxStaleness.Minutes != 5 || m.TimePartitioning.Expiration != 24*time.Hour || !m.RequirePartitionFilter || m.TimePartitioning.Type != bigquery.HourPartitioningType ||
		m.TableConstraints.PrimaryKey.Columns[0] != "rollup_id" {
		t.Errorf("%+v", m)
	}
	if sql, err := r.sql(r.views[0], "p1", "net"); err != nil || !strings.Contains(sql, "`p1.net.r`") {
		t.Errorf("%s %v", sql, err)
	}
}
