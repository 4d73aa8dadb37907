package job

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/bigquery"
	"google.golang.org/api/option"

	"github.com/flowbeam/flowbeam/internal/filesystem/fakestore"
	"github.com/flowbeam/flowbeam/internal/sample"
	"github.com/flowbeam/flowbeam/internal/testenv"
)

// askBigQuery gives a function that returns the first row of a query, which names the
// dataset DATASET.
func askBigQuery(t *testing.T, rest, project, dataset string) func(sql string) []bigquery.Value {
	t.Helper()
	bq, err := bigquery.NewClient(context.Background(), project, option.WithEndpoint(rest), option.WithoutAuthentication())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bq.Close() })
	return func(sql string) []bigquery.Value {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		it, err := bq.Query(strings.ReplaceAll(sql, "DATASET", fmt.Sprintf("`%s`.%s", project, dataset))).Read(ctx)
		var values []bigquery.Value
		if err == nil {
			err = it.Next(&values)
		}
		if err != nil {
			t.Fatal(sql, err)
		}
		return values
	}
}

// The sample into Elasticsearch, BigQuery, Kafka and files on gs://, twice: each store has
// the records of the summary, by count and by sum of bytes, and the second run adds none.
func TestTheStoresHaveWhatTheSummarySays(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: -short, and this runs all stores")
	}
	want := sample.Truth()
	unique := fmt.Sprintf("t%d", time.Now().UnixNano())
	o := sampleOptions(t)
	o.Install = true
	o.Elasticsearch, o.ElasticNamespace, o.ElasticILM = []string{testenv.Server(t, "FLOWBEAM_ES_URL")}, unique, false
	rest, grpc := testenv.Server(t, "FLOWBEAM_BQ_REST"), testenv.Server(t, "FLOWBEAM_BQ_GRPC")
	project := testenv.Server(t, "FLOWBEAM_BQ_PROJECT")
	o.BigQuery, o.BigQueryEndpoint = project+"."+unique, rest+","+grpc
	o.Kafka, o.KafkaTopic = []string{testenv.Server(t, "FLOWBEAM_KAFKA")}, unique
	o.Output = "gs://" + fakestore.Real(t, "gs") + "/out"
	if problems := o.Validate(); len(problems) > 0 {
		t.Fatal(problems)
	}
	if err := o.install(context.Background()); err != nil {
		t.Fatal(err)
	}
	es := func(index, query string, into any) {
		t.Helper()
		url := fmt.Sprintf("%s/flowbeam-%s-%s-*/", o.Elasticsearch[0], index, unique)
		post := func(path, body string) []byte {
			r, err := http.Post(url+path, "application/json", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			defer r.Body.Close()
			b, err := io.ReadAll(r.Body)
			if err == nil && r.StatusCode != http.StatusOK {
				err = fmt.Errorf("%s: status %d: %s", path, r.StatusCode, b)
			}
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		post("_refresh", "")
		if err := json.Unmarshal(post("_search?size=0&track_total_hits=true", query), into); err != nil {
			t.Fatal(err)
		}
	}
	row := askBigQuery(t, rest, project, unique)

	for turn, name := range []string{"first run", "second run"} {
		s := run(t, flows(), o)
		for store, sum := range map[string]int64{"files": 1, "elasticsearch": 1} {
			c := s.Sinks[store]
			if added := want.Unique * int64(1-turn) * sum; c.New != added || c.New+c.AlreadyThere != want.Unique {
				t.Errorf("%s: %s: %+v, want %d new of %d", name, store, c, added, want.Unique)
			}
		}
		if c := s.Sinks["kafka"]; c.New != want.Unique {
			t.Errorf("%s: kafka took %d records, want %d", name, c.New, want.Unique)
		}

		var found struct {
			Hits         struct{ Total struct{ Value int64 } }
			Aggregations map[string]struct{ Value float64 }
		}
		es("flow", `{"aggs":{"sent":{"sum":{"field":"source.bytes"}},"received":{"sum":{"field":"destination.bytes"}}}}`, &found)
		if n, sent, received := found.Hits.Total.Value, int64(found.Aggregations["sent"].Value), int64(found.Aggregations["received"].Value); n != want.Unique || sent != want.SourceBytes || received != want.DestinationBytes {
			t.Errorf("%s: Elasticsearch has %d records of %d and %d bytes, want %d of %d and %d", name, n, sent, received, want.Unique, want.SourceBytes, want.DestinationBytes)
		}
		es("dead-letters", `{}`, &found)
		if n := found.Hits.Total.Value; n != want.DeadLetters.Total {
			t.Errorf("%s: Elasticsearch has %d dead letters, want %d", name, n, want.DeadLetters.Total)
		}
		for level, rows := range s.RollupRows {
			es("rollup-"+level, `{"aggs":{"records":{"sum":{"field":"flowbeam.records"}}}}`, &found)
			if n, records := found.Hits.Total.Value, int64(found.Aggregations["records"].Value); n != rows || records != want.Unique {
				t.Errorf("%s: Elasticsearch has %d rows of %s with %d records, want %d with %d; the sink: %+v", name, n, level, records, rows, want.Unique, s.Sinks["elasticsearch_rollup_"+level])
			}
			if v := row("SELECT COUNT(*), SUM(records) FROM DATASET.rollup_" + level + "_latest"); v[0] != rows || v[1] != want.Unique {
				t.Errorf("%s: BigQuery has %v rows of %s with %v records, want %d with %d", name, v[0], level, v[1], rows, want.Unique)
			}
		}
		if v := row("SELECT COUNT(*), SUM(source_bytes), SUM(destination_bytes) FROM DATASET.flows_latest"); v[0] != want.Unique || v[1] != want.SourceBytes || v[2] != want.DestinationBytes {
			t.Errorf("%s: BigQuery has %v records of %v and %v bytes, want %d of %d and %d", name, v[0], v[1], v[2], want.Unique, want.SourceBytes, want.DestinationBytes)
		}
		if v := row("SELECT COUNT(*) FROM DATASET.dead_letters_latest"); v[0] != want.DeadLetters.Total {
			t.Errorf("%s: BigQuery has %v dead letters, want %d", name, v[0], want.DeadLetters.Total)
		}
		t.Logf("%s: %s: %d records of %d and %d bytes, %d dead letters, in each store", name, filepath.Base(o.Output), want.Unique, want.SourceBytes, want.DestinationBytes, want.DeadLetters.Total)
	}
}

// The files of a run, loaded into BigQuery by load jobs: the tables have what the summary
// says, each row once, and a second run over the same input loads nothing.
func TestFileLoadsHaveWhatTheSummarySays(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: -short, and this runs the sample twice")
	}
	want := sample.Truth()
	rest, grpc := testenv.Server(t, "FLOWBEAM_BQ_REST"), testenv.Server(t, "FLOWBEAM_BQ_GRPC")
	project := testenv.Server(t, "FLOWBEAM_BQ_PROJECT")
	unique := fmt.Sprintf("l%d", time.Now().UnixNano())
	o := sampleOptions(t)
	o.Install = true
	o.BigQuery, o.BigQueryEndpoint, o.BigQueryMethod = project+"."+unique, rest+","+grpc, fileLoads
	o.Output = "gs://" + fakestore.Real(t, "gs") + "/out"
	if problems := o.Validate(); len(problems) > 0 {
		t.Fatal(problems)
	}
	if err := o.install(context.Background()); err != nil {
		t.Fatal(err)
	}
	row := askBigQuery(t, rest, project, unique)
	for turn, name := range []string{"first run", "second run"} {
		s := run(t, flows(), o)
		if c := s.Sinks["bigquery"]; c.New != want.Unique*int64(1-turn) {
			t.Errorf("%s: %d rows were loaded, want %d", name, c.New, want.Unique*int64(1-turn))
		}
		if v := row("SELECT COUNT(*), COUNT(DISTINCT record_id), SUM(source_bytes), SUM(destination_bytes) FROM DATASET.flows"); v[0] != want.Unique || v[1] != want.Unique || v[2] != want.SourceBytes || v[3] != want.DestinationBytes {
			t.Errorf("%s: BigQuery has %v rows of %v records of %v and %v bytes, want %d of %d and %d", name, v[0], v[1], v[2], v[3], want.Unique, want.SourceBytes, want.DestinationBytes)
		}
		if v := row("SELECT COUNT(*) FROM DATASET.dead_letters"); v[0] != want.DeadLetters.Total {
			t.Errorf("%s: BigQuery has %v dead letters, want %d", name, v[0], want.DeadLetters.Total)
		}
		for level, rows := range s.RollupRows {
			if v := row("SELECT COUNT(*), SUM(records) FROM DATASET.rollup_" + level); turn == 0 && (v[0] != rows || v[1] != want.Unique) {
				t.Errorf("%s: BigQuery has %v rows of %s with %v records, want %d with %d", name, v[0], level, v[1], rows, want.Unique)
			}
			if v := row("SELECT COUNT(*), SUM(records) FROM DATASET.rollup_" + level + "_latest"); v[0] != rows || v[1] != want.Unique {
				t.Errorf("%s: the view has %v rows of %s with %v records, want %d with %d", name, v[0], level, v[1], rows, want.Unique)
			}
		}
	}
}
