package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"
)

// TestSamplesHaveEachNameThatTheDecodersKnow reads the names in the decoders' tables and switches: one
// that no sample has would be missing on the page.
func TestSamplesHaveEachNameThatTheDecodersKnow(t *testing.T) {
	sections, err := tried()
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]map[string]bool{}
	for _, s := range sections {
		m := map[string]bool{}
		for _, trial := range s.trials {
			f := strings.ReplaceAll(strings.ReplaceAll(trial.field, "[]", ""), "-", "_")
			f, _, _ = strings.Cut(f, " (") // the number of a field on the wire
			m[f] = true
			f, _, _ = strings.Cut(f, ": ") // what is inside of a value
			for part := range strings.SplitSeq(f, ".") {
				m[part] = true
			}
		}
		fields[s.title] = m
	}
	for file, titles := range map[string][]string{
		"canopus.go": {"canopus"}, "zeek_fields.go": {"zeek"}, "aws_vpc.go": {"aws_vpc"}, "aws_cloudwatch.go": {"aws_cloudwatch"},
		"azure.go": {"azure_vnet", "azure_nsg"}, "azure_vnet.go": {"azure_vnet"}, "azure_nsg.go": {"azure_nsg"}, "gcp_vpc.go": {"gcp_vpc"}, "suricata.go": {"suricata"},
		"argus.go": {"argus"}, "nfdump_csv.go": {"nfdump"}, "nfdump_json.go": {"nfdump_json"}, "pmacct.go": {"pmacct"}, "goflow2.go": {"goflow2", "goflow2_protobuf"},
	} {
		names := knownNames(t, "../../../transforms/parse/"+file)
		t.Logf("%s: %d names", file, len(names))
		if len(names) < 1 {
			t.Errorf("%s: no names found", file)
		}
		for _, title := range titles {
			for _, name := range names {
				if !fields[title][name] && !notOnThePage[file+" "+name] {
					t.Errorf("%s: no sample of %s has %s", file, title, name)
				}
			}
		}
	}
}

// notOnThePage are names that are said in words.
var notOnThePage = map[string]bool{
	"aws_vpc.go message": true, // Firehose's
	"azure.go records":   true, // a blob is an array of entries, and an entry a sample
}

// knownNames are the strings that a file compares with names of members and columns, and those in its
// tables of names.
func knownNames(t *testing.T, file string) (names []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	add := func(e ast.Expr) {
		if l, ok := e.(*ast.BasicLit); ok && l.Kind == token.STRING {
			if s, _ := strconv.Unquote(l.Value); s != "" {
				names = append(names, s)
			}
		}
	}
	isName := func(e ast.Expr) bool {
		if i, ok := e.(*ast.Ident); ok {
			return i.Name == "name"
		}
		s, ok := e.(*ast.SelectorExpr)
		return ok && s.Sel.Name == "name"
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SwitchStmt:
			if n.Tag == nil || !isName(n.Tag) {
				return true
			}
			for _, c := range n.Body.List {
				for _, e := range c.(*ast.CaseClause).List {
					add(e)
				}
			}
		case *ast.CallExpr: // needed(members, "flowRecords", …)
			if f, ok := n.Fun.(*ast.Ident); ok && len(n.Args) > 1 && (f.Name == "needed" || f.Name == "present" || f.Name == "textOf") {
				add(n.Args[1])
			}
		case *ast.BinaryExpr:
			if n.Op == token.EQL && isName(n.X) {
				add(n.Y)
			}
		case *ast.ValueSpec:
			if len(n.Values) != 1 || len(n.Names) != 1 {
				return true
			}
			table, ok := n.Values[0].(*ast.CompositeLit)
			if !ok || !strings.HasSuffix(n.Names[0].Name, "Names") && !strings.HasSuffix(n.Names[0].Name, "Members") &&
				!strings.HasSuffix(n.Names[0].Name, "Numbers") && !strings.HasSuffix(n.Names[0].Name, "Fields") {
				return true
			}
			for _, e := range table.Elts {
				kv, ok := e.(*ast.KeyValueExpr)
				if !ok {
					continue
				}
				add(kv.Key)
				if v, ok := kv.Value.(*ast.CompositeLit); ok && len(v.Elts) > 0 {
					add(v.Elts[0])
				}
			}
		}
		return true
	})
	return names
}
