package job

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flowbeam/flowbeam/internal/flink"
	"github.com/flowbeam/flowbeam/internal/testenv"
)

// TestKillsOnFlink runs one long job on the Flink of scripts/up, over Kafka, into files,
// Elasticsearch and BigQuery. It kills the TaskManager, the pool of workers and the program that
// has submitted the job, by SIGKILL, at random instants and after effects whose replies have not
// come; then it stops the job with a savepoint and goes on from there with new workers. What is
// stored in the end is that of a run on the local runner that nobody kills.
func TestKillsOnFlink(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("FLOWBEAM_FLINK_KILLS"))
	if n == 0 {
		t.Skip("skipped: it takes minutes; FLOWBEAM_FLINK_KILLS=10 runs it, scripts/soak flink does")
	}
	f := newFlinkKills(t, n)
	enough := f.send(120 + 60*n)
	f.submit("")
	for i := range n {
		f.kill(i)
	}
	f.judge()
	f.moveOn()
	enough()
	f.untilAllIsStored()
	f.compare()
	f.compareElasticsearch(f.elastic, f.o.ElasticNamespace)
	f.compareBigQuery(f.rest, f.project, f.o.ElasticNamespace)
}

// flinkKills is a job on Flink and the processes that it needs.
type flinkKills struct {
	*kills
	cluster                *flink.Cluster
	job                    string
	elastic, rest, project string
	workers, client        *child
}

// flinkTopic is read from its beginning: where a job goes on is in its state.
type flinkTopic struct{ *topicInput }

func (in *flinkTopic) args() []string {
	return []string{"--kafka_input=" + strings.Join(in.brokers, ","), "--kafka_input_topics=" + in.topic}
}

func newFlinkKills(t *testing.T, n int) *flinkKills {
	in := &flinkTopic{killTopic(t)}
	f := &flinkKills{kills: newKills(t, n, in), job: in.topic}
	f.elastic, f.rest, f.project = testenv.Server(t, "FLOWBEAM_ES_URL"), testenv.Server(t, "FLOWBEAM_BQ_REST"), testenv.Server(t, "FLOWBEAM_BQ_PROJECT")
	grpc, address := testenv.Server(t, "FLOWBEAM_BQ_GRPC"), testenv.Server(t, "FLOWBEAM_FLINK_REST")
	var err error
	if f.cluster, err = flink.OpenCluster(address); err != nil {
		t.Fatal(err)
	}
	es, bq := f.proxy("Elasticsearch", strings.TrimPrefix(f.elastic, "http://")), f.proxy("BigQuery", grpc)
	f.o.Elasticsearch, f.o.ElasticNamespace, f.o.ElasticILM = []string{f.elastic}, in.topic, false
	f.o.BigQuery, f.o.BigQueryEndpoint = f.project+"."+in.topic, f.rest+","+grpc
	f.install()
	f.args = append(f.args,
		"--elasticsearch=http://"+es, "--elasticsearch_namespace="+in.topic, "--elasticsearch_ilm=false",
		"--bigquery="+f.o.BigQuery, "--bigquery_endpoint="+f.rest+","+bq,
		"--runner=flink", "--endpoint="+testenv.Server(t, "FLOWBEAM_FLINK"), "--flink_rest="+address, "--job_name="+in.topic,
		"--flink_checkpoint_interval=2s", "--flink_bundle_time=100ms", "--environment_type=external", "--environment_config="+freeAddress(t))
	t.Cleanup(func() {
		if j, err := f.cluster.Find(context.Background(), f.job); err == nil && !j.State.Ended() {
			f.cluster.Cancel(context.Background(), j.ID)
		}
	})
	return f
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// startWorkers starts a pool of workers where the job looks for it.
func (f *flinkKills) startWorkers() {
	f.Helper()
	address := f.args[len(f.args)-1]
	f.workers = f.start("--flink_workers=" + strings.TrimPrefix(address, "--environment_config="))
}

// submit starts the job and waits until it writes.
func (f *flinkKills) submit(savepoint string) {
	f.Helper()
	f.startWorkers()
	var more []string
	if savepoint != "" {
		more = append(more, "--flink_savepoint="+savepoint)
	}
	f.client = f.start(more...)
	f.writes("the job writes")
}

// writes waits until one more part is visible.
func (f *flinkKills) writes(what string) {
	f.Helper()
	before := f.parts()
	f.until(what, f.workers, func() bool { time.Sleep(20 * time.Millisecond); return f.parts() > before })
}

// kill kills one of the processes, and starts it again.
func (f *flinkKills) kill(i int) {
	f.Helper()
	time.Sleep(time.Duration(f.random.IntN(4000)) * time.Millisecond)
	plan, step := f.wait(i)
	victim := "the TaskManager"
	switch {
	case i%5 == 2 && f.client != nil:
		victim = "the program that submitted"
		f.client.end()
		f.client = nil
	case i%2 == 1:
		victim = "the workers"
		f.workers.end()
	default:
		f.killTaskManager()
	}
	for _, p := range f.proxies {
		p.OnReply(nil)
	}
	f.Logf("kill %d of %s, at %s: %s", i+1, victim, plan, step)
	switch victim {
	case "the workers":
		f.startWorkers()
	case "the TaskManager":
		f.startTaskManager()
	}
	f.writes("the job writes again after kill " + strconv.Itoa(i+1) + " of " + victim)
}

// wait waits for the instant of a kill, and says what is under way then.
func (f *flinkKills) wait(i int) (plan, step string) {
	plans := []string{"an instant", "a part", "Elasticsearch", "BigQuery"}
	plan = plans[f.random.IntN(len(plans))]
	switch plan {
	case "an instant":
		step = f.busy(f.workers)
	case "a part":
		f.writes("a part before kill " + strconv.Itoa(i+1))
		step = "a part is visible, its bundle has not ended"
		f.uncommitted++
	default:
		f.hold(plan, i)
		step = plan + " has taken rows, its reply has not come"
		f.uncommitted++
	}
	if step == "" {
		return plan, "nothing under way"
	}
	f.inFlight++
	return plan, step
}

const stack = "../../../.state/stack"

func (f *flinkKills) killTaskManager() {
	f.Helper()
	b, err := os.ReadFile(filepath.Join(stack, "flink", "taskmanager", "pid"))
	if err != nil {
		f.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err != nil {
		f.Fatal(err)
	}
	for syscall.Kill(pid, 0) == nil {
		time.Sleep(10 * time.Millisecond)
	}
}

func (f *flinkKills) startTaskManager() {
	f.Helper()
	if out, err := exec.Command("../../../scripts/up", "flink").CombinedOutput(); err != nil {
		f.Fatalf("scripts/up flink: %v\n%s", err, out)
	}
}

// moveOn stops the job with a savepoint and goes on from there, with other workers.
func (f *flinkKills) moveOn() {
	f.Helper()
	j, err := f.cluster.Find(f.Context(), f.job)
	if err != nil {
		f.Fatal(err)
	}
	p, err := f.cluster.Checkpoints(f.Context(), j.ID)
	if err != nil {
		f.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(f.Context(), 2*time.Minute)
	defer cancel()
	at, err := f.cluster.Stop(ctx, j.ID, "")
	if err != nil {
		f.Fatal(err)
	}
	f.Logf("%d checkpoints were done, %d restored; stopped with %s", p.Counts.Completed, p.Counts.Restored, filepath.Base(at))
	f.workers.end()
	if f.client != nil {
		f.client.end()
	}
	f.submit(at)
}

// untilAllIsStored waits until the records and the last window are stored, and ends the job.
func (f *flinkKills) untilAllIsStored() {
	f.Helper()
	all := func() bool {
		if int64(len(storedRecords(f.T, f.o))) < f.want.Unique {
			return false
		}
		for _, level := range []string{"2s", "4s"} {
			var records int64
			for _, r := range rollupRows(f.T, f.o, level) {
				records += r.Records
			}
			if records < f.want.Unique {
				return false
			}
		}
		return true
	}
	f.until(fmt.Sprintf("all of %d records and their windows are stored", f.want.Unique), f.workers, func() bool { time.Sleep(time.Second); return all() })
	time.Sleep(5 * time.Second) // would more come, it would be too much
	j, err := f.cluster.Find(f.Context(), f.job)
	if err == nil {
		err = f.cluster.Cancel(f.Context(), j.ID)
	}
	if err != nil {
		f.Fatal(err)
	}
}
