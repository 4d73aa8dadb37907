package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// verdict is what became of a guard.
type verdict string

const (
	killed   verdict = "killed"   // its test failed without it
	survived verdict = "SURVIVED" // its test passed without it
	broken   verdict = "BROKEN"   // nothing was learnt: see the note
)

// result of one guard.
type result struct {
	guard   guard
	verdict verdict
	note    string
	output  string
	took    time.Duration // of the test
}

// lab tries guards of the module at root, with its own files under tmp.
type lab struct {
	root, tmp string
}

// testTimeout is that of one test; one that hangs without its guard has failed.
const testTimeout = "120s"

// tryAll tries the guards, so many packages at a time, and yields the results, which are
// grouped by package.
func (l *lab) tryAll(ctx context.Context, guards []guard, workers int) iter.Seq[result] {
	return func(yield func(result) bool) {
		var pkgs []string
		byPkg := map[string][]guard{}
		for _, g := range guards {
			if byPkg[g.pkg()] == nil {
				pkgs = append(pkgs, g.pkg())
			}
			byPkg[g.pkg()] = append(byPkg[g.pkg()], g)
		}
		results := make([]chan result, len(pkgs))
		for i, p := range pkgs {
			results[i] = make(chan result, len(byPkg[p]))
		}
		room := make(chan struct{}, workers)
		go func() {
			for i, p := range pkgs {
				room <- struct{}{}
				go func() {
					l.tryPackage(ctx, p, i, byPkg[p], results[i])
					close(results[i])
					<-room
				}()
			}
		}()
		for i := range pkgs {
			for r := range results[i] {
				if !yield(r) {
					return
				}
			}
		}
	}
}

// tryPackage builds one test binary, which can do without each of the guards, and runs it
// first with all of them and then without each.
func (l *lab) tryPackage(ctx context.Context, pkg string, n int, guards []guard, out chan<- result) {
	fail := func(gs []guard, note, output string) {
		for _, g := range gs {
			out <- result{guard: g, verdict: broken, note: note, output: output}
			output = "" // once is enough
		}
	}
	overlay, guards, err := l.overlay(pkg, n, guards, func(g guard, err error) { fail([]guard{g}, err.Error(), "") })
	if err != nil {
		fail(guards, err.Error(), "")
		return
	}
	if len(guards) == 0 {
		return
	}
	bin, output, err := l.build(ctx, pkg, n, overlay)
	if err != nil {
		fail(guards, "the package does not build with its guards taken away: "+err.Error(), output)
		return
	}
	defer os.Remove(bin)

	var tests []string
	for _, g := range guards {
		tests = append(tests, g.test)
	}
	if output, err = l.runTests(ctx, pkg, bin, 0, tests...); err != nil {
		fail(guards, "a test fails with all guards in place: "+err.Error(), output)
		return
	}
	for i, g := range guards {
		if !strings.Contains(output, "--- PASS: "+g.test+" ") {
			fail([]guard{g}, "there is no test "+g.test+", or it was skipped", "")
			continue
		}
		out <- l.try(ctx, pkg, bin, g, i+1)
	}
}

// try runs the test of the i-th guard of a package without it.
func (l *lab) try(ctx context.Context, pkg, bin string, g guard, i int) result {
	began := time.Now()
	output, err := l.runTests(ctx, pkg, bin, i, g.test)
	r := result{guard: g, output: output, took: time.Since(began)}
	switch exit := (*exec.ExitError)(nil); {
	case ctx.Err() != nil:
		r.verdict, r.note = broken, "interrupted"
	case err == nil:
		r.verdict, r.note = survived, g.why
	case errors.As(err, &exit) && strings.Contains(output, "=== RUN   "+g.test+"\n"):
		r.verdict = killed
	default:
		r.verdict, r.note = broken, err.Error()
	}
	return r
}

// overlay writes the package's files with the switches in them, and what go build needs
// to take them. It returns the guards that are in them, in the order of their numbers,
// from 1; stale is told of the others.
func (l *lab) overlay(pkg string, n int, guards []guard, stale func(guard, error)) (string, []guard, error) {
	dir, err := filepath.Abs(filepath.Join(l.root, filepath.FromSlash(pkg)))
	if err != nil {
		return "", guards, err
	}
	sources := map[string]*source{}
	var in []guard
	for _, g := range guards {
		path := filepath.Join(dir, filepath.Base(g.file))
		if sources[path] == nil {
			if sources[path], err = readSource(path); err != nil {
				return "", guards, err
			}
		}
		if err := sources[path].add(&g, len(in)+1); err != nil {
			stale(g, err)
			continue
		}
		in = append(in, g)
	}
	replace := map[string]string{}
	write := func(path string, b []byte) error {
		tmp := filepath.Join(l.tmp, fmt.Sprintf("%d-%s", n, filepath.Base(path)))
		replace[path] = tmp
		return os.WriteFile(tmp, b, 0o666)
	}
	for path, s := range sources {
		if err := write(path, s.mutated()); err != nil {
			return "", guards, err
		}
		if err := write(filepath.Join(dir, "zz_mutant.go"), switchFile(s.pkg)); err != nil {
			return "", guards, err
		}
	}
	b, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		return "", guards, err
	}
	overlay := filepath.Join(l.tmp, fmt.Sprintf("%d.json", n))
	return overlay, in, os.WriteFile(overlay, b, 0o666)
}

// build compiles a package's tests, without vet and debug tables, which takes less time.
func (l *lab) build(ctx context.Context, pkg string, n int, overlay string) (bin, output string, err error) {
	bin, err = filepath.Abs(filepath.Join(l.tmp, fmt.Sprintf("%d.test", n)))
	if err != nil {
		return "", "", err
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-ldflags=-s -w", "-overlay="+overlay, "-o", bin, pkg)
	cmd.Dir = l.root
	b, err := cmd.CombinedOutput()
	return bin, string(b), err
}

// runTests runs a package's tests in its folder, as go test does, without the guard of
// the given number; 0 is none.
func (l *lab) runTests(ctx context.Context, pkg, bin string, without int, tests ...string) (string, error) {
	cmd := exec.CommandContext(ctx, bin, "-test.v", "-test.count=1", "-test.timeout="+testTimeout, "-test.run=^("+strings.Join(tests, "|")+")$")
	cmd.Dir = filepath.Join(l.root, filepath.FromSlash(pkg))
	cmd.Env = append(os.Environ(), switchVariable+"="+strconv.Itoa(without))
	b, err := cmd.CombinedOutput()
	return string(b), err
}
