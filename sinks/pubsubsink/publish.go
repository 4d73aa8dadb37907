package pubsubsink

import (
	"context"
	"fmt"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/delivery"
	"github.com/flowbeam/flowbeam/internal/pubsubconn"
)

// tryTime bounds one try of a request: a connection may be dead without a sign.
const tryTime = time.Minute

// deliver publishes messages i to j of a request. The service takes a request as a whole or
// not at all; where it refuses one as invalid, the halves are tried, down to the message
// that is at fault. Its error is what fails the bundle.
func (s *sink[T]) deliver(ctx context.Context, r *request[T], i, j int, t *delivery.Tally, failures *[]flow.Failure) error {
	wire := r.part(i, j)
	again, err := s.options.Policy.Do(ctx, "publish to "+s.options.Topic, func(ctx context.Context) error {
		return s.publish(ctx, wire, j-i)
	})
	t.Retried += int64(again)
	switch {
	case err == nil:
		t.New += int64(j - i)
		t.Bytes += int64(len(wire))
		return nil
	case status.Code(err) == codes.NotFound:
		return noTopic(s.options.Topic, err)
	case status.Code(err) != codes.InvalidArgument:
		return err
	case j-i == 1:
		t.Rejected++
		*failures = append(*failures, s.encoder.kind.Fail(s.options.Stage, r.rows[i], err))
		return nil
	}
	t.Retried++
	mid := (i + j) / 2
	if err := s.deliver(ctx, r, i, mid, t, failures); err != nil {
		return err
	}
	return s.deliver(ctx, r, mid, j, t, failures)
}

// publish makes one try of a request of n messages.
func (s *sink[T]) publish(ctx context.Context, wire []byte, n int) error {
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	// The messages are there in wire form already; a field that a message doesn't know is
	// written as it is.
	req := &pubsubpb.PublishRequest{Topic: s.options.Topic}
	req.ProtoReflect().SetUnknown(wire)
	admin := s.client.now()
	begun := time.Now()
	reply, err := admin.Publish(ctx, req)
	s.flight.Request(time.Since(begun))
	if err != nil {
		if c := status.Code(err); c == codes.Unauthenticated || c == codes.PermissionDenied {
			s.client.renew(ctx, admin)
		}
		return pubsubconn.Mark(err)
	}
	if len(reply.MessageIds) != n {
		return delivery.Again(fmt.Errorf("a reply of %d message ids for %d messages", len(reply.MessageIds), n), 0)
	}
	return nil
}
