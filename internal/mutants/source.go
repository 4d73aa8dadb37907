package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
)

// source is a Go file of which guards are taken away by a switch: a function that has
// guards begins with a copy of its body for each, without the guard, that runs where the
// switch has the guard's number. So one build serves all guards of a package, and what a
// guard alone uses stays in use.
type source struct {
	path, pkg string
	text      []byte
	fset      *token.FileSet
	file      *ast.File
	copies    map[*ast.FuncDecl][]string
}

// The switch of a test binary.
const (
	switchVariable = "FLOWBEAM_MUTANT"
	switchName     = "mutant__"
)

func switchFile(pkg string) []byte {
	return fmt.Appendf(nil, "package %s\n\nimport (\n\t\"os\"\n\t\"strconv\"\n)\n\nvar %s, _ = strconv.Atoi(os.Getenv(%q))\n", pkg, switchName, switchVariable)
}

func readSource(path string) (*source, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s := &source{path: path, text: text, fset: token.NewFileSet(), copies: map[*ast.FuncDecl][]string{}}
	if s.file, err = parser.ParseFile(s.fset, path, text, parser.SkipObjectResolution); err != nil {
		return nil, err
	}
	s.pkg = s.file.Name.Name
	return s, nil
}

// add adds the copy of a function without the guard. The error says that the list is
// stale.
func (s *source) add(g *guard, number int) error {
	if n := bytes.Count(s.text, []byte(g.old)); n != 1 {
		return fmt.Errorf("the list is stale: %s has %d times what it names as old, want once", g.file, n)
	}
	at := bytes.Index(s.text, []byte(g.old))
	for _, d := range s.file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Body == nil {
			continue
		}
		from, to := s.body(f)
		if at < from || at+len(g.old) > to {
			continue
		}
		body := string(s.text[from:at]) + g.new + string(s.text[at+len(g.old):to])
		if f.Type.Results == nil {
			body += "\nreturn\n"
		}
		s.copies[f] = append(s.copies[f], fmt.Sprintf("\nif %s == %d {%s\n}\n", switchName, number, body))
		return nil
	}
	return fmt.Errorf("%s: what it names as old is in no function's body", g.file)
}

// body is where a function's body is, without its braces.
func (s *source) body(f *ast.FuncDecl) (from, to int) {
	return s.fset.Position(f.Body.Lbrace).Offset + 1, s.fset.Position(f.Body.Rbrace).Offset
}

// mutated is the file with all copies in it.
func (s *source) mutated() []byte {
	functions := make([]*ast.FuncDecl, 0, len(s.copies))
	for f := range s.copies {
		functions = append(functions, f)
	}
	slices.SortFunc(functions, func(a, b *ast.FuncDecl) int { return int(a.Pos() - b.Pos()) })
	var out []byte
	done := 0
	for _, f := range functions {
		from, _ := s.body(f)
		out = append(out, s.text[done:from]...)
		done = from
		for _, c := range s.copies[f] {
			out = append(out, c...)
		}
	}
	return append(out, s.text[done:]...)
}
