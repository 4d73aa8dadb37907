package job

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/loadgen"
	"github.com/flowbeam/flowbeam/internal/testenv"
	"github.com/flowbeam/flowbeam/sinks/filesink"
	"github.com/flowbeam/flowbeam/transforms/parse"
)

func init() {
	parse.Register(parse.Format{
		FormatInfo: flow.FormatInfo{Name: "canopus_wrong"},
		New: func(header string) (parse.Decoder, error) {
			right, err := parse.NewDecoder(loadgen.Canopus, header)
			return &wrongDecoder{right}, err
		},
	})
}

// wrongDecoder is a parser with mistakes of all kinds, with the ids that the right one gives.
type wrongDecoder struct{ right parse.Decoder }

func (d *wrongDecoder) Decode(data string, r *flow.Record) (parse.Outcome, error) {
	outcome, err := d.right.Decode(data, r)
	if err != nil { // takes for a record what is none
		*r = flow.Record{Position: r.Position, Received: r.Received, DataCenter: r.DataCenter, Format: r.Format}
		r.EventTime = flow.TimeOf(time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC))
		outcome = parse.Parsed
	}
	r.ID = flow.NewIDText(loadgen.Canopus, strings.TrimSpace(data))
	switch r.ID[0] % 6 {
	case 0: // a wrong time zone
		r.EventTime = r.EventTime.Add(-2 * time.Hour)
	case 1: // a little off: another window, mostly of the same bucket
		r.EventTime = r.EventTime.Add(3 * time.Minute)
	case 2:
		r.Source.Bytes.V *= 8
	case 3:
		return outcome, flow.Reject(flow.ReasonField, "refused by mistake")
	case 4:
		r.Tenant = "wrong"
	}
	return outcome, nil
}

// replaced is a run by a wrong parser with a raw backup, and the options of its replacement.
func replaced(t *testing.T, change func(o *Options)) (clean, broken, again *Options, late string) {
	t.Helper()
	dir, _ := generate(t, func(c *loadgen.Config) { c.Span = 90 * time.Minute })
	lines := readLines(t, onlyFile(t, dir))
	file := filepath.Join(dir, "most.ndjson")
	late = filepath.Join(dir, "late.ndjson")
	var most, rest []string
	for i, l := range lines {
		if i%9 == 4 {
			rest = append(rest, l)
		} else {
			most = append(most, l)
		}
	}
	writeLines(t, file, most)
	writeLines(t, late, rest)

	clean = small(t, file)
	clean.Format, clean.DataCenter = loadgen.Canopus, "fra"
	change(clean)
	copied := *clean
	broken = &copied
	clean.Elasticsearch, clean.BigQuery = nil, ""
	broken.Output = filepath.Join(t.TempDir(), "broken")
	broken.Format, broken.RawBackup = "canopus_wrong", true
	run(t, flows(), clean)
	run(t, flows(), broken)
	next := *broken
	again = &next
	again.Input, again.RawBackup, again.DataCenter = nil, false, ""
	again.Raw, again.Format, again.Replace, again.Revision = again.dir("raw"), loadgen.Canopus, true, 1
	if problems := slices.Concat(again.Validate(), again.checkReplay()); len(problems) > 0 {
		t.Fatal(problems)
	}
	return clean, broken, again, late
}

func sameAsClean(t *testing.T, clean, o *Options) {
	t.Helper()
	compareRecords(t, clean, o)
	for _, level := range []string{"1m", "5m", "1h"} {
		compareRollups(t, clean, o, level)
	}
}

// What a wrong parser stored, at wrong times, with wrong values, where there was nothing to store,
// or not at all, is what a right one gives when it is replaced.
func TestAReplacementGivesWhatACleanRunGives(t *testing.T) {
	for name, change := range map[string]func(o *Options){
		"plain":                 func(*Options) {},
		"shards and partitions": func(o *Options) { o.Shards, o.Partition = 4, []string{"tenant"} },
		"ndjson, hours of 15 m": func(o *Options) { o.OutputFormat, o.FileBucket = "ndjson", 15*time.Minute },
	} {
		t.Run(name, func(t *testing.T) {
			clean, broken, again, late := replaced(t, change)
			s := run(t, Replay(), again)
			if r := s.Replaced; r == nil || r.InPlace < 100 || r.Moved < 100 || r.Gone < 5 || r.Pruned != r.InPlace+r.Moved+r.Gone {
				t.Errorf("replaced %+v", r)
			}
			sameAsClean(t, clean, again)
			expectOneRowAnID(t, again)

			// Cut off before its very end, it finds nothing to do the next time.
			if err := os.Remove(filepath.Join(again.dir("flows"), "_replaced", "1.done")); err != nil {
				t.Fatal(err)
			}
			before := contents(t, again.dir("flows"))
			if s := run(t, Replay(), again); s.Sinks["files"].New != 0 || s.Replaced != nil {
				t.Errorf("again: %+v, replaced %+v", s.Sinks["files"], s.Replaced)
			}
			for name := range contents(t, again.dir("flows")) {
				if _, ok := before[name]; !ok && strings.Contains(name, "part-") {
					t.Errorf("again: %s is new", name)
				}
			}
			sameAsClean(t, clean, again)

			// What comes later corrects the rollups still, though it is of no revision.
			clean.Input, broken.Input = []string{late}, []string{late}
			broken.Format, broken.RawBackup = loadgen.Canopus, false
			run(t, flows(), clean)
			run(t, flows(), broken)
			sameAsClean(t, clean, broken)
		})
	}
}

// expectOneRowAnID holds what those see who read the files themselves.
func expectOneRowAnID(t *testing.T, o *Options) {
	t.Helper()
	n := 0
	seen := map[flow.ID]bool{}
	for _, r := range readParts(t, o.dir("flows")) {
		n++
		seen[r] = true
	}
	if len(seen) != n {
		t.Errorf("%d rows of %d ids", n, len(seen))
	}
}

// Two replacements of a half each: of what came in the other half nothing is touched.
func TestAReplacementOfARangeLeavesTheRest(t *testing.T) {
	brokers, want := topic(t, 6_000)
	clean := kafkaOptions(t, brokers)
	clean.Stop = "latest"
	expectTruth(t, run(t, flows(), clean), want)
	broken := kafkaOptions(t, brokers)
	broken.Stop, broken.Format, broken.RawBackup = "latest", "canopus_wrong", true
	run(t, flows(), broken)

	const middle = "2026-01-15T13:10:00Z"
	var read int64
	for i, part := range [][2]string{{middle, "latest"}, {"", middle}} {
		again := *broken
		again.Format, again.RawBackup, again.Replace, again.Revision = "canopus", false, true, int64(i+1)
		again.Start, again.Stop = part[0], part[1]
		if problems := slices.Concat(again.Validate(), again.checkReplay()); len(problems) > 0 {
			t.Fatal(problems)
		}
		others := 0
		for _, r := range storedRecords(t, broken) {
			if r.Format == "canopus_wrong" {
				others++
			}
		}
		s := run(t, Replay(), &again)
		read += s.Read
		left := 0
		for _, r := range storedRecords(t, broken) {
			if r.Format == "canopus_wrong" {
				left++
			}
		}
		// The second has copies of what the first has replaced, too.
		if r := s.Replaced; int64(others-left) > r.InPlace+r.Moved+r.Gone || left == others || (left == 0) != (i == 1) {
			t.Errorf("%v: of %d rows %d are left, replaced %+v", part, others, left, r)
		}
	}
	if read != want.Read {
		t.Errorf("read %d, want %d", read, want.Read)
	}
	sameAsClean(t, clean, broken)
	expectOneRowAnID(t, broken)
}

// A replacement that is killed while it writes, or prunes, and begun again, ends as one that
// nobody killed.
func TestKillsOfAReplacement(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: -short")
	}
	clean, _, again, _ := replaced(t, func(o *Options) { o.Shards, o.FileBucket = 4, 15*time.Minute })
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	start := func() *exec.Cmd {
		t.Helper()
		c := exec.Command(exe, "--raw="+again.Raw, "--format="+again.Format, "--output="+again.Output, "--replace", "--revision=1",
			"--shards=4", "--file_bucket=15m")
		c.Env = append(os.Environ(), childVariable+"=replay", "TMPDIR="+t.TempDir())
		var out bytes.Buffer
		c.Stderr = &out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Process.Kill() })
		return c
	}
	// What a killed run had done shows in the files: parts that came, and parts that went.
	parts := func() (n int) {
		filepath.WalkDir(again.dir("flows"), func(path string, d fs.DirEntry, err error) error {
			if strings.Contains(path, "/part-") {
				n++
			}
			return nil // what goes meanwhile is gone
		})
		return n
	}
	writing, pruning := 0, 0
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	for i := range 10 {
		before := parts()
		c := start()
		most := before
		limit := 1 + random.IntN(6) // parts more than there were; every other time, until one of them went
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			n := parts()
			most = max(most, n)
			if i%2 == 0 && n >= before+limit || i%2 == 1 && n < most || time.Now().After(deadline) {
				break
			}
			if _, err := os.Stat(filepath.Join(again.dir("flows"), "_replaced", "1.done")); err == nil {
				break
			}
		}
		c.Process.Kill()
		c.Wait()
		if _, err := os.Stat(filepath.Join(again.dir("flows"), "_replaced", "1.done")); err == nil {
			break // nothing was left to do
		}
		if parts() < most {
			pruning++
		} else {
			writing++
		}
	}
	t.Logf("seed %d: %d kills while it wrote, %d while it pruned", seed, writing, pruning)
	if writing == 0 || pruning == 0 {
		t.Error("no kill came in between")
	}
	os.Remove(filepath.Join(again.dir("flows"), "_replaced", "1.done"))
	run(t, Replay(), again)
	sameAsClean(t, clean, again)
	expectOneRowAnID(t, again)
}

// A replacement over Elasticsearch and BigQuery.
func TestAReplacementOverTheStores(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: -short")
	}
	unique := fmt.Sprintf("r%d", time.Now().UnixNano())
	rest, grpc, project := testenv.Server(t, "FLOWBEAM_BQ_REST"), testenv.Server(t, "FLOWBEAM_BQ_GRPC"), testenv.Server(t, "FLOWBEAM_BQ_PROJECT")
	elastic := testenv.Server(t, "FLOWBEAM_ES_URL")
	of := func(o *Options, name string) {
		o.Elasticsearch, o.ElasticNamespace, o.ElasticILM, o.ElasticIndexPer = []string{elastic}, name, false, "hour"
		o.BigQuery, o.BigQueryEndpoint = project+"."+name, rest+","+grpc
		o.Install = true
		if err := o.install(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	clean, _, again, _ := replaced(t, func(o *Options) { of(o, unique) })
	run(t, Replay(), again)
	sameAsClean(t, clean, again)

	var records, sent int64
	for _, r := range storedRecords(t, clean) {
		records++
		sent += r.Source.Bytes.Or(0)
	}
	for _, kind := range []string{"flow", "rollup-5m"} {
		if err := postJSON(fmt.Sprintf("%s/flowbeam-%s-%s-*/_refresh", elastic, kind, unique), "", nil); err != nil {
			t.Fatal(err)
		}
	}
	var found struct {
		Hits         struct{ Total struct{ Value int64 } }
		Aggregations map[string]struct{ Value float64 }
	}
	search := func(kind, aggs string) {
		t.Helper()
		if err := postJSON(fmt.Sprintf("%s/flowbeam-%s-%s-*/_search?size=0&track_total_hits=true", elastic, kind, unique), `{"aggs":{"sum":{"sum":{"field":"`+aggs+`"}}}}`, &found); err != nil {
			t.Fatal(err)
		}
	}
	if search("flow", "source.bytes"); found.Hits.Total.Value != records || int64(found.Aggregations["sum"].Value) != sent {
		t.Errorf("Elasticsearch has %d records of %v bytes, want %d of %d", found.Hits.Total.Value, found.Aggregations["sum"].Value, records, sent)
	}
	rows := int64(len(rollupRows(t, clean, "5m")))
	if search("rollup-5m", "flowbeam.records"); found.Hits.Total.Value != rows || int64(found.Aggregations["sum"].Value) != records {
		t.Errorf("Elasticsearch has %d rows of %v records, want %d of %d", found.Hits.Total.Value, found.Aggregations["sum"].Value, rows, records)
	}
	ask := askBigQuery(t, rest, project, unique)
	if v := ask("SELECT COUNT(*), COUNT(DISTINCT record_id), SUM(source_bytes) FROM DATASET.flows_latest"); v[0] != records || v[1] != records || v[2] != sent {
		t.Errorf("BigQuery has %v records (%v ids) of %v bytes, want %d of %d", v[0], v[1], v[2], records, sent)
	}
	if v := ask("SELECT COUNT(*), SUM(records) FROM DATASET.rollup_5m_latest"); v[0] != rows || v[1] != records {
		t.Errorf("BigQuery has %v rows of %v records, want %d of %d", v[0], v[1], rows, records)
	}
}

func TestWhatAReplacementNeedsIsSaidBeforeTheRun(t *testing.T) {
	expect := func(change func(*Options), part string) {
		t.Helper()
		o := small(t)
		o.Replace = true
		change(o)
		var text strings.Builder
		for _, e := range o.checkReplay() {
			text.WriteString(e.Error() + "\n")
		}
		if !strings.Contains(text.String(), part) {
			t.Errorf("%q is missing in %q", part, text.String())
		}
	}
	expect(func(*Options) {}, "--replace: what is replaced is found by what is read again")
	expect(func(o *Options) { o.PubSubInput = []string{"projects/p/subscriptions/s"} }, "--replace: what is replaced is found by what is read again")
	expect(func(*Options) {}, "--replace: the records that replace are known by a higher --revision")
	expect(func(o *Options) { o.Dedupe = "off" }, "--dedupe=exact")
	expect(func(o *Options) { o.BigQuery, o.BigQueryMethod = "p.d", fileLoads }, "--bigquery_method=storage_write")
	expect(func(o *Options) {
		o.Revision = 5
		mark(t, o, filesink.Replacement{Revision: 5})
		mark(t, o, filesink.Replacement{Revision: 5, Done: true})
	}, "was replaced at revision 5: give a higher one")
	expect(func(o *Options) {
		o.Revision = 5
		mark(t, o, filesink.Replacement{Revision: 5, About: "--raw=elsewhere"})
	}, "at revision 5 was begun and did not end: run it again first, of --raw=elsewhere")
	expect(func(o *Options) {
		o.Revision, o.Raw = 4, "raw"
		mark(t, o, filesink.Replacement{Revision: 5, About: o.readsAgain()})
	}, "give that, or a higher one")
	expect(func(o *Options) {
		if err := os.MkdirAll(filepath.Join(o.dir("flows"), "_bigquery"), 0o777); err != nil {
			t.Fatal(err)
		}
	}, "loaded into BigQuery part by part")
}

func mark(t *testing.T, o *Options, r filesink.Replacement) {
	t.Helper()
	if err := filesink.MarkReplacement(t.Context(), o.dir("flows"), r); err != nil {
		t.Fatal(err)
	}
}
