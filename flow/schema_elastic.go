package flow

import (
	"fmt"
	"strings"
)

// ElasticMapping is the table's mapping for Elasticsearch, by the columns' ECS names. It
// is strict: a field that it does not name is an error in the store and not a new field
// there. A pair of latitude and longitude is one geo_point, and ip_version is the
// keyword network.type, ipv4 or ipv6. It panics where two columns have one ECS name, or
// one has a name below another's.
//
// Source: https://www.elastic.co/docs/reference/ecs
func (t *Table[T]) ElasticMapping() []byte {
	types := map[Kind]string{
		KindString: "keyword", KindInt: "long", KindFloat: "double", KindBool: "boolean", KindTime: "date_nanos",
		KindIP: "ip", KindID: "keyword", KindObject: "flattened", KindBytes: "binary",
	}
	root := map[string]any{}
	for i := range t.Columns {
		c := &t.Columns[i]
		path, field := strings.Split(c.ECS, "."), map[string]any{"type": types[c.Kind]}
		switch last := path[len(path)-1]; {
		case last == "lat" && len(path) > 1:
			path, field = path[:len(path)-1], map[string]any{"type": "geo_point"}
		case last == "lon" && len(path) > 1:
			continue // with its latitude
		case c.ECS == "event.original" || c.ECS == "flowbeam.data_base64" || c.ECS == "flowbeam.header":
			// Kept, and not searched: longer than a keyword may be.
			field["index"], field["doc_values"] = false, false
		case c.ECS == "error.message":
			field["type"] = "text"
		case c.ECS == "network.type":
			field["type"] = "keyword" // ipv4 or ipv6 there
		}
		at := root
		for _, p := range path[:len(path)-1] {
			inner, ok := at[p].(map[string]any)
			if !ok {
				inner = map[string]any{"properties": map[string]any{}}
				at[p] = inner
			}
			if inner["properties"] == nil {
				panic(fmt.Sprintf("flow: table %s: ECS name %s of column %s is below another column's", t.Name, c.ECS, c.Name))
			}
			at = inner["properties"].(map[string]any)
		}
		name := path[len(path)-1]
		if at[name] != nil {
			panic(fmt.Sprintf("flow: table %s: ECS name %s of column %s is taken", t.Name, c.ECS, c.Name))
		}
		at[name] = field
	}
	return pretty(map[string]any{"dynamic": "strict", "properties": root})
}
