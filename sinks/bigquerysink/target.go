package bigquerysink

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"cloud.google.com/go/bigquery/storage/apiv1/storagepb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/delivery"
)

// target is a table that rows are written to, shared by all DoFns of the process that
// write it.
type target struct {
	client *client
	name   tableName
	fit    func([]*storagepb.TableFieldSchema) (*schema, error)
	now    atomic.Pointer[schema] // the newest that is known
}

func targetOf[T any](e endpoint, name tableName, t *flow.Table[T], upsert bool) (*target, error) {
	var columns []string
	for i := range t.Columns {
		columns = append(columns, fmt.Sprint(t.Columns[i].Name, " ", t.Columns[i].Kind))
	}
	key := fmt.Sprintf("%q %q %q %q %v", e.GRPC, name, t.Name, strings.Join(columns, ","), upsert)
	return targets.get(key, func() (*target, error) {
		c, err := clientOf(e)
		if err != nil {
			return nil, err
		}
		return &target{client: c, name: name, fit: func(have []*storagepb.TableFieldSchema) (*schema, error) {
			return newSchema(t, have, upsert)
		}}, nil
	})
}

// defaultStream is the name of the table's stream that is always there.
func (t *target) defaultStream() string { return t.name.path() + "/streams/_default" }

// routed says to the service's front which stream a call is about.
func routed(ctx context.Context, param, value string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "x-goog-request-params", param+"="+url.QueryEscape(value))
}

// open asks the service for the table's columns, unless they are known.
func (t *target) open(ctx context.Context, p delivery.Policy) error {
	if t.now.Load() != nil {
		return nil
	}
	_, err := p.Do(ctx, "open table "+t.name.String(), func(ctx context.Context) error { return t.refresh(ctx) })
	return err
}

// refresh asks the service for the table's columns.
func (t *target) refresh(ctx context.Context) error {
	s, err := t.client.write.GetWriteStream(routed(ctx, "name", t.defaultStream()), &storagepb.GetWriteStreamRequest{
		Name: t.defaultStream(), View: storagepb.WriteStreamView_FULL,
	})
	if err != nil {
		return fmt.Errorf("table %s: %w", t.name, markRPC(err))
	}
	return t.adopt(s.GetTableSchema())
}

// adopt makes a schema the newest, if it has other columns than that.
func (t *target) adopt(have *storagepb.TableSchema) error {
	if len(have.GetFields()) == 0 {
		return fmt.Errorf("table %s: the service gives no schema", t.name)
	}
	s, err := t.fit(have.GetFields())
	if err != nil {
		return fmt.Errorf("table %s: %w", t.name, err)
	}
	old := t.now.Load()
	if old != nil && string(old.descriptor) == string(s.descriptor) {
		return nil
	}
	if t.now.CompareAndSwap(old, s) && old != nil {
		for _, c := range old.drain() {
			c.abandon()
		}
	}
	return nil
}

const (
	// maxIdle bounds the connections of a table that wait for the next request.
	maxIdle = 16
	// idleTime is how long they wait. The service would close them after ten minutes.
	idleTime = time.Minute
)

// take gives a connection with the schema, an idle one or a new one. It is the caller's
// alone until put.
func (t *target) take(ctx context.Context, s *schema, own bool) (*conn, error) {
	s.mu.Lock()
	for i := len(s.idle) - 1; i >= 0; i-- {
		if c := s.idle[i]; c.own == own {
			s.idle = append(s.idle[:i], s.idle[i+1:]...)
			s.mu.Unlock()
			return c, nil
		}
	}
	s.mu.Unlock()
	c := &conn{target: t, schema: s, own: own, stream: t.defaultStream(), offset: -1}
	if own {
		w, err := t.client.write.CreateWriteStream(routed(ctx, "parent", t.name.path()), &storagepb.CreateWriteStreamRequest{
			Parent: t.name.path(), WriteStream: &storagepb.WriteStream{Type: storagepb.WriteStream_COMMITTED},
		})
		if err != nil {
			return nil, fmt.Errorf("create a stream of table %s: %w", t.name, markRPC(err))
		}
		c.stream, c.offset = w.GetName(), 0
	}
	return c, nil
}

// put gives a connection back whose last request was answered.
func (t *target) put(c *conn) {
	s := c.schema
	s.mu.Lock()
	if t.now.Load() == s && len(s.idle) < maxIdle {
		c.since = time.Now()
		s.idle = append(s.idle, c)
		c = nil
		if !s.sweeping {
			s.sweeping = true
			time.AfterFunc(idleTime, s.sweep)
		}
	}
	s.mu.Unlock()
	if c != nil {
		c.abandon()
	}
}

// sweep closes the connections that have waited for too long, and comes again while there
// are some.
func (s *schema) sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := time.Now().Add(-idleTime)
	s.idle = slices.DeleteFunc(s.idle, func(c *conn) bool {
		if c.since.After(old) {
			return false
		}
		c.abandon()
		return true
	})
	if s.sweeping = len(s.idle) > 0; s.sweeping {
		time.AfterFunc(idleTime, s.sweep)
	}
}

func (s *schema) drain() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	idle := s.idle
	s.idle = nil
	return idle
}

var errNoReply = errors.New("the reply is neither a result nor an error")

// openStream starts AppendRows on a stream. The context is the connection's, not a
// request's.
func (t *target) openStream(ctx context.Context, stream string) (grpc.ClientStream, error) {
	return t.client.conn.NewStream(routed(ctx, "write_stream", stream),
		&grpc.StreamDesc{StreamName: "AppendRows", ServerStreams: true, ClientStreams: true},
		appendMethod, grpc.ForceCodecV2(codec))
}
