package pubsubsink_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/flowtest"
	"github.com/flowbeam/flowbeam/sinks/pubsubsink"
)

// emulator is a Pub/Sub in this process that has one topic.
func emulator(topic string) *pstest.Server {
	srv := pstest.NewServer()
	if _, err := srv.GServer.CreateTopic(context.Background(), &pubsubpb.Topic{Name: topic}); err != nil {
		panic(err)
	}
	return srv
}

func show(srv *pstest.Server) {
	for _, m := range srv.Messages() {
		var names []string
		for name := range m.Attributes {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			fmt.Printf("%s=%s ", name, m.Attributes[name])
		}
		fmt.Printf("key=%s\n%s\n", m.OrderingKey, m.Data)
	}
}

func ExampleWrite() {
	srv := emulator("projects/my-project/topics/flows")
	defer srv.Close()

	p, s := beam.NewPipelineWithRoot()
	batches := beam.Create(s, flow.Batch{Records: []flow.Record{{
		ID: flow.ID{0xab}, CommunityID: "1:wCb3OG7yAFWelaUydu0D+125CLM=", Format: "canopus",
		EventTime: flow.TimeOf(flowtest.Start), UserID: "user1",
	}}})
	pubsubsink.Write(s, batches, "my-project", "flows",
		pubsubsink.OrderingKey("community_id"), pubsubsink.Emulator(srv.Addr))
	fmt.Println(ptest.Run(p))
	show(srv)
	// Output:
	// <nil>
	// content_type=application/json event_time=2026-01-02T03:04:05Z record_id=ab000000000000000000000000000000 schema_version=1 table=flows key=1:wCb3OG7yAFWelaUydu0D+125CLM=
	// {"record_id":"ab000000000000000000000000000000","revision":0,"event_time":"2026-01-02T03:04:05Z","late":false,"community_id":"1:wCb3OG7yAFWelaUydu0D+125CLM=","format":"canopus","user_id":"user1"}
}

func ExampleWriteRollups() {
	srv := emulator("projects/my-project/topics/rollup_1m")
	defer srv.Close()

	table := flow.RollupTable("1m", []string{"user_id"}, []flow.Kind{flow.KindString}, []string{"flows"}, []flow.Kind{flow.KindInt})
	p, s := beam.NewPipelineWithRoot()
	rows := beam.Create(s, flow.RollupBatch{Level: "1m", Fields: []string{"user_id"}, Measures: []string{"flows"}, Rows: []flow.Rollup{{
		Window: flow.TimeOf(flowtest.Start).Truncate(time.Minute), Length: time.Minute, Records: 3,
		Group: []flow.Value{flow.StringValue("user1")}, Measures: []flow.Value{flow.IntValue(3)},
	}}})
	pubsubsink.WriteRollups(s, rows, "my-project", "rollup_1m", table, pubsubsink.Emulator(srv.Addr))
	fmt.Println(ptest.Run(p))
	show(srv)
	// Output:
	// <nil>
	// content_type=application/json event_time=2026-01-02T03:04:00Z record_id=e63be0f5cc36a1a99f87356a0c95118d schema_version=1 table=rollup_1m key=
	// {"rollup_id":"e63be0f5cc36a1a99f87356a0c95118d","window_start":"2026-01-02T03:04:00Z","window_end":"2026-01-02T03:05:00Z","records":3,"user_id":"user1","flows":3}
}

func ExampleWriteFailures() {
	srv := emulator("projects/my-project/topics/dead_letters")
	defer srv.Close()

	p, s := beam.NewPipelineWithRoot()
	failures := beam.Create(s, flow.FailureBatch{Failures: []flow.Failure{{
		Stage: "parse", Reason: flow.ReasonSyntax, Error: "unexpected end", Data: `{"src`, Size: 5,
		Position: flow.Position{Source: "a.ndjson", Offset: flow.N(712)}, SourceTime: flow.TimeOf(flowtest.Start),
	}}})
	pubsubsink.WriteFailures(s, failures, "my-project", "dead_letters", pubsubsink.Emulator(srv.Addr))
	fmt.Println(ptest.Run(p))
	show(srv)
	// Output:
	// <nil>
	// content_type=application/json event_time=2026-01-02T03:04:05Z record_id=8cb34d1c5510436036ab2cf6bdc03ba6 schema_version=1 table=dead_letters key=
	// {"dead_letter_id":"8cb34d1c5510436036ab2cf6bdc03ba6","source_time":"2026-01-02T03:04:05Z","stage":"parse","reason":"syntax","error":"unexpected end","position_source":"a.ndjson","position_offset":712,"size":5,"truncated":false,"data":"{\"src"}
}
