package job

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flowbeam/flowbeam/internal/loadgen"
	"github.com/flowbeam/flowbeam/internal/stopping"
	"github.com/flowbeam/flowbeam/internal/testenv"
)

// TestBrokenNetworks runs one stream from a broker of its own into files and Elasticsearch
// and breaks what is between them, fault after fault, for FLOWBEAM_FAULTS seconds each: the
// stream goes on by itself after each of them, and in the end has neither lost nor doubled
// anything, and has the rollups of a calm run.
func TestBrokenNetworks(t *testing.T) {
	seconds, _ := strconv.Atoi(os.Getenv("FLOWBEAM_FAULTS"))
	if seconds == 0 {
		t.Skip("skipped: it takes minutes; FLOWBEAM_FAULTS=SECONDS runs it, scripts/soak network does")
	}
	length := time.Duration(seconds) * time.Second
	elastic := testenv.Server(t, "FLOWBEAM_ES_URL")
	topic := fmt.Sprintf("net%d", time.Now().UnixMilli())
	in := &topicInput{T: t, topic: topic}
	k := newKills(t, 0, in)
	b := newOwnBroker(k)
	in.brokers = []string{b.advertised} // known only now
	in.options(k.o)
	if err := loadgen.CreateTopic(t.Context(), k.o.KafkaInput, topic, 3); err != nil {
		t.Fatal(err)
	}
	es := k.proxy("Elasticsearch", strings.TrimPrefix(elastic, "http://"))
	k.o.Elasticsearch, k.o.ElasticNamespace, k.o.ElasticILM = []string{"http://" + es}, topic, false
	// Who sends is cut off, too: what it sends after that is as old as the fault was long.
	k.o.MaxHold, k.o.DedupeHorizon = length+30*time.Second, length+time.Minute
	k.install()
	kafka, store := k.proxies["Kafka"], k.proxies["Elasticsearch"]

	g := loadgen.Default()
	g.Rate, g.Live, g.Users, g.Servers, g.Records = 200, true, 20, 100, 200*3600
	g.DataCenters, g.DuplicateDelay = []string{"fra", "iad"}, 5*time.Second
	g.Start, g.Span = time.Now().UTC().Truncate(time.Millisecond), time.Hour
	sent, enough := make(chan error, 1), make(chan struct{})
	go func() {
		truth, err := loadgen.WriteKafkaUntil(t.Context(), enough, k.o.KafkaInput, topic, g)
		k.want = truth
		sent <- err
	}()

	live.written.Store(0)
	live.deadLetters.Store(0)
	type result struct {
		s   *Summary
		err error
	}
	ended := make(chan result, 1)
	k.o.Quiet = true
	go func() {
		s, err := flows().Run(context.Background(), k.o, io.Discard)
		ended <- result{s, err}
	}()
	stored := func() int64 {
		if postJSON(fmt.Sprintf("%s/flowbeam-flow-%s-*/_refresh", elastic, topic), "", nil) != nil {
			return 0
		}
		seconds, _ := elasticSeconds(elastic, topic)
		var n int64
		for _, records := range seconds {
			n += records
		}
		return n
	}
	// until is for what has to come by itself.
	until := func(what string, done func() bool) {
		t.Helper()
		begun := time.Now()
		for end := begun.Add(3 * time.Minute); !done(); time.Sleep(200 * time.Millisecond) {
			select {
			case r := <-ended:
				t.Fatalf("%s: the stream ended: %v", what, r.err)
			default:
			}
			if time.Now().After(end) {
				t.Fatalf("not within three minutes: %s", what)
			}
		}
		t.Logf("%s, after %v", what, time.Since(begun).Round(100*time.Millisecond))
	}
	until("the stream has begun", func() bool { return stored() > 0 })
	for _, fault := range []struct {
		name        string
		begin, heal func()
	}{
		{"the broker is stopped", b.stop, b.start},
		{"the broker is killed", b.kill, b.start},
		{"Elasticsearch is stopped", store.Cut, store.Heal},
		{"the network is cut", func() { kafka.Cut(); store.Cut() }, func() { kafka.Heal(); store.Heal() }},
		{"the network is gone without a word", func() { kafka.Stall(); store.Stall() }, func() { kafka.Heal(); store.Heal() }},
		{"the network is slow", func() { kafka.Slow(30_000); store.Slow(30_000) }, func() { kafka.Heal(); store.Heal() }},
	} {
		fault.begin()
		time.Sleep(length)
		before := stored()
		fault.heal()
		// More than was on its way when it ended.
		until(fault.name+": it goes on", func() bool { return stored() > before+int64(g.Rate*length.Seconds()) })
	}
	close(enough)
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	until("all is stored", func() bool { return stored() >= k.want.Unique })
	time.Sleep(2 * time.Second) // for what was to come twice
	stopping.Request()
	r := <-ended
	if r.err != nil {
		t.Fatal(r.err)
	}
	for _, problem := range r.s.Check() {
		t.Error(problem)
	}
	expectTruth(t, r.s, k.want)
	if r.s.Late != 0 {
		t.Errorf("%d records are late", r.s.Late)
	}
	if n := stored(); n != k.want.Unique {
		t.Errorf("Elasticsearch has %d records, want %d", n, k.want.Unique)
	}
	k.compare()
}

// ownBroker is a Kafka that a test may stop, behind a proxy.
type ownBroker struct {
	k                *kills
	root, dir        string
	port, advertised string
}

// newOwnBroker starts one, of the files that scripts/up has downloaded.
func newOwnBroker(k *kills) *ownBroker {
	k.Helper()
	root, err := filepath.Abs("../../..")
	if err != nil {
		k.Fatal(err)
	}
	libs, _ := filepath.Glob(filepath.Join(root, ".state", "stack", "kafka-lib-*", ".complete"))
	if len(libs) == 0 {
		testenv.SkipOrFail(k, "Kafka is not downloaded: scripts/up kafka does so")
	}
	b := &ownBroker{k: k, root: root, dir: k.TempDir(), port: freePorts(k.T, 3)}
	lib := filepath.Dir(libs[len(libs)-1])
	if err := os.Symlink(lib, filepath.Join(b.dir, filepath.Base(lib))); err != nil {
		k.Fatal(err)
	}
	b.advertised = k.proxy("Kafka", "127.0.0.1:"+b.port)
	k.Cleanup(b.kill)
	b.start()
	return b
}

// freePorts returns the first of n ports in a row that nobody listens at.
func freePorts(t *testing.T, n int) string {
	t.Helper()
next:
	for port := 33000; port < 60000; port += 50 {
		for i := range n {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+i))
			if err != nil {
				continue next
			}
			l.Close()
		}
		return strconv.Itoa(port)
	}
	t.Fatal("there are no free ports")
	return ""
}

// start starts the broker, the second time with the data it has.
func (b *ownBroker) start() {
	b.k.Helper()
	cmd := exec.Command(filepath.Join(b.root, "deploy", "stack", "kafka.sh"))
	cmd.Env = append(os.Environ(), "ROOT="+filepath.Join(b.root, "deploy", "stack"), "STATE="+b.dir, "PORT="+b.port,
		"KAFKA_KEEP=true", "KAFKA_ADVERTISED="+b.advertised)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.k.Fatalf("the broker does not start: %v\n%s", err, out)
	}
}

func (b *ownBroker) stop() { b.signal(syscall.SIGTERM) }

func (b *ownBroker) kill() { b.signal(syscall.SIGKILL) }

// signal sends a signal and waits until the broker has ended.
func (b *ownBroker) signal(s syscall.Signal) {
	text, err := os.ReadFile(filepath.Join(b.dir, "kafka", "pid"))
	if err != nil {
		return
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		b.k.Error(err)
		return
	}
	if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		b.k.Error(err)
	}
	for end := time.Now().Add(time.Minute); syscall.Kill(pid, 0) == nil && time.Now().Before(end); {
		if state, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); strings.Contains(string(state), ") Z ") {
			break // nobody waits for it
		}
		time.Sleep(50 * time.Millisecond)
	}
}
