package collect

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/flowbeam/flowbeam/internal/kafkaconn"
)

func cluster(t testing.TB) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, "datagrams"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func kafkaConfig(c *kfake.Cluster) KafkaConfig {
	return KafkaConfig{
		Connection: kafkaconn.Connection{Brokers: c.ListenAddrs(), ClientID: "test"}, Topic: "datagrams", DataCenter: "fra",
		Compression: "zstd", BufferBytes: 1 << 20,
	}
}

func newKafka(t testing.TB, c KafkaConfig) *Kafka {
	t.Helper()
	if problems := c.Check(); len(problems) > 0 {
		t.Fatal(problems)
	}
	k, err := NewKafka(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// messages reads the first n of the topic.
func messages(t testing.TB, c *kfake.Cluster, n int) (records []*kgo.Record) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics("datagrams"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for len(records) < n {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("%d of %d: %v", len(records), n, err)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}

// Of each exporter the messages are in one partition and in order, in envelopes, also where the
// brokers refuse some requests and lose a reply.
func TestKafkaHasTheDatagramsOfAnExporterInOrder(t *testing.T) {
	c := cluster(t)
	requests := 0
	c.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if requests++; requests%3 == 1 {
			return nil, fmt.Errorf("the connection breaks"), true
		}
		return nil, nil, false
	})
	k := newKafka(t, kafkaConfig(c))
	var totals Totals
	const exporters, each = 5, 400
	for i := range each {
		for e := range exporters {
			from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(e)}), 2055)
			k.Write(t.Context(), newItem(&totals, from, 7e9, payload(i)))
		}
		if i%100 == 99 {
			time.Sleep(30 * time.Millisecond) // several requests
		}
	}
	if err := k.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if totals.Written.Load() != exporters*each || totals.Dropped() != 0 || requests < 2 {
		t.Errorf("%d written in %d requests, %d dropped", totals.Written.Load(), requests, totals.Dropped())
	}
	next, partition := map[string]int{}, map[string]int32{}
	for _, r := range messages(t, c, exporters*each) {
		e := opened(t, r.Value)
		key := string(r.Key)
		if key != e.from.Addr().String() || string(e.data) != string(payload(next[key])) || !r.Timestamp.Equal(time.Unix(7, 0)) {
			t.Fatalf("%s: %q of %v, want %d", key, e.data, e.from, next[key])
		}
		if p, ok := partition[key]; ok && p != r.Partition {
			t.Fatalf("%s is in partitions %d and %d", key, p, r.Partition)
		}
		if len(r.Headers) != 1 || r.Headers[0].Key != "data_center" || string(r.Headers[0].Value) != "fra" {
			t.Fatalf("headers %v", r.Headers)
		}
		next[key]++
		partition[key] = r.Partition
	}
	if len(next) != exporters {
		t.Errorf("%v", next)
	}
}

// Brokers that are away hold the writer up, and what they did not take in time is counted.
func TestWhatKafkaDoesNotTakeIsLostAndCounted(t *testing.T) {
	c := cluster(t)
	k := newKafka(t, kafkaConfig(c))
	c.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		return nil, fmt.Errorf("the connection breaks"), true
	})
	var totals Totals
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	big := make([]byte, 10_000)
	const n = 200 // more than the client's buffer
	for range n {
		k.Write(ctx, newItem(&totals, someone, 7, big))
	}
	if ctx.Err() == nil {
		t.Error("the client took more than its buffer")
	}
	if err := k.Close(ctx); err == nil {
		t.Error("no error")
	}
	if totals.DroppedSink.Load() != n || totals.Written.Load() != 0 {
		t.Errorf("%d lost, %d written", totals.DroppedSink.Load(), totals.Written.Load())
	}
}

func TestWhatIsWrongWithKafkaIsSaidAtOnce(t *testing.T) {
	c := cluster(t)
	config := kafkaConfig(c)
	config.Topic = "none"
	if _, err := NewKafka(t.Context(), config); err == nil || kerr.IsRetriable(err) {
		t.Errorf("a topic that is not there: %v", err)
	}
	config = kafkaConfig(c)
	config.Brokers, config.Topic, config.Compression = []string{"nowhere"}, "a b", "rar"
	if problems := config.Check(); len(problems) != 2 {
		t.Errorf("%v", problems)
	}
}
