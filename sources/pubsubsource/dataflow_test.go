package pubsubsource

import (
	"fmt"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/graphx"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"google.golang.org/protobuf/proto"

	"github.com/flowbeam/flowbeam/flow"
)

// What Dataflow is asked for: it puts its own reader in the place of this transform.
func TestDataflowReadsByItsOwnTransform(t *testing.T) {
	t.Setenv("PUBSUB_EMULATOR_HOST", "")
	p, s := beam.NewPipelineWithRoot()
	raw, failures, counts := Read(s, project, []string{"flows", "more"}, Runner("dataflow"), IDAttribute("id"), TimestampAttribute("at"))
	for _, c := range []beam.PCollection{raw, failures, counts} {
		if !c.IsValid() {
			t.Error("an output is missing")
		}
	}
	edges, _, err := p.Build()
	if err != nil {
		t.Fatal(err)
	}
	proto3, err := graphx.Marshal(edges, &graphx.Options{Environment: &pipepb.Environment{}})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, x := range proto3.Components.Transforms {
		if x.GetSpec().GetUrn() == "beam:transform:pubsub_read:v1" {
			var payload pipepb.PubSubReadPayload
			if err := proto.Unmarshal(x.Spec.Payload, &payload); err != nil {
				t.Fatal(err)
			}
			got[fmt.Sprint(payload.Subscription, payload.IdAttribute, payload.TimestampAttribute, payload.WithAttributes)] = true
		}
	}
	if len(got) != 2 || !got["projects/flowbeam-test/subscriptions/flowsidattrue"] || !got["projects/flowbeam-test/subscriptions/moreidattrue"] {
		t.Errorf("%v", got)
	}
}

func TestDataflowsMessagesBecomeBatches(t *testing.T) {
	t.Setenv("PUBSUB_EMULATOR_HOST", "")
	c, err := newConfig(project, []string{"flows-fra"}, []Option{Runner("dataflow"), BatchSize(2, 1<<20), DataCenter("^flows-(.+)$"), Format("clocked")})
	if err != nil {
		t.Fatal(err)
	}
	f := &batchFn{Config: *c, Subscription: c.Subscriptions[0]}
	if err := f.Setup(); err != nil {
		t.Fatal(err)
	}
	var got []flow.RawBatch
	var stamps []mtime.Time
	counts := map[string]int64{}
	emit := func(at beam.EventTime, b flow.RawBatch) { got, stamps = append(got, b), append(stamps, at) }
	count := func(n flow.Count) { counts[n.Name] += n.N }
	f.StartBundle(t.Context(), emit, nil, count)
	for i, text := range []string{"a", "", "b", "c"} {
		b, err := proto.Marshal(&pubsubpb.PubsubMessage{Data: []byte(text), MessageId: fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.ProcessElement(t.Context(), mtime.FromTime(after(time.Duration(10-i)*time.Second).Std()), b, emit, nil, count); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.FinishBundle(t.Context(), emit, nil, count); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || fmt.Sprint(ids(got)) != "[0 2 3]" || counts["messages"] != 4 || counts["empty"] != 1 {
		t.Fatalf("%+v, counts %v", got, counts)
	}
	if stamps[0] != mtime.FromTime(after(8*time.Second).Std()) || stamps[1] != mtime.FromTime(after(7*time.Second).Std()) {
		t.Errorf("timestamps %v", stamps)
	}
	if o := got[0].Origin; o.Source != fullSubscription("flows-fra") || o.DataCenter != "fra" || o.Format != "clocked" || got[0].Watermark != 0 {
		t.Errorf("%+v", got[0])
	}
	if err := f.ProcessElement(t.Context(), mtime.FromTime(noon.Std()), []byte{0xff}, emit, nil, count); err == nil {
		t.Error("bytes that are no message are taken")
	}
}
