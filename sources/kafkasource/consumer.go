package kafkasource

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/time/rate"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/stored"
	"github.com/flowbeam/flowbeam/internal/watermark"
)

// consumer fetches ahead for all partitions that a read has in this process. Runners set
// DoFns up by the hundred and end a bundle each second: clients and what they have fetched
// outlive them.
type consumer struct {
	c    *config
	key  string
	refs int         // guarded by consumers
	idle *time.Timer // closes it, guarded by consumers

	kafka *kgo.Client
	rate  *rate.Limiter
	end   context.CancelFunc
	ended chan struct{}

	mu     sync.Mutex
	queues map[topicPartition]*queue
	place  []*queue           // to be positioned by run
	nudge  context.CancelFunc // ends the poll under way

	catalogMu sync.Mutex
	catalog   *catalog

	unheard func() // ends listening to what is stored
}

type topicPartition struct {
	topic string
	id    int32
}

// queue is what was fetched of one partition and not read yet.
type queue struct {
	topicPartition
	next    int64 // of the first message that was not read
	records []*kgo.Record
	bytes   int
	err     error // after the records
	end     int64 // of the partition when it was fetched last
	fetched time.Time
	placed  bool // by run: what is fetched is ours
	paused  bool

	follow   *following          // used by one bundle at a time
	mark     watermark.Partition // used by one bundle at a time
	told     flow.Time           // to the runner, by a bundle
	at       flow.Time           // the mark when the last bundle began: what others see
	asked    time.Time           // when the brokers were last asked whether it has more
	resumed  []commitPoint
	handed   handedOver
	arrivals chan struct{} // has a token when something came
}

// commitPoint is what was read when a bundle began: it was handed over.
type commitPoint struct {
	at     time.Time
	offset int64
}

var consumers = struct {
	sync.Mutex
	byKey map[string]*consumer
}{byKey: map[string]*consumer{}}

// idleTime is how long a consumer without users is kept: bundles come and go.
var idleTime = 30 * time.Second

// acquire returns the process's consumer of a read.
func acquire(ctx context.Context, c *config) (*consumer, error) {
	b, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	key := string(b)
	consumers.Lock()
	defer consumers.Unlock()
	x := consumers.byKey[key]
	if x == nil {
		if x, err = openConsumer(ctx, c, key); err != nil {
			return nil, err
		}
		consumers.byKey[key] = x
	}
	x.refs++
	if x.idle != nil {
		x.idle.Stop()
		x.idle = nil
	}
	return x, nil
}

// release gives it back.
func (x *consumer) release() {
	consumers.Lock()
	defer consumers.Unlock()
	if x.refs--; x.refs > 0 {
		return
	}
	x.idle = time.AfterFunc(idleTime, func() {
		consumers.Lock()
		defer consumers.Unlock()
		if x.refs == 0 && consumers.byKey[x.key] == x {
			delete(consumers.byKey, x.key)
			go x.close()
		}
	})
}

func openConsumer(ctx context.Context, c *config, key string) (*consumer, error) {
	opts, err := c.Options(ctx)
	if err != nil {
		return nil, err
	}
	isolation := kgo.ReadUncommitted()
	if c.ReadCommitted {
		isolation = kgo.ReadCommitted()
	}
	opts = append(opts,
		kgo.FetchIsolationLevel(isolation),
		kgo.KeepControlRecords(), // or a partition that ends with one is never read to its end
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		// These are bytes as stored, which are several times as many when decompressed.
		kgo.FetchMaxBytes(int32(min(c.Prefetch, 16<<20))),
		kgo.FetchMaxPartitionBytes(int32(min(c.Prefetch, 1<<20))),
		kgo.FetchMaxWait(500*time.Millisecond),
		kgo.WithHooks(&troubleHook{}),
	)
	kafka, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, err
	}
	life, end := context.WithCancel(context.Background())
	x := &consumer{c: c, key: key, kafka: kafka, end: end, ended: make(chan struct{}), queues: map[topicPartition]*queue{}}
	if c.MaxRate > 0 {
		x.rate = rate.NewLimiter(rate.Limit(c.MaxRate), max(c.BatchRecords, int(c.MaxRate)))
	}
	go x.run(life)
	if c.CommitStored {
		x.unheard = stored.Listen(x.commitStored)
	}
	return x, nil
}

func (x *consumer) close() {
	if x.unheard != nil {
		x.unheard()
	}
	x.end()
	<-x.ended
	x.kafka.Close()
	for _, q := range x.queues {
		x.hide(q)
	}
	x.catalogMu.Lock()
	defer x.catalogMu.Unlock()
	if x.catalog != nil {
		x.catalog.close()
	}
}

// ask gives a connection to ask for offsets with.
func (x *consumer) ask(ctx context.Context) (*catalog, error) {
	x.catalogMu.Lock()
	defer x.catalogMu.Unlock()
	if x.catalog == nil {
		a, err := openCatalog(ctx, x.c)
		if err != nil {
			return nil, err
		}
		x.catalog = a
	}
	return x.catalog, nil
}

// run polls and hands out what comes. Partitions are placed between two polls, so that
// nothing of a place that was left comes in after that.
func (x *consumer) run(life context.Context) {
	defer close(x.ended)
	for life.Err() == nil {
		ctx, cancel := context.WithCancel(life)
		x.mu.Lock()
		x.nudge = cancel
		placing := x.place
		x.place = nil
		x.mu.Unlock()
		x.put(placing)
		fetches := x.kafka.PollFetches(ctx)
		cancel()
		x.mu.Lock()
		fetches.EachPartition(x.sort)
		x.mu.Unlock()
	}
}

// put makes the client fetch partitions from where their queues are.
func (x *consumer) put(queues []*queue) {
	if len(queues) == 0 {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	anew, add := map[string][]int32{}, map[string]map[int32]kgo.Offset{}
	for _, q := range queues {
		if x.queues[q.topicPartition] != q {
			continue // forgotten
		}
		anew[q.topic] = append(anew[q.topic], q.id)
		if add[q.topic] == nil {
			add[q.topic] = map[int32]kgo.Offset{}
		}
		add[q.topic][q.id] = kgo.NewOffset().At(q.next)
		q.placed, q.paused = true, false
	}
	x.kafka.RemoveConsumePartitions(anew)
	x.kafka.ResumeFetchPartitions(anew)
	x.kafka.AddConsumePartitions(add)
}

// sort puts what was fetched into its queue.
func (x *consumer) sort(f kgo.FetchTopicPartition) {
	q := x.queues[topicPartition{f.Topic, f.Partition}]
	if q == nil || !q.placed {
		return
	}
	if f.Err != nil { // one for good: the client would say it again at once
		q.err, q.placed = f.Err, false
		x.kafka.RemoveConsumePartitions(map[string][]int32{q.topic: {q.id}})
	}
	for _, r := range f.Records {
		q.records = append(q.records, r)
		q.bytes += size(r)
	}
	q.end = f.HighWatermark
	if x.c.ReadCommitted {
		q.end = f.LastStableOffset
	}
	q.fetched = time.Now()
	if limit := x.limit(); q.bytes > limit && !q.paused {
		q.paused = true
		x.kafka.PauseFetchPartitions(map[string][]int32{q.topic: {q.id}})
	}
	select {
	case q.arrivals <- struct{}{}:
	default:
	}
}

// limit is what one partition may have in its queue.
func (x *consumer) limit() int { return max(x.c.Prefetch/max(len(x.queues), 1), x.c.BatchBytes) }

func size(r *kgo.Record) int { return len(r.Value) + 200 }

// queue returns that of a partition, placed at an offset.
func (x *consumer) queue(p *partition, next int64) *queue {
	x.mu.Lock()
	defer x.mu.Unlock()
	tp := topicPartition{p.Topic, int32(p.ID)}
	q := x.queues[tp]
	if q == nil {
		awaited.begun(x.c.Instance, tp)
		q = &queue{topicPartition: tp, arrivals: make(chan struct{}, 1)}
		x.queues[tp] = q
		defer q.handed.begin(next) // a run that is killed now begins there, too
	} else if q.next == next || q.follow != nil && q.follow.back == next && q.follow.next == q.next {
		return q
	}
	x.move(q, next)
	return q
}

// move places a queue. The caller holds the lock.
func (x *consumer) move(q *queue, next int64) {
	q.resumed = nil
	q.handed.backTo(next)
	x.fetch(q, next)
}

// fetch makes a queue hold what is at an offset. The caller holds the lock.
func (x *consumer) fetch(q *queue, next int64) {
	q.next, q.records, q.bytes, q.err, q.placed = next, nil, 0, nil, false
	x.place = append(x.place, q)
	if x.nudge != nil {
		x.nudge()
	}
}

// begun shows the queue's mark to others. A bundle has begun, so the runner has what those
// before it gave: what this one gives it will only have when it ends, and until then no other
// partition may tell a watermark beyond it.
func (x *consumer) begun(q *queue) {
	x.mu.Lock()
	defer x.mu.Unlock()
	q.at = q.mark.At
}

// lowest is the lowest mark of all: the queue's own as it is now, those of others as the runner
// has them. It is zero where one has none.
func (x *consumer) lowest(q *queue) flow.Time {
	x.mu.Lock()
	defer x.mu.Unlock()
	low := q.mark.At
	if awaited.any(x.c.Instance) {
		low = 0
	}
	for _, other := range x.queues {
		if other != q {
			low = min(low, other.at)
		}
	}
	return low
}

// awaited are the partitions that were found and of which nothing was read yet, by read.
var awaited = awaiting{byRead: map[string]map[topicPartition]bool{}}

type awaiting struct {
	sync.Mutex
	byRead map[string]map[topicPartition]bool
}

func (a *awaiting) found(read string, ps []partition) {
	a.Lock()
	defer a.Unlock()
	if a.byRead[read] == nil {
		a.byRead[read] = map[topicPartition]bool{}
	}
	for _, p := range ps {
		a.byRead[read][topicPartition{p.Topic, int32(p.ID)}] = true
	}
}

func (a *awaiting) begun(read string, tp topicPartition) {
	a.Lock()
	defer a.Unlock()
	delete(a.byRead[read], tp)
}

func (a *awaiting) any(read string) bool {
	a.Lock()
	defer a.Unlock()
	return len(a.byRead[read]) > 0
}

// turn says whether no other partition that has messages is further behind. Where reading
// waits for the sinks, those that came first would get all the room there is.
func (x *consumer) turn(q *queue) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, other := range x.queues {
		waits := len(other.records) > 0 || other.next < other.end || other.fetched.IsZero()
		if waits && other != q && other.at < q.mark.At {
			return false
		}
	}
	return true
}

// forget ends fetching a partition that was read to its stop.
func (x *consumer) forget(q *queue) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.queues, q.topicPartition)
	x.hide(q)
	x.kafka.RemoveConsumePartitions(map[string][]int32{q.topic: {q.id}})
}

// chunk is some messages at the head of a queue.
type chunk struct {
	records  []*kgo.Record
	next     int64     // the offset after it
	caughtUp time.Time // when it was fetched, if it was all there was
	err      error     // where there is no message
}

// peek returns the messages that make up the next batch, before end. They stay.
func (x *consumer) peek(q *queue, end int64) chunk {
	x.mu.Lock()
	defer x.mu.Unlock()
	c := chunk{next: q.next}
	bytes, n := 0, 0
	for _, r := range q.records {
		if r.Offset >= end || n >= x.c.BatchRecords || bytes >= x.c.BatchBytes {
			break
		}
		n++
		bytes += len(r.Value)
		c.next = r.Offset + 1
	}
	c.records = q.records[:n:n]
	switch {
	case n < len(q.records) && q.records[n].Offset >= end:
		c.next = end // between here and there are no messages
	case n == len(q.records) && q.err != nil && n == 0:
		c.err = q.err
	case n == len(q.records) && c.next >= q.end && !q.fetched.IsZero():
		c.caughtUp = q.fetched
	}
	return c
}

// take removes what peek returned.
func (x *consumer) take(q *queue, c *chunk) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i, r := range c.records {
		q.bytes -= size(r)
		q.records[i] = nil
	}
	q.records = q.records[len(c.records):]
	if len(q.records) == 0 {
		q.records = nil
	}
	q.next = c.next
	if q.paused && q.bytes <= x.limit()/2 {
		q.paused = false
		x.kafka.ResumeFetchPartitions(map[string][]int32{q.topic: {q.id}})
	}
}

// moveTo places a queue at another offset.
func (x *consumer) moveTo(q *queue, next int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.move(q, next)
}

// again fetches anew from where the queue is, after an error.
func (x *consumer) again(q *queue) { x.rewind(q, q.next) }

// rewind fetches from another offset what is not handed over.
func (x *consumer) rewind(q *queue, next int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.fetch(q, next)
}

// throttle waits until n messages may be read.
func (x *consumer) throttle(ctx context.Context, n int) error {
	if x.rate == nil || n == 0 {
		return nil
	}
	return x.rate.WaitN(ctx, min(n, x.rate.Burst()))
}

// commit notes that all before an offset was handed over, and commits what was so long enough
// ago.
func (x *consumer) commit(q *queue, next int64) {
	if x.c.Group == "" || x.c.CommitStored {
		return
	}
	now := time.Now()
	x.mu.Lock()
	if n := len(q.resumed); n == 0 || now.Sub(q.resumed[n-1].at) >= x.c.CommitAge/8 {
		q.resumed = append(q.resumed, commitPoint{now, next})
	}
	var at int64 = -1
	for len(q.resumed) > 0 && now.Sub(q.resumed[0].at) >= x.c.CommitAge {
		at = q.resumed[0].offset
		q.resumed = q.resumed[1:]
	}
	x.mu.Unlock()
	if at < 0 {
		return
	}
	go func() { // it is for who watches, so nothing waits for it
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		a, err := x.ask(ctx)
		if err == nil {
			var offsets kadm.Offsets
			offsets.AddOffset(q.topic, q.id, at, -1)
			err = a.admin.CommitAllOffsets(ctx, x.c.Group, offsets)
		}
		if err != nil {
			slog.Warn("offsets are not committed", "group", x.c.Group, "topic", q.topic, "partition", q.id, "error", err)
		}
	}()
}

// wait waits until something comes, a second at most.
func (q *queue) wait(ctx context.Context) {
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-q.arrivals:
	case <-t.C:
	case <-ctx.Done():
	}
}

// troubleHook says why no broker answers, as often as is useful.
type troubleHook struct {
	mu   sync.Mutex
	last time.Time
}

var _ kgo.HookBrokerConnect = (*troubleHook)(nil)

// OnBrokerConnect warns of connections that fail: the client tries for ever.
func (h *troubleHook) OnBrokerConnect(b kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if err == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.last) < 30*time.Second {
		return
	}
	h.last = time.Now()
	slog.Warn("a Kafka broker cannot be reached; it is tried again", "host", b.Host, "port", b.Port, "error", err)
}
