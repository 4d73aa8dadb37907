package filesource

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/flowbeam/flowbeam/flow"
)

const (
	defaultMaxLine         = 1 << 20
	defaultMaxDecompressed = 64 << 30
	defaultMaxRatio        = 200
	defaultBatchRecords    = 1000
	defaultBatchBytes      = 1 << 20
	defaultSplitBytes      = 32 << 20
	defaultSkew            = time.Minute
	defaultMaxHold         = 5 * time.Minute
	defaultIdleTimeout     = 5 * time.Minute

	// ratioFrom is how many decompressed bytes any file may have, whatever its ratio: what
	// compresses well and stays small harms nobody.
	ratioFrom = 64 << 20

	// A bundle ends after so much, so that a runner which commits output at the bundle's
	// end alone does so as the read goes on.
	bundleRecords = 50_000
	bundleBytes   = 16 << 20
)

// config is what the options say. Exported fields travel to workers.
type config struct {
	Format, DataCenter, Tenant, Header string
	MaxLine                            int
	MaxDecompressed, MaxRatio          int64
	BatchRecords, BatchBytes           int
	SplitBytes                         int64
	Batch                              bool

	Watch, Skew, MaxHold, IdleTimeout time.Duration
	StopFiles                         int
	StopAt                            flow.Time

	dataCenter *regexp.Regexp // nil: DataCenter is literal; opened by setup
}

func newConfig(opts []Option) (*config, error) {
	c := &config{
		MaxLine: defaultMaxLine, MaxDecompressed: defaultMaxDecompressed, MaxRatio: defaultMaxRatio,
		BatchRecords: defaultBatchRecords, BatchBytes: defaultBatchBytes, SplitBytes: defaultSplitBytes,
		Skew: defaultSkew, MaxHold: defaultMaxHold, IdleTimeout: defaultIdleTimeout,
	}
	for _, o := range opts {
		if err := o(c); err != nil {
			return nil, err
		}
	}
	if c.Watch > 0 && c.Batch {
		return nil, fmt.Errorf("Watch and Batch exclude each other: a watched folder has no end")
	}
	if c.Watch == 0 && (c.StopFiles > 0 || c.StopAt != 0) {
		return nil, fmt.Errorf("StopAfter and StopAt are for Watch: other reads end by themselves")
	}
	return c, nil
}

// setup opens what travels as text.
func (c *config) setup() (err error) {
	c.dataCenter, err = parseDataCenter(c.DataCenter)
	return err
}

// Option changes how files are read.
type Option func(*config) error

// Format declares the format of all files by the name it was registered with in flow,
// such as "canopus". Default "": detected for each file from its first 64 KiB.
func Format(name string) Option {
	return func(c *config) error {
		if _, ok := flow.FormatNamed(name); name != "" && !ok {
			return fmt.Errorf("Format: %q is not registered; known are %s", name, strings.Join(flow.FormatNames(), ", "))
		}
		c.Format = name
		return nil
	}
}

// DataCenter says which data center the files come from: a name, or, where it has a
// parenthesis, a regular expression (RE2) with exactly one group, which is searched for in
// each path and whose group is the name: `/dc=([^/]+)/`. A path that doesn't match has no
// data center. Default "".
func DataCenter(spec string) Option {
	return func(c *config) error {
		if _, err := parseDataCenter(spec); err != nil {
			return err
		}
		c.DataCenter = spec
		return nil
	}
}

// CheckDataCenter says whether DataCenter takes spec.
func CheckDataCenter(spec string) error {
	_, err := parseDataCenter(spec)
	return err
}

func parseDataCenter(spec string) (*regexp.Regexp, error) {
	if !strings.ContainsAny(spec, "()") {
		return nil, nil
	}
	re, err := regexp.Compile(spec)
	if err != nil {
		return nil, fmt.Errorf("DataCenter: %w", err)
	}
	if n := re.NumSubexp(); n != 1 {
		return nil, fmt.Errorf("DataCenter: %q has %d groups, want one, which is the data center's name; (?:…) groups without counting", spec, n)
	}
	return re, nil
}

func (c *config) dataCenterOf(path string) string {
	if c.dataCenter == nil {
		return c.DataCenter
	}
	if m := c.dataCenter.FindStringSubmatch(path); m != nil {
		return m[1]
	}
	return ""
}

// Tenant names the tenant of all files. Default "".
func Tenant(name string) Option {
	return func(c *config) error { c.Tenant = name; return nil }
}

// Header gives the header lines of files that have none, such as AWS flow logs taken from
// CloudWatch: the declared field list. A header found in a file goes before it, but for lines
// "#timezone …" at its start, which are put before the file's own.
func Header(text string) Option {
	return func(c *config) error { c.Header = text; return nil }
}

// MaxLine is the longest line in bytes, without its line end, that is read whole; of a
// longer one the first 1 KiB, its length and its SHA-256 are kept. Default 1 MiB.
func MaxLine(bytes int) Option {
	return func(c *config) error { c.MaxLine = bytes; return positive("MaxLine", bytes) }
}

// MaxDecompressed is the most bytes that one compressed file may have when decompressed;
// beyond it the rest of the file is given up. Default 64 GiB.
func MaxDecompressed(bytes int64) Option {
	return func(c *config) error { c.MaxDecompressed = bytes; return positive("MaxDecompressed", bytes) }
}

// MaxRatio is the most decompressed bytes for each compressed one, counted once a file has
// given 64 MiB; beyond it the rest of the file is given up. Flow logs compress at 5:1 to
// 40:1, bombs at 1000:1 and more. Default 200.
func MaxRatio(ratio int64) Option {
	return func(c *config) error { c.MaxRatio = ratio; return positive("MaxRatio", ratio) }
}

// BatchRecords is the most records of one RawBatch. Default 1000.
func BatchRecords(n int) Option {
	return func(c *config) error { c.BatchRecords = n; return positive("BatchRecords", n) }
}

// BatchBytes is how many bytes of records close a RawBatch: it has at most one line more.
// Default 1 MiB.
func BatchBytes(n int) Option {
	return func(c *config) error { c.BatchBytes = n; return positive("BatchBytes", n) }
}

// SplitBytes is the length in bytes of the ranges into which a plain file is split so that
// many workers read it. Default 32 MiB.
func SplitBytes(n int64) Option {
	return func(c *config) error { c.SplitBytes = n; return positive("SplitBytes", n) }
}

// Batch makes the outputs bounded collections, as a batch job on Dataflow or Flink wants
// them. Without it the read ends its bundles early, at 16 MiB or 50,000 records, so that
// Prism, which commits output at a bundle's end alone, keeps little in memory; Beam's Go
// SDK calls the output of such a source unbounded though it ends.
func Batch() Option {
	return func(c *config) error { c.Batch = true; return nil }
}

// Watch makes the source unbounded: it looks for new files at each interval, at least a
// second, for ever. See [Read] for which files it takes and when.
func Watch(interval time.Duration) Option {
	return func(c *config) error {
		if interval < time.Second && !(shortWatch && interval > 0) {
			return fmt.Errorf("Watch: interval %v is below one second", interval)
		}
		c.Watch = interval
		return nil
	}
}

// shortWatch lets this package's tests poll faster.
var shortWatch bool

// Skew is how much older than the newest record before it a record of the same data
// center may be without being late. Default 1 minute. For Watch.
func Skew(d time.Duration) Option {
	return func(c *config) error { c.Skew = d; return notNegative("Skew", d) }
}

// MaxHold is how far a data center that lags or is quiet holds the watermark back behind
// the one that leads. Default 5 minutes. For Watch.
func MaxHold(d time.Duration) Option {
	return func(c *config) error { c.MaxHold = d; return notNegative("MaxHold", d) }
}

// IdleTimeout is how long a data center may be without a new file before it no longer
// holds the watermark. Once all are idle the watermark follows the clock, MaxHold and Skew
// behind it. 0: never, so that windows wait for the next file. Default 5 minutes. For
// Watch.
func IdleTimeout(d time.Duration) Option {
	return func(c *config) error { c.IdleTimeout = d; return notNegative("IdleTimeout", d) }
}

// StopAfter ends a Watch once it has read n files: for tests and drains.
func StopAfter(files int) Option {
	return func(c *config) error { c.StopFiles = files; return positive("StopAfter", files) }
}

// StopAt ends a Watch at the given time, in the middle of a file if need be: for tests and
// drains.
func StopAt(t time.Time) Option {
	return func(c *config) error { c.StopAt = flow.TimeOf(t); return nil }
}

func positive[T int | int64](name string, n T) error {
	if n <= 0 {
		return fmt.Errorf("%s: %d is not positive", name, n)
	}
	return nil
}

func notNegative(name string, d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("%s: %v is negative", name, d)
	}
	return nil
}
