package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Who changes the code that a guard is in learns here, at once, that the list wants a look.
func TestTheListFitsTheCode(t *testing.T) {
	names := map[string]bool{}
	sources := map[string]*source{}
	tests := map[string]string{} // of each package, its test files
	for _, g := range guards() {
		if names[g.name] {
			t.Errorf("%s is there twice", g.name)
		}
		names[g.name] = true
		if g.name == "" || g.why == "" || strings.Contains(g.why, "\n") || g.old == g.new {
			t.Errorf("%s: a guard has a name, a reason of one line and a change", g.name)
		}
		if sources[g.file] == nil {
			s, err := readSource(filepath.Join("..", "..", g.file))
			if err != nil {
				t.Fatalf("%s: %v", g.name, err)
			}
			sources[g.file] = s
		}
		if err := sources[g.file].add(&g, 1); err != nil {
			t.Errorf("%s: %v", g.name, err)
		}
		if tests[g.pkg()] == "" {
			files, _ := filepath.Glob(filepath.Join("..", "..", g.pkg(), "*_test.go"))
			for _, f := range files {
				b, err := os.ReadFile(f)
				if err != nil {
					t.Fatal(err)
				}
				tests[g.pkg()] += string(b)
			}
		}
		if !regexp.MustCompile(`(?m)^func ` + g.test + `\(`).MatchString(tests[g.pkg()]) {
			t.Errorf("%s: %s has no test %s", g.name, g.pkg(), g.test)
		}
	}
}

// module is a module of one package with one guarded function.
func module(t *testing.T) *lab {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module example.com/m\n\ngo 1.26\n",
		"p/p.go": `package p

import "errors"

func Half(n int) (int, error) {
	if n%2 != 0 {
		return 0, errors.New("odd")
	}
	return n / 2, nil
}

func Add(sum *int, n int) {
	if n < 0 {
		return
	}
	*sum += n
}
`,
		"p/p_test.go": `package p

import "testing"

func TestHalf(t *testing.T) {
	if _, err := Half(3); err == nil {
		t.Error("odd")
	}
}

func TestAdd(t *testing.T) {
	sum := 1
	if Add(&sum, 2); sum != 3 {
		t.Error(sum)
	}
}

func TestFails(t *testing.T) { t.Error("always") }

func TestSkipped(t *testing.T) { t.Skip() }
`,
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return &lab{root: root, tmp: t.TempDir()}
}

func TestVerdicts(t *testing.T) {
	odd := guard{name: "odd", file: "p/p.go", old: "n%2 != 0", new: "false", test: "TestHalf"}
	with := func(change func(*guard)) guard { g := odd; change(&g); return g }
	for _, c := range []struct {
		name   string
		guards []guard
		want   []verdict
		note   string // of the last
	}{
		{"a test that holds its guard, and one that does not", []guard{odd,
			{name: "negative", file: "p/p.go", old: "n < 0", new: "false", test: "TestAdd"},
			{name: "sum", file: "p/p.go", old: "*sum += n", new: "", test: "TestAdd"}}, []verdict{killed, survived, killed}, ""},
		{"a snippet that is not there, beside one that is", []guard{with(func(g *guard) { g.old = "n%3" }), odd}, []verdict{broken, killed}, ""},
		{"a snippet that is there twice", []guard{with(func(g *guard) { g.old = "return" })}, []verdict{broken}, "times"},
		{"a snippet outside of functions", []guard{with(func(g *guard) { g.old = `import "errors"` })}, []verdict{broken}, "no function's body"},
		{"a change that does not compile", []guard{with(func(g *guard) { g.new = "nonsense" })}, []verdict{broken}, "does not build"},
		{"a test that fails as the code is", []guard{with(func(g *guard) { g.test = "TestFails" })}, []verdict{broken}, "all guards in place"},
		{"a test that is not there", []guard{odd, with(func(g *guard) { g.test = "TestNone" })}, []verdict{killed, broken}, "no test TestNone"},
		{"a test that is skipped", []guard{odd, with(func(g *guard) { g.test = "TestSkipped" })}, []verdict{killed, broken}, "skipped"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := module(t)
			before, _ := os.ReadFile(filepath.Join(l.root, "p/p.go"))
			var got []verdict
			var last result
			for r := range l.tryAll(t.Context(), c.guards, 1) {
				got, last = append(got, r.verdict), r
			}
			if len(got) != len(c.want) {
				t.Fatalf("verdicts %v, want %v", got, c.want)
			}
			for i := range got {
				if got[i] != c.want[i] {
					t.Errorf("verdicts %v, want %v: %s\n%s", got, c.want, last.note, last.output)
				}
			}
			if !strings.Contains(last.note, c.note) {
				t.Errorf("note %q does not say %q", last.note, c.note)
			}
			if after, _ := os.ReadFile(filepath.Join(l.root, "p/p.go")); !bytes.Equal(before, after) {
				t.Error("the work tree was changed")
			}
			if files, _ := os.ReadDir(filepath.Join(l.root, "p")); len(files) != 2 {
				t.Errorf("%d files in the work tree, want 2", len(files))
			}
		})
	}
}
