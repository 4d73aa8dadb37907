package house

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "github.com/flowbeam/flowbeam/"
	beam   = "github.com/apache/beam/sdks/v2/go/"
	beamx  = beam + "pkg/beam/x/beamx"
)

// onWindowing are the transforms that stand on windowing: the one step sideways.
var onWindowing = []string{"transforms/dedupe", "transforms/rollup"}

// forbidden says why the file, a path in the repository, may not import what it imports,
// or "". Imports point one way:
//
//	pipelines → {sources, transforms, windowing, sinks} → flow → standard library + Beam
//
// internal may be used by all but flow, and imports flow and internal alone. A program below
// internal/gen may import a transform too: what it writes down it has tried.
func forbidden(file, imported string) string {
	pkg := path.Dir(file)
	to, ours := strings.CutPrefix(imported, module)
	switch {
	case imported == beamx:
		if top(pkg) == "pipelines" && path.Base(file) == "main.go" {
			return ""
		}
		return "beamx brings every runner: pipelines/*/main.go alone imports it"
	case !ours:
		if pkg == "flow" && strings.Contains(strings.Split(imported, "/")[0], ".") && !strings.HasPrefix(imported, beam) {
			return "flow imports the standard library and Beam alone"
		}
		return ""
	case to == pkg || strings.HasPrefix(to, pkg+"/internal/"):
		return ""
	}
	switch top(pkg) {
	case "flow", "testdata":
		return pkg + " imports no package of this repository"
	case "flowtest":
		if to != "flow" && (to != "flowtest" || pkg == "flowtest") {
			return "flowtest imports flow alone, and what is below it flowtest too"
		}
	case "internal":
		if strings.HasPrefix(pkg, "internal/gen/") && top(to) == "transforms" {
			return ""
		}
		if to != "flow" && top(to) != "internal" {
			return "internal imports flow and internal alone"
		}
	case "sources", "transforms", "windowing", "sinks":
		if to == "windowing" && slices.Contains(onWindowing, pkg) || to == "flow" || top(to) == "internal" {
			return ""
		}
		return "sources, transforms, windowing and sinks import flow and internal, not each other"
	case "pipelines":
		if top(to) == "flowtest" {
			return "flowtest is for tests"
		}
	default:
		return "no rule for this folder: add one"
	}
	return ""
}

func top(pkg string) string { return strings.Split(pkg, "/")[0] }

func TestImportsPointOneWay(t *testing.T) {
	files := 0
	for _, file := range goFiles(t) {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		files++
		for _, imported := range imports(t, file) {
			if why := forbidden(file, imported); why != "" {
				t.Errorf("%s imports %s: %s", file, imported, why)
			}
		}
	}
	if files < 50 {
		t.Errorf("looked at %d files: the walk misses most of the repository", files)
	}
}

func TestForbiddenImports(t *testing.T) {
	for _, c := range []struct {
		file, imported string
		refused        bool
	}{
		{"pipelines/flows/main.go", module + "pipelines/internal/job", false},
		{"pipelines/flows/main.go", beamx, false},
		{"pipelines/internal/job/run.go", beamx, true},
		{"transforms/rollup/rollup.go", beamx, true},
		{"pipelines/internal/job/graph.go", module + "transforms/parse", false},
		{"pipelines/internal/job/graph.go", module + "flowtest", true},
		{"transforms/parse/zeek.go", module + "flow", false},
		{"transforms/parse/zeek.go", module + "internal/reload", false},
		{"transforms/parse/zeek.go", "github.com/klauspost/compress/gzip", false},
		{"transforms/parse/zeek.go", module + "transforms/geoip", true},
		{"transforms/parse/zeek.go", module + "sinks/filesink", true},
		{"transforms/parse/zeek.go", module + "windowing", true},
		{"transforms/rollup/rollup.go", module + "windowing", false},
		{"windowing/window.go", module + "transforms/rollup", true},
		{"sources/filesource/read.go", module + "sources/datasetsource", true},
		{"sinks/filesink/write.go", module + "sources/filesource", true},
		{"sinks/filesink/write.go", module + "internal/dataset", false},
		{"sinks/filesink/write.go", module + "pipelines/internal/job", true},
		{"internal/dataset/writer.go", module + "flow", false},
		{"internal/gen/formats/trial.go", module + "transforms/parse", false},
		{"internal/gen/formats/trial.go", module + "sinks/filesink", true},
		{"internal/gen/schemas.go", module + "transforms/parse", true},
		{"internal/dataset/writer.go", module + "transforms/parse", true},
		{"internal/dataset/writer.go", module + "internal/shard", false},
		{"internal/dataset/writer.go", module + "sinks/filesink", true},
		{"flow/record.go", "strings", false},
		{"flow/record.go", beam + "pkg/beam", false},
		{"flow/record.go", "github.com/klauspost/compress/zstd", true},
		{"flow/record.go", module + "internal/shard", true},
		{"flowtest/record.go", module + "flow", false},
		{"flowtest/record.go", module + "transforms/parse", true},
		{"elsewhere/new.go", module + "flow", true},
	} {
		t.Run(fmt.Sprintf("%s imports %s", path.Dir(c.file), path.Base(c.imported)), func(t *testing.T) {
			if why := forbidden(c.file, c.imported); (why != "") != c.refused {
				t.Errorf("forbidden = %q, want refused %v", why, c.refused)
			}
		})
	}
}

// repository is the root of the repository.
var repository = os.DirFS("../..")

// skipped are folders of what was built, fetched or written by a run.
var skipped = []string{".git", ".state", "bin", "out", "flowbeam-out", "loadgen-output"}

func walk(t *testing.T, visit func(file string)) {
	t.Helper()
	err := fs.WalkDir(repository, ".", func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains(skipped, file):
			return fs.SkipDir
		case d.Type().IsRegular():
			visit(file)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func goFiles(t *testing.T) (files []string) {
	walk(t, func(file string) {
		if strings.HasSuffix(file, ".go") {
			files = append(files, file)
		}
	})
	return files
}

func imports(t *testing.T, file string) (paths []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, read(t, file), parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range f.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, p)
	}
	return paths
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := fs.ReadFile(repository, file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
