package kafkasink

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/flowtest"
	"github.com/flowbeam/flowbeam/internal/testenv"
)

// newTopic makes a topic of the test's own on a real broker.
func newTopic(t *testing.T, brokers []string, configs map[string]*string) string {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	topic := fmt.Sprintf("kafkasink-%d-%d", os.Getpid(), time.Now().UnixNano())
	admin := kadm.NewClient(c)
	ctx := context.Background()
	if _, err := admin.CreateTopic(ctx, 4, 1, configs, topic); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { admin.DeleteTopic(ctx, topic) })
	// The controller has made it; a client that asks the broker at once may hear that it is
	// not there.
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		known, err := admin.ListTopics(ctx, topic)
		if err == nil && known.Has(topic) && known[topic].Err == nil && len(known[topic].Partitions) == 4 {
			return topic
		}
		if time.Now().After(deadline) {
			t.Fatalf("the topic %s is not known after 30 seconds: %v", topic, err)
		}
	}
}

// readAll reads a topic of a real broker to its end.
func readAll(t *testing.T, brokers []string, topic string) (messages []*kgo.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	end, err := kadm.NewClient(c).ListEndOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	left := int64(0)
	end.Each(func(o kadm.ListedOffset) { left += o.Offset })
	for left > 0 && ctx.Err() == nil {
		c.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			messages = append(messages, r)
			left--
		})
	}
	if left != 0 {
		t.Fatalf("%d messages could not be read: %v", left, ctx.Err())
	}
	return messages
}

// sums are the records by id, and the sum of the source bytes after a distinct by id.
func sums(records []flow.Record) (ids map[string]bool, bytes int64) {
	ids = map[string]bool{}
	for i := range records {
		if id := records[i].ID.String(); !ids[id] {
			ids[id] = true
			bytes += records[i].Source.Bytes.Or(0)
		}
	}
	return ids, bytes
}

func TestARealBrokerHasEachRecord(t *testing.T) {
	brokers := strings.Split(testenv.Server(t, "FLOWBEAM_KAFKA"), ",")
	writeAndCompare(t, brokers, newTopic(t, brokers, nil), brokers)
}

func TestARealBrokerWithTLSAndSASL(t *testing.T) {
	plain := strings.Split(testenv.Server(t, "FLOWBEAM_KAFKA"), ",")
	secure := strings.Split(testenv.Server(t, "FLOWBEAM_KAFKA_SECURE"), ",")
	ca, user := testenv.Server(t, "FLOWBEAM_KAFKA_CA"), testenv.Server(t, "FLOWBEAM_KAFKA_USER")
	t.Setenv("KAFKASINK_TEST_PASSWORD", testenv.Server(t, "FLOWBEAM_KAFKA_PASSWORD"))
	t.Setenv("KAFKASINK_TEST_WRONG", "wr0ng-canary")
	topic := newTopic(t, plain, nil)
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			opts := []Option{TLS("file:" + ca), SASL(mechanism, user, "env:KAFKASINK_TEST_PASSWORD")}
			if err := Validate(context.Background(), secure, topic, opts...); err != nil {
				t.Fatal(err)
			}
			writeAndCompare(t, secure, newTopic(t, plain, nil), plain, opts...)
			err := Validate(context.Background(), secure, topic, TLS("file:"+ca), SASL(mechanism, user, "env:KAFKASINK_TEST_WRONG"))
			if !contains(err, "SASL_AUTHENTICATION_FAILED", "check user and password") || strings.Contains(err.Error(), "wr0ng") {
				t.Errorf("a wrong password: %v", err)
			}
		})
	}
	err := Validate(context.Background(), secure, topic, TLS(""), SASL("PLAIN", user, "env:KAFKASINK_TEST_PASSWORD"))
	if !contains(err, "certificate") {
		t.Errorf("an authority that isn't trusted: %v", err)
	}
}

// writeAndCompare writes 20,000 records in bundles, one of them twice, and compares what is
// there: each id, and the sum of bytes after a distinct.
func writeAndCompare(t *testing.T, brokers []string, topic string, from []string, opts ...Option) {
	t.Helper()
	records := flowtest.Records(20_000, 8)
	o, err := apply(defaults("kafka", brokers, topic), opts)
	if err != nil {
		t.Fatal(err)
	}
	h := flowtest.NewHarness(t, &recordsFn{Options: o}, flowtest.Once)
	const bundle = 4000
	for at := 0; at < len(records); at += bundle {
		elements := []any{flow.Batch{Records: records[at : at+1500]}, flow.Batch{Records: records[at+1500 : at+bundle]}}
		h.Bundle(elements...)
		if at == bundle {
			h.Bundle(elements...) // the runner's retry
		}
	}
	wantIDs, wantBytes := sums(records)
	messages := readAll(t, from, topic)
	if len(messages) != len(records)+bundle {
		t.Errorf("%d messages, want %d", len(messages), len(records)+bundle)
	}
	seen, lost, bytes := map[string]bool{}, len(wantIDs), int64(0)
	for _, m := range messages {
		id := header(m, headerID)
		if seen[id] {
			continue
		}
		seen[id] = true
		if wantIDs[id] {
			lost--
		}
		var row struct {
			ID    string `json:"record_id"`
			Bytes int64  `json:"source_bytes"`
		}
		if err := json.Unmarshal(m.Value, &row); err != nil {
			t.Fatal(err)
		}
		if row.ID != id {
			t.Fatalf("the message of %s is of %s", id, row.ID)
		}
		bytes += row.Bytes
	}
	if lost != 0 || len(seen) != len(wantIDs) || bytes != wantBytes {
		t.Errorf("%d ids of %d, %d lost, %d bytes of %d", len(seen), len(wantIDs), lost, bytes, wantBytes)
	}
	t.Logf("%d messages, %d distinct ids, 0 lost, %d bytes as given", len(messages), len(seen), bytes)
}

// A broker bounds how far a timestamp may be in the future, and refuses the whole batch.
func TestARealBrokerRefusesOneTimestamp(t *testing.T) {
	brokers := strings.Split(testenv.Server(t, "FLOWBEAM_KAFKA"), ",")
	hour := "3600000"
	topic := newTopic(t, brokers, map[string]*string{"message.timestamp.after.max.ms": &hour})
	records := flowtest.Records(2000, 9)
	for i := range records {
		records[i].EventTime = flow.TimeOf(time.Now())
	}
	records[1234].EventTime = flow.TimeOf(time.Now().Add(48 * time.Hour))
	o, err := apply(defaults("kafka", brokers, topic), nil)
	if err != nil {
		t.Fatal(err)
	}
	e := flowtest.NewHarness(t, &recordsFn{Options: o}, flowtest.Once).Bundle(flow.Batch{Records: records})
	bad := failures(e)
	if len(bad) != 1 || !strings.Contains(bad[0].Error, "INVALID_TIMESTAMP") || !strings.Contains(bad[0].Data, records[1234].ID.String()) {
		t.Fatalf("%d dead letters", len(bad))
	}
	there := map[string]bool{}
	for _, m := range readAll(t, brokers, topic) {
		there[header(m, headerID)] = true
	}
	if count(e, "new") != 1999 || len(there) != 1999 {
		t.Errorf("%d new, %d there", count(e, "new"), len(there))
	}
}

func TestARealBrokerMakesATopicByOptionAlone(t *testing.T) {
	brokers := strings.Split(testenv.Server(t, "FLOWBEAM_KAFKA"), ",")
	topic := newTopic(t, brokers, nil) + "-made"
	ctx := context.Background()
	if err := Validate(ctx, brokers, topic); !contains(err, "does not exist") {
		t.Error(err)
	}
	o, err := apply(defaults("kafka", brokers, topic), []Option{CreateTopic(2, -1)})
	if err != nil {
		t.Fatal(err)
	}
	flowtest.NewHarness(t, &recordsFn{Options: o}, flowtest.Once).Bundle(flow.Batch{Records: flowtest.Records(100, 1)})
	if n := len(readAll(t, brokers, topic)); n != 100 {
		t.Errorf("%d messages", n)
	}
	c, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	kadm.NewClient(c).DeleteTopic(ctx, topic)
}
