package flowtest

import (
	"slices"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"github.com/flowbeam/flowbeam/flow"
)

func TestRecordsAreDeterministicAndDistinct(t *testing.T) {
	a, b := Records(1000, 7), Records(1000, 7)
	if diff := DiffRecords(a, b); diff != "" {
		t.Errorf("one seed, two results: %s", diff)
	}
	ids := map[flow.ID]bool{}
	for _, r := range append(a, Records(1000, 8)...) {
		ids[r.ID] = true
		if r.CommunityID == "" || r.EventTime == 0 || r.EventTime != r.End {
			t.Fatalf("not a sensible record: %+v", r)
		}
	}
	if len(ids) != 2000 {
		t.Errorf("%d ids of 2000 records", len(ids))
	}
	if Record().ID == Record(User("other")).ID {
		t.Error("records that differ have one id")
	}
}

func TestDiffRecordsNamesWhatDiffers(t *testing.T) {
	rs := Records(3, 1)
	changed := slices.Clone(rs)
	changed[1].UserID = "mallory"
	for _, c := range []struct {
		name      string
		want, got []flow.Record
		says      []string // none: equal
	}{
		{"another order", rs, []flow.Record{rs[2], rs[0], rs[1]}, nil},
		{"an empty list for none", []flow.Record{{Source: flow.Endpoint{Labels: []flow.Label{}}}}, []flow.Record{{}}, nil},
		{"one is missing", rs, rs[:2], []string{"want 3 records, got 2; 1 differ", rs[2].ID.String() + " is missing"}},
		{"one too many", rs[:1], rs[:2], []string{rs[1].ID.String() + " is not wanted: "}},
		{"one twice", rs[:1], []flow.Record{rs[0], rs[0]}, []string{"more than 1 times"}},
		{"one field", rs, changed, []string{rs[1].ID.String() + " differs", "mallory"}},
		{"absent is not zero", []flow.Record{{}}, []flow.Record{{RTTInternal: flow.N(0)}}, []string{"RTTInternal"}},
		{"nothing where something is wanted", rs, nil, []string{"got 0; 3 differ"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			diff := DiffRecords(c.want, c.got)
			if (diff == "") != (c.says == nil) {
				t.Errorf("got %q", diff)
			}
			for _, s := range c.says {
				if !strings.Contains(diff, s) {
					t.Errorf("got %q, want it to say %q", diff, s)
				}
			}
		})
	}
}

func TestEqualOnARunner(t *testing.T) {
	rs := Records(5, 1)
	run := func(assert func(beam.Scope, beam.PCollection), batches ...any) error {
		p, s := beam.NewPipelineWithRoot()
		assert(s, beam.Create(s, batches...))
		return ptest.Run(p)
	}
	equal := func(want []flow.Record) func(beam.Scope, beam.PCollection) {
		return func(s beam.Scope, c beam.PCollection) { Equal(s, c, want) }
	}
	if err := run(equal(rs), flow.Batch{Records: rs[3:]}, flow.Batch{}, flow.Batch{Records: rs[:3]}); err != nil {
		t.Errorf("other cuts: %v", err)
	}
	if err := run(equal(rs), flow.Batch{Records: rs[1:]}); err == nil || !strings.Contains(err.Error(), rs[0].ID.String()) {
		t.Errorf("a record is missing: got %v", err)
	}
	if err := run(equal(nil), flow.Batch{}); err != nil {
		t.Errorf("nothing wanted, nothing there: %v", err)
	}

	letter := flow.Failure{Stage: "parse", Reason: flow.ReasonSyntax, Data: "\xff{", Error: "unexpected end", Version: flow.Version, Size: 2}
	failures := func(want ...flow.Failure) func(beam.Scope, beam.PCollection) {
		return func(s beam.Scope, c beam.PCollection) { EqualFailures(s, c, want) }
	}
	if err := run(failures(flow.Failure{Stage: "parse", Reason: flow.ReasonSyntax, Data: "\xff{"}), flow.FailureBatch{Failures: []flow.Failure{letter}}); err != nil {
		t.Errorf("fields that are not wanted: %v", err)
	}
	for name, want := range map[string]flow.Failure{
		"another reason": {Stage: "parse", Reason: flow.ReasonValue, Data: "\xff{"},
		"another error":  {Stage: "parse", Reason: flow.ReasonSyntax, Data: "\xff{", Error: "other"},
		"other data":     {Stage: "parse", Reason: flow.ReasonSyntax, Data: "\xfe{"},
	} {
		if err := run(failures(want), flow.FailureBatch{Failures: []flow.Failure{letter}}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}

	counts := func(want map[string]int64) func(beam.Scope, beam.PCollection) {
		return func(s beam.Scope, c beam.PCollection) { EqualCounts(s, c, want) }
	}
	c1, c2 := flow.Count{Stage: "parse", Name: "read", N: 2}, flow.Count{Stage: "parse", Name: "read", N: 3}
	if err := run(counts(map[string]int64{"parse/read": 5, "parse/gaps": 0}), c1, c2); err != nil {
		t.Errorf("sum of counts: %v", err)
	}
	if err := run(counts(nil), c1); err == nil {
		t.Error("a count that is not named: accepted")
	}
}
