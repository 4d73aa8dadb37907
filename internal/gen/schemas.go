// Package gen makes the files of the repository that follow from its code.
package gen

import "github.com/flowbeam/flowbeam/flow"

// SchemaFiles is the content of the committed schema files and of the field reference
// page, by path in the repository.
func SchemaFiles() map[string][]byte {
	files := map[string][]byte{}
	add(files, &flow.Records)
	add(files, &flow.Failures)
	page := []byte(`# Fields

Made from the field table in ` + "`flow/fields.go`" + ` by ` + "`go generate ./flow`" + `: change it there.

The columns have these names in Parquet, Avro, BigQuery, CSV and NDJSON; in Elasticsearch
they have the ECS names. A column that is not required may be absent, which differs from
zero: many formats lack a counter. Times are UTC, in microseconds in Parquet, Avro and
BigQuery and with all digits in NDJSON and CSV. The rows of rollups are described where
their fields and measures are chosen, in transforms/rollup.

` + string(flow.Records.FieldReference()) + "\n" + string(flow.Failures.FieldReference()))
	files["docs/fields.md"] = page
	return files
}

func add[T any](files map[string][]byte, t *flow.Table[T]) {
	base := "schemas/" + t.Name
	files[base+".bigquery.json"] = t.BigQuerySchema()
	files[base+".avsc"] = t.AvroSchema()
	files[base+".parquet.txt"] = t.ParquetSchema()
	files[base+".elasticsearch.json"] = t.ElasticMapping()
}
