package parse_test

import (
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/transforms/parse"
)

func init() {
	beam.RegisterFunction(printRecords)
	beam.RegisterFunction(printFailures)
}

func printRecords(b flow.Batch) {
	for _, r := range b.Records {
		fmt.Println(r.Format, r.EventTime, r.UserID, r.Source.IP, "->", r.Destination.IP, r.Source.Bytes.V, r.Destination.Bytes.V)
	}
}

func printFailures(b flow.FailureBatch) {
	for _, f := range b.Failures {
		fmt.Println(f.Stage, f.Reason, f.Error)
	}
}

func ExampleRecords() {
	p, s := beam.NewPipelineWithRoot()
	raw := beam.CreateList(s, []flow.RawBatch{{
		Origin: flow.Origin{Source: "probe.ndjson", Format: "canopus"},
		Records: []flow.Raw{
			{Data: []byte(`{"timestamp":"2026-01-15T12:00:00Z","user_id":"u1","client_ip":"10.1.0.5","server_ip":"203.0.113.10","upload_bytes":200,"download_bytes":1000}`)},
			{Data: []byte(`{"timestamp":"2026-01-15T12:00:01Z","user_id":"u2","client_ip":"10.1.0.6","server_ip":"203.0.113.10","upload_bytes":-1}`)},
		},
	}})
	records, deadLetters, _ := parse.Records(s, raw)
	beam.ParDo0(s, printRecords, records)
	beam.ParDo0(s, printFailures, deadLetters)
	if err := ptest.Run(p); err != nil {
		fmt.Println(err)
	}
	// Unordered output:
	// canopus 2026-01-15T12:00:00Z u1 10.1.0.5 -> 203.0.113.10 200 1000
	// parse value upload_bytes: "-1" is not between 0 and 2^63-1
}
