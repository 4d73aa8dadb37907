// Schemas writes the committed schema files and the field reference page from flow's
// tables. Run it by `go generate ./flow`.
//
// The baselines are not among them: they say what is in stores already. A new column is
// added to them, by -baseline, with the release that ships it.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/gen"
)

func main() {
	baseline := flag.Bool("baseline", false, "write the baselines too: only with a release, after the test of compatibility passed")
	flag.Parse()
	_, file, _, _ := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(file), "..", "..", "..")
	if err := write(root, *baseline); err != nil {
		fmt.Fprintln(os.Stderr, "schemas:", err)
		os.Exit(1)
	}
}

func write(root string, baseline bool) error {
	files := gen.SchemaFiles()
	if baseline {
		for name, contract := range map[string][]flow.ColumnContract{
			"flows": flow.Records.Contract(), "dead_letters": flow.Failures.Contract(),
		} {
			b, err := json.MarshalIndent(contract, "", "  ")
			if err != nil {
				return err
			}
			files["schemas/"+name+".baseline.json"] = append(b, '\n')
		}
	}
	for name, content := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
