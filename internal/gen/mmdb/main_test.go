package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestTheCommittedFilesAreTheOnesThatAreMadeHere(t *testing.T) {
	files, err := build()
	if err != nil {
		t.Fatal(err)
	}
	for name, made := range files {
		committed, err := os.ReadFile(filepath.Join("..", "..", "..", "testdata", "geoip", name))
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(made, committed) {
			t.Errorf("%s: the committed file differs: run go run ./internal/gen/mmdb", name)
		}
		if len(made) > 10<<10 {
			t.Errorf("%s has %d bytes, want less than 10 KiB", name, len(made))
		}
	}
}
