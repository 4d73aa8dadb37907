package kafkasink

import (
	"context"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/flowtest"
	"github.com/flowbeam/flowbeam/internal/message"
)

// cost is the processor time and the allocations of f, for each of n records. The fake
// broker is in the same process, so both sides of the comparison have it in their numbers.
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

// BenchmarkWrite compares the sink with a plain loop over the client that is given its
// values encoded already. It reports processor time and allocations a record of both, and
// their ratio.
func BenchmarkWrite(b *testing.B) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, "flows", "plain"), kfake.BlackholeProduce())
	if err != nil {
		b.Fatal(err)
	}
	defer cluster.Close()
	const n = 20_000
	batch := flow.Batch{Records: flowtest.Records(n, 1)}
	var values, keys [][]byte
	size := 0
	for i := range batch.Records {
		values = append(values, flow.AppendRecordJSON(nil, &batch.Records[i]))
		keys = append(keys, []byte(batch.Records[i].ID.String()))
		size += len(values[i])
	}
	plain, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ProducerBatchCompression(kgo.ZstdCompression()),
		kgo.ProducerLinger(5*time.Millisecond), kgo.MaxBufferedRecords(100_000))
	if err != nil {
		b.Fatal(err)
	}
	defer plain.Close()
	loop := func() {
		var wg sync.WaitGroup
		wg.Add(n)
		for i := range values {
			plain.Produce(context.Background(), &kgo.Record{Topic: "plain", Key: keys[i], Value: values[i], Timestamp: batch.Records[i].EventTime.Std(),
				Headers: []kgo.RecordHeader{{Key: headerID, Value: keys[i]}, {Key: headerContentType, Value: []byte(message.ContentType)}, {Key: headerSchema, Value: []byte("1")}, {Key: headerTable, Value: []byte("flows")}},
			}, func(_ *kgo.Record, err error) {
				if err != nil {
					b.Error(err)
				}
				wg.Done()
			})
		}
		wg.Wait()
	}
	o, err := apply(defaults("kafka", cluster.ListenAddrs(), "flows"), nil)
	if err != nil {
		b.Fatal(err)
	}
	fn := &recordsFn{Options: o}
	if err := fn.Setup(context.Background()); err != nil {
		b.Fatal(err)
	}
	defer fn.Teardown()
	ctx := context.Background()
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

// BenchmarkEncode is the sink's own part: a record as a message in a chunk.
func BenchmarkEncode(b *testing.B) {
	records := flowtest.Records(1000, 1)
	e, err := newEncoder(message.Records(), "flows", "")
	if err != nil {
		b.Fatal(err)
	}
	e.limit = defaultMessageBytes
	c := newChunk[flow.Record](len(records), 1<<20)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if i == len(records) {
			c.reset()
			i = 0
		}
		if err := e.add(c, &records[i]); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
