package anonymize_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/transforms/anonymize"
)

func TestMain(m *testing.M) { ptest.Main(m) }

func init() {
	register.Function2x0(describe)
	register.Function1x0(printAddresses)
	register.Emitter1[string]()
}

func describe(b flow.Batch, emit func(string)) {
	for _, r := range b.Records {
		emit(fmt.Sprintf("%v %v %q %s", r.Source.IP, r.Destination.IP, r.Original, r.Destination.Geo.Country))
	}
}

func printAddresses(b flow.Batch) {
	for _, r := range b.Records {
		fmt.Println(r.Source.IP, "to", r.Destination.IP)
	}
}

func batch(source, destination string) flow.Batch {
	r := flow.Record{EventTime: 1, Original: "raw"}
	r.Source.IP, r.Destination.IP = flow.MustIP(source), flow.MustIP(destination)
	r.Destination.Geo.Country = "US"
	return flow.Batch{Records: []flow.Record{r}}
}

// key is that of the published sample: 32 bytes in hexadecimal.
const key = "1522178d33a4cf80130a5b1649907d10d8988f837979652762574c2d2a842202"

func TestStepInAPipeline(t *testing.T) {
	t.Setenv("FLOWBEAM_EXAMPLE_KEY", key)
	p, s := beam.NewPipelineWithRoot()
	batches := beam.Create(s, batch("128.11.68.132", "129.118.74.4"))
	kept, failures, _ := flow.Apply(s, batches, anonymize.Step("env:FLOWBEAM_EXAMPLE_KEY"))
	passert.Equals(s, beam.ParDo(s, describe, kept), `135.242.180.132 134.136.186.123 "" US`)
	// A sibling of the Step sees the batch as it was.
	passert.Equals(s, beam.ParDo(s, describe, batches), `128.11.68.132 129.118.74.4 "raw" US`)
	passert.Empty(s, failures)
	ptest.RunAndValidate(t, p)
}

func TestAnAbsentKeyFailsTheJob(t *testing.T) {
	p, s := beam.NewPipelineWithRoot()
	flow.Apply(s, beam.Create(s, batch("128.11.68.132", "129.118.74.4")), anonymize.Step("env:FLOWBEAM_ABSENT_KEY"))
	if err := ptest.Run(p); err == nil || !strings.Contains(err.Error(), "FLOWBEAM_ABSENT_KEY is not set") {
		t.Errorf("error %v", err)
	}
}

func ExampleStep() {
	os.Setenv("FLOWBEAM_EXAMPLE_KEY", key)
	p, s := beam.NewPipelineWithRoot()
	batches := beam.Create(s, batch("192.0.2.1", "192.0.2.77")) // both of 192.0.2.0/25
	hidden, _, _ := flow.Apply(s, batches, anonymize.Step("env:FLOWBEAM_EXAMPLE_KEY"))
	beam.ParDo0(s, printAddresses, hidden)
	if err := ptest.Run(p); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 252.255.2.112 to 252.255.2.58
}
