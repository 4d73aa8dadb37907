package rollup

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"github.com/flowbeam/flowbeam/flow"
)

func TestMain(m *testing.M) { ptest.Main(m) }

func init() {
	beam.RegisterDoFn(&collectRowsFn{})
	beam.RegisterDoFn(&collectCountsFn{})
}

// results are what a test's pipeline gave: Prism runs in the test's process.
type results struct {
	mu      sync.Mutex
	batches map[string][]flow.RollupBatch // of each level, in the order of arrival
	counts  map[string]int64
}

var runs sync.Map // from a test's name to *results

type collectRowsFn struct{ Run string }

func (f *collectRowsFn) ProcessElement(b flow.RollupBatch) {
	v, _ := runs.Load(f.Run)
	r := v.(*results)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.batches[b.Level] = append(r.batches[b.Level], b)
}

type collectCountsFn struct{ Run string }

func (f *collectCountsFn) ProcessElement(c flow.Count) {
	v, _ := runs.Load(f.Run)
	r := v.(*results)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[c.Stage+"/"+c.Name] += c.N
}

// collect runs the pipeline that build makes, and returns what came out of its levels
// and counts.
func collect(t testing.TB, build func(s beam.Scope) (levels []Level, counts []beam.PCollection)) *results {
	t.Helper()
	res := &results{batches: map[string][]flow.RollupBatch{}, counts: map[string]int64{}}
	run := fmt.Sprintf("%s-%d", t.Name(), rand.Uint64())
	runs.Store(run, res)
	defer runs.Delete(run)
	p, s := beam.NewPipelineWithRoot()
	levels, counts := build(s)
	for _, l := range levels {
		beam.ParDo0(s, &collectRowsFn{Run: run}, l.Rows)
	}
	for _, c := range counts {
		beam.ParDo0(s, &collectCountsFn{Run: run}, c)
	}
	if err := ptest.Run(p); err != nil {
		t.Fatal(err)
	}
	return res
}

// rows are a level's rows by id, the newest of each, as a store would have them, sorted.
func (r *results) rows(level string) []flow.Rollup { return newest(r.batches[level]) }

func newest(batches []flow.RollupBatch) []flow.Rollup {
	byID := map[flow.ID]flow.Rollup{}
	for _, b := range batches {
		for _, row := range b.Rows {
			id := row.ID(b.Fields)
			if old, ok := byID[id]; !ok || row.Records > old.Records {
				byID[id] = row
			}
		}
	}
	var rows []flow.Rollup
	for _, row := range byID {
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b flow.Rollup) int {
		if a.Window != b.Window {
			return int(a.Window - b.Window)
		}
		return slices.CompareFunc(a.Group, b.Group, compareValues)
	})
	return rows
}

// compareValues is the order of rows: absent first, then by value.
func compareValues(a, b flow.Value) int {
	switch {
	case a.Kind != b.Kind:
		return int(a.Kind) - int(b.Kind)
	case a.Int != b.Int:
		if a.Int < b.Int {
			return -1
		}
		return 1
	case a.Str < b.Str:
		return -1
	case a.Str > b.Str:
		return 1
	}
	return 0
}

// brief are rows as text: window, group and measures.
func brief(rows []flow.Rollup) []string {
	var out []string
	for _, r := range rows {
		s := r.Window.Std().Format("15:04:05") + fmt.Sprintf(" n=%d", r.Records)
		for _, v := range slices.Concat(r.Group, r.Measures) {
			if v.Kind == 0 {
				s += " -"
			} else {
				s += " " + v.String()
			}
		}
		out = append(out, s)
	}
	return out
}

var noon = flow.TimeOf(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))

// at is a record of a user with some bytes, after noon.
func at(d time.Duration, user string, bytes int64) flow.Record {
	return flow.Record{EventTime: noon.Add(d), UserID: user, Source: flow.Endpoint{Bytes: flow.N(bytes)}}
}

// sample are n records of the reference job's shape: two hours of event time with a
// little disorder, users with a country each, every counter present but some losses.
func sample(seed uint64, n, users int) []flow.Record {
	rnd := rand.New(rand.NewPCG(seed, 1))
	rs := make([]flow.Record, n)
	for i := range rs {
		u := rnd.IntN(users)
		r := &rs[i]
		r.EventTime = noon.Add(time.Duration(i)*2*time.Hour/time.Duration(n) + time.Duration(rnd.IntN(2e9)))
		r.Start, r.End = r.EventTime.Add(-time.Second), r.EventTime
		r.UserID = fmt.Sprintf("user-%06d", u)
		r.Source.Geo.Country = string([]byte{'A' + byte(u%5), 'A' + byte(u%7)})
		r.Destination.Geo.Country = string([]byte{'A' + byte(rnd.IntN(3)), 'Z'})
		r.Destination.IP = flow.IP{Len: 4, B: [16]byte{198, 51, 100, byte(rnd.IntN(200))}}
		r.Destination.ASN, r.Protocol = flow.N(int64(64500+rnd.IntN(20))), flow.N(6)
		r.Source.Bytes, r.Source.Packets = flow.N(rnd.Int64N(1e6)), flow.N(rnd.Int64N(1000))
		r.Destination.Bytes, r.Destination.Packets = flow.N(rnd.Int64N(1e7)), flow.N(rnd.Int64N(9000))
		r.RTTInternal, r.RTTExternal = flow.N(rnd.Int64N(5e7)), flow.N(rnd.Int64N(3e8))
		if rnd.IntN(10) > 0 {
			r.LossInternal, r.LossExternal = flow.F(rnd.Float64()/100), flow.F(rnd.Float64()/10)
		}
	}
	return rs
}
