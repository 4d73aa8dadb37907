package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

// Step is one thing done to every record: GeoIP, a prefix table, anonymisation, a user's
// own rule. Any number of Steps run in one ParDo with one copy of the batch.
//
// A Step is configuration until Setup, which runs on the worker and opens what Process
// needs. Exported fields travel to the worker as JSON; the type must be registered with
// [RegisterStep]. One value is used by one goroutine at a time, but many values exist in
// a process (a runner may set up a hundred), so what is large belongs in a process-wide
// cache keyed by the configuration.
type Step interface {
	// Setup opens what Process needs. An error fails the bundle, and the runner retries.
	Setup(ctx context.Context) error
	// Process changes the record in place. keep false drops the record, counted as
	// "filtered". An error makes it a dead letter, with the reason given by [Reject] or
	// ReasonStep; it never stops the job. Process must not keep r.
	Process(r *Record) (keep bool, err error)
}

// BundleStarter is implemented by a Step that has work to do before each bundle, such as
// looking whether a table changed.
type BundleStarter interface {
	StartBundle(ctx context.Context) error
}

// BundleFinisher is implemented by a Step that has work to do after each bundle, such as
// adding what it counted to Beam's counters at once.
type BundleFinisher interface {
	FinishBundle(ctx context.Context) error
}

// RegisterStep makes a Step's type known to workers. Call it in init with a pointer to
// the zero value, under a name that never changes: it is part of the pipeline.
func RegisterStep(name string, zero Step) {
	t := reflect.TypeOf(zero)
	if t == nil || t.Kind() != reflect.Pointer {
		panic(fmt.Sprintf("flow.RegisterStep: %q: want a pointer to a struct, have %T", name, zero))
	}
	if old, ok := stepTypes[name]; ok && old != t.Elem() {
		panic(fmt.Sprintf("flow.RegisterStep: %q is registered twice, as %v and %v", name, old, t.Elem()))
	}
	stepTypes[name], stepNames[t.Elem()] = t.Elem(), name
}

var (
	stepTypes = map[string]reflect.Type{}
	stepNames = map[reflect.Type]string{}
)

// StepSpec is a Step in the form that travels to workers.
type StepSpec struct {
	Name string
	JSON string
}

// EncodeSteps makes specs of Steps. It panics, as all wiring mistakes do, on a Step of a
// type that was not registered.
func EncodeSteps(steps []Step) []StepSpec {
	specs := make([]StepSpec, len(steps))
	for i, st := range steps {
		t := reflect.TypeOf(st)
		if t == nil || t.Kind() != reflect.Pointer || stepNames[t.Elem()] == "" {
			panic(fmt.Sprintf("flow: Step %T is not registered: call flow.RegisterStep(name, new(%T)) in init, with a pointer type", st, st))
		}
		b, err := json.Marshal(st)
		if err != nil {
			panic(fmt.Sprintf("flow: Step %T: %v", st, err))
		}
		specs[i] = StepSpec{Name: stepNames[t.Elem()], JSON: string(b)}
	}
	return specs
}

// Steps is a running list of Steps.
type Steps struct {
	steps []Step
	names []string
}

// SetupSteps makes Steps of their specs and sets them up.
func SetupSteps(ctx context.Context, specs []StepSpec) (*Steps, error) {
	s := &Steps{}
	for _, sp := range specs {
		t, ok := stepTypes[sp.Name]
		if !ok {
			return nil, fmt.Errorf("flow: Step %q is not registered in this worker's binary", sp.Name)
		}
		st := reflect.New(t).Interface().(Step)
		if err := json.Unmarshal([]byte(sp.JSON), st); err != nil {
			return nil, fmt.Errorf("flow: Step %s: %w", sp.Name, err)
		}
		if err := st.Setup(ctx); err != nil {
			return nil, fmt.Errorf("flow: Step %s: setup: %w", sp.Name, err)
		}
		s.steps, s.names = append(s.steps, st), append(s.names, sp.Name)
	}
	return s, nil
}

// StartBundle tells the Steps that want to know.
func (s *Steps) StartBundle(ctx context.Context) error {
	for i, st := range s.steps {
		if b, ok := st.(BundleStarter); ok {
			if err := b.StartBundle(ctx); err != nil {
				return fmt.Errorf("flow: Step %s: %w", s.names[i], err)
			}
		}
	}
	return nil
}

// FinishBundle tells the Steps that want to know.
func (s *Steps) FinishBundle(ctx context.Context) error {
	for i, st := range s.steps {
		if b, ok := st.(BundleFinisher); ok {
			if err := b.FinishBundle(ctx); err != nil {
				return fmt.Errorf("flow: Step %s: %w", s.names[i], err)
			}
		}
	}
	return nil
}

// Process runs the Steps over one record, which it changes. stage names the Step that
// dropped or refused it.
func (s *Steps) Process(r *Record) (keep bool, stage string, err error) {
	for i, st := range s.steps {
		if keep, err = st.Process(r); !keep || err != nil {
			return false, s.names[i], err
		}
	}
	return true, "", nil
}

// ReasonOf is the typed reason of an error: that of [Reject], or def.
func ReasonOf(err error, def Reason) Reason {
	var re *RejectError
	if errors.As(err, &re) {
		return re.Reason
	}
	return def
}

// FailRecord makes the dead letter of a record that was parsed and then refused. Its
// data is the record as JSON in the format "flowbeam", which a replay reads.
func FailRecord(r *Record, stage string, reason Reason, err error) Failure {
	data := string(AppendRecordJSON(nil, r))
	return Failure{
		Stage: stage, Reason: reason, Error: ErrorText(err), Data: data, Size: int64(len(data)),
		Format: FormatRecord, Position: r.Position, SourceTime: r.Received,
		DataCenter: r.DataCenter, Tenant: r.Tenant, Version: Version,
	}
}

// FormatRecord names the format of a record as one line of JSON, its columns by name.
const FormatRecord = "flowbeam"

// Apply runs Steps over a PCollection<flow.Batch>, any number of them as one ParDo with
// one copy of each batch. It returns the records that were kept (PCollection<flow.Batch>),
// the refused ones (PCollection<flow.FailureBatch>) and the counts (PCollection<flow.Count>:
// steps/filtered, steps/failed). Records keep their order and batch.
func Apply(s beam.Scope, batches beam.PCollection, steps ...Step) (kept, failures, counts beam.PCollection) {
	s = s.Scope("flow.Apply")
	return beam.ParDo3(s, &applyFn{Specs: EncodeSteps(steps)}, batches)
}

func init() {
	beam.RegisterDoFn(&applyFn{})
	register.Emitter1[Batch]()
	register.Emitter1[FailureBatch]()
	register.Emitter1[Count]()
}

type applyFn struct {
	Specs []StepSpec

	steps            *Steps
	filtered, failed int64
}

func (f *applyFn) Setup(ctx context.Context) (err error) {
	f.steps, err = SetupSteps(ctx, f.Specs)
	return err
}

func (f *applyFn) StartBundle(ctx context.Context, _ func(Batch), _ func(FailureBatch), _ func(Count)) error {
	f.filtered, f.failed = 0, 0
	return f.steps.StartBundle(ctx)
}

func (f *applyFn) ProcessElement(_ context.Context, in Batch, emit func(Batch), fail func(FailureBatch), _ func(Count)) error {
	out := Batch{Records: make([]Record, 0, len(in.Records)), Watermark: in.Watermark}
	var bad []Failure
	for i := range in.Records {
		out.Records = append(out.Records, in.Records[i])
		r := &out.Records[len(out.Records)-1]
		// A Step may change a label in place, or append to room that a fused sibling
		// appends to as well.
		r.ownLists()
		keep, stage, err := f.steps.Process(r)
		if keep {
			continue
		}
		if err != nil {
			bad = append(bad, FailRecord(&in.Records[i], stage, ReasonOf(err, ReasonStep), err))
		} else {
			f.filtered++
		}
		out.Records = out.Records[:len(out.Records)-1]
	}
	if len(out.Records) > 0 {
		emit(out)
	}
	if len(bad) > 0 {
		f.failed += int64(len(bad))
		fail(FailureBatch{Failures: bad})
	}
	return nil
}

func (f *applyFn) FinishBundle(ctx context.Context, _ func(Batch), _ func(FailureBatch), count func(Count)) error {
	EmitCount(count, "steps", "filtered", f.filtered)
	EmitCount(count, "steps", "failed", f.failed)
	return f.steps.FinishBundle(ctx)
}

// EmitCount emits a Count unless it is zero.
func EmitCount(emit func(Count), stage, name string, n int64) {
	if n != 0 {
		emit(Count{Stage: stage, Name: name, N: n})
	}
}
