package flink

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Cluster is a Flink cluster, asked by its REST API. Flink's ids of jobs are not those of the job
// server, whose own cancelling leaves the job running in Flink, and which knows no savepoints.
//
// Source: https://nightlies.apache.org/flink/flink-docs-release-1.19/docs/ops/rest_api/
type Cluster struct {
	url    string
	client *http.Client
}

// OpenCluster asks nothing yet. The address is a URL, or host:port.
func OpenCluster(address string) (*Cluster, error) {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("%q is no address of Flink's REST API, such as http://localhost:8081", address)
	}
	return &Cluster{url: strings.TrimRight(address, "/"), client: &http.Client{Timeout: time.Minute}}, nil
}

// State of a job, as Flink names it.
type State string

// Ended says that the job does not run again by itself.
func (s State) Ended() bool {
	return slices.Contains([]State{"FINISHED", "CANCELED", "FAILED", "SUSPENDED"}, s)
}

// Status is a job as the cluster tells of it.
type Status struct {
	ID    string `json:"jid"`
	Name  string `json:"name"`
	State State  `json:"state"`
	Start int64  `json:"start-time"` // milliseconds since the epoch
	Took  int64  `json:"duration"`   // milliseconds
}

// Jobs lists the jobs that the cluster knows, the newest first.
func (c *Cluster) Jobs(ctx context.Context) ([]Status, error) {
	var found struct{ Jobs []Status }
	if err := c.do(ctx, http.MethodGet, "/jobs/overview", nil, &found); err != nil {
		return nil, err
	}
	slices.SortFunc(found.Jobs, func(a, b Status) int { return cmp.Compare(b.Start, a.Start) })
	return found.Jobs, nil
}

// Find finds a job by its id, or by its name: the newest of that name, one that runs before those
// that have ended. Beam's job server adds to a name what makes it a job's own, so the beginning is
// enough, and writes 0 for what is no letter, digit or underscore.
func (c *Cluster) Find(ctx context.Context, idOrName string) (Status, error) {
	jobs, err := c.Jobs(ctx)
	if err != nil {
		return Status{}, err
	}
	name := strings.Map(func(r rune) rune {
		if r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' {
			return r
		}
		return '0'
	}, strings.ToLower(idOrName))
	var found *Status
	for i, j := range jobs {
		if j.ID == idOrName {
			return j, nil
		}
		if strings.HasPrefix(j.Name, name) && (found == nil || found.State.Ended() && !j.State.Ended()) {
			found = &jobs[i]
		}
	}
	if found == nil {
		return Status{}, fmt.Errorf("%s has no job of the id or name %q", c.url, idOrName)
	}
	return *found, nil
}

// Checkpoints are how a job's checkpoints went.
type Checkpoints struct {
	Counts struct {
		Completed int64 `json:"completed"`
		Failed    int64 `json:"failed"`
		Restored  int64 `json:"restored"`
	} `json:"counts"`
	Latest struct {
		Completed struct {
			ID       int64  `json:"id"`
			Path     string `json:"external_path"`
			Bytes    int64  `json:"state_size"`
			At       int64  `json:"latest_ack_timestamp"` // milliseconds since the epoch
			Duration int64  `json:"end_to_end_duration"`  // milliseconds
		} `json:"completed"`
	} `json:"latest"`
}

// Checkpoints of a job.
func (c *Cluster) Checkpoints(ctx context.Context, id string) (out Checkpoints, err error) {
	return out, c.do(ctx, http.MethodGet, "/jobs/"+id+"/checkpoints", nil, &out)
}

// Failure is the last failure of a job, also one that it was restarted after; none: "".
func (c *Cluster) Failure(ctx context.Context, id string) (string, error) {
	var found struct {
		Root string `json:"root-exception"`
	}
	err := c.do(ctx, http.MethodGet, "/jobs/"+id+"/exceptions?maxExceptions=1", nil, &found)
	return found.Root, err
}

// Cancel ends a job at once. Its last checkpoint stays.
func (c *Cluster) Cancel(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodPatch, "/jobs/"+id+"?mode=cancel", nil, nil)
}

// Stop ends a job with a savepoint and returns where it is. It never drains: that would send the
// last watermark, and the sources of a stream would be asked for ever.
func (c *Cluster) Stop(ctx context.Context, id, dir string) (savepoint string, err error) {
	body := map[string]any{"drain": false}
	if dir != "" {
		body["targetDirectory"] = dir
	}
	return c.savepoint(ctx, id, "/stop", body)
}

// Savepoint makes a savepoint of a job that goes on and returns where it is.
func (c *Cluster) Savepoint(ctx context.Context, id, dir string) (savepoint string, err error) {
	body := map[string]any{"cancel-job": false}
	if dir != "" {
		body["target-directory"] = dir
	}
	return c.savepoint(ctx, id, "/savepoints", body)
}

func (c *Cluster) savepoint(ctx context.Context, id, path string, body any) (string, error) {
	var trigger struct {
		ID string `json:"request-id"`
	}
	if err := c.do(ctx, http.MethodPost, "/jobs/"+id+path, body, &trigger); err != nil {
		return "", err
	}
	for {
		var s struct {
			Status struct {
				ID string `json:"id"`
			} `json:"status"`
			Operation struct {
				Location string `json:"location"`
				Failure  struct {
					Stack string `json:"stack-trace"`
				} `json:"failure-cause"`
			} `json:"operation"`
		}
		if err := c.do(ctx, http.MethodGet, "/jobs/"+id+"/savepoints/"+trigger.ID, nil, &s); err != nil {
			return "", err
		}
		switch {
		case s.Status.ID != "COMPLETED":
		case s.Operation.Location == "":
			return "", fmt.Errorf("no savepoint of %s: %s", id, firstLine(s.Operation.Failure.Stack))
		default:
			return s.Operation.Location, nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("the savepoint of %s is not done: %w", id, ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// Counters sums a namespace's counters of a job over its vertices and subtasks, by name. They count
// from the last start or restart of the job on.
func (c *Cluster) Counters(ctx context.Context, id, namespace string) (map[string]int64, error) {
	var job struct {
		Vertices []struct {
			ID string `json:"id"`
		} `json:"vertices"`
	}
	if err := c.do(ctx, http.MethodGet, "/jobs/"+id, nil, &job); err != nil {
		return nil, err
	}
	sums := map[string]int64{}
	for _, v := range job.Vertices {
		path := "/jobs/" + id + "/vertices/" + v.ID + "/metrics"
		var names []struct {
			ID string `json:"id"`
		}
		if err := c.do(ctx, http.MethodGet, path, nil, &names); err != nil {
			return nil, err
		}
		var ask []string
		for _, n := range names {
			if _, ok := counterName(n.ID, namespace); ok {
				ask = append(ask, n.ID)
			}
		}
		for part := range slices.Chunk(ask, 50) { // as much as a URL may hold
			var values []struct{ ID, Value string }
			if err := c.do(ctx, http.MethodGet, path+"?get="+url.QueryEscape(strings.Join(part, ",")), nil, &values); err != nil {
				return nil, err
			}
			for _, v := range values {
				name, ok := counterName(v.ID, namespace)
				if n, err := strconv.ParseInt(v.Value, 10, 64); ok && err == nil {
					sums[name] += n
				}
			}
		}
	}
	return sums, nil
}

// counterName is what stands behind subtask, operator and namespace: 0.[2]{source__sink}.namespace_name.
func counterName(id, namespace string) (string, bool) {
	return strings.CutPrefix(id[strings.LastIndexByte(id, '.')+1:], namespace+"_")
}

// do asks the cluster.
func (c *Cluster) do(ctx context.Context, method, path string, body, into any) error {
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, r)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.client.Do(req)
	if err != nil {
		return fmt.Errorf("Flink does not answer: %w", err) //nolint:staticcheck // a name
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return fmt.Errorf("Flink's answer: %w", err) //nolint:staticcheck // a name
	}
	if resp.StatusCode/100 != 2 {
		var e struct{ Errors []string }
		if json.Unmarshal(b, &e) == nil && len(e.Errors) > 0 {
			return fmt.Errorf("%s %s: %s", method, c.url+path, firstLine(e.Errors[len(e.Errors)-1]))
		}
		return fmt.Errorf("%s %s: status %d", method, c.url+path, resp.StatusCode)
	}
	if into == nil || len(b) == 0 {
		return nil
	}
	if err := json.Unmarshal(b, into); err != nil {
		return errors.Join(fmt.Errorf("%s %s: the answer is not as documented", method, c.url+path), err)
	}
	return nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}
