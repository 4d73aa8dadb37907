package house

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strings"
	"testing"
)

// TestTransformsHaveExamples wants each exported function that takes a beam.Scope or
// gives a flow.Step to be called by an Example whose output is checked.
func TestTransformsHaveExamples(t *testing.T) {
	wanted := map[string][]string{} // package to functions
	shown := map[string][]string{}  // package to what its examples call
	for _, file := range goFiles(t) {
		pkg := path.Dir(file)
		if !slices.Contains([]string{"flow", "sources", "transforms", "windowing", "sinks"}, top(pkg)) {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, read(t, file), parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, "_test.go") {
			shown[pkg] = append(shown[pkg], called(f)...)
		} else {
			wanted[pkg] = append(wanted[pkg], transforms(f)...)
		}
	}
	total := 0
	for pkg, functions := range wanted {
		for _, name := range functions {
			total++
			if !slices.Contains(shown[pkg], name) {
				t.Errorf("%s.%s: no Example with Output calls it", pkg, name)
			}
		}
	}
	if total < 15 {
		t.Errorf("found %d transforms: the search misses most of them", total)
	}
}

// transforms names the exported functions of a file that take a beam.Scope first or give a
// flow.Step.
func transforms(f *ast.File) (names []string) {
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Recv != nil || !fn.Name.IsExported() {
			continue
		}
		p, r := fn.Type.Params.List, fn.Type.Results
		if len(p) > 0 && named(p[0].Type, "beam.Scope") || r != nil && len(r.List) == 1 && named(r.List[0].Type, "flow.Step") {
			names = append(names, fn.Name.Name)
		}
	}
	return names
}

func named(e ast.Expr, want string) bool {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && x.Name+"."+sel.Sel.Name == want
}

// called names what the examples of a file call, where their output is checked.
func called(f *ast.File) (names []string) {
	for _, e := range doc.Examples(f) {
		if e.Output == "" {
			continue
		}
		ast.Inspect(e.Code, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if sel, ok := call.Fun.(*ast.SelectorExpr); ok {
					names = append(names, sel.Sel.Name)
				}
			}
			return true
		})
	}
	return names
}
