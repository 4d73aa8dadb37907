package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/dataset"
	"github.com/flowbeam/flowbeam/transforms/rollup"
)

// sameOutputs compares all records, rollup rows and dead letters of two runs, whatever
// files they are in. Of a record only the offset may differ: which of several equal
// copies came first is not the same in a parallel read.
func sameOutputs(a, b string) (string, error) {
	level := rollup.LevelName(rollupWindow)
	table, err := rollup.Table(level, strings.Split(rollupFields, ","), rollup.DefaultMeasures())
	if err != nil {
		return "", err
	}
	rollups, err := dataset.RollupTableOf(table)
	if err != nil {
		return "", err
	}
	records, err := same(a, b, "flows", dataset.Records(), func(r *flow.Record) { r.Position.Offset = flow.Int{} })
	if err != nil {
		return "", err
	}
	rows, err := same(a, b, "rollup_"+level, dataset.Rollups(rollups), func(*flow.Rollup) {})
	if err != nil {
		return "", err
	}
	letters, err := same(a, b, "dead_letters", dataset.Failures(), func(*flow.Failure) {})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d records, %d rollup rows, %d dead letters", records, rows, letters), nil
}

// same reads the table of both runs and compares the rows after sorting.
func same[T any](a, b, name string, spec dataset.Spec[T], normal func(*T)) (int, error) {
	read := func(dir string) ([][]byte, error) {
		var rows [][]byte
		err := eachFile(filepath.Join(dir, name), func(path string, format dataset.Format, comp dataset.Compression) error {
			f, err := openRead(path)
			if err != nil {
				return err
			}
			defer f.Close()
			return dataset.ReadSpecRows(f, spec, format, comp, func(row *T) error {
				normal(row)
				rows = append(rows, flow.AppendRow(nil, spec.Table, row))
				return nil
			})
		})
		slices.SortFunc(rows, bytes.Compare)
		return rows, err
	}
	x, err := read(a)
	if err != nil {
		return 0, err
	}
	y, err := read(b)
	if err != nil {
		return 0, err
	}
	return differ(name, x, y)
}

func differ(name string, x, y [][]byte) (int, error) {
	for i := range min(len(x), len(y)) {
		if !bytes.Equal(x[i], y[i]) {
			return 0, fmt.Errorf("%s differ: row %d of %d and %d:\n  %s\n  %s", name, i, len(x), len(y), x[i], y[i])
		}
	}
	if len(x) != len(y) {
		return 0, fmt.Errorf("%s differ: %d rows and %d", name, len(x), len(y))
	}
	if len(x) == 0 {
		return 0, fmt.Errorf("%s: nothing was written", name)
	}
	return len(x), nil
}

func eachFile(dir string, f func(string, dataset.Format, dataset.Compression) error) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), "_") {
			return err
		}
		switch {
		case strings.HasSuffix(path, ".ndjson.gz"):
			return f(path, dataset.NDJSON, dataset.Gzip)
		case strings.HasSuffix(path, ".parquet"):
			return f(path, dataset.Parquet, dataset.Snappy)
		}
		return fmt.Errorf("%s: a file of a format that was not asked for", path)
	})
}

// osFile is a local file as the decoders want it.
type osFile struct{ *os.File }

func (f osFile) Size() int64 {
	fi, err := f.Stat()
	if err != nil {
		return 0
	}
	return fi.Size()
}

func openRead(path string) (osFile, error) {
	f, err := os.Open(path)
	return osFile{f}, err
}
