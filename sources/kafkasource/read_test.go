package kafkasource

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flowbeam/flowbeam/flow"
)

var start = time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)

func TestReadGivesEachMessageOnce(t *testing.T) {
	b := newBroker(t, map[string]int{"flows": 3})
	want := b.fill("flows", 3, 0, 5000, start)
	for name, opts := range map[string][]Option{
		"streaming": {StopLatest(), Poll(10 * time.Millisecond), Checkpoint(700, time.Second)},
		"batch":     {StopLatest(), Batch()},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, b.addrs(), []string{"flows"}, append(opts, Format("clocked"), BatchSize(100, 1<<20), DataCenter("dc1"), Tenant("t"))...)
			if d := cmp.Diff(want, got.records(t)); d != "" {
				t.Error(d)
			}
			if n := got.counts["kafka/messages"]; n != 5000 {
				t.Errorf("%d messages were counted", n)
			}
			last := map[int64]flow.Time{}
			for i, x := range got.batches {
				if x.Origin.Source != "flows" || x.Origin.Format != "clocked" || x.Origin.DataCenter != "dc1" || x.Origin.Tenant != "t" || len(x.Records) > 100 {
					t.Fatalf("batch of %d: %+v", len(x.Records), x.Origin)
				}
				if p := x.Origin.Partition.V; x.Watermark < last[p] {
					t.Errorf("partition %d: the watermark fell from %v to %v", p, last[p], x.Watermark)
				} else {
					last[p] = x.Watermark
				}
				if got.stamps[i] < x.Watermark.Truncate(time.Millisecond) {
					t.Errorf("batch %d at %v, before the watermark %v", i, got.stamps[i], x.Watermark)
				}
			}
		})
	}
}

// Bundles that are dropped, checkpointed anywhere or run by another process: what bundles
// that succeeded gave is every message once, in the order of each partition.
func TestAReadGoesOnFromACheckpointAtAnyBundle(t *testing.T) {
	b := newBroker(t, map[string]int{"flows": 2})
	want := b.fill("flows", 2, 0, 2000, start)
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		w := newWorker(t, b.addrs(), []string{"flows"}, Format("clocked"), StopLatest(), BatchSize(1+rnd.IntN(200), 1<<20), Checkpoint(1+rnd.IntN(500), time.Second))
		w.discover()
		if len(w.places) != 2 {
			t.Fatalf("found %d partitions", len(w.places))
		}
		marks := map[partition]int64{}
		dropped, split, restarts := 0, 0, 0
		end := time.Now().Add(30 * time.Second)
		for left := 2; left > 0; {
			if time.Now().After(end) {
				t.Fatalf("seed %d: not done: %v", seed, w.counts)
			}
			left = 0
			for p, at := range w.places {
				drop, cut := rnd.IntN(4) == 0, rnd.IntN(6)
				if drop {
					dropped++
				} else if cut > 0 {
					split++
				}
				if err := w.bundle(p, drop, cut); err != nil {
					t.Fatal(err)
				}
				if m, ok := marks[p]; ok && at.mark < m {
					t.Errorf("seed %d: the watermark fell", seed)
				}
				marks[p] = at.mark
				if !at.done {
					left++
				}
			}
			if rnd.IntN(8) == 0 {
				w.restart()
				restarts++
			}
			time.Sleep(time.Millisecond)
		}
		if d := cmp.Diff(want, w.records(t)); d != "" {
			t.Fatalf("seed %d: %s", seed, d)
		}
		last := map[int64]int64{}
		for i := range w.batches {
			for k := range w.batches[i].Records {
				p := w.batches[i].Position(k)
				if p.Offset.V != last[p.Partition.V] {
					t.Fatalf("seed %d: partition %d: offset %d after %d", seed, p.Partition.V, p.Offset.V, last[p.Partition.V]-1)
				}
				last[p.Partition.V]++
			}
		}
		t.Logf("seed %d: %d bundles dropped, %d restarts", seed, dropped, restarts)
	}
}

// Leaders move between the brokers while messages are read, and in the end one broker is gone.
func TestALeaderChangeLosesNothing(t *testing.T) {
	b := newBroker(t, map[string]int{"flows": 2})
	want := b.fill("flows", 2, 0, 1200, start)
	w := newWorker(t, b.addrs(), []string{"flows"}, Format("clocked"), BatchSize(10, 1<<20), Checkpoint(20, time.Second))
	w.discover()
	leader := func(p int32) int32 { return b.cluster.PartitionInfo("flows", p).Leader }
	for moves := 1; moves <= 5; moves++ {
		w.until("some messages", func() bool { return len(w.records(t)) >= 100*moves })
		for p := range int32(2) {
			if err := b.cluster.MoveTopicPartition("flows", p, 1-leader(p)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := b.cluster.RemoveNode(leader(0)); err != nil {
		t.Fatal(err)
	}
	maps.Copy(want, b.fill("flows", 2, 1200, 100, start))
	w.until("all messages", func() bool { return len(w.records(t)) >= len(want) })
	if d := cmp.Diff(want, w.records(t)); d != "" {
		t.Error(d)
	}
}

func TestWhereAReadStartsAndStops(t *testing.T) {
	b := newBroker(t, map[string]int{"flows": 2})
	b.fill("flows", 2, 0, 100, start) // 50 a partition, two seconds apart
	for _, c := range []struct {
		name string
		opts []Option
		want [2]span
	}{
		{"earliest to latest", []Option{StopLatest()}, [2]span{{0, 50}, {0, 50}}},
		{"latest", []Option{StartLatest()}, [2]span{{50, forever}, {50, forever}}},
		{"times", []Option{StartTime(start.Add(20 * time.Second)), StopTime(start.Add(61 * time.Second))}, [2]span{{10, 31}, {10, 30}}},
		{"a time after all", []Option{StartTime(start.Add(time.Hour)), StopTime(start.Add(2 * time.Hour))}, [2]span{{50, 50}, {50, 50}}},
		{"offsets", []Option{StartOffsets(map[string]int64{"flows/1": 7}), StopOffsets(map[string]int64{"flows/0": 9})}, [2]span{{0, 9}, {7, 50}}},
		{"a stop before the start", []Option{StartOffsets(map[string]int64{"flows/0": 20}), StopOffsets(map[string]int64{"flows/0": 9})}, [2]span{{20, 20}, {0, 50}}},
		{"nothing committed", []Option{StartCommitted("g"), StopLatest()}, [2]span{{0, 50}, {0, 50}}},
	} {
		w := newWorker(t, b.addrs(), []string{"flows"}, c.opts...)
		w.discover()
		var have [2]span
		for p, at := range w.places {
			have[p.ID] = at.at
		}
		if have != c.want {
			t.Errorf("%s: %v, want %v", c.name, have, c.want)
		}
	}
}

func TestNewPartitionsAndTopicsAreFound(t *testing.T) {
	b := newBroker(t, map[string]int{"flows-a": 1, "other": 1})
	b.fill("flows-a", 1, 0, 10, start)
	w := newWorker(t, b.addrs(), nil, Pattern("flows-.*"), StartLatest(), Format("clocked"), DataCenter("^flows-(.+)$"))
	w.discover()
	if len(w.places) != 1 {
		t.Fatalf("found %v", w.places)
	}
	if age := time.Since(w.mark); age < time.Minute || age > 2*time.Minute {
		t.Errorf("the discovery's watermark is %v ago", age)
	}
	if err := b.cluster.CreateTopic("flows-b", 2, nil); err != nil {
		t.Fatal(err)
	}
	want := b.fill("flows-b", 2, 0, 20, start)
	w.discover()
	w.discover()
	if len(w.places) != 3 {
		t.Fatalf("found %v", w.places)
	}
	w.until("the new topic is read from its beginning", func() bool { return w.counts["messages"] == 20 })
	if d := cmp.Diff(want, w.records(t)); d != "" {
		t.Error(d)
	}
	for _, x := range w.batches {
		if x.Origin.DataCenter != "b" {
			t.Errorf("data center %q", x.Origin.DataCenter)
		}
	}
}

func TestWatermarkHoldsForMaxHoldAtMostAndGoesOnWhereAllIsRead(t *testing.T) {
	b := newBroker(t, map[string]int{"flows": 1})
	now := time.Now().Truncate(time.Second)
	b.send(message("flows", 0, now.Add(-time.Hour), "an hour late", now.Add(-time.Minute)))
	w := newWorker(t, b.addrs(), []string{"flows"}, Format("clocked"), Skew(time.Minute), MaxHold(5*time.Minute))
	w.discover()
	w.until("the message", func() bool { return w.counts["messages"] == 1 })
	mark := func() time.Duration {
		for _, p := range w.places {
			return now.Sub(time.UnixMilli(p.mark))
		}
		return 0
	}
	// All is read: the clock counts, and MaxHold and Skew behind it the watermark.
	w.until("the clock takes over", func() bool { return mark() < 6*time.Minute+5*time.Second })
	b.send(message("flows", 0, now.Add(-10*time.Second), "on time", now))
	w.until("the message", func() bool { return w.counts["messages"] == 2 })
	if m := mark(); m > 70*time.Second || m < 69*time.Second {
		t.Errorf("the watermark is %v behind, want 70 s", m)
	}
	b.send(message("flows", 0, now.Add(100*time.Hour), "from the future", now))
	w.until("the message", func() bool { return w.counts["messages"] == 3 })
	if m := mark(); m < 59*time.Second {
		t.Errorf("a record from the future moved the watermark to %v behind", m)
	}
}

func TestOffsetsThatAreGoneAreAnErrorOrADeadLetter(t *testing.T) {
	b := newBroker(t, map[string]int{"flows": 1})
	want := b.fill("flows", 1, 0, 100, start)
	b.trim("flows", 0, 40)
	fails := newWorker(t, b.addrs(), []string{"flows"}, Format("clocked"), StartOffsets(map[string]int64{"flows/0": 10}), StopLatest())
	fails.discover()
	var err error
	for p := range fails.places {
		for end := time.Now().Add(20 * time.Second); err == nil && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			err = fails.bundle(p, false, 0)
		}
	}
	if err == nil || !strings.Contains(err.Error(), "offsets 10 to 39 of flows/0 were deleted before they were read") {
		t.Errorf("error %v", err)
	}

	w := newWorker(t, b.addrs(), []string{"flows"}, Format("clocked"), StartOffsets(map[string]int64{"flows/0": 10}), StopLatest(), OnExpired("earliest"))
	w.discover()
	w.until("the rest is read", func() bool { return w.counts["messages"] == 60 })
	for i := range 40 {
		delete(want, fmt.Sprintf("flows/0/%d", i))
	}
	if d := cmp.Diff(want, w.records(t)); d != "" {
		t.Error(d)
	}
	if len(w.failures) != 1 || w.counts["read"] != 1 || w.counts["never_read"] != 30 {
		t.Fatalf("dead letters %+v, counts %v", w.failures, w.counts)
	}
	if f := w.failures[0]; f.Reason != flow.ReasonExpired || f.Position.Offset.V != 10 || f.Position.Source != "flows" || f.Stage != "kafka" {
		t.Errorf("dead letter %+v", f)
	}
}

func TestWhichErrorsPassByThemselves(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{&kgo.ErrFirstReadEOF{}, true},
		{fmt.Errorf("fetching: %w", io.EOF), true},
		{&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, true},
		{kerr.NotLeaderForPartition, true},
		{kerr.UnknownTopicOrPartition, false},
		{kerr.OffsetOutOfRange, false},
		{kerr.TopicAuthorizationFailed, false},
		{kerr.SaslAuthenticationFailed, false},
		{kgo.ErrClientClosed, false},
	} {
		if passing(c.err) != c.want {
			t.Errorf("%v: %v, want %v", c.err, !c.want, c.want)
		}
	}
}

func TestMessagesOfAllKinds(t *testing.T) {
	b := newBroker(t, map[string]int{"flows": 1})
	long := strings.Repeat("x", 5000)
	b.send(
		&kgo.Record{Topic: "flows", Value: []byte("first"), Headers: []kgo.RecordHeader{{Key: "dc", Value: []byte("b")}}},
		&kgo.Record{Topic: "flows", Key: []byte("k")}, // a tombstone
		&kgo.Record{Topic: "flows", Value: []byte(long)},
		&kgo.Record{Topic: "flows", Value: []byte{}},
	)
	w := newWorker(t, b.addrs(), []string{"flows"}, StopLatest(), DataCenter("header:dc"), MaxMessage(4000))
	w.discover()
	w.until("all", func() bool { return w.counts["messages"] == 4 })
	if len(w.batches) != 1 || len(w.batches[0].Records) != 3 || w.counts["tombstones"] != 1 {
		t.Fatalf("%d batches, counts %v", len(w.batches), w.counts)
	}
	r := w.batches[0].Records
	if string(r[0].Data) != "first" || r[0].DataCenter != "b" || r[0].Time == 0 {
		t.Errorf("%+v", r[0])
	}
	if !r[1].Oversize || r[1].Size != 5000 || string(r[1].Data) != long[:1024] || len(r[1].SHA256) != 64 {
		t.Errorf("oversize %v of %d bytes, %d kept", r[1].Oversize, r[1].Size, len(r[1].Data))
	}
	if r[2].Oversize || len(r[2].Data) != 0 || r[2].Offset.V != 3 {
		t.Errorf("%+v", r[2])
	}
}

func TestPrefetchIsBounded(t *testing.T) {
	b := newBroker(t, map[string]int{"flows": 1})
	rnd := rand.New(rand.NewPCG(1, 2))
	var records []*kgo.Record
	for i := range 1000 {
		text := strings.Repeat(fmt.Sprintf("%016x", rnd.Uint64()), 2)
		for len(text) < 10_000 { // of no use to a compressor
			text += fmt.Sprintf("%016x", rnd.Uint64())
		}
		records = append(records, message("flows", 0, start.Add(time.Duration(i)*time.Second), text))
	}
	b.send(records...)
	w := newWorker(t, b.addrs(), []string{"flows"}, Format("clocked"), StopLatest(), Prefetch(200_000), BatchSize(10, 100_000), Checkpoint(10, time.Second))
	w.discover()
	most := 0
	w.until("all", func() bool {
		x := w.fn.consumer
		x.mu.Lock()
		for _, q := range x.queues {
			most = max(most, q.bytes)
		}
		x.mu.Unlock()
		return w.counts["messages"] == 1000
	})
	if w.records(t); most > 800_000 || most == 0 { // the bound and one fetch
		t.Errorf("up to %d bytes were held", most)
	}
}

func TestCommitLagsBehindTheRead(t *testing.T) {
	b := newBroker(t, map[string]int{"flows": 1})
	b.fill("flows", 1, 0, 10, start)
	w := newWorker(t, b.addrs(), []string{"flows"}, Format("clocked"), Commit("watchers", 2*time.Second))
	w.discover()
	w.until("read", func() bool { return w.counts["messages"] == 10 })
	committed := func() int64 {
		c := newWorker(t, b.addrs(), []string{"flows"}, StartCommitted("watchers"))
		c.discover()
		for p := range c.places {
			return p.Start
		}
		return -1
	}
	begun := time.Now()
	w.until("some bundles", func() bool { return time.Since(begun) > 700*time.Millisecond })
	if at := committed(); at != 0 && time.Since(begun) < 1500*time.Millisecond { // a machine may stand still
		t.Errorf("%d is committed after %v", at, time.Since(begun))
	}
	w.until("the commit", func() bool { return committed() == 10 })
}

func TestValidateSaysAllThatIsWrong(t *testing.T) {
	err := Validate(t.Context(), []string{"nohost"}, []string{"bad topic"}, Format("nothing"), Skew(-1), Batch(), OnExpired("maybe"), EventTime("moon"), Checkpoint(0, 0), StartOffsets(map[string]int64{"x": 1}), DataCenter("(a)(b)"))
	for _, part := range []string{"nohost", "bad topic", `"nothing" is not registered`, "Skew", "Batch", "OnExpired", "EventTime", "Checkpoint", "StartOffsets", "2 groups"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q is missing in %v", part, err)
		}
	}
	b := newBroker(t, map[string]int{"flows": 1})
	if err := Validate(t.Context(), b.addrs(), []string{"flows"}); err != nil {
		t.Error(err)
	}
	if err := Validate(t.Context(), b.addrs(), []string{"absent"}); !errors.Is(err, kerr.UnknownTopicOrPartition) || !strings.Contains(err.Error(), "absent") {
		t.Errorf("error %v", err)
	}
	validateTime = 300 * time.Millisecond
	defer func() { validateTime = 20 * time.Second }()
	if err := Validate(t.Context(), []string{"127.0.0.1:1"}, []string{"flows"}); err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("error %v", err)
	}
}

// Of a bundle that is run again by the same process no record is late: the watermark goes
// back with it.
func TestABundleThatIsRunAgainGivesTheSame(t *testing.T) {
	b := newBroker(t, map[string]int{"flows": 1})
	b.fill("flows", 1, 0, 1000, start) // in order
	w := newWorker(t, b.addrs(), []string{"flows"}, Format("clocked"), BatchSize(100, 1<<20), Checkpoint(1000, time.Minute))
	w.discover()
	for _, at := range w.places {
		before := *at
		for range 2 {
			*at, w.collected = before, newCollected()
			w.until("it is read", func() bool { return w.counts["messages"] == 1000 })
			for i := range w.batches {
				if first := flow.TimeOf(start).Add(time.Duration(w.batches[i].Records[0].Offset.V) * time.Second); w.batches[i].Watermark > first {
					t.Fatalf("a record of %v, and the watermark is %v", first, w.batches[i].Watermark)
				}
			}
		}
	}
}

func TestAPartitionThatEndsWithAMarkerIsReadToItsEnd(t *testing.T) {
	b := newBroker(t, map[string]int{"flows": 1})
	c, err := kgo.NewClient(kgo.SeedBrokers(b.addrs()...), kgo.TransactionalID("t"), kgo.DefaultProduceTopic("flows"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, commit := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort} {
		if err := c.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := c.ProduceSync(t.Context(), message("flows", 0, start, "one"), message("flows", 0, start, "two")).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := c.EndTransaction(t.Context(), commit); err != nil {
			t.Fatal(err)
		}
	}
	w := newWorker(t, b.addrs(), []string{"flows"}, Format("clocked"), StopLatest(), ReadCommitted())
	w.discover()
	w.until("the end", func() bool {
		for _, at := range w.places {
			if !at.done {
				return false
			}
		}
		return true
	})
	if n := len(w.records(t)); n != 2 {
		t.Errorf("%d messages, want the 2 that were committed", n)
	}
}

// Where what a format needs is away the bundle fails, and nothing is lost or late by it.
func TestMessagesThatCanNotBeReadYet(t *testing.T) {
	b := newBroker(t, map[string]int{"flows": 1})
	old := time.Now().Add(-2 * time.Hour).Truncate(time.Second)
	b.send(message("flows", 0, old, "a", time.Now()), message("flows", 0, old.Add(time.Second), "b", time.Now()))
	w := newWorker(t, b.addrs(), []string{"flows"}, Format("prepared"), Skew(0), MaxHold(24*time.Hour))
	w.discover()
	away.Store(true)
	defer away.Store(false)
	failed := 0
	for end := time.Now().Add(20 * time.Second); failed < 2 && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		for p := range w.places {
			if err := w.bundle(p, false, 0); err != nil {
				if !strings.Contains(err.Error(), "nobody answers") || !strings.Contains(err.Error(), "flows/0") {
					t.Fatal(err)
				}
				failed++
			}
		}
	}
	if failed < 2 || len(w.batches) != 0 {
		t.Fatalf("%d bundles failed, %d batches", failed, len(w.batches))
	}
	away.Store(false)
	w.until("they are read", func() bool { return w.counts["messages"] == 2 })
	if len(w.records(t)) != 2 || knownRecords.Load() != 2 || w.stamps[0] != flow.TimeOf(old) {
		t.Errorf("%v, %d are known, at %v", w.records(t), knownRecords.Load(), w.stamps)
	}
}
