package message

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/dataset"
	"github.com/flowbeam/flowbeam/internal/delivery"
)

func TestText(t *testing.T) {
	ip, err := flow.ParseIP("192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	full := flow.Record{ID: flow.ID{1}, CommunityID: "1:x", Protocol: flow.N(6), EventTime: 1e9}
	full.Source.IP = ip
	for column, want := range map[string]string{
		"record_id": "01000000000000000000000000000000", "community_id": "1:x", "protocol": "6", "source_ip": "192.0.2.1",
		"event_time": "1970-01-01T00:00:01Z", "late": "false",
	} {
		text, err := Text(&flow.Records, column)
		if err != nil {
			t.Fatal(err)
		}
		if have := string(text([]byte("x"), &full)); have != "x"+want {
			t.Errorf("%s: %q", column, have)
		}
		if have := string(text(nil, &flow.Record{})); have != "" && column != "late" {
			t.Errorf("%s absent: %q", column, have)
		}
	}
	if _, err := Text(&flow.Records, "nonsense"); err == nil {
		t.Error("an unknown column")
	}
}

func TestTextAllocatesNothingForKeys(t *testing.T) {
	r := flow.Record{ID: flow.ID{1}, CommunityID: "1:x"}
	b := make([]byte, 0, 100)
	for _, column := range []string{"record_id", "community_id", "protocol"} {
		text, err := Text(&flow.Records, column)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, func() { text(b, &r) }); n != 0 {
			t.Errorf("%s: %v allocations", column, n)
		}
	}
}

func TestRollupsOfAnotherTableAreRefused(t *testing.T) {
	r := dataset.RollupTable{Level: "1m", Fields: []string{"a"}, Measures: []string{"m"}}
	rows := []flow.Rollup{{}}
	for _, in := range []flow.RollupBatch{
		{Level: "5m", Fields: []string{"a"}, Measures: []string{"m"}, Rows: rows},
		{Level: "1m", Fields: []string{"b"}, Measures: []string{"m"}, Rows: rows},
		{Level: "1m", Fields: []string{"a"}, Measures: []string{"n"}, Rows: rows},
	} {
		if CheckRollups(&in, r) == nil {
			t.Errorf("%+v", in)
		}
	}
	if err := CheckRollups(&flow.RollupBatch{Level: "1m", Fields: r.Fields, Measures: r.Measures, Rows: rows}, r); err != nil {
		t.Error(err)
	}
	if err := CheckRollups(&flow.RollupBatch{}, r); err != nil {
		t.Error(err)
	}
}

func TestDeadLettersSayWhatTheyAreOf(t *testing.T) {
	x := Failures().Fail("pubsub_dead_letters", &flow.Failure{Stage: "parse", Data: "d"}, errors.New("e"))
	if x.Stage != "pubsub_dead_letters" || x.Reason != flow.ReasonRejected || x.Error != "e" || x.Data != "d" {
		t.Errorf("%+v", x)
	}
	k := Rollups(dataset.RollupTable{Level: "1m", Fields: []string{"user_id"}, FieldKinds: []flow.Kind{flow.KindString}})
	row := flow.Rollup{Window: 1e9, Length: time.Minute, Group: []flow.Value{flow.StringValue("u")}}
	x = k.Fail("kafka_rollup_1m", &row, errors.New("e"))
	if x.Format != "rollup_1m" || !strings.Contains(x.Data, `"user_id":"u"`) || x.Size != int64(len(x.Data)) || x.SourceTime != 1e9 {
		t.Errorf("%+v", x)
	}
}

// A bundle that ends before its requests have their answers would be committed with
// records that may be lost.
func TestWaitWaitsForEachRequest(t *testing.T) {
	f := NewFlight(context.Background())
	slots := make(chan struct{}, 2)
	var most, now atomic.Int64
	for range 20 {
		if err := f.Go(slots, func(context.Context) error {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(2 * time.Millisecond)
			now.Add(-1)
			f.Done(delivery.Tally{New: 1}, nil)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	tally, _, err := f.Wait()
	if err != nil || tally.New != 20 || most.Load() > 2 {
		t.Errorf("%+v, %d at once: %v", tally, most.Load(), err)
	}
}

func TestTheFirstErrorEndsTheFlight(t *testing.T) {
	f := NewFlight(context.Background())
	slots := make(chan struct{}, 4)
	want := errors.New("refused")
	f.Go(slots, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	f.Go(slots, func(context.Context) error { return want })
	f.Done(delivery.Tally{New: 1}, nil)
	if tally, _, err := f.Wait(); !errors.Is(err, want) || tally.New != 0 {
		t.Errorf("%+v %v", tally, err)
	}
	if err := f.Go(slots, func(context.Context) error { t.Error("sent after the end"); return nil }); !errors.Is(err, want) {
		t.Error(err)
	}
}
