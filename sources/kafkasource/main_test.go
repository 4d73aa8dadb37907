package kafkasource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/sdf"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flowbeam/flowbeam/flow"
)

func TestMain(m *testing.M) {
	idleTime = time.Second
	ptest.Main(m)
}

func init() {
	// "clocked" messages begin with their event time in Unix seconds.
	flow.RegisterFormat(flow.FormatInfo{Name: "clocked",
		Timestamp: func(_ string, data []byte) (flow.Time, bool) {
			f, _, _ := bytes.Cut(data, []byte(" "))
			s, err := strconv.ParseInt(string(f), 10, 64)
			return flow.TimeOf(time.Unix(s, 0)), err == nil
		},
	})
	// "prepared" ones can be read when away is false, and their time only then.
	flow.RegisterFormat(flow.FormatInfo{Name: "prepared",
		Prepare: func(_ context.Context, header string, records []flow.Raw) error {
			if away.Load() {
				return errors.New("nobody answers")
			}
			knownRecords.Add(int64(len(records)))
			return nil
		},
		Timestamp: func(_ string, data []byte) (flow.Time, bool) {
			f, _, _ := bytes.Cut(data, []byte(" "))
			s, err := strconv.ParseInt(string(f), 10, 64)
			return flow.TimeOf(time.Unix(s, 0)), err == nil && knownRecords.Load() > 0
		},
	})
	beam.RegisterDoFn(&rawSinkFn{})
	beam.RegisterDoFn(&failSinkFn{})
	beam.RegisterDoFn(&countSinkFn{})
}

var (
	away         atomic.Bool
	knownRecords atomic.Int64
)

// broker is a Kafka cluster in this process.
type broker struct {
	t       testing.TB
	cluster *kfake.Cluster
	client  *kgo.Client
}

func newBroker(t testing.TB, topics map[string]int) *broker {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(2))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	b := &broker{t: t, cluster: c}
	for name, n := range topics {
		if err := c.CreateTopic(name, int32(n), nil); err != nil {
			t.Fatal(err)
		}
	}
	if b.client, err = kgo.NewClient(kgo.SeedBrokers(b.addrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0), kgo.ProducerBatchMaxBytes(100_000), kgo.ProducerBatchCompression(kgo.NoCompression())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.client.Close)
	return b
}

func (b *broker) addrs() []string { return b.cluster.ListenAddrs() }

// send appends records and waits until the brokers have them.
func (b *broker) send(records ...*kgo.Record) {
	b.t.Helper()
	if err := b.client.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
		b.t.Fatal(err)
	}
}

// message is a message of an event time, which its timestamp is too unless it is given.
func message(topic string, partition int, event time.Time, text string, timestamp ...time.Time) *kgo.Record {
	r := &kgo.Record{Topic: topic, Partition: int32(partition), Value: fmt.Appendf(nil, "%d %s", event.Unix(), text), Timestamp: event}
	if len(timestamp) > 0 {
		r.Timestamp = timestamp[0]
	}
	return r
}

// fill sends n messages, round the partitions, a second of event time apart, and returns
// their texts by position.
func (b *broker) fill(topic string, partitions, from, n int, start time.Time) map[string]string {
	b.t.Helper()
	want := map[string]string{}
	var records []*kgo.Record
	for i := from; i < from+n; i++ {
		r := message(topic, i%partitions, start.Add(time.Duration(i)*time.Second), fmt.Sprintf("message %d", i))
		want[fmt.Sprintf("%s/%d/%d", topic, i%partitions, i/partitions)] = string(r.Value)
		records = append(records, r)
	}
	b.send(records...)
	return want
}

// collected is what a pipeline's outputs were, kept in the test's process, where Prism
// runs the pipeline.
type collected struct {
	batches  []flow.RawBatch
	stamps   []flow.Time
	failures []flow.Failure
	counts   map[string]int64
}

// records are the texts by position; a position that came twice fails the test.
func (c *collected) records(t testing.TB) map[string]string {
	t.Helper()
	out := map[string]string{}
	for i := range c.batches {
		b := &c.batches[i]
		for k := range b.Records {
			p := b.Position(k)
			key := fmt.Sprintf("%s/%d/%d", p.Source, p.Partition.V, p.Offset.V)
			if _, ok := out[key]; ok {
				t.Errorf("%s came twice", key)
			}
			out[key] = string(b.Records[k].Data)
		}
	}
	return out
}

func newCollected() *collected { return &collected{counts: map[string]int64{}} }

var (
	collectMu sync.Mutex
	runs      = map[string]*collected{}
)

type sinkFn struct{ Run string }

func (f *sinkFn) with(do func(*collected)) {
	collectMu.Lock()
	defer collectMu.Unlock()
	do(runs[f.Run])
}

type rawSinkFn struct{ Run string }

func (f *rawSinkFn) ProcessElement(at beam.EventTime, b flow.RawBatch) {
	(&sinkFn{f.Run}).with(func(c *collected) {
		c.batches = append(c.batches, b)
		c.stamps = append(c.stamps, flow.TimeOf(at.ToTime()))
	})
}

type failSinkFn struct{ Run string }

func (f *failSinkFn) ProcessElement(b flow.FailureBatch) {
	(&sinkFn{f.Run}).with(func(c *collected) { c.failures = append(c.failures, b.Failures...) })
}

type countSinkFn struct{ Run string }

func (f *countSinkFn) ProcessElement(n flow.Count) {
	(&sinkFn{f.Run}).with(func(c *collected) { c.counts[n.Stage+"/"+n.Name] += n.N })
}

// run reads on Prism and returns what came out.
func run(t testing.TB, brokers, topics []string, opts ...Option) *collected {
	t.Helper()
	c := newCollected()
	name := t.Name()
	collectMu.Lock()
	runs[name] = c
	collectMu.Unlock()
	p, s := beam.NewPipelineWithRoot()
	raw, failures, counts := Read(s, brokers, topics, opts...)
	beam.ParDo0(s, &rawSinkFn{name}, raw)
	beam.ParDo0(s, &failSinkFn{name}, failures)
	beam.ParDo0(s, &countSinkFn{name}, counts)
	if _, err := ptest.RunWithMetrics(p); err != nil {
		t.Fatal(err)
	}
	return c
}

// worker runs bundles by hand, as a runner does: it keeps the places of partitions and the
// effects of bundles that succeeded.
type worker struct {
	t      testing.TB
	config config
	fn     *readFn
	places map[partition]*position
	known  known
	mark   time.Time // of the discovery
	*collected
}

type position struct {
	at   span
	mark int64
	done bool
}

func newWorker(t testing.TB, brokers, topics []string, opts ...Option) *worker {
	t.Helper()
	c, err := newConfig(brokers, topics, opts)
	if err != nil {
		t.Fatal(err)
	}
	w := &worker{t: t, config: *c, places: map[partition]*position{}, collected: newCollected()}
	w.restart()
	t.Cleanup(func() { w.fn.Teardown() })
	return w
}

// restart is another process that has what the runner kept and nothing else.
func (w *worker) restart() {
	w.t.Helper()
	if w.fn != nil {
		w.fn.Teardown()
	}
	w.config.Instance = strconv.FormatInt(instances.Add(1), 10)
	w.fn = &readFn{reader{Config: w.config}}
	if err := w.fn.Setup(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

// discover finds partitions.
func (w *worker) discover() {
	w.t.Helper()
	w.known.Polled = min(w.known.Polled, 1) // it is time
	fn := &discoverFn{Config: w.config}
	if err := fn.Setup(); err != nil {
		w.t.Fatal(err)
	}
	we, rt := fn.CreateWatermarkEstimator(0), fn.CreateTracker(w.known)
	if _, err := fn.ProcessElement(context.Background(), we, rt, nil, func(_ beam.EventTime, p partition) {
		w.places[p] = &position{at: w.fn.CreateInitialRestriction(p), mark: w.fn.InitialWatermarkEstimatorState(0, span{}, p)}
	}); err != nil {
		w.t.Fatal(err)
	}
	w.known, w.mark = rt.GetRestriction().(known), we.State
}

// bundle runs one bundle of a partition. A dropped one leaves nothing; split asks for a
// checkpoint after so many batches.
func (w *worker) bundle(p partition, drop bool, split int) error {
	w.t.Helper()
	at := w.places[p]
	if at.done {
		return nil
	}
	got := newCollected()
	ctx := context.Background()
	we, rt := w.fn.CreateWatermarkEstimator(at.mark), w.fn.CreateTracker(at.at)
	var residual any
	checkpoint := func() {
		if _, r, err := rt.TrySplit(0); err != nil {
			w.t.Fatal(err)
		} else if r != nil {
			residual = r
		}
	}
	emit := func(et beam.EventTime, b flow.RawBatch) {
		got.batches, got.stamps = append(got.batches, b), append(got.stamps, flow.TimeOf(et.ToTime()))
		if split--; split == 0 {
			checkpoint()
		}
	}
	fail := func(_ beam.EventTime, b flow.FailureBatch) { got.failures = append(got.failures, b.Failures...) }
	count := func(n flow.Count) { got.counts[n.Name] += n.N }
	if err := w.fn.StartBundle(ctx, emit, fail, count); err != nil {
		w.t.Fatal(err)
	}
	next, err := w.fn.ProcessElement(ctx, we, rt, p, emit, fail, count)
	if err == nil {
		err = w.fn.FinishBundle(ctx, emit, fail, count)
	}
	if err != nil || drop {
		return err
	}
	if next.ShouldResume() {
		checkpoint()
	}
	if !rt.IsDone() {
		w.t.Fatalf("%s: the bundle ended with %+v left", p.key(), rt.GetRestriction())
	}
	if at.done = residual == nil; residual != nil {
		at.at = residual.(span)
	}
	at.mark = w.fn.WatermarkEstimatorState(we)
	w.batches, w.stamps, w.failures = append(w.batches, got.batches...), append(w.stamps, got.stamps...), append(w.failures, got.failures...)
	for k, n := range got.counts {
		w.counts[k] += n
	}
	return nil
}

// until runs bundles of all partitions until done says so.
func (w *worker) until(what string, done func() bool) {
	w.t.Helper()
	end := time.Now().Add(30 * time.Second)
	for !done() {
		if time.Now().After(end) {
			w.t.Fatalf("not within 30 s: %s; counts %v", what, w.counts)
		}
		for p := range w.places {
			if err := w.bundle(p, false, 0); err != nil {
				w.t.Fatal(err)
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
}

var _ sdf.RTracker = (*tracker)(nil)

// trim deletes the messages of a partition before an offset.
func (b *broker) trim(topic string, partition int32, before int64) {
	b.t.Helper()
	var offsets kadm.Offsets
	offsets.AddOffset(topic, partition, before, -1)
	r, err := kadm.NewClient(b.client).DeleteRecords(context.Background(), offsets)
	if err == nil {
		err = r.Error()
	}
	if err != nil {
		b.t.Fatal(err)
	}
}
