package rollup

import (
	"strings"
	"testing"
	"time"
)

func TestValidateReportsEveryProblemAtOnce(t *testing.T) {
	err := Validate([]string{"color", "tenant", "tenant", "extensions"}, []string{"loss", "flows", "flows"}, []time.Duration{2 * time.Minute, 3 * time.Minute, 0})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{`"color"`, `"tenant" is named twice`, `"extensions"`, `"loss"`, `"flows" is named twice`, "0s"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
	if err := Validate([]string{"tenant"}, nil, []time.Duration{2 * time.Minute, 3 * time.Minute}); err == nil || !strings.Contains(err.Error(), "multiple") {
		t.Errorf("3m is no multiple of 2m: %v", err)
	}
	if err := Validate(DefaultFields(), DefaultMeasures(), allLevels); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	if err := Validate(nil, AllMeasures(), allLevels); err != nil {
		t.Errorf("no fields, all measures: %v", err)
	}
}

// The table's kinds are those of the values in rows.
func TestTableFitsItsRows(t *testing.T) {
	fields := []string{"user_id", "destination_asn", "source_ip", "duration_ns", "event_time"}
	table, err := Table("1m", fields, AllMeasures())
	if err != nil {
		t.Fatal(err)
	}
	if table.Name != "rollup_1m" {
		t.Errorf("name %q", table.Name)
	}
	seen := map[string]bool{}
	for _, b := range plain(t, fields, AllMeasures(), fuzzRecords(1, 500))["1m"] {
		for i := range b.Rows {
			for j := range table.Columns {
				c := &table.Columns[j]
				v := c.Get(&b.Rows[i])
				if v.Kind != 0 && v.Kind != c.Kind {
					t.Fatalf("column %s of kind %v has a value of kind %v", c.Name, c.Kind, v.Kind)
				}
				seen[c.Name] = seen[c.Name] || v.Kind != 0
			}
		}
	}
	for _, m := range DefaultMeasures() {
		if !seen[m] {
			t.Errorf("no row has %s", m)
		}
	}
	if _, err := Table("1m", []string{"color"}, nil); err == nil {
		t.Error("a table of an unknown field")
	}
}

func TestLevelName(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Minute: "1m", 5 * time.Minute: "5m", time.Hour: "1h", 90 * time.Minute: "1h30m", 24 * time.Hour: "24h",
		10 * time.Second: "10s", 90 * time.Second: "1m30s", 500 * time.Millisecond: "500ms", 10 * time.Minute: "10m",
	} {
		if got := LevelName(d); got != want {
			t.Errorf("LevelName(%d) = %q, want %q", d, got, want)
		}
	}
}
