package flow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// AppendJSON appends s as a JSON string. Bytes that are not UTF-8 become U+FFFD, as
// encoding/json has it.
func AppendJSON(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			b = append(b, s[start:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, '\\', 'n')
			case '\r':
				b = append(b, '\\', 'r')
			case '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			b = append(b, s[start:i]...)
			b = append(b, "\ufffd"...)
			i++
			start = i
			continue
		}
		i += size
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

// AppendLabels appends labels as one JSON object, in their order.
func AppendLabels(b []byte, labels []Label) []byte {
	b = append(b, '{')
	for i := range labels {
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendJSON(b, labels[i].Name)
		b = append(b, ':')
		b = AppendJSON(b, labels[i].Value)
	}
	return append(b, '}')
}

// AppendExtensions appends extensions as one JSON object, in their order.
func AppendExtensions(b []byte, exts []Extension) []byte {
	b = append(b, '{')
	for i := range exts {
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendJSON(b, exts[i].Name)
		b = append(b, ':')
		// Text with white space around it is valid JSON too, and would break a line in two.
		if exts[i].Kind == ExtString || strings.ContainsAny(exts[i].Text, " \t\r\n") || !json.Valid([]byte(exts[i].Text)) {
			b = AppendJSON(b, exts[i].Text)
		} else {
			b = append(b, exts[i].Text...)
		}
	}
	return append(b, '}')
}

// ParseLabels reads what AppendLabels wrote.
func ParseLabels(s string) ([]Label, error) {
	var out []Label
	err := eachMember(s, func(name string, raw json.RawMessage) error {
		var v string
		if err := json.Unmarshal(raw, &v); err != nil {
			return err
		}
		out = append(out, Label{name, v})
		return nil
	})
	return out, err
}

// ParseExtensions reads what AppendExtensions wrote. A member that is an object or an
// array keeps its JSON text as a string.
func ParseExtensions(s string) ([]Extension, error) {
	var out []Extension
	err := eachMember(s, func(name string, raw json.RawMessage) error {
		e := Extension{Name: name, Text: string(raw)}
		switch raw[0] {
		case '"':
			if err := json.Unmarshal(raw, &e.Text); err != nil {
				return err
			}
		case 't', 'f':
			e.Kind = ExtBool
		case '{', '[', 'n':
		default:
			e.Kind = ExtFloat
			if _, err := strconv.ParseInt(e.Text, 10, 64); err == nil {
				e.Kind = ExtInt
			}
		}
		out = append(out, e)
		return nil
	})
	return out, err
}

// eachMember walks a JSON object in its own order, which a map would lose.
func eachMember(s string, f func(string, json.RawMessage) error) error {
	if s == "" {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader([]byte(s)))
	t, err := d.Token()
	if err != nil {
		return err
	}
	if t != json.Delim('{') {
		return fmt.Errorf("not a JSON object")
	}
	for d.More() {
		k, err := d.Token()
		if err != nil {
			return err
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return err
		}
		if err := f(k.(string), raw); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

// SortLabels puts labels into the order of their names: the same labels then have the
// same bytes.
func SortLabels(l []Label) {
	slices.SortFunc(l, func(a, b Label) int {
		if a.Name != b.Name {
			if a.Name < b.Name {
				return -1
			}
			return 1
		}
		return 0
	})
}
