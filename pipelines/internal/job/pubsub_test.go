package job

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"google.golang.org/api/iterator"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/loadgen"
	"github.com/flowbeam/flowbeam/internal/pubsubconn"
	"github.com/flowbeam/flowbeam/internal/stopping"
	"github.com/flowbeam/flowbeam/internal/testenv"
	"github.com/flowbeam/flowbeam/sources/pubsubsource"
)

const pubsubProject = "flowbeam-job"

// dataCenters are those of topics and subscriptions, whose names end with them.
var dataCenters = []string{"fra", "iad"}

// emulator is Google's own, with a topic a data center.
type emulator struct {
	*testing.T
	conn   pubsubconn.Connection
	unique string
	client *pubsub.Client
}

// newEmulator makes the topics, and of each a subscription for each name of sets. The
// programs find it by the environment, as they do outside of tests.
func newEmulator(t *testing.T, sets ...string) *emulator {
	t.Helper()
	e := &emulator{T: t, conn: pubsubconn.Connection{Emulator: testenv.Server(t, "FLOWBEAM_PUBSUB")}}
	e.unique = fmt.Sprintf("job-%d-%d", os.Getpid(), time.Now().UnixNano())
	t.Setenv("PUBSUB_EMULATOR_HOST", e.conn.Emulator)
	opts, err := e.conn.Options(t.Context())
	if err == nil {
		e.client, err = pubsub.NewClient(context.Background(), pubsubProject, opts...)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, dc := range dataCenters {
		var names []string
		for _, set := range sets {
			names = append(names, e.subscription(set, dc))
		}
		if err := pubsubsource.Install(t.Context(), pubsubProject, e.unique+"-"+dc, names); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		ctx := context.Background()
		admin := e.client.SubscriptionAdminClient
		for _, name := range e.snapshots(ctx, "") {
			admin.DeleteSnapshot(ctx, &pubsubpb.DeleteSnapshotRequest{Snapshot: name})
		}
		for _, dc := range dataCenters {
			for _, set := range sets {
				admin.DeleteSubscription(ctx, &pubsubpb.DeleteSubscriptionRequest{Subscription: e.full(set, dc)})
			}
			e.client.TopicAdminClient.DeleteTopic(ctx, &pubsubpb.DeleteTopicRequest{Topic: e.topic(dc)})
		}
		e.client.Close()
	})
	return e
}

func (e *emulator) topic(dc string) string {
	return "projects/" + pubsubProject + "/topics/" + e.unique + "-" + dc
}

func (e *emulator) subscription(set, dc string) string { return e.unique + "-" + set + "-" + dc }

func (e *emulator) full(set, dc string) string {
	return "projects/" + pubsubProject + "/subscriptions/" + e.subscription(set, dc)
}

// options are those of a run over a set of subscriptions.
func (e *emulator) options(set string) *Options {
	o := small(e.T)
	for _, dc := range dataCenters {
		o.PubSubInput = append(o.PubSubInput, e.full(set, dc))
	}
	o.Format, o.DataCenter = "canopus", "-([a-z]+)$"
	o.Rollup = []string{"data_center", "user_id"}
	return o
}

// snapshots are the names of this test's that have a part in them.
func (e *emulator) snapshots(ctx context.Context, part string) (names []string) {
	e.Helper()
	for it := e.client.SubscriptionAdminClient.ListSnapshots(ctx, &pubsubpb.ListSnapshotsRequest{Project: "projects/" + pubsubProject}); ; {
		s, err := it.Next()
		if errors.Is(err, iterator.Done) {
			return names
		}
		if err != nil {
			e.Fatal(err)
		}
		if strings.Contains(s.Name, e.unique) && strings.Contains(s.Name, part) {
			names = append(names, s.Name)
		}
	}
}

// publish sends lines of the last half hour, of which one data center lags.
func (e *emulator) publish(records int, seed uint64) loadgen.Truth {
	e.Helper()
	g := loadgen.Default()
	g.Seed, g.Records, g.Users, g.Servers = seed, records, 50, 200
	g.Start, g.Span = time.Now().Add(-30*time.Minute).UTC().Truncate(time.Hour/2), 30*time.Minute
	g.DataCenters, g.LagDataCenter, g.Lag = dataCenters, "iad", 20*time.Minute
	g.DuplicateDelay = 30 * time.Minute
	truth, err := loadgen.WritePubSub(e.Context(), e.conn, pubsubProject, e.topic, g)
	if err != nil {
		e.Fatal(err)
	}
	return truth
}

func init() { register.Function1x0(countRead) }

// linesRead is how many lines were read since a run began.
var linesRead atomic.Int64

func countRead(b flow.RawBatch) { linesRead.Add(int64(len(b.Records))) }

// runUntil runs a stream that is asked to end once so many lines were read.
func runUntil(t *testing.T, o *Options, lines int64) *Summary {
	t.Helper()
	if problems := o.Validate(); len(problems) > 0 {
		t.Fatal(problems)
	}
	p := flows()
	p.Input = func(o *Options, s beam.Scope) (Input, error) {
		in, err := o.Read(s)
		if err == nil {
			beam.ParDo0(s, countRead, in.Raw)
		}
		return in, err
	}
	linesRead.Store(0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for end := time.Now().Add(2 * time.Minute); linesRead.Load() < lines && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		}
		stopping.Request()
	}()
	s := run(t, p, o)
	<-done
	return s
}

func TestSubscriptionsGiveTheirTruth(t *testing.T) {
	e := newEmulator(t, "a")
	want := e.publish(20_000, 1)
	o := e.options("a")
	o.Start = "resume" // there is nothing to resume: where they stand
	first := runUntil(t, o, want.Read)
	expectTruth(t, first, want)
	if c := first.Sinks["files"]; c.New != want.Unique || first.Late != 0 || first.BytesRead == 0 {
		t.Errorf("files: %+v, %d late, of %d bytes", c, first.Late, first.BytesRead)
	}
	byDataCenter := map[string]int64{}
	for _, r := range storedRecords(t, o) {
		byDataCenter[r.DataCenter]++
		if p := r.Position; p.Source != e.topic(r.DataCenter) || p.Key == "" || p.Offset.OK {
			t.Fatalf("position %+v of %s", p, r.DataCenter)
		}
	}
	for dc, n := range want.ByDataCenter {
		if byDataCenter[dc] != n.Unique {
			t.Errorf("data center %s: %d records, want %d", dc, byDataCenter[dc], n.Unique)
		}
	}
	again := runUntil(t, o, want.Read) // all come again, and are there
	expectTruth(t, again, want)
	if c := again.Sinks["files"]; c.New != 0 || c.AlreadyThere != want.Unique {
		t.Errorf("a second run: files: %+v", c)
	}
	if c := again.Sinks["files_dead_letters"]; c.New != 0 || c.AlreadyThere != want.DeadLetters.Total {
		t.Errorf("a second run: dead letters: %+v", c)
	}
	for level := range first.RollupRows {
		var records int64
		for _, row := range rollupRows(t, o, level) {
			records += row.Records
		}
		if records != want.Unique {
			t.Errorf("the rows of %s count %d records, want %d", level, records, want.Unique)
		}
	}
}

// A stream that is stopped half way and one that goes on give what one run gives: the windows
// too that were not whole when it was stopped.
func TestSubscriptionsAreGoneOnWith(t *testing.T) {
	e := newEmulator(t, "whole", "halves")
	halves := e.options("halves")
	one := e.publish(5_000, 1)
	first := runUntil(t, halves, one.Read)
	expectTruth(t, first, one)
	two := e.publish(5_000, 2)
	halves.Start = halves.resume(time.Now())
	second := runUntil(t, halves, one.Read+two.Read)
	if second.Read != one.Read+two.Read || first.Sinks["files"].New+second.Sinks["files"].New != one.Unique+two.Unique || second.Late != 0 {
		t.Errorf("the run that goes on: %+v; want %+v and %+v", second, one.Totals, two.Totals)
	}
	whole := e.options("whole")
	s := runUntil(t, whole, one.Read+two.Read)
	if s.Written != one.Unique+two.Unique || s.Late != 0 {
		t.Errorf("the run over all: %+v", s)
	}
	compareRecords(t, whole, halves)
	for _, level := range []string{"1m", "5m", "1h"} {
		compareRollups(t, whole, halves, level)
	}
}

// subscriptionInput is what a program reads from subscriptions that is killed.
type subscriptionInput struct {
	*emulator
	back time.Duration // how far a run goes back that resumes
}

func newSubscriptionInput(t *testing.T, back time.Duration) *subscriptionInput {
	in := &subscriptionInput{newEmulator(t, "calm", "killed"), back}
	t.Setenv("PUBSUB_EMULATOR_HOST", ending(t, in.conn.Emulator))
	return in
}

func (in *subscriptionInput) options(o *Options) {
	x := in.emulator.options("killed")
	o.PubSubInput, o.DataCenter = x.PubSubInput, x.DataCenter
}

func (in *subscriptionInput) args() []string {
	return []string{"--pubsub_input=" + strings.Join(in.emulator.options("killed").PubSubInput, ","), "--pubsub_snapshot_every=2s"}
}

func (in *subscriptionInput) send(ctx context.Context, enough <-chan struct{}, g loadgen.Config) (loadgen.Truth, error) {
	g.DataCenters = dataCenters
	return loadgen.WritePubSubUntil(ctx, enough, in.conn, pubsubProject, in.topic, g)
}

var snapshotTime = regexp.MustCompile(`~([0-9]{13})~[0-9a-z]+$`)

// place is the time of the snapshot that the next run goes back to, in milliseconds: of the
// subscription that is behind.
func (in *subscriptionInput) place() (at int64) {
	for _, dc := range dataCenters {
		var times []int64
		for _, name := range in.snapshots(in.Context(), in.subscription("killed", dc)) {
			ms, err := strconv.ParseInt(snapshotTime.FindStringSubmatch(name)[1], 10, 64)
			if err != nil {
				in.Fatal(err)
			}
			times = append(times, ms)
		}
		if len(times) == 0 {
			return 0
		}
		slices.Sort(times)
		to := times[0]
		for _, ms := range times {
			if times[len(times)-1]-ms >= in.back.Milliseconds() {
				to = ms
			}
		}
		if at == 0 || to < at {
			at = to
		}
	}
	return at
}

func (in *subscriptionInput) calm(o *Options, want loadgen.Truth) *Summary {
	x := in.emulator.options("calm")
	o.PubSubInput = x.PubSubInput
	// It reads all at once what came in minutes, and in any order.
	o.MaxHold, o.Skew = 10*time.Minute, time.Minute
	return runUntil(in.T, o, want.Read)
}

// ending is an address before the emulator that ends the calls of a connection that is cut:
// the emulator does not see that a process has died, and goes on to send messages to it.
func ending(t *testing.T, emulator string) (address string) {
	t.Helper()
	var plain http.Protocols
	plain.SetUnencryptedHTTP2(true)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Protocols: &plain, ErrorLog: log.New(io.Discard, "", 0), Handler: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: emulator})
			r.Out = r.Out.WithContext(context.WithoutCancel(r.In.Context())) // a call that is cancelled it serves on
			r.Out.Body = cutBody{r.Out.Body}
		},
		Transport:     &http.Transport{Protocols: &plain},
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
	}}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return l.Addr().String()
}

// cutBody ends where it was cut.
type cutBody struct{ io.ReadCloser }

func (b cutBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		err = io.EOF
	}
	return n, err
}

func problems(o *Options) string {
	var text strings.Builder
	for _, e := range o.Validate() {
		text.WriteString(e.Error() + "\n")
	}
	return text.String()
}

func TestWhatASubscriptionNeedsIsSaidBeforeTheRun(t *testing.T) {
	o := small(t, "x")
	o.KafkaInput = []string{"nohost"}
	o.PubSubInput = []string{"flows", "projects/some-project/subscriptions/flows", "projects/other-project/subscriptions/flows"}
	o.Start, o.Stop, o.MaxRate, o.DataCenter, o.PubSubEventTime = "yesterday", "latest", -1, "(a)(b)", "sometime"
	text := problems(o)
	for _, part := range []string{
		"either files", `"flows" is not projects/PROJECT/subscriptions/SUBSCRIPTION`, "projects/other-project/subscriptions/flows is not of the first one's project",
		`"yesterday" is none of subscription, resume, a time`, "a subscription has no end", "--max_rate: -1", "2 groups", `"sometime" is none of payload`,
	} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in\n%s", part, text)
		}
	}
}

// A project has no room for the snapshots of many subscriptions over hours.
func TestSoManySnapshotsAsAProjectHasNot(t *testing.T) {
	o := small(t)
	o.DataCenter = "(a)(b)" // no service is asked
	for i := range 30 {
		o.PubSubInput = append(o.PubSubInput, "projects/some-project/subscriptions/flows"+strings.Repeat("x", i))
	}
	if text := problems(o); !strings.Contains(text, "--pubsub_snapshot_every: 1m0s would make 7500 snapshots of 30 subscriptions within 4h8m0s") {
		t.Error(text)
	}
	o.PubSubSnapshotEvery = 2 * time.Minute
	if text := problems(o); strings.Contains(text, "would make") {
		t.Error(text)
	}
}

// What one kind of stream calls a start the other does not.
func TestWhereAStreamMayBegin(t *testing.T) {
	for _, c := range []struct{ start, topics, subscriptions string }{
		{"", "", ""},
		{"3h", "", ""},
		{"2026-01-31T00:00:00Z", "", ""},
		{"earliest", "", `"earliest" is for topics`},
		{"latest", "", `"latest" is for topics`},
		{"committed", "", `"committed" is for topics`},
		{"subscription", `"subscription" is for subscriptions`, ""},
		{"resume", `"resume" is for subscriptions`, ""},
	} {
		o := small(t)
		o.Start, o.KafkaInputGroup = c.start, "group"
		_, err := o.kafkaOptions(time.Now(), "")
		_, err2 := o.pubsubOptions(time.Now(), "")
		for _, x := range []struct {
			kind, want string
			err        error
		}{{"topics", c.topics, err}, {"subscriptions", c.subscriptions, err2}} {
			if x.want == "" && x.err != nil || x.want != "" && (x.err == nil || !strings.Contains(x.err.Error(), x.want)) {
				t.Errorf("%s from %q: error %v, want %q", x.kind, c.start, x.err, x.want)
			}
		}
	}
}

// A run that resumes goes back past all windows that may not have been whole.
func TestHowFarARunGoesBackThatResumes(t *testing.T) {
	o := small(t)
	if d, want := o.resumeBack(), 2*time.Hour+time.Hour+5*time.Minute+time.Minute+time.Hour+2*time.Minute; d != want || o.keepSnapshots() < d {
		t.Errorf("%v back, want %v; snapshots are kept for %v", d, want, o.keepSnapshots())
	}
	o.Rollup = []string{"off"}
	if d, want := o.resumeBack(), time.Hour+8*time.Minute; d != want {
		t.Errorf("without rollups %v back, want %v", d, want)
	}
	o.ahead = 0
	if d := o.keepSnapshots(); d != 30*time.Minute {
		t.Errorf("snapshots are kept for %v", d)
	}
	o.PubSubInput = []string{"projects/some-project/subscriptions/flows"}
	if s := o.resume(time.Now()); s != "resume" {
		t.Errorf("a run that goes on begins with %q", s)
	}
}
