// Program terraform makes deploy/terraform/schema.json: of each resource that is used there the
// attributes and blocks that the provider knows, so that a test finds a wrong one without the
// provider, which no public registry of packages has but Terraform's own.
//
//	npm pack @cdktf/provider-google@16.12.1 @cdktf/provider-google-beta@16.12.1   # of provider 6.50.0
//	for p in *.tgz; do mkdir "${p%.tgz}" && tar xzf "$p" -C "${p%.tgz}"; done
//	go run ./internal/gen/terraform */package/lib >deploy/terraform/schema.json
package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Attribute is one of a resource or block.
type Attribute struct {
	Required bool                 `json:"required,omitempty"`
	Block    map[string]Attribute `json:"block,omitempty"`
}

var (
	interfaces = regexp.MustCompile(`(?ms)^export interface (\w+)( extends cdktf\.TerraformMetaArguments)? \{\n(.*?)^\}`)
	members    = regexp.MustCompile(`(?s)#(\w+) \w+#\w+\}.*?readonly \w+(\??): ([^;{]+|\{[^}]*\});`)
	kinds      = regexp.MustCompile(`docs/(resources|data-sources)/(\w+)#`)
	wordsOf    = regexp.MustCompile(`\w+`)
)

func main() {
	log.SetFlags(0)
	used, err := usedKinds("deploy/terraform")
	if err != nil {
		log.Fatal(err)
	}
	all := map[string]map[string]Attribute{}
	for _, dir := range os.Args[1:] {
		err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.Name() != "index.d.ts" {
				return err
			}
			b, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			if kind, attributes := resource(string(b)); used[kind] && all[kind] == nil {
				all[kind] = attributes
			}
			return nil
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	for kind := range used {
		if all[kind] == nil {
			log.Fatalf("%s: in none of %v", kind, os.Args[1:])
		}
	}
	b, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(b))
}

// usedKinds are the resources and data sources of the files in dir; of a data source with "data." before
// its name.
func usedKinds(dir string) (map[string]bool, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.tf"))
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	head := regexp.MustCompile(`(?m)^(resource|data) "(\w+)"`)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		for _, m := range head.FindAllStringSubmatch(string(b), -1) {
			if m[1] == "data" {
				m[2] = "data." + m[2]
			}
			used[m[2]] = true
		}
	}
	return used, nil
}

// resource reads the declarations of one resource: its name and what its configuration takes.
func resource(text string) (kind string, attributes map[string]Attribute) {
	bodies := map[string]string{}
	top := ""
	for _, m := range interfaces.FindAllStringSubmatch(text, -1) {
		bodies[m[1]] = m[3]
		if m[2] != "" {
			top = m[1]
		}
	}
	m := kinds.FindStringSubmatch(bodies[top])
	if m == nil {
		return "", nil
	}
	if kind = "google_" + strings.TrimPrefix(m[2], "google_"); m[1] == "data-sources" {
		kind = "data." + kind
	}
	return kind, attributesOf(bodies, top)
}

func attributesOf(bodies map[string]string, name string) map[string]Attribute {
	out := map[string]Attribute{}
	for _, m := range members.FindAllStringSubmatch(bodies[name], -1) {
		a := Attribute{Required: m[2] == ""}
		if inner := wordsOf.FindString(m[3]); bodies[inner] != "" && inner != name {
			a.Block = attributesOf(bodies, inner)
		}
		out[m[1]] = a
	}
	return out
}
