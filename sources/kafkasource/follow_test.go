package kafkasource

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flowbeam/flowbeam/flow"
)

func init() {
	// In "taught" messages "def N V" says what N is, "use N" needs it and waits for it, and
	// any other is readable alone.
	flow.RegisterFormat(flow.FormatInfo{Name: "taught", Follow: func(rewind time.Duration) flow.Follower {
		return &pupil{rewind: rewind, known: map[string]taught{}, counts: map[string]int64{}}
	}})
}

type pupil struct {
	rewind time.Duration
	known  map[string]taught
	waits  []flow.Raw
	names  []string
	counts map[string]int64
}

type taught struct {
	value string
	at    flow.Time
}

func (p *pupil) Alone(m flow.Raw) bool {
	return !strings.HasPrefix(string(m.Data), "def") && !strings.HasPrefix(string(m.Data), "use")
}

func (p *pupil) Next(m flow.Raw, from netip.Addr, emit func(flow.Raw)) {
	p.Until(m.Time, emit)
	words := strings.Fields(string(m.Data))
	if p.Alone(m) {
		emit(m)
		return
	}
	name := words[1]
	if from.IsValid() {
		name += "@" + from.String()
	}
	if words[0] == "def" {
		p.known[name] = taught{words[2], m.Time}
		p.counts["defined"]++
		emit(m)
		for i := 0; i < len(p.waits); i++ {
			if p.names[i] == name {
				p.use(p.waits[i], name, emit)
				p.waits, p.names = slices.Delete(p.waits, i, i+1), slices.Delete(p.names, i, i+1)
				i--
			}
		}
		return
	}
	p.use(m, name, emit)
}

func (p *pupil) use(m flow.Raw, name string, emit func(flow.Raw)) {
	t, ok := p.known[name]
	if !ok || m.Time.Add(-p.rewind*3/4) > t.at {
		p.waits, p.names = append(p.waits, m), append(p.names, name)
		return
	}
	m.Data = fmt.Appendf(nil, "%s = %s", m.Data, t.value)
	emit(m)
}

func (p *pupil) Until(now flow.Time, emit func(flow.Raw)) {
	for len(p.waits) > 0 && now.Add(-p.rewind/4) > p.waits[0].Time {
		emit(p.waits[0])
		p.waits, p.names = p.waits[1:], p.names[1:]
	}
}

func (p *pupil) End(emit func(flow.Raw)) {
	for _, m := range p.waits {
		emit(m)
	}
	p.waits, p.names = nil, nil
}

func (p *pupil) Counts(tell func(string, int64)) {
	for _, k := range slices.Sorted(maps.Keys(p.counts)) {
		tell(k, p.counts[k])
	}
	clear(p.counts)
}

// said is a message of the n-th minute.
func said(n int, text string) *kgo.Record {
	return &kgo.Record{Topic: "flows", Value: []byte(text), Timestamp: start.Add(time.Duration(n) * time.Minute)}
}

// lesson is 400 minutes of messages: what is taught is taught again, changes, and is forgotten.
func lesson() (records []*kgo.Record) {
	for n := range 400 {
		switch {
		case n%17 == 3:
			records = append(records, said(n, fmt.Sprintf("def a %d", n/100)))
		case n%29 == 5 && (n < 100 || n > 250): // not for a while
			records = append(records, said(n, fmt.Sprintf("def b %d", n)))
		case n%5 == 0:
			records = append(records, said(n, "other"))
		case n%2 == 0:
			records = append(records, said(n, "use a"))
		default:
			records = append(records, said(n, "use b"))
		}
	}
	return records
}

// finished reads to a stop.
func finished(w *worker) func() bool {
	return func() bool {
		for _, at := range w.places {
			if !at.done {
				return false
			}
		}
		return len(w.places) > 0
	}
}

// What is read of a partition whose messages need those before them is the same wherever a process goes on,
// and whatever bundle failed.
func TestWhatIsNeededOfBefore(t *testing.T) {
	b := newBroker(t, map[string]int{"flows": 1})
	b.send(lesson()...)
	readsTheSameWithRestarts(t, b.addrs(), "flows")
}

// readsTheSameWithRestarts reads a topic that has the lesson.
func readsTheSameWithRestarts(t *testing.T, brokers []string, topic string) {
	t.Helper()
	opts := []Option{Format("taught"), Rewind(time.Hour), BatchSize(7, 1<<20), StopLatest()}
	w := newWorker(t, brokers, []string{topic}, opts...)
	w.discover()
	w.until("all is read", finished(w))
	want := w.records(t)
	if len(want) != 400 {
		t.Fatalf("%d messages", len(want))
	}
	given, expired, defined := 0, 0, int64(0)
	for _, text := range want {
		switch {
		case strings.Contains(text, "="):
			given++
		case strings.HasPrefix(text, "use"):
			expired++
		case strings.HasPrefix(text, "def"):
			defined++
		}
	}
	if given < 200 || expired < 40 || w.counts["defined"] != defined || w.counts["messages"] != 400 {
		t.Fatalf("%d given, %d expired, %v", given, expired, w.counts)
	}

	for _, every := range []int{1, 3, 10} {
		again := newWorker(t, brokers, []string{topic}, append(opts, Checkpoint(7, time.Second))...)
		again.discover()
		n, read := 0, int64(0)
		again.until("all is read, with restarts", func() bool {
			if n++; again.counts["messages"] >= read+int64(7*every) {
				read = again.counts["messages"]
				again.restart()
			}
			for p := range again.places {
				if n%4 == 0 {
					if err := again.bundle(p, true, 0); err != nil {
						t.Fatal(err)
					}
				}
			}
			return finished(again)()
		})
		if d := cmp.Diff(want, again.records(t)); d != "" {
			t.Errorf("a restart every %d bundles (-without +with):\n%s", every, d)
		}
		if again.counts["defined"] != defined || again.counts["messages"] != 400 {
			t.Errorf("a restart every %d bundles: %v", every, again.counts)
		}
	}
}

// A read that begins in the middle knows what was said before.
func TestAReadThatBeginsLate(t *testing.T) {
	b := newBroker(t, map[string]int{"flows": 1})
	b.send(said(0, "def a old"), said(200, "other"), said(201, "def a new"), said(202, "use b"), said(210, "other"), said(211, "use a"), said(212, "def b 2"))
	for _, test := range []struct {
		name string
		trim int64
		want map[string]string
	}{
		{"all is there", 0, map[string]string{"3": "use b = 2", "4": "other", "5": "use a = new", "6": "def b 2"}},
		{"some is deleted", 3, map[string]string{"3": "use b = 2", "4": "other", "6": "def b 2", "5": "use a"}},
		{"all is deleted", 4, map[string]string{"4": "other", "6": "def b 2", "5": "use a"}},
	} {
		if test.trim > 0 {
			b.trim("flows", 0, test.trim)
		}
		w := newWorker(t, b.addrs(), []string{"flows"}, Format("taught"), Rewind(time.Hour), StartOffsets(map[string]int64{"flows/0": 4}), StopLatest())
		w.discover()
		w.until("all is read", finished(w))
		got := map[string]string{}
		for k, text := range w.records(t) {
			got[strings.TrimPrefix(k, "flows/0/")] = text
		}
		if d := cmp.Diff(test.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, d)
		}
		if w.counts["messages"] != 3 {
			t.Errorf("%s: what was read again is counted: %v", test.name, w.counts)
		}
	}
}

// Where no message needs it little is read again, until one does.
func TestWhatIsReadableAloneIsReadOnce(t *testing.T) {
	b := newBroker(t, map[string]int{"flows": 1})
	b.send(said(0, "def a 1"))
	var others []*kgo.Record
	for range looksAt + 2 {
		others = append(others, said(1, "other"))
	}
	b.send(others...)
	w := newWorker(t, b.addrs(), []string{"flows"}, Format("taught"), StartOffsets(map[string]int64{"flows/0": looksAt + 1}))
	w.discover()
	w.until("all is read", func() bool { return w.counts["messages"] == 2 })
	for _, q := range w.fn.consumer.queues {
		if q.follow == nil || q.follow.known {
			t.Errorf("%+v", q.follow)
		}
	}
	b.send(said(2, "other"), said(3, "use a"))
	w.until("the rest is read", func() bool { return w.counts["messages"] == 4 })
	if got := w.records(t)["flows/0/1004"]; got != "use a = 1" {
		t.Errorf("%q", got)
	}
}

// What waits in a topic that is quiet, or that is not read on, becomes a dead letter.
func TestWhatWaitsInAQuietTopic(t *testing.T) {
	b := newBroker(t, map[string]int{"flows": 1})
	now := time.Now().Add(-time.Minute)
	b.send(&kgo.Record{Topic: "flows", Value: []byte("use a"), Timestamp: now})
	w := newWorker(t, b.addrs(), []string{"flows"}, Format("taught"), Rewind(time.Second), Poll(time.Millisecond))
	w.discover()
	w.until("it has waited for too long", func() bool { return len(w.batches) == 1 })
	if d := cmp.Diff(map[string]string{"flows/0/0": "use a"}, w.records(t)); d != "" {
		t.Error(d)
	}

	// The bundle that gives it may fail.
	w = newWorker(t, b.addrs(), []string{"flows"}, Format("taught"), Rewind(time.Second), Poll(time.Millisecond))
	w.discover()
	w.until("it waits", func() bool { return w.counts["messages"] == 1 })
	for end := time.Now().Add(1500 * time.Millisecond); time.Now().Before(end); time.Sleep(time.Millisecond) {
		for p := range w.places {
			if err := w.bundle(p, true, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.send(&kgo.Record{Topic: "flows", Value: []byte("other"), Timestamp: time.Now()})
	for end := time.Now().Add(5 * time.Second); len(w.records(t)) < 2 && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		for p := range w.places {
			if err := w.bundle(p, false, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	if d := cmp.Diff(map[string]string{"flows/0/0": "use a", "flows/0/1": "other"}, w.records(t)); d != "" {
		t.Error(d)
	}

	b = newBroker(t, map[string]int{"flows": 1})
	b.send(&kgo.Record{Topic: "flows", Value: []byte("use a"), Timestamp: now})
	w = newWorker(t, b.addrs(), []string{"flows"}, Format("taught"), Rewind(time.Hour), Poll(time.Millisecond))
	w.discover()
	w.until("it waits", func() bool { return w.counts["messages"] == 1 })
	for p, at := range w.places {
		at.at = (&readFn{}).TruncateRestriction(w.fn.CreateTracker(at.at), p)
	}
	w.until("it is drained", finished(w))
	if d := cmp.Diff(map[string]string{"flows/0/0": "use a"}, w.records(t)); d != "" {
		t.Error(d)
	}
}

// Several exporters in one partition are told apart by the key or a header.
func TestWhoSentAMessage(t *testing.T) {
	b := newBroker(t, map[string]int{"flows": 1})
	from := func(key string, r *kgo.Record) *kgo.Record {
		r.Key, r.Headers = []byte(key), []kgo.RecordHeader{{Key: "exporter", Value: []byte(strings.Replace(key, "192.0.2.", "198.51.100.", 1))}}
		return r
	}
	b.send(from("192.0.2.1", said(0, "def a 1")), from("192.0.2.2:2055", said(1, "def a 2")), from("router", said(2, "def a 3")), from("::ffff:192.0.2.1", said(3, "use a")),
		from("192.0.2.2", said(4, "use a")), from("", said(5, "use a")), from("[2001:db8::1]:9", said(6, "use a")))
	for exporter, want := range map[string][]string{"key": {"1", "2", "3", ""}, "header:exporter": {"1", "2", "3", ""}, "header:none": {"3", "3", "3", "3"}} {
		w := newWorker(t, b.addrs(), []string{"flows"}, Format("taught"), Exporter(exporter), StopLatest())
		w.discover()
		w.until("all is read", finished(w))
		got := w.records(t)
		for i, value := range want {
			text := "use a"
			if value != "" {
				text += " = " + value
			}
			if k := fmt.Sprintf("flows/0/%d", 3+i); got[k] != text {
				t.Errorf("%s: %s is %q, want %q", exporter, k, got[k], text)
			}
		}
	}
	if _, err := newConfig(b.addrs(), []string{"flows"}, []Option{Exporter("header:"), Rewind(0)}); err == nil || !strings.Contains(err.Error(), "Exporter") || !strings.Contains(err.Error(), "Rewind") {
		t.Errorf("%v", err)
	}
}
