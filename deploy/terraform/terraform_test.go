package terraform

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// attribute is one of a resource or block, as internal/gen/terraform writes it.
type attribute struct {
	Required bool                 `json:"required"`
	Block    map[string]attribute `json:"block"`
}

// module is what the files of a folder declare.
type module struct {
	t         testing.TB
	schema    map[string]map[string]attribute
	resources map[string]bool // kind.name
	variables map[string]bool // of which each must be used
	locals    map[string]bool
	outputs   map[string]bool
	modules   map[string]*module
	used      map[string]bool
	bodies    map[string]*hclsyntax.Body // by file
}

func load(t testing.TB, dir string) *module {
	m := &module{
		t: t, resources: map[string]bool{}, variables: map[string]bool{}, locals: map[string]bool{},
		outputs: map[string]bool{}, modules: map[string]*module{}, used: map[string]bool{}, bodies: map[string]*hclsyntax.Body{},
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.tf"))
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		file, problems := hclsyntax.ParseConfig(b, f, hcl.InitialPos)
		if problems.HasErrors() {
			t.Fatal(problems)
		}
		m.declare(file.Body.(*hclsyntax.Body), dir)
		m.bodies[f] = file.Body.(*hclsyntax.Body)
	}
	return m
}

func (m *module) declare(body *hclsyntax.Body, dir string) {
	for _, b := range body.Blocks {
		switch b.Type {
		case "resource":
			m.resources[b.Labels[0]+"."+b.Labels[1]] = true
		case "data":
			m.resources["data."+b.Labels[0]+"."+b.Labels[1]] = true
		case "variable":
			m.variables[b.Labels[0]] = true
		case "output":
			m.outputs[b.Labels[0]] = true
		case "locals":
			for name := range b.Body.Attributes {
				m.locals[name] = true
			}
		case "module":
			source, _ := b.Body.Attributes["source"].Expr.Value(nil)
			inner := load(m.t, filepath.Join(dir, source.AsString()))
			m.modules[b.Labels[0]] = inner
			for name := range b.Body.Attributes {
				if name != "source" && !inner.variables[name] {
					m.t.Errorf("module %s has no variable %s", b.Labels[0], name)
				}
			}
			for name := range inner.variables {
				if b.Body.Attributes[name] == nil {
					m.t.Errorf("module %s is not given %s", b.Labels[0], name)
				}
			}
		}
	}
}

// meta are the arguments that every resource takes.
var meta = []string{"count", "for_each", "provider", "depends_on", "lifecycle"}

// computed are attributes that a provider makes: the declarations of a configuration lack them.
var computed = []string{"id", "name", "email", "member", "number"}

func (m *module) checkBody(at string, body *hclsyntax.Body, schema map[string]attribute) {
	has := map[string]bool{}
	for name := range body.Attributes {
		has[name] = true
		if a, ok := schema[name]; !ok && !slices.Contains(meta, name) {
			m.t.Errorf("%s: the provider knows no attribute %s", at, name)
		} else if a.Block != nil {
			m.t.Errorf("%s: %s is a block", at, name)
		}
	}
	for _, b := range body.Blocks {
		name, inner := b.Type, b.Body
		if name == "dynamic" {
			name = b.Labels[0]
			for _, c := range b.Body.Blocks {
				inner = c.Body
			}
		}
		has[name] = true
		if slices.Contains(meta, name) {
			continue
		}
		a, ok := schema[name]
		if !ok || a.Block == nil {
			m.t.Errorf("%s: the provider knows no block %s", at, name)
			continue
		}
		m.checkBody(at+"."+name, inner, a.Block)
	}
	for name, a := range schema {
		if a.Required && !has[name] {
			m.t.Errorf("%s: %s is required", at, name)
		}
	}
}

// checkReference finds what an expression names.
func (m *module) checkReference(at string, ref hcl.Traversal, iterators []string) {
	part := func(i int) string {
		if i < len(ref) {
			switch p := ref[i].(type) {
			case hcl.TraverseRoot:
				return p.Name
			case hcl.TraverseAttr:
				return p.Name
			}
		}
		return ""
	}
	root := part(0)
	known := true
	switch {
	case slices.Contains([]string{"each", "count", "path"}, root), slices.Contains(iterators, root):
	case root == "var":
		known, m.used[part(1)] = m.variables[part(1)], true
	case root == "local":
		known = m.locals[part(1)]
	case root == "module":
		inner := m.modules[part(1)]
		known = inner != nil && inner.outputs[part(2)]
	case root == "data":
		known = m.resources["data."+part(1)+"."+part(2)]
	default:
		name := m.last(ref)
		known = m.resources[root+"."+part(1)] &&
			(name == "" || slices.Contains(computed, name) || m.schema == nil || hasKey(m.schema[root], name))
	}
	if !known {
		m.t.Errorf("%s: %s is not declared", at, string(hclTokens(ref)))
	}
}

// last is the attribute of a resource that a reference names, after its index if it has one.
func (m *module) last(ref hcl.Traversal) string {
	for _, p := range ref[min(2, len(ref)):] {
		if a, ok := p.(hcl.TraverseAttr); ok {
			return a.Name
		}
	}
	return ""
}

func hasKey(s map[string]attribute, name string) bool { _, ok := s[name]; return ok }

func hclTokens(ref hcl.Traversal) (b []byte) {
	for i, p := range ref {
		switch p := p.(type) {
		case hcl.TraverseRoot:
			b = append(b, p.Name...)
		case hcl.TraverseAttr:
			b = append(append(b, '.'), p.Name...)
		default:
			if i > 0 {
				b = append(b, "[…]"...)
			}
		}
	}
	return b
}

func (m *module) checkReferences(at string, body *hclsyntax.Body, iterators []string) {
	for name, a := range body.Attributes {
		if name == "provider" || name == "type" && at == "variable" || name == "ignore_changes" || name == "source" {
			continue
		}
		for _, ref := range a.Expr.Variables() {
			m.checkReference(at+"."+name, ref, iterators)
		}
	}
	for _, b := range body.Blocks {
		inner := iterators
		if b.Type == "dynamic" {
			inner = append(slices.Clone(iterators), b.Labels[0])
		}
		at := at
		if at == "" {
			at = b.Type
			for _, l := range b.Labels {
				at += "." + l
			}
			if b.Type == "variable" {
				at = b.Type
			}
			if b.Type == "terraform" {
				continue
			}
		}
		m.checkReferences(at, b.Body, inner)
	}
}

func TestEachAttributeAndReferenceIsKnown(t *testing.T) {
	m := load(t, ".")
	b, err := os.ReadFile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &m.schema); err != nil {
		t.Fatal(err)
	}
	resources := 0
	for _, body := range m.bodies {
		for _, b := range body.Blocks {
			kind := ""
			switch b.Type {
			case "resource":
				kind = b.Labels[0]
			case "data":
				kind = "data." + b.Labels[0]
			default:
				continue
			}
			resources++
			schema, ok := m.schema[kind]
			if !ok {
				t.Errorf("%s is not in schema.json: make it anew", kind)
				continue
			}
			m.checkBody(kind+"."+b.Labels[1], b.Body, schema)
		}
		m.checkReferences("", body, nil)
	}
	if resources < 20 {
		t.Errorf("only %d resources were looked at", resources)
	}
	for name := range m.variables {
		if !m.used[name] {
			t.Errorf("variable %s is not used", name)
		}
	}
	for name, inner := range m.modules {
		for _, body := range inner.bodies {
			inner.checkReferences("", body, nil)
		}
		for v := range inner.variables {
			if !inner.used[v] {
				t.Errorf("variable %s of module %s is not used", v, name)
			}
		}
	}
}

// The rules of names are run by Terraform itself, which needs no provider for them.
func TestNames(t *testing.T) {
	terraform, err := exec.LookPath("terraform")
	if err != nil {
		t.Skip("terraform is not installed")
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("names")); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"init", "-no-color"}, {"test", "-no-color"}} {
		c := exec.Command(terraform, args...)
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("terraform %v: %v\n%s", args, err, out)
		}
	}
	if out, err := exec.Command(terraform, "fmt", "-check", "-diff", "-recursive", ".").Output(); err != nil {
		t.Errorf("terraform fmt: %v\n%s", err, out)
	}
}
