package main

import (
	"bytes"
	"crypto/sha256"
	"io"
	"io/fs"
	"os"
	"path"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/flowbeam/flowbeam/internal/sample"
)

// The compressed bytes may change with the compressor, so the content is compared.
func TestTheBundledSampleIsWhatTheGeneratorMakes(t *testing.T) {
	dir := t.TempDir()
	if err := generate(dir); err != nil {
		t.Fatal(err)
	}
	made, bundled := contents(t, os.DirFS(dir)), contents(t, sample.Files())
	for name, sum := range made {
		if bundled[name] != sum {
			t.Errorf("%s: the bundled one is another or absent: run go generate ./internal/sample", name)
		}
	}
	if len(made) != len(bundled) || len(made) < 16 {
		t.Errorf("%d files made, %d bundled", len(made), len(bundled))
	}
}

// contents hashes what the files hold when decompressed.
func contents(t *testing.T, files fs.FS) map[string][32]byte {
	t.Helper()
	out := map[string][32]byte{}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		var r io.Reader = bytes.NewReader(b)
		switch path.Ext(name) {
		case ".gz":
			r, err = gzip.NewReader(r)
		case ".zst":
			r, err = zstd.NewReader(r)
		}
		if err != nil {
			return err
		}
		h := sha256.New()
		if _, err := io.Copy(h, r); err != nil && name != cut {
			t.Errorf("%s: %v", name, err)
		}
		out[name] = [32]byte(h.Sum(nil))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
