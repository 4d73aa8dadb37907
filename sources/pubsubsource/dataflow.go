package pubsubsource

import (
	"context"
	"fmt"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/typex"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/protox"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/reflectx"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"google.golang.org/protobuf/proto"

	"github.com/flowbeam/flowbeam/flow"
)

// readURN is the transform that Dataflow puts its own reader in the place of. Beam's
// package io/pubsubio makes it, too, but brings an older package of Pub/Sub's messages, and
// a program that has both of them ends when it starts: each registers the same names.
const readURN = "beam:transform:pubsub_read:v1"

// readDataflow reads by Dataflow's own reader, which acknowledges once the runner has
// committed.
func readDataflow(s beam.Scope, c *config) (raw, failures, counts beam.PCollection) {
	var raws, lost, tallies []beam.PCollection
	for _, name := range c.Subscriptions {
		payload := &pipepb.PubSubReadPayload{Subscription: name, IdAttribute: c.IDAttribute, TimestampAttribute: c.TimestampAttribute, WithAttributes: true}
		messages := beam.External(s, readURN, protox.MustEncode(payload), nil, []beam.FullType{typex.New(reflectx.ByteSlice)}, false)[0]
		r, f, n := beam.ParDo3(s, &batchFn{Config: *c, Subscription: name}, messages)
		raws, lost, tallies = append(raws, r), append(lost, f), append(tallies, n)
	}
	return beam.Flatten(s, raws...), beam.Flatten(s, lost...), beam.Flatten(s, tallies...)
}

func init() {
	beam.RegisterDoFn(&batchFn{})
}

// batchFn makes batches of messages, a bundle's in one or several. It knows no watermark, so
// that no record counts as late before the runner says so.
type batchFn struct {
	Config       config
	Subscription string

	tally tally
	batch flow.RawBatch
	bytes int
	first mtime.Time // the earliest timestamp in the batch
}

func (f *batchFn) Setup() error { return f.Config.setup() }

func (f *batchFn) StartBundle(_ context.Context, _ func(beam.EventTime, flow.RawBatch), _ func(beam.EventTime, flow.FailureBatch), _ func(flow.Count)) error {
	f.tally = tally{}
	f.clear()
	return nil
}

func (f *batchFn) clear() {
	// Which topic it is, Dataflow does not tell.
	f.batch, f.bytes, f.first = flow.RawBatch{Origin: f.Config.origin(f.Subscription, "")}, 0, mtime.MaxTimestamp
}

func (f *batchFn) ProcessElement(_ context.Context, at beam.EventTime, encoded []byte, emit func(beam.EventTime, flow.RawBatch), _ func(beam.EventTime, flow.FailureBatch), _ func(flow.Count)) error {
	var m pubsubpb.PubsubMessage
	if err := proto.Unmarshal(encoded, &m); err != nil {
		return fmt.Errorf("pubsubsource: a message of the runner's: %w", err)
	}
	published := flow.TimeOf(at.ToTime())
	if m.PublishTime != nil {
		published = flow.TimeOf(m.PublishTime.AsTime())
	}
	x := &message{id: m.MessageId, data: m.Data, attributes: m.Attributes, published: published}
	_, x.badTime = f.Config.eventTime(x.data, x.attributes, published)
	f.tally.add(&f.Config, &f.batch, x)
	f.bytes += len(x.data)
	f.first = min(f.first, at)
	if len(f.batch.Records) >= f.Config.BatchRecords || f.bytes >= f.Config.BatchBytes {
		f.flush(emit)
	}
	return nil
}

func (f *batchFn) flush(emit func(beam.EventTime, flow.RawBatch)) {
	if len(f.batch.Records) > 0 {
		emit(f.first, f.batch)
	}
	f.clear()
}

func (f *batchFn) FinishBundle(_ context.Context, emit func(beam.EventTime, flow.RawBatch), _ func(beam.EventTime, flow.FailureBatch), count func(flow.Count)) error {
	f.flush(emit)
	f.tally.emit(f.Config.Stage, count)
	return nil
}
