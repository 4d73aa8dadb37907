// Package testenv says what a test's surroundings have: the data set beside the
// repository, the servers, and whether their absence may be skipped.
package testenv

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// CI says whether the tests run in continuous integration, where a skipped part is a
// failure.
func CI() bool { return os.Getenv("CI") == "true" }

// Shared returns the path of name in the data set ../shared/data beside the repository.
// Where that is absent the test is skipped, and fails in CI.
func Shared(t testing.TB, name string) string {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(file), "..", "..")
	path := filepath.Join(root, "..", "shared", "data", filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		SkipOrFail(t, "the data set ../shared/data/"+name+" is absent")
	}
	return path
}

// SkipOrFail skips the test for the reason given, or fails it in CI.
func SkipOrFail(t testing.TB, reason string) {
	t.Helper()
	if CI() {
		t.Fatalf("CI=true, and %s", reason)
	}
	t.Skipf("skipped: %s", reason)
}
