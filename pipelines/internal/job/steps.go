package job

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/graphx"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"google.golang.org/protobuf/proto"
)

// Step is a transform of a graph as the replacement of a running job sees it: by its name the state
// of the old one is found, and by its coders read.
// Source: https://cloud.google.com/dataflow/docs/guides/updating-a-pipeline
type Step struct {
	Name   string   `json:"name"`
	URN    string   `json:"urn"`
	Coders []string `json:"coders,omitempty"` // of what goes out, and of its state
}

// Steps are those of the graph that arguments of the program make, by name. Nothing is started.
func (p *Program) Steps(args []string) (steps []Step, problems []error) {
	// Files and secrets are where the workers are, so options are checked as far as transforms check
	// theirs, by a panic.
	defer func() {
		if r := recover(); r != nil {
			steps, problems = nil, []error{fmt.Errorf("%v", r)}
		}
	}()
	o := Defaults()
	_, problems = o.Parse(args, func(string) (bool, bool) { return false, true })
	o.Runner, o.offline = dataflowRunner, true
	o.validateElsewhere(func(flag string, err error) { problems = append(problems, fmt.Errorf("%s: %w", flag, err)) })
	if len(problems) > 0 {
		return nil, problems
	}
	pipeline, scope := beam.NewPipelineWithRoot()
	input := (*Options).Read
	if p.Input != nil {
		input = p.Input
	}
	in, err := input(o, scope)
	if err == nil {
		err = o.Build(scope, in, time.Now(), totals{o.Output, "_runs/run.json"})
	}
	if err != nil {
		return nil, []error{err}
	}
	if steps, err = stepsOf(pipeline); err != nil {
		return nil, []error{err}
	}
	return steps, nil
}

func stepsOf(pipeline *beam.Pipeline) ([]Step, error) {
	edges, _, err := pipeline.Build()
	if err != nil {
		return nil, err
	}
	environment, err := graphx.CreateEnvironment(context.Background(), graphx.URNEnvDocker, func(context.Context) string { return "image" })
	if err != nil {
		return nil, err
	}
	model, err := graphx.Marshal(edges, &graphx.Options{Environment: environment})
	if err != nil {
		return nil, err
	}
	c := model.GetComponents()
	var steps []Step
	for _, t := range c.GetTransforms() {
		if t.GetSpec().GetUrn() == "" { // a scope
			continue
		}
		s := Step{Name: t.GetUniqueName(), URN: t.GetSpec().GetUrn()}
		for _, out := range t.GetOutputs() {
			s.Coders = append(s.Coders, coder(c, c.GetPcollections()[out].GetCoderId()))
		}
		s.Coders = append(s.Coders, states(c, t.GetSpec())...)
		slices.Sort(s.Coders)
		steps = append(steps, s)
	}
	slices.SortFunc(steps, func(a, b Step) int { return cmp.Compare(a.Name, b.Name) })
	return steps, nil
}

// coder is a coder as a text: its kind and those within it; of one that is Go's own a hash of what
// it encodes.
func coder(c *pipepb.Components, id string) string {
	k := c.GetCoders()[id]
	name := strings.TrimSuffix(strings.TrimPrefix(k.GetSpec().GetUrn(), "beam:coder:"), ":v1")
	if p := k.GetSpec().GetPayload(); len(p) > 0 {
		sum := sha256.Sum256(p)
		name += "#" + hex.EncodeToString(sum[:4])
	}
	var inner []string
	for _, i := range k.GetComponentCoderIds() {
		inner = append(inner, coder(c, i))
	}
	if len(inner) == 0 {
		return name
	}
	return name + "<" + strings.Join(inner, ",") + ">"
}

// Changes are what keeps a running job from being replaced by another graph: steps that are gone
// and have no successor in the mapping of old names to new ones, steps whose kind or coders are
// others, and names in the mapping that are of neither graph.
func Changes(old, next []Step, mapping map[string]string) (problems []error) {
	find := func(list []Step, name string) *Step {
		if i := slices.IndexFunc(list, func(s Step) bool { return s.Name == name }); i >= 0 {
			return &list[i]
		}
		return nil
	}
	for from, to := range mapping {
		if find(old, from) == nil {
			problems = append(problems, fmt.Errorf("the mapping names %s, which the running job has not", from))
		}
		if to != "" && find(next, to) == nil {
			problems = append(problems, fmt.Errorf("the mapping names %s, which the new graph has not", to))
		}
	}
	for _, s := range old {
		name := s.Name
		if to, ok := mapping[s.Name]; ok {
			if to == "" {
				continue // it is meant to go
			}
			name = to
		}
		switch n := find(next, name); {
		case n == nil:
			problems = append(problems, fmt.Errorf("%s is gone: map it to its successor, or to nothing where its state may be lost", s.Name))
		case n.URN != s.URN:
			problems = append(problems, fmt.Errorf("%s was %s and is %s", s.Name, s.URN, n.URN))
		case !slices.Equal(n.Coders, s.Coders):
			problems = append(problems, fmt.Errorf("%s: coders were %v and are %v", s.Name, s.Coders, n.Coders))
		}
	}
	return problems
}

// states are the coders of what a step keeps, by name.
func states(c *pipepb.Components, spec *pipepb.FunctionSpec) (out []string) {
	var p pipepb.ParDoPayload
	if spec.GetUrn() != graphx.URNParDo || proto.Unmarshal(spec.GetPayload(), &p) != nil {
		return nil
	}
	for name, s := range p.GetStateSpecs() {
		id := cmp.Or(s.GetReadModifyWriteSpec().GetCoderId(), s.GetBagSpec().GetElementCoderId())
		out = append(out, "state "+name+" "+coder(c, id))
	}
	for name, f := range p.GetTimerFamilySpecs() {
		out = append(out, "timer "+name+" "+coder(c, f.GetTimerFamilyCoderId()))
	}
	return out
}
