// Package kibana_test runs what the dashboard of this folder asks, without Kibana: it reads
// the saved objects, and puts the aggregations of each visualization to Elasticsearch.
package kibana_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/flowbeam/flowbeam/flow"
)

// object is a saved object.
type object struct {
	Type, ID   string
	Attributes struct {
		Title, VisState, PanelsJSON, TimeFieldName, FieldFormatMap string
		Meta                                                       struct{ SearchSourceJSON string } `json:"kibanaSavedObjectMeta"`
	}
	References []struct{ ID, Name, Type string }
	Core       string `json:"coreMigrationVersion"`
	Version    string `json:"typeMigrationVersion"`
}

// visualization is one that asks Elasticsearch something.
type visualization struct {
	id, title, view, pattern string
	aggs                     []aggregation
}

// aggregation is one of a visualization, as its visState has it.
type aggregation struct {
	ID, Type, Schema string
	Enabled          bool
	Params           struct {
		Field, OrderBy, Order, Interval string
		Size                            int
		Percents                        []float64
	}
}

func (a *aggregation) metric() bool { return a.Schema == "metric" }

// read takes the saved objects apart and says what is wrong with them: references that lead
// nowhere, fields that the mapping of the view's documents does not have.
func read(b []byte) (all []visualization, problems []string) {
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	var objects []object
	for i, line := range bytes.Split(bytes.TrimSuffix(b, []byte("\n")), []byte("\n")) {
		var o object
		if err := json.Unmarshal(line, &o); err != nil {
			wrong("line %d: %v", i+1, err)
			continue
		}
		objects = append(objects, o)
	}
	find := func(typ, id string) *object {
		for i := range objects {
			if objects[i].Type == typ && objects[i].ID == id {
				return &objects[i]
			}
		}
		return nil
	}
	fields := map[string]map[string]string{"flowbeam-flow-*": mapped(flow.Records.ElasticMapping()), "flowbeam-dead-letters-*": mapped(flow.Failures.ElasticMapping())}
	panels := 0
	for _, o := range objects {
		if o.Core == "" || o.Version == "" {
			wrong("%s %s: no version to migrate from", o.Type, o.ID)
		}
		for _, r := range o.References {
			if find(r.Type, r.ID) == nil {
				wrong("%s %s: refers to %s %s, which is not there", o.Type, o.ID, r.Type, r.ID)
			}
		}
		switch o.Type {
		case "index-pattern":
			known := fields[o.Attributes.Title]
			if known == nil || known[o.Attributes.TimeFieldName] == "" {
				wrong("view %s: no documents match %s, or have no %s", o.ID, o.Attributes.Title, o.Attributes.TimeFieldName)
			}
			var formats map[string]any
			if err := json.Unmarshal([]byte(o.Attributes.FieldFormatMap), &formats); err != nil {
				wrong("view %s: %v", o.ID, err)
			}
			for f := range formats {
				if known[f] == "" {
					wrong("view %s: a format for %s, which no document has", o.ID, f)
				}
			}
		case "dashboard":
			var ps []struct {
				PanelIndex, PanelRefName string
				GridData                 struct{ X, Y, W, H int }
			}
			if err := json.Unmarshal([]byte(o.Attributes.PanelsJSON), &ps); err != nil {
				wrong("dashboard %s: %v", o.ID, err)
			}
			for _, p := range ps {
				name := p.PanelIndex + ":" + p.PanelRefName
				if panels++; p.GridData.W <= 0 || p.GridData.H <= 0 || p.GridData.X+p.GridData.W > 48 || !slices.ContainsFunc(o.References, func(r struct{ ID, Name, Type string }) bool { return r.Name == name }) {
					wrong("dashboard %s: panel %s has no place or no reference", o.ID, name)
				}
			}
		case "visualization":
			var state struct{ Aggs []aggregation }
			var source struct{ IndexRefName string }
			if err := json.Unmarshal([]byte(o.Attributes.VisState), &state); err != nil {
				wrong("%s: %v", o.ID, err)
			}
			if err := json.Unmarshal([]byte(o.Attributes.Meta.SearchSourceJSON), &source); err != nil {
				wrong("%s: %v", o.ID, err)
			}
			v := visualization{id: o.ID, title: o.Attributes.Title, aggs: state.Aggs}
			for _, r := range o.References {
				if view := find(r.Type, r.ID); r.Name == source.IndexRefName && view != nil {
					v.view, v.pattern = view.ID, view.Attributes.Title
				}
			}
			if v.pattern == "" {
				wrong("%s: no view", o.ID)
			}
			for _, a := range v.aggs {
				if a.Params.Field == "" && a.Type != "count" || a.Params.Field != "" && fields[v.pattern][a.Params.Field] == "" {
					wrong("%s: aggregation %s is of %q, which is no field of %s", o.ID, a.ID, a.Params.Field, v.pattern)
				}
			}
			all = append(all, v)
		default:
			wrong("a saved object of type %s", o.Type)
		}
	}
	if panels != len(all) || panels == 0 {
		wrong("%d panels, %d visualizations", panels, len(all))
	}
	return all, problems
}

// mapped are the fields of a mapping with their types.
func mapped(mapping []byte) map[string]string {
	out := map[string]string{}
	var walk func(path string, n map[string]any)
	walk = func(path string, n map[string]any) {
		if t, ok := n["type"].(string); ok {
			out[path] = t
		}
		properties, _ := n["properties"].(map[string]any)
		for k, v := range properties {
			walk(strings.TrimPrefix(path+"."+k, "."), v.(map[string]any))
		}
	}
	var root map[string]any
	if err := json.Unmarshal(mapping, &root); err != nil {
		panic(err)
	}
	walk("", root)
	return out
}

// query is the search that Kibana makes of a visualization, with the interval that it would
// choose.
func (v *visualization) query(interval string) string {
	var metrics, buckets []aggregation
	for _, a := range v.aggs {
		switch {
		case !a.Enabled:
		case a.metric():
			metrics = append(metrics, a)
		default:
			buckets = append(buckets, a)
		}
	}
	counts := map[string]bool{}
	of := func() map[string]any {
		out := map[string]any{}
		for _, m := range metrics {
			body := map[string]any{"field": m.Params.Field}
			switch m.Type {
			case "count":
				counts[m.ID] = true
				continue
			case "percentiles":
				body["percents"] = m.Params.Percents
			}
			out[m.ID] = map[string]any{m.Type: body}
		}
		return out
	}
	inner := of()
	for _, b := range slices.Backward(buckets) {
		body := map[string]any{"field": b.Params.Field}
		if b.Type == "terms" {
			by := b.Params.OrderBy
			if counts[by] {
				by = "_count"
			}
			body["size"], body["order"] = b.Params.Size, map[string]string{by: b.Params.Order}
		} else {
			body["fixed_interval"] = interval
		}
		outer := of()
		outer[b.ID] = map[string]any{b.Type: body, "aggs": inner}
		inner = outer
	}
	q, err := json.Marshal(map[string]any{"size": 0, "track_total_hits": true, "aggs": inner})
	if err != nil {
		panic(err)
	}
	return string(q)
}

func saved(t testing.TB) []byte {
	b, err := os.ReadFile("flows.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTheSavedObjectsHoldTogether(t *testing.T) {
	all, problems := read(saved(t))
	for _, p := range problems {
		t.Error(p)
	}
	if len(all) < 6 {
		t.Errorf("%d visualizations", len(all))
	}
}

// A wrong name anywhere is found.
func TestAWrongNameIsNoticed(t *testing.T) {
	for old, wrong := range map[string]string{
		`\"field\":\"destination.geo.country_iso_code\"`: `\"field\":\"destination.country\"`,
		`\"field\":\"flowbeam.rtt.external\"`:            `\"field\":\"flowbeam.rtt\"`,
		`\"field\":\"@timestamp\"`:                       `\"field\":\"timestamp\"`,
		`"title":"flowbeam-flow-*"`:                      `"title":"flows-*"`,
		`"id":"flowbeam-users","managed"`:                `"id":"users","managed"`,
		`\"panelRefName\":\"panel_flowbeam-rtt\"`:        `\"panelRefName\":\"panel_rtt\"`,
		`\"flowbeam.jitter\"`:                            `\"jitter\"`,
	} {
		b := saved(t)
		if !bytes.Contains(b, []byte(old)) {
			t.Errorf("no %s in the file", old)
		}
		if _, problems := read(bytes.Replace(b, []byte(old), []byte(wrong), 1)); len(problems) == 0 {
			t.Errorf("%s was taken", wrong)
		}
	}
}

// near allows for what an approximate percentile is off.
func near(have, want float64) bool { return math.Abs(have-want) <= 0.03*math.Abs(want)+1 }
