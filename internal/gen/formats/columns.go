package main

import (
	"fmt"
	"strings"
)

// columnTrials tries each column of samples of one line each, which have their header in front.
// names is the header's line with the columns' names, of which prefix is none.
func columnTrials(file columnFile, values map[string][]string) ([]trial, error) {
	var out []trial
	names := strings.Split(file.names, file.separator)
	for _, line := range file.lines {
		texts := strings.Split(line, file.separator)
		if len(texts) != len(names) {
			return nil, fmt.Errorf("%d values in the sample, %d names: %s", len(texts), len(names), line)
		}
		base := input{header: file.header, data: []byte(line)}
		for i, name := range names {
			name = strings.TrimSpace(name)
			if texts[i] == file.blank {
				continue
			}
			put := func(v string) input {
				now := append([]string(nil), texts...)
				now[i] = v
				return input{header: file.header, data: []byte(strings.Join(now, file.separator))}
			}
			out = append(out, valueTrial(name, base, texts[i], values[name], put, put(file.blank)))
		}
	}
	return out, nil
}

// columnFile is a file of samples.
type columnFile struct {
	header    string // all of it
	names     string // the columns' names in it
	types     string // their types, "" where it has none
	separator string
	blank     string // of a value that is not there
	lines     []string
}

// otherColumn is the trial of a column that nobody knows.
func otherColumn(f columnFile) *trial {
	header := strings.Replace(f.header, f.names, f.names+f.separator+other, 1)
	if f.types != "" {
		header = strings.Replace(header, f.types, f.types+f.separator+"string", 1)
	}
	with := func(v string) input { return input{header: header, data: []byte(f.lines[0] + f.separator + v)} }
	return &trial{field: other, base: with("a1"), changed: []input{with("a2")}}
}
