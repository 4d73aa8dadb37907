package dataset

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/flowbeam/flowbeam/flow"
)

func csvHeader[T any](t *flow.Table[T]) []byte {
	var b []byte
	for i := range t.Columns {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, t.Columns[i].Name...)
	}
	return append(b, '\r', '\n')
}

// appendCSV appends a row as RFC 4180 has it. An absent value is an empty field.
func appendCSV[T any](b []byte, t *flow.Table[T], row *T) []byte {
	present := t.Present(row)
	at := 0
	for i := present.Next(); i >= 0; i = present.Next() {
		for ; at < i; at++ {
			b = append(b, ',')
		}
		c := &t.Columns[i]
		if c.Derive != nil {
			b = appendCSVValue(b, c.Derive(row))
			continue
		}
		switch p := c.Ref(row).(type) {
		case *string:
			b = appendCSVText(b, *p)
		case *flow.Int:
			b = strconv.AppendInt(b, p.V, 10)
		case *int64:
			b = strconv.AppendInt(b, *p, 10)
		case *flow.Float:
			b = strconv.AppendFloat(b, p.V, 'g', -1, 64)
		case *bool:
			b = strconv.AppendBool(b, *p)
		case *flow.Time:
			b = flow.AppendTime(b, *p)
		case *flow.IP:
			b = p.Append(b)
		case *flow.ID:
			b = flow.AppendID(b, *p)
		case *[]byte:
			b = base64.StdEncoding.AppendEncode(b, *p)
		default:
			b = appendCSVValue(b, c.Get(row))
		}
	}
	for ; at < len(t.Columns)-1; at++ {
		b = append(b, ',')
	}
	return append(b, '\r', '\n')
}

func appendCSVValue(b []byte, v flow.Value) []byte {
	switch v.Kind {
	case 0:
		return b
	case flow.KindInt:
		return strconv.AppendInt(b, v.Int, 10)
	case flow.KindFloat:
		return strconv.AppendFloat(b, v.Float, 'g', -1, 64)
	case flow.KindTime:
		return flow.AppendTime(b, flow.Time(v.Int))
	case flow.KindBool:
		return strconv.AppendBool(b, v.Int != 0)
	case flow.KindBytes:
		return base64.StdEncoding.AppendEncode(b, []byte(v.Str))
	}
	return appendCSVText(b, v.Str)
}

func appendCSVText(b []byte, s string) []byte {
	s = validText(s)
	if !strings.ContainsAny(s, "\",\r\n") && !strings.HasPrefix(s, " ") {
		return append(b, s...)
	}
	b = append(b, '"')
	for {
		i := strings.IndexByte(s, '"')
		if i < 0 {
			break
		}
		b = append(b, s[:i+1]...)
		b = append(b, '"')
		s = s[i+1:]
	}
	b = append(b, s...)
	return append(b, '"')
}

// readCSV is a reader of its own because encoding/csv turns CR LF inside of a quoted
// field into LF.
func readCSV(r *bufio.Reader, cols []column, f func([]flow.Value) error) error {
	header, err := csvRecord(r, nil)
	if err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("header: %w", err)
	}
	at := make([]int, len(header)) // index in cols, or -1
	for i, name := range header {
		at[i] = -1
		for j, c := range cols {
			if c.name == name {
				at[i] = j
			}
		}
	}
	vals := make([]flow.Value, len(cols))
	var fields []string
	for n := 1; ; n++ {
		fields, err = csvRecord(r, fields[:0])
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("record %d: %w", n, err)
		}
		if len(fields) != len(header) {
			return fmt.Errorf("record %d has %d fields, the header %d", n, len(fields), len(header))
		}
		clear(vals)
		for i, s := range fields {
			if j := at[i]; j >= 0 {
				if vals[j], err = textValue(s, cols[j].kind); err != nil {
					return fmt.Errorf("record %d: %s: %w", n, header[i], err)
				}
			}
		}
		if err := f(vals); err != nil {
			return err
		}
	}
}

var errCSV = errors.New("not RFC 4180")

// csvRecord reads one record, which quoted fields may stretch over lines.
func csvRecord(r *bufio.Reader, fields []string) ([]string, error) {
	var buf []byte
	quoted := false
	for {
		line, err := r.ReadSlice('\n')
		from := len(buf)
		buf = append(buf, line...)
		if err == bufio.ErrBufferFull { // the line goes on
			err = nil
		}
		for _, c := range buf[from:] {
			if c == '"' {
				quoted = !quoted // a doubled quote changes it twice
			}
		}
		if err == io.EOF {
			if len(buf) == 0 {
				return nil, io.EOF
			}
			return nil, io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		if !quoted && buf[len(buf)-1] == '\n' {
			break
		}
	}
	s := strings.TrimSuffix(string(buf[:len(buf)-1]), "\r")
	for {
		if strings.HasPrefix(s, `"`) {
			i, doubled := 1, false
			for i < len(s) {
				if s[i] == '"' {
					if i+1 < len(s) && s[i+1] == '"' {
						doubled = true
						i += 2
						continue
					}
					break
				}
				i++
			}
			if i >= len(s) {
				return nil, errCSV
			}
			v := s[1:i]
			if doubled {
				v = strings.ReplaceAll(v, `""`, `"`)
			}
			fields = append(fields, v)
			s = s[i+1:]
			if s == "" {
				return fields, nil
			}
			if s[0] != ',' {
				return nil, errCSV
			}
			s = s[1:]
			continue
		}
		v, rest, more := strings.Cut(s, ",")
		if strings.IndexByte(v, '"') >= 0 {
			return nil, errCSV
		}
		fields = append(fields, v)
		if !more {
			return fields, nil
		}
		s = rest
	}
}
