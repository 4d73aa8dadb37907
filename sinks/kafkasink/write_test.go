package kafkasink

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/flowtest"
	"github.com/flowbeam/flowbeam/flowtest/sinktest"
	"github.com/flowbeam/flowbeam/internal/dataset"
)

func TestMain(m *testing.M) { ptest.Main(m) }

func TestConformance(t *testing.T) {
	sinktest.Run(t, sinktest.Sink{
		Class: sinktest.Log,
		Open: func(t testing.TB, c sinktest.Config) (any, sinktest.Store) {
			f := newFake(t)
			return &recordsFn{Options: f.options(t, c)}, f
		},
	})
}

var quick = sinktest.Config{Wait: 2 * time.Millisecond, Deadline: 5 * time.Second}

func count(e *flowtest.Effects, name string) (n int64) {
	for _, c := range flowtest.Emitted[flow.Count](e, 1) {
		if c.Name == name {
			n += c.N
		}
	}
	return n
}

func failures(e *flowtest.Effects) (all []flow.Failure) {
	for _, b := range flowtest.Emitted[flow.FailureBatch](e, 0) {
		all = append(all, b.Failures...)
	}
	return all
}

func TestAMessageSaysWhatItIs(t *testing.T) {
	for _, compression := range []string{"zstd", "lz4", "snappy", "gzip", "none"} {
		f := newFake(t)
		records := flowtest.Records(300, 4)
		records[8].CommunityID = ""
		p, s := beam.NewPipelineWithRoot()
		r := Write(s, beam.Create(s, flow.Batch{Records: records}), f.brokers(), f.topic, Key("community_id"), Compression(compression))
		passert.Empty(s, r.Failures)
		passert.Count(s, r.Counts, "counts", 3) // new, requests, bytes
		ptest.RunAndValidate(t, p)

		byID := map[string]*kgo.Record{}
		partition := map[string]int32{}
		for _, m := range f.all() {
			byID[header(m, headerID)] = m
			if at, ok := partition[string(m.Key)]; ok && at != m.Partition {
				t.Errorf("key %s is in partitions %d and %d", m.Key, at, m.Partition)
			}
			partition[string(m.Key)] = m.Partition
		}
		if len(byID) != len(records) || len(partition) < 2 {
			t.Fatalf("%d messages of %d records, %d keys", len(byID), len(records), len(partition))
		}
		for i := range records {
			x := &records[i]
			m := byID[x.ID.String()]
			key := x.CommunityID
			if key == "" {
				key = x.ID.String()
			}
			if string(m.Key) != key || string(m.Value) != string(flow.AppendRecordJSON(nil, x)) || len(m.Headers) != 4 ||
				header(m, headerTable) != "flows" || header(m, headerContentType) != "application/json" || header(m, headerSchema) != "1" ||
				!m.Timestamp.Equal(x.EventTime.Std().Truncate(time.Millisecond)) {
				t.Fatalf("record %d: %+v", i, m)
			}
		}
	}
}

// A broker refuses a batch for one message in it, and the client then fails all that waits
// for the partition. The others are written; the one is a dead letter.
func TestOneBadMessageIsFoundAmongTheOthers(t *testing.T) {
	f := newFake(t).small()
	records := flowtest.Records(1000, 5)
	random := make([]byte, 60000) // compresses to more than 20,000 bytes
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range random {
		random[i] = 'a' + byte(rng.IntN(26))
	}
	records[500].Original = string(random)
	// The sink is told of a larger bound than the broker has.
	h := flowtest.NewHarness(t, &recordsFn{Options: f.options(t, quick, MaxMessageBytes(1<<20))}, flowtest.Once)
	e := h.Bundle(flow.Batch{Records: records})
	bad := failures(e)
	if len(bad) != 1 || bad[0].Stage != "kafka" || bad[0].Reason != flow.ReasonRejected || !strings.Contains(bad[0].Error, "MESSAGE_TOO_LARGE") || !strings.Contains(bad[0].Data, records[500].ID.String()) {
		t.Fatalf("%d dead letters", len(bad))
	}
	if n, there := count(e, "new"), distinct(f.IDs()); n != 999 || len(there) != 999 {
		t.Errorf("%d new, %d there", n, len(there))
	}
}

// The topic's bound is asked for, so that what is too large isn't sent at all.
func TestTheTopicsBoundIsKnown(t *testing.T) {
	f := newFake(t).small()
	records := flowtest.Records(100, 5)
	records[50].Original = strings.Repeat("x", 20000)
	h := flowtest.NewHarness(t, &recordsFn{Options: f.options(t, quick)}, flowtest.Once)
	e := h.Bundle(flow.Batch{Records: records}, flow.Batch{Records: []flow.Record{{EventTime: 1}}})
	bad := failures(e)
	if len(bad) != 2 || !strings.Contains(bad[0].Error, "takes 20000 (max.message.bytes") || !strings.Contains(bad[1].Error, "no id") {
		t.Fatalf("%+v", bad)
	}
	if n := count(e, "new"); n != 99 || count(e, "retried") != 0 {
		t.Errorf("%d new, %d retried", n, count(e, "retried"))
	}
}

// What the client repeats by itself, with the sequence numbers of an idempotent producer,
// is not there twice: a distinct is needed for what the runner repeats alone.
func TestARepetitionOfTheClientDoublesNothing(t *testing.T) {
	for _, fault := range []sinktest.Fault{sinktest.Unavailable, sinktest.LostReply, sinktest.Broken, sinktest.Partial} {
		f := newFake(t)
		f.Fail(fault, 4)
		h := flowtest.NewHarness(t, &recordsFn{Options: f.options(t, sinktest.Config{Wait: time.Millisecond, Deadline: 5 * time.Second, MaxBatch: 100})}, flowtest.Once)
		e := h.Bundle(flow.Batch{Records: flowtest.Records(3000, 6)})
		if ids := f.IDs(); len(ids) != 3000 || len(distinct(ids)) != 3000 || count(e, "new") != 3000 || count(e, "retried") == 0 {
			t.Errorf("%v: %d messages, %d distinct, %d new, %d retried", fault, len(ids), len(distinct(ids)), count(e, "new"), count(e, "retried"))
		}
	}
}

// The client fails all that waits for a partition when the context of the first message
// there ends. A bundle that is cancelled must not take along what others have behind it.
func TestABundleThatIsCancelledLeavesOthersAlone(t *testing.T) {
	f := newFake(t)
	o := f.options(t, quick)
	f.Fail(sinktest.Unavailable, -1)
	ctx, cancel := context.WithCancel(context.Background())
	cancelled := make(chan error)
	h := flowtest.NewHarness(t, &recordsFn{Options: o}, flowtest.Once).WithContext(ctx)
	go func() { cancelled <- h.TryBundle(flow.Batch{Records: flowtest.Records(300, 1)}) }()
	time.Sleep(50 * time.Millisecond)

	fn := &recordsFn{Options: o}
	if err := fn.Setup(context.Background()); err != nil {
		t.Fatal(err)
	}
	defer fn.Teardown()
	fn.sink.start(context.Background())
	records := flowtest.Records(300, 2)
	for i := range records {
		if err := fn.sink.add(&records[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := fn.sink.send(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	cancel()
	if err := <-cancelled; err == nil {
		t.Error("it succeeded in spite of it")
	}
	time.Sleep(100 * time.Millisecond) // some repetitions
	f.Fail(sinktest.Unavailable, 0)
	tally, _, err := fn.sink.flight.Wait()
	if err != nil || tally.New != 300 || tally.Retried != 0 {
		t.Errorf("the other bundle: %+v, %v", tally, err)
	}
}

func TestAnAbsentTopicIsSaidAtTheStart(t *testing.T) {
	f := newFake(t)
	ctx := context.Background()
	o := f.options(t, quick)
	o.Topic = "absent"
	err := flowtest.NewHarness(t, &recordsFn{Options: o}, flowtest.Once).TryBundle(flow.Batch{})
	if !contains(err, `topic "absent" does not exist`, "CreateTopic", f.brokers()[0]) {
		t.Error(err)
	}
	if err := Validate(ctx, f.brokers(), "absent"); !contains(err, `topic "absent" does not exist`) {
		t.Error(err)
	}
	if err := Validate(ctx, f.brokers(), "absent", CreateTopic(2, 1)); err != nil {
		t.Error(err)
	}
	if f.cluster.TopicInfo("absent") != nil {
		t.Error("Validate or a sink without CreateTopic made the topic")
	}
	if err := Validate(ctx, f.brokers(), f.topic); err != nil {
		t.Error(err)
	}
	o.Partitions, o.Replication = 4, 1
	flowtest.NewHarness(t, &recordsFn{Options: o}, flowtest.Once).Bundle(flow.Batch{Records: flowtest.Records(10, 1)})
	if n := len(f.cluster.PartitionInfos("absent")); n != 4 {
		t.Errorf("%d partitions", n)
	}
}

func TestBrokersThatAreNotThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	begun := time.Now()
	err = Validate(context.Background(), []string{address}, "flows", Retry(time.Millisecond, 10*time.Millisecond, time.Second))
	if !contains(err, address, "check the addresses") || time.Since(begun) > validateTime {
		t.Error(err)
	}
}

func TestEveryBadOptionIsReportedAtOnce(t *testing.T) {
	err := Validate(context.Background(), []string{"example.org:9092", "nonsense"}, "a/b", Name(""), Key("nonsense"), Compression("rar"), MaxMessageBytes(1),
		Batch(0, 1, 1), Buffer(0, 1), Linger(-1), Retry(0, 0, 0), TLS("pem"), ClientCertificate("", ""), SASL("PLAIN", "u", "hunter2"), CreateTopic(0, 0))
	if !contains(err, `topic "a/b"`, `broker "nonsense"`, "Name: empty", `no column "nonsense"`, `"rar"`, "MaxMessageBytes: 1", "Batch: 0", "Buffer: 0", "Linger: -1ns", "Retry:", "TLS: a secret is given as", "ClientCertificate: want both", "SASL: a secret is given as", "CreateTopic: 0") || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
	if err := Validate(context.Background(), []string{"example.org:9092"}, "flows", SASL("PLAIN", "u", "env:X")); !contains(err, "PLAIN without TLS") {
		t.Error(err)
	}
}

func TestRollupsAndFailures(t *testing.T) {
	f := newFake(t)
	table := flow.RollupTable("1m", []string{"user_id"}, []flow.Kind{flow.KindString}, []string{"flows"}, []flow.Kind{flow.KindInt})
	rt, err := dataset.RollupTableOf(table)
	if err != nil {
		t.Fatal(err)
	}
	row := flow.Rollup{Window: flow.TimeOf(flowtest.Start).Truncate(time.Minute), Length: time.Minute, Records: 3, Group: []flow.Value{flow.StringValue("u")}, Measures: []flow.Value{flow.IntValue(3)}}
	rows := flow.RollupBatch{Level: "1m", Fields: []string{"user_id"}, Measures: []string{"flows"}, Rows: []flow.Rollup{row}}
	h := flowtest.NewHarness(t, &rollupsFn{Options: f.options(t, quick, Key("user_id")), Table: rt}, flowtest.Once)
	h.Bundle(rows)
	rows.Level = "5m"
	if err := h.TryBundle(rows); !contains(err, "level 5m", "level 1m") {
		t.Error(err)
	}
	bad := flow.Failure{Stage: "parse", Reason: flow.ReasonSyntax, Error: "cut", Data: "\xff{", Position: flow.Position{Source: "f", Offset: flow.N(7)}}
	flowtest.NewHarness(t, &failuresFn{Options: f.options(t, quick)}, flowtest.Once).Bundle(flow.FailureBatch{Failures: []flow.Failure{bad}})
	byTable := map[string]*kgo.Record{}
	for _, m := range f.all() {
		byTable[header(m, headerTable)] = m
	}
	for table, want := range map[string]struct{ id, key, data string }{
		"rollup_1m":    {row.ID([]string{"user_id"}).String(), "u", `"flows":3`},
		"dead_letters": {bad.ID().String(), bad.ID().String(), `"data_base64":"/3s="`},
	} {
		if m := byTable[table]; m == nil || header(m, headerID) != want.id || string(m.Key) != want.key || !strings.Contains(string(m.Value), want.data) {
			t.Errorf("%s: %+v", table, m)
		}
	}
}

// Runners set DoFns up by the hundred: they share one client, with its connections,
// buffers and producer id.
func TestDoFnsShareAClient(t *testing.T) {
	f := newFake(t)
	var sinks []*sink[flow.Record]
	for range 100 {
		s := &recordsFn{Options: f.options(t, quick)}
		if err := s.Setup(context.Background()); err != nil {
			t.Fatal(err)
		}
		sinks = append(sinks, &s.sink)
	}
	c := sinks[0].client
	if slices.ContainsFunc(sinks, func(s *sink[flow.Record]) bool { return s.client != c }) || c.refs != 100 {
		t.Errorf("%d users of one client", c.refs)
	}
	for _, s := range sinks {
		s.teardown()
	}
	if c.refs != 0 || c.idle == nil {
		t.Errorf("%d users are left", c.refs)
	}
}

// An idempotent producer that is refused its id would stay so: it is replaced.
func TestAProducerWithoutAnIDIsReplaced(t *testing.T) {
	f := newFake(t)
	f.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, Err: kerr.ClusterAuthorizationFailed, Count: 2})
	h := flowtest.NewHarness(t, &recordsFn{Options: f.options(t, quick)}, flowtest.Once)
	e := h.Bundle(flow.Batch{Records: flowtest.Records(100, 1)})
	if n := count(e, "new"); n != 100 || len(failures(e)) != 0 {
		t.Errorf("%d new", n)
	}
}

// The password is wrong at first and right then: the sink reads it again, and no record is
// at fault. Nowhere does either show.
func TestPasswordsAreReadAgainAndNeverShow(t *testing.T) {
	const right, wrong = "r1ght-canary", "wr0ng-canary"
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-512", "SCRAM-SHA-256"} {
		f := newFake(t, kfake.EnableSASL(), kfake.Superuser(mechanism, "flow", right))
		path := filepath.Join(t.TempDir(), "password")
		write := func(text string) {
			if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(wrong)
		auth := SASL(mechanism, "flow", "file:"+path)
		short := f.options(t, sinktest.Config{Wait: time.Millisecond, Deadline: 1500 * time.Millisecond}, auth)
		fn := &recordsFn{Options: short}
		failed := flowtest.NewHarness(t, fn, flowtest.Once).TryBundle(flow.Batch{Records: flowtest.Records(10, 1)})
		if !contains(failed, "SASL") {
			t.Errorf("%s: %v", mechanism, failed)
		}
		invalid := Validate(context.Background(), f.brokers(), f.topic, auth, Retry(time.Millisecond, time.Millisecond, time.Second))
		if !contains(invalid, "SASL") {
			t.Errorf("%s: %v", mechanism, invalid)
		}
		travels, err := json.Marshal(fn)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(200*time.Millisecond, func() { write(right) })
		h := flowtest.NewHarness(t, &recordsFn{Options: f.options(t, quick, auth)}, flowtest.Once)
		e := h.Bundle(flow.Batch{Records: flowtest.Records(10, 1)})
		if count(e, "new") != 10 {
			t.Errorf("%s: %d new", mechanism, count(e, "new"))
		}
		counts := fmt.Sprintf("%+v", flowtest.Emitted[flow.Count](e, 1))
		if text := failed.Error() + invalid.Error() + string(travels) + counts; strings.Contains(text, right) || strings.Contains(text, wrong) {
			t.Error(text)
		}
	}
}

// A refusal of credentials is of no record.
func TestRefusedCredentialsAreNoDeadLetter(t *testing.T) {
	f := newFake(t)
	f.Fail(sinktest.Expired, 3)
	h := flowtest.NewHarness(t, &recordsFn{Options: f.options(t, quick)}, flowtest.Once)
	e := h.Bundle(flow.Batch{Records: flowtest.Records(1, 1)})
	if count(e, "new") != 1 || len(failures(e)) != 0 || count(e, "retried") == 0 {
		t.Errorf("%d new, %d dead letters, %d retried", count(e, "new"), len(failures(e)), count(e, "retried"))
	}
}

func TestNothingOfAFailedBundleStays(t *testing.T) {
	f := newFake(t)
	ctx := context.Background()
	fail, count := func(flow.FailureBatch) {}, func(c flow.Count) { t.Errorf("%+v", c) }
	fn := &recordsFn{Options: f.options(t, quick)}
	if err := fn.Setup(ctx); err != nil {
		t.Fatal(err)
	}
	defer fn.Teardown()
	fn.StartBundle(ctx, fail, count)
	if err := fn.ProcessElement(ctx, flow.Batch{Records: flowtest.Records(10, 1)}, fail, count); err != nil {
		t.Fatal(err)
	}
	fn.StartBundle(ctx, fail, count) // the first one failed elsewhere
	if err := fn.FinishBundle(ctx, fail, count); err != nil {
		t.Fatal(err)
	}
	if n := len(f.IDs()); n != 0 {
		t.Errorf("%d messages", n)
	}
}
