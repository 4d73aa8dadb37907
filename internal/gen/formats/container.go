package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"

	"github.com/flowbeam/flowbeam/flow"
)

// containers are the formats of text that may be in a file of another kind too: what one holds, and
// how the input that a sample is becomes such a file's.
var containers = map[string]struct {
	name string
	in   func(*input) error
}{
	"aws_vpc": {"Parquet", toParquet},
	"canopus": {"Avro", toAvro},
}

// withContainer is the section of such a format, which holds for the other kind as well: that is tried
// by the same samples in it.
func withContainer(f *textFormat) (*section, error) {
	s, err := f.section()
	if err != nil {
		return nil, err
	}
	other := containers[f.name]
	rows := &section{title: s.title + " (" + other.name + ")", parse: s.parse, reasons: s.reasons, partly: s.partly}
	for _, t := range s.trials {
		var changed []input
		for _, c := range t.changed {
			switch e := other.in(&c); {
			case e == nil:
				changed = append(changed, c)
			case !errors.Is(e, errNoValue):
				err = errors.Join(err, e)
			}
		}
		t.changed = changed
		without := *t.without
		t.without, t.zero = &without, nil
		if err = errors.Join(err, other.in(&t.base), other.in(t.without)); err != nil {
			return nil, err
		}
		rows.trials = append(rows.trials, t)
	}
	if err := errors.Join(s.try(), rows.try()); err != nil {
		return nil, err
	}
	for _, f := range s.fields {
		a, b := s.effects[f], rows.effects[f]
		if !maps.Equal(a.columns, b.columns) || !maps.Equal(a.extensions, b.extensions) || a.needed != b.needed {
			return nil, fmt.Errorf("%s: %s is another in %s: %+v, %+v", s.title, f, other.name, a, b)
		}
	}
	return s, nil
}

// errNoValue is that of a value which the other kind of file can't have there.
var errNoValue = errors.New("no such value")

// firstOf makes the input the first record of a file, as the source gives it.
func firstOf(format string, file []byte, in *input) error {
	info, _ := flow.FormatNamed(format)
	rows, err := info.Open(file, bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return err
	}
	record, err := rows.Next()
	*in = input{header: rows.Header(), data: bytes.Clone(record)}
	return err
}
