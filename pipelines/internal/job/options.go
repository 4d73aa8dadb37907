// Package job wires sources, transforms and sinks into flowbeam's pipelines: their
// options, the graph, the accounting and the run. The programs beside it only choose.
package job

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/flowbeam/flowbeam/transforms/dedupe"
	"github.com/flowbeam/flowbeam/windowing"
)

// Options are the options of the pipelines. The tags are the one description of each
// flag: name, default, help; flags, configuration file, help text and the templates' parameters
// come from them. For these, template is - where a template has no such parameter and the form that
// alone has it, param the service's type, regex and enum what it takes.
type Options struct {
	Runner string `flag:"runner" default:"direct" group:"Run" template:"-" help:"direct or prism (both are Beam's local runner Prism), flink, or another runner that the binary knows"`
	Config string `flag:"config" group:"Run" template:"-" help:"YAML file with the names of these flags; a flag on the command line wins"`

	RunFor      time.Duration `flag:"run_for" default:"0s" group:"Run" template:"-" help:"end a stream after so long, on the local runner, as an interrupt does: what was read is written (0: never)"`
	MaxInFlight int           `flag:"max_in_flight" default:"268435456" group:"Run" template:"-" help:"bytes of the input that are read ahead of the slowest sink, on the local runner, before reading waits; in memory they are several times as many (0: no bound)"`

	Metrics   string `flag:"metrics" group:"Run" template:"-" help:"address on which metrics are served for Prometheus while it runs, as :9464 or localhost:9464, at /metrics (none: not)"`
	LogFormat string `flag:"log_format" default:"text" group:"Run" template:"-" help:"of warnings and errors on the terminal: text or json"`

	Input       []string      `flag:"input" group:"Input" help:"files to read: paths or globs, separated by commas; none: the bundled sample"`
	DeadLetters string        `flag:"dead_letters" group:"Input" template:"-" help:"replay: folder of dead letters to read (default OUTPUT/dead_letters)"`
	Raw         string        `flag:"raw" group:"Input" template:"-" help:"replay: folder of a raw backup to read, such as OUTPUT/raw, from --start to --stop by the time at which records came"`
	Format      string        `flag:"format" group:"Input" help:"format of the input (none: detected from the first bytes of each file)"`
	Header      string        `flag:"header" group:"Input" help:"header line for input that has none, such as a declared list of AWS flow log fields"`
	DataCenter  string        `flag:"datacenter" group:"Input" help:"data center of the input: a name, or a regular expression with one group that finds it in the path: '/dc=([^/]+)/'"`
	Tenant      string        `flag:"tenant" group:"Input" help:"tenant of the input"`
	Watch       time.Duration `flag:"watch" default:"0s" group:"Input" template:"streaming" help:"follow the input for new files, looking this often (0: read what is there and end)"`
	MaxLine     int           `flag:"max_line" default:"1048576" group:"Input" help:"longest line in bytes; a longer one becomes a dead letter with its first bytes and a hash"`
	Envelopes   bool          `flag:"envelopes" default:"true" group:"Input" help:"also read lines inside of what a shipper puts around them: Filebeat, Logstash, Fluent Bit, Fluentd, Docker, syslog"`
	MinTime     string        `flag:"min_event_time" default:"2000-01-01T00:00:00Z" group:"Input" help:"earliest event time; what is older becomes a dead letter (streams: unless it is given, a week before the record came)"`
	MaxTime     string        `flag:"max_event_time" group:"Input" help:"latest event time (default: one day after the start of the run; streams: an hour after the record came)"`
	Revision    int64         `flag:"revision" default:"0" group:"Input" help:"revision stamped on each record; raise it when a parser or a table was corrected"`
	Replace     bool          `flag:"replace" default:"false" group:"Input" template:"-" help:"replay: also replace what is stored of a lower --revision of the records that are read again, wherever it stands; what is no record any more goes"`

	KafkaInput        []string `flag:"kafka_input" group:"Kafka input" help:"brokers to read from, as host:9092, separated by commas, in place of --input; --kafka_tls and what follows it are for both"`
	KafkaInputTopics  []string `flag:"kafka_input_topics" group:"Kafka input" help:"topics to read"`
	KafkaInputPattern string   `flag:"kafka_input_pattern" group:"Kafka input" help:"also read the topics whose names match a regular expression, those that come later too"`
	KafkaInputGroup   string   `flag:"kafka_input_group" group:"Kafka input" template:"streaming" help:"a consumer group to commit to: on the local runner what is stored and in no open window, elsewhere what was read a minute ago; start=committed begins there"`
	KafkaIsolation    string   `flag:"kafka_isolation" default:"read_uncommitted" group:"Kafka input" enum:"read_uncommitted,read_committed" help:"read_uncommitted, or read_committed, which passes over aborted transactions"`
	KafkaExpired      string   `flag:"kafka_on_expired" default:"fail" group:"Kafka input" enum:"fail,earliest" help:"messages were deleted before they were read: fail, or earliest, which goes on and writes the range as a dead letter"`

	KafkaExporter  string        `flag:"kafka_exporter" default:"key" group:"Kafka input" help:"bare datagrams: where the address is of the exporter that sent one: key, for keys that are an address in text, or header:NAME; where it is not known, all of a partition are taken for one exporter"`
	TemplateRewind time.Duration `flag:"template_rewind" default:"1h" group:"Kafka input" help:"bare datagrams of NetFlow v9 and IPFIX: how far back a partition is read again, for the templates, when a run begins or goes on; a template holds for three quarters of it after it was sent last, and data wait for theirs for a quarter"`

	AvroSchema             []string `flag:"avro_schema" group:"Avro input" help:"schemas of Canopus messages in Avro, by their files, separated by commas: PATH for single-object encoding, ID=PATH for Confluent's wire format too; kept with dead letters and the raw backup"`
	SchemaRegistry         string   `flag:"schema_registry" group:"Avro input" help:"the address of a schema registry (Confluent's REST API), as https://registry:8081, for messages in Confluent's wire format whose schema is not declared"`
	SchemaRegistryUser     string   `flag:"schema_registry_user" group:"Avro input" help:"user for basic authentication"`
	SchemaRegistryPassword string   `flag:"schema_registry_password" group:"Avro input" help:"where its password is: file:PATH, env:NAME or gcp:projects/P/secrets/S/versions/V"`
	SchemaRegistryToken    string   `flag:"schema_registry_token" group:"Avro input" help:"where a bearer token is, in place of user and password"`
	SchemaRegistryCA       string   `flag:"schema_registry_ca" group:"Avro input" help:"where the certificates (PEM) are that the registry's must come from"`

	PubSubInput         []string      `flag:"pubsub_input" group:"Pub/Sub input" template:"streaming" regex:"^projects/[^/,]+/subscriptions/[^/,]+(,projects/[^/,]+/subscriptions/[^/,]+)*$" help:"subscriptions to read, as projects/PROJECT/subscriptions/SUBSCRIPTION, separated by commas, all of one project, in place of --input; --pubsub_credentials and --pubsub_endpoint are for both"`
	PubSubEventTime     string        `flag:"pubsub_event_time" default:"payload" group:"Pub/Sub input" template:"streaming" help:"the times that the watermark follows: payload (that of the record in the message), publish (when it was published) or attribute:NAME (RFC 3339 or milliseconds since the epoch)"`
	PubSubSnapshotEvery time.Duration `flag:"pubsub_snapshot_every" default:"1m" group:"Pub/Sub input" template:"streaming" help:"how often a snapshot of each subscription is made, to go back to; they are kept for as long as start=resume goes back, half an hour at least"`

	Start   string `flag:"start" group:"Topics and subscriptions" help:"where to begin: a time, or an age such as 3h; topics: earliest (the default), latest or committed; subscriptions: resume, where a run that was stopped or killed goes on (the default on the local runner), or subscription, where they stand"`
	Stop    string `flag:"stop" group:"Topics and subscriptions" template:"backfill" help:"topics: where to end: latest (where topics end now) or a time; none: never"`
	MaxRate int    `flag:"max_rate" default:"0" group:"Topics and subscriptions" help:"most records a second that a process reads, of each subscription where it reads these (0: no bound)"`

	GeoIPCity  string   `flag:"geoip_city" group:"Enrich" param:"GCS_READ_FILE" help:"GeoIP city database (mmdb), or several separated by commas"`
	GeoIPASN   string   `flag:"geoip_asn" group:"Enrich" param:"GCS_READ_FILE" help:"ASN database (mmdb)"`
	Networks   []string `flag:"networks" group:"Enrich" help:"prefix tables (CSV): networks, customers, data centers"`
	Anonymize  string   `flag:"anonymize" group:"Enrich" help:"anonymise addresses, keeping prefixes, after all lookups: where the key is, as file:PATH or env:NAME"`
	KeepOrigin bool     `flag:"keep_original" default:"false" group:"Enrich" help:"keep each raw record in the column original"`

	Dedupe          string        `flag:"dedupe" default:"exact" group:"Dedupe" enum:"exact,off" help:"exact (one record an id) or off"`
	DedupeHorizon   time.Duration `flag:"dedupe_horizon" default:"2h" group:"Dedupe" help:"how long an id is remembered, in event time; at least allowed_lateness"`
	DedupeShards    int           `flag:"dedupe_shards" default:"4" group:"Dedupe" help:"keys a minute of records is spread over, a power of two"`
	Observations    string        `flag:"observations" default:"off" group:"Dedupe" enum:"off,first,max,priority,mark" help:"several exporters saw one conversation: off, first, max, priority or mark"`
	Exporters       []string      `flag:"exporters" group:"Dedupe" help:"exporters by priority, for observations=priority"`
	AllowedLateness time.Duration `flag:"allowed_lateness" default:"2h" group:"Windows" help:"how far behind the watermark a record still corrects the rollups"`
	Skew            time.Duration `flag:"watermark_skew" default:"1m" group:"Windows" template:"streaming" help:"how much older than the newest record before it a record of a stream may be without being late"`
	MaxHold         time.Duration `flag:"max_watermark_hold" default:"5m" group:"Windows" template:"streaming" help:"how long a lagging data center may hold the watermark back"`

	Rollup         []string        `flag:"rollup" default:"tenant,user_id,source_country,destination_country,destination_asn,protocol" group:"Rollups" help:"columns to group by, or off"`
	RollupWindows  []time.Duration `flag:"rollup_windows" default:"1m,5m,1h" group:"Rollups" help:"lengths of the windows"`
	RollupMeasures []string        `flag:"rollup_measures" group:"Rollups" help:"measures (none: the default ones)"`
	EarlyFirings   int             `flag:"early_firings" default:"0" group:"Rollups" template:"streaming" help:"with watch: also emit a window before its end, at every so many partials (0: not)"`

	Output       string        `flag:"output" default:"flowbeam-out" group:"Output" param:"GCS_WRITE_FOLDER" regex:"^gs://[^/]+(/.*)?$" help:"folder for flows, rollups, dead letters and raw backup"`
	OutputFormat string        `flag:"output_format" default:"parquet" group:"Output" enum:"parquet,avro,ndjson,csv" help:"parquet, avro, ndjson or csv"`
	Compression  string        `flag:"compression" group:"Output" enum:"none,gzip,zstd,snappy" help:"none, gzip, zstd or snappy (none given: the format's default)"`
	FileBucket   time.Duration `flag:"file_bucket" default:"1h" group:"Output" help:"event time that one folder of files covers"`
	Shards       int           `flag:"shards" default:"1" group:"Output" help:"shards of a bucket, a power of two; many only where many workers write"`
	Partition    []string      `flag:"partition" group:"Output" help:"further columns to partition the records by, such as data_center"`
	RawBackup    bool          `flag:"raw_backup" default:"false" group:"Output" help:"also keep the input's bytes, under raw/"`
	Summary      string        `flag:"summary" group:"Output" template:"-" help:"file for the summary as JSON"`
	Quiet        bool          `flag:"quiet" default:"false" group:"Output" template:"-" help:"no progress and no summary on the terminal"`

	Install bool `flag:"install" default:"false" group:"Stores" help:"first make what the stores below lack: Elasticsearch's templates, BigQuery's dataset, tables and views, Kafka's topics"`

	Elasticsearch    []string      `flag:"elasticsearch" group:"Elasticsearch" help:"nodes to write to, as https://es1:9200, separated by commas"`
	ElasticCloudID   string        `flag:"elasticsearch_cloud_id" group:"Elasticsearch" help:"a deployment of Elastic Cloud, in place of nodes"`
	ElasticUser      string        `flag:"elasticsearch_user" group:"Elasticsearch" help:"user for basic authentication"`
	ElasticPassword  string        `flag:"elasticsearch_password" group:"Elasticsearch" help:"where its password is: file:PATH, env:NAME or gcp:projects/P/secrets/S/versions/V"`
	ElasticAPIKey    string        `flag:"elasticsearch_api_key" group:"Elasticsearch" help:"where an API key is, in place of user and password"`
	ElasticCA        string        `flag:"elasticsearch_ca" group:"Elasticsearch" help:"where the certificates (PEM) are that the nodes' must come from"`
	ElasticNamespace string        `flag:"elasticsearch_namespace" default:"default" group:"Elasticsearch" help:"part of the indices' names: flowbeam-flow-NAMESPACE-YYYY.MM.DD"`
	ElasticIndexPer  string        `flag:"elasticsearch_index_per" default:"day" group:"Elasticsearch" enum:"day,hour" help:"event time that one index covers: day or hour"`
	ElasticReplace   bool          `flag:"elasticsearch_replace" default:"false" group:"Elasticsearch" help:"replace documents of a lower revision"`
	ElasticILM       bool          `flag:"elasticsearch_ilm" default:"true" group:"Elasticsearch" help:"install: also make lifecycle policies"`
	ElasticKeep      time.Duration `flag:"elasticsearch_keep" default:"0s" group:"Elasticsearch" help:"install: delete an index so long after its date (0: never)"`

	BigQuery           string `flag:"bigquery" group:"BigQuery" regex:"^[^.]+[.][A-Za-z0-9_]+$" help:"project.dataset to write to: tables flows, rollup_…, dead_letters"`
	BigQueryMethod     string `flag:"bigquery_method" default:"storage_write" group:"BigQuery" enum:"storage_write,file_loads" help:"storage_write (lowest latency) or file_loads (of the files under --output on gs://)"`
	BigQueryLocation   string `flag:"bigquery_location" group:"BigQuery" help:"install: location of a new dataset (none: US)"`
	BigQueryAddColumns bool   `flag:"bigquery_add_columns" default:"false" group:"BigQuery" help:"install: add columns that tables of an earlier version lack"`
	BigQueryEndpoint   string `flag:"bigquery_endpoint" group:"BigQuery" help:"an emulator: base URL of its REST API and host:port of its gRPC, separated by a comma"`

	Kafka           []string `flag:"kafka" group:"Kafka" help:"brokers to write to, as host:9092, separated by commas"`
	KafkaTopic      string   `flag:"kafka_topic" default:"flows" group:"Kafka" help:"topic of the records; rollups and dead letters go to TOPIC_rollup_1m and so on, TOPIC_dead_letters"`
	KafkaPartitions int      `flag:"kafka_partitions" default:"6" group:"Kafka" help:"install: partitions of a new topic"`
	KafkaTLS        bool     `flag:"kafka_tls" default:"false" group:"Kafka" help:"encrypt, trusting the system's authorities"`
	KafkaCA         string   `flag:"kafka_ca" group:"Kafka" help:"encrypt: where the certificates (PEM) are that the brokers' must come from"`
	KafkaMechanism  string   `flag:"kafka_mechanism" default:"SCRAM-SHA-512" group:"Kafka" enum:"PLAIN,SCRAM-SHA-256,SCRAM-SHA-512" help:"PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"`
	KafkaUser       string   `flag:"kafka_user" group:"Kafka" help:"user"`
	KafkaPassword   string   `flag:"kafka_password" group:"Kafka" help:"where its password is: file:PATH, env:NAME or gcp:…"`

	PubSub            string `flag:"pubsub" group:"Pub/Sub" param:"PUBSUB_TOPIC" regex:"^projects/[^/]+/topics/[^/]+$" help:"projects/PROJECT/topics/TOPIC of the records; rollups and dead letters go to TOPIC_rollup_1m and so on, TOPIC_dead_letters"`
	PubSubCredentials string `flag:"pubsub_credentials" group:"Pub/Sub" help:"where the key of a service account is (none: the worker's own identity)"`
	PubSubEndpoint    string `flag:"pubsub_endpoint" group:"Pub/Sub" help:"the service's address, such as europe-west1-pubsub.googleapis.com:443 (none: the global one, or the emulator that PUBSUB_EMULATOR_HOST names)"`

	FlinkCheckpoint     time.Duration `flag:"flink_checkpoint_interval" default:"10s" group:"Flink" template:"-" help:"how often the state of a job is made durable: what came since the last time is done again after a failure"`
	FlinkBundle         time.Duration `flag:"flink_bundle_time" default:"200ms" group:"Flink" template:"-" help:"how long records are collected before a stage takes them"`
	FlinkMaxParallelism int           `flag:"flink_max_parallelism" default:"8" group:"Flink" template:"-" help:"the most that --parallelism may ever be raised to with the state of this job; small, as the runner's memory grows with it"`
	FlinkSavepoint      string        `flag:"flink_savepoint" group:"Flink" template:"-" help:"savepoint or checkpoint to go on from, as flink stop prints it (none: anew)"`
	FlinkREST           string        `flag:"flink_rest" group:"Flink" template:"-" help:"Flink's REST address, such as localhost:8081: progress is asked there, and an interrupt makes a savepoint of a job whose workers are in this process"`
	FlinkWorkers        string        `flag:"flink_workers" group:"Flink" template:"-" help:"run no job, but a pool of workers at this address, such as :50000, for jobs with --environment_type=external"`

	set map[string]bool // flags that were given

	offline bool // a graph is only looked at: nothing is asked that is elsewhere

	// Tests have shorter ones of these.
	slack  time.Duration // of the rollups' windows
	ahead  time.Duration // how far ahead of its arrival an event time of a stream may be
	margin time.Duration // how much further than it must a run goes back in subscriptions
}

// Defaults returns the options with their defaults.
func Defaults() *Options {
	o := &Options{set: map[string]bool{}, slack: windowing.RunnerLateness, ahead: windowing.DefaultFuture, margin: resumeMargin}
	for _, f := range o.fields() {
		if f.def != "" {
			if err := f.value.Set(f.def); err != nil {
				panic(fmt.Sprintf("job: default of %s: %v", f.name, err))
			}
		}
	}
	return o
}

// field is one option with its tags.
type field struct {
	name, def, help, group string
	value                  flag.Value
	boolean                bool
	tag                    reflect.StructTag
}

func (o *Options) fields() []field {
	v := reflect.ValueOf(o).Elem()
	var out []field
	for i := range v.NumField() {
		t := v.Type().Field(i)
		name, ok := t.Tag.Lookup("flag")
		if !ok {
			continue
		}
		out = append(out, field{
			name: name, def: t.Tag.Get("default"), help: t.Tag.Get("help"), group: t.Tag.Get("group"),
			value: optionValue{v.Field(i)}, boolean: t.Type.Kind() == reflect.Bool, tag: t.Tag,
		})
	}
	return out
}

// optionValue makes a flag.Value of a field.
type optionValue struct{ v reflect.Value }

func (o optionValue) String() string {
	switch x := o.v.Interface().(type) {
	case []string:
		return strings.Join(x, ",")
	case []time.Duration:
		var s []string
		for _, d := range x {
			s = append(s, d.String())
		}
		return strings.Join(s, ",")
	default:
		return fmt.Sprint(x)
	}
}

func (o optionValue) Set(s string) error {
	switch p := o.v.Addr().Interface().(type) {
	case *string:
		*p = s
	case *bool:
		v, err := strconv.ParseBool(s)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", s)
		}
		*p = v
	case *int:
		v, err := strconv.Atoi(s)
		if err != nil {
			return fmt.Errorf("%q is no whole number", s)
		}
		*p = v
	case *int64:
		v, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return fmt.Errorf("%q is no whole number", s)
		}
		*p = v
	case *time.Duration:
		v, err := time.ParseDuration(s)
		if err != nil {
			return fmt.Errorf("%q is no duration such as 90s, 5m or 2h", s)
		}
		*p = v
	case *[]string:
		*p = splitList(s)
	case *[]time.Duration:
		*p = nil
		for _, e := range splitList(s) {
			v, err := time.ParseDuration(e)
			if err != nil {
				return fmt.Errorf("%q is no duration such as 1m or 1h", e)
			}
			*p = append(*p, v)
		}
	default:
		panic(fmt.Sprintf("job: option of type %T", p))
	}
	return nil
}

func splitList(s string) []string {
	var out []string
	for _, e := range strings.Split(s, ",") {
		if e = strings.TrimSpace(e); e != "" {
			out = append(out, e)
		}
	}
	return out
}

// Parse reads command line arguments and the configuration file that they name. It
// returns all problems, and the arguments that are flags of other, such as Beam's own,
// which known tells.
func (o *Options) Parse(args []string, known func(name string) (boolean, ok bool)) (rest []string, problems []error) {
	fields := map[string]field{}
	for _, f := range o.fields() {
		fields[f.name] = f
	}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			problems = append(problems, fmt.Errorf("%q is no flag: flags are written --name=value", arg))
			continue
		}
		name, value, hasValue := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		f, ours := fields[name]
		boolean, theirs := f.boolean, false
		if !ours {
			if boolean, theirs = known(name); !theirs {
				problems = append(problems, fmt.Errorf("--%s: there is no such flag%s", name, nearest(name, fields)))
				// The value of an unknown flag is not another problem.
				if !hasValue && i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
					i++
				}
				continue
			}
		}
		if !hasValue {
			if boolean {
				value = "true"
			} else if i+1 < len(args) {
				i++
				value = args[i]
			} else {
				problems = append(problems, fmt.Errorf("--%s: needs a value", name))
				continue
			}
		}
		if theirs {
			rest = append(rest, "--"+name+"="+value)
			continue
		}
		o.set[name] = true
		if err := f.value.Set(value); err != nil {
			problems = append(problems, fmt.Errorf("--%s: %w", name, err))
		}
	}
	if o.Config != "" {
		problems = append(problems, o.readConfig(fields)...)
	}
	return rest, problems
}

func (o *Options) readConfig(fields map[string]field) (problems []error) {
	b, err := os.ReadFile(o.Config)
	if err != nil {
		return []error{fmt.Errorf("--config: %w", err)}
	}
	var doc map[string]yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil {
		return []error{fmt.Errorf("%s: %w", o.Config, err)}
	}
	names := make([]string, 0, len(doc))
	for name := range doc {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		node := doc[name]
		where := fmt.Sprintf("%s:%d: %s", o.Config, node.Line, name)
		f, ok := fields[name]
		if !ok || name == "config" {
			problems = append(problems, fmt.Errorf("%s: there is no such option%s", where, nearest(name, fields)))
			continue
		}
		if o.set[name] {
			continue // the command line wins
		}
		value := node.Value
		switch node.Kind {
		case yaml.ScalarNode:
		case yaml.SequenceNode:
			var items []string
			for _, n := range node.Content {
				items = append(items, n.Value)
			}
			value = strings.Join(items, ",")
		default:
			problems = append(problems, fmt.Errorf("%s: want a value or a list", where))
			continue
		}
		o.set[name] = true
		if err := f.value.Set(value); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", where, err))
		}
	}
	return problems
}

// nearest suggests the flag that was probably meant.
func nearest(name string, fields map[string]field) string {
	best, distance := "", 3
	for n := range fields {
		if d := editDistance(name, n); d < distance || d == distance && best != "" && n < best {
			best, distance = n, d
		}
	}
	if best == "" {
		return "; --help lists all"
	}
	return fmt.Sprintf("; did you mean %s?", best)
}

func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		prev := row[0]
		row[0] = i + 1
		for j := range b {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			prev, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, prev+cost)
		}
	}
	return row[len(b)]
}

// Usage prints the flags by group.
func (o *Options) Usage(w *strings.Builder, without ...string) {
	group := ""
	for _, f := range Defaults().fields() {
		if slices.Contains(without, f.name) {
			continue
		}
		if f.group != group {
			group = f.group
			fmt.Fprintf(w, "\n%s\n", group)
		}
		def := f.value.String()
		if def != "" {
			def = " (default " + def + ")"
		}
		fmt.Fprintf(w, "  --%s\n      %s%s\n", f.name, f.help, def)
	}
}

// rollups says whether rollups are wanted.
func (o *Options) rollups() bool {
	return len(o.Rollup) > 0 && !(len(o.Rollup) == 1 && o.Rollup[0] == "off")
}

func (o *Options) policy() dedupe.Policy { return dedupe.Policy(o.Observations) }
