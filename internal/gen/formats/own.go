package main

import (
	"fmt"
	"strings"

	"github.com/flowbeam/flowbeam/flow"
)

// own is the section of flowbeam's own records, whose members are the columns.
func own() *section {
	s := &section{
		title: "flowbeam", formats: []string{flow.FormatRecord}, parse: flow.FormatRecord, source: true, identical: true, quiet: true,
		about:   "Records as flowbeam writes them in NDJSON and in dead letters. A member is the column of its name; one of another name is a dead letter.",
		reasons: map[string]string{},
	}
	for i := range flow.Records.Columns {
		c := &flow.Records.Columns[i]
		values := map[flow.Kind][2]string{
			flow.KindString: {`"a1"`, `"a2"`}, flow.KindInt: {"1", "2"}, flow.KindFloat: {"0.25", "0.5"}, flow.KindBool: {"false", "true"},
			flow.KindTime: {`"2026-01-15T12:00:00Z"`, `"2026-01-15T12:00:01Z"`}, flow.KindIP: {`"192.0.2.1"`, `"192.0.2.2"`},
			flow.KindID: {`"` + strings.Repeat("00", 15) + `01"`, `"` + strings.Repeat("00", 15) + `02"`}, flow.KindObject: {`{"` + c.Name + `":"1"}`, `{"` + c.Name + `":"2"}`},
		}[c.Kind]
		with := func(v string) input {
			head := `"event_time":"2026-01-15T12:00:00Z","record_id":"000102030405060708090a0b0c0d0e0f",`
			switch c.Name {
			case "event_time":
				head = `"record_id":"000102030405060708090a0b0c0d0e0f",`
			case "record_id":
				head = `"event_time":"2026-01-15T12:00:00Z",`
			}
			return input{data: fmt.Appendf(nil, `{%s"format":"canopus",%q:%s}`, head, c.Name, v)}
		}
		if c.Name == "format" {
			with = func(v string) input {
				return input{data: fmt.Appendf(nil, `{"event_time":"2026-01-15T12:00:00Z","record_id":"000102030405060708090a0b0c0d0e0f","format":%s}`, v)}
			}
		}
		s.trials = append(s.trials, trial{field: c.Name, base: with(values[0]), changed: []input{with(values[1])}})
		if c.Ref == nil {
			s.reasons[c.Name] = "it is computed again"
		}
	}
	return s
}
