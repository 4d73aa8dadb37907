package job

import (
	"bufio"
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"

	"github.com/flowbeam/flowbeam/internal/testenv"
)

// onFlink makes options those of a run on the Flink of scripts/up, with the workers in this
// process.
func onFlink(t *testing.T, o *Options) *Options {
	t.Helper()
	endpoint, environment := *jobopts.Endpoint, *jobopts.EnvironmentType
	*jobopts.Endpoint, *jobopts.EnvironmentType = testenv.Server(t, "FLOWBEAM_FLINK"), "LOOPBACK"
	t.Cleanup(func() { *jobopts.Endpoint, *jobopts.EnvironmentType = endpoint, environment })
	// Checkpoints fall into bundles.
	o.Runner, o.FlinkREST, o.FlinkCheckpoint = flinkRunner, testenv.Server(t, "FLOWBEAM_FLINK_REST"), 200*time.Millisecond
	if problems := o.Validate(); len(problems) > 0 {
		t.Fatal(problems)
	}
	return o
}

func TestFilesGiveTheSameOnFlink(t *testing.T) {
	parity(t, func() *Options { return sampleOptions(t) })
}

func TestTopicsGiveTheSameOnFlink(t *testing.T) {
	brokers, want := topic(t, 20_000)
	s := parity(t, func() *Options {
		o := kafkaOptions(t, brokers)
		o.Stop = "latest"
		return o
	})
	expectTruth(t, s, want)
}

// parity runs one job on both runners and compares all that it stores, byte for byte after
// sorting the lines.
func parity(t *testing.T, options func() *Options) *Summary {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped: -short")
	}
	var stored [2]map[string][]string
	var summaries [2]*Summary
	for i := range stored {
		o := options()
		o.OutputFormat, o.RawBackup = "ndjson", true
		if i == 1 {
			onFlink(t, o)
		}
		summaries[i] = run(t, flows(), o)
		stored[i] = storedLines(t, o.Output)
	}
	prism, flink := stored[0], stored[1]
	for _, folder := range []string{"flows", "rollup_1m", "rollup_5m", "rollup_1h", "dead_letters", "raw"} {
		p, f := prism[folder], flink[folder]
		if len(p) == 0 {
			t.Errorf("%s: nothing is stored", folder)
		}
		if !slices.Equal(p, f) {
			t.Errorf("%s: %d lines on Prism and %d on Flink, which differ:%s", folder, len(p), len(f), difference(p, f))
		}
	}
	return summaries[1]
}

// difference shows the first lines that one has and the other has not.
func difference(a, b []string) string {
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	at := func(s []string) string {
		if i < len(s) {
			return s[i]
		}
		return "(the end)"
	}
	return "\n" + at(a) + "\n" + at(b)
}

// storedLines are the lines of all parts under each folder of an output, sorted. Marks and notes are no parts.
func storedLines(t *testing.T, output string) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	err := filepath.WalkDir(output, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasPrefix(d.Name(), "part-") {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		var r io.Reader = f
		if strings.HasSuffix(path, ".gz") {
			if r, err = gzip.NewReader(f); err != nil {
				return err
			}
		}
		rel, err := filepath.Rel(output, path)
		if err != nil {
			return err
		}
		folder := strings.Split(filepath.ToSlash(rel), "/")[0]
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, 4<<20)
		for lines.Scan() {
			out[folder] = append(out[folder], lines.Text())
		}
		return lines.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, lines := range out {
		slices.Sort(lines)
	}
	return out
}
