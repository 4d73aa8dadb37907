package shard

import (
	"testing"

	"github.com/flowbeam/flowbeam/flow"
)

func TestShardsOfDifferentCountsNest(t *testing.T) {
	for i := range 256 {
		id := flow.NewID("test", []byte{byte(i)})
		if a, b := Of(id, 4), Of(id, 16); b>>2 != a || a > 3 || b > 15 {
			t.Errorf("id %v: shard %d of 4, %d of 16", id, a, b)
		}
		if Of(id, 1) != 0 {
			t.Error("one shard is shard 0")
		}
	}
}

func TestCheckTakesPowersOfTwoOnly(t *testing.T) {
	for n, ok := range map[int]bool{0: false, 1: true, 2: true, 3: false, 65536: true, 131072: false, -4: false} {
		if got := Check(n) == nil; got != ok {
			t.Errorf("Check(%d) ok = %v, want %v", n, got, ok)
		}
	}
}
