package flow_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/flowtest"
)

// ruleStep drops, refuses, breaks and marks by user.
type ruleStep struct {
	Drop, Refuse, Break, Mark string

	started, finished int
}

func init() {
	flow.RegisterStep("flow_test.rule", new(ruleStep))
	flow.RegisterStep("flow_test.setup", new(setupStep))
}

func (s *ruleStep) Setup(context.Context) error        { return nil }
func (s *ruleStep) StartBundle(context.Context) error  { s.started++; return nil }
func (s *ruleStep) FinishBundle(context.Context) error { s.finished++; return nil }
func (s *ruleStep) Process(r *flow.Record) (bool, error) {
	if s.started != s.finished+1 {
		return false, errors.New("not within a bundle")
	}
	r.Tenant = "touched" // also what is then dropped or refused
	switch r.UserID {
	case s.Drop:
		return false, nil
	case s.Refuse:
		return true, flow.Reject("denied", "user %s is not served", r.UserID)
	case s.Break:
		return true, fmt.Errorf("lookup: %w", errors.New("line 1\nline 2"))
	case s.Mark:
		r.Source.Labels = append(r.Source.Labels, flow.Label{Name: "mark", Value: "1"})
		if len(r.Extensions) > 0 {
			r.Extensions[0].Text = "changed"
		}
	}
	return true, nil
}

// setupStep fails to set up.
type setupStep struct{ Path string }

func (s *setupStep) Setup(context.Context) error                 { return fmt.Errorf("open %s: not found", s.Path) }
func (s *setupStep) Process(*flow.Record) (keep bool, err error) { return true, nil }

// fiveUsers is a batch of the users keep, drop, refuse, break and mark.
func fiveUsers() flow.Batch {
	b := flow.Batch{Watermark: 12345}
	for _, u := range []string{"keep", "drop", "refuse", "break", "mark"} {
		b.Records = append(b.Records, flowtest.Record(flowtest.User(u), func(r *flow.Record) {
			r.Source.Labels = make([]flow.Label, 1, 8) // room that an append would write into
			r.Extensions = []flow.Extension{flow.Ext("was", "before")}
		}))
	}
	return b
}

func rule() *ruleStep {
	return &ruleStep{Drop: "drop", Refuse: "refuse", Break: "break", Mark: "mark"}
}

func touched(r flow.Record) flow.Record { r = r.Clone(); r.Tenant = "touched"; return r }

func TestApplyKeepsFiltersAndRefuses(t *testing.T) {
	in := fiveUsers()
	kept, marked := touched(in.Records[0]), touched(in.Records[4])
	marked.Source.Labels = append(marked.Source.Labels, flow.Label{Name: "mark", Value: "1"})
	marked.Extensions = []flow.Extension{flow.Ext("was", "changed")}

	p, s := beam.NewPipelineWithRoot()
	batches := beam.Create(s, in)
	got, failures, counts := flow.Apply(s, batches, rule(), &ruleStep{})
	flowtest.Equal(s, got, []flow.Record{kept, marked})
	refused, broken := in.Records[2], in.Records[3] // as they were before the Step
	flowtest.EqualFailures(s, failures, []flow.Failure{
		{Stage: "flow_test.rule", Reason: "denied", Error: "user refuse is not served", Format: flow.FormatRecord, Position: refused.Position,
			Data: string(flow.AppendRecordJSON(nil, &refused)), SourceTime: refused.Received, DataCenter: "dc1", Tenant: "tenant1", Version: flow.Version},
		{Stage: "flow_test.rule", Reason: flow.ReasonStep, Error: "lookup: line 1 line 2", Format: flow.FormatRecord, Position: broken.Position,
			Data: string(flow.AppendRecordJSON(nil, &broken))},
	})
	flowtest.EqualCounts(s, counts, map[string]int64{"steps/filtered": 1, "steps/failed": 2})
	flowtest.Equal(s, batches, in.Records) // a sibling sees what came in
	ptest.RunAndValidate(t, p)
}

func TestApplyLeavesTheSameEveryWay(t *testing.T) {
	flowtest.EveryWay(t, func(t *testing.T, way flowtest.Way) *flowtest.Effects {
		// The harness fails where the batch that came in, or one that went out, is changed.
		h := flowtest.NewHarness(t, flow.ApplyFnForTest(rule()), way)
		got := flowtest.Emitted[flow.Batch](h.Bundle(fiveUsers(), flow.Batch{}), 0)
		if len(got) != 1 || len(got[0].Records) != 2 || got[0].Watermark != 12345 {
			t.Errorf("got %d batches: %+v", len(got), got)
		}
		h.Bundle(fiveUsers())
		return h.Effects()
	})
}

func TestApplyFailsTheBundleWhereSetupFails(t *testing.T) {
	h := flowtest.NewHarness(t, flow.ApplyFnForTest(&setupStep{Path: "city.mmdb"}), flowtest.Once)
	if err := h.TryBundle(fiveUsers()); err == nil || !strings.Contains(err.Error(), "flow_test.setup: setup: open city.mmdb") {
		t.Errorf("got %v", err)
	}
}

func TestApplyPanicsOnAStepThatIsNotRegistered(t *testing.T) {
	type other struct{ setupStep }
	defer func() {
		if r := recover(); r == nil || !strings.Contains(fmt.Sprint(r), "flow.RegisterStep") {
			t.Errorf("got %v, want it to name flow.RegisterStep", r)
		}
	}()
	_, s := beam.NewPipelineWithRoot()
	flow.Apply(s, beam.Create(s, flow.Batch{}), &other{})
}

func TestExplodeAndCollectGiveTheSameRecords(t *testing.T) {
	records := flowtest.Records(2500, 3)
	p, s := beam.NewPipelineWithRoot()
	batches := beam.Create(s, flow.Batch{Records: records[:7]}, flow.Batch{}, flow.Batch{Records: records[7:]})
	flowtest.Equal(s, flow.Collect(s, flow.Explode(s, batches)), records)
	ptest.RunAndValidate(t, p)
}

func TestCollectCutsAtAThousandAndKeepsNothingOver(t *testing.T) {
	flowtest.EveryWay(t, func(t *testing.T, way flowtest.Way) *flowtest.Effects {
		h := flowtest.NewHarness(t, flow.CollectFnForTest(), way)
		var in []any
		for _, r := range flowtest.Records(1500, 1) {
			in = append(in, r)
		}
		got := flowtest.Emitted[flow.Batch](h.Bundle(in...), 0)
		if len(got) != 2 || len(got[0].Records) != 1000 || len(got[1].Records) != 500 {
			t.Errorf("got %d batches", len(got))
		}
		h.Bundle(in[:1]...)
		return h.Effects()
	})
}

// onlyTLS keeps the records of one application: a Step of one's own.
type onlyTLS struct{}

func init() { flow.RegisterStep("example.only_tls", new(onlyTLS)) }

func (*onlyTLS) Setup(context.Context) error { return nil }

func (*onlyTLS) Process(r *flow.Record) (keep bool, err error) {
	if !r.Destination.Port.OK {
		return false, flow.Reject(flow.ReasonField, "a record without a port")
	}
	return r.Destination.Port.V == 443, nil
}

func ExampleApply() {
	tls := flowtest.Record()
	ssh := flowtest.Record(func(r *flow.Record) { r.Destination.Port = flow.N(22) })
	none := flowtest.Record(func(r *flow.Record) { r.Destination.Port = flow.Int{} })

	p, s := beam.NewPipelineWithRoot()
	batches := beam.Create(s, flow.Batch{Records: []flow.Record{tls, ssh, none}})
	kept, _, counts := flow.Apply(s, batches, &onlyTLS{})
	flowtest.Equal(s, kept, []flow.Record{tls})
	flowtest.EqualCounts(s, counts, map[string]int64{"steps/filtered": 1, "steps/failed": 1})

	fmt.Println(ptest.Run(p))
	// Output: <nil>
}

func ExampleExplode() {
	records := flowtest.Records(3, 1)
	p, s := beam.NewPipelineWithRoot()
	single := flow.Explode(s, beam.Create(s, flow.Batch{Records: records})) // PCollection<flow.Record>
	flowtest.Equal(s, flow.Collect(s, single), records)
	fmt.Println(ptest.Run(p))
	// Output: <nil>
}
