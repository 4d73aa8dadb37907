package job

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	dataflow "google.golang.org/api/dataflow/v1b3"
)

const deployed = "../../../deploy/dataflow/"

// reserved are names that the service gives to its own flags: a parameter of that name makes it
// fail to read the job file.
// Source: https://cloud.google.com/dataflow/docs/guides/troubleshoot-templates
var reserved = []string{"runner", "project", "job_name", "template_location", "region", "staging_location", "temp_location"}

// One struct says all: the spec, the page and the flags.
func TestSpecPageAndOptionsAreOne(t *testing.T) {
	page, err := os.ReadFile("../../../docs/dataflow-parameters.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range Forms {
		b, err := os.ReadFile(deployed + "flows-" + string(form) + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var spec dataflow.ContainerSpec
		strict := json.NewDecoder(bytes.NewReader(b))
		strict.DisallowUnknownFields()
		if err := strict.Decode(&spec); err != nil {
			t.Fatalf("%s: %v", form, err)
		}
		want, err := json.Marshal(Flows().Spec(form, "IMAGE"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(&spec)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(want, got) {
			t.Errorf("%s: the committed spec is not that of the options: go generate ./pipelines/launch", form)
		}
		if table := Flows().ParameterTable(form); !strings.Contains(string(page), table) {
			t.Errorf("%s: the page is not that of the options: go generate ./pipelines/launch", form)
		}
	}
}

func TestParametersAreWhatTheServiceTakes(t *testing.T) {
	fields := Defaults().fields()
	for _, form := range Forms {
		names := map[string]bool{}
		for _, m := range Flows().metadata(form).Parameters {
			if slices.Contains(reserved, m.Name) {
				t.Errorf("%s: a name of the service's own", m.Name)
			}
			if m.Label == "" || m.HelpText == "" || names[m.Name] {
				t.Errorf("%s: without a label or help, or twice", m.Name)
			}
			names[m.Name] = true
			for _, r := range m.Regexes {
				re, err := regexp.CompilePOSIX(r)
				if err != nil {
					t.Errorf("%s: %v", m.Name, err)
				} else if m.DefaultValue != "" && !re.MatchString(m.DefaultValue) {
					t.Errorf("%s: the default %q does not match %s", m.Name, m.DefaultValue, r)
				}
			}
			if m.ParamType == "ENUM" && m.DefaultValue != "" && !slices.ContainsFunc(m.EnumOptions, func(e *dataflow.ParameterMetadataEnumOption) bool { return e.Value == m.DefaultValue }) {
				t.Errorf("%s: the default %q is none of its values", m.Name, m.DefaultValue)
			}
		}
		for _, f := range fields {
			tag := f.tag.Get("template")
			without := slices.Contains(Flows().Without, f.name)
			if want := !without && (tag == "" || tag == string(form)); names[f.name] != want {
				t.Errorf("%s: %s has a parameter: %v", form, f.name, names[f.name])
			}
		}
	}
	for _, f := range fields {
		if tag := f.tag.Get("template"); tag != "" && tag != "-" && !slices.Contains(Forms, Form(tag)) {
			t.Errorf("%s: there is no template %q", f.name, tag)
		}
	}
}

// What an option takes and what its tag says are told in two places.
func TestValuesOfTheTagsAreThoseThatAreTaken(t *testing.T) {
	for _, f := range Defaults().fields() {
		values := splitList(f.tag.Get("enum"))
		if len(values) == 0 {
			continue
		}
		refused := func(value string) bool {
			o := Defaults()
			o.Output = t.TempDir()
			o.KafkaInput, o.KafkaInputTopics = []string{"127.0.0.1:1"}, []string{"flows"}
			o.Elasticsearch, o.BigQuery, o.Exporters = []string{"http://127.0.0.1:1"}, "p.d", []string{"e"}
			o.Kafka, o.KafkaUser, o.KafkaPassword = []string{"127.0.0.1:1"}, "u", "env:HOME"
			for _, g := range o.fields() {
				if g.name == f.name {
					if err := g.value.Set(value); err != nil {
						return true
					}
				}
			}
			return slices.ContainsFunc(o.Validate(), func(err error) bool {
				return strings.Contains(err.Error(), value) && !strings.Contains(err.Error(), "gs://") // files to load must be there
			})
		}
		for _, v := range values {
			if refused(v) {
				t.Errorf("%s: %s is in its tag and is refused", f.name, v)
			}
		}
		if !refused("nonesuch") {
			t.Errorf("%s takes anything", f.name)
		}
	}
}

func TestParametersAreCheckedBeforeTheLaunch(t *testing.T) {
	good := map[string]string{"output": "gs://bucket/flows", "kafka_input": "k:9092", "kafka_input_topics": "flows", "dedupe_horizon": "1h30m", "rollup_windows": "1m,1h"}
	if problems := Flows().CheckParameters(Streaming, good); len(problems) > 0 {
		t.Error(problems)
	}
	bad := map[string]string{"output": "/tmp/out", "dedupe_horizon": "an hour", "dedupe": "perhaps", "shards": "-1", "streaming": "true", "stop": "latest"}
	if problems := Flows().CheckParameters(Streaming, bad); len(problems) != len(bad) {
		t.Errorf("%d problems, want %d: %v", len(problems), len(bad), problems)
	}
	if problems := Flows().CheckParameters(Backfill, map[string]string{}); len(problems) != 1 || problems[0].Error() != "output: is required" {
		t.Error(problems)
	}
}

// The exact arguments of a launcher, and some of which no program of Beam Go knows.
func TestTheLaunchersFlagsAreTaken(t *testing.T) {
	args := []string{
		"--dedupe=exact", "--enable_streaming_engine=true", "--job_name=flows", "--labels={\n  \"goog-dataflow-provided-template-name\": \"flows\"\n}",
		"--machine_type=n2-standard-4", "--network=net", "--output=gs://b/o", "--project=p", "--region=r", "--runner=DataflowRunner",
		"--sdk_container_image=i", "--service_account_email=s", "--staging_location=gs://b/s", "--streaming_mode=exactly_once", "--subnetwork=sub",
		"--temp_location=gs://b/t", "--template_location=gs://b/s/template_launches/1/job_object",
	}
	known := func(name string) (bool, bool) {
		return false, slices.Contains([]string{"job_name", "labels", "machine_type", "network", "project", "region", "sdk_container_image", "service_account_email", "staging_location", "subnetwork", "temp_location", "template_location"}, name)
	}
	var warned bytes.Buffer
	kept := launched(args, known, &warned)
	if want := len(args) - 2; len(kept) != want || !strings.Contains(warned.String(), "--enable_streaming_engine --streaming_mode\n") {
		t.Errorf("kept %d of %d: %q; warned %q", len(kept), want, kept, warned.String())
	}
	o := Defaults()
	if _, problems := o.Parse(kept, known); len(problems) > 0 || runnerName(o.Runner) != dataflowRunner {
		t.Errorf("%v, runner %s", problems, o.Runner)
	}
	warned.Reset()
	if kept := launched([]string{"--outptu=x"}, known, &warned); len(kept) != 1 || warned.Len() > 0 {
		t.Error("a wrong flag is passed over where no launcher has called")
	}
}

func TestAJobIsReplacedByAGraphThatHasItsSteps(t *testing.T) {
	args := []string{"--output=gs://bucket/flows", "--kafka_input=k:9092", "--kafka_input_topics=flows", "--format=canopus"}
	steps := func(more ...string) []Step {
		t.Helper()
		s, problems := Flows().Steps(append(args[:len(args):len(args)], more...))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		return s
	}
	old := steps()
	if len(old) < 40 {
		t.Fatalf("%d steps", len(old))
	}
	if !slices.ContainsFunc(old, func(s Step) bool {
		return strings.Contains(s.Name, "dedupe.Exact") && strings.Contains(strings.Join(s.Coders, " "), "state ")
	}) {
		t.Error("no step has state")
	}
	if problems := Changes(old, steps("--dedupe_horizon=3h", "--shards=4"), nil); len(problems) > 0 {
		t.Errorf("other values, the same graph: %v", problems)
	}
	if problems := Changes(old, steps("--raw_backup=true"), nil); len(problems) > 0 {
		t.Errorf("more steps: %v", problems)
	}
	problems := Changes(old, steps("--dedupe=off"), nil)
	if len(problems) == 0 || !strings.Contains(problems[0].Error(), "is gone") {
		t.Errorf("steps that are gone: %v", problems)
	}
	one := []Step{{Name: "a", URN: "u", Coders: []string{"bytes"}}}
	other := []Step{{Name: "b", URN: "u", Coders: []string{"varint"}}}
	for _, c := range []struct {
		mapping map[string]string
		want    string
	}{
		{nil, "a is gone"},
		{map[string]string{"a": "b"}, "coders were [bytes] and are [varint]"},
		{map[string]string{"a": ""}, ""},
		{map[string]string{"a": "c"}, "names c, which the new graph has not"},
		{map[string]string{"x": "b", "a": ""}, "names x, which the running job has not"},
	} {
		problems := Changes(one, other, c.mapping)
		if c.want == "" && len(problems) > 0 || c.want != "" && (len(problems) == 0 || !strings.Contains(problems[0].Error(), c.want)) {
			t.Errorf("%v: %v, want %s", c.mapping, problems, c.want)
		}
	}
}

// The graphs are committed, so that a change that a running job could not take is seen in a diff:
// names of steps and coders stay, or the change needs a mapping or a job beside the old one.
func TestGraphsAreTheCommittedOnes(t *testing.T) {
	known := []string{
		"beam:transform:impulse:v1", "beam:transform:pardo:v1", "beam:transform:flatten:v1", "beam:transform:group_by_key:v1",
		"beam:transform:combine_per_key:v1", "beam:transform:window_into:v1", "beam:transform:reshuffle:v1", "beam:transform:pubsub_read:v1",
	}
	for name, input := range map[string][]string{
		"kafka":  {"--kafka_input=kafka:9092", "--kafka_input_topics=flows"},
		"pubsub": {"--pubsub_input=projects/project/subscriptions/flows"},
	} {
		steps, problems := Flows().Steps(append(input, "--output=gs://bucket/flows"))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		for i, s := range steps {
			if !slices.Contains(known, s.URN) {
				t.Errorf("%s: %s is %s, which no runner is asked for elsewhere", name, s.Name, s.URN)
			}
			if i > 0 && s.Name == steps[i-1].Name {
				t.Errorf("%s: two steps are named %s", name, s.Name)
			}
		}
		if reads := slices.ContainsFunc(steps, func(s Step) bool { return s.URN == "beam:transform:pubsub_read:v1" }); reads != (name == "pubsub") {
			t.Errorf("%s: the service's own reader of Pub/Sub is there: %v", name, reads)
		}
		b, err := os.ReadFile(deployed + "graph-" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var committed []Step
		if err := json.Unmarshal(b, &committed); err != nil {
			t.Fatal(err)
		}
		for _, p := range append(Changes(committed, steps, nil), Changes(steps, committed, nil)...) {
			t.Errorf("%s: %v; if that is meant: go generate ./pipelines/launch", name, p)
		}
	}
}

func TestASpecIsWrittenOnce(t *testing.T) {
	at := t.TempDir() + "/flows-abc.json"
	for _, c := range []struct {
		text string
		ok   bool
	}{{"one", true}, {"one", true}, {"another", false}} {
		if err := Put(t.Context(), at, []byte(c.text)); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.text, err)
		}
	}
	if b, err := os.ReadFile(at); err != nil || string(b) != "one" {
		t.Errorf("%s, %v", b, err)
	}
	for _, none := range []string{"flows.json", "gs://bucket", "gs://bucket/folder/"} {
		if err := Put(t.Context(), none, nil); err == nil {
			t.Errorf("%q is taken for an object", none)
		}
	}
}
