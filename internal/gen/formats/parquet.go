package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"
)

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
			return fmt.Errorf("%s: %w: %s", name, errNoValue, values[i])
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
	return firstOf("aws_vpc", file.Bytes(), in)
}
