package elasticsink

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/dataset"
)

// TemplatesVersion is the version of what Install puts. Raise it with each change of a
// mapping or of the templates, so that Install tells an older one from a newer one.
const TemplatesVersion = 2

// Templates says what Install makes for one namespace. The zero value is for records and
// dead letters of the namespace default, by day, with the cluster's own settings.
type Templates struct {
	// Namespace and DataStream are as the options of the sink. Default: default, no.
	Namespace  string
	DataStream bool
	// Rollups are the tables that flow.RollupTable made, one for each level that is written.
	Rollups []*flow.Table[flow.Rollup]
	// Shards are the primary shards of an index of records; rollups and dead letters have
	// one. Some 30 GB a shard is right. Default: that of the cluster, which is 1.
	Shards int
	// Replicas are the copies of each shard. Nil: that of the cluster, which is 1.
	Replicas *int
	// Refresh is how long a document may take to be found. Default: 30 seconds.
	Refresh time.Duration
	// Keep is how long after the date in its name an index of records or rollups is deleted,
	// dead letters as long after it was made. Default: never.
	Keep time.Duration
	// WithoutILM leaves out the lifecycle policies, for a cluster that has no index
	// lifecycle management, or that deletes in another way. Keep is refused then.
	WithoutILM bool
}

// setup is what Install puts.
type setup struct {
	path string // of the API
	name string
	kind string // for the report: policy, component template, index template
	body []byte
}

// meta marks what is ours. The hash tells a change of options from none.
type meta struct {
	ManagedBy   string `json:"managed_by"`
	Description string `json:"description"`
	Version     int    `json:"version"`
	Hash        string `json:"hash"`
}

const managedBy = "flowbeam"

// priority is above that of Elastic's own templates (100 to 200), below what an operator
// would give.
const priority = 250

// setups are all that Install puts, in the order in which each needs the ones before.
func (t Templates) setups() ([]setup, error) {
	if t.Namespace == "" {
		t.Namespace = defaults("").Namespace
	}
	if t.Refresh == 0 {
		t.Refresh = 30 * time.Second
	}
	errs := []error{checkNamespace(t.Namespace)}
	if t.Shards < 0 || t.Replicas != nil && *t.Replicas < 0 || t.Refresh < 0 || t.Keep < 0 {
		errs = append(errs, errors.New("shards, replicas, refresh and keep are not below zero"))
	}
	if t.Keep > 0 && t.Keep < time.Hour {
		errs = append(errs, fmt.Errorf("keep %v: less than an hour", t.Keep))
	}
	if t.WithoutILM && t.Keep > 0 {
		errs = append(errs, errors.New("keep needs index lifecycle management, and that is left out"))
	}
	out := t.of(kindFlow, t.DataStream, flow.Records.ElasticMapping())
	for _, table := range t.Rollups {
		r, err := dataset.RollupTableOf(table)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		kind, err := rollupKind(r.Level)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, t.of(kind, false, table.ElasticMapping())...)
	}
	out = append(out, t.of(kindDeadLetters, false, flow.Failures.ElasticMapping())...)
	return out, errors.Join(errs...)
}

// of makes what one kind of documents needs.
func (t Templates) of(kind string, stream bool, mapping []byte) (out []setup) {
	alias := aliasOf(kind, t.Namespace)
	put := func(path, what, name, about string, body map[string]any) {
		sum := sha256.Sum256(compact(body)) // before it has a hash
		m := meta{managedBy, about, TemplatesVersion, hex.EncodeToString(sum[:8])}
		if p, ok := body["policy"].(map[string]any); ok {
			p["_meta"] = m
		} else {
			body["_meta"], body["version"] = m, TemplatesVersion
		}
		out = append(out, setup{path, name, what, compact(body)})
	}
	if !t.WithoutILM {
		put("/_ilm/policy/", "policy", alias, "Lifecycle of "+alias, map[string]any{"policy": map[string]any{"phases": t.phases(stream)}})
	}
	// The mapping is the field table's.
	put("/_component_template/", "component template", alias+"-mappings", "Fields of "+alias+", from flowbeam's field table",
		map[string]any{"template": map[string]any{"mappings": json.RawMessage(mapping)}})
	index := map[string]any{"codec": "best_compression", "refresh_interval": fmt.Sprintf("%ds", int(t.Refresh.Seconds()))}
	if kind == kindFlow && t.Shards > 0 {
		index["number_of_shards"] = t.Shards
	}
	if t.Replicas != nil {
		index["number_of_replicas"] = *t.Replicas
	}
	if !t.WithoutILM {
		lifecycle := map[string]any{"name": alias}
		if !stream && kind != kindDeadLetters { // those have an index without a date
			lifecycle["parse_origination_date"] = true
		}
		index["lifecycle"] = lifecycle
	}
	template := map[string]any{"settings": map[string]any{"index": index}}
	// Who wants other settings or more fields puts them into <alias>@custom, which is never
	// written here.
	custom := alias + "@custom"
	body := map[string]any{
		"index_patterns": []string{alias + "-*"}, "priority": priority,
		"composed_of": []string{alias + "-mappings", custom}, "ignore_missing_component_templates": []string{custom},
		"template": template,
	}
	if stream {
		body["index_patterns"], body["data_stream"] = []string{alias}, map[string]any{}
	} else {
		template["aliases"] = map[string]any{alias: map[string]any{}}
	}
	put("/_index_template/", "index template", alias, "Indices of "+alias, body)
	return out
}

// phases are those of a lifecycle policy. An index is not merged or made read-only with
// age: late records and replays write into old ones.
func (t Templates) phases(stream bool) map[string]any {
	hot := map[string]any{"set_priority": map[string]any{"priority": 100}}
	if stream {
		hot["rollover"] = map[string]any{"max_age": "1d", "max_primary_shard_size": "50gb"}
	}
	phases := map[string]any{"hot": map[string]any{"min_age": "0ms", "actions": hot}}
	if t.Keep > 0 {
		phases["delete"] = map[string]any{"min_age": fmt.Sprintf("%dh", int(t.Keep.Hours())), "actions": map[string]any{"delete": map[string]any{}}}
	}
	return phases
}

// compact is v as JSON, its keys sorted.
func compact(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("elasticsink: templates: " + err.Error()) // only strings, numbers, lists and maps go in
	}
	return b
}

// Files are what Install would put, as indented JSON by file name: for who installs by
// other means.
func (t Templates) Files() (map[string][]byte, error) {
	all, err := t.setups()
	if err != nil {
		return nil, fmt.Errorf("elasticsink.Templates: %w", err)
	}
	files := map[string][]byte{}
	for _, s := range all {
		var b bytes.Buffer
		if err := json.Indent(&b, s.body, "", "  "); err != nil {
			return nil, err
		}
		b.WriteByte('\n')
		kinds := []string{"policy", "component template", "index template"}
		files[s.name+[]string{".ilm.json", ".component.json", ".template.json"}[slices.Index(kinds, s.kind)]] = b.Bytes()
	}
	return files, nil
}
