package pubsubconn

import (
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/flowbeam/flowbeam/internal/delivery"
)

// Mark says of an error whether it may pass, or is of credentials. What is left unmarked is
// for good.
//
// Source: https://cloud.google.com/pubsub/docs/reference/error-codes
func Mark(err error) error {
	switch status.Code(err) {
	case codes.OK, codes.InvalidArgument, codes.NotFound, codes.Unimplemented, codes.OutOfRange:
		return err
	case codes.Unauthenticated, codes.PermissionDenied:
		return delivery.Denied(fmt.Errorf("%w: the identity needs the role roles/pubsub.publisher on the topic", err))
	}
	var after time.Duration
	for _, d := range status.Convert(err).Details() {
		if r, ok := d.(*errdetails.RetryInfo); ok {
			after = r.GetRetryDelay().AsDuration()
		}
	}
	return delivery.Again(err, after)
}
