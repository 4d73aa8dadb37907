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
	"github.com/flowbeam/flowbeam/internal/dataset"
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
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.client.Dataset(s.dataset).DeleteWithContents(ctx); err != nil {
			t.Log(err)
		}
		s.client.Close()
		// The emulator gives each open stream a thread.
		targets.mu.Lock()
		defer targets.mu.Unlock()
		for _, x := range targets.m {
			if x.name.Dataset == s.dataset && x.now.Load() != nil {
				for _, c := range x.now.Load().drain() {
					c.abandon()
				}
			}
		}
	})
	return s
}

// patience ends a test whose server stands still where it does, with that in the message.
func patience(t testing.TB) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(t.Context(), 2*time.Minute, errors.New("no answer from the BigQuery emulator"))
}

func (s *server) table(name string) string { return s.project + "." + s.dataset + "." + name }

func (s *server) install(c Config) {
	s.t.Helper()
	c.Project, c.Dataset, c.Endpoint = s.project, s.dataset, s.rest
	ctx, cancel := patience(s.t)
	defer cancel()
	if err := Install(ctx, c); err != nil {
		s.t.Fatal(err)
	}
}

// query returns the rows of a statement as text, a line each. The emulator answers a
// statement that fails with no rows and no error, so who asks must expect rows.
func (s *server) query(sql string) []string {
	s.t.Helper()
	ctx, cancel := patience(s.t)
	defer cancel()
	it, err := s.client.Query(sql).Read(ctx)
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
				cells[i] = fmt.Sprint(math.Round(v*1e6)/1e6 + 0) // no -0
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

func TestServerViewOfRecordsHasEachOnce(t *testing.T) {
	s := openServer(t)
	s.install(Config{Tables: []Table{FlowsTable("flows")}})
	records := flowtest.Records(300, 1)
	// A bundle that runs again, a record of a higher revision, and one enriched anew.
	again := []flow.Record{records[0], records[1]}
	again[0].Revision, again[0].UserID = 2, "corrected"
	again[1].GeoEdition, again[1].Source.Geo.Country = flow.TimeOf(flowtest.Start), "CH"
	for range 2 {
		write(t, s.recordsFn("flows", RequestRows(100)), flow.Batch{Records: records})
	}
	write(t, s.recordsFn("flows"), flow.Batch{Records: again}, flow.Batch{Records: records[:1]})
	var sum int64
	for i := range records {
		sum += records[i].Source.Bytes.V
	}
	s.expect("SELECT COUNT(*) FROM `"+s.table("flows")+"`", "603")
	s.expect("SELECT COUNT(*), COUNT(DISTINCT record_id), SUM(source_bytes), MIN(partition_time), MAX(partition_time) FROM `"+s.table("flows_latest")+"`",
		fmt.Sprintf("300 300 %d 2026-01-02T03:00:00Z 2026-01-02T03:00:00Z", sum))
	s.expect("SELECT user_id, revision FROM `"+s.table("flows_latest")+"` WHERE record_id = '"+records[0].ID.String()+"'", "corrected 2")
	s.expect("SELECT source_country FROM `"+s.table("flows_latest")+"` WHERE record_id = '"+records[1].ID.String()+"'", "CH")
}

func TestServerViewOfDeadLettersHasEachOnce(t *testing.T) {
	s := openServer(t)
	s.install(Config{Tables: []Table{FailuresTable("dead_letters")}})
	failure := func(offset int64, data string) flow.Failure {
		return flow.Failure{Stage: "parse", Reason: flow.ReasonSyntax, Error: "cut", Data: data, Size: int64(len(data)), Format: "canopus",
			Position: flow.Position{Source: "a", Offset: flow.N(offset)}, SourceTime: flow.TimeOf(flowtest.Start), Version: flow.Version}
	}
	in := flow.FailureBatch{Failures: []flow.Failure{failure(1, "{\"a"), failure(2, "\xff\x00")}}
	in.Failures = append(in.Failures, failure(3, "no time"))
	in.Failures[2].SourceTime = 0
	o, name, err := setup(defaults("bigquery_dead_letters"), s.table("dead_letters"), false, s.options())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		write(t, &failuresFn{Table: name, Options: o}, in)
	}
	s.expect("SELECT COUNT(*) FROM `"+s.table("dead_letters")+"`", "6")
	s.expect("SELECT position_offset, data, data_base64, size, source_time IS NULL FROM `"+s.table("dead_letters_latest")+"` ORDER BY position_offset",
		`1 {"a <nil> 3 false`, "2 <nil> /wA= 2 false", "3 no time <nil> 7 true")
}

var rollup1m = flow.RollupTable("1m", []string{"user_id", "destination_country"}, []flow.Kind{flow.KindString, flow.KindString}, []string{"flows", "rtt_mean"}, []flow.Kind{flow.KindInt, flow.KindFloat})

func rollupRow(user string, records int64) flow.Rollup {
	return flow.Rollup{Window: flow.TimeOf(flowtest.Start).Truncate(time.Minute), Length: time.Minute, Records: records,
		Group: []flow.Value{flow.StringValue(user), {}}, Measures: []flow.Value{flow.IntValue(records), flow.FloatValue(0.5)}}
}

func rollupBatch(rows ...flow.Rollup) flow.RollupBatch {
	return flow.RollupBatch{Level: "1m", Fields: []string{"user_id", "destination_country"}, Measures: []string{"flows", "rtt_mean"}, Rows: rows}
}

// The emulator knows no upserts: rows are appended, and the view has the newest.
func TestServerViewOfRollupsHasTheRowWithMostRecords(t *testing.T) {
	s := openServer(t)
	s.install(Config{Tables: []Table{RollupTable("rollup_1m", rollup1m)}})
	o, name, err := setup(defaults("bigquery"), s.table("rollup_1m"), true, s.options(AppendOnly()))
	if err != nil {
		t.Fatal(err)
	}
	spec, err := dataset.RollupTableOf(rollup1m)
	if err != nil {
		t.Fatal(err)
	}
	write(t, &rollupsFn{Table: name, Options: o, Rollup: spec}, rollupBatch(rollupRow("ann", 2), rollupRow("bob", 5)), rollupBatch(rollupRow("ann", 7)), rollupBatch(rollupRow("ann", 3)))
	s.expect("SELECT COUNT(*) FROM `"+s.table("rollup_1m")+"`", "4")
	s.expect("SELECT user_id, destination_country, records, flows, rtt_mean, window_end FROM `"+s.table("rollup_1m_latest")+"` ORDER BY user_id",
		"ann <nil> 7 7 0.5 2026-01-02T03:05:00Z", "bob <nil> 5 5 0.5 2026-01-02T03:05:00Z")
}

func TestServerViewOfFeatures(t *testing.T) {
	s := openServer(t)
	s.install(Config{Tables: []Table{FlowsTable("flows")}})
	at := func(clock string) func(*flow.Record) {
		v, err := time.Parse(time.RFC3339, "2026-01-02T"+clock+"Z")
		if err != nil {
			t.Fatal(err)
		}
		return flowtest.EventTime(v)
	}
	records := []flow.Record{
		flowtest.Record(at("06:00:00"), flowtest.User("ann"), flowtest.Bytes(100, 1000)),
		flowtest.Record(at("06:04:59"), flowtest.User("ann"), flowtest.Bytes(200, 0), flowtest.Between("10.0.0.1", "203.0.113.77"), func(r *flow.Record) {
			r.SamplingRate, r.Action, r.Destination.Port = flow.N(10), "drop", flow.N(53)
			r.RTTExternal, r.LossExternal, r.Start = flow.N(20e6), flow.F(0.5), r.End.Add(-3*time.Second)
			r.RetransmitsSource, r.Destination.Geo.Country = flow.N(4), "CH"
		}),
		flowtest.Record(at("06:05:00"), flowtest.User("ann"), func(r *flow.Record) { // lacks all counters
			r.Source, r.Destination = flow.Endpoint{}, flow.Endpoint{}
			r.RTTExternal, r.LossExternal, r.Start, r.Action = flow.Int{}, flow.Float{}, 0, ""
		}),
		flowtest.Record(at("06:00:01"), flowtest.User("bob")),
		flowtest.Record(at("06:00:02"), flowtest.User("")),                                                          // nobody's
		flowtest.Record(at("06:00:03"), flowtest.User("ann"), func(r *flow.Record) { r.Observation = "duplicate" }), // seen twice
	}
	for range 2 { // a bundle that runs again changes no feature
		write(t, s.recordsFn("flows"), flow.Batch{Records: records})
	}
	s.expect("SELECT user_id, window_start, flows, refused, refused_ratio, bytes_out, bytes_in, packets, destinations, ports, countries, networks, protocols, duration_mean_s, duration_max_s, rtt_mean_ms, loss_max, retransmits FROM `"+s.table("flows_features")+"` ORDER BY user_id, window_start",
		"ann 2026-01-02T06:00:00Z 2 1 0.5 2100 1000 330 2 2 1 0 1 2 3 30 0.5 4",
		"ann 2026-01-02T06:05:00Z 1 0 0 0 0 0 0 0 0 0 1 0 0 0 0 0",
		"bob 2026-01-02T06:00:00Z 1 0 0 1000 20000 30 1 1 0 0 1 1 1 40 0.01 0")
	s.expect("SELECT out_ratio, destinations_per_flow, log_flows, log_bytes_out, log_bytes_in, log_destinations, log_ports, day_sin, day_cos, week_sin, week_cos FROM `"+s.table("flows_features")+"` WHERE user_id = 'ann' ORDER BY window_start LIMIT 1",
		floats(2100.0/3101, 1, math.Log(3), math.Log(2101), math.Log(1001), math.Log(3), math.Log(3), 1, 0, math.Sin(2*math.Pi*1.25/7), math.Cos(2*math.Pi*1.25/7)))
	// A model takes no NULL.
	columns := s.query("SELECT column_name FROM `" + s.project + "." + s.dataset + "`.INFORMATION_SCHEMA.COLUMNS WHERE table_name = 'flows_features'")
	if len(columns) == 0 {
		columns = strings.Fields("flows refused refused_ratio bytes_out bytes_in out_ratio packets destinations destinations_per_flow ports countries networks protocols duration_mean_s duration_max_s rtt_mean_ms loss_max retransmits log_flows log_bytes_out log_bytes_in log_destinations log_ports day_sin day_cos week_sin week_cos")
	}
	s.expect("SELECT COUNT(*) FROM `"+s.table("flows_features")+"` WHERE "+strings.Join(columns, " IS NOT NULL AND ")+" IS NOT NULL", "3")
}

func floats(v ...float64) string {
	out := make([]string, len(v))
	for i := range v {
		out[i] = fmt.Sprint(math.Round(v[i]*1e6) / 1e6)
	}
	return strings.Join(out, " ")
}

func TestServerInstall(t *testing.T) {
	s := openServer(t)
	flows := FlowsTable("flows")
	flows.Expiry = 90 * 24 * time.Hour
	s.install(Config{Tables: []Table{flows, FailuresTable("dead_letters")}})
	m, err := s.client.Dataset(s.dataset).Table("flows").Metadata(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if p := m.TimePartitioning; p == nil || p.Field != "event_time" || p.Type != bigquery.HourPartitioningType || p.Expiration != 90*24*time.Hour ||
		m.Clustering == nil || strings.Join(m.Clustering.Fields, ",") != "user_id,source_ip,destination_ip" || len(m.Schema) != len(flow.Records.Columns) {
		t.Errorf("partitioning %+v, clustering %+v, %d columns", p, m.Clustering, len(m.Schema))
	}
	s.install(Config{Tables: []Table{flows, FailuresTable("dead_letters")}}) // changes nothing
	after, err := s.client.Dataset(s.dataset).Table("flows").Metadata(t.Context())
	if err != nil || after.ETag != m.ETag {
		t.Errorf("a second Install changed the table: %v", err)
	}
	day := flows
	day.Partition = "day"
	err = Install(t.Context(), Config{Project: s.project, Dataset: s.dataset, Endpoint: s.rest, Tables: []Table{day}})
	if err == nil || !strings.Contains(err.Error(), "partitioned by the hour of event_time") {
		t.Errorf("another partitioning: %v", err)
	}
}
