package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/flowbeam/flowbeam/internal/collect"
	"github.com/flowbeam/flowbeam/internal/metrics"
)

// Options are the program's flags.
type Options struct {
	collect.Config

	DataCenter string
	Metrics    string
	LogFormat  string
	RunFor     time.Duration
	Discard    bool

	files  collect.FilesConfig
	kafka  collect.KafkaConfig
	pubsub collect.PubSubConfig

	listen, allow, brokers, ca, cert, key, mechanism, user, password, credentials, endpoint string
	tls                                                                                     bool
}

// RegisterFlags makes the flags.
func (o *Options) RegisterFlags(fs *flag.FlagSet) {
	d := collect.Defaults()
	o.Config = d
	host, _ := os.Hostname()
	fs.StringVar(&o.listen, "listen", strings.Join(d.Listen, ","), "addresses to receive at, comma-separated: :2055 is IPv4 and IPv6, 192.0.2.1:2055 and [2001:db8::1]:2055 are one address")
	fs.IntVar(&o.Sockets, "sockets", d.Sockets, "sockets of each address, each read by a goroutine of its own; the kernel keeps an exporter on one of them (Linux)")
	fs.IntVar(&o.ReceiveBuffer, "receive_buffer", d.ReceiveBuffer, "bytes of a socket's receive buffer; a warning tells where the kernel gave less")
	fs.StringVar(&o.allow, "allow", "", "prefixes of the exporters that are taken, comma-separated, such as 192.0.2.0/24,2001:db8::/32 (none: all)")
	fs.IntVar(&o.QueueBytes, "queue", d.QueueBytes, "bytes between receivers and sink; beyond them datagrams are dropped, and counted")
	fs.IntVar(&o.MaxExporters, "max_exporters", d.MaxExporters, "exporters, by address and port, whose templates a socket remembers; one more forgets the one not heard for longest")
	fs.DurationVar(&o.Forget, "forget", d.Forget, "an exporter that is silent for so long is forgotten")
	fs.StringVar(&o.DataCenter, "datacenter", "", "name of the data center: a header of messages to Kafka, an attribute of Pub/Sub's (data_center), a folder dc=NAME of files")

	fs.StringVar(&o.files.Dir, "output", "", "folder to write files to")
	fs.StringVar(&o.files.Host, "host", host, "begins the names of files")
	fs.DurationVar(&o.files.Every, "file_every", time.Minute, "age at which a file ends")
	fs.Int64Var(&o.files.Bytes, "file_bytes", 64<<20, "size at which a file ends, before compression")
	fs.BoolVar(&o.files.Zstd, "zstd", false, "compress files")

	fs.StringVar(&o.brokers, "kafka", "", "brokers to write to, as host:9092, comma-separated")
	fs.StringVar(&o.kafka.Topic, "kafka_topic", "datagrams", "topic; the messages' key is the exporter's address")
	fs.StringVar(&o.kafka.Compression, "kafka_compression", "zstd", "of batches: zstd, lz4, snappy, gzip or none")
	fs.StringVar(&o.kafka.ClientID, "kafka_client_id", "flowbeam-collect", "name that brokers log and set quotas by")
	fs.BoolVar(&o.tls, "kafka_tls", false, "encrypt, trusting the system's authorities")
	fs.StringVar(&o.ca, "kafka_ca", "", "encrypt: where the certificates (PEM) are that the brokers' must come from: file:PATH, env:NAME or gcp:projects/P/secrets/S/versions/V")
	fs.StringVar(&o.cert, "kafka_cert", "", "where a certificate (PEM) is to show to the brokers")
	fs.StringVar(&o.key, "kafka_key", "", "where its key (PEM) is")
	fs.StringVar(&o.mechanism, "kafka_mechanism", "SCRAM-SHA-512", "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
	fs.StringVar(&o.user, "kafka_user", "", "user")
	fs.StringVar(&o.password, "kafka_password", "", "where its password is: file:PATH, env:NAME or gcp:…")

	fs.StringVar(&o.pubsub.Topic, "pubsub", "", "topic to publish to, as projects/PROJECT/topics/TOPIC")
	fs.BoolVar(&o.pubsub.Ordered, "pubsub_ordering", false, "give messages the exporter's address as ordering key; give a regional --pubsub_endpoint as well")
	fs.StringVar(&o.credentials, "pubsub_credentials", "", "where the key of a service account is (none: the machine's own identity)")
	fs.StringVar(&o.endpoint, "pubsub_endpoint", "", "the service's address, such as europe-west1-pubsub.googleapis.com:443 (none: the global one, or the emulator that PUBSUB_EMULATOR_HOST names)")

	fs.BoolVar(&o.Discard, "discard", false, "write nowhere: to see what is received, or how fast")

	fs.StringVar(&o.Metrics, "metrics", "", "address on which metrics are served for Prometheus, as :9464 or localhost:9464, at /metrics (none: not)")
	fs.StringVar(&o.LogFormat, "log_format", "text", "of warnings and errors: text or json")
	fs.DurationVar(&o.Report, "report", d.Report, "at most so often a line of the log tells what was dropped")
	fs.DurationVar(&o.Drain, "drain", d.Drain, "at the end: time to write what was received")
	fs.DurationVar(&o.RunFor, "run_for", 0, "end after so long, as a signal does (0: never)")
}

// parse reads the arguments and completes the options. It returns every problem of them.
func (o *Options) parse(args []string) (problems []error, help bool) {
	fs := flag.NewFlagSet("collect", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	o.RegisterFlags(fs)
	for {
		err := fs.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			return nil, true
		}
		args = fs.Args() // behind a wrong flag there may be more
		if err == nil {
			return append(problems, o.Validate(args)...), false
		}
		problems = append(problems, err)
	}
}

var centerName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// Validate completes the options and returns every problem of them. It connects to nothing.
func (o *Options) Validate(args []string) (problems []error) {
	add := func(flag string, err error) {
		if err != nil {
			problems = append(problems, fmt.Errorf("--%s: %w", flag, err))
		}
	}
	for _, a := range args {
		problems = append(problems, fmt.Errorf("%q is no flag: flags are written --name=value", a))
	}
	o.Listen = list(o.listen)
	for _, a := range list(o.allow) {
		p, err := netip.ParsePrefix(a)
		if one, addrErr := netip.ParseAddr(a); addrErr == nil {
			p, err = netip.PrefixFrom(one, one.BitLen()), nil
		}
		if err != nil {
			add("allow", fmt.Errorf("%q is no prefix such as 192.0.2.0/24 and no address", a))
		}
		o.Allow = append(o.Allow, p.Masked())
	}
	problems = append(problems, o.Check()...)
	if o.DataCenter != "" && !centerName.MatchString(o.DataCenter) {
		add("datacenter", fmt.Errorf("%q: want 1 to 100 letters, digits, dots, hyphens and underscores", o.DataCenter))
	}
	if o.LogFormat != "text" && o.LogFormat != "json" {
		add("log_format", fmt.Errorf("%q is none of text, json", o.LogFormat))
	}
	if o.Metrics != "" {
		add("metrics", metrics.Check(o.Metrics))
	}
	if o.RunFor < 0 {
		add("run_for", fmt.Errorf("%v is negative", o.RunFor))
	}
	sinks := 0
	if o.files.Dir != "" {
		sinks++
		if o.DataCenter != "" {
			o.files.Dir = filepath.Join(o.files.Dir, "dc="+o.DataCenter)
		}
		problems = append(problems, o.files.Check()...)
	}
	if o.brokers != "" {
		sinks++
		o.kafka.Brokers, o.kafka.DataCenter, o.kafka.BufferBytes = list(o.brokers), o.DataCenter, max(o.QueueBytes/2, 1<<20)
		problems = append(problems, o.validateKafka()...)
	}
	if o.pubsub.Topic != "" {
		sinks++
		o.pubsub.DataCenter = o.DataCenter
		problems = append(problems, o.validatePubSub()...)
	}
	if o.Discard {
		sinks++
	}
	if sinks != 1 {
		problems = append(problems, errors.New("want one of --output, --kafka, --pubsub and --discard"))
	}
	return problems
}

func (o *Options) validateKafka() (problems []error) {
	add := func(flag string, err error) {
		if err != nil {
			problems = append(problems, fmt.Errorf("--%s: %w", flag, err))
		}
	}
	if o.tls || o.ca != "" {
		add("kafka_ca", o.kafka.SetTLS(o.ca))
	}
	if o.cert != "" || o.key != "" {
		add("kafka_cert", o.kafka.SetClientCertificate(o.cert, o.key))
	}
	if o.user != "" || o.password != "" {
		add("kafka_user", o.kafka.SetSASL(o.mechanism, o.user, o.password))
	}
	return append(problems, o.kafka.Check()...)
}

func (o *Options) validatePubSub() (problems []error) {
	add := func(flag string, err error) {
		if err != nil {
			problems = append(problems, fmt.Errorf("--%s: %w", flag, err))
		}
	}
	o.pubsub.Emulator = os.Getenv("PUBSUB_EMULATOR_HOST")
	if o.credentials != "" {
		add("pubsub_credentials", o.pubsub.SetCredentials(o.credentials))
	}
	if o.endpoint != "" {
		add("pubsub_endpoint", o.pubsub.SetEndpoint(o.endpoint))
	}
	return append(problems, o.pubsub.Check()...)
}

func list(s string) (out []string) {
	for e := range strings.SplitSeq(s, ",") {
		if e = strings.TrimSpace(e); e != "" {
			out = append(out, e)
		}
	}
	return out
}

// groups are the flags as --help has them.
var groups = []struct {
	name  string
	flags []string
}{
	{"Receive", []string{"listen", "sockets", "receive_buffer", "allow", "queue", "max_exporters", "forget", "datacenter"}},
	{"Write to files", []string{"output", "host", "file_every", "file_bytes", "zstd"}},
	{"Write to Kafka", []string{"kafka", "kafka_topic", "kafka_compression", "kafka_client_id", "kafka_tls", "kafka_ca", "kafka_cert", "kafka_key", "kafka_mechanism", "kafka_user", "kafka_password"}},
	{"Write to Pub/Sub", []string{"pubsub", "pubsub_ordering", "pubsub_credentials", "pubsub_endpoint"}},
	{"Write nowhere", []string{"discard"}},
	{"Run", []string{"metrics", "log_format", "report", "drain", "run_for"}},
}

func usage(w io.Writer) {
	fs := flag.NewFlagSet("collect", flag.ContinueOnError)
	new(Options).RegisterFlags(fs)
	fmt.Fprint(w, `collect: receives NetFlow v5, v9, IPFIX and sFlow over UDP and writes the datagrams to files, Kafka or Pub/Sub,
each with its exporter's address, when it came, and the templates that it needs.

  collect --listen=:2055,:6343 --output=/var/lib/flowbeam
`)
	for _, g := range groups {
		fmt.Fprintf(w, "\n%s\n", g.name)
		for _, name := range g.flags {
			f := fs.Lookup(name)
			def := ""
			if f.DefValue != "" && f.DefValue != "false" {
				def = " (default " + f.DefValue + ")"
			}
			fmt.Fprintf(w, "  --%s\n      %s%s\n", name, f.Usage, def)
		}
	}
}
