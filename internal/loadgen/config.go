package loadgen

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The formats, by the names under which transforms/parse knows them.
const (
	Canopus = "canopus" // NDJSON of a subscriber probe
	Zeek    = "zeek"    // conn.log, tab-separated with a header
	AWS     = "aws_vpc" // VPC flow log, default version 2 text with a header
)

// Formats lists the formats there are.
func Formats() []string { return []string{Canopus, Zeek, AWS} }

// Address ranges of [Config.Addresses] and [Config.Clients].
const (
	Public        = "public"        // anywhere in the public space, so that real GeoIP databases are exercised
	Documentation = "documentation" // RFC 5737 and RFC 3849 prefixes, which belong to nobody
	Private       = "private"       // 10.<data center>.0.0/16 and some of 100.64.0.0/10
)

// Compressions of [Config.Compression].
const (
	None = "none"
	Gzip = "gzip"
	Zstd = "zstd"
)

// Config says what to make. Ratios are of Records.
type Config struct {
	Seed    uint64
	Records int // lines of records in all: good ones, duplicates, broken ones and gaps; not headers

	DataCenters []string // their names
	// Formats holds format names, which every data center then writes, and
	// "datacenter:format" for one data center alone.
	Formats []string

	Start time.Time     // first event time
	Span  time.Duration // event times lie in [Start, Start+Span)

	Duplicates float64 // share of exact copies of good lines
	// DuplicateDelay is how much later in the output than the first copy a duplicate comes,
	// at most. Three in five come within a sixtieth of it.
	DuplicateDelay time.Duration
	// Redelivered is the share of the duplicates that go to a second file of the same data
	// center and format, as a shipper leaves them that sends its last file again.
	Redelivered float64

	Disorder time.Duration // records come up to so much later than their event time asks
	// LagDataCenter's records come Lag later than those of the others.
	LagDataCenter string
	Lag           time.Duration

	Broken   float64 // share of lines that no parser can use: see [Kinds]
	Oversize int     // how many of the broken are lines just over 1 MiB
	Gaps     float64 // share of AWS NODATA and SKIPDATA rows

	Users   int // subscribers; the first ones are heavy, by Zipf's law
	Servers int // distinct servers

	Addresses string // of servers: Public or Documentation
	Clients   string // addresses of clients: Private or Public

	Compression string  // None, Gzip or Zstd
	Rate        float64 // lines per second of wall time, 0 = as fast as possible
	// Live sends each line when its arrival comes on the clock: of Kafka and Pub/Sub alone.
	Live bool
}

// Default is the reference job of one data center: 1,000,000 Canopus lines of two hours,
// of which 10 % are duplicates and 1 % are broken.
func Default() Config {
	return Config{
		Seed: 1, Records: 1_000_000,
		DataCenters: []string{"dc1"}, Formats: []string{Canopus},
		Start: time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC), Span: 2 * time.Hour,
		Duplicates: 0.10, DuplicateDelay: 90 * time.Minute,
		Disorder: 5 * time.Second,
		Broken:   0.01,
		Users:    2_000, Servers: 50_000,
		Addresses: Public, Clients: Private,
		Compression: None,
	}
}

// Stream is one data center's records of one format: one file.
type Stream struct {
	DataCenter, Format string

	dc int // index of the data center
}

var nameRE = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// Validate reports every problem of the configuration at once.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Records < 1 {
		bad("records: %d, want at least 1", c.Records)
	}
	if len(c.DataCenters) == 0 {
		bad("data_centers: want at least one")
	}
	for i, dc := range c.DataCenters {
		if !nameRE.MatchString(dc) {
			bad("data_centers: %q: want lower-case letters, digits, - and _", dc)
		}
		if slices.Contains(c.DataCenters[:i], dc) {
			bad("data_centers: %q is named twice", dc)
		}
	}
	if len(c.DataCenters) > 200 {
		bad("data_centers: %d, want at most 200", len(c.DataCenters))
	}
	streams, err := c.streams()
	if err != nil {
		errs = append(errs, err)
	}
	if c.Start.Year() < 2000 || c.Start.Year() > 2100 {
		bad("start: %v, want a time from 2000 to 2100", c.Start)
	}
	for _, d := range []struct {
		name string
		v    time.Duration
	}{{"duplicate_delay", c.DuplicateDelay}, {"disorder", c.Disorder}, {"lag", c.Lag}} {
		if d.v < 0 {
			bad("%s: %v is negative", d.name, d.v)
		}
	}
	if c.Span < time.Second {
		bad("span: %v, want at least 1s", c.Span)
	}
	for _, r := range []struct {
		name string
		v    float64
	}{{"duplicates", c.Duplicates}, {"broken", c.Broken}, {"gaps", c.Gaps}, {"redelivered", c.Redelivered}} {
		if !(r.v >= 0 && r.v <= 1) { // NaN too
			bad("%s: %v, want a share from 0 to 1", r.name, r.v)
		}
	}
	if n := c.counts(); n.unique < 1 {
		bad("duplicates, broken and gaps leave no good record of %d", c.Records)
	} else if c.Oversize < 0 || c.Oversize > n.broken {
		bad("oversize: %d, want 0 to the number of broken lines, %d", c.Oversize, n.broken)
	}
	if c.Gaps > 0 && err == nil && !slices.ContainsFunc(streams, func(s Stream) bool { return s.Format == AWS }) {
		bad("gaps: only the format %s has them", AWS)
	}
	if c.LagDataCenter != "" && !slices.Contains(c.DataCenters, c.LagDataCenter) {
		bad("lag_data_center: %q is none of %s", c.LagDataCenter, strings.Join(c.DataCenters, ", "))
	}
	if c.Lag > 0 && c.LagDataCenter == "" {
		bad("lag: which data center? name it by lag_data_center")
	}
	if c.Users < 1 || c.Users > 1<<20 {
		bad("users: %d, want 1 to %d", c.Users, 1<<20)
	}
	if c.Servers < 1 {
		bad("servers: %d, want at least 1", c.Servers)
	}
	oneOf := func(name, v string, of ...string) {
		if !slices.Contains(of, v) {
			bad("%s: %q is none of %s", name, v, strings.Join(of, ", "))
		}
	}
	oneOf("addresses", c.Addresses, Public, Documentation)
	oneOf("clients", c.Clients, Private, Public)
	oneOf("compression", c.Compression, None, Gzip, Zstd)
	if !(c.Rate >= 0) {
		bad("rate: %v, want 0 (as fast as possible) or more", c.Rate)
	}
	return errors.Join(errs...)
}

// streams lists what is written, in the order of data centers and formats.
func (c *Config) streams() ([]Stream, error) {
	var errs []error
	if len(c.Formats) == 0 {
		errs = append(errs, errors.New("format: want at least one"))
	}
	want := map[Stream]bool{}
	for _, f := range c.Formats {
		dc, format, one := strings.Cut(f, ":")
		if !one {
			format = f
		}
		if !slices.Contains(Formats(), format) {
			errs = append(errs, fmt.Errorf("format: %q is none of %s", format, strings.Join(Formats(), ", ")))
		}
		if one && !slices.Contains(c.DataCenters, dc) {
			errs = append(errs, fmt.Errorf("format: %q: the data center is none of %s", f, strings.Join(c.DataCenters, ", ")))
		}
		for i, name := range c.DataCenters {
			if !one || name == dc {
				want[Stream{DataCenter: name, Format: format, dc: i}] = true
			}
		}
	}
	var out []Stream
	for i, dc := range c.DataCenters {
		for _, f := range Formats() {
			if s := (Stream{DataCenter: dc, Format: f, dc: i}); want[s] {
				out = append(out, s)
			}
		}
	}
	return out, errors.Join(errs...)
}

// counts is how many lines of each class there are: the ratios, rounded.
type counts struct {
	unique, duplicates, broken, gaps int
}

func (c *Config) counts() counts {
	share := func(r float64) int { return int(math.Round(r * float64(c.Records))) }
	n := counts{duplicates: share(c.Duplicates), broken: share(c.Broken), gaps: share(c.Gaps)}
	n.unique = c.Records - n.duplicates - n.broken - n.gaps
	return n
}
