package pubsubsource

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/pubsubconn"
	"github.com/flowbeam/flowbeam/internal/watermark"
)

// config is what the options say. It travels to the workers, so there is no secret in it,
// only references.
type config struct {
	Stage                              string
	Project                            string
	Subscriptions                      []string // projects/P/subscriptions/S
	Connection                         connection
	Runner                             string
	Format, DataCenter, Tenant, Header string

	Start         start
	Prefix        string
	SnapshotEvery time.Duration
	KeepSnapshots time.Duration

	Rule               watermark.Rule
	EventTime          string
	TimestampAttribute string
	IDAttribute        string
	MaxMessage         int
	BatchRecords       int
	BatchBytes         int
	BundleSize         int
	BundleTime         time.Duration
	Poll               time.Duration
	MaxRate            float64
	MaxMessages        int
	MaxBytes           int
	MaxExtension       time.Duration
	Streams            int
	OneProcess         bool

	// Run names the pipeline's run, which Built began: a runner that goes back to its
	// beginning knows it by this.
	Run   string
	Built time.Time

	names naming
	info  flow.FormatInfo
}

// start is where a read begins.
type start struct {
	Kind string
	Time flow.Time
	Back time.Duration
}

const (
	bySubscription = "subscription"
	byTime         = "time"
	byResume       = "resume"
)

func defaults(project string, subscriptions []string) config {
	c := config{
		Stage: "pubsub", Project: project, Start: start{Kind: bySubscription}, EventTime: "payload",
		Connection: connection{pubsubconn.Connection{Emulator: os.Getenv("PUBSUB_EMULATOR_HOST")}},
		Prefix:     "flowbeam", SnapshotEvery: time.Minute, KeepSnapshots: 30 * time.Minute,
		Rule:       watermark.Rule{Skew: time.Minute, MaxHold: 5 * time.Minute},
		MaxMessage: 1 << 20, BatchRecords: 1000, BatchBytes: 1 << 20,
		BundleSize: 20_000, BundleTime: time.Second, Poll: time.Second,
		MaxMessages: 20_000, MaxBytes: 64 << 20, MaxExtension: time.Hour, Streams: 1,
	}
	for _, s := range subscriptions {
		c.Subscriptions = append(c.Subscriptions, "projects/"+project+"/subscriptions/"+s)
	}
	return c
}

// Option changes how subscriptions are read.
type Option func(*config) error

// Name sets the stage of counts, metrics and dead letters. Default pubsub.
func Name(stage string) Option {
	return func(c *config) error {
		c.Stage = stage
		if stage == "" {
			return errors.New("Name: empty")
		}
		return nil
	}
}

// Runner names the runner that the pipeline is for: "prism", "direct" or "flink", the
// default, read as [Read] says; "dataflow" reads by the service's own transform, which runs
// nowhere else.
func Runner(name string) Option {
	return func(c *config) error {
		c.Runner = name
		if !slices.Contains([]string{"", "prism", "direct", "flink", dataflow}, name) {
			return fmt.Errorf("Runner: %q: want prism, direct, flink or dataflow", name)
		}
		return nil
	}
}

const dataflow = "dataflow"

// Format declares the format of all messages by the name it was registered with in flow,
// such as "canopus". Default "": detected for each batch, which is for subscriptions of one
// format whose first message of a batch is whole.
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
// subscription's name, then in the topic's, and whose group is the data center:
// `^flows-(.+)$`; or attribute:NAME, the value of a message's attribute. Default "".
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

// StartSubscription begins where the subscription stands: the default.
func StartSubscription() Option { return startAt(start{Kind: bySubscription}) }

// StartTime begins with what was published at t or later. What was published before is
// passed over, read or not: the service takes it for acknowledged. What was acknowledged
// since comes again as far as it was retained.
func StartTime(t time.Time) Option { return startAt(start{Kind: byTime, Time: flow.TimeOf(t)}) }

// StartResume begins where a run went that lost its state, such as one on the local runner
// that crashed: at the newest snapshot that is at least back older than the last one, or at
// the oldest there is, and where there is none at where the subscription stands. back is
// what such a run may have read and not written: allowed lateness, the longest window,
// MaxHold and Skew, and a little.
func StartResume(back time.Duration) Option {
	return func(c *config) error {
		c.Start = start{Kind: byResume, Back: back}
		return notNegative("StartResume", back)
	}
}

func startAt(s start) Option {
	return func(c *config) error { c.Start = s; return nil }
}

// SnapshotEvery is how often the subscription's acknowledgements are kept in a snapshot: a
// runner that goes back gets the messages of this time again, and of its checkpoint's.
// Default one minute.
func SnapshotEvery(d time.Duration) Option {
	return func(c *config) error { c.SnapshotEvery = d; return positive("SnapshotEvery", d) }
}

// KeepSnapshots is how old a checkpoint may be from which a runner goes on. Older snapshots
// are deleted, but for one. Where none can be made, acknowledging stops after this. Default
// 30 minutes, at most 6 days.
func KeepSnapshots(d time.Duration) Option {
	return func(c *config) error {
		c.KeepSnapshots = d
		if d > 6*24*time.Hour {
			return fmt.Errorf("KeepSnapshots: %v: the service keeps snapshots for 7 days at most; want 6 days or less", d)
		}
		return positive("KeepSnapshots", d)
	}
}

var prefixName = regexp.MustCompile(`^[a-z][a-z0-9-]{1,38}$`)

// SnapshotPrefix is what the names of snapshots begin with. Default flowbeam.
func SnapshotPrefix(prefix string) Option {
	return func(c *config) error {
		c.Prefix = prefix
		if !prefixName.MatchString(prefix) || strings.HasPrefix(prefix, "goog") {
			return fmt.Errorf("SnapshotPrefix: %q: want 2 to 39 lower-case letters, digits and hyphens, a letter first, and not goog", prefix)
		}
		return nil
	}
}

// OneProcess says that one process reads all subscriptions, as on the local runner: each of them
// then tells the lowest watermark of all. Prism, of Beam 2.77, takes for a read's watermark what
// the last bundle told, which need not be of the subscription that is furthest behind.
func OneProcess() Option {
	return func(c *config) error { c.OneProcess = true; return nil }
}

// EventTime says what the watermark is made of: "payload", the default, the event time that
// the format reads in a message cheaply; or "timestamp", when it was published, or what
// [TimestampAttribute] says.
func EventTime(from string) Option {
	return func(c *config) error {
		c.EventTime = from
		if from != "payload" && from != "timestamp" {
			return fmt.Errorf("EventTime: %q is neither payload nor timestamp", from)
		}
		return nil
	}
}

// TimestampAttribute names the attribute that has a message's event time, in RFC 3339 or in
// milliseconds since the epoch, for the watermark. A message without such a time is counted
// as bad_timestamps, and when it was published counts. Default: none.
func TimestampAttribute(name string) Option {
	return func(c *config) error {
		c.TimestampAttribute = name
		if name == "" {
			return errors.New("TimestampAttribute: empty")
		}
		return nil
	}
}

// IDAttribute names the attribute by which Dataflow takes a message for one that it has
// read in the last ten minutes. Other runners do not: record ids tell. Default: none.
func IDAttribute(name string) Option {
	return func(c *config) error {
		c.IDAttribute = name
		if name == "" {
			return errors.New("IDAttribute: empty")
		}
		return nil
	}
}

// Skew is how much older than those before it a record may be without being late. Default
// 1 minute.
func Skew(d time.Duration) Option {
	return func(c *config) error { c.Rule.Skew = d; return notNegative("Skew", d) }
}

// MaxHold is how far a subscription whose records arrive with old event times, or that is
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

// Checkpoint ends a bundle of a subscription after so many messages or so much time, because
// runners commit output when a bundle ends. Default 20,000 and one second.
func Checkpoint(records int, after time.Duration) Option {
	return func(c *config) error {
		c.BundleSize, c.BundleTime = records, after
		return errors.Join(positive("Checkpoint", records), positive("Checkpoint", after))
	}
}

// Poll is how long a subscription of which nothing waits is left alone. Default one second;
// Flink rounds it up to whole seconds.
func Poll(d time.Duration) Option {
	return func(c *config) error { c.Poll = d; return positive("Poll", d) }
}

// MaxRate bounds the messages a second that a process reads of a subscription. Default: no
// bound.
func MaxRate(perSecond float64) Option {
	return func(c *config) error {
		if c.MaxRate = perSecond; perSecond <= 0 {
			return fmt.Errorf("MaxRate: %v is not positive", perSecond)
		}
		return nil
	}
}

// Outstanding bounds what a process holds of a subscription: received and not acknowledged,
// in messages and in bytes. A bundle's messages are held until the next begins, so it
// bounds the rate, too. Default 20,000 and 64 MiB.
func Outstanding(messages, bytes int) Option {
	return func(c *config) error {
		c.MaxMessages, c.MaxBytes = messages, bytes
		return errors.Join(positive("Outstanding", messages), positive("Outstanding", bytes))
	}
}

// MaxExtension is for how long the lease of a message that is held is extended; it comes
// again then. Default one hour.
func MaxExtension(d time.Duration) Option {
	return func(c *config) error { c.MaxExtension = d; return positive("MaxExtension", d) }
}

// Streams is how many connections of a process receive from a subscription: one gives about
// 10 MB a second. Default 1.
func Streams(n int) Option {
	return func(c *config) error { c.Streams = n; return positive("Streams", n) }
}

// Endpoint sets the service's address, such as europe-west1-pubsub.googleapis.com:443.
// Default: the global endpoint.
func Endpoint(address string) Option {
	return func(c *config) error { return c.Connection.SetEndpoint(address) }
}

// Emulator reads from an emulator at host:port, without credentials or encryption. Default:
// PUBSUB_EMULATOR_HOST, where it is set when the pipeline is built.
func Emulator(address string) Option {
	return func(c *config) error { return c.Connection.SetEmulator(address) }
}

// Credentials refers to the key of a service account, as file:PATH, env:NAME or
// gcp:projects/P/secrets/S/versions/V. It is read anew with each connection. Default: the
// worker's own identity.
func Credentials(ref string) Option {
	return func(c *config) error { return c.Connection.SetCredentials(ref) }
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

// Source: https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names
var fullName = regexp.MustCompile(`^projects/(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]/subscriptions/[A-Za-z][A-Za-z0-9._~+%-]{2,254}$`)

// newConfig returns what the options say, and every problem of them at once.
func newConfig(project string, subscriptions []string, opts []Option) (*config, error) {
	c := defaults(project, subscriptions)
	var errs []error
	for _, o := range opts {
		errs = append(errs, o(&c))
	}
	if len(subscriptions) == 0 {
		errs = append(errs, errors.New("no subscriptions"))
	}
	for i, s := range c.Subscriptions {
		if !fullName.MatchString(s) {
			errs = append(errs, fmt.Errorf("%q: want a project's id, of 6 to 30 lower-case letters, digits and hyphens, and a subscription's, of 3 to 255 letters, digits and -._~+%%, which begins with a letter", s))
		}
		if slices.Contains(c.Subscriptions[:i], s) {
			errs = append(errs, fmt.Errorf("%s is named twice", s))
		}
	}
	if c.Connection.Emulator != "" && c.Connection.Credentials != "" {
		errs = append(errs, errors.New("Credentials: an emulator has none"))
	}
	if c.MaxBytes < c.BatchBytes {
		errs = append(errs, fmt.Errorf("Outstanding: %d bytes are less than the %d of a batch", c.MaxBytes, c.BatchBytes))
	}
	if c.SnapshotEvery > c.KeepSnapshots {
		errs = append(errs, fmt.Errorf("SnapshotEvery: %v is longer than snapshots are kept, %v (KeepSnapshots)", c.SnapshotEvery, c.KeepSnapshots))
	}
	if c.Start.Kind == byResume && c.Start.Back > c.KeepSnapshots {
		errs = append(errs, fmt.Errorf("StartResume: %v back, and snapshots are kept for %v: set KeepSnapshots to as much at least, in the run that is resumed, too", c.Start.Back, c.KeepSnapshots))
	}
	if c.Runner == dataflow {
		if c.Start.Kind != bySubscription {
			errs = append(errs, errors.New("Runner: dataflow acknowledges by itself and begins where the subscription stands: no StartTime or StartResume; seek the subscription before the job (gcloud pubsub subscriptions seek)"))
		}
		if c.Connection != (connection{}) {
			errs = append(errs, errors.New("Runner: dataflow reads with its own connection: no Endpoint, Emulator or Credentials, and PUBSUB_EMULATOR_HOST unset"))
		}
		if c.MaxRate > 0 {
			errs = append(errs, errors.New("Runner: dataflow has no MaxRate"))
		}
	} else if c.IDAttribute != "" {
		errs = append(errs, errors.New("IDAttribute: only Dataflow drops messages by it: record ids do it on other runners"))
	}
	c.Run, c.Built = strings.ToLower(rand.Text()[:8]), time.UnixMilli(time.Now().UnixMilli()).UTC()
	return &c, errors.Join(errs...)
}

// setup opens what travels as text.
func (c *config) setup() (err error) {
	if c.EventTime == "payload" && c.TimestampAttribute == "" {
		c.info, _ = flow.FormatNamed(c.Format)
	}
	c.names, err = parseNaming(c.DataCenter)
	return err
}

// naming tells the data center of a message.
type naming struct {
	literal, attribute string
	resource           *regexp.Regexp
}

func parseNaming(spec string) (n naming, err error) {
	if name, ok := strings.CutPrefix(spec, "attribute:"); ok {
		if n.attribute = name; name == "" {
			return n, errors.New("DataCenter: attribute: without a name")
		}
		return n, nil
	}
	if !strings.ContainsAny(spec, "()") {
		n.literal = spec
		return n, nil
	}
	if n.resource, err = regexp.Compile(spec); err != nil {
		return n, fmt.Errorf("DataCenter: %w", err)
	}
	if g := n.resource.NumSubexp(); g != 1 {
		return n, fmt.Errorf("DataCenter: %q has %d groups, want one, which is the data center's name; (?:…) groups without counting", spec, g)
	}
	return n, nil
}

// of is the data center of the first name that tells one.
func (n naming) of(names ...string) string {
	if n.resource == nil {
		return n.literal
	}
	for _, name := range names {
		if m := n.resource.FindStringSubmatch(name); m != nil {
			return m[1]
		}
	}
	return ""
}

// lastPart is a resource's own name: S of projects/P/subscriptions/S.
func lastPart(full string) string { return full[strings.LastIndexByte(full, '/')+1:] }
