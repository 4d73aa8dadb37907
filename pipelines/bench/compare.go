package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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

// same compares the rows of a table of both runs as sets in which a row may be more than
// once. It holds a hash of each row, not the rows: there may be millions.
func same[T any](a, b, name string, spec dataset.Spec[T], normal func(*T)) (int, error) {
	read := func(dir string, each func(row []byte) error) error {
		var text []byte
		return eachFile(filepath.Join(dir, name), func(path string, format dataset.Format, comp dataset.Compression) error {
			f, err := openRead(path)
			if err != nil {
				return err
			}
			defer f.Close()
			return dataset.ReadSpecRows(f, spec, format, comp, func(row *T) error {
				normal(row)
				text = flow.AppendRow(text[:0], spec.Table, row)
				return each(text)
			})
		})
	}
	surplus, rows := map[hash]int{}, map[string]int{} // rows of a that b has not, negative: the other way
	for dir, n := range map[string]int{a: 1, b: -1} {
		err := read(dir, func(row []byte) error {
			h := hashOf(row)
			if surplus[h] += n; surplus[h] == 0 {
				delete(surplus, h)
			}
			rows[dir]++
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	if len(surplus) == 0 && rows[a] == 0 {
		return 0, fmt.Errorf("%s: nothing was written", name)
	}
	if len(surplus) == 0 {
		return rows[a], nil
	}
	errs := []error{fmt.Errorf("%s differ: %d rows in %s, %d in %s, %d of them not in both; one of each:", name, rows[a], a, rows[b], b, len(surplus))}
	for dir, n := range map[string]int{a: 1, b: -1} {
		err := read(dir, func(row []byte) error {
			if surplus[hashOf(row)]*n > 0 {
				return fmt.Errorf("in %s alone: %s", dir, row)
			}
			return nil
		})
		errs = append(errs, err)
	}
	return 0, errors.Join(errs...)
}

type hash [16]byte

func hashOf(row []byte) hash {
	h := sha256.Sum256(row)
	return hash(h[:16])
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
