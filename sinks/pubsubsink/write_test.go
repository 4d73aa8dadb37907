package pubsubsink

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/flowtest"
	"github.com/flowbeam/flowbeam/flowtest/sinktest"
	"github.com/flowbeam/flowbeam/internal/dataset"
	"github.com/flowbeam/flowbeam/internal/pubsubconn"
	"github.com/flowbeam/flowbeam/internal/secret"
)

func TestMain(m *testing.M) { ptest.Main(m) }

var quick = sinktest.Config{Wait: 2 * time.Millisecond, Deadline: 5 * time.Second}

func TestConformance(t *testing.T) {
	open := func(opts ...Option) func(testing.TB, sinktest.Config) (any, sinktest.Store) {
		return func(t testing.TB, c sinktest.Config) (any, sinktest.Store) {
			f := newFake(t)
			return &recordsFn{Options: f.options(t, c, opts...)}, f
		}
	}
	t.Run("plain", func(t *testing.T) { sinktest.Run(t, sinktest.Sink{Class: sinktest.Log, Open: open()}) })
	t.Run("ordered", func(t *testing.T) {
		sinktest.Run(t, sinktest.Sink{Class: sinktest.Log, Open: open(OrderingKey("community_id"))})
	})
}

// What is written by hand must be what the generated code reads: on pstest, which is
// Google's own fake.
func TestAMessageSaysWhatItIs(t *testing.T) {
	srv := pstest.NewServer()
	defer srv.Close()
	if _, err := srv.GServer.CreateTopic(context.Background(), &pubsubpb.Topic{Name: topicName}); err != nil {
		t.Fatal(err)
	}
	records := flowtest.Records(200, 4)
	records[7].EventTime = 0
	records[8].CommunityID = ""
	p, s := beam.NewPipelineWithRoot()
	r := Write(s, beam.Create(s, flow.Batch{Records: records}), project, topic, Emulator(srv.Addr), OrderingKey("community_id"))
	passert.Empty(s, r.Failures)
	passert.Count(s, r.Counts, "counts", 3) // new, requests, bytes
	ptest.RunAndValidate(t, p)

	byID := map[string]*pstest.Message{}
	for _, m := range srv.Messages() {
		byID[m.Attributes[attributeID]] = m
	}
	if len(byID) != len(records) {
		t.Fatalf("%d messages of %d records", len(byID), len(records))
	}
	for i := range records {
		x := &records[i]
		m := byID[x.ID.String()]
		want := map[string]string{"record_id": x.ID.String(), "table": "flows", "content_type": "application/json", "schema_version": "1"}
		if x.EventTime != 0 {
			want["event_time"] = x.EventTime.String()
		}
		if !equal(m.Attributes, want) || m.OrderingKey != x.CommunityID || !bytes.Equal(m.Data, flow.AppendRecordJSON(nil, x)) {
			t.Fatalf("record %d: attributes %v, key %q, data %s", i, m.Attributes, m.OrderingKey, m.Data)
		}
	}
}

func equal(a, b map[string]string) bool {
	for k, v := range b {
		if a[k] != v {
			return false
		}
	}
	return len(a) == len(b)
}

// One message that a schema refuses takes its whole request along: the others go without
// it, and it alone is a dead letter.
func TestOneBadMessageIsFoundAmongTheOthers(t *testing.T) {
	f := newFake(t)
	records := flowtest.Records(1000, 5)
	bad := map[string]bool{records[3].ID.String(): true, records[999].ID.String(): true}
	f.refuse = func(m *pubsubpb.PubsubMessage) bool { return bad[m.Attributes[attributeID]] }
	h := flowtest.NewHarness(t, &recordsFn{Options: f.options(t, quick)}, flowtest.Once)
	e := h.Bundle(flow.Batch{Records: records})
	var failures []flow.Failure
	for _, b := range flowtest.Emitted[flow.FailureBatch](e, 0) {
		failures = append(failures, b.Failures...)
	}
	if len(failures) != 2 {
		t.Fatalf("%d dead letters", len(failures))
	}
	for _, x := range failures {
		if x.Stage != "pubsub" || x.Reason != flow.ReasonRejected || !strings.Contains(x.Error, "does not match the topic's schema") || x.Format != flow.FormatRecord {
			t.Errorf("%+v", x)
		}
	}
	if n := count(e, "new"); n != 998 || len(f.IDs()) != 998 {
		t.Errorf("%d new, %d there", n, len(f.IDs()))
	}
}

func count(e *flowtest.Effects, name string) (n int64) {
	for _, c := range flowtest.Emitted[flow.Count](e, 1) {
		if c.Name == name {
			n += c.N
		}
	}
	return n
}

func TestWhatTheServiceWouldNotTakeIsNotSent(t *testing.T) {
	f := newFake(t)
	for name, r := range map[string]flow.Record{
		"no id":            {EventTime: flow.TimeOf(flowtest.Start)},
		"not UTF-8":        flowtest.Record(flowtest.User("\xff")),
		"takes 1024":       flowtest.Record(flowtest.User(strings.Repeat("u", 1025))),
		"takes 10000000 a": flowtest.Record(func(r *flow.Record) { r.Original = strings.Repeat("x", maxRequestBytes) }),
	} {
		h := flowtest.NewHarness(t, &recordsFn{Options: f.options(t, quick, OrderingKey("user_id"))}, flowtest.Once)
		e := h.Bundle(flow.Batch{Records: []flow.Record{r}})
		b := flowtest.Emitted[flow.FailureBatch](e, 0)
		if len(b) != 1 || len(b[0].Failures) != 1 || !strings.Contains(b[0].Failures[0].Error, name) {
			t.Errorf("%s: %d dead letters", name, len(b))
		}
	}
	if n := f.Writes(); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// Requests of at most 10 MB and 1,000 messages, whatever the records: the fake refuses
// others, and then there would be dead letters.
func TestLargeMessagesGoInSmallRequests(t *testing.T) {
	f := newFake(t)
	records := flowtest.Records(30, 6)
	for i := range records {
		records[i].Original = strings.Repeat("x", 900_000)
	}
	h := flowtest.NewHarness(t, &recordsFn{Options: f.options(t, quick, Batch(1000, maxRequestBytes, 4))}, flowtest.Once)
	e := h.Bundle(flow.Batch{Records: records})
	if n := count(e, "new"); n != 30 || f.Writes() != 3 {
		t.Errorf("%d new in %d requests", n, f.Writes())
	}
}

// With ordering keys the messages of one key stay in their order, also when requests are
// repeated in between.
func TestOrderWithinAKey(t *testing.T) {
	f := newFake(t)
	records := flowtest.Records(2000, 7)
	for i := range records {
		records[i].UserID = string(rune('a' + i%5))
		records[i].Revision = int64(i)
	}
	f.Fail(sinktest.Unavailable, 5)
	h := flowtest.NewHarness(t, &recordsFn{Options: f.options(t, quick, OrderingKey("user_id"), Batch(50, 1<<20, 4))}, flowtest.Once)
	h.Bundle(flow.Batch{Records: records})
	last := map[string]int64{}
	for _, m := range f.messages {
		var row struct{ Revision int64 }
		if err := json.Unmarshal(m.Data, &row); err != nil {
			t.Fatal(err)
		}
		if at, ok := last[m.OrderingKey]; ok && row.Revision < at {
			t.Fatalf("key %s: %d after %d", m.OrderingKey, row.Revision, at)
		}
		last[m.OrderingKey] = row.Revision
	}
	if len(last) != 5 || len(f.messages) != 2000 {
		t.Errorf("%d keys, %d messages", len(last), len(f.messages))
	}
}

func TestAnAbsentTopicIsSaidAtTheStart(t *testing.T) {
	f := newFake(t)
	o := f.options(t, quick)
	o.Topic = "projects/flowbeam-test/topics/absent"
	err := flowtest.NewHarness(t, &recordsFn{Options: o}, flowtest.Once).TryBundle(flow.Batch{})
	if !contains(err, "topics/absent does not exist", "create it") {
		t.Error(err)
	}
	ctx := context.Background()
	if err := Validate(ctx, project, "absent", Emulator(f.addr)); !contains(err, "topics/absent does not exist") {
		t.Error(err)
	}
	if err := Validate(ctx, project, topic, Emulator(f.addr)); err != nil {
		t.Error(err)
	}
}

func TestEveryBadOptionIsReportedAtOnce(t *testing.T) {
	err := Validate(context.Background(), "P", "goog/x", Name(""), OrderingKey("nonsense"), Batch(1001, 1, 1), Retry(0, 0, 0), Endpoint("x"), Credentials("secret-itself"))
	if !contains(err, "Name: empty", `no column "nonsense"`, "Batch: 1001", "Retry:", `Endpoint: "x"`, "Credentials: a secret is given as", `"projects/P/topics/goog/x"`) || strings.Contains(err.Error(), "secret-itself") {
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
	h := flowtest.NewHarness(t, &rollupsFn{Options: f.options(t, quick), Table: rt}, flowtest.Once)
	h.Bundle(rows)
	rows.Level = "5m"
	if err := h.TryBundle(rows); !contains(err, "level 5m", "level 1m") {
		t.Error(err)
	}
	bad := flow.Failure{Stage: "parse", Reason: flow.ReasonSyntax, Error: "cut", Data: "\xff{", Position: flow.Position{Source: "f", Offset: flow.N(7)}}
	flowtest.NewHarness(t, &failuresFn{Options: f.options(t, quick)}, flowtest.Once).Bundle(flow.FailureBatch{Failures: []flow.Failure{bad}})
	if len(f.messages) != 2 {
		t.Fatalf("%d messages", len(f.messages))
	}
	for i, want := range []struct{ id, table, at, data string }{
		{row.ID([]string{"user_id"}).String(), "rollup_1m", "2026-01-02T03:04:00Z", `"flows":3`},
		{bad.ID().String(), "dead_letters", "", `"data_base64":"/3s="`},
	} {
		m := f.messages[i]
		if m.Attributes[attributeID] != want.id || m.Attributes[attributeTable] != want.table || m.Attributes[attributeTime] != want.at || !bytes.Contains(m.Data, []byte(want.data)) {
			t.Errorf("%v %s", m.Attributes, m.Data)
		}
	}
}

// Runners set DoFns up by the hundred: they share one client.
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

func TestNoSecretShows(t *testing.T) {
	const canary = "s3cr3t-canary"
	path := filepath.Join(t.TempDir(), "key.json")
	for _, text := range []string{canary, `{"type":"` + canary + `"}`, `{"type":"service_account","private_key":"` + canary + `"}`, `{"type":"service_account","private_key":"` + canary} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		opts := []Option{Credentials("file:" + path), Endpoint("127.0.0.1:1"), Retry(time.Millisecond, time.Millisecond, 50*time.Millisecond)}
		o, err := apply(defaults("pubsub", project, topic), opts)
		o.Connection.Emulator = ""
		if err != nil {
			t.Fatal(err)
		}
		fn := &recordsFn{Options: o}
		travels, err := json.Marshal(fn)
		if err != nil {
			t.Fatal(err)
		}
		got := flowtest.NewHarness(t, fn, flowtest.Once).TryBundle(flow.Batch{Records: flowtest.Records(1, 1)})
		valid := Validate(context.Background(), project, topic, opts...)
		if got == nil || strings.Contains(got.Error()+string(travels)+errText(valid), canary) {
			t.Errorf("%v\n%v\n%s", got, valid, travels)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestErrorsAreMarkedByTheirCode(t *testing.T) {
	for code, want := range map[codes.Code]string{
		codes.Unavailable: "again", codes.DeadlineExceeded: "again", codes.Aborted: "again", codes.Internal: "again", codes.Unknown: "again",
		codes.ResourceExhausted: "again", codes.Canceled: "again", codes.FailedPrecondition: "again",
		codes.Unauthenticated: "again", codes.PermissionDenied: "again",
		codes.InvalidArgument: "", codes.NotFound: "",
	} {
		tries := 0
		o := options{}
		o.Policy.Base, o.Policy.Cap, o.Policy.Deadline, o.Policy.Auth = 1, 1, time.Minute, time.Minute
		o.Policy.Do(context.Background(), "x", func(context.Context) error {
			if tries++; tries > 1 {
				return nil
			}
			return pubsubconn.Mark(status.Error(code, "x"))
		})
		if (tries > 1) != (want == "again") {
			t.Errorf("%v: %d tries", code, tries)
		}
	}
}

// A refusal of credentials is of no record: it fails the bundle when it stays.
func TestRefusedCredentialsAreNoDeadLetter(t *testing.T) {
	f := newFake(t)
	f.Fail(sinktest.Expired, -1)
	o := f.options(t, sinktest.Config{Wait: time.Millisecond, Deadline: time.Minute})
	o.Policy.Auth = 100 * time.Millisecond // each try has the time it needs, whatever else the machine does
	err := flowtest.NewHarness(t, &recordsFn{Options: o}, flowtest.Once).TryBundle(flow.Batch{Records: flowtest.Records(10, 1)})
	if !contains(err, "Unauthenticated", "roles/pubsub.publisher") {
		t.Error(err)
	}
}

// A reply must have an id for each message.
func TestAReplyThatIsCutIsNotTrusted(t *testing.T) {
	f := newFake(t)
	f.Fail(sinktest.Broken, 1)
	h := flowtest.NewHarness(t, &recordsFn{Options: f.options(t, quick)}, flowtest.Once)
	e := h.Bundle(flow.Batch{Records: flowtest.Records(100, 1)})
	if count(e, "new") != 100 || count(e, "retried") != 1 || count(e, "requests") != 2 {
		t.Errorf("%d new, %d retried, %d requests", count(e, "new"), count(e, "retried"), count(e, "requests"))
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

// A key that is refused is read again: it may have been renewed.
func TestARefusedKeyIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key.json")
	writeKey := func(user string) {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(map[string]string{"type": "service_account", "client_email": user, "token_uri": "https://127.0.0.1:1/",
			"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	writeKey("a@example.org")
	ctx := context.Background()
	c, err := acquire(ctx, connection{pubsubconn.Connection{Endpoint: "127.0.0.1:1", Credentials: secret.Ref("file:" + path)}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.release()
	first := c.now()
	writeKey("b@example.org")
	c.renew(ctx, first)
	second := c.now()
	c.renew(ctx, first) // another request that the first one was refused to
	if second == first || c.now() != second {
		t.Error("the key was not read again, or more than once")
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.renew(ctx, second)
	if c.now() != second {
		t.Error("a broken file took the place of a key")
	}
}
