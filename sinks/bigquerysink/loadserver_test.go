package bigquerysink

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/flowtest"
	"github.com/flowbeam/flowbeam/internal/dataset"
	"github.com/flowbeam/flowbeam/internal/filesystem/fakestore"
)

// Files that filesink writes load into the tables that Install makes, with the values that
// the Storage Write API gives: compared column by column.
func TestServerLoadsWhatAWriteWrites(t *testing.T) {
	for _, format := range []dataset.Format{dataset.Parquet, dataset.Avro, dataset.NDJSON} {
		t.Run(string(format), func(t *testing.T) {
			s := openServer(t)
			dir := "gs://" + fakestore.Real(t, "gs") + "/flows"
			s.install(Config{Tables: []Table{FlowsTable("flows"), FlowsTable("written")}})
			records := flowtest.Records(500, 2)
			for i := range records {
				r := &records[i]
				r.EventTime = r.EventTime.Add(time.Duration(i%3)*time.Hour + 123456789)
				if i%2 == 0 {
					r.Extensions = []flow.Extension{flow.Ext("app", "d\"ns\n"), flow.ExtN("n", int64(i))}
					r.Source.Labels = []flow.Label{{Name: "site", Value: "ü"}}
					r.UserID, r.Late, r.GeoEdition = "ü\"'\n,", true, flow.TimeOf(flowtest.Start)
				}
			}
			write(t, s.recordsFn("written"), flow.Batch{Records: records})
			put := func(records []flow.Record) {
				w, err := dataset.Open(t.Context(), dataset.Records(), dataset.Config{Dir: dir, Want: dataset.WantRecords(), Format: format})
				if err != nil {
					t.Fatal(err)
				}
				b := w.NewBundle()
				for i := range records {
					if err := b.Add(t.Context(), &records[i]); err != nil {
						t.Fatal(err)
					}
				}
				if err := b.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			o, name, err := setupLoad(dir, s.table("flows"), s.options())
			if err != nil {
				t.Fatal(err)
			}
			load := func() {
				t.Helper()
				write(t, &loadFn{Dir: dir, Table: name, Options: o}, flowtest.KV("load", []string{"x"}))
			}
			put(records[:300])
			load()
			load() // each part once
			put(records)
			load()
			s.expect("SELECT COUNT(*), COUNT(DISTINCT record_id) FROM `"+s.table("flows")+"`", "500 500")
			var columns []string
			for _, c := range flow.Records.Columns {
				if c.Kind == flow.KindObject {
					columns = append(columns, "TO_JSON_STRING("+c.Name+")")
				} else {
					columns = append(columns, c.Name)
				}
			}
			sql := "SELECT " + strings.Join(columns, ", ") + " FROM `%s` ORDER BY record_id"
			have, want := s.query(fmt.Sprintf(sql, s.table("flows"))), s.query(fmt.Sprintf(sql, s.table("written")))
			if len(have) != 500 || len(want) != 500 {
				t.Fatalf("%d rows loaded, %d written", len(have), len(want))
			}
			for i := range have {
				if have[i] != want[i] {
					t.Fatalf("loaded\n%s\nwritten\n%s", have[i], want[i])
				}
			}
		})
	}
}
