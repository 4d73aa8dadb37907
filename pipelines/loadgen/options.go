package main

import (
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/flowbeam/flowbeam/internal/loadgen"
)

// Options are the program's flags.
type Options struct {
	loadgen.Config

	Output string // directory, or - for standard output
	Truth  string // file of the truth where Output is - or Kafka is given

	Brokers []string // of Kafka, in place of Output
	Topic   string

	Partitions int // of a topic that is made

	dataCenters, formats, start, kafka string
}

// RegisterFlags makes the flags, with the defaults of the reference job.
func (o *Options) RegisterFlags(fs *flag.FlagSet) {
	d := loadgen.Default()
	o.Config = d
	fs.Uint64Var(&o.Seed, "seed", d.Seed, "the same seed and flags give the same bytes")
	fs.IntVar(&o.Records, "records", d.Records, "lines in all: good ones, duplicates, broken ones and gaps")
	fs.StringVar(&o.dataCenters, "data_centers", "1", "how many data centers (dc1, dc2, …), or their names, comma-separated")
	fs.StringVar(&o.formats, "format", loadgen.Canopus, "formats, comma-separated: "+strings.Join(loadgen.Formats(), ", ")+"; NAME:FORMAT is for one data center alone")
	fs.StringVar(&o.start, "start", d.Start.Format(time.RFC3339), "first event time, RFC 3339")
	fs.DurationVar(&o.Span, "span", d.Span, "event times lie within so much from the start")
	fs.Float64Var(&o.Duplicates, "duplicates", d.Duplicates, "share of exact copies, 0 to 1")
	fs.DurationVar(&o.DuplicateDelay, "duplicate_delay", d.DuplicateDelay, "a duplicate comes at most so much later than its original")
	fs.Float64Var(&o.Redelivered, "redelivered", d.Redelivered, "share of the duplicates that go to a second file")
	fs.DurationVar(&o.Disorder, "disorder", d.Disorder, "records come up to so much out of order")
	fs.StringVar(&o.LagDataCenter, "lag_data_center", "", "name of a data center that lags; default with --lag: the last one")
	fs.DurationVar(&o.Lag, "lag", 0, "by how much it lags")
	fs.Float64Var(&o.Broken, "broken", d.Broken, "share of lines that are broken, 0 to 1")
	fs.IntVar(&o.Oversize, "oversize", 0, "how many of the broken lines are longer than 1 MiB")
	fs.Float64Var(&o.Gaps, "gaps", 0, "share of AWS NODATA and SKIPDATA rows, 0 to 1")
	fs.IntVar(&o.Users, "users", d.Users, "subscribers, the first of them heavy")
	fs.IntVar(&o.Servers, "servers", d.Servers, "distinct servers")
	fs.StringVar(&o.Addresses, "addresses", d.Addresses, "of servers: public (real GeoIP databases know them) or documentation")
	fs.StringVar(&o.Clients, "clients", d.Clients, "addresses of clients: private or public")
	fs.StringVar(&o.Compression, "compression", d.Compression, "of files: none, gzip or zstd")
	fs.Float64Var(&o.Rate, "rate", 0, "lines a second, 0 = as fast as possible")
	fs.StringVar(&o.Output, "output", "loadgen-output", "directory to write to, or - for standard output (one format)")
	fs.StringVar(&o.Truth, "truth", "", "with --output=- or --kafka: file to write the truth to")
	fs.StringVar(&o.kafka, "kafka", "", "brokers to send to, as host:9092, comma-separated, in place of --output")
	fs.StringVar(&o.Topic, "topic", "flows", "with --kafka: the topic")
	fs.IntVar(&o.Partitions, "partitions", 0, "with --kafka: make the topic with so many partitions, where it is absent")
	fs.BoolVar(&o.Live, "live", false, "with --kafka and --rate: event times begin now and follow the clock; --span is records/rate")
}

// Validate completes the options and reports every problem at once.
func (o *Options) Validate() error {
	var errs []error
	o.DataCenters = strings.Split(o.dataCenters, ",")
	if n, err := strconv.Atoi(o.dataCenters); err == nil {
		o.DataCenters = nil
		for i := range min(n, 1000) { // more is refused below
			o.DataCenters = append(o.DataCenters, fmt.Sprintf("dc%d", i+1))
		}
	}
	o.Formats = strings.Split(o.formats, ",")
	start, err := time.Parse(time.RFC3339Nano, o.start)
	if err != nil {
		errs = append(errs, fmt.Errorf("start: %q is no RFC 3339 time", o.start))
		start = loadgen.Default().Start
	}
	o.Start = start.UTC()
	if o.Lag > 0 && o.LagDataCenter == "" && len(o.DataCenters) > 0 {
		o.LagDataCenter = o.DataCenters[len(o.DataCenters)-1]
	}
	if o.kafka != "" {
		o.Brokers = strings.Split(o.kafka, ",")
	}
	if o.Live {
		if o.Rate <= 0 || o.kafka == "" {
			errs = append(errs, errors.New("live: it needs --kafka and --rate"))
		} else {
			o.Start = time.Now().UTC().Truncate(time.Millisecond)
			o.Span = time.Duration(float64(o.Records) / o.Rate * float64(time.Second))
		}
	}
	if o.Output == "" {
		errs = append(errs, errors.New("output: want a directory or -"))
	}
	if o.Output == "-" && o.Compression != loadgen.None {
		errs = append(errs, errors.New("compression: standard output is not compressed, pipe it through a compressor"))
	}
	if o.Output != "-" && o.kafka == "" && o.Truth != "" {
		errs = append(errs, errors.New("truth: only with --output=-; a directory gets "+loadgen.TruthFile))
	}
	return errors.Join(append(errs, o.Config.Validate())...)
}
