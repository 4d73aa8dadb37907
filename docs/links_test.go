package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestLinksLeadSomewhere follows the links between the repository's pages.
func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	code := regexp.MustCompile("(?s)```.*?```")
	pages := 0
	err := filepath.WalkDir("..", func(page string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && page != ".." && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if d.IsDir() || filepath.Ext(page) != ".md" {
			return nil
		}
		pages++
		text, err := os.ReadFile(page)
		if err != nil {
			return err
		}
		for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(string(text), ""), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s: %s leads nowhere", page, m[0])
			}
		}
		return nil
	})
	if err != nil || pages < 10 {
		t.Errorf("read %d pages, %v", pages, err)
	}
}

// TestFlagsAreOnTheirPage holds the flags' table of pipelines/flows to the options.
func TestFlagsAreOnTheirPage(t *testing.T) {
	options, err := os.ReadFile("../pipelines/internal/job/options.go")
	if err != nil {
		t.Fatal(err)
	}
	var pages string
	for _, page := range []string{"../pipelines/flows/README.md", "../pipelines/replay/README.md"} {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		pages += string(b)
	}
	flags := regexp.MustCompile("`flag:\"(\\w+)\"(?: default:\"([^\"]*)\")?").FindAllStringSubmatch(string(options), -1)
	if len(flags) < 30 {
		t.Errorf("found %d flags in options.go", len(flags))
	}
	for _, f := range flags {
		row := regexp.MustCompile("(?m)^\\| `--" + f[1] + "` \\| `?" + regexp.QuoteMeta(strings.ReplaceAll(f[2], ",", ", ")) + "`? ")
		if !row.MatchString(pages) {
			if f[1] != "dead_letters" || !strings.Contains(pages, "| `--dead_letters` |") {
				t.Errorf("--%s (default %q) has no row in pipelines/flows/README.md", f[1], f[2])
			}
		}
	}
}
