package job

import (
	"context"
	"slices"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/flowbeam/flowbeam/flow"
)

func init() {
	flow.RegisterStep("unstored", &unstored{})
	flow.RegisterStep("on_time", &onTime{})
	flow.RegisterStep("observed_once", &observedOnce{})
	beam.RegisterDoFn(&touchedFn{})
	register.Emitter1[string]()
}

// unstored keeps the records of units that had none stored when the run began.
type unstored struct {
	Unit   time.Duration
	Stored []flow.Time // sorted
}

func (*unstored) Setup(context.Context) error { return nil }

func (u *unstored) Process(r *flow.Record) (bool, error) {
	_, stored := slices.BinarySearch(u.Stored, r.EventTime.Truncate(u.Unit))
	return !stored, nil
}

// onTime clears the mark of lateness: a batch run over stored records has them all.
type onTime struct{}

func (*onTime) Setup(context.Context) error { return nil }

func (*onTime) Process(r *flow.Record) (bool, error) {
	r.Late = false
	return true, nil
}

// observedOnce leaves out what another observer said already: it is stored, marked, but
// would be counted twice.
type observedOnce struct{}

func (*observedOnce) Setup(context.Context) error { return nil }

func (*observedOnce) Process(r *flow.Record) (bool, error) { return r.Observation != "duplicate", nil }

// touchedFn turns a touched bucket of a stored unit into all buckets of that unit.
type touchedFn struct {
	Unit, Bucket int64 // ns
	Stored       []flow.Time
	All          bool // also of units that had none stored when the run began
}

func (f *touchedFn) ProcessElement(bucket string, emit func(string)) error {
	t, err := parseTime(bucket)
	if err != nil || t == 0 {
		return nil // records without a time are in no window
	}
	unit := t.Truncate(time.Duration(f.Unit))
	if _, stored := slices.BinarySearch(f.Stored, unit); !stored && !f.All {
		return nil
	}
	for b := unit; b < unit.Add(time.Duration(f.Unit)); b = b.Add(time.Duration(f.Bucket)) {
		emit(b.Std().Format(time.RFC3339))
	}
	return nil
}
