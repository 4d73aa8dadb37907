package pubsubsource

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/flowbeam/flowbeam/flow"
)

// Bundles that are dropped, tried again or checkpointed anywhere, runners that go back to any
// of their checkpoints, processes that begin anew, messages that come twice: what the runner
// keeps in the end has every message.
func TestNothingIsLostInAnyHistory(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(seed, 3))
			f := newFake(t, "flows")
			f.random, f.doubled = rand.New(rand.NewPCG(seed, 4)), rnd.IntN(2)*5
			name := fullSubscription("flows")
			all := f.publish(texts(0, 100)...)
			w := newWorker(t, f.addr, []string{"flows"}, Format("clocked"), BatchSize(1+rnd.IntN(20), 1<<20),
				Checkpoint(1+rnd.IntN(60), 20*time.Millisecond), SnapshotEvery(time.Duration(1+rnd.IntN(20))*time.Millisecond),
				Outstanding(50+rnd.IntN(200), 1<<20))
			w.keep() // the beginning
			dropped, backs, restarts := 0, 0, 0
			for range 120 {
				switch n := rnd.IntN(100); {
				case n < 5:
					all = append(all, f.publish(texts(len(all), 20)...)...)
				case n < 9:
					w.back(rnd.IntN(len(w.checkpoints)))
					backs++
					if rnd.IntN(2) == 0 {
						w.restart()
						f.expire()
					}
				case n < 11:
					w.restart()
					f.expire()
					restarts++
				case n < 25:
					w.keep()
				}
				drop := rnd.IntN(5) == 0
				if drop {
					dropped++
				}
				if _, err := w.bundle(name, drop, rnd.IntN(4)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Duration(rnd.IntN(4)) * time.Millisecond)
			}
			w.until("all is acknowledged", func() bool { return f.acked("flows") == len(all) })
			have := w.records()
			for _, id := range all {
				if have[id] == 0 {
					t.Errorf("%s is lost", id)
				}
			}
			if len(have) != len(all) {
				t.Errorf("%d messages of %d", len(have), len(all))
			}
			f.with(func() {
				t.Logf("%d messages: %d bundles dropped, %d times back, %d restarts, %d seeks, %d snapshots", len(all), dropped, backs, restarts, len(f.seeks), len(f.snapshots))
			})
		})
	}
}

// What a bundle handed over is acknowledged when the next one begins, and no sooner.
func TestAMessageIsAcknowledgedOnceTheRunnerHasIt(t *testing.T) {
	f := newFake(t, "flows")
	f.publish(texts(0, 10)...)
	w := newWorker(t, f.addr, []string{"flows"})
	name := fullSubscription("flows")
	w.until("read", func() bool { return len(w.records()) > 0 })
	time.Sleep(300 * time.Millisecond) // as long as an acknowledgement takes
	if n := f.acked("flows"); n != 0 {
		t.Errorf("%d messages are acknowledged, and it is not known whether the runner has them", n)
	}
	for range 3 { // the runner tries again and again
		if _, err := w.bundle(name, true, 0); err != nil {
			t.Fatal(err)
		}
	}
	// What is acknowledged is told in the counts of a bundle after it.
	w.until("acknowledged and counted", func() bool { return f.acked("flows") == 10 && w.counts["acked"] >= 10 })
	if n := w.counts["acked"]; n != 10 {
		t.Errorf("%d acknowledged messages are counted", n)
	}
}

// A bundle that is run again by the same process is given the same messages in their order.
func TestARetryGivesTheSame(t *testing.T) {
	f := newFake(t, "flows")
	f.publish(texts(0, 50)...)
	w := newWorker(t, f.addr, []string{"flows"}, BatchSize(7, 1<<20), Checkpoint(21, time.Second))
	name := fullSubscription("flows")
	x := w.subscriber(name)
	if _, err := w.bundle(name, false, 0); err != nil { // it begins to receive
		t.Fatal(err)
	}
	waitUntil(t, "all came", func() bool { x.mu.Lock(); defer x.mu.Unlock(); return len(x.held) == 50 })
	first, err := w.bundle(name, true, 0)
	if err != nil {
		t.Fatal(err)
	}
	second, err := w.bundle(name, false, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(ids(first)) != 21 || !slices.Equal(ids(first), ids(second)) {
		t.Errorf("%v, and then %v", ids(first), ids(second))
	}
	third, err := w.bundle(name, false, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids(third) {
		if slices.Contains(ids(second), id) {
			t.Errorf("%s is in two bundles", id)
		}
	}
}

// An acknowledgement that is under way when the runner goes back must not arrive after the
// seek: it would take away what the seek brings back.
func TestNoAcknowledgementComesAfterASeek(t *testing.T) {
	f := newFake(t, "flows")
	f.ackDelay = 500 * time.Millisecond
	f.publish(texts(0, 10)...)
	w := newWorker(t, f.addr, []string{"flows"})
	w.keep()
	w.until("read", func() bool { return len(w.records()) == 10 })
	if _, err := w.bundle(fullSubscription("flows"), false, 0); err != nil { // it acknowledges
		t.Fatal(err)
	}
	time.Sleep(150 * time.Millisecond) // the client sends acknowledgements every tenth of a second
	w.back(0)
	if _, err := w.bundle(fullSubscription("flows"), true, 0); err != nil {
		t.Fatal(err)
	}
	f.with(func() {
		f.ackDelay = 0
		if len(f.seeks) != 1 {
			t.Errorf("%d seeks", len(f.seeks))
		}
	})
	time.Sleep(600 * time.Millisecond)
	if n := f.acked("flows"); n != 0 {
		t.Errorf("%d messages were acknowledged after the seek", n)
	}
	told := w.counts["acked"]
	w.until("read again", func() bool { return len(w.records()) == 10 && f.acked("flows") == 10 })
	if n := w.counts["acked"] - told; n != 10 {
		t.Errorf("%d acknowledged messages are counted after the seek, want each again", n)
	}
}

// Without a snapshot nothing is acknowledged, and what is held is bounded.
func TestNothingIsAcknowledgedWithoutASnapshot(t *testing.T) {
	f := newFake(t, "flows")
	f.refuse["snapshot"] = codes.PermissionDenied
	f.publish(texts(0, 200)...)
	w := newWorker(t, f.addr, []string{"flows"}, Outstanding(50, 1<<20), BatchSize(10, 1000))
	w.until("the bound", func() bool { return len(w.records()) == 50 })
	for range 20 {
		if _, err := w.bundle(fullSubscription("flows"), false, 0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(15 * time.Millisecond)
	}
	if n := len(w.records()); n != 50 || f.acked("flows") != 0 {
		t.Errorf("%d messages are read and %d acknowledged", n, f.acked("flows"))
	}
	f.with(func() { f.refuse["snapshot"] = codes.OK })
	w.until("all", func() bool { return f.acked("flows") == 200 })
	if n := len(w.records()); n != 200 {
		t.Errorf("%d messages", n)
	}
}

// Snapshots that fail later stop acknowledging once the last one is too old.
func TestAcknowledgingStopsWhereTheLastSnapshotIsOld(t *testing.T) {
	f := newFake(t, "flows")
	f.publish(texts(0, 10)...)
	w := newWorker(t, f.addr, []string{"flows"}, SnapshotEvery(time.Millisecond), KeepSnapshots(300*time.Millisecond))
	w.until("acknowledged", func() bool { return f.acked("flows") == 10 })
	f.with(func() { f.refuse["snapshot"] = codes.ResourceExhausted })
	time.Sleep(350 * time.Millisecond)
	f.publish(texts(10, 10)...)
	w.until("read", func() bool { return len(w.records()) == 20 })
	for range 10 {
		w.bundle(fullSubscription("flows"), false, 0)
		time.Sleep(20 * time.Millisecond)
	}
	if n := f.acked("flows"); n != 10 {
		t.Errorf("%d are acknowledged", n)
	}
	f.with(func() { f.refuse["snapshot"] = codes.OK })
	w.until("acknowledged", func() bool { return f.acked("flows") == 20 })
}

func TestWhatIsHeldIsBounded(t *testing.T) {
	f := newFake(t, "flows") // it does not care what may be outstanding
	f.publish(texts(0, 500)...)
	w := newWorker(t, f.addr, []string{"flows"}, Outstanding(40, 1<<20), Checkpoint(10, time.Second), BatchSize(5, 1000))
	x := w.subscriber(fullSubscription("flows"))
	most := 0
	w.until("all", func() bool {
		time.Sleep(5 * time.Millisecond)
		x.mu.Lock()
		most = max(most, len(x.held))
		x.mu.Unlock()
		return len(w.records()) == 500
	})
	if most > 40 || most == 0 {
		t.Errorf("up to %d messages were held", most)
	}
	w.until("all is acknowledged", func() bool { return f.acked("flows") == 500 })
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.bytes != 0 || len(x.held) != 0 {
		t.Errorf("%d bytes of %d messages are held in the end", x.bytes, len(x.held))
	}
}

func TestAProcessWithoutBundlesGivesMessagesBack(t *testing.T) {
	idleTime = 50 * time.Millisecond
	defer func() { idleTime = 2 * time.Minute }()
	f := newFake(t, "flows")
	f.publish(texts(0, 10)...)
	w := newWorker(t, f.addr, []string{"flows"})
	w.until("read", func() bool { return len(w.records()) == 10 })
	leased := func() (n int) {
		f.with(func() { n = len(f.subs[fullSubscription("flows")].leased) })
		return n
	}
	waitUntil(t, "they are given back", func() bool { return leased() == 0 })
	idleTime = time.Minute
	w.until("read again and acknowledged", func() bool { return f.acked("flows") == 10 })
	f.with(func() {
		if len(f.seeks) != 0 {
			t.Errorf("%d seeks", len(f.seeks))
		}
	})
}

func TestWhereAReadStarts(t *testing.T) {
	f := newFake(t, "flows")
	old := time.Now().Add(-time.Hour)
	var ms []*pubsubpb.PubsubMessage
	for i := range 10 {
		ms = append(ms, &pubsubpb.PubsubMessage{Data: []byte("x"), PublishTime: timestamppb.New(old.Add(time.Duration(i) * time.Minute))})
	}
	f.publish(ms...)
	sub := f.subs[fullSubscription("flows")]
	sub.acked["m00001"], sub.acked["m00008"] = true, true
	w := newWorker(t, f.addr, []string{"flows"}, StartSubscription())
	w.until("where it stands", func() bool { return len(w.records()) == 8 })
	w.restart()

	f.expire()
	w = newWorker(t, f.addr, []string{"flows"}, StartTime(old.Add(5*time.Minute)))
	w.keep()
	w.until("since a time, acknowledged or not", func() bool { return len(w.records()) == 5 })
	w.until("acknowledged", func() bool { return f.acked("flows") == 10 })
	if have := w.records(); have["m00004"] != 0 || have["m00008"] == 0 {
		t.Errorf("%v", have)
	}
	w.back(0) // the beginning of the run
	w.until("again", func() bool { return len(w.records()) == 5 })
}

// A runner that keeps nothing: each run goes on from before what the last one may not have
// written, and says so by its snapshots, also where runs follow each other at once.
func TestAResumedRunGoesBackFarEnough(t *testing.T) {
	f := newFake(t, "flows")
	f.publish(texts(0, 10)...)
	opts := []Option{StartResume(10 * time.Minute), SnapshotEvery(time.Millisecond)}
	w := newWorker(t, f.addr, []string{"flows"}, opts...)
	stem := snapshotStem(project, "flowbeam", "flows")
	w.until("the first run", func() bool { return f.acked("flows") == 10 }) // no snapshot: where it stands
	w.restart()
	// An hour ago, in snapshots nine minutes apart, more and more of them were acknowledged.
	f.with(func() {
		clear(f.snapshots)
		for i, n := range []int{2, 4, 6, 9} {
			acked := map[string]bool{}
			for k := range n {
				acked[fmt.Sprintf("m%05d", k)] = true
			}
			f.snapshots[newSnapshot(stem, time.Now().Add(-time.Hour+time.Duration(i)*9*time.Minute), "before").full] = acked
		}
	})
	w = newWorker(t, f.addr, []string{"flows"}, opts...)
	w.until("the second run", func() bool { return len(w.records()) == 6 }) // since 18 minutes before the newest
	w.until("it has snapshots", func() (ok bool) { f.with(func() { ok = len(f.snapshots) > 4 }); return ok })
	w.restart() // it was short, and has written nothing yet
	w = newWorker(t, f.addr, []string{"flows"}, opts...)
	w.until("the third run", func() bool { return len(w.records()) > 0 && f.acked("flows") == 10 })
	if have := w.records(); len(have) != 6 {
		t.Errorf("%v", have)
	}
}

// A run that began at a time and died before a minute was over is resumed at that time, also
// where an earlier run had read further.
func TestARunThatBeganAtATimeIsResumed(t *testing.T) {
	f := newFake(t, "flows")
	old := time.Now().Add(-time.Hour)
	var ms []*pubsubpb.PubsubMessage
	for i := range 10 {
		ms = append(ms, &pubsubpb.PubsubMessage{Data: []byte("x"), PublishTime: timestamppb.New(old.Add(time.Duration(i) * time.Minute))})
	}
	f.publish(ms...)
	stem := snapshotStem(project, "flowbeam", "flows")
	f.with(func() { // the earlier run has read all but the last
		acked := map[string]bool{}
		for i := range 9 {
			acked[fmt.Sprintf("m%05d", i)] = true
		}
		f.snapshots[newSnapshot(stem, old.Add(30*time.Minute), "before").full] = acked
	})
	w := newWorker(t, f.addr, []string{"flows"}, StartTime(old.Add(5*time.Minute)))
	w.until("read", func() bool { return len(w.records()) == 5 && f.acked("flows") == 10 })
	w.restart()
	w = newWorker(t, f.addr, []string{"flows"}, StartResume(20*time.Minute))
	w.until("read again", func() bool { return f.acked("flows") == 10 && len(w.records()) > 0 })
	if have := w.records(); len(have) != 5 {
		t.Errorf("%v came again, want the 5 since the time", have)
	}
}

func TestAGoneSnapshotIsAnErrorThatSaysWhatToDo(t *testing.T) {
	f := newFake(t, "flows")
	f.publish(texts(0, 10)...)
	w := newWorker(t, f.addr, []string{"flows"}, SnapshotEvery(time.Millisecond))
	w.keep()
	w.until("acknowledged", func() bool { return f.acked("flows") == 10 })
	w.keep()
	w.until("some snapshots", func() (ok bool) { f.with(func() { ok = len(f.snapshots) > 3 }); return ok })
	first := w.subscriber(fullSubscription("flows")).first().full
	f.with(func() {
		delete(f.snapshots, w.places[fullSubscription("flows")].at.Snapshot)
		delete(f.snapshots, first)
	})
	w.restart()
	for _, i := range []int{1, 0} {
		if i == 1 {
			f.with(func() { delete(f.snapshots, w.checkpoints[1].places[fullSubscription("flows")].at.Snapshot) })
		}
		w.back(i)
		if _, err := w.bundle(fullSubscription("flows"), false, 0); err == nil || !strings.Contains(err.Error(), "gcloud pubsub subscriptions seek") {
			t.Errorf("checkpoint %d: error %v", i, err)
		}
	}
}

func TestMessagesOfAllKinds(t *testing.T) {
	f := newFake(t, "flows")
	long := strings.Repeat("x", 5000)
	got := f.publish(
		&pubsubpb.PubsubMessage{Data: []byte("first"), Attributes: map[string]string{"dc": "b", "at": "2026-01-02T03:04:05Z"}},
		&pubsubpb.PubsubMessage{Attributes: map[string]string{"only": "attributes"}},
		&pubsubpb.PubsubMessage{Data: []byte(long), Attributes: map[string]string{"at": "1767323045000"}},
		&pubsubpb.PubsubMessage{Data: []byte("last"), Attributes: map[string]string{"at": "soon"}},
	)
	w := newWorker(t, f.addr, []string{"flows"}, DataCenter("attribute:dc"), MaxMessage(4000), TimestampAttribute("at"), Tenant("t"), Header("h"))
	w.until("all", func() bool { return w.counts["messages"] == 4 })
	if w.counts["empty"] != 1 || w.counts["bad_timestamps"] != 2 || w.counts["bytes"] != 5009 {
		t.Errorf("counts %v", w.counts)
	}
	by := map[string]flow.Raw{}
	for _, b := range w.batches {
		if b.Origin != (flow.Origin{Source: topicName, Tenant: "t", Header: "h"}) {
			t.Errorf("%+v", b.Origin)
		}
		for _, r := range b.Records {
			by[r.Key] = r
		}
	}
	if r := by[got[0]]; string(r.Data) != "first" || r.DataCenter != "b" || time.Since(r.Time.Std()) > time.Minute || r.Offset.OK {
		t.Errorf("%+v", r)
	}
	if r := by[got[2]]; !r.Oversize || r.Size != 5000 || string(r.Data) != long[:1024] || len(r.SHA256) != 64 {
		t.Errorf("oversize %v of %d bytes, %d kept", r.Oversize, r.Size, len(r.Data))
	}
}

func TestTheClockCountsWhereNothingWaits(t *testing.T) {
	f := newFake(t, "flows")
	f.publish(&pubsubpb.PubsubMessage{Data: fmt.Appendf(nil, "%d an hour late", time.Now().Add(-time.Hour).Unix())})
	w := newWorker(t, f.addr, []string{"flows"}, Format("clocked"), Skew(time.Minute), MaxHold(5*time.Minute))
	behind := func() time.Duration { return time.Since(time.UnixMilli(w.places[fullSubscription("flows")].mark)) }
	w.until("the clock takes over", func() bool { return w.counts["messages"] == 1 && behind() < 6*time.Minute+30*time.Second })
	if d := behind(); d < 6*time.Minute {
		t.Errorf("the watermark is %v behind, want at least what it holds", d)
	}
	w.records()
}

func TestWhatWaitsHoldsTheWatermark(t *testing.T) {
	f := newFake(t, "flows")
	now := time.Now()
	for i := range 200 {
		f.publish(&pubsubpb.PubsubMessage{Data: fmt.Appendf(nil, "%d x", now.Unix()), PublishTime: timestamppb.New(now.Add(time.Duration(-i) * time.Minute))})
	}
	w := newWorker(t, f.addr, []string{"flows"}, Format("clocked"), Checkpoint(10, time.Second), BatchSize(10, 1<<20))
	for range 10 {
		if _, err := w.bundle(fullSubscription("flows"), false, 0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Millisecond)
	}
	if at := time.UnixMilli(w.places[fullSubscription("flows")].mark); now.Sub(at) < 10*time.Minute {
		t.Errorf("the watermark is %v behind, and messages of hours ago wait", now.Sub(at))
	}
}

// Prism takes for the watermark of a read what the bundle told that ended last.
func TestASubscriptionThatIsAheadDoesNotMoveTheWatermark(t *testing.T) {
	f := newFake(t, "ahead", "behind")
	w := newWorker(t, f.addr, []string{"ahead", "behind"}, OneProcess(), Skew(0))
	ahead, behind := fullSubscription("ahead"), fullSubscription("behind")
	mark := func(name string) time.Time { return time.UnixMilli(w.places[name].mark) }
	turns := func(what, name string, until func() bool) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); !until(); time.Sleep(5 * time.Millisecond) {
			if _, err := w.bundle(name, false, 0); err != nil || time.Now().After(end) {
				t.Fatalf("%s: %v", what, err)
			}
		}
	}
	own := func(name string) time.Time {
		x := w.subscriber(name)
		if x == nil {
			return time.Time{}
		}
		return x.mark.At.Std()
	}
	recent := func(at time.Time) bool { return time.Since(at) < time.Hour }
	turns("the clock counts for one", ahead, func() bool { return recent(own(ahead)) && recent(w.subscriber(ahead).committed.Std()) })
	if at := mark(ahead); recent(at) {
		t.Errorf("one subscription was not read at all, and the watermark is at %v", at)
	}
	turns("the clock counts for the other", behind, func() bool { return recent(own(behind)) })
	if at := mark(behind); !recent(at) {
		t.Errorf("both are read, and the watermark is at %v", at)
	}
	// The runner may not have that bundle yet, and it may have given old messages.
	again := 0
	turns("once more", ahead, func() bool { again++; return again > 1 })
	if at := mark(ahead); recent(at) {
		t.Errorf("the runner may not have what a bundle of one subscription gave, and the watermark is at %v", at)
	}
	turns("both", behind, func() bool { x := w.subscriber(behind); return recent(x.committed.Std()) })
	turns("the watermark of both", ahead, func() bool { return recent(mark(ahead)) })
}

// What a dropped bundle had read does not make late what comes again.
func TestADroppedBundleTakesItsWatermarkBack(t *testing.T) {
	f := newFake(t, "flows", "other")
	now := time.Now()
	for i := range 40 {
		f.publish(&pubsubpb.PubsubMessage{Data: fmt.Appendf(nil, "%d x", now.Add(time.Duration(i-40)*time.Minute).Unix())})
	}
	w := newWorker(t, f.addr, []string{"flows", "other"}, OneProcess(), Skew(0), Format("clocked"), Checkpoint(10, time.Second), BatchSize(10, 1<<20))
	name := fullSubscription("flows")
	if _, err := w.bundle(name, false, 0); err != nil { // it begins to receive
		t.Fatal(err)
	}
	x := w.subscriber(name)
	waitUntil(t, "all came", func() bool { x.mu.Lock(); defer x.mu.Unlock(); return len(x.held) == 40 })
	if _, err := w.bundle(name, false, 0); err != nil {
		t.Fatal(err)
	}
	before := x.mark.At
	x.mark.At = before.Add(time.Hour) // as of a bundle that read what is newer
	if _, err := w.bundle(name, true, 0); err != nil {
		t.Fatal(err)
	}
	x.mark.At = x.mark.At.Add(time.Hour)
	got, err := w.bundle(name, false, 0)
	if err != nil || len(got) == 0 {
		t.Fatalf("%d batches, %v", len(got), err)
	}
	if got[0].Watermark != before.Add(time.Hour) {
		t.Errorf("the watermark is %v, want that of before the dropped bundle, %v", got[0].Watermark, before.Add(time.Hour))
	}
}

func TestASubscriptionThatIsGoneFailsTheBundle(t *testing.T) {
	f := newFake(t, "flows")
	w := newWorker(t, f.addr, []string{"flows"})
	if _, err := w.bundle(fullSubscription("flows"), false, 0); err != nil {
		t.Fatal(err)
	}
	f.with(func() { clear(f.subs) })
	var err error
	for end := time.Now().Add(30 * time.Second); err == nil && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		_, err = w.bundle(fullSubscription("flows"), false, 0)
	}
	if err == nil || !strings.Contains(err.Error(), "subscriptions/flows") {
		t.Errorf("error %v", err)
	}
}

func TestTwoBundlesAtOnceWaitForEachOther(t *testing.T) {
	f := newFake(t, "flows")
	w := newWorker(t, f.addr, []string{"flows"})
	x, err := acquire(t.Context(), &w.fn.Config, fullSubscription("flows"))
	if err != nil {
		t.Fatal(err)
	}
	defer x.release()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := acquire(ctx, &w.fn.Config, fullSubscription("flows")); err == nil {
		t.Error("a second bundle has the subscription, too")
	}
}

// What a checkpoint took away is not emitted: the runner would drop it.
func TestACheckpointEndsTheBundle(t *testing.T) {
	f := newFake(t, "flows")
	f.publish(texts(0, 50)...)
	w := newWorker(t, f.addr, []string{"flows"}, BatchSize(5, 1<<20))
	name := fullSubscription("flows")
	if _, err := w.bundle(name, false, 0); err != nil { // it begins to receive
		t.Fatal(err)
	}
	x := w.subscriber(name)
	waitUntil(t, "all came", func() bool { x.mu.Lock(); defer x.mu.Unlock(); return len(x.held) == 50 })
	got, err := w.bundle(name, false, 2)
	if err != nil || len(got) != 2 {
		t.Errorf("%d batches, want 2: %v", len(got), err)
	}
	w.until("the rest", func() bool { return len(w.records()) == 50 })
}

// A service that can't be reached has no new messages either.
func TestTheWatermarkStandsWhereTheServiceIsAway(t *testing.T) {
	f := newFake(t, "flows")
	w := newWorker(t, f.addr, []string{"flows"})
	name := fullSubscription("flows")
	mark := func() int64 { return w.places[name].mark }
	w.until("the clock counts", func() bool { return time.Since(time.UnixMilli(mark())) < time.Hour })
	f.with(func() { f.refuse["look"] = codes.Unavailable })
	asked := time.Now()
	w.until("the last sign is old", func() bool { return time.Since(asked) > 3*quietTime })
	before := mark()
	for range 5 {
		if _, err := w.bundle(name, false, 0); err != nil {
			t.Fatal(err)
		}
	}
	if now := mark(); now != before {
		t.Errorf("the watermark moved by %d ms", now-before)
	}
	f.with(func() { f.refuse["look"] = codes.OK })
	w.until("the clock counts again", func() bool { return mark() > before })
}

// Of two runs of one bundle it is not known which one the runner took, unless the next
// bundle says so: where it is the other one, messages come again.
func TestTheOtherOfTwoRunsIsToldFromTheLast(t *testing.T) {
	f := newFake(t, "flows")
	f.publish(texts(0, 10)...)
	w := newWorker(t, f.addr, []string{"flows"}, Checkpoint(5, time.Second), BatchSize(5, 1<<20))
	name := fullSubscription("flows")
	if _, err := w.bundle(name, false, 0); err != nil {
		t.Fatal(err)
	}
	x := w.subscriber(name)
	waitUntil(t, "all came", func() bool { x.mu.Lock(); defer x.mu.Unlock(); return len(x.held) == 10 })
	before := *w.places[name]
	if _, err := w.bundle(name, false, 0); err != nil {
		t.Fatal(err)
	}
	first := *w.places[name]
	*w.places[name] = before
	if _, err := w.bundle(name, true, 0); err != nil { // a second run, which the runner does not take
		t.Fatal(err)
	}
	*w.places[name] = first
	w.until("all", func() bool { return f.acked("flows") == 10 })
	if len(w.records()) != 10 || len(f.seeks) != 1 {
		t.Errorf("%d messages, %d seeks", len(w.records()), len(f.seeks))
	}
}

func waitUntil(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// Messages that can't be read yet are held, not given back, until they can.
func TestMessagesThatCanNotBeReadYet(t *testing.T) {
	prepareWait = time.Millisecond
	away.Store(true)
	defer away.Store(false)
	f := newFake(t, "flows")
	f.publish(texts(0, 20)...)
	w := newWorker(t, f.addr, []string{"flows"}, Format("prepared"))
	w.until("they were tried", func() bool { return tries.Load() > 100 })
	if len(w.batches) > 0 {
		t.Fatalf("%d batches", len(w.batches))
	}
	away.Store(false)
	w.until("all is read", func() bool { return len(w.records()) == 20 })
	for id, n := range w.records() {
		if n != 1 {
			t.Errorf("%s came %d times", id, n)
		}
	}
}
