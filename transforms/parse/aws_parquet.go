package parse

import (
	"bytes"
	"io"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"

	"github.com/flowbeam/flowbeam/flow"
)

// awsParquet gives the rows of a flow log that S3 has as Parquet as the lines that it would
// have as text: the columns in their order, with "-" where a row has none. So a row has the
// id of its line. The header is the columns' names.
//
// Source: https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-s3.html
type awsParquet struct {
	groups []parquet.RowGroup
	rows   parquet.Rows // of the current group
	header string
	buf    []parquet.Row
	read   []parquet.Row // of buf, not yet given
	line   []byte
}

// parquetMagic begins and ends a Parquet file.
const parquetMagic = "PAR1"

func openAWSParquet(head []byte, r io.ReaderAt, size int64) (flow.Container, error) {
	if !bytes.HasPrefix(head, []byte(parquetMagic)) {
		return nil, nil
	}
	f, err := parquet.OpenFile(r, size)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, c := range f.Schema().Columns() {
		leaf, _ := f.Schema().Lookup(c...)
		if len(c) != 1 || leaf.MaxRepetitionLevel > 0 {
			return nil, flow.Reject(flow.ReasonFormat, "aws_vpc: the column %s is nested or repeated", quoted(strings.Join(c, ".")))
		}
		names = append(names, c[0])
	}
	return &awsParquet{groups: f.RowGroups(), header: strings.Join(names, " ") + "\n", buf: make([]parquet.Row, 64)}, nil
}

func (p *awsParquet) Header() string { return p.header }

func (p *awsParquet) Next() ([]byte, error) {
	for len(p.read) == 0 {
		if p.rows == nil {
			if len(p.groups) == 0 {
				return nil, io.EOF
			}
			p.rows, p.groups = p.groups[0].Rows(), p.groups[1:]
		}
		n, err := p.rows.ReadRows(p.buf)
		p.read = p.buf[:n]
		if err != nil && err != io.EOF {
			return nil, err
		}
		if err == io.EOF {
			if err := p.rows.Close(); err != nil {
				return nil, err
			}
			p.rows = nil
		}
	}
	row := p.read[0]
	p.read = p.read[1:]
	p.line = p.line[:0]
	for i, v := range row {
		if i > 0 {
			p.line = append(p.line, ' ')
		}
		switch {
		case v.IsNull():
			p.line = append(p.line, '-')
		case v.Kind() == parquet.Int32:
			p.line = strconv.AppendInt(p.line, int64(v.Int32()), 10)
		case v.Kind() == parquet.Int64:
			p.line = strconv.AppendInt(p.line, v.Int64(), 10)
		default:
			p.line = append(p.line, v.String()...)
		}
	}
	return p.line, nil
}
