package prefix_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/transforms/prefix"
)

func TestMain(m *testing.M) { ptest.Main(m) }

func init() {
	register.Function2x0(describe)
	register.Function1x0(printNetworks)
	register.Emitter1[string]()
}

func describe(b flow.Batch, emit func(string)) {
	for _, r := range b.Records {
		emit(fmt.Sprintf("%s %s > %s (%s, %s)", r.Source.Network, r.Source.Labels, r.Destination.Network, r.DataCenter, r.Tenant))
	}
}

var networks = filepath.Join("..", "..", "testdata", "networks.csv")

func batch(source, destination string) flow.Batch {
	r := flow.Record{EventTime: 1}
	r.Source.IP, r.Destination.IP = flow.MustIP(source), flow.MustIP(destination)
	return flow.Batch{Records: []flow.Record{r}}
}

func TestStepInAPipeline(t *testing.T) {
	second := filepath.Join(t.TempDir(), "second.csv")
	if err := os.WriteFile(second, []byte("prefix,network\n198.51.100.0/24,cloud\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p, s := beam.NewPipelineWithRoot()
	batches := beam.CreateList(s, []flow.Batch{batch("10.2.200.9", "192.0.2.1"), batch("10.1.0.1", "198.51.100.1")})
	kept, failures, _ := flow.Apply(s, batches, prefix.Step(networks), prefix.Step(second))
	passert.Equals(s, beam.ParDo(s, describe, kept),
		"lab [{environment test}] > hosting (dc-b, health)",
		"clients-a [{environment production}] > cloud (dc-a, retail)")
	passert.Empty(s, failures)
	result := ptest.RunAndValidate(t, p)
	got := map[string]int64{}
	for _, c := range result.Metrics().Query(func(r beam.MetricResult) bool { return r.Namespace() == "prefix" }).Counters() {
		got[c.Name()] += c.Result()
	}
	if want := map[string]int64{"found": 4, "not_found": 4}; !reflect.DeepEqual(got, want) {
		t.Errorf("counters %v, want %v", got, want)
	}
}

func TestAWrongTableFailsTheJobWithAllItsProblems(t *testing.T) {
	path := filepath.Join(t.TempDir(), "networks.csv")
	if err := os.WriteFile(path, []byte("prefix,network\nx,1\ny,2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p, s := beam.NewPipelineWithRoot()
	flow.Apply(s, beam.Create(s, batch("10.1.2.3", "192.0.2.1")), prefix.Step(path))
	err := ptest.Run(p)
	for _, want := range []string{path, "line 2", "line 3"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
}

func TestWiringMistakes(t *testing.T) {
	for name, f := range map[string]func(){
		"no path":         func() { prefix.Step("") },
		"no time to wait": func() { prefix.Step(networks, prefix.Every(0*time.Second)) },
	} {
		func() {
			defer func() {
				if r := recover(); r == nil || !strings.HasPrefix(fmt.Sprint(r), "prefix.Step: ") {
					t.Errorf("%s: %v", name, r)
				}
			}()
			f()
		}()
	}
}

func ExampleStep() {
	p, s := beam.NewPipelineWithRoot()
	batches := beam.Create(s, batch("10.2.200.9", "192.0.2.1"))
	named, _, _ := flow.Apply(s, batches, prefix.Step(networks))
	beam.ParDo0(s, printNetworks, named)
	if err := ptest.Run(p); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 10.2.200.9: lab, Example Health, Building B, [{environment test}]
	// 192.0.2.1: hosting, Example Hosting, Berlin, []
	// seen in dc-b for health
}

func printNetworks(b flow.Batch) {
	for _, r := range b.Records {
		for _, e := range []flow.Endpoint{r.Source, r.Destination} {
			fmt.Printf("%v: %s, %s, %s, %v\n", e.IP, e.Network, e.Customer, e.Site, e.Labels)
		}
		fmt.Println("seen in", r.DataCenter, "for", r.Tenant)
	}
}
