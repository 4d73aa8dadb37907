package bigquerysink

import (
	"fmt"
	"regexp"
	"strings"
)

// tableName is a table's full name. Names are checked and never rewritten; none is built
// from a record's values.
type tableName struct {
	Project, Dataset, Table string
}

var (
	projectPattern = regexp.MustCompile(`^[a-z][a-z0-9.:-]{0,62}$`)
	datasetPattern = regexp.MustCompile(`^[A-Za-z0-9_]{1,1000}$`)
	tablePattern   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,1000}$`)
)

// parseTable reads project.dataset.table; a project of a domain, as example.com:web, has
// dots of its own.
//
// Source: https://cloud.google.com/bigquery/docs/tables#table_naming
func parseTable(s string) (tableName, error) {
	bad := func(why string) (tableName, error) {
		return tableName{}, fmt.Errorf("table %q: %s: want project.dataset.table", s, why)
	}
	rest, table, ok := cutLast(s)
	if !ok {
		return bad("has no dot")
	}
	project, dataset, ok := cutLast(rest)
	if !ok {
		return bad("has one dot")
	}
	switch {
	case !projectPattern.MatchString(project):
		return bad("not the name of a project")
	case !datasetPattern.MatchString(dataset):
		return bad("not the name of a dataset")
	case !tablePattern.MatchString(table):
		return bad("not the name of a table")
	}
	return tableName{project, dataset, table}, nil
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '.')
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

func (n tableName) String() string { return n.Project + "." + n.Dataset + "." + n.Table }

// path is the table's name in the Storage Write API.
func (n tableName) path() string {
	return "projects/" + n.Project + "/datasets/" + n.Dataset + "/tables/" + n.Table
}
