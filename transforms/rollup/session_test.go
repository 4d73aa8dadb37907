package rollup

import (
	"cmp"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
)

const testGap = 30 * time.Second

// plainSessions are the sessions of records by the definition: sort, then cut where gap
// or more lies between two.
func plainSessions(t *testing.T, fields, measures []string, gap time.Duration, records []flow.Record) []flow.Rollup {
	t.Helper()
	byGroup := map[string][]flow.Record{}
	for _, r := range records {
		byGroup[r.UserID] = append(byGroup[r.UserID], r)
	}
	var rows []flow.Rollup
	for _, rs := range byGroup {
		slices.SortFunc(rs, func(a, b flow.Record) int { return cmp.Compare(a.EventTime, b.EventTime) })
		for len(rs) > 0 {
			n := 1
			for n < len(rs) && rs[n].EventTime < rs[n-1].EventTime.Add(gap) {
				n++
			}
			whole, err := NewAccumulator(fields, measures, []time.Duration{1e6 * time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			for i := range n {
				whole.Add(&rs[i])
			}
			for b := range whole.Rows(1e6 * time.Hour) {
				row := b.Rows[0]
				row.Window, row.Length = rs[0].EventTime, time.Duration(rs[n-1].EventTime-rs[0].EventTime)+gap
				rows = append(rows, row)
			}
			rs = rs[n:]
		}
	}
	return newest([]flow.RollupBatch{{Fields: fields, Rows: rows}})
}

func TestSessionsAreExactHoweverCut(t *testing.T) {
	fields, measures := []string{"user_id"}, []string{"flows", "source_bytes", "rtt_external_p95_ns", "distinct_servers"}
	for seed := range uint64(3) {
		records := sample(seed, 600, 7)
		rnd := rand.New(rand.NewPCG(seed, 6))
		for i := range records { // around and at the gap
			records[i].EventTime = noon.Add(time.Duration(rnd.IntN(700))*testGap/2 + time.Duration(rnd.IntN(2)))
		}
		var batches []flow.Batch
		for part := range slices.Chunk(records, 1+rnd.IntN(90)) {
			batches = append(batches, flow.Batch{Records: part})
		}
		opts := []Option{Fields(fields...), Measures(measures...), Every(time.Hour), Sessions(testGap), Shards(3), smallBundles(1 + rnd.IntN(50))}
		if seed > 0 {
			opts = append(opts, Bounded())
		}
		got := collect(t, func(s beam.Scope) ([]Level, []beam.PCollection) {
			levels, counts := By(s, beam.Reshuffle(s, beam.CreateList(s, batches)), opts...)
			return levels, []beam.PCollection{counts}
		})
		want := plainSessions(t, fields, measures, testGap, records)
		if got := got.rows(SessionLevel); !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: sessions differ (-plain +pipeline):\n%s", seed, gocmp.Diff(brief(want), brief(got)))
		}
		n := 0
		for _, b := range got.batches[SessionLevel] {
			n += len(b.Rows)
		}
		if n != len(want) {
			t.Errorf("seed %d: %d rows given for %d sessions, want each once", seed, n, len(want))
		}
	}
}

func TestSessionsOfAStream(t *testing.T) {
	for _, tc := range []struct {
		name   string
		stream func(*stream)
		want   []string
	}{{
		name: "the watermark inside of a session does not cut it",
		stream: func(s *stream) {
			s.read(at(0, "ann", 1)).to(20 * time.Second).read(at(25*time.Second, "ann", 10)).
				to(50 * time.Second).read(at(50*time.Second, "ann", 100)).to(10 * time.Hour)
		},
		want: []string{"12:00:00 n=3 ann 3 111"},
	}, {
		name: "a gap makes two",
		stream: func(s *stream) {
			s.read(at(0, "ann", 1), at(30*time.Second, "ann", 10)).to(10 * time.Hour)
		},
		want: []string{"12:00:00 n=1 ann 1 1", "12:00:30 n=1 ann 1 10"},
	}, {
		name: "a late record within lateness joins two, and moves a start",
		stream: func(s *stream) {
			s.read(at(40*time.Second, "ann", 1), at(90*time.Second, "ann", 10)).to(40 * time.Minute).
				read(at(65*time.Second, "ann", 100)).to(50 * time.Minute).read(at(20*time.Second, "ann", 1000)).to(10 * time.Hour)
		},
		want: []string{"12:00:20 n=4 ann 4 1111"},
	}, {
		name: "what is too late is left out",
		stream: func(s *stream) {
			s.read(at(0, "ann", 1)).to(5 * time.Hour).read(at(20*time.Second, "ann", 100)).to(10 * time.Hour)
		},
		want: []string{"12:00:00 n=1 ann 1 1"},
	}} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStream(t)
			tc.stream(s)
			got := s.run(Sessions(testGap))
			if diff := gocmp.Diff(tc.want, brief(got.rows(SessionLevel))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
