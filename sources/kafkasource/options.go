package kafkasource

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/kafkaconn"
	"github.com/flowbeam/flowbeam/internal/watermark"
)

// config is what the options say. It travels to the workers.
type config struct {
	kafkaconn.Connection
	Stage                              string
	Topics                             []string
	Pattern                            string
	Format, DataCenter, Tenant, Header string

	Start, Stop   place
	Group         string
	ReadCommitted bool
	Batch         bool
	Expired       string

	Rule         watermark.Rule
	EventTime    string
	MaxMessage   int
	BatchRecords int
	BatchBytes   int
	BundleSize   int
	BundleTime   time.Duration
	Poll         time.Duration
	Discover     time.Duration
	CommitAge    time.Duration
	CommitGrace  time.Duration
	CommitFuture time.Duration
	CommitStored bool
	OneProcess   bool
	Rewind       time.Duration
	Exporter     string
	MaxRate      float64
	Prefetch     int

	// Instance tells the reads of a process from each other: each has its own place.
	Instance string

	pattern *regexp.Regexp
	names   naming
}

// place is a point in each partition.
type place struct {
	Kind    string // earliest, latest, committed, time, offsets; as a stop: "", latest, time, offsets
	Time    flow.Time
	Offsets map[string]int64 // by topic/partition
}

const (
	earliest  = "earliest"
	latest    = "latest"
	committed = "committed"
	byTime    = "time"
	byOffset  = "offsets"
)

func defaults(brokers, topics []string) config {
	return config{
		Connection: kafkaconn.Connection{Brokers: brokers, ClientID: "flowbeam"},
		Stage:      "kafka", Topics: topics, Start: place{Kind: earliest}, Expired: "fail", EventTime: "payload",
		Rule:       watermark.Rule{Skew: time.Minute, MaxHold: 5 * time.Minute},
		MaxMessage: 1 << 20, BatchRecords: 1000, BatchBytes: 1 << 20,
		BundleSize: 20_000, BundleTime: time.Second, Poll: time.Second, Discover: 10 * time.Second,
		CommitAge: time.Minute, Rewind: time.Hour, Exporter: "key", Prefetch: 64 << 20,
	}
}

// Option changes how topics are read.
type Option func(*config) error

// Name sets the stage of counts, metrics and dead letters. Default kafka.
func Name(stage string) Option {
	return func(c *config) error {
		c.Stage = stage
		if stage == "" {
			return errors.New("Name: empty")
		}
		return nil
	}
}

// Pattern reads, besides the topics that are named, all topics whose whole name matches a
// regular expression (RE2), also those that come later.
func Pattern(expr string) Option {
	return func(c *config) error {
		c.Pattern = expr
		return c.compile()
	}
}

func (c *config) compile() (err error) {
	if c.Pattern != "" {
		if c.pattern, err = regexp.Compile("^(?:" + c.Pattern + ")$"); err != nil {
			return fmt.Errorf("Pattern: %w", err)
		}
	}
	return nil
}

// Format declares the format of all messages by the name it was registered with in flow,
// such as "canopus". Default "": detected for each batch, which is for topics of one format
// whose first message of a batch is whole.
func Format(name string) Option {
	return func(c *config) error {
		if _, ok := flow.FormatNamed(name); name != "" && !ok {
			return fmt.Errorf("Format: %q is not registered; known are %s", name, strings.Join(flow.FormatNames(), ", "))
		}
		c.Format = name
		return nil
	}
}

// DataCenter says which data center a message comes from: a name; or, where it has a
// parenthesis, a regular expression (RE2) with one group, which is searched for in the
// topic's name and whose group is the data center: `^flows-(.+)$`; or header:NAME, the value
// of a message's header. Default "".
func DataCenter(spec string) Option {
	return func(c *config) (err error) {
		c.DataCenter = spec
		c.names, err = parseNaming(spec)
		return err
	}
}

// Tenant names the tenant of all messages. Default "".
func Tenant(name string) Option {
	return func(c *config) error { c.Tenant = name; return nil }
}

// Header gives the header lines of formats that have some, such as the field list of AWS
// flow logs: a message has none.
func Header(text string) Option {
	return func(c *config) error { c.Header = text; return nil }
}

// StartEarliest begins with the oldest message there is: the default.
func StartEarliest() Option { return startAt(place{Kind: earliest}) }

// StartLatest begins with the first message that comes. Partitions that are found later are
// read from their beginning.
func StartLatest() Option { return startAt(place{Kind: latest}) }

// StartCommitted begins where a consumer group stands, and at the earliest message where it
// has committed nothing. What [CommitStored] has committed needs not be read again. What
// [Commit] has was read, and not yet stored in every case: go back by [StartTime] after a
// crash of a runner that keeps no state.
func StartCommitted(group string) Option {
	return func(c *config) error {
		c.Start, c.Group = place{Kind: committed}, group
		if group == "" {
			return errors.New("StartCommitted: no group")
		}
		return nil
	}
}

// StartTime begins with the first message of each partition whose timestamp is t or later.
func StartTime(t time.Time) Option { return startAt(place{Kind: byTime, Time: flow.TimeOf(t)}) }

// StartOffsets begins at the given offsets, by "topic/partition", and at the earliest of
// partitions that it does not name.
func StartOffsets(offsets map[string]int64) Option {
	return func(c *config) error {
		c.Start = place{Kind: byOffset, Offsets: maps.Clone(offsets)}
		return checkOffsets("StartOffsets", offsets)
	}
}

func startAt(p place) Option {
	return func(c *config) error { c.Start = p; return nil }
}

// StopLatest ends each partition where it ended when the read began.
func StopLatest() Option { return stopAt(place{Kind: latest}) }

// StopTime ends each partition before its first message whose timestamp is t or later, and
// where it has none at its present end: t is in the past.
func StopTime(t time.Time) Option { return stopAt(place{Kind: byTime, Time: flow.TimeOf(t)}) }

// StopOffsets ends partitions, by "topic/partition", before the given offsets, and others
// where they ended when the read began.
func StopOffsets(offsets map[string]int64) Option {
	return func(c *config) error {
		c.Stop = place{Kind: byOffset, Offsets: maps.Clone(offsets)}
		return checkOffsets("StopOffsets", offsets)
	}
}

func stopAt(p place) Option {
	return func(c *config) error { c.Stop = p; return nil }
}

var positionName = regexp.MustCompile(`^[a-zA-Z0-9._-]+/[0-9]+$`)

func checkOffsets(name string, offsets map[string]int64) error {
	for _, k := range slices.Sorted(maps.Keys(offsets)) {
		if !positionName.MatchString(k) || offsets[k] < 0 {
			return fmt.Errorf("%s: %q: %d: want topic/partition and an offset that is not negative", name, k, offsets[k])
		}
	}
	return nil
}

// Batch makes the outputs bounded collections, as a batch job on Dataflow or Flink wants
// them: a partition is read in one bundle. It needs one of the Stop options.
func Batch() Option {
	return func(c *config) error { c.Batch = true; return nil }
}

// ReadCommitted passes over messages of transactions that were aborted, and waits for those
// that are open.
func ReadCommitted() Option {
	return func(c *config) error { c.ReadCommitted = true; return nil }
}

// Commit commits to a consumer group what was read age ago, for who watches its lag. It
// begins nothing there. Default age one minute, where age is 0.
func Commit(group string, age time.Duration) Option {
	return func(c *config) error {
		if c.Group = group; group == "" {
			return errors.New("Commit: no group")
		}
		if age > 0 {
			c.CommitAge = age
		}
		return notNegative("Commit", age)
	}
}

// CommitStored commits to a consumer group what is in the stores, as the pipeline tells with
// windowing.Stored, so that a run which begins there (see [StartCommitted]) reads again what
// one that was killed had not written, and all of the windows that it had open. grace is how
// long after its event time a record may still be needed for that: the longest window and
// its allowed lateness. future is how far after its arrival an event time may be:
// beyond it a record is out of bounds, and in no window. It is for the local runner; where reading and storing
// are not in one process nothing is committed.
func CommitStored(group string, grace, future time.Duration) Option {
	return func(c *config) error {
		c.Group, c.CommitStored, c.CommitGrace, c.CommitFuture = group, true, grace, future
		if group == "" {
			return errors.New("CommitStored: no group")
		}
		return errors.Join(notNegative("CommitStored", grace), notNegative("CommitStored", future))
	}
}

// OneProcess says that one process reads all partitions, as on the local runner: each of them
// then tells the lowest watermark of all. Prism, of Beam 2.77, takes for a read's watermark
// what the last bundle told, which need not be of the partition that is furthest behind.
func OneProcess() Option {
	return func(c *config) error { c.OneProcess = true; return nil }
}

// OnExpired says what is done where messages were deleted before they were read, or a log
// lost its end: "fail", the default, or "earliest", which goes on with what there is. In
// both cases the range is named, with "earliest" as a dead letter of reason expired.
func OnExpired(policy string) Option {
	return func(c *config) error {
		c.Expired = policy
		if policy != "fail" && policy != earliest {
			return fmt.Errorf("OnExpired: %q is neither fail nor earliest", policy)
		}
		return nil
	}
}

// EventTime says what the watermark is made of: "payload", the default, the event time that
// the format reads in a message cheaply; or "timestamp", the message's own.
func EventTime(from string) Option {
	return func(c *config) error {
		c.EventTime = from
		if from != "payload" && from != "timestamp" {
			return fmt.Errorf("EventTime: %q is neither payload nor timestamp", from)
		}
		return nil
	}
}

// Skew is how much older than the newest record before it in its partition a record may be
// without being late. Default 1 minute.
func Skew(d time.Duration) Option {
	return func(c *config) error { c.Rule.Skew = d; return notNegative("Skew", d) }
}

// MaxHold is how far a partition whose records arrive with old event times, or that is
// quiet, holds the watermark back. Default 5 minutes.
func MaxHold(d time.Duration) Option {
	return func(c *config) error { c.Rule.MaxHold = d; return notNegative("MaxHold", d) }
}

// MaxMessage is the longest message in bytes that is kept whole; of a longer one the first
// 1 KiB, its length and its SHA-256 are. Default 1 MiB.
func MaxMessage(bytes int) Option {
	return func(c *config) error { c.MaxMessage = bytes; return positive("MaxMessage", bytes) }
}

// BatchSize bounds a RawBatch in messages and in bytes. Default 1,000 and 1 MiB.
func BatchSize(records, bytes int) Option {
	return func(c *config) error {
		c.BatchRecords, c.BatchBytes = records, bytes
		return errors.Join(positive("BatchSize", records), positive("BatchSize", bytes))
	}
}

// Checkpoint ends a bundle of a partition after so many messages or so much time, because
// runners commit output when a bundle ends. Default 20,000 and one second.
func Checkpoint(records int, after time.Duration) Option {
	return func(c *config) error {
		c.BundleSize, c.BundleTime = records, after
		return errors.Join(positive("Checkpoint", records), positive("Checkpoint", after))
	}
}

// Poll is how long a partition that was read to its end is left alone. Default one second;
// Flink rounds it up to whole seconds.
func Poll(d time.Duration) Option {
	return func(c *config) error { c.Poll = d; return positive("Poll", d) }
}

// Discover is how often new partitions and topics are looked for. Windows wait for the next
// time: they are by so much behind at most. Default 10 seconds.
func Discover(d time.Duration) Option {
	return func(c *config) error { c.Discover = d; return positive("Discover", d) }
}

// Rewind is how far back messages are read again, by their timestamps, where a format needs what
// was said before in the partition: templates of NetFlow v9 and IPFIX, which exporters send
// now and then. It is done when a read begins or is taken over, at the first bare datagram of
// these, and not for those in the envelope of a collector. A template holds for three quarters of it after it was
// sent last, and a data set waits for its template for a quarter. Default one hour.
func Rewind(d time.Duration) Option {
	return func(c *config) error { c.Rewind = d; return positive("Rewind", d) }
}

// Exporter says where the address is of the exporter that sent what a message holds, where its
// datagrams are bare: "key", the default, for keys that are an address in text, with or without
// port; or header:NAME, the value of a message's header. Where it is not known, all
// of a partition are taken for one exporter, and templates of several may be mixed up.
func Exporter(from string) Option {
	return func(c *config) error {
		c.Exporter = from
		if from != "key" && c.exporterHeader() == "" {
			return fmt.Errorf("Exporter: %q is neither key nor header:NAME", from)
		}
		return nil
	}
}

func (c *config) exporterHeader() string {
	name, _ := strings.CutPrefix(c.Exporter, "header:")
	if name == c.Exporter {
		return ""
	}
	return name
}

// MaxRate bounds the messages a second that a process reads. Default: no bound.
func MaxRate(perSecond float64) Option {
	return func(c *config) error {
		if c.MaxRate = perSecond; perSecond <= 0 {
			return fmt.Errorf("MaxRate: %v is not positive", perSecond)
		}
		return nil
	}
}

// Prefetch bounds the bytes that a process has fetched and not yet read, besides one fetch
// a broker. Default 64 MiB.
func Prefetch(bytes int) Option {
	return func(c *config) error { c.Prefetch = bytes; return positive("Prefetch", bytes) }
}

// TLS encrypts the connections. ca refers to the PEM file of the authorities to trust, as
// file:PATH, env:NAME or gcp:projects/P/secrets/S/versions/V; "" is those of the system.
func TLS(ca string) Option {
	return func(c *config) error { return c.SetTLS(ca) }
}

// ClientCertificate shows a certificate to the brokers. Both are references to PEM files,
// as for [TLS].
func ClientCertificate(cert, key string) Option {
	return func(c *config) error { return c.SetClientCertificate(cert, key) }
}

// SASL names the user and refers to the password, as file:PATH, env:NAME or
// gcp:projects/P/secrets/S/versions/V. mechanism is PLAIN, which asks for [TLS] unless the
// brokers are on this machine, SCRAM-SHA-256 or SCRAM-SHA-512.
func SASL(mechanism, user, password string) Option {
	return func(c *config) error { return c.SetSASL(mechanism, user, password) }
}

// ClientID sets the name that brokers log and set quotas by. Default flowbeam.
func ClientID(id string) Option {
	return func(c *config) error { c.Connection.ClientID = id; return nil }
}

func positive[T int | time.Duration](name string, n T) error {
	if n <= 0 {
		return fmt.Errorf("%s: %v is not positive", name, n)
	}
	return nil
}

func notNegative(name string, d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("%s: %v is negative", name, d)
	}
	return nil
}

// newConfig returns what the options say, and every problem of them at once.
func newConfig(brokers, topics []string, opts []Option) (*config, error) {
	c := defaults(brokers, topics)
	var errs []error
	for _, o := range opts {
		errs = append(errs, o(&c))
	}
	errs = append(errs, c.Connection.Check())
	for _, t := range topics {
		errs = append(errs, kafkaconn.CheckTopic(t))
	}
	if len(topics) == 0 && c.Pattern == "" {
		errs = append(errs, errors.New("no topics and no pattern"))
	}
	if c.Batch && c.Stop.Kind == "" {
		errs = append(errs, errors.New("Batch: a read that ends needs StopLatest, StopTime or StopOffsets"))
	}
	if c.Prefetch < c.BatchBytes {
		errs = append(errs, fmt.Errorf("Prefetch: %d bytes are less than the %d of a batch", c.Prefetch, c.BatchBytes))
	}
	return &c, errors.Join(errs...)
}

// setup opens what travels as text.
func (c *config) setup() (err error) {
	if err := c.compile(); err != nil {
		return err
	}
	c.names, err = parseNaming(c.DataCenter)
	return err
}

// naming tells the data center of a message.
type naming struct {
	literal, header string
	topic           *regexp.Regexp
}

func parseNaming(spec string) (n naming, err error) {
	if name, ok := strings.CutPrefix(spec, "header:"); ok {
		if n.header = name; name == "" {
			return n, errors.New("DataCenter: header: without a name")
		}
		return n, nil
	}
	if !strings.ContainsAny(spec, "()") {
		n.literal = spec
		return n, nil
	}
	if n.topic, err = regexp.Compile(spec); err != nil {
		return n, fmt.Errorf("DataCenter: %w", err)
	}
	if g := n.topic.NumSubexp(); g != 1 {
		return n, fmt.Errorf("DataCenter: %q has %d groups, want one, which is the data center's name; (?:…) groups without counting", spec, g)
	}
	return n, nil
}

// of is the data center of a topic's messages.
func (n naming) of(topic string) string {
	if n.topic == nil {
		return n.literal
	}
	if m := n.topic.FindStringSubmatch(topic); m != nil {
		return m[1]
	}
	return ""
}
