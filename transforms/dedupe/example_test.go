package dedupe_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/transforms/dedupe"
)

func init() { register.Function1x0(printUsers) }

func printUsers(b flow.Batch) {
	for _, r := range b.Records {
		fmt.Println(r.UserID, r.Observation)
	}
}

var at = flow.TimeOf(time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC))

// A record that was delivered twice passes once.
func ExampleExact() {
	record := flow.Record{ID: flow.NewID("example", []byte("one")), UserID: "user1", EventTime: at}
	p, s := beam.NewPipelineWithRoot()
	in := beam.Create(s, flow.Batch{Records: []flow.Record{record}}, flow.Batch{Records: []flow.Record{record}})
	unique, _ := dedupe.Exact(s, in, dedupe.Horizon(2*time.Hour))
	beam.ParDo0(s, printUsers, unique)
	if _, err := beam.Run(context.Background(), "prism", p); err != nil {
		log.Fatal(err)
	}
	// Output: user1
}

// Two exporters saw one conversation; the one that counted more bytes is kept.
func ExampleObservations() {
	record := func(exporter string, bytes int64) flow.Record {
		r := flow.Record{ID: flow.NewID("example", []byte(exporter)), UserID: exporter, EventTime: at, CommunityID: "1:abc"}
		r.Exporter.Name, r.Source.Bytes = exporter, flow.N(bytes)
		return r
	}
	p, s := beam.NewPipelineWithRoot()
	in := beam.Create(s, flow.Batch{Records: []flow.Record{record("edge", 900), record("core", 1000)}})
	kept, _ := dedupe.Observations(s, in, dedupe.Max)
	beam.ParDo0(s, printUsers, kept)
	if _, err := beam.Run(context.Background(), "prism", p); err != nil {
		log.Fatal(err)
	}
	// Output: core winner
}
