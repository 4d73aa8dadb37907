package bigquerysink

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/bigquery"
	"google.golang.org/api/iterator"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/flowtest"
	"github.com/flowbeam/flowbeam/internal/testenv"
)

// server is the BigQuery emulator, with a dataset of the test's own.
type server struct {
	t                            testing.TB
	rest, grpc, project, dataset string
	client                       *bigquery.Client
}

func openServer(t testing.TB) *server {
	t.Helper()
	s := &server{t: t, rest: testenv.Server(t, "FLOWBEAM_BQ_REST"), grpc: testenv.Server(t, "FLOWBEAM_BQ_GRPC"), project: testenv.Server(t, "FLOWBEAM_BQ_PROJECT")}
	s.dataset = fmt.Sprintf("t%d_%d", os.Getpid(), time.Now().UnixNano())
	var err error
	if s.client, err = bigquery.NewClient(t.Context(), s.project, restOptions(s.rest)...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.client.Dataset(s.dataset).DeleteWithContents(context.Background()); err != nil {
			t.Log(err)
		}
		s.client.Close()
	})
	return s
}

func (s *server) table(name string) string { return s.project + "." + s.dataset + "." + name }

func (s *server) install(c Config) {
	s.t.Helper()
	c.Project, c.Dataset, c.Endpoint = s.project, s.dataset, s.rest
	if err := Install(s.t.Context(), c); err != nil {
		s.t.Fatal(err)
	}
}

// query returns the rows of a statement as text, a line each. The emulator answers a
// statement that fails with no rows and no error, so who asks must expect rows.
func (s *server) query(sql string) []string {
	s.t.Helper()
	it, err := s.client.Query(sql).Read(s.t.Context())
	if err != nil {
		s.t.Fatalf("%s\n%v", sql, err)
	}
	var out []string
	for {
		var row []bigquery.Value
		err := it.Next(&row)
		if errors.Is(err, iterator.Done) {
			return out
		}
		if err != nil {
			s.t.Fatalf("%s\n%v", sql, err)
		}
		cells := make([]string, len(row))
		for i, v := range row {
			switch v := v.(type) {
			case float64:
				cells[i] = fmt.Sprint(math.Round(v*1e6) / 1e6)
			case time.Time:
				cells[i] = v.UTC().Format(time.RFC3339Nano)
			default:
				cells[i] = fmt.Sprint(v)
			}
		}
		out = append(out, strings.Join(cells, " "))
	}
}

func (s *server) expect(sql string, want ...string) {
	s.t.Helper()
	if have := s.query(sql); strings.Join(have, "\n") != strings.Join(want, "\n") {
		s.t.Errorf("%s\ngave\n%s\nwant\n%s", sql, strings.Join(have, "\n"), strings.Join(want, "\n"))
	}
}

func (s *server) options(opts ...Option) []Option {
	return append([]Option{Endpoint(s.rest, s.grpc), Retry(10*time.Millisecond, time.Second, 20*time.Second)}, opts...)
}

// write runs a bundle of a DoFn.
func write(t testing.TB, fn any, elements ...any) *flowtest.Effects {
	t.Helper()
	h := flowtest.NewHarness(t, fn, flowtest.Once)
	if err := h.TryBundle(elements...); err != nil {
		t.Fatal(err)
	}
	return h.Effects()
}

func (s *server) recordsFn(table string, opts ...Option) *recordsFn {
	s.t.Helper()
	o, name, err := setup(defaults("bigquery"), s.table(table), false, s.options(opts...))
	if err != nil {
		s.t.Fatal(err)
	}
	return &recordsFn{Table: name, Options: o}
}

func TestServerKeepsWhatARecordHas(t *testing.T) {
	s := openServer(t)
	s.install(Config{Tables: []Table{FlowsTable("flows")}})
	r := flowtest.Record(func(r *flow.Record) {
		r.UserID, r.Extensions = "ü\"'\n", []flow.Extension{flow.Ext("app", "dns"), flow.ExtN("n", 7)}
		r.Source.IP, r.LossInternal, r.Late = flow.MustIP("2001:db8::1"), flow.F(0), true
		r.Source.Labels = []flow.Label{{Name: "site", Value: "a"}}
		r.EventTime = flow.TimeOf(time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC))
	})
	write(t, s.recordsFn("flows"), flow.Batch{Records: []flow.Record{r}})
	s.expect("SELECT record_id, user_id, source_ip, loss_internal, late, event_time, source_port, jitter_ns, JSON_VALUE(extensions, '$.app'), JSON_VALUE(extensions, '$.n'), JSON_VALUE(source_labels, '$.site'), duration_ns FROM `"+s.table("flows")+"`",
		r.ID.String()+" ü\"'\n 2001:db8::1 0 true 2026-01-02T03:04:05.678901Z 40000 <nil> dns 7 a 1000000000")
}
