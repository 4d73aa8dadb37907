package parse

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
)

func init() {
	Register(Format{
		FormatInfo: flow.FormatInfo{Name: "parts"},
		NewUnit:    func(string) (UnitDecoder, error) { return &partsDecoder{}, nil },
	})
}

// partsDecoder reads units of this test: parts between bars. "-" is a gap, "?…" can't be
// read, "0…" has no event time, "=…" has its own id, "!" breaks the unit; all else is a user.
type partsDecoder struct{ parts []string }

func (d *partsDecoder) DecodeUnit(data string, u *Unit) error {
	if d.parts = nil; data == "" {
		return nil
	}
	d.parts = strings.Split(data, "|")
	for _, p := range d.parts {
		switch {
		case p == "-":
			u.Gap()
			continue
		case p[0] == '?':
			u.Next().UserID = "left over"
			u.RefuseLast(p, flow.Reject(flow.ReasonValue, "%s: no part", p))
			continue
		}
		r := u.Next()
		r.UserID = p
		switch p[0] {
		case '!':
			return flow.Reject(flow.ReasonField, "a broken unit")
		case '=':
			r.ID = flow.NewIDText("parts", p[1:])
		}
		if p[0] != '0' {
			r.EventTime = 1000
		}
	}
	return nil
}

func (d *partsDecoder) Part(i int) string { return d.parts[i] }

const allKinds = "a|-|?b|=c|drop|refuse|0d|fail|e"

func TestUnitsGiveRecordsGapsAndDeadLetters(t *testing.T) {
	f := newFn(t, parseFn{Steps: flow.EncodeSteps([]flow.Step{new(ruleStep)}), Revision: 7, KeepOriginal: true})
	in := rawBatch("parts", "", "x|y", "u|!|-|?", allKinds)
	in.Records[3].DataCenter = "dc2"
	out, bad := f.parse(&in)
	var got []string
	for i := range out.Records {
		r := &out.Records[i]
		at := in.Position(1)
		if i > 1 {
			at = in.Position(3)
		}
		at.Index = r.Position.Index
		if r.Position != at || r.Received != 1000 || r.Revision != 7 || r.Tenant != "t1" || r.Format != "parts" || r.Original != r.UserID ||
			(r.DataCenter == "dc2") != (i > 1) {
			t.Errorf("%+v", r)
		}
		got = append(got, fmt.Sprintf("%d:%s", r.Position.Index.V, r.UserID))
	}
	if d := cmp.Diff([]string{"0:x", "1:y", "0:a", "3:=c", "8:e"}, got); d != "" {
		t.Error(d)
	}
	got = nil
	for _, b := range bad {
		index := "unit"
		if b.Position.Index.OK {
			index = fmt.Sprint(b.Position.Index.V)
		}
		if b.Size != int64(len(b.Data)) {
			t.Errorf("size %d of %q", b.Size, b.Data)
		}
		got = append(got, fmt.Sprintf("%s %s/%s %s", index, b.Stage, b.Reason, b.Data))
	}
	if d := cmp.Diff([]string{
		"unit parse/field u|!|-|?", "2 parse/value ?b", "5 parse_test.rule/time_range refuse", "6 parse/field 0d", "7 parse_test.rule/step fail",
	}, got); d != "" {
		t.Error(d)
	}
	if f.n != (tally{read: 12, skipped: 1, gaps: 1, failed: 5, filtered: 1}) {
		t.Errorf("%+v", f.n)
	}
	if bad[0].Position != in.Position(2) {
		t.Errorf("%+v", bad[0].Position)
	}
}

func TestIDsOfPartsAreTheirOwn(t *testing.T) {
	in := rawBatch("parts", "a|=c", "x|=c|-|a")
	out, _ := newFn(t, parseFn{}).parse(&in)
	id := func(i int) flow.ID { return out.Records[i].ID }
	if id(0) != flow.NewID("parts", []byte("a")) || id(1) != flow.NewID("parts", []byte("c")) {
		t.Error("not of the part")
	}
	if id(0) != id(4) || id(1) != id(3) {
		t.Error("the id depends on where the part is")
	}
}

// What a replay makes of a part's dead letter has the position, and so the dead letter's
// id, that it had in its unit.
func TestAPartReplayedAloneKeepsItsPlace(t *testing.T) {
	f := newFn(t, parseFn{Steps: flow.EncodeSteps([]flow.Step{new(ruleStep)})})
	in := rawBatch("parts", allKinds)
	_, want := f.parse(&in)
	again := in
	again.Records = nil
	for _, b := range want {
		again.Records = append(again.Records, flow.Raw{Data: []byte(b.Data), Offset: b.Position.Offset, Index: b.Position.Index, Time: b.SourceTime})
	}
	_, got := f.parse(&again)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if len(got) != 4 || got[0].ID() != want[0].ID() || got[0].ID() == got[1].ID() {
		t.Error("other dead letters")
	}
}

func TestUnitsDoNotDependOnTheBatch(t *testing.T) {
	f := newFn(t, parseFn{Steps: flow.EncodeSteps([]flow.Step{new(ruleStep)})})
	in := rawBatch("parts", allKinds, "!", "x|-", strings.Repeat("y|", 200)+"z", "?b")
	out, bad := f.parse(&in)
	var records []flow.Record
	var failures []flow.Failure
	for i := range in.Records {
		alone := in
		alone.Records = in.Records[i : i+1]
		o, b := f.parse(&alone)
		records, failures = append(records, o.Records...), append(failures, b...)
	}
	if d := cmp.Diff(records, out.Records); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(failures, bad); d != "" {
		t.Error(d)
	}
}

func TestNewDecoderRefusesFormatsOfUnits(t *testing.T) {
	if _, err := NewDecoder("parts", ""); err == nil || !strings.Contains(err.Error(), "several") {
		t.Error(err)
	}
}

// Memory is used again only when it is empty again.
func TestNextRecordsAreEmpty(t *testing.T) {
	u := Unit{origin: &flow.Origin{}, raw: &flow.Raw{}}
	u.hold(make([]flow.Record, 0, 2))
	for range 3 {
		for range 150 { // more than there is memory for at first
			r := u.Next()
			if r.UserID != "" {
				t.Fatal("a record that was there before")
			}
			r.UserID = "x"
		}
		u.forgetLast()
		u.records = u.records[:len(u.records)/2]
	}
}
