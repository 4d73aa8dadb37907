package kafkasource

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flowbeam/flowbeam/internal/testenv"
)

// realTopic makes a topic of the test's own on a real broker.
func realTopic(t *testing.T, brokers []string, partitions int32) string {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	topic := fmt.Sprintf("kafkasource-%d-%d", os.Getpid(), time.Now().UnixNano())
	admin := kadm.NewClient(c)
	if _, err := admin.CreateTopic(t.Context(), partitions, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { admin.DeleteTopic(context.Background(), topic) })
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		known, err := admin.ListTopics(t.Context(), topic)
		if err == nil && known.Has(topic) && known[topic].Err == nil && len(known[topic].Partitions) == int(partitions) {
			return topic
		}
		if time.Now().After(end) {
			t.Fatalf("the topic %s is not known after 30 seconds: %v", topic, err)
		}
	}
}

// A real broker finds the messages of a time as the one in the process does.
func TestServerWhatIsNeededOfBefore(t *testing.T) {
	brokers := strings.Split(testenv.Server(t, "FLOWBEAM_KAFKA"), ",")
	topic := realTopic(t, brokers, 1)
	c, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	records := lesson()
	for i, r := range records {
		r.Topic, r.Timestamp = topic, time.Now().Add(time.Duration(i-len(records))*time.Minute)
		if err := c.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	readsTheSameWithRestarts(t, brokers, topic)
}

// Every compression, and transactions that were committed and aborted: what a real broker
// has is read once, to the end, also where a partition ends with a marker.
func TestServerMessagesOfAllCodecsAndOfTransactions(t *testing.T) {
	brokers := strings.Split(testenv.Server(t, "FLOWBEAM_KAFKA"), ",")
	topic := realTopic(t, brokers, 2)
	committed, all := map[string]bool{}, map[string]bool{}
	send := func(what string, commit kgo.TransactionEndTry, opts ...kgo.Opt) {
		t.Helper()
		c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))...)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		transaction := strings.HasPrefix(what, "transaction")
		if transaction {
			if err := c.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
		}
		var records []*kgo.Record
		for i := range 500 {
			r := message(topic, 0, start.Add(time.Duration(i)*time.Second), fmt.Sprintf("%s %d", what, i))
			all[string(r.Value)] = true
			if !transaction || bool(commit) {
				committed[string(r.Value)] = true
			}
			records = append(records, r)
		}
		if err := c.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if transaction {
			if err := c.EndTransaction(t.Context(), commit); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, codec := range map[string]kgo.CompressionCodec{
		"gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(), "none": kgo.NoCompression(),
	} {
		send(name, kgo.TryCommit, kgo.ProducerBatchCompression(codec))
	}
	send("transaction that was committed", kgo.TryCommit, kgo.TransactionalID(topic+"-a"))
	send("transaction that was aborted", kgo.TryAbort, kgo.TransactionalID(topic+"-b"))
	for _, c := range []struct {
		name string
		want map[string]bool
		opts []Option
	}{
		{"read_committed", committed, []Option{ReadCommitted()}},
		{"read_uncommitted", all, nil},
		{"batch", committed, []Option{ReadCommitted(), Batch()}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := run(t, brokers, []string{topic}, append(c.opts, Format("clocked"), StopLatest(), Poll(50*time.Millisecond), Checkpoint(300, time.Second))...)
			have := map[string]bool{}
			for _, text := range got.records(t) {
				have[text] = true
			}
			if d := cmp.Diff(c.want, have); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestServerTakesTLSAndPasswords(t *testing.T) {
	plain := strings.Split(testenv.Server(t, "FLOWBEAM_KAFKA"), ",")
	secure := strings.Split(testenv.Server(t, "FLOWBEAM_KAFKA_SECURE"), ",")
	ca, user := testenv.Server(t, "FLOWBEAM_KAFKA_CA"), testenv.Server(t, "FLOWBEAM_KAFKA_USER")
	t.Setenv("KAFKASOURCE_TEST_PASSWORD", testenv.Server(t, "FLOWBEAM_KAFKA_PASSWORD"))
	topic := realTopic(t, plain, 1)
	c, err := kgo.NewClient(kgo.SeedBrokers(plain...))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.ProduceSync(t.Context(), message(topic, 0, start, "one")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-512"} { // what the broker was told to take
		got := run(t, secure, []string{topic}, Format("clocked"), StopLatest(), Poll(20*time.Millisecond), TLS("file:"+ca), SASL(mechanism, user, "env:KAFKASOURCE_TEST_PASSWORD"))
		if n := len(got.records(t)); n != 1 {
			t.Errorf("%s: %d messages", mechanism, n)
		}
	}
	t.Setenv("KAFKASOURCE_TEST_PASSWORD", "canary-wrong")
	err = Validate(t.Context(), secure, []string{topic}, TLS("file:"+ca), SASL("SCRAM-SHA-512", user, "env:KAFKASOURCE_TEST_PASSWORD"))
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("a wrong password: %v", err)
	}
}
