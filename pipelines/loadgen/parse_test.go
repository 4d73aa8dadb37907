package main

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/loadgen"
	"github.com/flowbeam/flowbeam/transforms/parse"
	"github.com/flowbeam/flowbeam/windowing"
)

func TestMain(m *testing.M) { ptest.Main(m) }

func init() {
	beam.RegisterDoFn(&foundFn{})
	beam.RegisterDoFn(&failedFn{})
	beam.RegisterDoFn(&countFn{})
}

// found is what the parser made of the lines. The runner runs in this process.
var found struct {
	sync.Mutex
	truth loadgen.Truth
	ids   map[flow.ID]bool
	fails []flow.Failure
}

type foundFn struct{}

func (*foundFn) ProcessElement(b flow.Batch) {
	found.Lock()
	defer found.Unlock()
	for i := range b.Records {
		r := &b.Records[i]
		for _, n := range found.truth.Of(r.DataCenter, r.Format) {
			n.Read++
			if found.ids[r.ID] {
				n.Duplicates++
				continue
			}
			n.Unique++
			n.SourceBytes += r.Source.Bytes.Or(0)
			n.DestinationBytes += r.Destination.Bytes.Or(0)
			n.SourcePackets += r.Source.Packets.Or(0)
			n.DestinationPackets += r.Destination.Packets.Or(0)
		}
		if found.ids[r.ID] {
			continue
		}
		found.ids[r.ID] = true
		name := r.EventTime.Truncate(time.Minute).String()
		m := found.truth.ByMinute[name]
		if m == nil {
			m = &loadgen.Minute{}
			found.truth.ByMinute[name] = m
		}
		m.Flows++
		m.SourceBytes += r.Source.Bytes.Or(0)
		m.DestinationBytes += r.Destination.Bytes.Or(0)
	}
}

type failedFn struct{}

func (*failedFn) ProcessElement(b flow.FailureBatch) {
	found.Lock()
	defer found.Unlock()
	for _, f := range b.Failures {
		found.truth.DeadLetter(f.DataCenter, f.Format, "", f.Reason)
		found.fails = append(found.fails, f)
	}
}

type countFn struct{}

func (*countFn) ProcessElement(c flow.Count) {
	found.Lock()
	defer found.Unlock()
	if c.Name == "gaps" { // of the totals; which stream they are of is not known here
		found.truth.Gaps += c.N
		found.truth.Read += c.N
	}
}

// The truth is held to what the parser makes of the lines: every number, every reason.
func TestTheParserFindsTheTruth(t *testing.T) {
	c := loadgen.Default()
	c.Records, c.Broken, c.Oversize, c.Gaps = 6_000, 0.05, 3, 0.01
	c.DataCenters, c.Formats = []string{"fra", "iad"}, loadgen.Formats()
	for _, addresses := range []string{loadgen.Public, loadgen.Documentation} {
		t.Run(addresses, func(t *testing.T) {
			c.Addresses = addresses
			batches, truth := rawBatches(t, c)
			found.truth, found.ids, found.fails = loadgen.NewTruth(), map[flow.ID]bool{}, nil
			p, s := beam.NewPipelineWithRoot()
			records, failures, counts := parse.Records(s, beam.CreateList(s, batches), parse.Then(windowing.FileBounds(flow.TimeOf(time.Now()))))
			beam.ParDo0(s, &foundFn{}, records)
			beam.ParDo0(s, &failedFn{}, failures)
			beam.ParDo0(s, &countFn{}, counts)
			ptest.RunAndValidate(t, p)

			if d := cmp.Diff(truth.Totals, found.truth.Totals); d != "" {
				t.Errorf("totals (-truth +parsed):\n%s", d)
			}
			for name, n := range truth.ByFormat {
				got := *found.truth.ByFormat[name]
				got.Gaps, got.Read = n.Gaps, got.Read+n.Gaps
				if d := cmp.Diff(*n, got); d != "" {
					t.Errorf("%s (-truth +parsed):\n%s", name, d)
				}
			}
			if d := cmp.Diff(truth.ByMinute, found.truth.ByMinute); d != "" {
				t.Errorf("minutes (-truth +parsed):\n%s", d)
			}
			if t.Failed() {
				for _, f := range found.fails {
					t.Logf("%s %s: %s: %.100q", f.Format, f.Reason, f.Error, f.Data)
				}
			}
		})
	}
}

// rawBatches makes all lines, cut as a source cuts them.
func rawBatches(t *testing.T, c loadgen.Config) ([]flow.RawBatch, loadgen.Truth) {
	t.Helper()
	g, err := loadgen.New(c)
	if err != nil {
		t.Fatal(err)
	}
	streams := g.Streams()
	batches := make([]flow.RawBatch, len(streams))
	for i, s := range streams {
		header, _ := loadgen.Header(s.Format)
		batches[i].Origin = flow.Origin{Source: fmt.Sprintf("stream %d", i), Format: s.Format, Header: header, DataCenter: s.DataCenter}
	}
	for l, ok := g.Next(); ok; l, ok = g.Next() {
		b := &batches[l.Stream]
		b.Records = append(b.Records, flow.Raw{Data: []byte(strings.TrimSuffix(string(l.Data), "\n")), Offset: flow.N(int64(len(b.Records)))})
	}
	return batches, g.Truth()
}
