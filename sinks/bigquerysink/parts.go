package bigquerysink

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"cloud.google.com/go/bigquery"

	"github.com/flowbeam/flowbeam/internal/dataset"
)

// part is an immutable object of a dataset.
type part struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
}

var partPattern = regexp.MustCompile(`^part-[0-9]{6,}\.(.+)$`)

// loadFormats are the extensions of parts that a load job takes.
var loadFormats = map[string]bigquery.DataFormat{
	"parquet": bigquery.Parquet, "avro": bigquery.Avro, "ndjson": bigquery.JSON, "ndjson.gz": bigquery.JSON,
}

// format of a part: its extension.
func (p *part) format() string {
	return partPattern.FindStringSubmatch(p.Name[strings.LastIndexByte(p.Name, '/')+1:])[1]
}

// listParts lists all parts of a dataset, in the order of their names.
func listParts(ctx context.Context, s dataset.Store) ([]part, error) {
	var out []part
	var walk func(dir string) error
	walk = func(dir string) error {
		objects, err := s.List(ctx, dir)
		if err != nil {
			return err
		}
		for _, o := range objects {
			path := strings.TrimPrefix(dir+"/"+o.Name, "/")
			switch m := partPattern.FindStringSubmatch(o.Name); {
			case o.Dir && !strings.HasPrefix(o.Name, "_"):
				if err := walk(path); err != nil {
					return err
				}
			case o.Dir || m == nil:
			case loadFormats[m[1]] == "":
				return fmt.Errorf("%s: BigQuery loads no files of the format %s: write Parquet, Avro, or NDJSON without or with gzip", path, m[1])
			default:
				out = append(out, part{path, o.Size})
			}
		}
		return nil
	}
	if err := walk(""); err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b part) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Bounds of one load job. The service takes 10,000 URIs, and 15 TB, of which this leaves
// some: one job that fails is loaded again as a whole.
//
// Source: https://cloud.google.com/bigquery/quotas#load_jobs
const (
	maxJobParts = 10_000
	maxJobBytes = 1 << 40
)

// groups cuts parts into those of one job each: of one format, in their order.
func groups(parts []part) [][]part {
	byFormat := map[string][]part{}
	for _, p := range parts {
		byFormat[p.format()] = append(byFormat[p.format()], p)
	}
	var formats []string
	for f := range byFormat {
		formats = append(formats, f)
	}
	slices.Sort(formats)
	var out [][]part
	for _, f := range formats {
		var group []part
		var size int64
		for _, p := range byFormat[f] {
			if len(group) == maxJobParts || len(group) > 0 && size+p.Size > maxJobBytes {
				out = append(out, group)
				group, size = nil, 0
			}
			group, size = append(group, p), size+p.Size
		}
		out = append(out, group)
	}
	return out
}
