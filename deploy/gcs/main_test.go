package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/internal/filesystem/fakestore"
)

var fake *fakestore.Server

func TestMain(m *testing.M) {
	fake = fakestore.Start()
	os.Exit(m.Run())
}

// What arrives at the service is what stands in the file.
func TestTheRulesOfTheFileAreSet(t *testing.T) {
	b := fake.Bucket()
	for range 2 { // it may be run again
		var out, errOut bytes.Buffer
		if code := run(t.Context(), []string{"-bucket", b.Name, "-lifecycle", "lifecycle.json"}, &out, &errOut); code != 0 {
			t.Fatalf("%d: %s", code, errOut.String())
		}
		if !strings.Contains(out.String(), "5 lifecycle rules") {
			t.Error(out.String())
		}
	}
	text, err := os.ReadFile("lifecycle.json")
	if err != nil {
		t.Fatal(err)
	}
	var want, have any
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b.Rules(), &have); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, have); d != "" {
		t.Error(d)
	}
}

// A rule that deleted a dataset's layout would have its records written twice.
func TestNoRuleDeletesALayout(t *testing.T) {
	text, err := os.ReadFile("lifecycle.json")
	if err != nil {
		t.Fatal(err)
	}
	rules, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range rules.Rules {
		if r.Action.Type != "Delete" {
			continue
		}
		if len(r.Condition.MatchesSuffix) == 0 {
			t.Errorf("rule %d deletes by age alone", i+1)
		}
		for _, s := range r.Condition.MatchesSuffix {
			if strings.HasSuffix("flows/_layout.json", s) {
				t.Errorf("rule %d deletes _layout.json", i+1)
			}
		}
	}
}

func TestRulesThatAreNotUnderstoodAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON":           `{`,
		"unknown condition": `{"rule":[{"action":{"type":"Delete"},"condition":{"age":1,"customTimeBefor":"2026-01-01"}}]}`,
		"unknown action":    `{"rule":[{"action":{"type":"Remove"},"condition":{"age":1}}]}`,
		"no condition":      `{"rule":[{"action":{"type":"Delete"},"condition":{}}]}`,
		"no class":          `{"rule":[{"action":{"type":"SetStorageClass"},"condition":{"age":1}}]}`,
	} {
		path := filepath.Join(t.TempDir(), "x.json")
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		b := fake.Bucket()
		var errOut bytes.Buffer
		if code := run(t.Context(), []string{"-bucket", b.Name, "-lifecycle", path}, &errOut, &errOut); code != 1 || b.Rules() != nil {
			t.Errorf("%s: %d, set %s", name, code, b.Rules())
		}
	}
}

func TestABucketThatIsNotThereIsAnError(t *testing.T) {
	var errOut bytes.Buffer
	if code := run(t.Context(), []string{"-bucket", "no-such-bucket", "-lifecycle", "lifecycle.json"}, &errOut, &errOut); code != 1 || !strings.Contains(errOut.String(), "no-such-bucket") {
		t.Errorf("%d: %s", code, errOut.String())
	}
}
