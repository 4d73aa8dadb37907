package metrics

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/flowbeam/flowbeam/flow"
)

func TestPrometheusIsAnswered(t *testing.T) {
	addr, stop, err := Serve("localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	Record("read", 7)
	DeadLetter("syntax", 2)
	RollupRows("1m", 3)
	Sink("files", "new", 5)
	Event("geoip", "reload", 1)
	Event("geoip", "reload", -1)
	Held("observations", 5)
	Held("observations", -2)
	Request("sink_elasticsearch", 30*time.Millisecond)
	Delay("fra", 3, 4)
	Delay("fra", len(DelayBounds), 1)
	DelaySum("fra", 31_000)
	SetPlace("kafka", "flows/0", Place{Lag: 9, Watermark: flow.TimeOf(time.Now().Add(-time.Minute))})
	SetPlace("kafka", "flows/1", Place{Lag: 2, Watermark: flow.TimeOf(time.Now().Add(-time.Hour))})
	SetPlace("pubsub", "flows", Place{Lag: -1})
	if lag, lowest, ok := Behind(); lag != 11 || !ok || time.Since(lowest.Std()).Round(time.Minute) != time.Hour {
		t.Errorf("behind by %d, %v, %v", lag, lowest, ok)
	}
	DropPlace("kafka", "flows/1")
	got := get(t, addr)
	for _, line := range []string{
		`flowbeam_records_total{what="read"} 7`,
		`flowbeam_dead_letters_total{reason="syntax"} 2`,
		`flowbeam_rollup_rows_total{level="1m"} 3`,
		`flowbeam_sink_records_total{outcome="new",sink="files"} 5`,
		`flowbeam_events_total{name="reload",stage="geoip"} 1`,
		`flowbeam_held_records{stage="observations"} 3`,
		`flowbeam_sink_request_seconds_bucket{sink="sink_elasticsearch",le="0.025"} 0`,
		`flowbeam_sink_request_seconds_bucket{sink="sink_elasticsearch",le="0.05"} 1`,
		`flowbeam_delay_seconds_bucket{data_center="fra",le="5"} 0`,
		`flowbeam_delay_seconds_bucket{data_center="fra",le="10"} 4`,
		`flowbeam_delay_seconds_bucket{data_center="fra",le="+Inf"} 5`,
		`flowbeam_delay_seconds_sum{data_center="fra"} 31`,
		`flowbeam_source_lag_records{partition="flows/0",source="kafka"} 9`,
		`flowbeam_source_watermark_age_seconds{partition="flows/0",source="kafka"} 60.`,
		`go_goroutines `, `process_resident_memory_bytes `,
	} {
		if !strings.Contains(got, "\n"+line) {
			t.Errorf("%s is missing", line)
		}
	}
	for _, line := range []string{`partition="flows/1"`, `source="pubsub"`} {
		if strings.Contains(got, line) {
			t.Errorf("%s is there: it was dropped, or nothing is known of it", line)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
}

func get(t *testing.T, addr string) string {
	t.Helper()
	r, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAnAddressThatIsTakenIsToldBefore(t *testing.T) {
	addr, stop, err := Serve("localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if Check(addr) == nil {
		t.Error("no error for an address that is in use")
	}
	if err := Check("localhost:0"); err != nil {
		t.Error(err)
	}
}
