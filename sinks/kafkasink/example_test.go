package kafkasink_test

import (
	"context"
	"fmt"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/flowtest"
	"github.com/flowbeam/flowbeam/sinks/kafkasink"
)

// show prints the first n messages of a topic.
func show(brokers []string, topic string, n int) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	reader, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer reader.Close()
	for n > 0 {
		reader.PollRecords(ctx, n).EachRecord(func(r *kgo.Record) {
			n--
			fmt.Printf("%s key=%s", r.Timestamp.UTC().Format(time.RFC3339), r.Key)
			for _, h := range r.Headers {
				fmt.Printf(" %s=%s", h.Key, h.Value)
			}
			fmt.Printf("\n%s\n", r.Value)
		})
		if ctx.Err() != nil {
			fmt.Println(ctx.Err())
			return
		}
	}
}

// A cluster in this process; the topic is made by the job.
func ExampleWrite() {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cluster.Close()
	brokers := cluster.ListenAddrs()

	p, s := beam.NewPipelineWithRoot()
	batches := beam.Create(s, flow.Batch{Records: []flow.Record{{
		ID: flow.ID{0xab}, CommunityID: "1:wCb3OG7yAFWelaUydu0D+125CLM=", Format: "canopus",
		EventTime: flow.TimeOf(flowtest.Start), UserID: "user1",
	}}})
	kafkasink.Write(s, batches, brokers, "flows",
		kafkasink.CreateTopic(3, 1), kafkasink.Key("community_id"), kafkasink.Compression("lz4"))
	fmt.Println(ptest.Run(p))
	show(brokers, "flows", 1)
	// Output:
	// <nil>
	// 2026-01-02T03:04:05Z key=1:wCb3OG7yAFWelaUydu0D+125CLM= flowbeam-record-id=ab000000000000000000000000000000 content-type=application/json flowbeam-schema-version=1 flowbeam-table=flows
	// {"record_id":"ab000000000000000000000000000000","revision":0,"event_time":"2026-01-02T03:04:05Z","late":false,"community_id":"1:wCb3OG7yAFWelaUydu0D+125CLM=","format":"canopus","user_id":"user1"}
}

func ExampleWriteRollups() {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "rollup_1m"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cluster.Close()

	table := flow.RollupTable("1m", []string{"user_id"}, []flow.Kind{flow.KindString}, []string{"flows"}, []flow.Kind{flow.KindInt})
	p, s := beam.NewPipelineWithRoot()
	rows := beam.Create(s, flow.RollupBatch{Level: "1m", Fields: []string{"user_id"}, Measures: []string{"flows"}, Rows: []flow.Rollup{{
		Window: flow.TimeOf(flowtest.Start).Truncate(time.Minute), Length: time.Minute, Records: 3,
		Group: []flow.Value{flow.StringValue("user1")}, Measures: []flow.Value{flow.IntValue(3)},
	}}})
	kafkasink.WriteRollups(s, rows, cluster.ListenAddrs(), "rollup_1m", table, kafkasink.Key("user_id"))
	fmt.Println(ptest.Run(p))
	show(cluster.ListenAddrs(), "rollup_1m", 1)
	// Output:
	// <nil>
	// 2026-01-02T03:04:00Z key=user1 flowbeam-record-id=e63be0f5cc36a1a99f87356a0c95118d content-type=application/json flowbeam-schema-version=1 flowbeam-table=rollup_1m
	// {"rollup_id":"e63be0f5cc36a1a99f87356a0c95118d","window_start":"2026-01-02T03:04:00Z","window_end":"2026-01-02T03:05:00Z","records":3,"user_id":"user1","flows":3}
}

func ExampleWriteFailures() {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "dead_letters"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cluster.Close()

	p, s := beam.NewPipelineWithRoot()
	failures := beam.Create(s, flow.FailureBatch{Failures: []flow.Failure{{
		Stage: "parse", Reason: flow.ReasonSyntax, Error: "unexpected end", Data: `{"src`, Size: 5,
		Position: flow.Position{Source: "a.ndjson", Offset: flow.N(712)}, SourceTime: flow.TimeOf(flowtest.Start),
	}}})
	kafkasink.WriteFailures(s, failures, cluster.ListenAddrs(), "dead_letters")
	fmt.Println(ptest.Run(p))
	show(cluster.ListenAddrs(), "dead_letters", 1)
	// Output:
	// <nil>
	// 2026-01-02T03:04:05Z key=8cb34d1c5510436036ab2cf6bdc03ba6 flowbeam-record-id=8cb34d1c5510436036ab2cf6bdc03ba6 content-type=application/json flowbeam-schema-version=1 flowbeam-table=dead_letters
	// {"dead_letter_id":"8cb34d1c5510436036ab2cf6bdc03ba6","source_time":"2026-01-02T03:04:05Z","stage":"parse","reason":"syntax","error":"unexpected end","position_source":"a.ndjson","position_offset":712,"size":5,"truncated":false,"data":"{\"src"}
}
