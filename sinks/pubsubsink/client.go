package pubsubsink

import (
	"context"
	"fmt"
	"sync"
	"time"

	apiv1 "cloud.google.com/go/pubsub/v2/apiv1"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/flowbeam/flowbeam/internal/pubsubconn"
)

// client is the one of its configuration in this process: runners set DoFns up by the
// hundred, and each client has connections of its own.
type client struct {
	connection connection
	refs       int         // guarded by clients
	idle       *time.Timer // closes it, guarded by clients

	mu    sync.Mutex
	admin *apiv1.TopicAdminClient // which publishes, too; renew replaces it
	known map[string]bool         // topics that were found
}

var clients = struct {
	sync.Mutex
	by map[connection]*client
}{by: map[connection]*client{}}

// idleTime is how long a client without users is kept: bundles come and go.
var idleTime = 30 * time.Second

// acquire returns the process's client for the connection.
func acquire(ctx context.Context, conn connection) (*client, error) {
	clients.Lock()
	defer clients.Unlock()
	if c := clients.by[conn]; c != nil {
		c.refs++
		if c.idle != nil {
			c.idle.Stop()
			c.idle = nil
		}
		return c, nil
	}
	admin, err := conn.open(ctx)
	if err != nil {
		return nil, err
	}
	c := &client{connection: conn, refs: 1, admin: admin, known: map[string]bool{}}
	clients.by[conn] = c
	return c, nil
}

// release gives the client back.
func (c *client) release() {
	clients.Lock()
	defer clients.Unlock()
	if c.refs--; c.refs > 0 {
		return
	}
	c.idle = time.AfterFunc(idleTime, func() {
		clients.Lock()
		defer clients.Unlock()
		if c.refs == 0 && clients.by[c.connection] == c {
			delete(clients.by, c.connection)
			c.now().Close()
		}
	})
}

// now is the API client to use now.
func (c *client) now() *apiv1.TopicAdminClient {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.admin
}

// renew reads the key of the service account again, after old's was refused. Requests that
// old has under way end as unavailable and are tried again.
func (c *client) renew(ctx context.Context, old *apiv1.TopicAdminClient) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.connection.Credentials == "" || c.admin != old {
		return
	}
	if admin, err := c.connection.open(ctx); err == nil {
		c.admin = admin
		old.Close()
	}
}

// open makes an API client. It repeats nothing by itself: the sink's policy does.
func (conn connection) open(ctx context.Context) (*apiv1.TopicAdminClient, error) {
	opts, err := conn.Options(ctx)
	if err != nil {
		return nil, err
	}
	// One connection carries 100 requests at a time; the service advises several.
	if conn.Emulator == "" {
		opts = append(opts, option.WithGRPCConnectionPool(4))
	}
	admin, err := apiv1.NewTopicAdminClient(context.WithoutCancel(ctx), opts...)
	if err != nil {
		return nil, err
	}
	admin.CallOptions = &apiv1.TopicAdminCallOptions{}
	return admin, nil
}

// validateTime bounds how long Validate looks for the topic: who asks wants an answer.
const validateTime = 10 * time.Second

// prepare looks for the topic, once a client, for as long as the policy says.
func (c *client) prepare(ctx context.Context, o *options) error {
	c.mu.Lock()
	known := c.known[o.Topic]
	c.mu.Unlock()
	if known {
		return nil
	}
	_, err := o.Policy.Do(ctx, "look for "+o.Topic, func(ctx context.Context) error { return c.look(ctx, o) })
	if err == nil {
		c.mu.Lock()
		c.known[o.Topic] = true
		c.mu.Unlock()
	}
	return err
}

// look asks for the topic. A publisher may lack the permission to see it, so a refusal is
// no error: the first publish tells.
func (c *client) look(ctx context.Context, o *options) error {
	ctx, cancel := context.WithTimeout(ctx, min(o.Policy.Deadline, 20*time.Second))
	defer cancel()
	_, err := c.now().GetTopic(ctx, &pubsubpb.GetTopicRequest{Topic: o.Topic})
	switch status.Code(err) {
	case codes.PermissionDenied:
		return nil
	case codes.NotFound:
		return noTopic(o.Topic, err)
	}
	return pubsubconn.Mark(err)
}

func noTopic(topic string, err error) error {
	return fmt.Errorf("%s does not exist: create it (gcloud pubsub topics create), or check project and name: %w", topic, err)
}
