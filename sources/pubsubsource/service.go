package pubsubsource

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/api/iterator"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/flowbeam/flowbeam/internal/pubsubconn"
)

// connection says how the service is reached.
type connection struct{ pubsubconn.Connection }

// service is what is asked of Pub/Sub besides messages. Google's library repeats what may
// pass, but for the making of snapshots, which the source repeats itself.
type service struct{ *pubsub.Client }

func (conn connection) open(ctx context.Context, project string) (service, error) {
	opts, err := conn.Options(ctx)
	if err != nil {
		return service{}, err
	}
	c, err := pubsub.NewClient(context.WithoutCancel(ctx), project, opts...)
	return service{c}, err
}

// callTime bounds a call with all its repetitions.
const callTime = time.Minute

func (s service) look(ctx context.Context, subscription string) (*pubsubpb.Subscription, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	found, err := s.SubscriptionAdminClient.GetSubscription(ctx, &pubsubpb.GetSubscriptionRequest{Subscription: subscription})
	return found, explain(err, "look for "+subscription, "roles/pubsub.viewer on the subscription")
}

func (s service) snapshot(ctx context.Context, subscription, name string) error {
	ctx, cancel := context.WithTimeout(ctx, callTime/4)
	defer cancel()
	_, err := s.SubscriptionAdminClient.CreateSnapshot(ctx, &pubsubpb.CreateSnapshotRequest{Name: name, Subscription: subscription})
	return explain(err, "make a snapshot of "+subscription, snapshotRole)
}

// snapshotRole is what making, listing, seeking to and deleting snapshots asks for.
const snapshotRole = "roles/pubsub.editor on the project"

func (s service) seek(ctx context.Context, r *pubsubpb.SeekRequest) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	_, err := s.SubscriptionAdminClient.Seek(ctx, r)
	return explain(err, "seek "+r.Subscription, snapshotRole)
}

func (s service) seekTo(ctx context.Context, subscription, name string) error {
	return s.seek(ctx, &pubsubpb.SeekRequest{Subscription: subscription, Target: &pubsubpb.SeekRequest_Snapshot{Snapshot: name}})
}

func (s service) seekTime(ctx context.Context, subscription string, t time.Time) error {
	return s.seek(ctx, &pubsubpb.SeekRequest{Subscription: subscription, Target: &pubsubpb.SeekRequest_Time{Time: timestamppb.New(t)}})
}

// snapshots lists those of a stem, the oldest first.
func (s service) snapshots(ctx context.Context, project, stem string) ([]snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	var all []snapshot
	for it := s.SubscriptionAdminClient.ListSnapshots(ctx, &pubsubpb.ListSnapshotsRequest{Project: "projects/" + project}); ; {
		found, err := it.Next()
		if errors.Is(err, iterator.Done) {
			sortSnapshots(all)
			return all, nil
		}
		if err != nil {
			return nil, explain(err, "list the snapshots of "+project, snapshotRole)
		}
		if x, ok := parseSnapshot(stem, found.Name); ok {
			all = append(all, x)
		}
	}
}

func (s service) remove(ctx context.Context, old []snapshot) error {
	for _, x := range old {
		ctx, cancel := context.WithTimeout(ctx, callTime)
		err := s.SubscriptionAdminClient.DeleteSnapshot(ctx, &pubsubpb.DeleteSnapshotRequest{Snapshot: x.full})
		cancel()
		if err != nil && status.Code(err) != codes.NotFound {
			return explain(err, "delete "+x.full, snapshotRole)
		}
	}
	return nil
}

// explain says what was done and what permission it asks for.
func explain(err error, what, role string) error {
	switch status.Code(err) {
	case codes.OK:
		return nil
	case codes.PermissionDenied, codes.Unauthenticated:
		return fmt.Errorf("%s: the identity needs %s: %w", what, role, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
