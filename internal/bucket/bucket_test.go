package bucket

import (
	"testing"
	"time"

	"github.com/flowbeam/flowbeam/flow"
)

func TestKeyRoundTripsAndSortsByTimeThenShard(t *testing.T) {
	last := ""
	for _, start := range []flow.Time{-5, 0, 7, flow.TimeOf(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))} {
		for _, shard := range []uint32{0, 1, 70000} {
			k := Key(start, shard)
			if s, sh, err := Parse(k); err != nil || s != start || sh != shard {
				t.Errorf("Parse(Key(%d, %d)) = %d, %d, %v", start, shard, s, sh, err)
			}
			if k <= last {
				t.Errorf("Key(%d, %d) does not sort after the key before it", start, shard)
			}
			last = k
		}
	}
	if _, _, err := Parse("short"); err == nil {
		t.Error("Parse took a key of the wrong length")
	}
}

func TestShardsOfDifferentCountsNest(t *testing.T) {
	for i := range 256 {
		id := flow.NewID("test", []byte{byte(i)})
		if a, b := Shard(id, 4), Shard(id, 16); b>>2 != a || a > 3 || b > 15 {
			t.Errorf("id %v: shard %d of 4, %d of 16", id, a, b)
		}
		if Shard(id, 1) != 0 {
			t.Error("one shard is shard 0")
		}
	}
}

func TestCheckShardsTakesPowersOfTwoOnly(t *testing.T) {
	for n, ok := range map[int]bool{0: false, 1: true, 2: true, 3: false, 65536: true, 131072: false, -4: false} {
		if got := CheckShards(n) == nil; got != ok {
			t.Errorf("CheckShards(%d) ok = %v, want %v", n, got, ok)
		}
	}
}
