package job

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/loadgen"
	"github.com/flowbeam/flowbeam/sources/kafkasource"
	"github.com/flowbeam/flowbeam/transforms/parse"
)

func init() {
	register.Function1x0(discard)
	register.Function1x0(discardCount)
}

func discard(flow.Batch) {}

func discardCount(flow.Count) {}

// BenchmarkFromKafka reads a topic with the pipeline on Prism, parses and discards; and with
// a plain loop over franz-go that parses the same records with the same decoder. The brokers
// are in this process, so their CPU time is in both. ns/record is CPU time.
func BenchmarkFromKafka(b *testing.B) {
	const n = 500_000
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, "flows"))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	g := loadgen.Default()
	g.Records, g.Broken = n, 0
	if _, err := loadgen.WriteKafka(b.Context(), c.ListenAddrs(), "flows", g); err != nil {
		b.Fatal(err)
	}
	cpu := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	loop := func() {
		dec, err := parse.NewDecoder("canopus", "")
		if err != nil {
			b.Fatal(err)
		}
		k, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics("flows"))
		if err != nil {
			b.Fatal(err)
		}
		defer k.Close()
		var r flow.Record
		for left := n; left > 0; {
			k.PollFetches(b.Context()).EachRecord(func(m *kgo.Record) {
				r = flow.Record{}
				data := strings.Clone(string(m.Value))
				if _, err := dec.Decode(data, &r); err != nil {
					b.Error(err)
				}
				r.ID = flow.NewIDText("canopus", data)
				r.SetCommunityID()
				left--
			})
		}
	}
	pipeline := func() {
		p, s := beam.NewPipelineWithRoot()
		raw, _, _ := kafkasource.Read(s, c.ListenAddrs(), []string{"flows"}, kafkasource.Format("canopus"), kafkasource.StopLatest(), kafkasource.Poll(20*time.Millisecond))
		records, _, counts := parse.Records(s, raw)
		beam.ParDo0(s, discard, records)
		// Prism waits for a stage without outputs in a loop that takes a core; a job has counts.
		beam.ParDo0(s, discardCount, beam.Reshuffle(s, counts))
		if err := execute(context.Background(), "prism", p); err != nil {
			b.Fatal(err)
		}
	}
	var ours, theirs, wall, plainWall time.Duration
	rounds := 0
	for b.Loop() {
		begun, at := cpu(), time.Now()
		loop()
		theirs, plainWall = theirs+cpu()-begun, plainWall+time.Since(at)
		begun, at = cpu(), time.Now()
		pipeline()
		ours, wall = ours+cpu()-begun, wall+time.Since(at)
		rounds++
	}
	records := float64(rounds) * n
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(theirs)/records, "plain-cpu-ns/record")
	b.ReportMetric(float64(ours)/records, "cpu-ns/record")
	b.ReportMetric(float64(ours)/float64(theirs), "cpu-ratio")
	b.ReportMetric(records/plainWall.Seconds(), "plain-records/s")
	b.ReportMetric(records/wall.Seconds(), "records/s")
}
