package parse

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/avrodata"
)

// schemaWith is a schema of the three fields that have to be there, and others.
func schemaWith(fields string) string {
	return `{"type":"record","name":"R","fields":[{"name":"timestamp","type":"string"},{"name":"client_ip","type":"string"},{"name":"server_ip","type":"string"}` + fields + `]}`
}

func must() map[string]any {
	return map[string]any{"timestamp": "2024-09-05T10:15:00Z", "client_ip": "192.168.1.5", "server_ip": "203.0.113.10"}
}

func TestCanopusAvroEvolvesByName(t *testing.T) {
	base, err := oneAvro(t, canopusSchema, canopusDatum(t))
	if err != nil {
		t.Fatal(err)
	}
	user, at := "user12345", time.Date(2024, 9, 5, 10, 15, 0, 0, time.UTC)
	full := func() map[string]any {
		return map[string]any{"timestamp": at, "user_id": user, "client_ip": "192.168.1.5", "server_ip": "203.0.113.10", "download_bytes": int64(1256789), "upload_bytes": int64(456789),
			"internal_rtt": 15.6, "external_rtt": 75.2, "internal_loss": 0.01, "external_loss": 0.05}
	}
	required := strings.NewReplacer(`["null","string"],"default":null`, `"string"`, `["null","long"],"default":null`, `"long"`, `["null","double"],"default":null`, `"double"`).Replace(canopusSchema)
	replace := func(pairs ...string) string {
		t.Helper()
		s := required
		for i := 0; i < len(pairs); i += 2 {
			if !strings.Contains(s, pairs[i]) {
				t.Fatalf("%s is not in the schema", pairs[i])
			}
			s = strings.Replace(s, pairs[i], pairs[i+1], 1)
		}
		return s
	}
	with := func(change func(map[string]any)) map[string]any {
		m := full()
		change(m)
		return m
	}
	for _, c := range []struct {
		name, schema string
		value        map[string]any
		change       func(*flow.Record)
	}{
		{"required", required, full(), nil},
		{"a field added", replace(`{"name":"user_id"`, `{"name":"cell","type":"int"},{"name":"user_id"`), with(func(m map[string]any) { m["cell"] = 7 }),
			func(r *flow.Record) { r.Extensions = []flow.Extension{flow.ExtN("cell", 7)} }},
		{"a field removed", replace(`{"name":"user_id","type":"string"},`, ``), full(), func(r *flow.Record) { r.UserID = "" }},
		{"fields in another order", replace(`{"name":"user_id","type":"string"},`, ``, `{"name":"external_loss","type":"double"}]`, `{"name":"external_loss","type":"double"},{"name":"user_id","type":"string"}]`), full(), nil},
		{"narrower numbers", replace(`"download_bytes","type":"long"`, `"download_bytes","type":"int"`, `"internal_rtt","type":"double"`, `"internal_rtt","type":"float"`, `"internal_loss","type":"double"`, `"internal_loss","type":"float"`),
			with(func(m map[string]any) {
				m["download_bytes"], m["internal_rtt"], m["internal_loss"] = 1256789, float32(15.6), float32(0.01)
			}), nil},
		{"counts widened to double", replace(`"download_bytes","type":"long"`, `"download_bytes","type":"double"`), with(func(m map[string]any) { m["download_bytes"] = float64(1256789) }), nil},
		{"renamed, with an alias", replace(`"name":"user_id"`, `"aliases":["subscriber","user_id"],"name":"uid"`), with(func(m map[string]any) { m["uid"] = user }), nil},
		{"an alias of a name that another field has", replace(`{"name":"user_id"`, `{"name":"imsi","aliases":["user_id"],"type":"string"},{"name":"user_id"`), with(func(m map[string]any) { m["imsi"] = "i" }),
			func(r *flow.Record) { r.Extensions = []flow.Extension{flow.Ext("imsi", "i")} }},
		{"nullable, null first", canopusSchema, with(func(m map[string]any) { m["user_id"], m["download_bytes"] = nil, nil }),
			func(r *flow.Record) { r.UserID, r.Destination.Bytes = "", flow.Int{} }},
		{"nullable, null last", replace(`"user_id","type":"string"`, `"user_id","type":["string","null"]`), with(func(m map[string]any) { m["user_id"] = map[string]any{"string": user} }), nil},
		{"a union of many", replace(`"upload_bytes","type":"long"`, `"upload_bytes","type":["string","null","long","double"]`), with(func(m map[string]any) { m["upload_bytes"] = map[string]any{"string": "456789"} }), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := base
			if c.change != nil {
				c.change(&want)
			}
			value := c.value
			if strings.Contains(c.schema, `["null","string"],"default"`) {
				for _, k := range []string{"upload_bytes"} {
					value[k] = map[string]any{"long": value[k]}
				}
				for _, k := range []string{"internal_rtt", "external_rtt", "internal_loss", "external_loss"} {
					value[k] = map[string]any{"double": value[k]}
				}
			}
			got, err := oneAvro(t, c.schema, datumOf(t, c.schema, value))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(of(want), of(got)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestSchemasThatHaveNoCanopusRecord(t *testing.T) {
	for _, c := range []struct{ name, schema, says string }{
		{"no timestamp", strings.Replace(schemaWith(""), "timestamp", "time", 1), "field timestamp: missing"},
		{"no client", strings.Replace(schemaWith(""), "client_ip", "client", 1), "field client_ip: missing"},
		{"no server", strings.Replace(schemaWith(""), "server_ip", "server", 1), "field server_ip: missing"},
		{"a time without zone", strings.Replace(schemaWith(""), `"string"`, `{"type":"long","logicalType":"local-timestamp-millis"}`, 1), "field timestamp: it is long (local-timestamp-millis): want a string, a timestamp"},
		{"an address of a number", strings.Replace(schemaWith(""), `"client_ip","type":"string"`, `"client_ip","type":["null","int"]`, 1), "field client_ip: it is union of null, int: want"},
		{"an address of 5 bytes", strings.Replace(schemaWith(""), `"client_ip","type":"string"`, `"client_ip","type":{"type":"fixed","name":"F","size":5}`, 1), "field client_ip: it is fixed of 5 bytes"},
		{"bytes of a list", schemaWith(`,{"name":"upload_bytes","type":{"type":"array","items":"int"}}`), "field upload_bytes: it is array: want a number"},
		{"a null timestamp", strings.Replace(schemaWith(""), `"string"`, `"null"`, 1), "field timestamp: it is null"},
		{"no record", `"long"`, `schema "of a long", fingerprint`},
	} {
		_, err := oneAvro(t, c.schema, "\x00")
		if err == nil || flow.ReasonOf(err, "") != flow.ReasonSchema || !strings.Contains(err.Error(), c.says) ||
			!strings.Contains(err.Error(), avrodata.FingerprintText(fingerprintOf(t, c.schema))) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
