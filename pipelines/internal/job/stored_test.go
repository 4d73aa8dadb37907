package job

import (
	"slices"
	"testing"
	"time"

	"github.com/flowbeam/flowbeam/flow"
)

var noon = flow.TimeOf(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))

// Records of a unit that is stored are counted when the store is read, and only then.
func TestRecordsOfStoredUnitsComeFromTheStore(t *testing.T) {
	step := &unstored{Unit: time.Hour, Stored: []flow.Time{noon, noon.Add(3 * time.Hour)}}
	for after, fresh := range map[time.Duration]bool{
		-1: true, 0: false, time.Hour - 1: false, time.Hour: true, 3*time.Hour + time.Minute: false, 4 * time.Hour: true,
	} {
		keep, err := step.Process(&flow.Record{EventTime: noon.Add(after)})
		if err != nil || keep != fresh {
			t.Errorf("a record %v after noon: keep %v, %v; want %v", after, keep, err, fresh)
		}
	}
}

// A window is computed anew from all of its files, not from those alone that have changed.
func TestATouchedBucketBringsItsWholeUnit(t *testing.T) {
	fn := &touchedFn{Unit: int64(time.Hour), Bucket: int64(15 * time.Minute), Stored: []flow.Time{noon}}
	for bucket, want := range map[string][]string{
		"2026-03-01T12:30:00Z": {"2026-03-01T12:00:00Z", "2026-03-01T12:15:00Z", "2026-03-01T12:30:00Z", "2026-03-01T12:45:00Z"},
		"2026-03-01T13:00:00Z": nil, // not stored: its records come as they were read
		"unknown":              nil, // in no window
	} {
		var got []string
		if err := fn.ProcessElement(bucket, func(b string) { got = append(got, b) }); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v; want %v", bucket, got, err, want)
		}
	}
}
