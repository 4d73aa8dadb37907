package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flowbeam/flowbeam/internal/loadgen"
)

func TestEveryProblemOfTheFlagsIsReportedAtOnce(t *testing.T) {
	var stderr bytes.Buffer
	err := run(t.Context(), []string{"--records=0", "--start=yesterday", "--data_centers=0", "--format=pcap", "--output=-", "--compression=gzip", "--lag=-1s"}, nil, &stderr)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"records:", "start:", "data_centers:", "format:", "compression:", "lag:"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing about %s in\n%v", want, err)
		}
	}
	if err := run(t.Context(), []string{"canopus"}, nil, &stderr); err == nil || !strings.Contains(err.Error(), "canopus") {
		t.Errorf("an argument that is no flag: %v", err)
	}
	if err := run(t.Context(), []string{"--output=x", "--truth=y"}, nil, &stderr); err == nil {
		t.Error("--truth beside a directory is accepted")
	}
}

func TestADirectoryGetsFilesAndTruth(t *testing.T) {
	dir := t.TempDir()
	var stderr bytes.Buffer
	err := run(t.Context(), []string{"--records=1000", "--data_centers=fra,iad", "--format=zeek,fra:canopus", "--lag=5m", "--compression=zstd", "--output=" + dir}, nil, &stderr)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"dc=fra/canopus.ndjson.zst", "dc=fra/conn.log.zst", "dc=iad/conn.log.zst"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	if !strings.Contains(stderr.String(), "1000 lines: 890 unique, 100 duplicates, 10 broken, 0 gaps") {
		t.Errorf("%s", &stderr)
	}
	if truth := readTruth(t, filepath.Join(dir, loadgen.TruthFile)); truth.Unique != 890 {
		t.Errorf("truth: %+v", truth.Totals)
	}
}

func TestStandardOutputGetsOneFormat(t *testing.T) {
	truthFile := filepath.Join(t.TempDir(), "truth")
	var out, stderr bytes.Buffer
	if err := run(t.Context(), []string{"--records=500", "--data_centers=2", "--output=-", "--truth=" + truthFile}, &out, &stderr); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n != 500 {
		t.Errorf("%d lines, want 500", n)
	}
	if truth := readTruth(t, truthFile); truth.Read != 500 || len(truth.ByDataCenter) != 2 {
		t.Errorf("truth: %+v", truth)
	}
}

func readTruth(t *testing.T, path string) (truth loadgen.Truth) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &truth); err != nil {
		t.Fatal(err)
	}
	return truth
}
