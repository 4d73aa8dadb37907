package kafkasource_test

import (
	"context"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/sources/kafkasource"
)

func init() {
	// Programs import transforms/parse, which registers the formats.
	flow.RegisterFormat(flow.FormatInfo{Name: "example"})
	register.Function2x0(printBatch)
}

func printBatch(_ context.Context, b flow.RawBatch) {
	for _, r := range b.Records {
		fmt.Printf("%s: %s/%d at %d: %s\n", b.Origin.DataCenter, b.Origin.Source, b.Origin.Partition.V, r.Offset.V, r.Data)
	}
}

func ExampleRead() {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "flows-fra"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cluster.Close()
	k, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.DefaultProduceTopic("flows-fra"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer k.Close()
	if err := k.ProduceSync(context.Background(), kgo.StringRecord("first"), kgo.StringRecord("second")).FirstErr(); err != nil {
		fmt.Println(err)
		return
	}

	p, s := beam.NewPipelineWithRoot()
	raw, _, _ := kafkasource.Read(s, cluster.ListenAddrs(), nil,
		kafkasource.Pattern("flows-.*"), kafkasource.Format("example"), kafkasource.DataCenter("^flows-(.+)$"),
		kafkasource.StopLatest()) // without it the read has no end
	beam.ParDo0(s, printBatch, raw)
	if err := ptest.Run(p); err != nil {
		fmt.Println(err)
	}
	// Output:
	// fra: flows-fra/0 at 0: first
	// fra: flows-fra/0 at 1: second
}
