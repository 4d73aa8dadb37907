package parse

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"github.com/flowbeam/flowbeam/flow"
)

func init() { flow.RegisterStep("parse_test.rule", new(ruleStep)) }

// ruleStep drops the user "drop" and refuses the user "refuse".
type ruleStep struct{}

func (*ruleStep) Setup(context.Context) error { return nil }

func (*ruleStep) Process(r *flow.Record) (bool, error) {
	switch r.UserID {
	case "refuse":
		r.UserID = "changed before the refusal"
		return true, flow.Reject(flow.ReasonTimeRange, "too far in the future")
	case "fail":
		return false, fmt.Errorf("plain error")
	}
	return r.UserID != "drop", nil
}

func newFn(t testing.TB, f parseFn) *parseFn {
	t.Helper()
	if f.MaxBytes == 0 {
		f.MaxBytes = defaultMaxBytes
	}
	if err := f.Setup(context.Background()); err != nil {
		t.Fatal(err)
	}
	return &f
}

func rawBatch(format string, lines ...string) flow.RawBatch {
	b := flow.RawBatch{Origin: flow.Origin{Source: "in", Format: format, DataCenter: "dc1", Tenant: "t1"}, Watermark: 42}
	offset := int64(0)
	for _, l := range lines {
		b.Records = append(b.Records, flow.Raw{Data: []byte(l), Offset: flow.N(offset), Time: 1000})
		offset += int64(len(l)) + 1
	}
	return b
}

func user(name string) string { return strings.Replace(canopusLine, "user12345", name, 1) }

func TestParseStampsWhatTheSourceKnows(t *testing.T) {
	in := rawBatch("canopus", canopusLine)
	in.Origin.Partition = flow.N(3)
	in.Records[0].DataCenter = "dc2"
	out, bad := newFn(t, parseFn{Revision: 7, KeepOriginal: true}).parse(&in)
	if len(bad) != 0 || len(out.Records) != 1 || out.Watermark != 42 {
		t.Fatalf("%v %v", out, bad)
	}
	r := out.Records[0]
	if r.Format != "canopus" || r.Position != in.Position(0) || r.Received != 1000 || r.DataCenter != "dc2" ||
		r.Tenant != "t1" || r.Revision != 7 || r.Original != canopusLine {
		t.Errorf("%+v", r)
	}
}

func TestIDIsThatOfTheRawBytes(t *testing.T) {
	in := rawBatch("canopus", canopusLine, " "+canopusLine+" \r\n", user("other"))
	out, _ := newFn(t, parseFn{}).parse(&in)
	if out.Records[0].ID != flow.NewID("canopus", []byte(canopusLine)) {
		t.Error("not the hash of the line")
	}
	if out.Records[0].ID != out.Records[1].ID {
		t.Error("white space at the ends changed the id")
	}
	if out.Records[0].ID == out.Records[2].ID {
		t.Error("two records, one id")
	}
}

func TestStepsSeeTheOriginalBytes(t *testing.T) {
	f := newFn(t, parseFn{Steps: flow.EncodeSteps([]flow.Step{new(ruleStep)})})
	in := rawBatch("canopus", user("keep"), user("drop"), user("refuse"), user("fail"))
	in.Origin.Header = "h"
	out, bad := f.parse(&in)
	if len(out.Records) != 1 || out.Records[0].UserID != "keep" || len(bad) != 2 {
		t.Fatalf("%d records, %v", len(out.Records), bad)
	}
	want := flow.Failure{
		Stage: "parse_test.rule", Reason: flow.ReasonTimeRange, Error: "too far in the future", Data: user("refuse"),
		Size: int64(len(user("refuse"))), Format: "canopus", Header: "h", Position: in.Position(2), SourceTime: 1000,
		DataCenter: "dc1", Tenant: "t1", Version: flow.Version,
	}
	if bad[0] != want {
		t.Errorf("\n got %+v\nwant %+v", bad[0], want)
	}
	if bad[1].Reason != flow.ReasonStep {
		t.Errorf("reason %q", bad[1].Reason)
	}
	if f.n != (tally{read: 4, failed: 2, filtered: 1}) {
		t.Errorf("%+v", f.n)
	}
}

func TestARecordLeavesNothingInTheNext(t *testing.T) {
	in := rawBatch("canopus", strings.Replace(canopusLine, `"external_loss":0.05`, `"extra":1,"external_loss":2`, 1),
		`{"timestamp":"2024-09-05T10:15:00Z","client_ip":"1.2.3.4","server_ip":"1.2.3.5"}`)
	out, bad := newFn(t, parseFn{}).parse(&in)
	if len(out.Records) != 1 || len(bad) != 1 {
		t.Fatal(out, bad)
	}
	if r := out.Records[0]; r.UserID != "" || r.RTTInternal.OK || r.Extensions != nil || r.Source.Bytes.OK {
		t.Errorf("%+v", r)
	}
}

func TestOversize(t *testing.T) {
	in := rawBatch("canopus", strings.Repeat("x", 5000), "prefix", canopusLine)
	in.Records[1].Oversize, in.Records[1].Size, in.Records[1].SHA256 = true, 1<<30, "abc"
	out, bad := newFn(t, parseFn{MaxBytes: 4500}).parse(&in)
	if len(out.Records) != 1 || len(bad) != 2 {
		t.Fatal(out, bad)
	}
	if f := bad[0]; f.Reason != flow.ReasonOversize || !f.Truncated || f.Size != 5000 || len(f.Data) != oversizePrefix || len(f.SHA256) != 64 {
		t.Errorf("found here: %+v", f)
	}
	if f := bad[1]; f.Reason != flow.ReasonOversize || !f.Truncated || f.Size != 1<<30 || f.Data != "prefix" || f.SHA256 != "abc" {
		t.Errorf("found by the source: %+v", f)
	}
}

func TestFormatIsDetectedOrNamed(t *testing.T) {
	for _, c := range []struct {
		name, format, line string
		reason             flow.Reason
		text               string
	}{
		{"detected from the first record", "", canopusLine, "", ""},
		{"nothing fits", "", "hello", flow.ReasonFormat, "declare one of"},
		{"unknown name", "nosuch", canopusLine, flow.ReasonFormat, "canopus"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFn(t, parseFn{})
			in := rawBatch(c.format, "", c.line, " ")
			out, bad := f.parse(&in)
			if f.n.read != 1 {
				t.Errorf("read %d: blank lines are none", f.n.read)
			}
			if c.reason == "" {
				if len(out.Records) != 1 || out.Records[0].Format != "canopus" {
					t.Fatal(out, bad)
				}
				return
			}
			if len(bad) != 1 || bad[0].Reason != c.reason || !strings.Contains(bad[0].Error, c.text) {
				t.Fatalf("%+v", bad)
			}
		})
	}
}

func TestInputIsNotChanged(t *testing.T) {
	in := rawBatch("canopus", canopusLine, "{")
	newFn(t, parseFn{}).parse(&in)
	want := rawBatch("canopus", canopusLine, "{")
	for i := range in.Records {
		if string(in.Records[i].Data) != string(want.Records[i].Data) {
			t.Errorf("record %d is now %q", i, in.Records[i].Data)
		}
	}
}

func TestRecordsOnPrism(t *testing.T) {
	p, s := beam.NewPipelineWithRoot()
	raw := beam.CreateList(s, []flow.RawBatch{
		rawBatch("canopus", canopusLine, user("drop"), user("refuse"), "{", ""),
		rawBatch("", canopusLine),
	})
	batches, failures, counts := Records(s, raw, Then(new(ruleStep)))
	passert.Count(s, beam.ParDo(s, recordUsers, batches), "users", 2)
	passert.Equals(s, beam.ParDo(s, failureReasons, failures), "parse/syntax", "parse_test.rule/time_range")
	passert.Equals(s, beam.ParDo(s, countNames, counts), "parse/read=5", "parse/skipped=1", "parse/failed=2", "parse/filtered=1")
	ptest.RunAndValidate(t, p)
}

func init() {
	beam.RegisterFunction(recordUsers)
	beam.RegisterFunction(failureReasons)
	beam.RegisterFunction(countNames)
}

func recordUsers(b flow.Batch, emit func(string)) {
	for i := range b.Records {
		emit(b.Records[i].UserID)
	}
}

func failureReasons(b flow.FailureBatch, emit func(string)) {
	for _, f := range b.Failures {
		emit(f.Stage + "/" + string(f.Reason))
	}
}

func countNames(c flow.Count, emit func(string)) { emit(fmt.Sprintf("%s/%s=%d", c.Stage, c.Name, c.N)) }

func TestWrongOptionsPanic(t *testing.T) {
	for name, opt := range map[string]Option{"MaxBytes": MaxBytes(0), "Revision": Revision(-1)} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if s, _ := recover().(string); !strings.HasPrefix(s, "parse.Records: "+name) {
					t.Errorf("panic %q", s)
				}
			}()
			_, s := beam.NewPipelineWithRoot()
			Records(s, beam.CreateList(s, []flow.RawBatch{{}}), opt)
		})
	}
}
