// Package sample holds the flow records that flowbeam is shown with: two hours of two data
// centers, fra and iad, in three formats, over midnight, with what happens in real ones.
// Its servers and places are made up: all servers lie in documentation prefixes (RFC 5737,
// RFC 3849).
//
// The files are made by the load generator from a fixed seed: see the generate folder.
package sample

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/flowbeam/flowbeam/internal/loadgen"
)

//go:generate go run ./generate data

//go:embed data
var data embed.FS

// Pattern matches all files of the sample below the folder that Extract was given. The
// data center is the group of DataCenter in each path.
const (
	Pattern    = "dc=*/*"
	DataCenter = `/dc=([^/]+)/`
)

// Lag is how much later iad's records arrive than fra's.
const Lag = 20 * time.Minute

// ModTime is the modification time of fra's files; iad's is later by [Lag]. It is fixed,
// because dead letters are partitioned by the time of their file.
var ModTime = time.Date(2026, 1, 16, 3, 0, 0, 0, time.UTC)

// Files is the sample as a file system: dc=NAME/FILE.
func Files() fs.FS {
	sub, err := fs.Sub(data, "data")
	if err != nil {
		panic("sample.Files: " + err.Error())
	}
	return sub
}

// Extract writes the files to dir/dc=NAME/FILE. Files that are there are replaced, and
// others left alone. Doing it again changes nothing.
func Extract(dir string) error {
	files := Files()
	names, err := fs.Glob(files, Pattern)
	if err != nil {
		return fmt.Errorf("sample: %w", err)
	}
	for _, name := range names {
		b, err := fs.ReadFile(files, name)
		if err != nil {
			return fmt.Errorf("sample: %w", err)
		}
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := write(path, b, modTime(name)); err != nil {
			return fmt.Errorf("sample: %w", err)
		}
	}
	return nil
}

// write replaces the file by a rename, so that a reader never sees half of it.
func write(path string, b []byte, modified time.Time) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".sample-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once it is renamed
	_, err = f.Write(b)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Chmod(f.Name(), 0o644)
	}
	if err == nil {
		err = os.Chtimes(f.Name(), modified, modified)
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return err
}

func modTime(name string) time.Time {
	if strings.HasPrefix(name, "dc=iad/") {
		return ModTime.Add(Lag)
	}
	return ModTime
}

// Truth is what a run over the sample must find.
func Truth() loadgen.Truth {
	var t loadgen.Truth
	b, err := data.ReadFile("data/" + loadgen.TruthFile)
	if err == nil {
		err = json.Unmarshal(b, &t)
	}
	if err != nil {
		panic("sample.Truth: " + err.Error())
	}
	return t
}
