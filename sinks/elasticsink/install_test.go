package elasticsink

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flowbeam/flowbeam/flow"
)

var rollups1m = flow.RollupTable("1m", []string{"user_id"}, []flow.Kind{flow.KindString}, []string{"flows"}, []flow.Kind{flow.KindInt})

// Index lifecycle management is asked for by requests whose form this holds.
func TestInstallAsksForPoliciesAndTemplates(t *testing.T) {
	f := newFake(t)
	two := 2
	c := Cluster{Addresses: []string{f.URL}}
	templates := Templates{Namespace: "prod", Shards: 3, Replicas: &two, Keep: 30 * 24 * time.Hour, Rollups: []*flow.Table[flow.Rollup]{rollups1m}}
	done, err := Install(context.Background(), c, templates)
	if err != nil {
		t.Fatal(err)
	}
	var puts []string
	for _, a := range f.asked {
		if a.method == http.MethodPut {
			puts = append(puts, a.path)
		}
	}
	var wanted []string
	for _, alias := range []string{"flowbeam-flow-prod", "flowbeam-rollup-1m-prod", "flowbeam-dead-letters-prod"} {
		wanted = append(wanted, "/_ilm/policy/"+alias, "/_component_template/"+alias+"-mappings", "/_index_template/"+alias)
	}
	if !slices.Equal(puts, wanted) || len(done) != len(wanted) {
		t.Errorf("put %v\nwant %v", puts, wanted)
	}
	flat := func(path string) string {
		var v any
		if err := json.Unmarshal(f.config[path], &v); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		b, _ := json.Marshal(v)
		return string(b)
	}
	for path, parts := range map[string][]string{
		"/_ilm/policy/flowbeam-flow-prod": {`"delete":{"actions":{"delete":{}},"min_age":"720h"}`, `"set_priority":{"priority":100}`, `"_meta":{`, `"managed_by":"flowbeam"`},
		"/_index_template/flowbeam-flow-prod": {`"index_patterns":["flowbeam-flow-prod-*"]`, `"lifecycle":{"name":"flowbeam-flow-prod","parse_origination_date":true}`, `"number_of_shards":3`, `"number_of_replicas":2`,
			`"aliases":{"flowbeam-flow-prod":{}}`, `"composed_of":["flowbeam-flow-prod-mappings","flowbeam-flow-prod@custom"]`, `"ignore_missing_component_templates":["flowbeam-flow-prod@custom"]`, fmt.Sprintf(`"version":%d`, TemplatesVersion)},
		"/_index_template/flowbeam-dead-letters-prod":              {`"lifecycle":{"name":"flowbeam-dead-letters-prod"}`},
		"/_component_template/flowbeam-flow-prod-mappings":         {`"@timestamp":{"type":"date_nanos"}`, `"location":{"type":"geo_point"}`, `"dynamic":"strict"`},
		"/_component_template/flowbeam-rollup-1m-prod-mappings":    {`"flows":{"type":"long"}`},
		"/_component_template/flowbeam-dead-letters-prod-mappings": {`"message":{"type":"text"}`},
	} {
		for _, p := range parts {
			if !strings.Contains(flat(path), p) {
				t.Errorf("%s has no %s: %s", path, p, flat(path))
			}
		}
	}
	if strings.Contains(flat("/_index_template/flowbeam-dead-letters-prod"), "origination") {
		t.Error("dead letters have an index without a date, and ILM would refuse to make it")
	}

	// Again: nothing is put. With other options: what changed.
	f.asked = nil
	if done, err = Install(context.Background(), c, templates); err != nil || slices.ContainsFunc(done, func(i Installed) bool { return i.Did != "unchanged" }) {
		t.Error(done, err)
	}
	if slices.ContainsFunc(f.asked, func(a asked) bool { return a.method == http.MethodPut }) {
		t.Error("put again")
	}
	templates.Keep = 24 * time.Hour
	done, err = Install(context.Background(), c, templates)
	if err != nil || done[0].Did != "updated" || done[1].Did != "unchanged" || done[2].Did != "unchanged" {
		t.Error(done, err)
	}

	// A policy that an operator made newer, or their own of the same name.
	for path, body := range map[string]string{
		"/_ilm/policy/flowbeam-flow-prod":      fmt.Sprintf(`{"policy":{"_meta":{"managed_by":"flowbeam","version":%d},"phases":{}}}`, TemplatesVersion+1),
		"/_ilm/policy/flowbeam-rollup-1m-prod": `{"policy":{"phases":{}}}`,
	} {
		f.config[path] = json.RawMessage(body)
	}
	done, err = Install(context.Background(), c, templates)
	if err != nil || done[0].Did != "kept" || done[3].Did != "kept" || string(f.config["/_ilm/policy/flowbeam-rollup-1m-prod"]) != `{"policy":{"phases":{}}}` {
		t.Error(done, err)
	}
}

func TestInstallOfADataStream(t *testing.T) {
	files, err := Templates{DataStream: true}.Files()
	if err != nil {
		t.Fatal(err)
	}
	template := strings.Join(strings.Fields(string(files["flowbeam-flow-default.template.json"])), "")
	for _, p := range []string{`"data_stream":{}`, `"index_patterns":["flowbeam-flow-default"]`} {
		if !strings.Contains(template, p) {
			t.Errorf("no %s in %s", p, template)
		}
	}
	if strings.Contains(template, "aliases") || strings.Contains(template, "origination") || !strings.Contains(string(files["flowbeam-flow-default.ilm.json"]), "rollover") {
		t.Error(template)
	}
}

func TestInstallRefusesWhatDoesNotFit(t *testing.T) {
	minus := -1
	_, err := Install(context.Background(), Cluster{}, Templates{Namespace: "A", WithoutILM: true, Keep: time.Minute, Replicas: &minus})
	for _, w := range []string{"namespace", "below zero", "less than an hour", "left out"} {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("%v does not say %s", err, w)
		}
	}
	f := newFake(t)
	f.login = "ApiKey x"
	begun := time.Now()
	if _, err := Install(context.Background(), Cluster{Addresses: []string{f.URL}}, Templates{}); err == nil || !strings.Contains(err.Error(), "401") || time.Since(begun) > 10*time.Second {
		t.Errorf("%v after %v", err, time.Since(begun))
	}
}

var update = flag.Bool("update", false, "write the committed templates anew")

// The committed templates are those of the code, and another mapping is another version.
func TestCommittedTemplates(t *testing.T) {
	dir := filepath.Join("..", "..", "schemas", "elasticsearch")
	files, err := Templates{}.Files()
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range files {
		path := filepath.Join(dir, name)
		have, err := os.ReadFile(path)
		if string(have) == string(b) {
			continue
		}
		if !*update {
			t.Errorf("%s is not what Install puts (%v): run go test ./sinks/elasticsink -run TestCommittedTemplates -update", path, err)
			continue
		}
		var old struct {
			Template struct{ Mappings any }
			Version  int
		}
		if neu := old; err == nil && json.Unmarshal(have, &old) == nil && json.Unmarshal(b, &neu) == nil {
			a, _ := json.Marshal(old.Template.Mappings)
			c, _ := json.Marshal(neu.Template.Mappings)
			if old.Version == TemplatesVersion && string(a) != string(c) {
				t.Fatalf("%s: the mapping has changed: raise TemplatesVersion first", path)
			}
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	there, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(there) != len(files) {
		t.Errorf("%d files in %s, want %d", len(there), dir, len(files))
	}
}
