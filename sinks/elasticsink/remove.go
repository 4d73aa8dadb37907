package elasticsink

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/delivery"
)

// Remove takes the documents of a PCollection<flow.Batch> out of the indices of flow records,
// wherever they stand, if their revision is below the one given: after a replacement that moved
// event times, or that finds no record where there was one. Of the records the id and the event
// time count. A document that is gone already is none the worse for it.
//
// It returns a PCollection<flow.Count> of the stage (see Name; default elasticsearch_removed):
// removed, requests, retried.
//
// Source: https://www.elastic.co/docs/reference/elasticsearch/rest-apis/optimistic-concurrency-control
func Remove(s beam.Scope, batches beam.PCollection, c Cluster, revision int64, opts ...Option) beam.PCollection {
	o := must("Remove", c, defaults("elasticsearch_removed"), opts)
	return beam.ParDo(s.Scope("elasticsink.Remove"), &removeFn{Cluster: c, Options: o, Revision: revision}, batches)
}

func init() {
	beam.RegisterDoFn(&removeFn{})
}

// removeAtATime is how many documents one request takes away.
const removeAtATime = 1000

type removeFn struct {
	Cluster  Cluster
	Options  options
	Revision int64

	c           *client
	ids         []string
	first, last flow.Time // event times
	fresh       bool      // what was written before is found by searches
	tally       delivery.Tally
	removed     int64
}

func (f *removeFn) Setup(ctx context.Context) (err error) {
	if f.c, err = open(ctx, f.Cluster, f.Options.InFlight); err != nil {
		return fmt.Errorf("elasticsink: %w", err)
	}
	return nil
}

func (f *removeFn) StartBundle(context.Context, func(flow.Count)) {
	f.ids, f.fresh, f.tally, f.removed = f.ids[:0], false, delivery.Tally{}, 0
}

func (f *removeFn) ProcessElement(ctx context.Context, in flow.Batch, _ func(flow.Count)) error {
	for i := range in.Records {
		r := &in.Records[i]
		if len(f.ids) == 0 {
			f.first, f.last = r.EventTime, r.EventTime
		}
		f.first, f.last = min(f.first, r.EventTime), max(f.last, r.EventTime)
		if f.ids = append(f.ids, r.ID.String()); len(f.ids) == removeAtATime {
			if err := f.flush(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *removeFn) FinishBundle(ctx context.Context, count func(flow.Count)) error {
	if err := f.flush(ctx); err != nil {
		return err
	}
	flow.EmitCount(count, f.Options.Stage, "removed", f.removed)
	flow.EmitCount(count, f.Options.Stage, "requests", f.tally.Requests)
	flow.EmitCount(count, f.Options.Stage, "retried", f.tally.Retried)
	return nil
}

func (f *removeFn) Teardown() error {
	if f.c != nil {
		f.c.close()
		f.c = nil
	}
	return nil
}

func (f *removeFn) flush(ctx context.Context) error {
	if len(f.ids) == 0 {
		return nil
	}
	indices := aliasOf(kindFlow, f.Options.Namespace)
	if !f.Options.DataStream {
		indices += "-*"
	}
	n, err := f.Options.Retry.Do(ctx, fmt.Sprintf("removal of %d documents", len(f.ids)), func(ctx context.Context) error {
		return f.remove(ctx, indices)
	})
	f.tally.Retried += int64(n)
	f.ids = f.ids[:0]
	if err != nil {
		return fmt.Errorf("elasticsink: %w", err)
	}
	return nil
}

// remove searches and deletes until nothing is found. It is what _delete_by_query does, which is
// a module that not every cluster has: each document is deleted as it was found, or not at all.
func (f *removeFn) remove(ctx context.Context, indices string) error {
	for {
		if !f.fresh {
			if _, err := f.ask(ctx, "/"+indices+"/_refresh", "", nil); err != nil {
				return err
			}
			f.fresh = true
		}
		body, err := json.Marshal(removal(f.ids, f.first, f.last, f.Revision))
		if err != nil {
			return err
		}
		var found struct {
			TimedOut bool `json:"timed_out"`
			Shards   struct{ Failed int }
			Hits     struct {
				Hits []struct {
					Index string `json:"_index"`
					ID    string `json:"_id"`
					SeqNo int64  `json:"_seq_no"`
					Term  int64  `json:"_primary_term"`
				}
			}
		}
		path := "/" + indices + "/_search?ignore_unavailable=true&filter_path=timed_out,_shards.failed,hits.hits._index,hits.hits._id,hits.hits._seq_no,hits.hits._primary_term"
		if err := f.askJSON(ctx, path, "application/json", body, &found); err != nil {
			return err
		}
		if found.TimedOut || found.Shards.Failed > 0 {
			return delivery.Again(fmt.Errorf("the search was not whole: %d shards failed", found.Shards.Failed), 0)
		}
		if len(found.Hits.Hits) == 0 {
			return nil
		}
		var bulk bytes.Buffer
		for _, h := range found.Hits.Hits {
			fmt.Fprintf(&bulk, `{"delete":{"_index":%q,"_id":%q,"if_seq_no":%d,"if_primary_term":%d}}`+"\n", h.Index, h.ID, h.SeqNo, h.Term)
		}
		var done struct {
			Items []struct {
				Delete struct {
					Status int             `json:"status"`
					Error  json.RawMessage `json:"error"`
				} `json:"delete"`
			} `json:"items"`
		}
		before := f.removed
		f.fresh = false // what was deleted is not found again, and what changed meanwhile is
		if err := f.askJSON(ctx, "/_bulk?filter_path=items.*.status,items.*.error", "application/x-ndjson", bulk.Bytes(), &done); err != nil {
			return err
		}
		for _, item := range done.Items {
			switch s := item.Delete.Status; {
			case s == http.StatusOK:
				f.removed++
			case s == http.StatusNotFound, s == http.StatusConflict: // gone, or written over: the next search tells
			default:
				return delivery.Status(s, nil, fmt.Errorf("delete: status %d: %s", s, reasonOf(item.Delete.Error, f.c.auth.Now())))
			}
		}
		if f.removed == before {
			return delivery.Again(fmt.Errorf("%d documents change all the time", len(done.Items)), 0)
		}
	}
}

// removal is a search for the ids below a revision. The times bound the indices to look in.
func removal(ids []string, first, last flow.Time, revision int64) any {
	type object = map[string]any
	return object{"size": 2 * removeAtATime, "_source": false, "seq_no_primary_term": true, "query": object{"bool": object{"filter": []object{
		{"ids": object{"values": ids}},
		{"range": object{"@timestamp": object{
			// Documents may hold a coarser time than the record does.
			"gte": first.Add(-time.Second).Std().Format(time.RFC3339Nano), "lte": last.Add(time.Second).Std().Format(time.RFC3339Nano)}}},
		{"range": object{"flowbeam.revision": object{"lt": revision}}},
	}}}}
}

func (f *removeFn) askJSON(ctx context.Context, path, contentType string, body []byte, into any) error {
	reply, err := f.ask(ctx, path, contentType, body)
	if err != nil || len(reply) == 0 {
		return err
	}
	if err := json.Unmarshal(reply, into); err != nil {
		return delivery.Again(fmt.Errorf("the reply is broken: %w", err), 0)
	}
	return nil
}

func (f *removeFn) ask(ctx context.Context, path, contentType string, body []byte) ([]byte, error) {
	r := call{method: http.MethodPost, path: path, body: body, contentType: contentType, maxReply: 4 << 20}
	f.tally.Requests++
	ctx, cancel := context.WithTimeout(ctx, f.Options.Timeout)
	defer cancel()
	if err := f.c.do(ctx, &r); err != nil {
		return nil, err
	}
	if r.status == http.StatusNotFound && body == nil {
		return nil, nil // no index yet
	}
	if r.status != http.StatusOK {
		return nil, f.c.refused(ctx, &r)
	}
	return r.reply, nil
}
