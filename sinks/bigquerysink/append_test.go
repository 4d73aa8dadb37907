package bigquerysink

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/bigquery/storage/apiv1/storagepb"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/flowtest"
	"github.com/flowbeam/flowbeam/internal/dataset"
)

// countsOf are the counts of a sink's effects, and its dead letters.
func countsOf(e *flowtest.Effects) (map[string]int64, []flow.Failure) {
	counts := map[string]int64{}
	for _, c := range flowtest.Emitted[flow.Count](e, 1) {
		counts[c.Name] += c.N
	}
	var failures []flow.Failure
	for _, b := range flowtest.Emitted[flow.FailureBatch](e, 0) {
		failures = append(failures, b.Failures...)
	}
	return counts, failures
}

// once fails unless the table has each record, and no other, exactly once.
func once(t *testing.T, f *fakeBigQuery, table *fakeTable, records []flow.Record) {
	t.Helper()
	have := map[string]int{}
	for _, r := range f.rowsOf(table) {
		have[r["record_id"].(string)]++
	}
	for i := range records {
		if n := have[records[i].ID.String()]; n != 1 {
			t.Errorf("record %d is there %d times", i, n)
		}
	}
	if len(have) != len(records) {
		t.Errorf("%d records, want %d", len(have), len(records))
	}
}

func TestOneBadRowOf500IsADeadLetterAndTheOthersAreThere(t *testing.T) {
	for _, opts := range [][]Option{nil, {OwnStreams()}} {
		fn, f, table := openFake(t, opts...)
		records := flowtest.Records(500, 1)
		bad := records[137].ID.String()
		table.refuse = func(row map[string]any) string {
			if row["record_id"] == bad {
				return "column event_time is outside of the allowed range"
			}
			return ""
		}
		counts, failures := countsOf(write(t, fn, flow.Batch{Records: records[:200]}, flow.Batch{Records: records[200:]}))
		if counts["new"] != 499 || counts["rejected"] != 1 || counts["retried"] != 1 || counts["requests"] != 2 {
			t.Errorf("counts %v", counts)
		}
		want := flow.FailRecord(&records[137], "bigquery", flow.ReasonRejected, fmt.Errorf("column event_time is outside of the allowed range"))
		if len(failures) != 1 || failures[0] != want {
			t.Errorf("dead letters %+v", failures)
		}
		once(t, f, table, slices.Delete(slices.Clone(records), 137, 138))
	}
}

func TestARequestOfBadRowsAlone(t *testing.T) {
	fn, f, table := openFake(t, RequestRows(10))
	table.refuse = func(map[string]any) string { return "no" }
	counts, failures := countsOf(write(t, fn, flow.Batch{Records: flowtest.Records(35, 1)}))
	if counts["rejected"] != 35 || counts["new"] != 0 || len(failures) != 35 || len(f.rowsOf(table)) != 0 {
		t.Errorf("counts %v, %d dead letters", counts, len(failures))
	}
}

func TestWhatCannotBeStoredIsADeadLetterWithTheReason(t *testing.T) {
	fn, f, table := openFake(t)
	noTime := flowtest.Record(func(r *flow.Record) { r.Tenant = "x" })
	noTime.EventTime = 0
	good := flowtest.Record()
	_, failures := countsOf(write(t, fn, flow.Batch{Records: []flow.Record{noTime, good}}))
	if len(failures) != 1 || !strings.Contains(failures[0].Error, "event_time") {
		t.Errorf("%+v", failures)
	}
	once(t, f, table, []flow.Record{good})
}

func TestAReplyThatSaysNothingIsNoResult(t *testing.T) {
	fn, f, table := openFake(t)
	f.next(func(*fakeStream) fault { return fault{empty: true} })
	records := flowtest.Records(10, 1)
	write(t, fn, flow.Batch{Records: records})
	once(t, f, table, records)
}

// Of a stream of our own it is known what is there: no failure of a request doubles a row.
func TestOwnStreamsDoubleNothingWithinABundle(t *testing.T) {
	unavailable := status.Error(codes.Unavailable, "connection lost")
	lost := func(*fakeStream) fault { return fault{apply: true, status: unavailable} }
	notSent := func(*fakeStream) fault { return fault{status: unavailable} }
	empty := func(*fakeStream) fault { return fault{apply: true, empty: true} }
	// The reply is lost, and then the stream is finalized by somebody.
	finalized := func(s *fakeStream) fault { s.finalized = true; return fault{} }
	outOfRange := func(*fakeStream) fault {
		return fault{reply: storageError(codes.OutOfRange, storagepb.StorageError_OFFSET_OUT_OF_RANGE, "offset beyond the end")}
	}
	exists := func(*fakeStream) fault {
		return fault{reply: storageError(codes.AlreadyExists, storagepb.StorageError_OFFSET_ALREADY_EXISTS, "offset is taken")}
	}
	gone := func(*fakeStream) fault { return fault{reply: status.New(codes.NotFound, "no such stream")} }
	quota := func(*fakeStream) fault {
		s, err := status.New(codes.ResourceExhausted, "quota").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Millisecond)})
		if err != nil {
			t.Fatal(err)
		}
		return fault{reply: s}
	}
	for name, plan := range map[string][]func(*fakeStream) fault{
		"reply lost":                        {lost},
		"reply lost twice":                  {lost, lost},
		"request lost":                      {notSent},
		"broken reply":                      {empty},
		"reply lost, then finalized":        {lost, finalized},
		"request lost, then finalized":      {notSent, finalized},
		"finalized":                         {finalized},
		"out of range":                      {outOfRange},
		"already exists, and nothing sent":  {exists},
		"stream gone":                       {gone},
		"quota":                             {quota, quota},
		"reply lost, then quota, then lost": {lost, quota, lost},
		"reply lost, then out of range":     {lost, outOfRange},
	} {
		t.Run(name, func(t *testing.T) {
			fn, f, table := openFake(t, OwnStreams(), RequestRows(50), InFlight(1))
			records := flowtest.Records(400, 3)
			f.next(func(*fakeStream) fault { return fault{} }) // the first request is fine
			f.next(plan...)
			counts, _ := countsOf(write(t, fn, flow.Batch{Records: records}))
			once(t, f, table, records)
			if counts["new"] != 400 || len(f.plan) != 0 {
				t.Errorf("counts %v, %d faults left", counts, len(f.plan))
			}
		})
	}
}

// The service says "already exists", and that is enough: the stream goes on.
func TestALostReplyKeepsItsStream(t *testing.T) {
	fn, f, table := openFake(t, OwnStreams(), InFlight(1), RequestRows(10))
	f.next(func(*fakeStream) fault {
		return fault{apply: true, status: status.Error(codes.Unavailable, "connection lost")}
	})
	records := flowtest.Records(30, 1)
	write(t, fn, flow.Batch{Records: records})
	once(t, f, table, records)
	if n := len(f.streams) - 1; n != 1 {
		t.Errorf("%d streams, want one", n)
	}
}

func TestAStreamThatIsLeftIsFinalized(t *testing.T) {
	fn, f, table := openFake(t, OwnStreams(), InFlight(1), RequestRows(10))
	f.next(func(*fakeStream) fault { return fault{} }, func(*fakeStream) fault {
		return fault{reply: storageError(codes.OutOfRange, storagepb.StorageError_OFFSET_OUT_OF_RANGE, "beyond the end")}
	})
	records := flowtest.Records(30, 1)
	write(t, fn, flow.Batch{Records: records})
	once(t, f, table, records)
	deadline := time.Now().Add(10 * time.Second)
	for {
		f.mu.Lock()
		streams, finalized := 0, 0
		for _, s := range f.streams {
			if !s.isDefault {
				streams++
				if s.finalized {
					finalized++
				}
			}
		}
		f.mu.Unlock()
		if streams == 2 && finalized == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d streams, %d finalized", streams, finalized)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestAddedColumnsAreUsedWhileAJobRuns(t *testing.T) {
	fn, f, table := openFake(t, RequestRows(500))
	full := slices.Clone(table.columns)
	late := []string{"user_id", "source_ip", "rtt_external_ns"}
	table.columns = slices.DeleteFunc(slices.Clone(full), func(c *storagepb.TableFieldSchema) bool { return slices.Contains(late, c.Name) })
	steps := []func() []*storagepb.TableFieldSchema{
		func() []*storagepb.TableFieldSchema { // one more, at the end
			return append(slices.Clone(table.columns), full[slices.IndexFunc(full, func(c *storagepb.TableFieldSchema) bool { return c.Name == "user_id" })])
		},
		func() []*storagepb.TableFieldSchema { // all, in another order, with one of somebody else
			c := slices.Clone(full)
			slices.Reverse(c)
			return append(c, column("comment", storagepb.TableFieldSchema_STRING))
		},
		func() []*storagepb.TableFieldSchema { // and one dropped again
			return slices.DeleteFunc(slices.Clone(table.columns), func(c *storagepb.TableFieldSchema) bool { return c.Name == "source_ip" })
		},
	}
	table.widen = func(t *fakeTable, requests int) { // the fake's lock is held
		if requests%12 == 0 && len(steps) > 0 {
			t.columns, steps = steps[0](), steps[1:]
			t.version++
		}
	}
	records := flowtest.Records(20_000, 4)
	h := flowtest.NewHarness(t, fn, flowtest.Once)
	for part := range slices.Chunk(records, 5000) {
		if err := h.TryBundle(flow.Batch{Records: part}); err != nil {
			t.Fatal(err)
		}
	}
	once(t, f, table, records)
	byID := map[string]*flow.Record{}
	for i := range records {
		byID[records[i].ID.String()] = &records[i]
	}
	folded := map[string]int{}
	for _, row := range f.rowsOf(table) {
		r := byID[row["record_id"].(string)]
		ext, err := flow.ParseExtensions(text(row["extensions"]))
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range ext {
			folded[x.Name]++
			if row[x.Name] != nil {
				t.Fatalf("%s is both a column and an extension", x.Name)
			}
			row[x.Name] = x.Text
		}
		for name, want := range map[string]string{"user_id": r.UserID, "source_ip": r.Source.IP.String(), "rtt_external_ns": fmt.Sprint(r.RTTExternal.V),
			"destination_ip": r.Destination.IP.String(), "source_bytes": fmt.Sprint(r.Source.Bytes.V), "data_center": r.DataCenter} {
			if have := fmt.Sprint(row[name]); have != want {
				t.Fatalf("%s is %s, want %s: a value is lost or in a wrong column", name, have, want)
			}
		}
	}
	if len(steps) > 0 {
		t.Errorf("%d changes of the table were not made", len(steps))
	}
	for _, name := range late {
		if folded[name] == 0 || folded[name] == len(records) {
			t.Errorf("%s was kept as an extension in %d of %d rows", name, folded[name], len(records))
		}
	}
}

func text(v any) string {
	if v == nil {
		return ""
	}
	return v.(string)
}

func TestATableThatDoesNotFitIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func([]*storagepb.TableFieldSchema) []*storagepb.TableFieldSchema
		want   string
	}{
		"a column of another type": {func(c []*storagepb.TableFieldSchema) []*storagepb.TableFieldSchema {
			c[2] = column("event_time", storagepb.TableFieldSchema_STRING)
			return c
		}, "event_time"},
		"a required column is missing": {func(c []*storagepb.TableFieldSchema) []*storagepb.TableFieldSchema { return c[1:] }, "record_id"},
		"a required column of somebody else": {func(c []*storagepb.TableFieldSchema) []*storagepb.TableFieldSchema {
			return append(c, &storagepb.TableFieldSchema{Name: "ticket", Type: storagepb.TableFieldSchema_STRING, Mode: storagepb.TableFieldSchema_REQUIRED})
		}, "ticket"},
	} {
		fn, f, table := openFake(t, Retry(time.Millisecond, time.Millisecond, time.Second))
		f.change(table, c.change)
		err := flowtest.NewHarness(t, fn, flowtest.Once).TryBundle(flow.Batch{Records: flowtest.Records(1, 1)})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRequestsStayBelowTheServicesBound(t *testing.T) {
	fn, f, table := openFake(t, RequestBytes(maxRequest))
	records := flowtest.Records(64, 5)
	for i := range records {
		records[i].Original = strings.Repeat("x", 1<<20+i)
	}
	records[20].Original = strings.Repeat("y", maxRequest-1000) // fits alone
	big := records[40]
	big.Original = strings.Repeat("z", maxRequest+1)
	in := append(slices.Clone(records[:40]), append([]flow.Record{big}, records[41:]...)...)
	counts, failures := countsOf(write(t, fn, flow.Batch{Records: in}))
	if f.largest > fakeMaxRequest || f.largest < maxRequest/2 {
		t.Errorf("the largest request has %d bytes", f.largest)
	}
	if counts["new"] != 63 || len(failures) != 1 || failures[0].Reason != flow.ReasonOversize || !failures[0].Truncated || len(failures[0].Data) > maxData ||
		len(failures[0].SHA256) != 64 || failures[0].Size < maxRequest {
		t.Errorf("counts %v, %d dead letters", counts, len(failures))
	}
	once(t, f, table, slices.Delete(slices.Clone(records), 40, 41))
}

func TestRollupsAreUpsertedByTheirRecordCount(t *testing.T) {
	f := newFake(t)
	table := f.add("p1.net.rollup_1m", rollup1m.BigQuerySchema())
	table.key = "rollup_id"
	o, name, err := setup(defaults("bigquery_rollup_1m"), "p1.net.rollup_1m", true, []Option{Endpoint("", f.addr), Retry(time.Millisecond, 10*time.Millisecond, 5*time.Second), RequestRows(3)})
	if err != nil {
		t.Fatal(err)
	}
	spec, err := dataset.RollupTableOf(rollup1m)
	if err != nil {
		t.Fatal(err)
	}
	fn := &rollupsFn{Table: name, Options: o, Rollup: spec}
	var rows []flow.Rollup
	for _, n := range []int64{1, 300, 17, 255, 256, 9, 16} { // as text 9 is more than 16
		rows = append(rows, rollupRow("ann", n), rollupRow("bob", 400-n))
	}
	for _, way := range flowtest.Ways { // replays in any order change nothing
		in := rollupBatch(rows...)
		if way == flowtest.Once {
			slices.Reverse(in.Rows)
		}
		h := flowtest.NewHarness(t, fn, flowtest.Once)
		for range 1 + int(way)%2 {
			if err := h.TryBundle(in, in); err != nil {
				t.Fatal(err)
			}
		}
		have := map[any]any{}
		for _, r := range f.rowsOf(table) {
			have[r["user_id"]] = r["flows"]
		}
		if len(f.rowsOf(table)) != 2 || have["ann"] != int64(300) || have["bob"] != int64(399) {
			t.Fatalf("rows %v", have)
		}
	}
	if _, _, err := setup(defaults("x"), "p1.net.rollup_1m", true, []Option{OwnStreams()}); err == nil {
		t.Error("upserts by a stream of our own, which the service refuses")
	}
}

func TestValidateReportsAllProblems(t *testing.T) {
	err := Validate("net.flows", Name(""), RequestBytes(11<<20), InFlight(0), RequestRows(-1), Retry(0, 0, 0), Endpoint("", ""))
	for _, want := range []string{"project.dataset.table", "Name", "RequestBytes", "InFlight", "RequestRows", "Retry", "Endpoint"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not among the problems: %v", want, err)
		}
	}
	if err := Validate("example.com:web.net.flows"); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"p.d.t/../x", "p.d-x.t", "p.d.`t`", "p.d.", ".d.t", "P.d.t"} {
		if Validate(bad) == nil {
			t.Errorf("the name %q is accepted", bad)
		}
	}
	if err := ValidateRollups("p.d.t", &flow.Table[flow.Rollup]{Name: "x"}); err == nil {
		t.Error("a table that is no rollup")
	}
}
