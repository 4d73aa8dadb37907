package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/transforms/parse"
)

// input is one raw record, or unit that holds one.
type input struct {
	header string
	data   []byte
	change func(*flow.RawBatch) // of what the source knows, nil for nothing
}

// trial tries one source field: what differs between the record of a sample and that of one in
// which this field alone is another is what the field feeds.
type trial struct {
	field string
	base  input
	// changed are samples with other values. The first that makes a difference counts; of a
	// field that decides between several meanings, all do.
	changed []input
	all     bool
	without *input // the sample without the field, nil where it can't be left out
	zero    *input // with 0 in its place, nil where that is no other value of its kind
	text    string // the value in the sample
}

// effect is what a field was seen to do, in all trials of it.
type effect struct {
	columns    map[string]bool // of flow.Records
	extensions map[string]bool
	id         bool            // the record id is made of it
	tried      bool            // another value was decoded, so that id is known
	both       bool            // a column and an extension at once
	idle       bool            // in one of the trials no other value made a difference
	with       map[string]bool // notes on columns that are there only with the field, or without
	needed     int             // trials in which the record can't be read without it
	free       int             // and those in which it can
	idleText   string          // a value with which the record is as if the field was not there
	zeros      int             // trials with 0 in its place
	absent     int             // and those in which that is as if the field was not there
	refused    bool            // another value is a dead letter
	skipped    bool            // another value is no flow record
}

func newEffect() *effect {
	return &effect{columns: map[string]bool{}, extensions: map[string]bool{}, with: map[string]bool{}}
}

func (e *effect) any() bool { return len(e.columns)+len(e.extensions) > 0 || e.refused || e.skipped }

func (e *effect) same(o *effect) bool {
	return maps.Equal(e.columns, o.columns) && maps.Equal(e.extensions, o.extensions) && maps.Equal(e.with, o.with)
}

// section is what the page says of one format.
type section struct {
	title   string
	formats []string // of parse: the format, none where one of these is described elsewhere
	parse   string   // what samples are read as
	about   string
	trials  []trial
	// reasons says of fields that change nothing why that is so. A reason of a field that does
	// change something, or that is not there, is an error.
	reasons map[string]string
	// partly says the same of fields that change something in some samples and nothing in others.
	partly    map[string]string
	other     *trial // a field that nobody knows
	quiet     bool   // it is of several formats: what is constant in the samples is said of each
	identical bool   // members are columns: a field that is that of its name needs no row
	source    bool   // what the source knows counts too: position, time, data center

	otherText    string // instead of "any other field"
	keptText     string // instead of naming those that are extensions of the same name; %d is how many
	bothVersions bool   // of NetFlow: the fields are those of two sections
	below        string // extensions have the path below this member

	fields  []string // in the order of the trials
	effects map[string]*effect
	always  []string
}

// outcome is what became of an input.
type outcome struct {
	record *flow.Record // nil where there is none
	err    string       // of the dead letter, "" where it was skipped
}

func (s *section) decode(in *input) (outcome, error) {
	batch := flow.RawBatch{
		Origin:  flow.Origin{Source: "sample", Format: s.parse, Header: in.header},
		Records: []flow.Raw{{Data: in.data, Offset: flow.N(0), Time: 1_768_478_520e9}},
	}
	if in.change != nil {
		in.change(&batch)
	}
	out, bad, err := parse.Batch(context.Background(), batch, parse.CommunityID(false))
	switch {
	case err != nil:
		return outcome{}, err
	case len(out.Records)+len(bad) > 1:
		return outcome{}, fmt.Errorf("%s: a sample has %d records and %d dead letters", s.title, len(out.Records), len(bad))
	case len(bad) == 1:
		return outcome{err: bad[0].Error}, nil
	case len(out.Records) == 0:
		return outcome{}, nil
	}
	return outcome{record: &out.Records[0]}, nil
}

// try runs the trials.
func (s *section) try() error {
	if s.effects != nil {
		return nil // already
	}
	s.effects = map[string]*effect{}
	var bases []*flow.Record
	seen := map[string]bool{}
	for i := range s.trials {
		t := &s.trials[i]
		base, err := s.decode(&t.base)
		if err != nil {
			return err
		}
		if base.record == nil {
			return fmt.Errorf("%s: the sample for %s is no record: %s\n%q", s.title, t.field, base.err, t.base.data)
		}
		if key := t.base.header + "\x00" + string(t.base.data); !seen[key] {
			seen[key] = true
			bases = append(bases, base.record)
		}
		e := s.effects[t.field]
		if e == nil {
			e = newEffect()
			s.effects[t.field] = e
			s.fields = append(s.fields, t.field)
		}
		if err := s.one(t, base.record, e); err != nil {
			return err
		}
	}
	s.constants(bases)
	return errors.Join(s.judge(), s.tryOther())
}

func (s *section) one(t *trial, base *flow.Record, e *effect) error {
	decoded, skipped, different := false, false, false
	for i := range t.changed {
		c, err := s.decode(&t.changed[i])
		if err != nil {
			return err
		}
		if c.record == nil {
			skipped = skipped || c.err == ""
			continue
		}
		decoded, e.tried = true, true
		e.id = e.id || c.record.ID != base.ID
		seen := newEffect()
		s.difference(base, c.record, seen)
		maps.Copy(e.columns, seen.columns)
		maps.Copy(e.extensions, seen.extensions)
		e.both = e.both || len(seen.columns) > 0 && len(seen.extensions) > 0
		if different = different || seen.any(); different && !t.all {
			break
		}
	}
	e.skipped = e.skipped || skipped
	e.refused = e.refused || !decoded && !skipped
	if len(t.changed) == 0 {
		return fmt.Errorf("%s: no other value of %s is known than %s", s.title, t.field, t.text)
	}
	e.idle = e.idle || decoded && !different && !skipped
	if t.without == nil {
		return nil
	}
	w, err := s.decode(t.without)
	if err != nil {
		return err
	}
	if w.record == nil {
		e.needed++
		return nil
	}
	e.free++
	if t.text != "" && different && !s.differs(base, w.record) {
		e.idleText = t.text
	}
	if t.zero != nil {
		z, err := s.decode(t.zero)
		if err != nil {
			return err
		}
		if z.record != nil && s.differs(base, w.record) {
			if e.zeros++; !s.differs(z.record, w.record) {
				e.absent++
			}
		}
	}
	for _, name := range [...]string{"time_quality", "counter_semantics", "byte_layer", "sampling_source"} {
		c, _ := flow.Records.Column(name)
		switch had, has := c.Get(base).Str, c.Get(w.record).Str; {
		case had == has || e.columns[name]:
		case has == "":
			e.with[fmt.Sprintf("with it `%s` is `%s`", name, had)] = true
		default:
			e.with[fmt.Sprintf("without it `%s` is `%s`", name, has)] = true
		}
	}
	return nil
}

// left out are columns that say where a record was read, and how.
func (s *section) leftOut(c *flow.Column[flow.Record]) bool {
	switch {
	case c.Ref == nil, c.Name == "extensions":
		return true
	case c.Name == "record_id":
		return !s.identical // elsewhere it is said in words
	case strings.HasPrefix(c.Name, "position_"), c.Name == "received_time":
		return !s.source
	}
	return false
}

func (s *section) difference(a, b *flow.Record, e *effect) {
	for i := range flow.Records.Columns {
		if c := &flow.Records.Columns[i]; !s.leftOut(c) && c.Get(a) != c.Get(b) {
			e.columns[c.Name] = true
		}
	}
	x, y := byName(a.Extensions), byName(b.Extensions)
	for name := range x {
		if x[name] != y[name] {
			e.extensions[name] = true
		}
	}
	for name := range y {
		if _, ok := x[name]; !ok {
			e.extensions[name] = true
		}
	}
}

func (s *section) differs(a, b *flow.Record) bool {
	e := newEffect()
	s.difference(a, b, e)
	return e.any()
}

func byName(list []flow.Extension) map[string]flow.Extension {
	m := map[string]flow.Extension{}
	for _, x := range list {
		m[x.Name] = x
	}
	return m
}

// constantColumns say how the others are to be read: where no field decides of them, the decoder
// does.
var constantColumns = [...]string{"format", "cloud_provider", "counter_semantics", "byte_layer", "time_quality", "sampling_source"}

// constants finds those that each sample has with one value and that no field changes.
func (s *section) constants(bases []*flow.Record) {
	for _, name := range constantColumns {
		c, _ := flow.Records.Column(name)
		value := c.Get(bases[0])
		constant := value.Kind != 0
		for _, r := range bases {
			constant = constant && c.Get(r) == value
		}
		for _, e := range s.effects {
			constant = constant && !e.columns[name] && !strings.Contains(strings.Join(slices.Collect(maps.Keys(e.with)), " "), "`"+name+"`")
		}
		if constant {
			s.always = append(s.always, fmt.Sprintf("`%s` is `%s`", name, value.String()))
		}
	}
}

// tryOther holds that a field which nobody knows is kept.
func (s *section) tryOther() error {
	if s.other == nil {
		return nil
	}
	base, err := s.decode(&s.other.base)
	if err != nil || base.record == nil {
		return fmt.Errorf("%s: a field that nobody knows: %s %w", s.title, base.err, err)
	}
	e := newEffect()
	if err := s.one(s.other, base.record, e); err != nil {
		return err
	}
	if len(e.columns) > 0 || len(e.extensions) != 1 || !e.extensions[s.other.field] {
		return fmt.Errorf("%s: a field that nobody knows, %s, is no extension of its name: %v %v", s.title, s.other.field, e.columns, e.extensions)
	}
	return nil
}

// judge holds what was seen to the reasons.
func (s *section) judge() error {
	var problems []string
	for _, f := range s.fields {
		reason, partly, e := s.reasons[f], s.partly[f], s.effects[f]
		switch {
		case reason == "" && !e.any():
			problems = append(problems, fmt.Sprintf("%s: %s changes nothing, and no reason is given: it is lost", s.title, f))
		case reason != "" && e.any():
			problems = append(problems, fmt.Sprintf("%s: %s changes %v %v, and the reason why it changes nothing is wrong", s.title, f,
				slices.Sorted(maps.Keys(e.columns)), slices.Sorted(maps.Keys(e.extensions))))
		case reason == "" && partly == "" && e.idle:
			problems = append(problems, fmt.Sprintf("%s: %s changes nothing in one of the samples, and no reason is given: it is lost there", s.title, f))
		case partly != "" && !e.idle:
			problems = append(problems, fmt.Sprintf("%s: %s changes something in each sample, and the reason why it does not in some is wrong", s.title, f))
		}
	}
	for f := range s.reasons {
		if s.effects[f] == nil {
			problems = append(problems, fmt.Sprintf("%s: a reason is given for %s, which no sample has", s.title, f))
		}
	}
	for f := range s.partly {
		if s.effects[f] == nil {
			problems = append(problems, fmt.Sprintf("%s: a reason is given for %s, which no sample has", s.title, f))
		}
	}
	if problems != nil {
		slices.Sort(problems)
		return fmt.Errorf("%s", strings.Join(problems, "\n"))
	}
	return nil
}
