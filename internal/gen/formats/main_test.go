package main

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
)

func TestThePageIsWhatTheDecodersDo(t *testing.T) {
	want, err := made()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../../docs/formats.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("docs/formats.md is not what the decoders do; if that is meant: go generate ./transforms/parse\n%s",
			cmp.Diff(strings.Split(string(got), "\n"), strings.Split(string(want), "\n")))
	}
}

func TestEachFormatIsOnThePage(t *testing.T) {
	sections, err := tried()
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, s := range sections {
		have = append(have, s.formats...)
	}
	slices.Sort(have)
	if d := cmp.Diff(flow.FormatNames(), have); d != "" {
		t.Errorf("formats and sections: %s", d)
	}
}
