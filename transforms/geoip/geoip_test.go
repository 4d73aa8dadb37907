package geoip_test

import (
	"fmt"
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
	"github.com/flowbeam/flowbeam/transforms/geoip"
)

func TestMain(m *testing.M) { ptest.Main(m) }

func init() {
	register.Function2x0(describe)
	register.Emitter1[string]()
}

func describe(b flow.Batch, emit func(string)) {
	for _, r := range b.Records {
		for _, e := range []flow.Endpoint{r.Source, r.Destination} {
			emit(fmt.Sprintf("%v %s %s %d", e.IP, e.GeoStatus, e.Geo.Country, e.ASN.V))
		}
	}
}

var (
	city = filepath.Join("..", "..", "testdata", "geoip", "city.mmdb")
	asn  = filepath.Join("..", "..", "testdata", "geoip", "asn.mmdb")
)

func batch(addresses ...string) flow.Batch {
	var b flow.Batch
	for i := 0; i < len(addresses); i += 2 {
		r := flow.Record{EventTime: 1}
		r.Source.IP, r.Destination.IP = flow.MustIP(addresses[i]), flow.MustIP(addresses[i+1])
		b.Records = append(b.Records, r)
	}
	return b
}

func TestStepInAPipeline(t *testing.T) {
	p, s := beam.NewPipelineWithRoot()
	batches := beam.CreateList(s, []flow.Batch{batch("10.1.2.3", "192.0.2.1"), batch("2001:db8:2::1", "8.8.8.8", "203.0.113.5", "127.0.0.1")})
	kept, failures, _ := flow.Apply(s, batches, geoip.Step(city, asn))
	passert.Equals(s, beam.ParDo(s, describe, kept),
		"10.1.2.3 private  0", "192.0.2.1 found DE 64496", "2001:db8:2::1 found FR 64503", "8.8.8.8 unknown  0", "203.0.113.5 found JP 64498", "127.0.0.1 reserved  0")
	passert.Empty(s, failures)
	result := ptest.RunAndValidate(t, p)
	got := map[string]int64{}
	for _, c := range result.Metrics().Query(func(r beam.MetricResult) bool { return r.Namespace() == "geoip" }).Counters() {
		got[c.Name()] += c.Result()
	}
	if want := map[string]int64{geoip.Found: 3, geoip.Private: 1, geoip.Reserved: 1, geoip.Unknown: 1}; !reflect.DeepEqual(got, want) {
		t.Errorf("counters %v, want %v", got, want)
	}
}

func TestAnAbsentDatabaseFailsTheJobWithPathAndCause(t *testing.T) {
	p, s := beam.NewPipelineWithRoot()
	flow.Apply(s, beam.Create(s, batch("10.1.2.3", "192.0.2.1")), geoip.Step("absent.mmdb", ""))
	if err := ptest.Run(p); err == nil || !strings.Contains(err.Error(), "absent.mmdb: no such file") {
		t.Errorf("error %v", err)
	}
}

func TestWiringMistakes(t *testing.T) {
	for name, f := range map[string]func(){
		"no database":       func() { geoip.Step("", " ") },
		"no time to wait":   func() { geoip.Step(city, "", geoip.Every(0)) },
		"negative interval": func() { geoip.Step(city, "", geoip.Every(-time.Second)) },
	} {
		func() {
			defer func() {
				if r := recover(); r == nil || !strings.HasPrefix(fmt.Sprint(r), "geoip.Step: ") {
					t.Errorf("%s: %v", name, r)
				}
			}()
			f()
		}()
	}
}

func ExampleStep() {
	p, s := beam.NewPipelineWithRoot()
	batches := beam.Create(s, batch("10.1.2.3", "192.0.2.1"))
	placed, _, _ := flow.Apply(s, batches, geoip.Step(city, asn))
	beam.ParDo0(s, printPlaces, placed)
	if err := ptest.Run(p); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 10.1.2.3 private
	// 192.0.2.1 found: Berlin, DE, AS64496 Example Hosting (edition 2026-01-01)
}

func init() { register.Function1x0(printPlaces) }

func printPlaces(b flow.Batch) {
	for _, r := range b.Records {
		fmt.Println(r.Source.IP, r.Source.GeoStatus)
		d := r.Destination
		fmt.Printf("%v %s: %s, %s, AS%d %s (edition %s)\n", d.IP, d.GeoStatus, d.Geo.City, d.Geo.Country, d.ASN.V, d.ASOrg, r.GeoEdition.Std().Format(time.DateOnly))
	}
}

// In a plain loop, without a pipeline.
func ExampleOpen() {
	db, err := geoip.Open(city, asn)
	if err != nil {
		fmt.Println(err)
		return
	}
	b := batch("2001:db8:1::1", "203.0.113.5")
	for i := range b.Records {
		r := &b.Records[i]
		db.Enrich(r)
		fmt.Println(r.Source.Geo.City, "to", r.Destination.Geo.City)
	}
	// Output:
	// São Paulo to Tokyo
}
