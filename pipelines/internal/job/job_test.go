package job

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/log"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/dataset"
	"github.com/flowbeam/flowbeam/internal/loadgen"
	"github.com/flowbeam/flowbeam/internal/sample"
	"github.com/flowbeam/flowbeam/internal/testenv"
	"github.com/flowbeam/flowbeam/transforms/rollup"
)

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		child := flows()
		if os.Getenv(childVariable) == "replay" {
			os.Exit(Replay().Main(os.Args[1:], os.Stderr))
		}
		child.Check = func(o *Options) []error { // a place to go on from comes soon
			o.slack, o.ahead, o.margin = 3*time.Second, childAhead, childMargin
			return nil
		}
		os.Exit(child.Main(os.Args[1:], os.Stderr))
	}
	log.LogLevel = "error"
	beam.Init()
	os.Exit(m.Run())
}

// The program that is killed goes back less far than others, so that a test sees it go.
const (
	childAhead  = time.Second
	childMargin = 70 * time.Second // of which a minute is the source's
)

// flows is the program of pipelines/flows.
func flows() *Program { return &Program{Name: "flows"} }

// run runs a program over the options and fails the test where the numbers do not add up.
func run(t *testing.T, p *Program, o *Options) *Summary {
	t.Helper()
	o.Quiet = true
	s, err := p.Run(context.Background(), o, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range s.Check() {
		t.Error(problem)
	}
	return s
}

// small are the options of a run into a folder of the test's own.
func small(t *testing.T, input ...string) *Options {
	t.Helper()
	o := Defaults()
	o.Input, o.Output = input, filepath.Join(t.TempDir(), "out")
	return o
}

func sampleOptions(t *testing.T) *Options {
	t.Helper()
	o := small(t)
	cleanup, err := flows().prepare(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cleanup)
	return o
}

func TestTheSampleGivesItsTruth(t *testing.T) {
	want := sample.Truth()
	o := sampleOptions(t)
	if problems := o.Validate(); len(problems) > 0 {
		t.Fatal(problems)
	}
	s := run(t, flows(), o)
	if s.Read != want.Read || s.Written != want.Unique || s.Duplicates != want.Duplicates || s.Gaps != want.Gaps || s.Late != 0 {
		t.Errorf("read %d written %d duplicates %d gaps %d late %d, want %d %d %d %d 0", s.Read, s.Written, s.Duplicates, s.Gaps, s.Late, want.Read, want.Unique, want.Duplicates, want.Gaps)
	}
	if fmt.Sprint(s.DeadLetters.ByReason) != fmt.Sprint(want.DeadLetters.ByReason) || s.DeadLetters.Total != want.DeadLetters.Total {
		t.Errorf("dead letters %v, want %v", s.DeadLetters, want.DeadLetters)
	}
	var sent, received int64
	for _, r := range storedRecords(t, o) {
		sent += r.Source.Bytes.Or(0)
		received += r.Destination.Bytes.Or(0)
	}
	if sent != want.SourceBytes || received != want.DestinationBytes {
		t.Errorf("stored records sum to %d and %d bytes, want %d and %d", sent, received, want.SourceBytes, want.DestinationBytes)
	}
	for _, level := range []string{"1m", "5m", "1h"} {
		var records int64
		for _, row := range rollupRows(t, o, level) {
			records += row.Records
		}
		if records != want.Unique {
			t.Errorf("the rows of %s count %d records, want %d", level, records, want.Unique)
		}
	}

	before := contents(t, o.Output)
	again := run(t, flows(), o)
	if c := again.Sinks["files"]; c.New != 0 || c.AlreadyThere != want.Unique {
		t.Errorf("a second run over its own output: files %+v", c)
	}
	for name, c := range again.Sinks {
		if c.New != 0 {
			t.Errorf("a second run wrote %d to %s", c.New, name)
		}
	}
	if after := contents(t, o.Output); !maps.Equal(before, after) {
		t.Error("a second run changed files")
	}
}

// generate writes a generated input and returns its files by name.
func generate(t *testing.T, change func(*loadgen.Config)) (dir string, truth loadgen.Truth) {
	t.Helper()
	c := loadgen.Default()
	c.Records, c.Span, c.Users, c.Servers = 3000, 10*time.Minute, 40, 60
	c.Addresses = loadgen.Documentation
	change(&c)
	dir = t.TempDir()
	truth, err := loadgen.WriteFiles(context.Background(), dir, c)
	if err != nil {
		t.Fatal(err)
	}
	return dir, truth
}

func TestASecondDayWithLateRecordsGivesWhatOneRunOverBothGives(t *testing.T) {
	dir, _ := generate(t, func(c *loadgen.Config) {})
	file := onlyFile(t, dir)
	lines := readLines(t, file)
	day1, day2 := filepath.Join(dir, "day1.ndjson"), filepath.Join(dir, "day2.ndjson")
	// Every seventh record of day 1 arrives with day 2, and some arrive with both.
	var first, second []string
	for i, l := range lines {
		if i < 2000 && i%7 != 0 {
			first = append(first, l)
		}
		if i >= 2000 || i%7 == 0 || i%11 == 0 {
			second = append(second, l)
		}
	}
	writeLines(t, day1, first)
	writeLines(t, day2, second)

	both := small(t, file)
	run(t, flows(), both)
	apart := small(t, day1)
	run(t, flows(), apart)
	apart.Input = []string{day2}
	run(t, flows(), apart)

	compareRecords(t, both, apart)
	for _, level := range []string{"1m", "5m", "1h"} {
		compareRollups(t, both, apart, level)
	}
}

func TestReplayWithTheRightFormatGivesWhatACleanRunGives(t *testing.T) {
	for format, mistaken := range map[string]string{loadgen.Canopus: flow.FormatRecord, loadgen.Zeek: loadgen.AWS, loadgen.AWS: loadgen.Zeek} {
		t.Run(format, func(t *testing.T) {
			dir, truth := generate(t, func(c *loadgen.Config) { c.Formats, c.Records = []string{format}, 1500 })
			file := onlyFile(t, dir)
			clean := small(t, file)
			clean.Format = format
			run(t, flows(), clean)

			wrong := small(t, file)
			wrong.Format = mistaken
			if s := run(t, flows(), wrong); s.Written != 0 {
				t.Fatalf("the wrong format read %d records", s.Written)
			}
			wrong.Format = format
			s := run(t, Replay(), wrong)
			if s.Written != truth.Unique {
				t.Errorf("replay wrote %d records, want %d", s.Written, truth.Unique)
			}
			compareRecords(t, clean, wrong)
			for _, level := range []string{"1m", "5m", "1h"} {
				compareRollups(t, clean, wrong, level)
			}
			if again := run(t, Replay(), wrong); again.Sinks["files"].New != 0 {
				t.Errorf("a second replay wrote %d records", again.Sinks["files"].New)
			}
		})
	}
}

func TestReplayAfterAFixAddsWhatWasMissing(t *testing.T) {
	dir, _ := generate(t, func(c *loadgen.Config) {})
	file := onlyFile(t, dir)
	clean := small(t, file)
	run(t, flows(), clean)

	broken := small(t, file)
	broken.MinTime = "2026-01-15T12:05:00Z" // takes the first half for impossible
	if s := run(t, flows(), broken); s.DeadLetters.ByReason["time_range"] < 1000 {
		t.Fatalf("dead letters %v", s.DeadLetters)
	}
	broken.MinTime = Defaults().MinTime
	run(t, Replay(), broken)
	compareRecords(t, clean, broken)
	for _, level := range []string{"1m", "5m", "1h"} {
		compareRollups(t, clean, broken, level)
	}
}

func TestRecordsAboveTheLineCapAreKeptAsPrefixAndHash(t *testing.T) {
	file := filepath.Join(t.TempDir(), "long.ndjson")
	line := `{"timestamp":"2026-01-15T12:00:00Z","user_id":"u","client_ip":"10.0.0.1","server_ip":"192.0.2.1"}`
	writeLines(t, file, []string{line, strings.Repeat("x", 5000), strings.Replace(line, `"u"`, `"v"`, 1)})
	o := small(t, file)
	o.MaxLine = 4000
	s := run(t, flows(), o)
	if s.Written != 2 || s.DeadLetters.ByReason["oversize"] != 1 {
		t.Errorf("written %d, dead letters %v", s.Written, s.DeadLetters)
	}
	if again := run(t, Replay(), o); again.DeadLetters.Total != 1 || again.Sinks["files_dead_letters"].AlreadyThere != 1 {
		t.Errorf("what cannot be replayed is not kept once: %+v", again)
	}
}

func TestTheRawBackupHasEveryLine(t *testing.T) {
	dir, truth := generate(t, func(c *loadgen.Config) { c.Records = 500 })
	o := small(t, onlyFile(t, dir))
	o.RawBackup = true
	s := run(t, flows(), o)
	if c := s.Sinks["files_raw"]; c.New != truth.Read {
		t.Errorf("raw backup %+v, want %d", c, truth.Read)
	}
}

func TestEveryOutputFormatStoresTheSame(t *testing.T) {
	dir, truth := generate(t, func(c *loadgen.Config) { c.Records = 400 })
	for _, format := range []string{"parquet", "avro", "ndjson", "csv"} {
		o := small(t, onlyFile(t, dir))
		o.OutputFormat = format
		if s := run(t, flows(), o); s.Sinks["files"].New != truth.Unique {
			t.Errorf("%s: %+v, want %d", format, s.Sinks["files"], truth.Unique)
		}
		if got := len(storedRecords(t, o)); int64(got) != truth.Unique {
			t.Errorf("%s: %d records can be read back, want %d", format, got, truth.Unique)
		}
	}
}

// The counts are those of the data set's own tables.
func TestRealLogsGiveTheirKnownCounts(t *testing.T) {
	type want struct{ written, gaps, dead, packets, bytes int64 }
	cases := map[string]want{
		"zeek/large/rita-proxy_rolling-conn.15_00_00-16_00_00.log.gz":                                      {290, 0, 0, 27422, 12877449},
		"zeek/large/rita-proxy_rolling-conn.16_00_00-17_00_00.log.gz":                                      {7260, 0, 0, 1022793, 960739904},
		"cloud/aws/vpcflow-v2-default-header.log":                                                          {16, 2, 0, 4294967501, 6442451045516},
		"cloud/aws/vpcflow-v2-cloudwatch-noheader.log":                                                     {16, 2, 0, 4294967501, 6442451045516},
		"cloud/aws/vpcflow-v5-custom-order.log":                                                            {12, 2, 0, 267, 256312},
		"cloud/aws/123456789012_vpcflowlogs_us-east-1_fl-0123456789abcdef0_20260115T1205Z_0a1b2c3d.log.gz": {16, 2, 0, 4294967501, 6442451045516},
		"cloud/aws/vpcflow-custom-14-fields.log":                                                           {5, 0, 0, 111, 113510},
	}
	for name, w := range zeekTable(t) {
		cases["zeek/conn/"+name] = want{w[0], 0, 0, w[1], w[2]}
	}
	for name, w := range cases {
		o := small(t, testenv.Shared(t, name))
		s := run(t, flows(), o)
		var packets, octets int64
		for _, r := range storedRecords(t, o) {
			packets += r.Source.Packets.Or(0) + r.Destination.Packets.Or(0)
			octets += r.Source.Bytes.Or(0) + r.Destination.Bytes.Or(0)
		}
		if s.Duplicates > 0 { // a duplicate's packets are stored once
			packets, octets = w.packets, w.bytes
			t.Logf("%s: %d duplicates", name, s.Duplicates)
		}
		if got := (want{s.Written + s.Duplicates, s.Gaps, s.DeadLetters.Total, packets, octets}); got != w {
			t.Errorf("%s: written, gaps, dead letters, packets, bytes %v, want %v", name, got, w)
		}
	}
}

// zeekTable reads records, packets and IP bytes of the small Zeek logs.
func zeekTable(t *testing.T) map[string][3]int64 {
	b, err := os.ReadFile(testenv.Shared(t, "zeek/files.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][3]int64{}
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n")[1:] {
		f := strings.Split(line, "\t")
		var v [3]int64
		for i, col := range []int{1, 4, 5} {
			if _, err := fmt.Sscan(f[col], &v[i]); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
		}
		out[f[0]] = v
	}
	return out
}

func TestAllProblemsOfTheOptionsAreReportedAtOnce(t *testing.T) {
	config := filepath.Join(t.TempDir(), "flows.yaml")
	if err := os.WriteFile(config, []byte("shards: 3\nrollup_windows: [1m, 7]\nwrong: 1\ninput: /nowhere/*.log\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	status := flows().Main([]string{
		"--config=" + config, "--output=" + filepath.Join(t.TempDir(), "out"), "--dedupe_horizon=1h", "--alowed_lateness=1h",
		"--geoip_city=/nowhere.mmdb", "--rollup=user_id,nothing", "--format=canopos", "stray",
	}, &out)
	if status != 2 {
		t.Errorf("exit status %d, want 2", status)
	}
	for _, want := range []string{
		`--alowed_lateness: there is no such flag; did you mean allowed_lateness?`, `"stray" is no flag`,
		`flows.yaml:2: rollup_windows: "7" is no duration`, `flows.yaml:3: wrong: there is no such option`,
		`--geoip_city: `, `--rollup: rollup field "nothing"`, `--format: "canopos" is none of`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the problems lack %q:\n%s", want, out.String())
		}
	}
	out.Reset()
	o := small(t, "/nowhere/*.log")
	o.Shards, o.DedupeHorizon, o.GeoIPCity, o.Rollup, o.Format = 3, time.Hour, "/nowhere.mmdb", []string{"nothing"}, "canopos"
	text := fmt.Sprint(o.Validate())
	for _, want := range []string{"--input: ", "--dedupe_horizon: ", "--geoip_city: ", "--rollup: ", "--format: ", "--output: "} {
		if !strings.Contains(text, want) {
			t.Errorf("the problems lack %q:\n%s", want, text)
		}
	}
}

// What both ends of a flow in a cloud report, and what was delivered twice, is stored once.
func TestOfTwoReportersInACloudOneIsLeft(t *testing.T) {
	gcp := func(reporter, id, end string) string {
		return `{"insertId":"` + id + `","jsonPayload":{"bytes_sent":"17760","connection":{"dest_ip":"10.128.0.3","dest_port":8080,"protocol":6,"src_ip":"10.128.0.2","src_port":40000},` +
			`"dest_instance":{"project_id":"example-2","vm_name":"api-1","zone":"us-central1-b"},"end_time":"` + end + `","packets_sent":"70","reporter":"` + reporter + `",` +
			`"src_instance":{"project_id":"example-1","vm_name":"web-1","zone":"us-central1-a"},"start_time":"2026-01-15T12:00:01.1Z"},` +
			`"logName":"projects/example-1/logs/compute.googleapis.com%2Fvpc_flows","timestamp":"2026-01-15T12:01:05.987654321Z"}`
	}
	aws := func(eni, from, to string) string {
		return "2 123456789012 " + eni + " " + from + " " + to + " 6 10 840 1768478400 1768478459 ACCEPT OK"
	}
	for name, lines := range map[string][]string{
		"gcp_vpc": {
			gcp("SRC", "a1", "2026-01-15T12:00:59.1Z"), gcp("DEST", "a2", "2026-01-15T12:00:59.1001Z"), gcp("SRC", "a1", "2026-01-15T12:00:59.1Z"),
			strings.NewReplacer("10.128.0.3", "10.128.0.2", "10.128.0.2", "10.128.0.3", "8080", "40000", "40000", "8080").Replace(gcp("SRC", "a3", "2026-01-15T12:00:59.1Z")), // the other direction
		},
		"aws_vpc": {
			aws("eni-a", "10.0.0.5", "10.0.1.6 40000 443"), aws("eni-b", "10.0.0.5", "10.0.1.6 40000 443"), aws("eni-a", "10.0.0.5", "10.0.1.6 40000 443"),
			aws("eni-a", "10.0.1.6", "10.0.0.5 443 40000"), aws("eni-b", "10.0.1.6", "10.0.0.5 443 40000"),
		},
	} {
		input := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(input, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		o := small(t, input)
		o.Format, o.Observations = name, "first"
		s := run(t, flows(), o)
		if s.Read != int64(len(lines)) || s.Written != 2 || s.Duplicates != s.Read-2 || s.DeadLetters.Total != 0 {
			t.Errorf("%s: read %d, written %d, duplicates %d, dead letters %v", name, s.Read, s.Written, s.Duplicates, s.DeadLetters)
		}
		conversations := map[string]bool{}
		for _, r := range storedRecords(t, o) {
			conversations[r.CommunityID+" "+r.Source.IP.String()] = true
			if r.Observation != "winner" {
				t.Errorf("%s: %+v", name, r)
			}
		}
		if len(conversations) != 2 {
			t.Errorf("%s: %v", name, conversations)
		}
	}
}

// Whatever is read as a wrong format, the launcher says what it looks like.
func TestAWrongFormatNamesWhatTheInputLooksLike(t *testing.T) {
	files, err := filepath.Glob("../../../transforms/parse/testdata/cases/*/*/input")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	said := map[string]bool{}
	for _, f := range files {
		head, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		is, err := flow.DetectFormat(head)
		if err != nil {
			continue // of those that need a declared header
		}
		for _, declared := range flow.FormatNames() {
			info, _ := flow.FormatNamed(declared)
			o := small(t, f)
			o.Format = declared
			problems := fmt.Sprint(o.Validate())
			if wrong := info.Detect != nil && info.Detect(head) == 0; wrong != strings.Contains(problems, "is not of format "+declared+", it looks like "+is) {
				t.Errorf("%s as %s: %s", f, declared, problems)
			} else if wrong {
				said[is] = true
			}
		}
	}
	if len(said) < 12 {
		t.Errorf("only of %v", said)
	}
}

func TestTheConfigurationFileGivesWayToFlags(t *testing.T) {
	config := filepath.Join(t.TempDir(), "flows.yaml")
	if err := os.WriteFile(config, []byte("tenant: from-file\nshards: 4\nnetworks: [a.csv, b.csv]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := Defaults()
	if _, problems := o.Parse([]string{"--config", config, "--tenant=from-flag"}, beamFlag); len(problems) > 0 {
		t.Fatal(problems)
	}
	if o.Tenant != "from-flag" || o.Shards != 4 || !slices.Equal(o.Networks, []string{"a.csv", "b.csv"}) {
		t.Errorf("tenant %q shards %d networks %v", o.Tenant, o.Shards, o.Networks)
	}
}

func TestTheSummaryIsWrittenAsJSON(t *testing.T) {
	dir, _ := generate(t, func(c *loadgen.Config) { c.Records = 100 })
	o := small(t, onlyFile(t, dir))
	o.Summary = filepath.Join(t.TempDir(), "summary.json")
	run(t, flows(), o)
	b, err := os.ReadFile(o.Summary)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"read", "written", "duplicates", "gaps", "late", "dead_letters", "rollup_rows", "sinks", "bytes_read", "seconds"} {
		if _, ok := got[name]; !ok {
			t.Errorf("the summary lacks %q: %s", name, b)
		}
	}
}

// stored reads all records of a run's output, sorted by id.
func storedRecords(t *testing.T, o *Options) []flow.Record {
	t.Helper()
	rows := readAll(t, dataset.Records(), o.dir("flows"))
	slices.SortFunc(rows, func(a, b flow.Record) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return rows
}

// rollupRows reads a level as a reader does: of the rows of one group the newest, and none that
// was taken back.
func rollupRows(t *testing.T, o *Options, level string) map[string]flow.Rollup {
	t.Helper()
	table, err := rollup.Table(level, o.Rollup, o.measures())
	if err != nil {
		t.Fatal(err)
	}
	rt, err := dataset.RollupTableOf(table)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]flow.Rollup{}
	for _, r := range readAll(t, dataset.Rollups(rt), o.dir("rollup_"+level)) {
		id := r.ID(o.Rollup).String()
		if old, ok := out[id]; !ok || r.Version() > old.Version() {
			out[id] = r
		}
	}
	for id, r := range out {
		if r.Revision = 0; r.Records == 0 {
			delete(out, id)
		} else {
			out[id] = r
		}
	}
	return out
}

func readAll[T any](t *testing.T, spec dataset.Spec[T], dir string) (rows []T) {
	t.Helper()
	eachRow(t, spec, dir, func(row *T) { rows = append(rows, *row) })
	return rows
}

func eachRow[T any](t *testing.T, spec dataset.Spec[T], dir string, do func(*T)) {
	t.Helper()
	ctx := context.Background()
	r, err := dataset.OpenReader(ctx, spec, dir)
	if err != nil {
		t.Fatal(err)
	}
	buckets, err := dataset.Buckets(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range buckets {
		shards, err := dataset.Shards(ctx, dir, spec.Table.Name, b)
		if err != nil {
			t.Fatal(err)
		}
		for _, shard := range shards {
			err := r.Read(ctx, b, shard, func(row *T) error {
				do(row)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// compareRecords compares all but where a record was read: the runs read other files.
func compareRecords(t *testing.T, a, b *Options) {
	t.Helper()
	x, y := storedRecords(t, a), storedRecords(t, b)
	if len(x) != len(y) || len(x) == 0 {
		t.Fatalf("%d records and %d", len(x), len(y))
	}
	for i := range x {
		for _, r := range []*flow.Record{&x[i], &y[i]} {
			r.Position, r.Received, r.Revision = flow.Position{}, 0, 0
		}
		if p, q := flow.AppendRecordJSON(nil, &x[i]), flow.AppendRecordJSON(nil, &y[i]); !bytes.Equal(p, q) {
			t.Fatalf("records differ:\n%s\n%s", p, q)
		}
	}
}

func compareRollups(t *testing.T, a, b *Options, level string) {
	t.Helper()
	x, y := rollupRows(t, a, level), rollupRows(t, b, level)
	if len(x) == 0 || len(x) != len(y) {
		t.Errorf("%s: %d rows and %d", level, len(x), len(y))
	}
	for id, r := range x {
		if fmt.Sprint(r) != fmt.Sprint(y[id]) {
			t.Errorf("%s: rows differ:\n%v\n%v", level, r, y[id])
			return
		}
	}
}

// readParts reads the ids of all rows of all parts, as one reads files that knows no more of them.
func readParts(t *testing.T, dir string) (ids []flow.ID) {
	t.Helper()
	r, err := dataset.OpenReader(t.Context(), dataset.Records(), dir)
	if err != nil {
		t.Fatal(err)
	}
	buckets, err := dataset.Buckets(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range buckets {
		shards, err := dataset.Shards(t.Context(), dir, "flows", b)
		if err != nil {
			t.Fatal(err)
		}
		for _, shard := range shards {
			err := r.Columns(t.Context(), b, shard, []string{"record_id"}, func(v []flow.Value) error {
				id, err := flow.ParseID(v[0].Str)
				ids = append(ids, id)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return ids
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		out[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func onlyFile(t *testing.T, dir string) string {
	t.Helper()
	m, err := filepath.Glob(filepath.Join(dir, "dc=*", "*"))
	if err != nil || len(m) != 1 {
		t.Fatalf("files %v, %v", m, err)
	}
	return m[0]
}

func readLines(t *testing.T, file string) []string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

func writeLines(t *testing.T, file string, lines []string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}
