package bigquerysink

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"cloud.google.com/go/bigquery"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"
)

// Config is what Install makes.
type Config struct {
	Project, Dataset string
	// Location of a dataset that is not there yet, as EU or europe-west4. Default: US, as
	// BigQuery has it.
	Location string
	Tables   []Table
	// AddColumns allows Install to add columns to tables that lack some which this version
	// has. Without it the values of such a column are kept in the column extensions of
	// flows, and other tables are refused.
	AddColumns bool
	// Endpoint is the base URL of an emulator's REST API; "" is BigQuery.
	Endpoint string
}

// Validate reports every problem of the configuration. It asks no server.
func (c *Config) Validate() error {
	var errs []error
	if _, err := parseTable(c.Project + "." + c.Dataset + ".t"); err != nil {
		errs = append(errs, fmt.Errorf("project %q, dataset %q: want the names of a project and a dataset", c.Project, c.Dataset))
	}
	if len(c.Tables) == 0 {
		errs = append(errs, errors.New("no tables"))
	}
	for i := range c.Tables {
		errs = append(errs, c.Tables[i].check())
	}
	return errors.Join(errs...)
}

// Install makes the dataset, the tables and the views that are not there, and brings those
// that are there up to date: new columns where AddColumns allows it, expiry, filter
// requirement, clustering, the text of views. It changes nothing else: a table that has
// another partitioning, or a column of another type, is refused with all differences, and
// nothing of that table is changed. Run again it changes nothing; two at once do no harm.
func Install(ctx context.Context, c Config) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("bigquerysink.Install: %w", err)
	}
	client, err := bigquery.NewClient(ctx, c.Project, restOptions(c.Endpoint)...)
	if err != nil {
		return fmt.Errorf("bigquerysink.Install: %w", err)
	}
	defer client.Close()
	dataset := client.Dataset(c.Dataset)
	if err := makeDataset(ctx, dataset, c.Location); err != nil {
		return fmt.Errorf("bigquerysink.Install: dataset %s.%s: %w", c.Project, c.Dataset, err)
	}
	var errs []error
	for i := range c.Tables {
		t := &c.Tables[i]
		if err := makeTable(ctx, dataset.Table(t.Name), t, c.AddColumns); err != nil {
			errs = append(errs, fmt.Errorf("table %s: %w", t.Name, err))
			continue
		}
		for _, v := range t.views {
			if err := makeView(ctx, dataset.Table(t.Name+v.suffix), t, v); err != nil {
				errs = append(errs, fmt.Errorf("view %s%s: %w", t.Name, v.suffix, err))
				break
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("bigquerysink.Install: %w", err)
	}
	return nil
}

func restOptions(endpoint string) []option.ClientOption {
	if endpoint == "" {
		return nil
	}
	return []option.ClientOption{option.WithEndpoint(endpoint), option.WithoutAuthentication()}
}

// httpStatus is the status of an error of the REST API, or 0.
func httpStatus(err error) int {
	var e *googleapi.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

func makeDataset(ctx context.Context, d *bigquery.Dataset, location string) error {
	m, err := d.Metadata(ctx)
	if httpStatus(err) == http.StatusNotFound {
		err = d.Create(ctx, &bigquery.DatasetMetadata{Location: location})
		if httpStatus(err) == http.StatusConflict { // another one made it
			return nil
		}
		return err
	}
	if err == nil && location != "" && !strings.EqualFold(m.Location, location) {
		return fmt.Errorf("it is in %s, not in %s", m.Location, location)
	}
	return err
}

func makeTable(ctx context.Context, table *bigquery.Table, t *Table, addColumns bool) error {
	want, err := t.metadata()
	if err != nil {
		return err
	}
	for range 3 {
		have, err := table.Metadata(ctx)
		if httpStatus(err) == http.StatusNotFound {
			err = table.Create(ctx, want)
			if httpStatus(err) == http.StatusConflict {
				continue // another one made it: look at that
			}
			return err
		}
		if err != nil {
			return err
		}
		update, err := t.changes(have, want, addColumns)
		if err != nil || update == nil {
			return err
		}
		_, err = table.Update(ctx, *update, have.ETag)
		if httpStatus(err) == http.StatusPreconditionFailed {
			continue // somebody changed it meanwhile
		}
		return err
	}
	return errors.New("others change it all the time")
}

// changes is what brings a table up to date, nil where nothing does, and every reason for
// which it cannot be.
func (t *Table) changes(have, want *bigquery.TableMetadata, addColumns bool) (*bigquery.TableMetadataToUpdate, error) {
	var u bigquery.TableMetadataToUpdate
	changed := false
	added, err := t.newColumns(have.Schema, want.Schema, addColumns)
	errs := []error{err}
	if len(added) > 0 {
		u.Schema, changed = append(slices.Clone(have.Schema), added...), true
	}
	switch p, w := have.TimePartitioning, want.TimePartitioning; {
	case have.Type != "" && have.Type != bigquery.RegularTable:
		errs = append(errs, fmt.Errorf("it is a %s", have.Type))
	case p == nil:
		errs = append(errs, fmt.Errorf("it is not partitioned, want it by the %s of %s", t.Partition, t.time))
	case p.Field != w.Field || p.Type != w.Type:
		errs = append(errs, fmt.Errorf("it is partitioned by the %s of %s, want the %s of %s: a partitioning cannot be changed, take another table", strings.ToLower(string(p.Type)), p.Field, t.Partition, t.time))
	case p.Expiration != w.Expiration:
		u.TimePartitioning, changed = w, true
	}
	if have.RequirePartitionFilter != want.RequirePartitionFilter {
		u.RequirePartitionFilter, changed = want.RequirePartitionFilter, true
	}
	if c := have.Clustering; len(t.Cluster) > 0 && (c == nil || !slices.Equal(c.Fields, t.Cluster)) {
		u.Clustering, changed = want.Clustering, true
	}
	if want.TableConstraints != nil {
		switch c := have.TableConstraints; {
		case c == nil || c.PrimaryKey == nil || len(c.PrimaryKey.Columns) == 0:
			u.TableConstraints, changed = want.TableConstraints, true
		case !slices.Equal(c.PrimaryKey.Columns, []string{t.PrimaryKey}):
			errs = append(errs, fmt.Errorf("its primary key is %s, want %s", strings.Join(c.PrimaryKey.Columns, ", "), t.PrimaryKey))
		}
		if s := want.MaxStaleness; s != nil && (have.MaxStaleness == nil || have.MaxStaleness.ToDuration() != s.ToDuration()) {
			u.MaxStaleness, changed = s, true
		}
	}
	if err := errors.Join(errs...); err != nil || !changed {
		return nil, err
	}
	return &u, nil
}

// newColumns are the columns that a table lacks, as they are added: not required, because
// the rows there are lack them. Columns of others stay as they are, unless they are
// required, which no row of ours could satisfy.
func (t *Table) newColumns(have, want bigquery.Schema, allowed bool) (added bigquery.Schema, err error) {
	var errs []error
	byName := map[string]*bigquery.FieldSchema{}
	for _, f := range have {
		byName[strings.ToLower(f.Name)] = f
	}
	var lacking []string
	for _, w := range want {
		h := byName[w.Name]
		delete(byName, w.Name)
		switch {
		case h == nil && w.Required:
			errs = append(errs, fmt.Errorf("it lacks the required column %s, which cannot be added: take another table", w.Name))
		case h == nil:
			added, lacking = append(added, w), append(lacking, w.Name)
		case h.Type != w.Type || h.Repeated:
			errs = append(errs, fmt.Errorf("its column %s is %s, want %s: a type cannot be changed, take another table", h.Name, typeName(h), w.Type))
		case h.Required && !w.Required:
			errs = append(errs, fmt.Errorf("its column %s is required, and may be absent: relax it", h.Name))
		}
	}
	for _, h := range have {
		if f := byName[strings.ToLower(h.Name)]; f != nil && f.Required {
			errs = append(errs, fmt.Errorf("its column %s is required, and no row of ours has it", f.Name))
		}
	}
	if !allowed && len(added) > 0 {
		if !t.extensible {
			errs = append(errs, fmt.Errorf("it lacks the columns %s: allow them to be added (AddColumns)", strings.Join(lacking, ", ")))
		} else if slices.Contains(lacking, "extensions") {
			errs = append(errs, fmt.Errorf("it lacks the column extensions, which keeps what has no column: allow columns to be added (AddColumns)"))
		}
		added = nil
	}
	return added, errors.Join(errs...)
}

func typeName(f *bigquery.FieldSchema) string {
	if f.Repeated {
		return "REPEATED " + string(f.Type)
	}
	return string(f.Type)
}

func makeView(ctx context.Context, table *bigquery.Table, t *Table, v view) error {
	sql, err := t.sql(v, table.ProjectID, table.DatasetID)
	if err != nil {
		return err
	}
	for range 3 {
		have, err := table.Metadata(ctx)
		if httpStatus(err) == http.StatusNotFound {
			err = table.Create(ctx, &bigquery.TableMetadata{ViewQuery: sql, UseStandardSQL: true, Labels: map[string]string{"made-by": "flowbeam"}})
			if httpStatus(err) == http.StatusConflict {
				continue
			}
			return err
		}
		if err != nil {
			return err
		}
		if have.Type != bigquery.ViewTable {
			return fmt.Errorf("it is a %s", have.Type)
		}
		if have.ViewQuery == sql {
			return nil
		}
		_, err = table.Update(ctx, bigquery.TableMetadataToUpdate{ViewQuery: sql}, have.ETag)
		if httpStatus(err) == http.StatusPreconditionFailed {
			continue
		}
		return err
	}
	return errors.New("others change it all the time")
}
