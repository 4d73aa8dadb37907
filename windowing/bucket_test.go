package windowing

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/flowbeam/flowbeam/flow"
)

func TestBucket(t *testing.T) {
	day := flow.TimeOf(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
	for _, tc := range []struct {
		name       string
		at         flow.Time
		d          time.Duration
		start, end flow.Time
	}{
		{"start belongs to its bucket", day, time.Minute, day, day.Add(time.Minute)},
		{"end belongs to the next", day.Add(time.Minute), time.Minute, day.Add(time.Minute), day.Add(2 * time.Minute)},
		{"a nanosecond before it does not", day.Add(time.Minute - 1), time.Minute, day, day.Add(time.Minute)},
		{"hours", day.Add(59 * time.Minute), time.Hour, day, day.Add(time.Hour)},
		{"before 1970", -1, time.Minute, flow.Time(-time.Minute), 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := Bucket(tc.at, tc.d); got != tc.start {
				t.Errorf("Bucket = %v, want %v", got, tc.start)
			}
			if got := BucketEnd(tc.at, tc.d); got != tc.end {
				t.Errorf("BucketEnd = %v, want %v", got, tc.end)
			}
		})
	}
}

func TestKeysSortByBucketAndShardAndReadBack(t *testing.T) {
	type place struct {
		bucket flow.Time
		shard  int
	}
	var places []place
	for _, b := range []flow.Time{math.MinInt64, -1, 0, 1, 1772323200e9, 1772323260e9, math.MaxInt64} {
		for _, s := range []int{0, 1, 255, 256, MaxShards - 1} {
			places = append(places, place{b, s})
		}
	}
	var keys []string
	for _, p := range places {
		k := Key(p.bucket, p.shard)
		b, s, err := ParseKey(k)
		if err != nil || b != p.bucket || s != p.shard {
			t.Errorf("ParseKey(Key(%d, %d)) = %d, %d, %v", p.bucket, p.shard, b, s, err)
		}
		for _, c := range []byte(k) {
			if c >= 0x80 || len(k) != 14 {
				t.Errorf("key %q is not 14 letters of ASCII", k)
			}
		}
		keys = append(keys, k)
	}
	want := slices.Clone(keys)
	rand.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	slices.Sort(keys)
	if !slices.Equal(keys, want) {
		t.Errorf("keys do not sort by bucket and shard: %q", keys)
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add("")
	f.Add(Key(0, 0))
	f.Add("-------------\n")
	f.Fuzz(func(t *testing.T, key string) {
		b, s, err := ParseKey(key)
		if err == nil && Key(b, s) != key {
			t.Errorf("%q is read as %d, %d, whose key is %q", key, b, s, Key(b, s))
		}
	})
}
