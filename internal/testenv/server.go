package testenv

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// Server returns what is known of a server under a name such as FLOWBEAM_ES_URL: the
// environment variable, or else the line of the stack that scripts/up started. Where
// neither is there the test is skipped, and fails in CI.
func Server(t testing.TB, name string) string {
	t.Helper()
	if v := os.Getenv(name); v != "" {
		return v
	}
	if v := stack()[name]; v != "" {
		return v
	}
	SkipOrFail(t, name+" is not set: start the servers with scripts/up")
	return ""
}

// stack reads .state/stack.env, lines NAME=VALUE, which scripts/up writes and scripts/down
// removes.
var stack = sync.OnceValue(func() map[string]string {
	_, file, _, _ := runtime.Caller(0)
	b, err := os.ReadFile(filepath.Join(filepath.Dir(file), "..", "..", ".state", "stack.env"))
	if err != nil {
		return nil
	}
	out := map[string]string{}
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			out[name] = value
		}
	}
	return out
})
