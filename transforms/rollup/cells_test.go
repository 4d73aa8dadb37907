package rollup

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
)

// fuzzRecords are records with everything that a counter may meet: absent, nought,
// negative, huge, not a number.
func fuzzRecords(seed uint64, n int) []flow.Record {
	rnd := rand.New(rand.NewPCG(seed, 2))
	values := []int64{0, 1, -1, 7, 1000, 123456789, math.MaxInt64, math.MinInt64}
	num := func() flow.Int {
		if rnd.IntN(4) == 0 {
			return flow.Int{}
		}
		if rnd.IntN(2) == 0 {
			return flow.N(rnd.Int64N(1e9))
		}
		return flow.N(values[rnd.IntN(len(values))])
	}
	rs := sample(seed, n, 3)
	for i := range rs {
		r := &rs[i]
		r.EventTime = noon.Add(time.Duration(rnd.Int64N(int64(3 * time.Hour))))
		r.Source.Bytes, r.Destination.Packets, r.RTTInternal, r.Jitter = num(), num(), num(), num()
		r.Protocol, r.SamplingRate = num(), num()
		r.UserID = []string{"", "ann", "a\x00b", "a\x00", "bob"}[rnd.IntN(5)]
		r.LossInternal = flow.F([]float64{0, 1, .25, 1. / 3, -1, math.NaN(), math.Inf(1), 1e300}[rnd.IntN(8)])
		if rnd.IntN(3) == 0 {
			r.LossInternal = flow.Float{}
		}
	}
	return rs
}

var allLevels = []time.Duration{time.Minute, 5 * time.Minute, time.Hour}

// plain is the rollup in a plain loop.
func plain(t testing.TB, fields, measures []string, records []flow.Record) map[string][]flow.RollupBatch {
	t.Helper()
	acc, err := NewAccumulator(fields, measures, allLevels)
	if err != nil {
		t.Fatal(err)
	}
	for i := range records {
		acc.Add(&records[i])
	}
	out := map[string][]flow.RollupBatch{}
	for _, every := range allLevels {
		out[LevelName(every)] = slices.Collect(acc.Rows(every))
	}
	return out
}

func TestOrderOfRecordsChangesNothing(t *testing.T) {
	fields := []string{"user_id", "protocol", "destination_ip"}
	for seed := range uint64(5) {
		records := fuzzRecords(seed, 3000)
		want := plain(t, fields, AllMeasures(), records)
		rnd := rand.New(rand.NewPCG(seed, 3))
		rnd.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
		if got := plain(t, fields, AllMeasures(), records); !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: rows differ (-sorted +shuffled):\n%s", seed, cmp.Diff(want, got))
		}
	}
}

func TestRowsAreSortedByWindowAndGroup(t *testing.T) {
	for level, batches := range plain(t, []string{"user_id", "protocol"}, []string{"flows"}, fuzzRecords(1, 2000)) {
		var rows []flow.Rollup
		for _, b := range batches {
			rows = append(rows, b.Rows...)
		}
		if len(rows) == 0 || !slices.IsSortedFunc(rows, func(a, b flow.Rollup) int {
			if a.Window != b.Window {
				return int(a.Window - b.Window)
			}
			return slices.CompareFunc(a.Group, b.Group, compareValues)
		}) {
			t.Errorf("%s: %d rows, not sorted by window and group", level, len(rows))
		}
	}
}

func TestMeasures(t *testing.T) {
	ms := func(n int64) flow.Int { return flow.N(n * int64(time.Millisecond)) }
	for _, tc := range []struct {
		name     string
		measures []string
		records  []flow.Record
		want     []flow.Value
	}{{
		name:     "absent is not nought",
		measures: []string{"flows", "source_bytes", "destination_bytes", "rtt_internal_mean_ns", "rtt_internal_min_ns", "rtt_internal_p99_ns", "loss_internal_mean", "distinct_users"},
		records:  []flow.Record{{Destination: flow.Endpoint{Bytes: flow.N(0)}}, {}},
		want:     []flow.Value{flow.IntValue(2), {}, flow.IntValue(0), {}, {}, {}, {}, flow.IntValue(0)},
	}, {
		name:     "mean of those that have it",
		measures: []string{"rtt_internal_mean_ns", "rtt_internal_min_ns", "rtt_internal_max_ns", "loss_external_mean", "loss_external_max"},
		records:  []flow.Record{{RTTInternal: ms(1), LossExternal: flow.F(.5)}, {RTTInternal: ms(4), LossExternal: flow.F(0)}, {}},
		want:     []flow.Value{flow.IntValue(2_500_000), flow.IntValue(1_000_000), flow.IntValue(4_000_000), flow.FloatValue(.25), flow.FloatValue(.5)},
	}, {
		name:     "means are rounded to the nearest, away from nought",
		measures: []string{"rtt_internal_mean_ns", "rtt_external_mean_ns"},
		records:  []flow.Record{{RTTInternal: flow.N(1), RTTExternal: flow.N(-1)}, {RTTInternal: flow.N(2), RTTExternal: flow.N(-2)}},
		want:     []flow.Value{flow.IntValue(2), flow.IntValue(-2)},
	}, {
		name:     "sums saturate, and come back from beyond 64 bits",
		measures: []string{"source_bytes", "destination_bytes", "rtt_internal_mean_ns"},
		records: []flow.Record{
			{Source: flow.Endpoint{Bytes: flow.N(math.MaxInt64)}, Destination: flow.Endpoint{Bytes: flow.N(math.MaxInt64)}, RTTInternal: flow.N(math.MinInt64)},
			{Source: flow.Endpoint{Bytes: flow.N(1)}, Destination: flow.Endpoint{Bytes: flow.N(1)}, RTTInternal: flow.N(math.MinInt64)},
			{Destination: flow.Endpoint{Bytes: flow.N(-2)}},
		},
		want: []flow.Value{flow.IntValue(math.MaxInt64), flow.IntValue(math.MaxInt64 - 1), flow.IntValue(math.MinInt64)},
	}, {
		name:     "quantiles of few values are exact",
		measures: []string{"rtt_internal_p50_ns", "rtt_internal_p95_ns", "loss_internal_p99"},
		records:  []flow.Record{{RTTInternal: ms(3), LossInternal: flow.F(.125)}, {RTTInternal: ms(1)}, {RTTInternal: ms(2)}},
		want:     []flow.Value{flow.IntValue(2_000_000), flow.IntValue(2_000_000), flow.FloatValue(.125)},
	}, {
		name:     "distinct values of few are exact",
		measures: []string{"distinct_users", "distinct_servers", "distinct_clients"},
		records: []flow.Record{
			{UserID: "ann", Destination: flow.Endpoint{IP: flow.MustIP("192.0.2.1")}},
			{UserID: "bob", Destination: flow.Endpoint{IP: flow.MustIP("2001:db8::1")}},
			{UserID: "ann", Destination: flow.Endpoint{IP: flow.MustIP("192.0.2.1")}}, {},
		},
		want: []flow.Value{flow.IntValue(2), flow.IntValue(2), flow.IntValue(0)},
	}, {
		name:     "a ratio that is none is absent",
		measures: []string{"loss_internal_mean", "loss_external_mean"},
		records:  []flow.Record{{LossInternal: flow.F(math.NaN()), LossExternal: flow.F(math.Inf(-1))}, {LossInternal: flow.F(1e300)}},
		want:     []flow.Value{{}, {}},
	}} {
		t.Run(tc.name, func(t *testing.T) {
			for i := range tc.records {
				tc.records[i].EventTime = noon
			}
			b := plain(t, nil, tc.measures, tc.records)["1m"]
			if len(b) != 1 || len(b[0].Rows) != 1 {
				t.Fatalf("want one row, have %v", b)
			}
			if diff := cmp.Diff(tc.want, b[0].Rows[0].Measures); diff != "" {
				t.Errorf("%v (-want +got):\n%s", tc.measures, diff)
			}
		})
	}
}

// Of many values p95 and distinct are estimates, near the truth.
func TestEstimates(t *testing.T) {
	records := make([]flow.Record, 50_000)
	for i := range records {
		records[i] = flow.Record{EventTime: noon, RTTInternal: flow.N(int64(i+1) * 1000), UserID: string(rune('0' + i))}
	}
	row := plain(t, nil, []string{"rtt_internal_p50_ns", "rtt_internal_p95_ns", "distinct_users"}, records)["1m"][0].Rows[0]
	for i, want := range []float64{25_000_000, 47_500_000, 50_000} {
		if got := float64(row.Measures[i].Int); math.Abs(got-want)/want > .02 {
			t.Errorf("measure %d = %v, want %v within 2 %%", i, got, want)
		}
	}
}

// Sketches and sets, cut and merged in any way and sent through their encoding, give the
// same as one that saw all.
func TestSketchesMergeInAnyOrder(t *testing.T) {
	for _, n := range []int{1, fewValues, fewValues + 1, fewHashes, fewHashes + 1, 500, 30_000} {
		rnd := rand.New(rand.NewPCG(uint64(n), 4))
		values := make([]int64, n)
		for i := range values {
			values[i] = rnd.Int64N(1e9) - 1e5
		}
		wantQ, wantD := new(quantiles), new(distinct)
		for _, v := range values {
			wantQ.add(v)
			wantD.add(hashBytes([]byte{byte(v), byte(v >> 8), byte(v >> 16)}))
		}
		for try := range 5 {
			parts := 1 + rnd.IntN(9)
			qs, ds := make([]quantiles, parts), make([]distinct, parts)
			for _, i := range rnd.Perm(n) {
				v, p := values[i], rnd.IntN(parts)
				qs[p].add(v)
				ds[p].add(hashBytes([]byte{byte(v), byte(v >> 8), byte(v >> 16)}))
			}
			gotQ, gotD := new(quantiles), new(distinct)
			for _, p := range rnd.Perm(parts) {
				var q quantiles
				var d distinct
				r := reader{b: ds[p].append(qs[p].append(nil))}
				q.read(&r)
				d.read(&r)
				if r.failed || len(r.b) != 0 {
					t.Fatalf("n=%d: what was written can't be read, %d bytes left", n, len(r.b))
				}
				gotQ.merge(&q)
				gotD.merge(&d)
			}
			for _, p := range []float64{.5, .95, .99} {
				if got, want := gotQ.at(p), wantQ.at(p); got != want {
					t.Errorf("n=%d try %d: p%v = %d, want %d", n, try, 100*p, got, want)
				}
			}
			if got, want := gotD.count(), wantD.count(); got != want {
				t.Errorf("n=%d try %d: distinct = %d, want %d", n, try, got, want)
			}
		}
	}
}

func TestKeysSortAsTheirValues(t *testing.T) {
	ints := []int64{math.MinInt64, -1 << 32, -257, -256, -255, -2, -1, 0, 1, 255, 256, 1 << 40, math.MaxInt64}
	floats := []float64{math.Inf(-1), -2, -1e-300, 0, 1e-300, 1, math.Inf(1)}
	texts := []string{"", "\x00", "\x00\x00", "\x00a", "\x01", "a", "a\x00", "a\x00b", "aa", "b", "\xff"}
	var keys []string
	check := func(kind flow.Kind, key []byte, want flow.Value) {
		t.Helper()
		vs := make([]flow.Value, 1)
		if err := decodeKey(string(key), []field{{kind: kind}}, vs); err != nil {
			t.Errorf("decodeKey(%x): %v", key, err)
		} else if vs[0] != want {
			t.Errorf("decodeKey(%x) = %+v, want %+v", key, vs[0], want)
		}
		keys = append(keys, string(key))
	}
	sorted := func(what string) {
		t.Helper()
		if !slices.IsSorted(keys) || len(slices.Compact(slices.Clone(keys))) != len(keys) {
			t.Errorf("keys of %s are not in order: %x", what, keys)
		}
		keys = nil
	}
	check(flow.KindInt, appendValue(nil, flow.Value{}), flow.Value{})
	for _, v := range ints {
		check(flow.KindInt, appendInt(nil, v), flow.IntValue(v))
	}
	sorted("integers")
	for _, v := range floats {
		check(flow.KindFloat, appendFloat(nil, v), flow.FloatValue(v))
	}
	sorted("floats")
	for _, v := range texts {
		want := flow.Value{}
		if v != "" {
			want = flow.StringValue(v)
		}
		check(flow.KindString, appendText(nil, v), want)
	}
	sorted("texts")
}

// Every column that can be a field gives the value in its rows that the record has.
func TestEveryColumnCanBeAField(t *testing.T) {
	r := sample(1, 1, 1)[0]
	r.ID, r.Late = flow.ID{0, 1, 2}, false
	r.Source.IP, r.Source.Geo.Latitude = flow.MustIP("2001:db8::"), flow.F(-33.5)
	for i := range flow.Records.Columns {
		c := &flow.Records.Columns[i]
		err := Validate([]string{c.Name}, nil, allLevels)
		own := c.Name == "revision" // rollups have one of their own
		if object := c.Kind == flow.KindObject; (object || own) != (err != nil) {
			t.Errorf("Validate(%s), a %v: %v", c.Name, c.Kind, err)
		}
		if err != nil {
			continue
		}
		row := plain(t, []string{c.Name}, []string{"flows"}, []flow.Record{r})["1m"][0].Rows[0]
		if got, want := row.Group[0], c.Get(&r); got != want {
			t.Errorf("group by %s: %+v, want %+v", c.Name, got, want)
		}
	}
}

func TestAddAllocatesNothingOnAHit(t *testing.T) {
	acc, err := NewAccumulator(DefaultFields(), DefaultMeasures(), allLevels)
	if err != nil {
		t.Fatal(err)
	}
	records := sample(1, 1000, 10)
	add := func() {
		for i := range records {
			acc.Add(&records[i])
		}
	}
	add()
	if n := testing.AllocsPerRun(10, add); n != 0 {
		t.Errorf("%v allocations for 1000 records of known groups, want 0", n)
	}
}
