package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"

	"github.com/flowbeam/flowbeam/flow"
)

// awsVPC is the section of AWS flow logs, which holds for Parquet as well: that is tried by the same
// samples in Parquet.
func awsVPC(f *textFormat) (*section, error) {
	s, err := f.section()
	if err != nil {
		return nil, err
	}
	rows := &section{title: s.title + " (Parquet)", parse: s.parse, reasons: s.reasons, partly: s.partly}
	for _, t := range s.trials {
		var changed []input
		for _, c := range t.changed {
			switch e := toParquet(&c); {
			case e == nil:
				changed = append(changed, c)
			case !errors.Is(e, errNoNumber): // such a value Parquet can't have
				err = errors.Join(err, e)
			}
		}
		t.changed = changed
		without := *t.without
		t.without, t.zero = &without, nil
		if err = errors.Join(err, toParquet(&t.base), toParquet(t.without)); err != nil {
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
			return nil, fmt.Errorf("aws_vpc: %s is another in Parquet: %+v, %+v", f, a, b)
		}
	}
	return s, nil
}

var errNoNumber = errors.New("no number")

// awsIntegers are the columns that are no text in AWS's Parquet files.
var awsIntegers = map[string]parquet.Node{
	"version": parquet.Int(32), "srcport": parquet.Int(32), "dstport": parquet.Int(32), "protocol": parquet.Int(32), "tcp_flags": parquet.Int(32), "traffic_path": parquet.Int(32),
	"packets": parquet.Int(64), "bytes": parquet.Int(64), "start": parquet.Int(64), "end": parquet.Int(64),
}

// toParquet makes of a line what the source makes of a Parquet file that has it as its row.
func toParquet(in *input) error {
	group, row := parquet.Group{}, map[string]any{}
	values := strings.Fields(string(in.data))
	for i, name := range strings.Fields(in.header) {
		name = strings.ReplaceAll(name, "-", "_")
		node := parquet.String()
		n, err := strconv.ParseInt(values[i], 10, 64)
		switch typ := awsIntegers[name]; {
		case typ == nil && values[i] != "-":
			row[name] = values[i]
		case typ != nil && values[i] == "-":
			node = typ
		case typ == nil:
		case err != nil:
			return fmt.Errorf("%s: %w: %s", name, errNoNumber, values[i])
		case typ.Type().Kind() == parquet.Int32:
			node, row[name] = typ, int32(n)
		default:
			node, row[name] = typ, n
		}
		group[name] = parquet.Optional(node)
	}
	var file bytes.Buffer
	w := parquet.NewGenericWriter[map[string]any](&file, parquet.NewSchema("flows", group))
	if _, err := w.Write([]map[string]any{row}); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	info, _ := flow.FormatNamed("aws_vpc")
	rows, err := info.Open(file.Bytes(), bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		return err
	}
	line, err := rows.Next()
	*in = input{header: rows.Header(), data: bytes.Clone(line)}
	return err
}
