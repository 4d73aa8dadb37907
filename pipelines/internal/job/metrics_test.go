package job

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/metrics"
)

// scrape returns all metrics of this process by their lines' beginnings.
func scrape(t *testing.T) map[string]float64 {
	t.Helper()
	w := httptest.NewRecorder()
	metrics.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	out := map[string]float64{}
	for lines := bufio.NewScanner(w.Body); lines.Scan(); {
		if i := strings.LastIndexByte(lines.Text(), ' '); i > 0 && lines.Text()[0] != '#' {
			out[lines.Text()[:i]], _ = strconv.ParseFloat(lines.Text()[i+1:], 64)
		}
	}
	return out
}

func TestMetricsAreTheSummary(t *testing.T) {
	brokers, want := topic(t, 5_000)
	o := kafkaOptions(t, brokers)
	o.Stop = "latest"
	before := scrape(t)
	s := run(t, flows(), o)
	expectTruth(t, s, want)
	after := scrape(t)
	expect := map[string]int64{
		`flowbeam_records_total{what="read"}`:                             s.Read,
		`flowbeam_records_total{what="written"}`:                          s.Written,
		`flowbeam_records_total{what="duplicates"}`:                       s.Duplicates,
		`flowbeam_sink_records_total{outcome="new",sink="files"}`:         s.Written,
		`flowbeam_delay_seconds_count{data_center="iad"}`:                 s.Lateness["iad"].Records,
		`flowbeam_delay_seconds_count{data_center="fra"}`:                 s.Lateness["fra"].Records,
		`flowbeam_delay_seconds_bucket{data_center="iad",le="600"}`:       0,
		`flowbeam_source_lag_records{partition="flows/0",source="kafka"}`: 0,
	}
	for reason, n := range s.DeadLetters.ByReason {
		expect[`flowbeam_dead_letters_total{reason="`+reason+`"}`] = n
	}
	for level, n := range s.RollupRows {
		expect[`flowbeam_rollup_rows_total{level="`+level+`"}`] = n
	}
	for name, n := range expect {
		if got := after[name] - before[name]; got != float64(n) {
			t.Errorf("%s: %v, want %d", name, got, n)
		}
	}
}

// What the program logs is JSON where that is asked for, and has neither a record nor a
// secret, also where all fails.
func TestLogsNameThingsAndHoldNoneOfThem(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	elastic := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"error":"no such user"}`, http.StatusUnauthorized)
	}))
	defer elastic.Close()
	in := filepath.Join(t.TempDir(), "in.log")
	if err := os.WriteFile(in, []byte(strings.Repeat("{\"canary-payload\": 1\n", 50)), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, more := range map[string][]string{
		"a run over broken records": nil,
		"a store that refuses all":  {"--install", "--elasticsearch=" + elastic.URL, "--elasticsearch_user=u", "--elasticsearch_password=env:CANARY"},
	} {
		c := exec.Command(exe, append(more, "--input="+in, "--format=canopus", "--output="+filepath.Join(t.TempDir(), "out"), "--log_format=json", "--metrics=localhost:0")...)
		c.Env = append(os.Environ(), childVariable+"=flows", "CANARY=canary-secret")
		var out bytes.Buffer
		c.Stderr = &out
		if err := c.Run(); (err != nil) != (more != nil) {
			t.Errorf("%s: %v", name, err)
		}
		for _, secret := range []string{"canary-payload", "canary-secret"} {
			if strings.Contains(out.String(), secret) {
				t.Errorf("%s: %s is in the log", name, secret)
			}
		}
		for line := range strings.Lines(out.String()) {
			var entry struct{ Time, Level, Msg string }
			if err := json.Unmarshal([]byte(line), &entry); strings.HasPrefix(line, "{") && (err != nil || entry.Level == "" || entry.Msg == "") {
				t.Errorf("%v in %s", err, line)
			}
		}
		if t.Failed() {
			t.Logf("%s", out.Bytes())
		}
	}
}

// An alert on a counter that nobody has never comes.
func TestAlertsAskForCountersThatThereAre(t *testing.T) {
	b, err := os.ReadFile("../../../deploy/terraform/alerts.tf")
	if err != nil {
		t.Fatal(err)
	}
	asked := regexp.MustCompile(`metric_name=~?\\"(\w+)`).FindAllStringSubmatch(string(b), -1)
	if len(asked) == 0 {
		t.Fatal("no alert asks for a counter")
	}
	told := map[string]bool{}
	for _, c := range []flow.Count{{Stage: "parse", Name: "read", N: 1}, {Stage: "dead_letters", Name: "", N: 1}} {
		show(c, func(name string) { told[name] = true })
	}
	for _, m := range asked {
		if !told[m[1]] {
			t.Errorf("no counter %s; there are %v", m[1], told)
		}
	}
}
