package pubsubsource

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/flowbeam/flowbeam/internal/pubsubconn"
	"github.com/flowbeam/flowbeam/internal/testenv"
)

// emulator is Google's own, with a topic and subscriptions of the test's.
type emulator struct {
	t       *testing.T
	address string
	topic   string
	subs    []string
	service
	published int
}

func newEmulator(t *testing.T, subscriptions int) *emulator {
	t.Helper()
	address := testenv.Server(t, "FLOWBEAM_PUBSUB")
	e := &emulator{t: t, address: address, topic: fmt.Sprintf("pubsubsource-%d-%d", os.Getpid(), time.Now().UnixNano())}
	for i := range subscriptions {
		e.subs = append(e.subs, fmt.Sprintf("%s-%d", e.topic, i))
	}
	if err := Install(t.Context(), project, e.topic, e.subs, Emulator(address)); err != nil {
		t.Fatal(err)
	}
	if err := Install(t.Context(), project, e.topic, e.subs, Emulator(address)); err != nil {
		t.Errorf("a second time: %v", err)
	}
	if err := Validate(t.Context(), project, e.subs, Emulator(address)); err != nil {
		t.Error(err)
	}
	var err error
	if e.service, err = (connection{pubsubconn.Connection{Emulator: address}}).open(t.Context(), project); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.Background()
		for _, s := range e.subs {
			if all, err := e.snapshots(ctx, project, snapshotStem(project, "flowbeam", s)); err == nil {
				e.remove(ctx, all)
			}
			e.SubscriptionAdminClient.DeleteSubscription(ctx, &pubsubpb.DeleteSubscriptionRequest{Subscription: fullSubscription(s)})
		}
		e.TopicAdminClient.DeleteTopic(ctx, &pubsubpb.DeleteTopicRequest{Topic: "projects/" + project + "/topics/" + e.topic})
		e.Close()
	})
	return e
}

// publish publishes n messages more and returns how many there are.
func (e *emulator) publish(n int, with func(i int, m *pubsubpb.PubsubMessage)) int {
	e.t.Helper()
	r := &pubsubpb.PublishRequest{Topic: "projects/" + project + "/topics/" + e.topic}
	for _, m := range texts(e.published, n) {
		if with != nil {
			with(e.published, m)
		}
		e.published++
		r.Messages = append(r.Messages, m)
	}
	if _, err := e.TopicAdminClient.Publish(e.t.Context(), r); err != nil {
		e.t.Fatal(err)
	}
	return e.published
}

func (e *emulator) worker(opts ...Option) *worker {
	return newWorker(e.t, e.address, e.subs, append([]Option{Format("clocked")}, opts...)...)
}

// once says that each message came once, as far as the runner keeps them.
func (w *worker) once() {
	w.t.Helper()
	for id, n := range w.records() {
		if n != 1 {
			w.t.Errorf("%s came %d times", id, n)
		}
	}
}

func TestServerReadsAllOfTwoSubscriptions(t *testing.T) {
	e := newEmulator(t, 2)
	n := e.publish(900, func(i int, m *pubsubpb.PubsubMessage) {
		m.Attributes = map[string]string{"dc": fmt.Sprintf("dc%d", i%3)}
	})
	w := e.worker(DataCenter("attribute:dc"), BatchSize(100, 1<<20))
	w.until("all is acknowledged", func() bool { return w.counts["acked"] == int64(2*n) })
	dcs := map[string]int{}
	for _, b := range w.batches {
		if len(b.Records) > 100 || b.Origin.Source != "projects/"+project+"/topics/"+e.topic {
			t.Errorf("%d records of %s", len(b.Records), b.Origin.Source)
		}
		for _, r := range b.Records {
			dcs[r.DataCenter]++
		}
	}
	for id, times := range w.records() {
		if times != 2 {
			t.Errorf("%s came %d times from 2 subscriptions", id, times)
		}
	}
	if len(w.records()) != n || dcs["dc0"] != 600 || dcs["dc2"] != 600 {
		t.Errorf("%d messages, %v", len(w.records()), dcs)
	}
}

// A runner that goes back, in the same process and in a new one, gets again what was
// acknowledged since its checkpoint's snapshot, and nothing else.
func TestServerGivesBackWhatASnapshotHas(t *testing.T) {
	e := newEmulator(t, 1)
	e.publish(200, nil)
	w := e.worker(SnapshotEvery(time.Millisecond))
	w.keep()
	w.until("the first are acknowledged", func() bool { return w.counts["acked"] == 200 })
	begun := time.Now()
	w.until("the acknowledgements are there, and a snapshot after them", func() bool { return time.Since(begun) > time.Second })
	w.keep()
	n := e.publish(100, nil)
	w.until("all are acknowledged", func() bool { return w.counts["acked"] == int64(n) })
	w.back(1)
	again := w.counts["messages"]
	w.until("what came since comes again", func() bool { return len(w.records()) == n })
	again = w.counts["messages"] - again
	t.Logf("%d of %d messages came again, 100 were acknowledged since the checkpoint", again, n)
	if again < 100 {
		t.Errorf("%d messages came again, want the 100 since the checkpoint", again)
	}
	w.until("all are acknowledged again", func() bool { return w.counts["acked"] >= int64(n)+again })
	w.back(0) // the beginning, in another process
	w.restart()
	w.until("all come again", func() bool { return len(w.records()) == n })
	w.once()
}

func TestServerRedeliversWhatAProcessThatDiedHad(t *testing.T) {
	e := newEmulator(t, 1)
	name := fullSubscription(e.subs[0])
	n := e.publish(50, nil)
	pulled, err := e.SubscriptionAdminClient.Pull(t.Context(), &pubsubpb.PullRequest{Subscription: name, MaxMessages: 20})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, m := range pulled.ReceivedMessages {
		ids = append(ids, m.AckId)
	}
	// A process that died holds them for as long as its deadline is, here 10 seconds.
	if err := e.SubscriptionAdminClient.ModifyAckDeadline(t.Context(), &pubsubpb.ModifyAckDeadlineRequest{Subscription: name, AckIds: ids, AckDeadlineSeconds: 10}); err != nil {
		t.Fatal(err)
	}
	w := e.worker()
	w.until("the others", func() bool { return len(w.records()) == n-len(ids) })
	w.until("all", func() bool { return len(w.records()) == n })
	w.once()
}

func TestServerStartsAtATime(t *testing.T) {
	e := newEmulator(t, 1)
	e.publish(30, nil)
	w := e.worker()
	w.until("the first are acknowledged", func() bool { return w.counts["acked"] == 30 })
	w.restart()
	time.Sleep(1500 * time.Millisecond) // the test's clock and the server's are one
	at := time.Now()
	time.Sleep(10 * time.Millisecond)
	e.publish(20, nil)
	w = e.worker(StartTime(at.Add(-500 * time.Millisecond)))
	w.keep()
	w.until("those since", func() bool { return w.counts["acked"] == 20 })
	w.once()
	w.back(0)
	w.restart()
	w.until("those since, again", func() bool { return len(w.records()) == 20 })
	w.restart()
	w = e.worker(StartTime(at.Add(-time.Minute)))
	w.until("all, which were acknowledged and retained", func() bool { return len(w.records()) == 50 })
	w.once()
}

// Runs that keep nothing: each gets again what the last one has read since long enough ago.
func TestServerResumes(t *testing.T) {
	e := newEmulator(t, 1)
	opts := []Option{StartResume(4 * time.Second), SnapshotEvery(50 * time.Millisecond)}
	e.publish(30, nil)
	w := e.worker(opts...)
	w.until("the first are acknowledged", func() bool { return w.counts["acked"] == 30 })
	begun := time.Now()
	w.until("time goes by", func() bool { return time.Since(begun) > 7*time.Second })
	e.publish(20, nil)
	w.until("more are acknowledged", func() bool { return w.counts["acked"] == 50 })
	w.restart() // it crashed, and what of the last seconds was not written is lost
	w = e.worker(opts...)
	w.until("the last come again", func() bool { return len(w.records()) >= 20 })
	w.until("they are acknowledged", func() bool { return w.counts["acked"] >= 20 })
	w.once()
	if n := len(w.records()); n != 20 {
		t.Errorf("%d messages came again, want 20", n)
	}
	w.restart()
	w = e.worker(opts...) // at once: from where the run before began
	w.until("they come again", func() bool { return len(w.records()) >= 20 })
}

// Messages with ordering keys are received in their order.
func TestServerKeepsTheOrderOfKeys(t *testing.T) {
	e := newEmulator(t, 1)
	ordered := e.topic + "-ordered"
	e.subs = append(e.subs, ordered)
	if _, err := e.SubscriptionAdminClient.CreateSubscription(t.Context(), &pubsubpb.Subscription{
		Name: fullSubscription(ordered), Topic: "projects/" + project + "/topics/" + e.topic, EnableMessageOrdering: true,
		RetainAckedMessages: true, MessageRetentionDuration: durationpb.New(time.Hour),
	}); err != nil {
		t.Fatal(err)
	}
	n := e.publish(300, func(i int, m *pubsubpb.PubsubMessage) {
		m.OrderingKey = fmt.Sprint(i % 5)
		m.Data = fmt.Appendf(nil, "%d %d %d", time.Now().Unix(), i%5, i)
	})
	w := newWorker(t, e.address, []string{ordered}, BatchSize(17, 1<<20))
	w.until("all", func() bool { return len(w.records()) == n })
	last := map[int]int{}
	for _, b := range w.batches {
		for _, r := range b.Records {
			var sec, key, i int
			if _, err := fmt.Sscan(string(r.Data), &sec, &key, &i); err != nil {
				t.Fatal(err)
			}
			if have, ok := last[key]; ok && i < have {
				t.Errorf("key %d: %d after %d", key, i, have)
			}
			last[key] = i
		}
	}
}
