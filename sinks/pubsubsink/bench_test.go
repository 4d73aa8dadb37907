package pubsubsink

import (
	"context"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/flowtest"
	"github.com/flowbeam/flowbeam/internal/message"
)

// discard takes every request, without a look at its messages but for their number: what
// is measured is the client's side.
func discard(_ any, stream grpc.ServerStream) error {
	var in frame
	if err := stream.RecvMsg(&in); err != nil {
		return err
	}
	var out frame
	if method, _ := grpc.MethodFromServerStream(stream); strings.HasSuffix(method, "/Publish") {
		for b := in; len(b) > 0; {
			num, typ, n := protowire.ConsumeTag(b)
			b = b[n:]
			if num == fieldMessages {
				out = protowire.AppendTag(out, 1, protowire.BytesType) // message_ids
				out = protowire.AppendString(out, "1234567890123456")
			}
			b = b[protowire.ConsumeFieldValue(num, typ, b):]
		}
	}
	return stream.SendMsg(&out)
}

// frame is a message that is not decoded.
type frame []byte

type frames struct{}

func (frames) Name() string                    { return "proto" }
func (frames) Marshal(v any) ([]byte, error)   { return *v.(*frame), nil }
func (frames) Unmarshal(b []byte, v any) error { *v.(*frame) = append(frame(nil), b...); return nil }

// cost is the processor time and the allocations of f, for each of n records. The server is
// in the same process, so both sides of the comparison have it in their numbers.
func cost(n int, f func()) (ns, allocs float64) {
	var a, b runtime.MemStats
	var u, v syscall.Rusage
	runtime.GC()
	runtime.ReadMemStats(&a)
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	f()
	syscall.Getrusage(syscall.RUSAGE_SELF, &v)
	runtime.ReadMemStats(&b)
	cpu := time.Duration(v.Utime.Nano() + v.Stime.Nano() - u.Utime.Nano() - u.Stime.Nano())
	return float64(cpu) / float64(n), float64(b.Mallocs-a.Mallocs) / float64(n)
}

// BenchmarkWrite compares the sink with a plain loop over the client library's publisher,
// which is given its values encoded already. It reports processor time and allocations a
// record of both, and their ratio.
func BenchmarkWrite(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := grpc.NewServer(grpc.MaxRecvMsgSize(32<<20), grpc.ForceServerCodec(frames{}), grpc.UnknownServiceHandler(discard))
	go s.Serve(l)
	defer s.Stop()
	ctx := context.Background()
	c, err := pubsub.NewClient(ctx, project, option.WithEndpoint(l.Addr().String()), option.WithoutAuthentication(), option.WithTelemetryDisabled(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	const n = 20_000
	batch := flow.Batch{Records: flowtest.Records(n, 1)}
	var values [][]byte
	var ids, times []string
	size := 0
	for i := range batch.Records {
		r := &batch.Records[i]
		values, ids, times = append(values, flow.AppendRecordJSON(nil, r)), append(ids, r.ID.String()), append(times, r.EventTime.String())
		size += len(values[i])
	}
	publisher := c.Publisher(topic)
	publisher.PublishSettings.CountThreshold = 1000
	defer publisher.Stop()
	results := make([]*pubsub.PublishResult, n)
	loop := func() {
		for i := range values {
			results[i] = publisher.Publish(ctx, &pubsub.Message{Data: values[i], Attributes: map[string]string{
				attributeID: ids[i], attributeTime: times[i], attributeTable: "flows", attributeContentType: message.ContentType, attributeSchema: "1"}})
		}
		for _, r := range results {
			if _, err := r.Get(ctx); err != nil {
				b.Fatal(err)
			}
		}
	}
	o, err := apply(defaults("pubsub", project, topic), []Option{Emulator(l.Addr().String())})
	if err != nil {
		b.Fatal(err)
	}
	fn := &recordsFn{Options: o}
	if err := fn.Setup(ctx); err != nil {
		b.Fatal(err)
	}
	defer fn.Teardown()
	fail, count := func(flow.FailureBatch) { b.Error("a dead letter") }, func(flow.Count) {}
	sink := func() {
		fn.StartBundle(ctx, fail, count)
		if err := fn.ProcessElement(ctx, batch, fail, count); err != nil {
			b.Fatal(err)
		}
		if err := fn.FinishBundle(ctx, fail, count); err != nil {
			b.Fatal(err)
		}
	}
	loop()
	sink()
	var plainNS, plainAllocs, sinkNS, sinkAllocs float64
	rounds := 0
	for b.Loop() {
		ns, allocs := cost(n, loop)
		plainNS, plainAllocs = plainNS+ns, plainAllocs+allocs
		ns, allocs = cost(n, sink)
		sinkNS, sinkAllocs = sinkNS+ns, sinkAllocs+allocs
		rounds++
	}
	r := float64(rounds)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(size)/n, "B/record")
	b.ReportMetric(plainNS/r, "plain-cpu-ns/record")
	b.ReportMetric(sinkNS/r, "cpu-ns/record")
	b.ReportMetric(sinkNS/plainNS, "cpu-ratio")
	b.ReportMetric(plainAllocs/r, "plain-allocs/record")
	b.ReportMetric(sinkAllocs/r, "allocs/record")
}

// BenchmarkEncode is the sink's own part: a record as a message in a request.
func BenchmarkEncode(b *testing.B) {
	records := flowtest.Records(1000, 1)
	e, err := newEncoder(message.Records(), topicName, "")
	if err != nil {
		b.Fatal(err)
	}
	r := &request[flow.Record]{}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if i == len(records) {
			r.reset()
			i = 0
		}
		wire, _, err := e.encode(&records[i])
		if err != nil {
			b.Fatal(err)
		}
		r.add(wire, &records[i])
		i++
	}
}
