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

// topic is a topic of a Kafka cluster in this process with the load generator's lines of two
// data centers, of which one lags.
func topic(t *testing.T, records int) (brokers []string, truth loadgen.Truth) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "flows"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	g := loadgen.Default()
	g.Records, g.Users, g.Servers = records, 50, 200
	g.DataCenters, g.LagDataCenter, g.Lag = []string{"fra", "iad"}, "iad", 20*time.Minute
	g.DuplicateDelay = 30 * time.Minute
	truth, err = loadgen.WriteKafka(t.Context(), c.ListenAddrs(), "flows", g)
	if err != nil {
		t.Fatal(err)
	}
	return c.ListenAddrs(), truth
}

func kafkaOptions(t *testing.T, brokers []string) *Options {
	o := small(t)
	o.Input, o.KafkaInput, o.KafkaInputTopics = nil, brokers, []string{"flows"}
	o.Format, o.DataCenter = "canopus", "header:"+loadgen.DataCenterHeader
	o.Rollup = []string{"data_center", "user_id"}
	return o
}

func expectTruth(t *testing.T, s *Summary, want loadgen.Truth) {
	t.Helper()
	if s.Read != want.Read || s.Written != want.Unique || s.Duplicates != want.Duplicates || s.DeadLetters.Total != want.DeadLetters.Total {
		t.Errorf("read %d, written %d, duplicates %d, dead letters %d; want %d, %d, %d, %d",
			s.Read, s.Written, s.Duplicates, s.DeadLetters.Total, want.Read, want.Unique, want.Duplicates, want.DeadLetters.Total)
	}
	for reason, n := range want.DeadLetters.ByReason {
		if s.DeadLetters.ByReason[string(reason)] != n {
			t.Errorf("%d dead letters of reason %s, want %d", s.DeadLetters.ByReason[string(reason)], reason, n)
		}
	}
}

func TestTopicsGiveTheirTruth(t *testing.T) {
	brokers, want := topic(t, 20_000)
	o := kafkaOptions(t, brokers)
	o.Stop = "latest"
	if problems := o.Validate(); len(problems) > 0 {
		t.Fatal(problems)
	}
	first := run(t, flows(), o)
	expectTruth(t, first, want)
	if c := first.Sinks["files"]; c.New != want.Unique {
		t.Errorf("files: %+v", c)
	}
	byDataCenter := map[string]int64{}
	for _, r := range storedRecords(t, o) {
		byDataCenter[r.DataCenter]++
		if p := r.Position; p.Source != "flows" || !p.Partition.OK || !p.Offset.OK {
			t.Fatalf("position %+v", p)
		}
	}
	for dc, n := range want.ByDataCenter {
		if byDataCenter[dc] != n.Unique {
			t.Errorf("data center %s: %d records, want %d", dc, byDataCenter[dc], n.Unique)
		}
	}
	again := run(t, flows(), o)
	expectTruth(t, again, want)
	if c := again.Sinks["files"]; c.New != 0 || c.AlreadyThere != want.Unique {
		t.Errorf("a second run: files: %+v", c)
	}
	for level, n := range first.RollupRows {
		if rows := rollupRows(t, o, level); int64(len(rows)) != n {
			t.Errorf("%d rows of %s are stored, want %d", len(rows), level, n)
		}
	}
}

// A stream that is stopped gives what a run over the same messages gives that ends by
// itself, and one that reads them again adds nothing.
func TestAStreamThatIsStoppedHasWrittenWhatItRead(t *testing.T) {
	brokers, want := topic(t, 20_000)
	bounded := kafkaOptions(t, brokers)
	bounded.Stop = "latest"
	run(t, flows(), bounded)
	stream := kafkaOptions(t, brokers)
	for _, turn := range []string{"first", "second"} {
		// Of a second run the dead letters and the records are there already.
		done, begun := make(chan struct{}), time.Now()
		live.written.Store(0)
		live.deadLetters.Store(0)
		go func() {
			defer close(done)
			for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
				if live.written.Load() == want.Unique && live.deadLetters.Load() == want.DeadLetters.Total {
					break
				}
			}
			t.Logf("%s: %d written, %d dead letters after %v", turn, live.written.Load(), live.deadLetters.Load(), time.Since(begun))
			time.Sleep(time.Second) // for what was to come twice
			stopping.Request()
		}()
		s := run(t, flows(), stream)
		<-done
		expectTruth(t, s, want)
		if c := s.Sinks["files"]; turn == "second" && c.New != 0 {
			t.Errorf("a second run: files: %+v", c)
		}
	}
	compareRecords(t, bounded, stream)
	for _, level := range []string{"1m", "5m", "1h"} {
		compareRollups(t, bounded, stream, level)
	}
}

func TestWhatATopicNeedsIsSaidBeforeTheRun(t *testing.T) {
	o := kafkaOptions(t, []string{"nohost"})
	o.Input, o.Start, o.Stop, o.KafkaIsolation, o.MaxRate = []string{"x"}, "yesterday", "2200-01-01T00:00:00Z", "some", -1
	var text strings.Builder
	for _, e := range o.Validate() {
		text.WriteString(e.Error() + "\n")
	}
	for _, part := range []string{"either files", `"yesterday" is none of`, "not in the past", `"some" is none of`, "--max_rate: -1"} {
		if !strings.Contains(text.String(), part) {
			t.Errorf("%q is missing in\n%s", part, text.String())
		}
	}
}

func TestBoundsOfAStreamMoveWithIt(t *testing.T) {
	now := time.Now()
	o := kafkaOptions(t, []string{"localhost:9092"})
	check := func(event, received time.Time, want bool) {
		t.Helper()
		b, err := o.bounds(now)
		if err != nil {
			t.Fatal(err)
		}
		r := flow.Record{EventTime: flow.TimeOf(event), Received: flow.TimeOf(received)}
		if ok, _ := b.Process(&r); ok != want {
			t.Errorf("event time %v of a record that came at %v: %v, want %v", event, received, ok, want)
		}
	}
	later := now.Add(90 * 24 * time.Hour) // a stream runs for months
	check(later, later, true)
	check(later.Add(2*time.Hour), later, false)
	check(later.Add(-8*24*time.Hour), later, false)
	monthAgo := now.Add(-30 * 24 * time.Hour) // what is read again is held to its own time
	check(monthAgo, monthAgo, true)
	o.KafkaInput, o.Watch = nil, time.Minute
	check(later.Add(-1000*24*time.Hour), later, true)
	check(later.Add(25*time.Hour), later, false)
}
