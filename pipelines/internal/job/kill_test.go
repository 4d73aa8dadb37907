package job

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/dataset"
	"github.com/flowbeam/flowbeam/internal/loadgen"
	"github.com/flowbeam/flowbeam/internal/netfault"
	"github.com/flowbeam/flowbeam/internal/testenv"
)

// childVariable makes the test binary a program, to be killed: flows or replay.
const childVariable = "FLOWBEAM_TEST_CHILD"

// TestKillsOverFiles kills the program a few times; the tests after it do so as often as
// FLOWBEAM_KILLS says, over real stores. They run the program on a topic that fills all
// the while, kill it with SIGKILL, start it again where its group stands, and compare what
// is stored in the end with what one run gives that nobody kills. TestKillsOverPubSub does
// the same with subscriptions.
//
// A kill comes at a random instant, or at one at which something has happened outside that
// the pipeline does not know yet: a reply of a store is on its way, or a part has become
// visible.
func TestKillsOverFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: -short")
	}
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "flows"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	k := newKills(t, 6, &topicInput{t, c.ListenAddrs(), "flows"})
	k.run()
	k.compare()
}

func TestKillsOverElasticsearch(t *testing.T) {
	k := newStoreKills(t, 1)
	elastic, namespace := testenv.Server(t, "FLOWBEAM_ES_URL"), k.o.KafkaInputTopics[0]
	es := k.proxy("Elasticsearch", strings.TrimPrefix(elastic, "http://"))
	k.o.Elasticsearch, k.o.ElasticNamespace, k.o.ElasticILM = []string{elastic}, namespace, false
	k.args = append(k.args, "--elasticsearch=http://"+es, "--elasticsearch_namespace="+namespace, "--elasticsearch_ilm=false")
	k.install()
	k.run()
	k.compare()
	k.compareElasticsearch(elastic, namespace)
}

// compareElasticsearch asks for what has been written.
func (k *kills) compareElasticsearch(elastic, namespace string) {
	k.Helper()
	var found struct {
		Hits         struct{ Total struct{ Value int64 } }
		Aggregations map[string]struct{ Value float64 }
	}
	if err := postJSON(fmt.Sprintf("%s/flowbeam-flow-%s-*/_refresh", elastic, namespace), "", nil); err != nil {
		k.Fatal(err)
	}
	if err := postJSON(fmt.Sprintf("%s/flowbeam-flow-%s-*/_search?size=0&track_total_hits=true", elastic, namespace), `{"aggs":{"sent":{"sum":{"field":"source.bytes"}}}}`, &found); err != nil {
		k.Fatal(err)
	}
	if n, sum := found.Hits.Total.Value, int64(found.Aggregations["sent"].Value); n != k.want.Unique || sum != k.want.SourceBytes {
		k.Errorf("Elasticsearch has %d records of %d bytes, want %d of %d", n, sum, k.want.Unique, k.want.SourceBytes)
	}
}

// The emulator of BigQuery keeps what a client that died had open, and stands still for a
// minute at times, so there are fewer kills here.
func TestKillsOverBigQuery(t *testing.T) {
	k := newStoreKills(t, 10)
	rest, grpc, project := testenv.Server(t, "FLOWBEAM_BQ_REST"), testenv.Server(t, "FLOWBEAM_BQ_GRPC"), testenv.Server(t, "FLOWBEAM_BQ_PROJECT")
	name := k.o.KafkaInputTopics[0]
	bq := k.proxy("BigQuery", grpc)
	k.o.BigQuery, k.o.BigQueryEndpoint = project+"."+name, rest+","+grpc
	k.args = append(k.args, "--bigquery="+k.o.BigQuery, "--bigquery_endpoint="+rest+","+bq)
	k.install()
	k.run()
	k.compare()
	k.compareBigQuery(rest, project, name)
}

// compareBigQuery asks for what has been written.
func (k *kills) compareBigQuery(rest, project, name string) {
	k.Helper()
	row := askBigQuery(k.T, rest, project, name)
	if v := row("SELECT COUNT(*), COUNT(DISTINCT record_id), SUM(source_bytes) FROM DATASET.flows_latest"); v[0] != k.want.Unique || v[1] != k.want.Unique || v[2] != k.want.SourceBytes {
		k.Errorf("BigQuery has %v records (%v ids) of %v bytes, want %d of %d", v[0], v[1], v[2], k.want.Unique, k.want.SourceBytes)
	}
}

// The program reads subscriptions of a real emulator and is started again by
// start=resume: what was acknowledged and had not come to the files yet comes again.
//
// With FLOWBEAM_KILLS some runs live so long that the next one goes back to a snapshot of
// theirs, and not to where the first one began.
func TestKillsOverPubSub(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: -short")
	}
	in := newSubscriptionInput(t, 5*time.Second+4*time.Second+10*time.Second+10*time.Second+childAhead+childMargin)
	n, _ := strconv.Atoi(os.Getenv("FLOWBEAM_KILLS"))
	k := newKills(t, max(n/10, 6), in)
	k.brief = n == 0
	k.run()
	k.compare()
}

// newStoreKills kills over a topic of a real broker, a share of FLOWBEAM_KILLS times.
func newStoreKills(t *testing.T, share int) *kills {
	n, _ := strconv.Atoi(os.Getenv("FLOWBEAM_KILLS"))
	if n == 0 {
		t.Skip("skipped: it takes minutes; FLOWBEAM_KILLS=60 runs it, scripts/soak kills does")
	}
	return newKills(t, max(n/share, 6), killTopic(t))
}

// killTopic is a topic of its own of the real broker.
func killTopic(t *testing.T) *topicInput {
	t.Helper()
	topic := fmt.Sprintf("kill%d", time.Now().UnixMilli())
	brokers := []string{testenv.Server(t, "FLOWBEAM_KAFKA")}
	if err := loadgen.CreateTopic(t.Context(), brokers, topic, 3); err != nil {
		t.Fatal(err)
	}
	return &topicInput{t, brokers, topic}
}

// install makes what the stores need.
func (k *kills) install() {
	k.o.Install = true
	if err := k.o.install(k.Context()); err != nil {
		k.Fatal(err)
	}
}

// kills is a run of the program that does not live long.
type kills struct {
	*testing.T
	seed    uint64
	random  *rand.Rand
	n       int
	o       *Options // what the program is given, for who reads what it stored
	args    []string
	proxies map[string]*netfault.Proxy
	input   killInput
	want    loadgen.Truth

	brief bool // none of its runs lives long

	inFlight, uncommitted int
}

// killInput is what the program reads that is killed.
type killInput interface {
	// options are how it is read, and args the same for the program, which goes on by them.
	options(o *Options)
	args() []string
	// send fills it until enough is closed.
	send(ctx context.Context, enough <-chan struct{}, g loadgen.Config) (loadgen.Truth, error)
	// place is where the next run begins; it grows.
	place() int64
	// calm runs the program over all of it, and nobody kills that.
	calm(o *Options, want loadgen.Truth) *Summary
}

func newKills(t *testing.T, n int, input killInput) *kills {
	k := &kills{T: t, n: n, seed: uint64(time.Now().UnixNano()), proxies: map[string]*netfault.Proxy{}, input: input}
	if s, err := strconv.ParseUint(os.Getenv("FLOWBEAM_KILLS_SEED"), 10, 64); err == nil {
		k.seed = s
	}
	k.random = rand.New(rand.NewPCG(k.seed, 0))
	k.o = small(t)
	k.o.Input, k.o.Format = nil, "canopus"
	input.options(k.o)
	k.o.Rollup, k.o.RollupWindows, k.o.FileBucket = []string{"data_center", "user_id"}, []time.Duration{2 * time.Second, 4 * time.Second}, time.Minute
	k.o.AllowedLateness, k.o.DedupeHorizon, k.o.MaxHold, k.o.Skew = 5*time.Second, 10*time.Second, 10*time.Second, 10*time.Second
	k.args = append(input.args(), "--format=canopus", "--datacenter="+k.o.DataCenter, "--output="+k.o.Output,
		"--rollup=data_center,user_id", "--rollup_windows=2s,4s", "--file_bucket=1m",
		"--allowed_lateness=5s", "--dedupe_horizon=10s", "--max_watermark_hold=10s", "--watermark_skew=10s")
	return k
}

// topicInput is a topic of Kafka, which a group goes on with.
type topicInput struct {
	*testing.T
	brokers []string
	topic   string
}

func (in *topicInput) options(o *Options) {
	o.KafkaInput, o.KafkaInputTopics, o.DataCenter = in.brokers, []string{in.topic}, "header:"+loadgen.DataCenterHeader
}

func (in *topicInput) args() []string {
	return []string{"--kafka_input=" + strings.Join(in.brokers, ","), "--kafka_input_topics=" + in.topic, "--kafka_input_group=" + in.topic, "--start=committed"}
}

func (in *topicInput) send(ctx context.Context, enough <-chan struct{}, g loadgen.Config) (loadgen.Truth, error) {
	// There is something behind the first run, or it has nothing to commit.
	g.Start = g.Start.Add(-90 * time.Second)
	return loadgen.WriteKafkaUntil(ctx, enough, in.brokers, in.topic, g)
}

// place is how many messages the next run passes over.
func (in *topicInput) place() (n int64) {
	client, err := kgo.NewClient(kgo.SeedBrokers(in.brokers...))
	if err != nil {
		in.Fatal(err)
	}
	defer client.Close()
	offsets, err := kadm.NewClient(client).FetchOffsets(in.Context(), in.topic)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		in.Fatal(err)
	}
	offsets.Each(func(o kadm.OffsetResponse) { n += o.At })
	return n
}

func (in *topicInput) calm(o *Options, _ loadgen.Truth) *Summary {
	o.Stop = "latest"
	return run(in.T, flows(), o)
}

// proxy puts one before a store and returns its address.
func (k *kills) proxy(name, to string) string {
	p, err := netfault.New(to)
	if err != nil {
		k.Fatal(err)
	}
	k.Cleanup(p.Close)
	k.proxies[name] = p
	return p.Addr
}

// run fills the topic and kills the program n times, and lets the last one end.
func (k *kills) run() {
	enough := k.send(95 + 60*k.n) // it ends with the kills at the latest
	for i := range k.n {
		k.kill(i)
	}
	k.judge()
	enough()
	last := k.start("--run_for=20s")
	last.expectEnd()
}

// judge says whether the kills came where they show something.
func (k *kills) judge() {
	k.Helper()
	k.Logf("seed %d: %d kills, %d with a write under way or done and not known to be, %d of them after it was done", k.seed, k.n, k.inFlight, k.uncommitted)
	if k.uncommitted*10 < k.n || k.inFlight == 0 {
		k.Errorf("of %d kills %d came between an effect and its commit: that shows too little", k.n, k.uncommitted)
	}
}

// send fills the input for so long, or until enough is called, which waits for what is wanted.
func (k *kills) send(seconds int) (enough func()) {
	g := loadgen.Default()
	g.Rate, g.Live, g.Users, g.Servers = 100, true, 20, 100
	g.Records = seconds * int(g.Rate)
	g.DataCenters, g.DuplicateDelay = []string{"fra", "iad"}, 5*time.Second
	g.Start, g.Span = time.Now().UTC().Truncate(time.Millisecond), time.Duration(seconds)*time.Second
	sent, over := make(chan error, 1), make(chan struct{})
	ctx, cancel := context.WithCancel(k.Context())
	k.Cleanup(cancel)
	go func() {
		truth, err := k.input.send(ctx, over, g)
		k.want = truth
		sent <- err
	}()
	return func() {
		k.Helper()
		close(over)
		if err := <-sent; err != nil {
			k.Fatal(err)
		}
		for _, p := range k.proxies {
			p.OnReply(nil)
		}
	}
}

// kill starts the program and kills it.
func (k *kills) kill(i int) {
	c := k.start()
	defer c.end()
	plan := "an instant"
	if i%2 == 1 { // every other one is where a guard is needed
		plans := append(slices.Sorted(maps.Keys(k.proxies)), "a part")
		plan = plans[k.random.IntN(len(plans))]
	}
	if i%6 == 4 && !k.brief { // it lives until it has told how far all is stored
		plan = "a commit"
	}
	wait := time.Duration(k.random.IntN(2500)) * time.Millisecond
	before := k.parts()
	k.until("something is written", c, func() bool { return k.parts() > before || k.busy(c) != "" })
	var step string
	switch plan {
	case "an instant":
		time.Sleep(wait)
		step = k.busy(c)
		c.kill()
	case "a commit":
		before := k.input.place()
		k.until("a commit", c, func() bool { time.Sleep(100 * time.Millisecond); return k.input.place() > before })
		step = k.busy(c)
		c.kill()
	case "a part":
		time.Sleep(wait)
		before := k.parts()
		k.until("a part", c, func() bool { return k.parts() > before })
		c.kill()
		step = "a part is visible, its bundle has not ended"
		k.uncommitted++
	default:
		time.Sleep(wait)
		k.hold(plan, i)
		c.kill()
		k.proxies[plan].OnReply(nil)
		step = plan + " has taken rows, its reply has not come"
		k.uncommitted++
	}
	if step != "" {
		k.inFlight++
	} else {
		step = "nothing under way"
	}
	k.Logf("kill %d, after %v, at %s: %s; the next run begins at %d", i+1, time.Since(c.begun).Round(time.Millisecond), plan, step, k.input.place())
}

// hold waits until a store has answered, and keeps that reply and those after it back.
func (k *kills) hold(store string, i int) {
	k.Helper()
	held := make(chan struct{})
	var once atomic.Bool
	k.proxies[store].OnReply(func() bool {
		if once.CompareAndSwap(false, true) {
			close(held)
		}
		return true
	})
	select {
	case <-held:
	case <-time.After(4 * time.Minute):
		k.Fatalf("kill %d: no reply of %s within four minutes", i+1, store)
	}
}

// busy says what the program has under way.
func (k *kills) busy(c *child) string {
	var what []string
	for name, p := range k.proxies {
		if p.Busy() > 0 {
			what = append(what, "a request to "+name)
		}
	}
	filepath.WalkDir(k.o.Output, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(path, "/_tmp/") {
			if in, err := d.Info(); err == nil && in.ModTime().After(c.begun) && time.Since(in.ModTime()) < 100*time.Millisecond {
				what = append(what, "a part that is not visible yet")
			}
		}
		return nil
	})
	return strings.Join(what, ", ")
}

func visible(path string) bool {
	return strings.HasPrefix(filepath.Base(path), "part-") && !strings.Contains(path, "/_tmp/")
}

// parts counts the files that readers see.
func (k *kills) parts() (n int) {
	filepath.WalkDir(k.o.Output, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && visible(path) {
			n++
		}
		return nil
	})
	return n
}

func (k *kills) until(what string, c *child, done func() bool) {
	k.Helper()
	for end := time.Now().Add(4 * time.Minute); !done(); time.Sleep(3 * time.Millisecond) {
		select {
		case <-c.ended:
			k.Fatalf("the program ended by itself:\n%s", c.output())
		default:
		}
		if time.Now().After(end) {
			k.Fatalf("not within four minutes: %s\n%s", what, c.output())
		}
	}
}

// compare compares what is stored with what an undisturbed run stores.
func (k *kills) compare() {
	k.Helper()
	calm := *k.o
	calm.Output, calm.Elasticsearch, calm.BigQuery = filepath.Join(k.TempDir(), "calm"), nil, ""
	s := k.input.calm(&calm, k.want)
	expectTruth(k.T, s, k.want)
	if s.Late != 0 {
		k.Errorf("%d records are late: the rollups of the two runs need not be equal", s.Late)
	}
	compareRecords(k.T, &calm, k.o) // neither lost nor doubled nor torn
	for _, level := range []string{"2s", "4s"} {
		compareRollups(k.T, &calm, k.o, level)
	}
	letters := func(o *Options) map[flow.ID]int {
		out := map[flow.ID]int{}
		eachRow(k.T, dataset.Failures(), o.dir("dead_letters"), func(f *flow.Failure) { out[f.ID()]++ })
		return out
	}
	x, y := letters(&calm), letters(k.o)
	if int64(len(x)) != k.want.DeadLetters.Total || len(y) != len(x) {
		k.Errorf("%d dead letters, %d with kills, want %d", len(x), len(y), k.want.DeadLetters.Total)
	}
	for id, n := range y {
		if n != 1 || x[id] != 1 {
			k.Errorf("dead letter %v is there %d times, and %d times without kills", id, n, x[id])
		}
	}
	k.Logf("%d lines: %d records, %d duplicates, %d dead letters, equal to a run without kills", k.want.Read, k.want.Unique, k.want.Duplicates, k.want.DeadLetters.Total)
}

// child is a running program.
type child struct {
	k     *kills
	cmd   *exec.Cmd
	begun time.Time
	ended chan struct{}
	err   error
	text  atomic.Pointer[string]
}

func (k *kills) start(more ...string) *child {
	k.Helper()
	exe, err := os.Executable()
	if err != nil {
		k.Fatal(err)
	}
	c := &child{k: k, cmd: exec.Command(exe, append(k.args[:len(k.args):len(k.args)], more...)...), begun: time.Now(), ended: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), childVariable+"=flows", "TMPDIR="+k.TempDir())
	out, err := c.cmd.StderrPipe()
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		k.Fatal(err)
	}
	k.Cleanup(c.end)
	go func() {
		defer close(c.ended)
		text := ""
		for s := bufio.NewScanner(out); s.Scan(); {
			text += s.Text() + "\n"
			if len(text) > 1<<16 {
				text = text[len(text)-1<<15:]
			}
			c.text.Store(&text)
		}
		c.err = c.cmd.Wait()
	}()
	return c
}

func (c *child) kill() { c.cmd.Process.Signal(syscall.SIGKILL) }

func (c *child) end() {
	c.kill()
	<-c.ended
}

func (c *child) output() string {
	if t := c.text.Load(); t != nil {
		return *t
	}
	return ""
}

func (c *child) expectEnd() {
	c.k.Helper()
	select {
	case <-c.ended:
	case <-time.After(3 * time.Minute):
		c.k.Fatalf("the last run has not ended:\n%s", c.output())
	}
	if c.err != nil {
		c.k.Fatalf("the last run: %v\n%s", c.err, c.output())
	}
	c.k.Logf("the last run:\n%s", c.output())
}
