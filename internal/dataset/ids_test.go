package dataset

import (
	"testing"
	"time"
)

func TestADirectoryThatNoRowsComeForIsForgotten(t *testing.T) {
	now := time.Unix(0, 0)
	c := newIDCache(100)
	c.now = func() time.Time { return now }
	old := c.get("old", false)
	c.counted(old, 40)
	now = now.Add(idleIDs)
	busy := c.get("busy", false)
	c.counted(busy, 30)
	if c.get("old", false) != old || c.total != 70 {
		t.Error("a directory that is in use was forgotten")
	}
	now = now.Add(idleIDs)
	if c.get("busy", false) != busy {
		t.Error("a directory that is in use was forgotten")
	}
	now = now.Add(time.Second)
	c.get("busy", false)
	if c.total != 30 || len(c.byDir) != 1 {
		t.Errorf("%d ids of %d directories are remembered, want the 30 of the one in use", c.total, len(c.byDir))
	}
}
