package main

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/hamba/avro/v2/ocf"
)

// toAvro makes of a JSON object what the source makes of an object container file that has it as
// its record. A number is a double where it is a fraction, and else a long.
func toAvro(in *input) error {
	var members map[string]any
	d := json.NewDecoder(bytes.NewReader(in.data))
	d.UseNumber()
	if err := d.Decode(&members); err != nil {
		return fmt.Errorf("%w: %w", errNoValue, err)
	}
	type field struct {
		Name string `json:"name"`
		Type any    `json:"type"`
	}
	schema := struct {
		Type   string  `json:"type"`
		Name   string  `json:"name"`
		Fields []field `json:"fields"`
	}{Type: "record", Name: "Flow", Fields: []field{}}
	record := map[string]any{}
	for name, v := range members {
		typ := ""
		switch v := v.(type) {
		case string:
			typ, record[name] = "string", v
		case json.Number:
			if n, err := v.Int64(); err == nil {
				typ, record[name] = "long", n
			} else if f, err := v.Float64(); err == nil {
				typ, record[name] = "double", f
			}
		}
		if typ == "" {
			return fmt.Errorf("%s: %w: %v", name, errNoValue, v)
		}
		record[name] = map[string]any{typ: record[name]}
		schema.Fields = append(schema.Fields, field{name, []string{"null", typ}})
	}
	text, err := json.Marshal(schema)
	if err != nil {
		return err
	}
	var file bytes.Buffer
	w, err := ocf.NewEncoder(string(text), &file)
	if err != nil {
		return err
	}
	if err := w.Encode(record); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return firstOf("canopus", file.Bytes(), in)
}
