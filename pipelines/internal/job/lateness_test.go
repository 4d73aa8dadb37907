package job

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/loadgen"
	"github.com/flowbeam/flowbeam/internal/stopping"
)

// Two data centers, one an hour behind the other, in one stream.
func TestADataCenterAnHourBehind(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "flows"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	g := loadgen.Default()
	g.Records, g.Users, g.Servers, g.Span = 20_000, 50, 200, 3*time.Hour
	g.DataCenters, g.LagDataCenter, g.Lag, g.DuplicateDelay = []string{"fra", "iad"}, "iad", time.Hour, 10*time.Minute
	want, err := loadgen.WriteKafka(t.Context(), c.ListenAddrs(), "flows", g)
	if err != nil {
		t.Fatal(err)
	}
	stream := func(lateness time.Duration) (*Options, *Summary) {
		o := kafkaOptions(t, c.ListenAddrs())
		o.AllowedLateness = lateness
		live.written.Store(0)
		live.deadLetters.Store(0)
		go func() {
			for end := time.Now().Add(time.Minute); time.Now().Before(end) && live.written.Load() < want.Unique; {
				time.Sleep(50 * time.Millisecond)
			}
			time.Sleep(time.Second)
			stopping.Request()
		}()
		s := run(t, flows(), o)
		expectTruth(t, s, want)
		for dc, n := range want.ByDataCenter {
			if l := s.Lateness[dc]; l == nil || l.Records != n.Unique+n.Duplicates {
				t.Errorf("%s: %+v, want %d records and %d copies", dc, l, n.Unique, n.Duplicates)
			}
		}
		return o, s
	}

	t.Run("within the allowed lateness it corrects the rollups", func(t *testing.T) {
		bounded := kafkaOptions(t, c.ListenAddrs())
		bounded.Stop = "latest"
		run(t, flows(), bounded)
		o, s := stream(2 * time.Hour)
		fra, iad := s.Lateness["fra"], s.Lateness["iad"]
		if fra.P95 > 60 || iad.Median != 7200 || iad.Mean < 3600 || iad.Mean > 4300 {
			t.Errorf("fra %+v\niad %+v", fra, iad)
		}
		if iad.Behind < iad.Records/2 || iad.Late != 0 || s.Late != 0 {
			t.Errorf("most of iad comes after its windows, and none too late: %+v", iad)
		}
		var report strings.Builder
		printLateness(&report, s.Lateness)
		t.Log("\n" + report.String())
		for _, level := range []string{"1m", "5m", "1h"} {
			compareRollups(t, bounded, o, level)
		}
	})
	t.Run("beyond it is stored, and counted", func(t *testing.T) {
		o, s := stream(10 * time.Minute)
		if iad := s.Lateness["iad"]; iad.Late < iad.Records/2 || s.Late == 0 || iad.Late+s.Lateness["fra"].Late < s.Late {
			t.Errorf("%d are late, of iad %+v", s.Late, iad)
		}
		if n := int64(len(storedRecords(t, o))); n != want.Unique {
			t.Errorf("%d are stored, want %d", n, want.Unique)
		}
	})
}

func TestLatenessOfARecord(t *testing.T) {
	at := func(minute int) flow.Time {
		return flow.TimeOf(time.Date(2026, 1, 2, 3, minute, 0, 0, time.UTC))
	}
	c := centers{}
	add := func(center string, event, received, watermark flow.Time, late bool) {
		c.of(center).add(&flow.Record{EventTime: event, Received: received, Late: late}, watermark, time.Minute)
	}
	add("a b", at(0), at(0).Add(700*time.Millisecond), at(0), false)
	add("a b", at(0), at(5), at(1), false) // its window has just ended
	add("a b", at(0), at(59), at(58), true)
	add("", at(0), 0, 0, false)
	var counts []flow.Count
	c.emit(func(c flow.Count) { counts = append(counts, c) })
	totals := map[string]int64{}
	for _, c := range counts {
		if strings.ContainsAny(c.Name, " ") {
			t.Errorf("%q has a space, and totals are separated by them", c.Name)
		}
		totals[c.Stage+"/"+c.Name] += c.N
	}
	s := summarize(totals, 0)
	got, want := *s.Lateness["a b"], Lateness{Records: 3, Behind: 1, Late: 1, Median: 300, P95: 3600, Max: 3600, Mean: (0.7 + 300 + 3540) / 3}
	got.classes, got.millis = [maxClass + 1]int64{}, 0
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if none := s.Lateness[noCenter]; none == nil || none.Records != 1 || none.Max != 1 {
		t.Errorf("%+v", none)
	}
}

func TestManyDataCentersAreCountedTogether(t *testing.T) {
	c := centers{}
	for i := range 2 * mostCenters {
		c.of(string(rune('a'+i))).late++
	}
	if len(c) != mostCenters+1 || c[otherCenters].late != mostCenters {
		t.Errorf("%d names, %d others", len(c), c[otherCenters].late)
	}
}
