package parse_test

import (
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/transforms/parse"
)

func init() {
	parse.Register(parse.Format{
		FormatInfo: flow.FormatInfo{Name: "spaced"},
		New:        func(header string) (parse.Decoder, error) { return spacedDecoder{}, nil },
	})
	beam.RegisterFunction(printSpaced)
}

// spacedDecoder reads a format of one's own: epoch seconds, source, destination, bytes.
type spacedDecoder struct{}

func (spacedDecoder) Decode(data string, r *flow.Record) (parse.Outcome, error) {
	var start, sent int64
	var source, destination string
	switch n, _ := fmt.Sscan(data, &start, &source, &destination, &sent); n {
	case 0:
		return parse.Skip, nil
	case 4:
	default:
		return parse.Parsed, flow.Reject(flow.ReasonSyntax, "%d columns, want 4", n)
	}
	var err error
	if r.Source.IP, err = flow.ParseIP(source); err != nil {
		return parse.Parsed, flow.Reject(flow.ReasonField, "source: %w", err)
	}
	if r.Destination.IP, err = flow.ParseIP(destination); err != nil {
		return parse.Parsed, flow.Reject(flow.ReasonField, "destination: %w", err)
	}
	r.EventTime, r.Source.Bytes = flow.Time(start*1e9), flow.N(sent)
	return parse.Parsed, nil
}

func printSpaced(b flow.Batch) {
	for _, r := range b.Records {
		fmt.Println(r.Format, r.EventTime, r.Source.IP, "->", r.Destination.IP, r.Source.Bytes.V)
	}
}

func ExampleRegister() {
	p, s := beam.NewPipelineWithRoot()
	records, _, _ := parse.Records(s, beam.CreateList(s, []flow.RawBatch{{
		Origin:  flow.Origin{Format: "spaced"},
		Records: []flow.Raw{{Data: []byte("1768478400 10.0.0.1 192.0.2.1 1500")}},
	}}))
	beam.ParDo0(s, printSpaced, records)
	if err := ptest.Run(p); err != nil {
		fmt.Println(err)
	}
	// Output:
	// spaced 2026-01-15T12:00:00Z 10.0.0.1 -> 192.0.2.1 1500
}
