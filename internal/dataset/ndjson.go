package dataset

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/flowbeam/flowbeam/flow"
)

func readNDJSON(r *bufio.Reader, cols []column, f func([]flow.Value) error) error {
	index := make(map[string]int, len(cols))
	for i, c := range cols {
		index[c.name] = i
	}
	vals := make([]flow.Value, len(cols))
	n := 0
	return eachLine(r, func(line []byte) error {
		n++
		if len(line) == 0 {
			return nil
		}
		clear(vals)
		left := len(cols)
		// One copy of the line; the values are parts of it.
		err := eachMember(string(line), func(name, raw string) (bool, error) {
			i, ok := index[name]
			if !ok {
				return true, nil
			}
			v, err := jsonValue(raw, cols[i].kind)
			if err != nil {
				return false, fmt.Errorf("%s: %w", name, err)
			}
			vals[i] = v
			left--
			return left > 0, nil
		})
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		return f(vals)
	})
}

var errJSON = errors.New("not a JSON object")

// eachMember walks the members of one JSON object on one line. f's more ends the walk.
// It finds where values end and leaves their grammar to who reads them.
func eachMember(s string, f func(name, raw string) (more bool, err error)) error {
	i := skipSpace(s, 0)
	if i >= len(s) || s[i] != '{' {
		return errJSON
	}
	if i = skipSpace(s, i+1); i < len(s) && s[i] == '}' {
		return nil
	}
	for {
		end := stringEnd(s, i)
		if end < 0 {
			return errJSON
		}
		name, err := unquote(s[i:end])
		if err != nil {
			return err
		}
		if i = skipSpace(s, end); i >= len(s) || s[i] != ':' {
			return errJSON
		}
		i = skipSpace(s, i+1)
		if end = valueEnd(s, i); end < 0 {
			return errJSON
		}
		more, err := f(name, s[i:end])
		if err != nil || !more {
			return err
		}
		if i = skipSpace(s, end); i >= len(s) {
			return errJSON
		}
		if s[i] == '}' {
			return nil
		}
		if s[i] != ',' {
			return errJSON
		}
		i = skipSpace(s, i+1)
	}
}

func skipSpace(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\t' || s[i] == '\r' || s[i] == '\n') {
		i++
	}
	return i
}

// stringEnd is the index after the string that begins at i, or -1.
func stringEnd(s string, i int) int {
	if i >= len(s) || s[i] != '"' {
		return -1
	}
	for i++; i < len(s); i++ {
		switch s[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	return -1
}

// valueEnd is the index after the value that begins at i, or -1.
func valueEnd(s string, i int) int {
	depth := 0
	for start := i; i < len(s); {
		switch s[i] {
		case '"':
			if i = stringEnd(s, i); i < 0 {
				return -1
			}
			if depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				if i == start {
					return -1
				}
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t':
			if depth == 0 {
				if i == start {
					return -1
				}
				return i
			}
		}
		i++
	}
	return -1
}

// unquote reads a JSON string; one without escapes is a part of s.
func unquote(s string) (string, error) {
	if strings.IndexByte(s, '\\') < 0 {
		return s[1 : len(s)-1], nil
	}
	var out string
	err := json.Unmarshal([]byte(s), &out)
	return out, err
}

func jsonValue(raw string, kind flow.Kind) (flow.Value, error) {
	if raw == "null" {
		return flow.Value{}, nil
	}
	if kind == flow.KindObject {
		if raw[0] != '{' || !json.Valid([]byte(raw)) {
			return flow.Value{}, errJSON
		}
		return flow.Value{Kind: kind, Str: raw}, nil
	}
	text := raw
	if raw[0] == '"' {
		var err error
		if text, err = unquote(raw); err != nil {
			return flow.Value{}, err
		}
	} else if kind != flow.KindInt && kind != flow.KindFloat && kind != flow.KindBool {
		return flow.Value{}, fmt.Errorf("want a string, have %s", raw)
	}
	return textValue(text, kind)
}

// textValue reads the text form that NDJSON and CSV share. "" is absent.
func textValue(s string, kind flow.Kind) (flow.Value, error) {
	if s == "" {
		return flow.Value{}, nil
	}
	v := flow.Value{Kind: kind, Str: s}
	var err error
	switch kind {
	case flow.KindInt:
		v.Str = ""
		v.Int, err = strconv.ParseInt(s, 10, 64)
	case flow.KindFloat:
		v.Str = ""
		v.Float, err = strconv.ParseFloat(s, 64)
	case flow.KindBool:
		b, berr := strconv.ParseBool(s)
		v, err = flow.BoolValue(b), berr
	case flow.KindTime:
		v.Kind = flow.KindString // Column.Set reads RFC 3339
	case flow.KindBytes:
		b, berr := base64.StdEncoding.DecodeString(s)
		v.Str, err = string(b), berr
	}
	return v, err
}
