package flowtest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
)

func init() {
	beam.RegisterDoFn(&equalFn{})
	beam.RegisterDoFn(&equalFailuresFn{})
	beam.RegisterDoFn(&equalCountsFn{})
	register.Iter1[flow.Batch]()
	register.Iter1[flow.FailureBatch]()
	register.Iter1[flow.Count]()
}

// maxShown bounds how many records a failed assertion prints.
const maxShown = 10

// Equal asserts that a PCollection<flow.Batch> in the global window has exactly these
// records, each as often, however the batches were cut and in whatever order. The pipeline
// fails otherwise, and its error names the records that differ, by id, with a diff.
func Equal(s beam.Scope, batches beam.PCollection, records []flow.Record) {
	s = s.Scope("flowtest.Equal")
	want := flow.EncodeBatch(&flow.Batch{Records: records})
	beam.ParDo0(s, &equalFn{Want: want}, beam.Impulse(s), beam.SideInput{Input: batches})
}

type equalFn struct{ Want []byte }

func (f *equalFn) ProcessElement(_ []byte, batches func(*flow.Batch) bool) error {
	want, err := flow.DecodeBatch(f.Want)
	if err != nil {
		return err
	}
	var got []flow.Record
	for b := (flow.Batch{}); batches(&b); {
		got = append(got, b.Records...)
	}
	if diff := DiffRecords(want.Records, got); diff != "" {
		return fmt.Errorf("flowtest.Equal: the records differ:\n%s", diff)
	}
	return nil
}

// DiffRecords is "" where both have the same records, each as often, in any order.
// Otherwise it names those that differ.
func DiffRecords(want, got []flow.Record) string {
	type side struct{ want, got []flow.Record }
	byID := map[flow.ID]*side{}
	var order []flow.ID
	at := func(id flow.ID) *side {
		if byID[id] == nil {
			byID[id] = &side{}
			order = append(order, id)
		}
		return byID[id]
	}
	for i := range want {
		s := at(want[i].ID)
		s.want = append(s.want, want[i])
	}
	for i := range got {
		s := at(got[i].ID)
		s.got = append(s.got, got[i])
	}
	var out []string
	for _, id := range order {
		w, g := without(byID[id].want, byID[id].got), without(byID[id].got, byID[id].want)
		for i := range max(len(w), len(g)) {
			switch {
			case i < len(w) && i < len(g):
				out = append(out, fmt.Sprintf("record %v differs (-want +got):\n%s", id, gocmp.Diff(w[i], g[i])))
			case i < len(w):
				out = append(out, fmt.Sprintf("record %v is missing: %s", id, flow.AppendRecordJSON(nil, &w[i])))
			default:
				out = append(out, fmt.Sprintf("record %v is not wanted%s: %s", id, oftener(len(byID[id].want)), flow.AppendRecordJSON(nil, &g[i])))
			}
		}
	}
	if len(out) == 0 {
		return ""
	}
	head := fmt.Sprintf("want %d records, got %d; %d differ", len(want), len(got), len(out))
	return head + "\n" + strings.Join(shown(out), "\n")
}

func oftener(wanted int) string {
	if wanted == 0 {
		return ""
	}
	return fmt.Sprintf(" more than %d times", wanted)
}

func shown(lines []string) []string {
	if len(lines) > maxShown {
		return append(slices.Clone(lines[:maxShown]), fmt.Sprintf("… and %d more", len(lines)-maxShown))
	}
	return lines
}

// without is the records of a that b lacks, each as often as it is lacking.
func without(a, b []flow.Record) (rest []flow.Record) {
	left := map[string]int{}
	for i := range b {
		left[string(canonical(&b[i]))]++
	}
	for i := range a {
		c := string(canonical(&a[i]))
		if left[c] > 0 {
			left[c]--
			continue
		}
		// What the coder keeps of it, so that an empty list is none.
		r, err := flow.DecodeBatch([]byte(c))
		if err != nil {
			rest = append(rest, a[i])
			continue
		}
		rest = append(rest, r.Records[0])
	}
	return rest
}

func canonical(r *flow.Record) []byte {
	return flow.EncodeBatch(&flow.Batch{Records: []flow.Record{*r}})
}

// EqualFailures asserts that a PCollection<flow.FailureBatch> has exactly these dead
// letters, in any order. Stage, reason, position and data must be equal; the other
// fields are compared where the wanted failure sets them, so a test need not repeat a
// parser's words or the version.
func EqualFailures(s beam.Scope, failures beam.PCollection, want []flow.Failure) {
	s = s.Scope("flowtest.EqualFailures")
	b, err := json.Marshal(want)
	if err != nil {
		panic(fmt.Sprintf("flowtest.EqualFailures: %v", err))
	}
	// JSON would change data that is not UTF-8, so data travels beside it.
	data := make([][]byte, len(want))
	for i := range want {
		data[i] = []byte(want[i].Data)
	}
	beam.ParDo0(s, &equalFailuresFn{Want: b, Data: data}, beam.Impulse(s), beam.SideInput{Input: failures})
}

type equalFailuresFn struct {
	Want []byte
	Data [][]byte
}

func (f *equalFailuresFn) ProcessElement(_ []byte, batches func(*flow.FailureBatch) bool) error {
	var want, got []flow.Failure
	if err := json.Unmarshal(f.Want, &want); err != nil {
		return err
	}
	for i := range want {
		want[i].Data = string(f.Data[i])
	}
	for b := (flow.FailureBatch{}); batches(&b); {
		got = append(got, b.Failures...)
	}
	if diff := DiffFailures(want, got); diff != "" {
		return fmt.Errorf("flowtest.EqualFailures: the dead letters differ:\n%s", diff)
	}
	return nil
}

// DiffFailures is "" where both have the same dead letters, as [EqualFailures] compares
// them. Otherwise it names those that differ.
func DiffFailures(want, got []flow.Failure) string {
	key := func(f flow.Failure) string {
		return fmt.Sprintf("%s %s %+v %q", f.Stage, f.Reason, f.Position, f.Data)
	}
	byKey := func(a, b flow.Failure) int {
		return cmp.Or(strings.Compare(key(a), key(b)), strings.Compare(a.Error, b.Error))
	}
	want, got = slices.SortedFunc(slices.Values(want), byKey), slices.SortedFunc(slices.Values(got), byKey)
	var out []string
	for len(want) > 0 || len(got) > 0 {
		switch {
		case len(got) == 0 || len(want) > 0 && key(want[0]) < key(got[0]):
			out = append(out, "missing: "+key(want[0]))
			want = want[1:]
		case len(want) == 0 || key(want[0]) > key(got[0]):
			out = append(out, fmt.Sprintf("not wanted: %s: %s", key(got[0]), got[0].Error))
			got = got[1:]
		default:
			if diff := gocmp.Diff(want[0], onlyWhere(want[0], got[0])); diff != "" {
				out = append(out, fmt.Sprintf("%s differs (-want +got):\n%s", key(want[0]), diff))
			}
			want, got = want[1:], got[1:]
		}
	}
	return strings.Join(shown(out), "\n")
}

// onlyWhere is got with those fields cleared that want leaves unset.
func onlyWhere(want, got flow.Failure) flow.Failure {
	clear := func(unset bool, f func()) {
		if unset {
			f()
		}
	}
	clear(want.Error == "", func() { got.Error = "" })
	clear(!want.Truncated, func() { got.Truncated = false })
	clear(want.Size == 0, func() { got.Size = 0 })
	clear(want.SHA256 == "", func() { got.SHA256 = "" })
	clear(want.Format == "", func() { got.Format = "" })
	clear(want.Header == "", func() { got.Header = "" })
	clear(want.SourceTime == 0, func() { got.SourceTime = 0 })
	clear(want.DataCenter == "", func() { got.DataCenter = "" })
	clear(want.Tenant == "", func() { got.Tenant = "" })
	clear(want.Version == "", func() { got.Version = "" })
	return got
}

// EqualCounts asserts the sums of a PCollection<flow.Count> by "stage/name", for example
// {"parse/read": 100}. A count that is not named must be zero.
func EqualCounts(s beam.Scope, counts beam.PCollection, want map[string]int64) {
	s = s.Scope("flowtest.EqualCounts")
	beam.ParDo0(s, &equalCountsFn{Want: want}, beam.Impulse(s), beam.SideInput{Input: counts})
}

type equalCountsFn struct{ Want map[string]int64 }

func (f *equalCountsFn) ProcessElement(_ []byte, counts func(*flow.Count) bool) error {
	got := map[string]int64{}
	for c := (flow.Count{}); counts(&c); {
		got[c.Stage+"/"+c.Name] += c.N
	}
	want := map[string]int64{}
	for k, n := range f.Want {
		if n != 0 {
			want[k] = n
		}
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		return fmt.Errorf("flowtest.EqualCounts: the counts differ (-want +got):\n%s", diff)
	}
	return nil
}
